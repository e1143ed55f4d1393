"""Bills of rows as records and tables, against plain sums."""

import math
from statistics import stdev
from typing import Any

from ohmweave.experiments import Row, by_params
from ohmweave.report import DETAILS, behind, bill_records, bill_table, bills_of, show_spread
from tests.helpers import assert_close
from tests.helpers.experiments import row

COMMON = {"time": 0.0, "area": 0.0}


def line(phase: str, layer: str, component: str, energy: float, **more: Any) -> dict[str, Any]:
    return COMMON | {"phase": phase, "layer": layer, "component": component, "count": 4, "energy": energy} | more


def records(scale: float, **more: Any) -> list[dict[str, Any]]:
    """What a run with `more` (images, chips) leaves; `scale` times as dear."""
    return [
        line("training", "x", "ADC", 1e-12 * scale, **more),
        line("training", "x", "cells", 2e-12 * scale, time=5e-9 * scale, **more),
        line("training", "y", "ADC", 9e-12 * scale, time=1e-9, **more),
        line("transfer", "y", "ADC", 7e-12, source="a paper", chips=more.get("chips", 1)),
        line("(standing)", "x", "ADC", 0.0, area=3e-9, chips=more.get("chips", 1)),
    ]


def seeds(**params: Any) -> list[Row]:
    """Three seeds whose runs cost once, three and eight times as much."""
    return [row({"bill": records(scale, images=20)}, seed=seed, **params) for seed, scale in enumerate((1, 3, 8))]


def test_rows_are_put_apart_by_all_params_that_tell_them_apart() -> None:
    rows = [*seeds(hidden=100, data="digits"), *seeds(hidden=300, data="digits"), row({}, data="digits")]
    groups = by_params(rows)
    assert [params for params, _ in groups] == [{"hidden": 100}, {"hidden": 300}, {"hidden": None}]
    assert [[one.seed for one in group] for _, group in groups] == [[0, 1, 2], [0, 1, 2], [0]]
    assert by_params(rows[:3]) == [({}, rows[:3])]
    assert by_params([]) == []


def test_means_and_intervals_are_those_of_plain_sums() -> None:
    (bills,) = bills_of([*seeds(), row({"other": 1})])
    found = {(one["phase"], one["layer"]): one for one in bill_records(bills, ("layer",))}
    x = [3e-12, 9e-12, 24e-12]
    assert_close(found["training", "x"]["energy"], sum(x) / 3, rtol=1e-12)
    half = 4.302652729911275 * stdev(x) / math.sqrt(3)  # Student's t of two degrees of freedom, 97.5 %
    assert_close(found["training", "x"]["energy_high"], sum(x) / 3 + half, rtol=1e-9)
    assert_close(found["training", "x"]["energy_low"], sum(x) / 3 - half, rtol=1e-9)
    assert_close(found["training", "x"]["time"], 5e-9 * 12 / 3, rtol=1e-12)
    assert_close(found["training", "x"]["image_energy"], sum(x) / 3 / 20, rtol=1e-12)
    assert_close(found["training", "x"]["share"], 3 / 12, rtol=1e-12)
    assert found["training", "x"]["images"] == 20
    assert found["transfer", "y"]["image_energy"] is found["transfer", "y"]["images"] is None
    assert_close(found["(standing)", "x"]["area"], 3e-9, rtol=1e-12)
    assert found["(standing)", "x"]["share"] is None
    assert {one["rows"] for one in found.values()} == {3}
    assert_close(sum(one["energy"] for one in found.values()), (12e-12 * 12 + 3 * 7e-12) / 3, rtol=1e-12)


