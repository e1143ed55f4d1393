"""What holds for every test: no window, one thread, repeatable examples, and data only where there is some."""

import os
import random
from pathlib import Path

import hypothesis
import matplotlib
import numpy as np
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


# Other seeds find the tests that pass with one draw of the weights alone.
SEED = int(os.environ.get("OHMWEAVE_TEST_SEED", "0"))


def _seed() -> None:
    """Set the global generators, so that a test draws the same whether it runs alone, in order or beside others."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - the global state is what others draw from
    torch.manual_seed(SEED)


@pytest.hookimpl(tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> None:
    """Modules may draw while they are imported."""
    _seed()


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
    """Fixtures of a module or session are made in the first test that asks for them."""
    _seed()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    _seed()


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
