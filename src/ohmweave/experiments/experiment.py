"""An experiment: its claims, the tasks that test them, and how their rows are drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ohmweave.base.checks import check_callable, check_integer, check_text, shown
from ohmweave.base.errors import ExperimentError
from ohmweave.base.fields import check_fields
from ohmweave.experiments.claims import Claim
from ohmweave.experiments.stored_row import LONGEST_NAME, NAME
from ohmweave.experiments.tasks import Context, Options, Row, Task
from ohmweave.experiments.values import JSON

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """A choice that the paper leaves open. `source` is "ours" or a reference."""

    text: str
    source: str

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureSpec:
    """A figure from rows of one scope. `draw` imports matplotlib and returns None if there is nothing to draw."""

    name: str
    title: str
    caption: str
    draw: Callable[[Sequence[Row]], "Figure | None"]

    def __post_init__(self) -> None:
        _check_texts(self.name, self.title, self.caption)
        check_callable("draw", self.draw)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A table from rows of one scope.

    Attributes:
        name: of the table, within its experiment.
        title: one line.
        caption: what it shows.
        rows: returns a dictionary for each row of the table, by column heads.
        above: True: the table comes before the figures of the page.
    """

    name: str
    title: str
    caption: str
    rows: Callable[[Sequence[Row]], list[dict[str, Any]]]
    above: bool = False

    def __post_init__(self) -> None:
        _check_texts(self.name, self.title, self.caption)
        check_callable("rows", self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One experiment as data.

    Attributes:
        name: "paper/what", lower case.
        title: one line.
        paper: citation.
        summary: its purpose and method, in a few sentences.
        claims: the paper's numbers.
        assumptions: choices that the paper leaves open.
        tasks: function of the user's options that returns tasks; equal options give equal tasks.
        run: does one task and returns its result. All randomness comes from the task's seed.
        figures: figures of the report.
        tables: tables of the report.
        data: the data set of the paper; `ohmweave run --all --scale full` takes it where none is named.
        seeds: repetitions that this run makes where none are named: as many as the intervals of the claims need.
        devices: kinds of torch device that `run` supports. "cuda" needs a `run` that makes every chip, network and data
            set on `options.device`.

    Raises:
        TypeError: an argument is of another type.
        ExperimentError: the name is not of the form above, two claims, figures or tables share a name, or `devices`
            is no tuple of words.
        OutOfRangeError: `seeds` is no integer from 1 on.
    """

    name: str
    title: str
    paper: str
    summary: str
    claims: tuple[Claim, ...]
    assumptions: tuple[Assumption, ...]
    tasks: Callable[[Options], Sequence[Task]]
    run: Callable[[Task, Context], Mapping[str, JSON]]
    figures: tuple[FigureSpec, ...] = ()
    tables: tuple[TableSpec, ...] = ()
    data: str = "mnist"
    seeds: int = 1
    devices: tuple[str, ...] = ("cpu",)

    def __post_init__(self) -> None:
        self._check_kinds()
        if len(self.name) > LONGEST_NAME or not NAME.fullmatch(self.name):
            raise ExperimentError(f"`name` must be lower-case words joined by - and /, but is {self.name!r}")
        if not isinstance(self.devices, tuple) or not self.devices or not all(isinstance(d, str) for d in self.devices):
            raise ExperimentError(
                f"`devices` of {self.name} must be a tuple of kinds of device, as in ('cpu', 'cuda'), "
                f"but is {self.devices!r}"
            )
        check_integer("seeds", self.seeds, at_least=1)
        _check_unique(f"claims of {self.name}", [claim.key for claim in self.claims])
        _check_unique(f"figures of {self.name}", [figure.name for figure in self.figures])
        _check_unique(f"tables of {self.name}", [table.name for table in self.tables])

    def _check_kinds(self) -> None:
        texts = {"name": self.name, "title": self.title, "paper": self.paper, "summary": self.summary}
        for name, text in (texts | {"data": self.data}).items():
            check_text(name, text)
        check_callable("tasks", self.tasks)
        check_callable("run", self.run)
        _check_each("claims", self.claims, Claim)
        _check_each("assumptions", self.assumptions, Assumption)
        _check_each("figures", self.figures, FigureSpec)
        _check_each("tables", self.tables, TableSpec)

    def __repr__(self) -> str:
        return f"Experiment({self.name!r}: {self.title}; {len(self.claims)} claims, {', '.join(self.devices)})"

    def check_device(self, device: str) -> None:
        """Raise `ExperimentError` if this experiment does not support `device` ("cpu", "cuda:1")."""
        if device.partition(":")[0] not in self.devices:
            raise ExperimentError(
                f"`device` (`--device`) must be {' or '.join(self.devices)} for {self.name}, but is {device!r}"
            )


def _check_texts(name: str, title: str, caption: str) -> None:
    for what, text in (("name", name), ("title", title), ("caption", caption)):
        check_text(what, text)


def _check_each(name: str, parts: Any, kind: type) -> None:
    if not isinstance(parts, tuple) or not all(isinstance(part, kind) for part in parts):
        raise TypeError(f"`{name}` must be a tuple of {kind.__name__}, but is {shown(parts)}")


def _check_unique(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ExperimentError(f"{what} must have different names, but {name!r} is there {names.count(name)} times")
