"""Rules and cells of a comparison: those of ohmweave, of installed packages, and of users' files."""

import hashlib
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch

from ohmweave.base import (
    DataError,
    OutOfRangeError,
    check_callable,
    check_fields,
    check_kind,
    check_positive,
    check_text,
    generator,
    integer,
    load_plugins,
    positive,
)
from ohmweave.cells import Cell, Spread, SwitchingLaw, linear_steps, load, published, soft_bounds
from ohmweave.evaluation.bench import Bench
from ohmweave.evaluation.in_situ_rules import RULES
from ohmweave.programming import WriteVerify

Params = list[torch.nn.Parameter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a rule is given when it is made. It knows the size of a step of the cells, and nothing else of their law.

    Attributes:
        value: of the setting that is searched for.
        g_step: S, mean size of the step of one pulse in the middle of the window.
        write: a write with verify that suits the cells, for rules that write targets.
        seed: of random numbers; `generator()` is made of it.
    """

    value: Annotated[float, positive("")]
    g_step: Annotated[float, positive("S")]
    write: WriteVerify
    seed: Annotated[int, integer(at_least=0)]

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    def generator(self) -> torch.Generator:
        """A new generator on the CPU for the random numbers of a rule; equal seeds give equal numbers."""
        return generator(self.seed, "comparison", "rule")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A learning rule that can be compared with others.

    Args:
        make: from the weights on the chip and a `Start` to the rule, a `torch.optim.Optimizer`.
        axis: name of the one setting that is searched for, such as "lr".
        start: two values of it or more that are tried first, > 0, rising in equal ratios; the search goes on beyond an
            end that is best.
        matrices: copies of the weights that the rule needs on the chip, from 1 to 8.
        source: where the rule is from.
        version: what tells rows of an older version of the rule apart; files get a digest of their content.

    Raises:
        OutOfRangeError: there are fewer than two values, or they are not above 0 and rising in equal ratios.
        TypeError: `make` is no function, or a text is none.
    """

    make: Callable[[Params, Start], torch.optim.Optimizer]
    axis: str
    start: tuple[float, ...]
    matrices: Annotated[int, integer(at_least=1, at_most=8)] = 1
    source: str = "ours"
    version: str = ""

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        check_callable("make", self.make)
        for name, text in (("axis", self.axis), ("source", self.source), ("version", self.version)):
            check_text(name, text)
        check_kind("start", self.start, Sequence)
        object.__setattr__(self, "start", tuple(check_positive("start", one) for one in self.start))
        ratios = [b / a for a, b in zip(self.start, self.start[1:], strict=False)]
        if not ratios or min(ratios) <= 1 or max(ratios) > 1.2 * min(ratios):
            raise OutOfRangeError(
                f"`start` must be two values or more that rise in equal ratios, within 20 %, but is {self.start}"
            )


def _shipped(name: str) -> Contender:
    rule = RULES[name]

    def make(params: Params, start: Start) -> torch.optim.Optimizer:
        assert isinstance(start, ShippedStart)
        return rule.make(params, start.bench, {rule.axis: start.value})

    return Contender(make=make, axis=rule.axis, start=rule.start, matrices=rule.matrices, source=rule.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedStart(Start):
    """A start with the bench that ohmweave's own rules take their writes from."""

    bench: Bench


def contenders(imports: Sequence[Path] = ()) -> dict[str, Contender]:
    """All rules by name: ohmweave's, those of the entry points `ohmweave.rules`, and of files, which are run.

    A file defines `RULES`, a dictionary of names and `Contender`s.

    Raises:
        DataError: an entry point or a file cannot be imported, or holds something else.
    """
    found = {name: _shipped(name) for name in RULES}
    for name, one in load_plugins("rules").items():
        found[name] = _checked(one, f"the entry point {name!r} of the group ohmweave.rules")
    for path in imports:
        names, digest = _names_of(path)
        for name, one in _mapping(names, "RULES", path).items():
            found[name] = replace(_checked(one, f"RULES[{name!r}] of {path}"), version=digest)
    return found


def compared_cells(imports: Sequence[Path] = ()) -> dict[str, Cell]:
    """All cells by name: four simulated ones, the published ones that pulses alone set, and those of files.

    `linear`: 1,000 equal steps from 2 to 20 uS. `varied`: the same, with a noise of each pulse as large as a step, and
    30 % spread between cells. `soft-bounds`: 1,000 steps that shrink towards the bounds, with that noise. `coarse`: 50
    equal steps, with a noise of half a step. All four are ours. A file defines `CELLS`, cells by name.

    Raises:
        DataError: an entry point or a file cannot be imported, or holds something else.
    """
    window = {"g_min": 2e-6, "g_max": 20e-6}
    found: dict[str, Cell] = {
        "linear": Cell(linear_steps(**window, levels=1_000)),
        "varied": Cell(linear_steps(**window, levels=1_000, c2c=1.0), spread=Spread(d2d=0.3)),
        "soft-bounds": Cell(soft_bounds(**window, levels=1_000, asymmetry=0.9, c2c=1.0)),
        "coarse": Cell(linear_steps(**window, levels=50, c2c=0.5)),
    }
    found |= {name: make() for name, make in published().items() if name != "wang2019"}
    for path in imports:
        names, _ = _names_of(path)
        for name, one in _mapping(names, "CELLS", path).items():
            if not isinstance(one, Cell | SwitchingLaw):
                raise DataError(f"CELLS[{name!r}] of {path} must be a cell, but is {one!r}")
            found[name] = Cell.of(one)
    return found


def chosen(kind: str, wanted: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    """Names of `known` that are meant: `mixed-precision` is "mixed precision".

    Raises:
        OutOfRangeError: a name is unknown; the message has all that are known, as they can be typed.
    """
    typed = {slug(name): name for name in known}
    for one in wanted:
        if slug(one) not in typed:
            raise OutOfRangeError(f"`{kind}` must be of {', '.join(typed)}, but has {one!r}")
    return list(dict.fromkeys(typed[slug(one)] for one in wanted))


def cell_named(name: str, known: Mapping[str, Cell]) -> tuple[str, Cell]:
    """A cell by its name, or of a file that ends with .json, and the name for tables."""
    if name.endswith(".json"):
        return Path(name).stem, load(name)
    (one,) = chosen("--cells", [name], known)
    return one, known[one]


def digest_of_cell(cell: Cell) -> str:
    """12 hex digits of all numbers of a cell."""
    return hashlib.sha256(repr(asdict(cell)).encode()).hexdigest()[:12]


def slug(name: str) -> str:
    """A name as it is typed: small letters, digits and points, joined by hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def _checked(one: Any, where: str) -> Contender:
    if not isinstance(one, Contender):
        raise DataError(f"{where} must be an ohmweave.evaluation.Contender, but is {one!r}")
    return one


def _mapping(names: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    if not {"RULES", "CELLS"} & names.keys():
        raise DataError(f"{path} (--import) must define RULES or CELLS, dictionaries by name, but has neither")
    found = names.get(name, {})
    if not isinstance(found, Mapping):
        raise DataError(f"{name} of {path} must be a dictionary by name, but is {found!r}")
    return found


def _names_of(path: Path) -> tuple[Mapping[str, Any], str]:
    """The names of a file, which is run, and 12 hex digits of its content."""
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.suffix == ".py" and path.is_file() else None
    if spec is None or spec.loader is None:
        raise DataError(f"`--import` must name an existing .py file, but is {str(path)!r}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise DataError(f"{path} must be importable, but gives {type(error).__name__}: {error}") from error
    return vars(module), hashlib.sha256(path.read_bytes()).hexdigest()[:12]
