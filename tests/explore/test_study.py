"""Studies from end to end: shared work, resume, and figures that equal those of a network deployed by hand."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import ohmweave as ow
from ohmweave.base import ExperimentError, OutOfRangeError
from ohmweave.experiments import read_rows
from ohmweave.explore import declare, study
from ohmweave.explore.design_stages import NAME
from ohmweave.explore.study_networks import images, network_of, train
from ohmweave.explore.training import n_correct
from tests.helpers import assert_close

SETTINGS = {"chips": 2, "n_train": 100, "n_validation": 50, "n_test": 50, "endurance": 1e6}
SPACE: dict[str, Any] = {"network": "mlp", "epochs": 2, "rows": 64, "cols": 64, "dac_bits": 4, "adc_bits": [4, 8]}


def explored(out: Path, space: dict[str, Any] | None = None, **more: Any) -> ow.explore.Exploration:
    return study(space or SPACE, settings=SETTINGS | more, out=out)


def rows(out: Path) -> list[Any]:
    return read_rows(out / NAME / "rows.jsonl")


def test_a_network_is_trained_once_and_chips_are_written_once(tmp_path: Path) -> None:
    found = explored(tmp_path, SPACE | {"wire": ["0 Ohm", "2 Ohm"]})
    stages = [row.params["stage"] for row in rows(tmp_path)]
    assert [stages.count(stage) for stage in ("train", "write", "read")] == [1, 2, 4]
    assert len(found.points) == 4
    before = (tmp_path / NAME / "rows.jsonl").read_bytes()
    assert explored(tmp_path, SPACE | {"wire": ["0 Ohm", "2 Ohm"]}).records() == found.records()
    assert (tmp_path / NAME / "rows.jsonl").read_bytes() == before


def test_points_that_are_added_later_are_the_only_ones_computed(tmp_path: Path) -> None:
    first = explored(tmp_path)
    more = explored(tmp_path, SPACE | {"adc_bits": [4, 6, 8]})
    assert [row.params["stage"] for row in rows(tmp_path)].count("read") == 3
    kept = [record for record in more.records() if record["adc_bits"] != 6]
    for old, new in zip(first.records(), kept, strict=True):
        assert {**old, "on_front": 0} == {**new, "on_front": 0}
    whole = explored(tmp_path / "anew", SPACE | {"adc_bits": [4, 6, 8]})
    assert whole.records() == more.records()


def test_a_design_equals_the_network_deployed_through_its_converters(tmp_path: Path) -> None:
    """The referee writes chips that have the converters from the start; no state is carried over."""
    found = explored(tmp_path, SPACE | {"adc_bits": 6, "columns_per_adc": 4, "wire": "2 Ohm"})
    data = images("digits", "mlp", data_dir=None, limits=(100, 50, 50))
    model = train(network_of("mlp", None, data, seed=0), data, epochs=2, seed=0)
    cell = ow.cells.yao2020()
    chip = ow.Chip(
        cell,
        n_arrays=2,
        rows=64,
        cols=64,
        n_chips=2,
        seed=0,
        wires=ow.arrays.Wires(r_row=2.0, r_col=2.0),
        dac=ow.arrays.DAC(bits=4, v_max=0.2, bit_serial=True),
        adc=ow.arrays.ADC(bits=6, columns_per_adc=4),
    )
    ow.mapping.reset_unused(chip)
    window = cell.g_max - cell.g_min
    net = ow.deploy(model, chip, write=ow.WriteVerify(tolerance=0.02 * window)).eval()
    activity = chip.array.books.activity
    n_pulses = (activity.n_set + activity.n_reset) / 2
    net.refresh()
    ow.calibrate(net, data.train.images[:200])
    row = next(row for row in rows(tmp_path) if row.params["stage"] == "read")
    assert found.figures[0].pulses == n_pulses
    with torch.no_grad(), ow.cost.ledger(net) as bill:
        net(data.validation.images[:20])
    assert_close(found.figures[0].energy, bill.total("energy") / 40, rtol=1e-5)
    assert_close(found.figures[0].area, bill.total("area"), rtol=1e-12)
    assert row.result["n_correct_validation"] == n_correct(net, data.validation)
    assert row.result["n_correct"] == n_correct(net, data.test)


def test_files_that_are_gone_are_made_again(tmp_path: Path) -> None:
    first = explored(tmp_path)
    for path in (tmp_path / "artifacts").iterdir():
        path.unlink()
    more = explored(tmp_path, SPACE | {"adc_bits": [4, 6, 8]})
    kept = [one for point, one in zip(more.points, more.figures, strict=True) if point["adc_bits"] != 6]
    assert kept == list(first.figures)


def test_figures_follow_from_rows(tmp_path: Path) -> None:
    found = explored(tmp_path)
    for figures, row in zip(
        found.figures, [row for row in rows(tmp_path) if row.params["stage"] == "read"], strict=True
    ):
        right = row.result["n_correct_validation"]
        assert_close(figures.accuracy.value, sum(right) / 100, rtol=1e-12)
        assert figures.worst_chip == min(right) / 50
        assert_close(figures.endurance_used, figures.most_pulses / 1e6, rtol=1e-12)
    # Of two converters that differ in bits alone, the one with more costs more.
    assert found.figures[0].energy < found.figures[1].energy  # type: ignore[operator]
    assert found.figures[0].area < found.figures[1].area
    assert found.figures[0].pulses == found.figures[1].pulses


def test_files_and_page(tmp_path: Path) -> None:
    found = explored(tmp_path)
    page = found.write()
    with (tmp_path / "designs.csv").open() as file:
        records = list(csv.DictReader(file))
    assert [float(one["energy_J_per_image_and_chip"]) for one in records] == [one.energy for one in found.figures]
    assert [one["on_front"] for one in records] == [str(one) for one in found.on_front]
    text = page.read_text()
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert [one["front"] for one in data["designs"]] == list(found.on_front)
    assert_close(
        [one["values"]["energy"] for one in data["designs"]], [1e9 * f.energy for f in found.figures], rtol=1e-12
    )  # type: ignore[operator]
    assert "adc_bits" in str(found)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which runs the page")
def test_bars_of_the_page_are_whole_intervals_within_its_frame(tmp_path: Path) -> None:
    """Chips that differ much: their intervals are wider than the means are apart. Ends are checked against a line."""
    page = explored(tmp_path, SPACE | {"adc_bits": [3, 4], "tolerance": 0.4, "levels": 3}).write()
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.resolve().as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    data = json.loads(dom.split('id="data">')[1].split("</script>")[0])
    lines = re.findall(r'<line x1="[^"]*" x2="[^"]*" y1="([^"]*)" y2="([^"]*)"[^>]*class="bar-of-chips"', dom)
    circles = re.findall(r'<circle cx="[^"]*" cy="([^"]*)"', dom)
    assert len(lines) == len(circles) == len(data["designs"])
    height = float(dom.split('id="scatter" viewBox="0 0 ')[1].split('"')[0].split()[1])
    places = [(float(low), float(high)) for low, high in lines]
    for (low, high), middle, design in zip(places, map(float, circles), data["designs"], strict=True):
        assert 16 < high <= middle <= low < height - 66
        whole = (design["high"] - design["low"]) / (design["values"]["accuracy"] - design["low"])
        assert_close((low - high) / (low - middle), whole, rtol=1e-6)
    assert "validation accuracy (%)" in dom
    assert "µs an image" in dom


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"tolerance": "100 uS"}, ("`space.tolerance`", "window")),
        ({"cols": 4, "copies": 8}, ("`space`", "cols = 4", "copies = 8")),  # a weight does not fit on an array
    ],
)
def test_designs_that_cannot_be_built_are_refused_before_anything_runs(
    tmp_path: Path, space: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(OutOfRangeError) as caught:
        explored(tmp_path, SPACE | space)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert not (tmp_path / NAME).exists()


def test_learning_on_the_chip_and_noise_aware_training_are_kinds_of_training(tmp_path: Path) -> None:
    space = SPACE | {"training": ["plain", "noise-aware", "in situ"], "learning_epochs": 1, "adc_bits": 6}
    found = explored(tmp_path, space)
    by_training = {point["training"]: one for point, one in zip(found.points, found.figures, strict=True)}
    assert by_training["in situ"].software is None
    assert by_training["in situ"].pulses != by_training["plain"].pulses
    assert by_training["noise-aware"].software != by_training["plain"].software


def test_age_lets_the_cells_relax(tmp_path: Path) -> None:
    found = explored(tmp_path, SPACE | {"adc_bits": 8, "age": ["0 s", "10 years"]})
    reads = [row.result for row in rows(tmp_path) if row.params["stage"] == "read"]
    assert [row.params["stage"] for row in rows(tmp_path)].count("write") == 1
    assert reads[0]["energy"] != reads[1]["energy"]
    assert found.figures[0].pulses == found.figures[1].pulses


def test_converters_that_saturate_and_writes_that_fail_are_said(tmp_path: Path) -> None:
    found = explored(tmp_path, SPACE | {"adc_bits": 8, "max_pulses": [1, 500]})
    assert [one.failed > 0.05 for one in found.figures] == [True, False]
    (remark,) = found.remarks()
    assert remark.startswith("1 of 2 designs")
    assert "did not converge" in remark
    assert "did not converge" in found.write().read_text()


def test_designs_without_a_converter_are_said_to_cost_nothing_for_it(tmp_path: Path) -> None:
    (remark,) = explored(tmp_path, SPACE | {"adc_bits": [8, "none"]}).remarks()
    assert remark.startswith("1 of 2 designs: without a converter")


def test_fresh_cells_are_an_option(tmp_path: Path) -> None:
    found = explored(tmp_path, SPACE | {"adc_bits": 8, "wire": "5 Ohm", "unused": ["reset", "fresh"]})
    reset, fresh = found.figures
    assert reset.pulses > fresh.pulses
    assert reset.energy != fresh.energy


@pytest.mark.slow
def test_workers_give_the_same_rows(tmp_path: Path) -> None:
    space = SPACE | {"wire": ["0 Ohm", "2 Ohm"]}
    alone = explored(tmp_path / "a", space)
    spread = study(space, settings=SETTINGS, out=tmp_path / "b", workers=2)
    assert spread.records() == alone.records()
    lines = [sorted((tmp_path / name / NAME / "rows.jsonl").read_text().splitlines()) for name in "ab"]
    assert lines[0] == lines[1]


def test_a_search_needs_optuna(tmp_path: Path) -> None:
    try:
        import optuna  # noqa: F401
    except ImportError:
        with pytest.raises(ExperimentError, match="Optuna"):
            explored(tmp_path, method="search", points=4)
        return
    found = explored(tmp_path, SPACE | {"adc_bits": [4, 5, 6, 7, 8]}, method="search", points=6)
    assert 1 <= len(found.points) <= 5
    again = explored(tmp_path, SPACE | {"adc_bits": [4, 5, 6, 7, 8]}, method="search", points=6)
    assert again.records() == found.records()


def test_a_mapping_and_settings_make_a_study() -> None:
    with pytest.raises(OutOfRangeError, match="`settings`"):
        study(declare(SPACE), settings=SETTINGS)
