"""The bill of a row as a table."""

from memweave.experiments import Row
from memweave.report import bill_of, bill_table

LINES = [
    {"phase": "a", "layer": "x", "component": "ADC", "joules": 1e-12, "seconds": 0.0, "m2": 0.0},
    {"phase": "a", "layer": "x", "component": "cells", "joules": 2e-12, "seconds": 5e-9, "m2": 0.0},
    {"phase": "a", "layer": "y", "component": "ADC", "joules": 9e-12, "seconds": 1e-9, "m2": 0.0},
    {"phase": "(standing)", "layer": "x", "component": "ADC", "joules": 0.0, "seconds": 0.0, "m2": 3e-9},
]


def row(**result: object) -> Row:
    return Row(id="0", experiment="e", params={}, seed=0, result=result)  # type: ignore[arg-type]


def test_the_last_bill_counts() -> None:
    assert bill_of([row(bill=LINES[:1]), row(bill=LINES), row(other=1)]) == LINES
    assert bill_of([row(other=1)]) == []


def test_lines_are_summed_dearest_first_and_shares_are_of_a_phase() -> None:
    table = bill_table(LINES, ("phase", "layer"))
    assert [(line["phase"], line["layer"]) for line in table] == [("a", "y"), ("a", "x"), ("(standing)", "x")]
    assert table[1]["joules"] == "3 pJ"
    assert table[1]["seconds"] == "5 ns"
    assert table[0]["share of energy"] == "75.0%"
    assert table[2]["joules"] == ""
    assert table[2]["m2"] != ""
    assert table[2]["share of energy"] == ""


def test_components_and_phases() -> None:
    assert len(bill_table(LINES)) == 4
    assert [line["joules"] for line in bill_table(LINES, ("phase",))] == ["12 pJ", ""]
