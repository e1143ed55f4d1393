"""A study as it is declared: read from a TOML file or from mappings, and checked before anything is computed."""

import hashlib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from ohmweave.base import DataError, OutOfRangeError, check_fields, integer, positive, shown, zero_to_one
from ohmweave.base.function_files import digest_of_file
from ohmweave.base.text import safe_name
from ohmweave.explore.keys import Key, keys
from ohmweave.explore.ranges import Range, range_of
from ohmweave.explore.value_kinds import LONGEST, Kind, Parse, Value, integers, nearest, numbers, refused, words

METHODS = ("grid", "sobol", "search")
OBJECTIVES = ("accuracy", "worst_chip", "energy", "latency", "area", "pulses", "programming_energy", "endurance_used")
"""Figures of a design that may decide which designs are on the front. The first two are to be high, the others low."""
HIGH = ("accuracy", "worst_chip")
MOST_CHOICES = 1_000
LONGEST_FILE = 1_000_000

Axis = tuple[Value, ...] | Range
Images = Annotated[int, integer(at_least=20, at_most=1_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A declared space of designs, and how it is explored.

    `read_study` and `declare` make it.

    Attributes:
        name: of the study, and of its results folder.
        space: by key, its values, one or more, or a range; every key is there.
        typed: the keys that were declared, in their order.
        files: paths of the cells and networks that are files, by the names that stand for them in `space`.
        method: "grid", all combinations; "sobol", a sample; "search", a multi-objective search.
        points: designs of a sample or a search; None for a grid.
        chips: of each design.
        seed: of all random numbers.
        n_train, n_validation, n_test: images that are used of the data set; None: all.
        endurance: pulses that a cell endures; None: not known.
        within: share of right images by which a cheaper design may be worse than the best one.
        objectives: figures that decide which designs are on the front.

    Raises:
        OutOfRangeError: a setting is out of range, or a key of the space is missing.
    """

    name: str
    space: Mapping[str, Axis]
    typed: tuple[str, ...]
    files: Mapping[str, Path] = field(default_factory=dict)
    method: Literal["grid", "sobol", "search"] = "grid"
    points: Annotated[int, integer(at_least=2, at_most=100_000)] | None = None
    chips: Annotated[int, integer(at_least=2, at_most=1_000)] = 5
    seed: Annotated[int, integer(at_least=0)] = 0
    n_train: Images | None = None
    n_validation: Images | None = None
    n_test: Images | None = None
    endurance: Annotated[float, positive(at_least=1.0, at_most=1e18)] | None = None
    within: Annotated[float, zero_to_one()] = 0.01
    objectives: tuple[str, ...] = ("accuracy", "energy", "latency", "area")

    def __post_init__(self) -> None:
        """Check the fields; `declare` checks the values of the space, one by one."""
        check_fields(self)
        if missing := sorted(set(keys()) ^ set(self.space)):
            raise OutOfRangeError(
                f"`space` must have every key of a study, as `declare` makes it, but differs in {shown(missing)}"
            )
        _objectives(self.objectives)
        if (self.points is None) != (self.method == "grid"):
            raise OutOfRangeError("`points` must be given for a sample or a search, and for a grid it must be None")

    @property
    def axes(self) -> tuple[str, ...]:
        """The keys that have more than one value, in the order of the file."""
        return tuple(name for name in self.typed if isinstance(self.space[name], Range) or len(self.space[name]) > 1)  # type: ignore[arg-type]


_IMAGES = integers(at_least=20, at_most=1_000_000)
_STUDY: Mapping[str, Kind] = {
    "method": words(*METHODS),
    "points": integers(at_least=2, at_most=100_000),
    "chips": integers(at_least=2, at_most=1_000),
    "seed": integers(at_least=0, at_most=2**31 - 1),
    "n_train": _IMAGES,
    "n_validation": _IMAGES,
    "n_test": _IMAGES,
    "endurance": numbers(at_least=1.0, at_most=1e18),
    "within": numbers(at_least=0.0, at_most=1.0),
}
_TABLES = ("study", "space")


def read_study(path: str | os.PathLike[str]) -> Study:
    """The study of a TOML file. Paths in it are relative to its folder.

    Raises:
        DataError: there is no such file, or it is no TOML.
        OutOfRangeError: a table, key or value is not one of a study; the message names it, what it must be and, of a
            misspelt one, the nearest.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no study file {path}")
    if path.stat().st_size > LONGEST_FILE:
        raise DataError(f"{path} must be a study file of at most {LONGEST_FILE:,} bytes")
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path} must be a TOML file, but is not: {error}") from error
    for name in content:
        if name not in _TABLES:
            raise OutOfRangeError(f"{path}: a table must be [study] or [space], but is {shown(name)}{_near(name)}")
    try:
        return declare(
            content.get("space", {}),
            name=safe_name(path.stem),
            folder=path.parent,
            settings=content.get("study", {}),
        )
    except OutOfRangeError as error:
        raise OutOfRangeError(f"{path}: {error}") from error


def _near(name: str) -> str:
    return nearest(name, _TABLES)


def declare(
    space: Mapping[str, Any],
    *,
    settings: Mapping[str, Any] | None = None,
    name: str = "study",
    folder: Path | None = None,
) -> Study:
    """The study of a space and settings as they are in a file, checked.

    Args:
        space: the table `[space]`.
        settings: the table `[study]`.
        name: of the study.
        folder: that paths are relative to; None: the working directory.

    Raises:
        OutOfRangeError: as `read_study`.
    """
    settings = {} if settings is None else settings
    for table, content in (("study", settings), ("space", space)):
        if not isinstance(content, Mapping):
            raise refused(table, f"a table, [{table}]", content)
    return Study(name=name, **_settings(settings), **_space(space, folder or Path()))


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Study` in the table `[study]`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if key == "objectives":
            found[key] = _objectives(value)
            continue
        if key not in _STUDY:
            known = (*_STUDY, "objectives")
            raise OutOfRangeError(
                f"a key of [study] must be one of {', '.join(known)}, but is {shown(key)}{nearest(str(key), known)}"
            )
        found[key] = _STUDY[key].parse(f"study.{key}", value)
    method, points = found.get("method", "grid"), found.get("points")
    if method == "grid" and points is not None:
        raise OutOfRangeError("`study.points` must be left out for a grid, whose points are all combinations")
    if method != "grid" and points is None:
        raise OutOfRangeError(f"`study.points` must be the number of points of a {method}, but is missing")
    return found


def _objectives(value: Any) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= len(OBJECTIVES):
        raise refused("study.objectives", f"a list of some of {', '.join(OBJECTIVES)}", value)
    one_of = words(*OBJECTIVES)
    found = tuple(str(one_of.parse(f"study.objectives[{i}]", one)) for i, one in enumerate(value))
    if len(set(found)) < len(found):
        raise refused("study.objectives", "different words", list(value))
    return found


def _space(space: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The arguments of `Study` in the table `[space]`."""
    known = keys()
    for name in space:
        if name not in known:
            raise OutOfRangeError(
                f"a key of [space] must be one of {', '.join(known)}, but is {shown(name)}"
                f"{nearest(str(name), tuple(known))}"
            )
    files: dict[str, Path] = {}
    axes = {
        name: _axis(name, key, space[name], folder, files) if name in space else (key.default,)
        for name, key in known.items()
    }
    return {"space": axes, "typed": tuple(space), "files": files}


def _axis(name: str, key: Key, value: Any, folder: Path, files: dict[str, Path]) -> Axis:
    """The values of a key: one, a list of several, or a range."""
    place = f"space.{name}"
    parse = _of_files(key.kind.parse, folder, files) if name in ("cell", "network") else key.kind.parse
    if isinstance(value, Mapping):
        return range_of(place, key.kind, value)
    if not isinstance(value, list | tuple):
        return (parse(place, value),)
    if not 1 <= len(value) <= MOST_CHOICES:
        raise refused(place, f"a value, or a list of 1 to {MOST_CHOICES:,} of them", value)
    found = tuple(parse(f"{place}[{i}]", one) for i, one in enumerate(value))
    if len(set(found)) < len(found):
        raise refused(place, "a list of different values", value)
    return found


def _of_files(parse: Parse, folder: Path, files: dict[str, Path]) -> Parse:
    """`parse` for names and for paths relative to `folder`, which get names by their content, kept in `files`.

    A file that changes is another value, and so is a network whose local modules change; a file that moves is the same.
    """

    def parse_path(name: str, value: Any) -> Value:
        inside = isinstance(value, str) and "\0" not in value and len(value) < LONGEST and (folder / value).is_file()
        found = parse(name, str(folder / value) if inside else value)
        path = Path(str(found))
        if not path.is_absolute():
            return found
        digest = digest_of_file(path) if path.suffix == ".py" else hashlib.sha256(path.read_bytes()).hexdigest()
        label = f"{safe_name(path.stem)}-{digest[:8]}"
        files[label] = path
        return label

    return parse_path
