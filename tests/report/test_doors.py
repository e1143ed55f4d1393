"""Arguments of tables, bills and figures that are refused by name."""

from typing import Any

import pytest

from ohmweave.base import OutOfRangeError
from ohmweave.cost import BillItem, ConverterPrice, Job, Schedule
from ohmweave.plot import waterfall
from ohmweave.report import Bills, bill_records, energy_of, show, show_duration, show_interval, show_spread

NAN = float("nan")
RECORD: dict[str, Any] = {
    "phase": "inference", "layer": "fc", "component": "ADC", "count": 4, "energy": 1e-12, "time": 1e-9, "area": 0.0,
}  # fmt: skip
ITEM: dict[str, Any] = {"phase": "inference", "layer": "fc", "component": "ADC", "count": 4}
JOB = Job(name="x", machine="m", duration=1.0)


@pytest.mark.parametrize("value", [NAN, float("inf"), 10**400])
def test_numbers_that_are_shown_are_finite(value: float) -> None:
    for shown in (
        lambda: show(value, "S"),
        lambda: show_interval(0.0, value, "1"),
        lambda: show_duration(value),
        lambda: show_spread(1.0, value),
        lambda: show_spread(value, 1.0),
        lambda: waterfall({"ADC": value}, ylabel="J"),
    ):
        with pytest.raises(OutOfRangeError, match="must be"):
            shown()
    with pytest.raises(OutOfRangeError, match="`duration` must be >= 0 s"):
        show_duration(-1.0)
    with pytest.raises(OutOfRangeError, match=r"`parts\['ADC'\]` must be >= 0"):
        waterfall({"ADC": -1.0}, ylabel="J")


def test_a_bill_is_made_of_its_records() -> None:
    assert bill_records(Bills(params={}, each=[[RECORD]]))[0]["energy"] == 1e-12
    without = {name: value for name, value in RECORD.items() if name != "energy"}
    for records in ([without], [RECORD | {"energy": -1.0}], [RECORD | {"chips": 0}]):
        with pytest.raises(OutOfRangeError, match="must"):
            Bills(params={}, each=[records])
    for each in ("x", [3], [[3]], [[RECORD | {"layer": 3}]]):
        with pytest.raises(TypeError, match="must be"):
            Bills(params={}, each=each)  # type: ignore[arg-type]
    for by in (("no such field",), "layer", (None,)):
        with pytest.raises(OutOfRangeError, match="`by` must be some of layer, component"):
            bill_records(Bills(params={}, each=[[RECORD]]), by)  # type: ignore[arg-type]


def test_an_energy_is_summed_over_whole_records() -> None:
    assert energy_of([RECORD, RECORD | {"phase": "training"}], phase="inference") == 1e-12
    with pytest.raises(OutOfRangeError, match="`records` must have `phase`"):
        energy_of([{"energy": 1.0}], phase="inference")
    with pytest.raises(OutOfRangeError, match="`energy` must be >= 0"):
        energy_of([RECORD | {"energy": NAN}])


def test_an_item_of_a_bill_has_sound_numbers_and_its_energy_may_be_unknown() -> None:
    assert BillItem(**ITEM, energy=NAN, source="unknown: not read out").count == 4
    for name, value in (("energy", -1.0), ("time", NAN), ("area", -1e-12), ("count", 1.5), ("count", -1), ("phase", 3)):
        with pytest.raises(OutOfRangeError, match=f"`{name}` must be"):
            BillItem(**ITEM | {name: value})
    price: dict[str, Any] = {"energy": 1e-12, "area": 1e-9, "duration": 1e-9, "source": "ours"}
    for name in ("energy", "area", "duration"):
        with pytest.raises(OutOfRangeError, match=f"`{name}` must be >= 0"):
            ConverterPrice(**price | {name: -1.0})


@pytest.mark.parametrize("start", [(), (0.0, 1.0), (-1.0,), (NAN,)])
def test_a_schedule_has_a_start_for_each_job(start: tuple[float, ...]) -> None:
    assert Schedule(jobs=(JOB,), start=(0.5,)).makespan == 1.5
    with pytest.raises(OutOfRangeError, match="`start"):
        Schedule(jobs=(JOB,), start=start)
    with pytest.raises(OutOfRangeError, match="`start` must have as many times as there are jobs"):
        Schedule(jobs=(), start=())
