"""The fuzzers, bounded to some seconds each. `make fuzz N=100000` runs long."""

import importlib
import warnings
from pathlib import Path
from types import ModuleType

import torch

import ohmweave
from tests.fuzz.cases import CASES
from tests.fuzz.cases.reasons import NOT_CALLED
from tests.fuzz.commands import run_commands
from tests.fuzz.crafted import run_checkpoints, run_texts
from tests.fuzz.judge import Kind
from tests.fuzz.runner import Call, outcome_of, run
from tests.fuzz.texts import cell_files, measurements, use_cell, use_measurement

N = 1500
MOST_SECONDS = 600.0


def test_every_public_name_has_a_case_or_a_reason() -> None:
    cases = {".".join(name.split(":")[0].split(".")[:2]) for name in CASES}
    public = {f"{package}.{name}" for package in packages() for name in names_of(package)}
    assert public - cases - set(NOT_CALLED) == set()
    assert cases & set(NOT_CALLED) == set()
    assert (cases | set(NOT_CALLED)) - public == set()
    shortcuts = set(ohmweave.__all__) - set(packages()) - {"__version__"}
    assert shortcuts <= {name.split(".")[1] for name in public}


def packages() -> list[str]:
    """The public packages."""
    return [name for name in ohmweave.__all__ if isinstance(getattr(ohmweave, name), ModuleType)]


def names_of(package: str) -> list[str]:
    """The public names of a package."""
    return list(importlib.import_module(f"ohmweave.{package}").__all__)


def test_the_valid_calls_are_accepted() -> None:
    """Else the fuzzer would test nothing but refusals."""
    with torch.random.fork_rng():
        failing = {name: found for name in sorted(CASES) if (found := _valid(name)) != Kind.OK}
    assert failing == {}


def _valid(name: str) -> Kind:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = CASES[name]()
        return outcome_of(call, dict(call.arguments), {}).kind


def test_the_public_face_refuses_by_name_or_is_sound() -> None:
    with torch.random.fork_rng():
        # A number, and no time: else a faster machine tries what no other has tried.
        tally = run(CASES, n=N, seed=7, seconds=MOST_SECONDS)
    assert sum(tally.counts.values()) > 100
    assert tally.bad == 0, tally.report()


def test_the_judge_sees_what_it_is_for() -> None:
    """A call of each kind of failure is not taken for a good one."""
    state = torch.zeros(3)

    def half(x: float) -> None:
        state.add_(1)
        raise ValueError("`x` must be better")

    def foreign(x: float) -> float:
        return [1.0][int(x)]

    for function, kind in ((half, Kind.HALF), (foreign, Kind.FOREIGN), (lambda x: float("nan") * x, Kind.NONSENSE)):
        call = Call(function=function, arguments={"x": 5.0}, watched=(state,))
        assert outcome_of(call, {"x": 5.0}, {}).kind == kind


def test_a_nan_is_accepted_only_where_the_referee_has_one() -> None:
    x = torch.tensor([1.0, 2.0])

    def ours(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 1, torch.nan, x)

    for like, kind in ((ours, Kind.OK), (torch.neg, Kind.NONSENSE), (lambda x: ours(x).flip(0), Kind.NONSENSE)):
        call = Call(function=ours, arguments={"x": x}, like=like)
        assert outcome_of(call, {"x": x}, {}).kind == kind


def test_crafted_checkpoints_are_refused_or_what_was_saved(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        tally = run_checkpoints(tmp_path, n=100, seed=3)
    assert tally.bad == 0, tally.report()


def test_commands_end_with_a_status(tmp_path: Path) -> None:
    tally = run_commands(tmp_path, n=40, seed=3)
    assert tally.bad == 0, tally.report()
    assert tally.counts[Kind.OK] > 0


def test_mutated_cell_files_and_measurements(tmp_path: Path) -> None:
    cells = run_texts("cell file", cell_files(), tmp_path / "cell.json", use_cell, n=300, seed=3)
    assert cells.bad == 0, cells.report()
    trains = run_texts("measurements", measurements(), tmp_path / "m.csv", use_measurement, n=200, seed=3)
    assert trains.bad == 0, trains.report()
    assert trains.counts[Kind.OK] > 0
    assert cells.counts[Kind.OK] > 0
