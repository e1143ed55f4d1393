"""Every example script runs, and says what it promises to say."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_network_of_ones_own_learns_in_situ(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "in_situ_training.py"), run_name="__main__")
    said = re.search(r"test accuracy of ten chips: ([\d.]+) %", capsys.readouterr().out)
    assert said, "the example prints no accuracy"
    assert float(said[1]) > 75


def test_pulses_are_fitted_and_hold_a_layer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "fit_pulses.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "chosen: exponential" in said
    error = re.search(r"error of ten chips: ([\d.]+) %", said)
    assert error, "the example prints no error"
    assert float(error[1]) < 50
    assert {path.name for path in tmp_path.iterdir()} == {"pulses.csv", "pulses.json", "pulses.png"}


def test_a_transformer_is_deployed_with_and_without_noise_aware_training(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["character_transformer.py", "--smoke"])
    runpy.run_path(str(EXAMPLES / "character_transformer.py"), run_name="__main__")
    number = r"(\d\.\d+)"
    said = re.findall(
        rf"(.+) noise-aware training: test loss {number} in software, on 2 chips {number}, {number}",
        capsys.readouterr().out,
    )
    assert [name for name, *_ in said] == ["without", "with"]
    # A network that has learnt nothing has 4.6 nats; the most frequent letters alone are worth one and more.
    assert all(1 < float(loss) < 4 for _, *losses in said for loss in losses)


def test_rules_learn_on_the_chip(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "learning_rules.py"), run_name="__main__")
    said = re.findall(r"(.+): test accuracy ([\d.]+) %, ([\d,]+) pulses", capsys.readouterr().out)
    assert [name for name, _, _ in said] == ["sign pulses", "your own"]
    assert all(float(accuracy) > 50 for _, accuracy, _ in said)