def test_a_bill_of_several_chips_is_that_of_one_of_them() -> None:
    (bills,) = bills_of([row({"bill": records(10.0, images=200, chips=10)})])
    (one,) = (line for line in bill_records(bills, ("layer",)) if (line["phase"], line["layer"]) == ("training", "x"))
    assert_close(one["energy"], 3e-12, rtol=1e-12)
    assert_close(one["time"], 5e-9, rtol=1e-12)
    assert_close(one["image_energy"], 30e-12 / 200, rtol=1e-12)
    assert one["images"] == 20
    assert one["energy_low"] is one["energy_high"] is None
    (standing,) = (line for line in bill_records(bills, ("layer",)) if line["phase"] == "(standing)")
    assert standing["area"] == 3e-9  # of one chip in the record too
    (adc, _) = (line for line in bill_records(bills) if (line["component"], line["layer"]) == ("ADC", "x"))
    assert_close(adc["count"], 0.4, rtol=1e-12)


def test_a_row_without_a_line_counts_as_zero_there() -> None:
    rows = [row({"bill": records(1.0, images=20)}), row({"bill": records(1.0, images=20)[:1]}, seed=1)]
    (bills,) = bills_of(rows)
    (y,) = (one for one in bill_records(bills, ("layer",)) if (one["phase"], one["layer"]) == ("training", "y"))
    assert_close(y["energy"], 4.5e-12, rtol=1e-12)
    assert_close(y["image_energy"], 4.5e-12 / 20, rtol=1e-12)


def test_components_have_a_count_and_a_source() -> None:
    (bills,) = bills_of(seeds())
    by_component = bill_records(bills, ("component",))
    assert [(one["phase"], one["component"]) for one in by_component] == [
        ("training", "ADC"),
        ("training", "cells"),
        ("transfer", "ADC"),
        ("(standing)", "ADC"),
    ]
    assert by_component[0]["count"] == 8
    assert by_component[2]["source"] == "a paper"
    assert "source" not in bill_records(bills, ("layer",))[0]
    assert len(bill_records(bills, ())) == 3
    assert len(bill_records(bills, DETAILS)) == 5


def test_the_table_has_a_part_for_each_network_and_dearest_lines_first() -> None:
    table = bill_table(bills_of([*seeds(hidden=100), *seeds(hidden=300)]), ("layer",))
    assert [(one["hidden"], one["phase"], one["layer"]) for one in table] == [
        (hidden, *key)
        for hidden in (100, 300)
        for key in (("training", "y"), ("training", "x"), ("transfer", "y"), ("(standing)", "x"))
    ]
    assert (table[1]["energy"], table[1]["an image"], table[1]["time"]) == ("12 pJ", "600 fJ", "20 ns")
    assert table[1]["95 % interval"] == "± 223.9 %"
    assert (table[1]["images"], table[1]["share of energy"]) == ("20", "25.0%")
    assert (table[3]["energy"], table[3]["share of energy"], table[3]["area"]) == ("", "", "3,000 µm²")


def test_a_single_row_has_no_interval() -> None:
    table = bill_table(bills_of(seeds()[:1]), ())
    assert all("95 % interval" not in one for one in table)
    assert table[0]["energy"] == "12 pJ"
    assert show_spread(2.0, 2.1) == "± 5.0 %"
    assert show_spread(2.0, None) == show_spread(0.0, 1.0) == ""


def test_what_costs_nothing_and_what_nobody_has_is_left_out() -> None:
    free = line("training", "(unused)", "ADC", 0.0)
    table = bill_table(bills_of([row({"bill": [line("training", "x", "ADC", 1e-12), free]})]), ("layer",))
    assert table == [{"phase": "training", "layer": "x", "energy": "1 pJ", "share of energy": "100.0%"}]


def test_what_stands_behind_a_mean_is_said() -> None:
    assert behind(bills_of(seeds())) == "3 rows of 1 chip each"
    assert behind(bills_of(seeds()[:1])) == "1 row of 1 chip"
    assert behind(bills_of([row({"bill": records(1.0, chips=10)})])) == "1 row of 10 chips"
    assert behind(bills_of([*seeds(hidden=100), *seeds(hidden=300)[:2]])) == "2 to 3 rows of 1 chip each"


def test_rows_without_a_bill_have_none() -> None:
    assert bills_of([row({"other": 1}), row({"bill": []}), row({"bill": 12.5})]) == []
