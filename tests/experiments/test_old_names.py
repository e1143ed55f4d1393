"""Rows of before: written with joules, seconds and m2, read with today's names."""

import json
from pathlib import Path

from ohmweave.experiments import Task, read_results
from ohmweave.experiments.old_names import renamed
from ohmweave.papers.energy import ENERGY_TABLE
from ohmweave.report import bill_records, bills_of, energy_of
from tests.helpers import assert_close

RECORD = {"phase": "inference", "layer": "fc", "component": "ADC", "count": 4, "source": "a paper", "chips": 2}
OLD = {
    "bill": [RECORD | {"joules": 3e-12, "seconds": 5e-9, "m2": 7e-12, "images": 10}],
    "energy": {"inference": {"n_images": 10, "joules": 3e-13, "gpu_joules": 2e-12}},
    "image_joules": {"1": 11.0},
    "seconds": 13.0,
}


def test_a_row_of_before_is_read_with_todays_names(tmp_path: Path) -> None:
    row = {
        "id": Task(experiment="x/y", params={}, seed=0).id,
        "experiment": "x/y",
        "params": {},
        "seed": 0,
        "result": OLD,
        "versions": {},
        "commit": None,
    }
    folder = tmp_path / "x" / "y"
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    (found,) = read_results(tmp_path)["x/y"]
    (bills,) = bills_of([found])
    (record,) = bill_records(bills)
    assert_close([record["energy"], record["time"], record["area"]], [1.5e-12, 2.5e-9, 7e-12], rtol=1e-12)
    assert_close(energy_of(found.result["bill"], phase="inference"), 3e-12, rtol=1e-12)
    assert energy_of(found.result["bill"], phase="training") == 0
    (line,) = ENERGY_TABLE.rows([found])
    assert (line["an image, nJ"], line["V100, nJ"]) == (0.0003, 0.002)
    assert found.result["image_energy"] == {"1": 11.0}
    assert found.result["seconds"] == 13.0  # not of a bill: left as it is


def test_todays_rows_are_left_as_they_are() -> None:
    new = renamed(OLD)
    assert renamed(new) == new
    assert new["bill"] == [RECORD | {"energy": 3e-12, "time": 5e-9, "area": 7e-12, "images": 10}]
