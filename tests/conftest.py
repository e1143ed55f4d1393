"""What holds for every test: no window, one thread, repeatable examples, and data only where there is some."""

import os
from pathlib import Path

import hypothesis
import matplotlib
import pytest
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)

# Its name before the package was renamed; in tests a warning about it would be an error.
if former := os.environ.pop("MEMWEAVE_DATA", None):
    os.environ.setdefault("OHMWEAVE_DATA", former)

# A failure in CI must be one that can be repeated at home, and a slow machine is no failure.
hypothesis.settings.register_profile("ohmweave", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("ohmweave")


def _missing_data(mark: pytest.Mark) -> str | None:
    """Why a test marked `data` cannot run, or None if it can."""
    root = os.environ.get("OHMWEAVE_DATA")
    if not root:
        return "OHMWEAVE_DATA is not set"
    missing = [name for name in mark.args if not (Path(root) / name).is_dir()]
    return f"OHMWEAVE_DATA has no folder {', '.join(missing)}" if missing else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("data"):
            if reason := _missing_data(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of data sets; for tests marked `data`."""
    return Path(os.environ["OHMWEAVE_DATA"])
