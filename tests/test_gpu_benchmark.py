"""`benchmarks/gpu.py` without a GPU: it says so, and its rows run on a CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


def lines(*arguments: str) -> list[str]:
    """What the script prints, where torch sees no card."""
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=True, timeout=600, env=hidden
    )
    return done.stdout.splitlines()


def test_without_a_card_nothing_is_measured() -> None:
    (line,) = lines()
    assert "no CUDA device" in line


@pytest.mark.slow
def test_all_kinds_of_rows_run_on_a_cpu() -> None:
    first, *rows = (json.loads(line) for line in lines("--device", "cpu", "--tiny", "--json"))
    assert first["card"] == "CPU"
    assert len(rows) == 9
    for row in rows:
        assert all(value > 0 for value in row.values() if not isinstance(value, str)), row
    assert {"chips over plain", "cells a second"} <= {name for row in rows for name in row}
