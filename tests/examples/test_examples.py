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


def test_rules_learn_on_the_chip(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "learning_rules.py"), run_name="__main__")
    said = re.findall(r"(.+): test accuracy ([\d.]+) %, ([\d,]+) pulses", capsys.readouterr().out)
    assert [name for name, _, _ in said] == ["sign pulses", "your own"]
    assert all(float(accuracy) > 50 for _, accuracy, _ in said)
