"""The cell under evaluation: read from its file, and drawn from the uncertainty of its fit."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ohmweave.base import DataError, OutOfRangeError, generator, shown
from ohmweave.base.files import check_path
from ohmweave.cells import AffineStep, Cell, LinearStep, PulseTable, StretchedStep, StuckCells, TwoState, load
from ohmweave.evaluation.draws import uncertainty_of
from ohmweave.evaluation.verdict import Verdict, heading_of, verdict_of

_KINDS = (AffineStep, PulseTable, StretchedStep, LinearStep)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A cell and what its file says about its fit.

    Attributes:
        cell: the cell.
        name: of the file, without its folder and ending.
        digest: 12 hex digits of the content of the file.
        about: the note of the file, with the intervals of the fit if `ohmweave fit` wrote it.
    """

    cell: Cell
    name: str
    digest: str
    about: Mapping[str, Any]

    @property
    def has_intervals(self) -> bool:
        """True if the file has intervals of parameters, from which cells can be drawn."""
        return uncertainty_of(self.about, self.name).known

    @property
    def n_measured(self) -> int | None:
        """Working cells that the law was fitted to; None if the file does not say."""
        return uncertainty_of(self.about, self.name).n_measured

    @property
    def verdict(self) -> Verdict | None:
        """How well the law describes the measured trains; None if the file does not say."""
        return verdict_of(self.about, self.name)

    def heading(self) -> tuple[str, ...]:
        """What the file says about the cell, one sentence each: its law and where it holds, verdict and notes."""
        return heading_of(self.cell, self.name, self.about)

    def facts(self) -> dict[str, Any]:
        """For the row: what the file says and does not say, and what reasons need to know of the cell."""
        faults = self.cell.faults
        return {
            "name": self.name,
            "said": list(self.heading()),
            "unknown": list(self.unknown()),
            "describes": None if self.verdict is None else self.verdict.describes,
            "stuck": float(faults.fraction) if isinstance(faults, StuckCells) else 0.0,
        }

    def drawn(self, draw: int, *, seed: int) -> Cell:
        """The cell of the file (`draw` 0), or a cell drawn from the uncertainty of its fit (from 1 on).

        The parameters of the law are drawn together, with the correlations of the file; d2d, the sizes of the read
        noise and the share of stuck cells apart (`ohmweave.evaluation.draws`).
        """
        if draw == 0:
            return self.cell
        return uncertainty_of(self.about, self.name).drawn(self.cell, generator(seed, "evaluation", "draw", draw))

    def unknown(self) -> tuple[str, ...]:
        """What the file does not tell about the cell, one sentence each."""
        notes, known = [], uncertainty_of(self.about, self.name)
        if not known.known:
            notes.append("the file has no intervals of a fit: what the fit does not know is not in the results")
        elif not known.correlated:
            notes.append(
                "the file has no correlations of the parameters: they are drawn independently; a new `ohmweave fit` "
                "writes them"
            )
        if known.n_measured == 1:
            notes.append("one cell was measured: the spread between cells and the share of stuck cells are not known")
        if self.cell.read_noise is None:
            notes.append("the file has no read noise: reads are exact")
        if not self.cell.processes:
            notes.append("the file has no retention: cells keep what was written")
        elif known.known:
            notes.append("retention and noise in time are taken as fitted: their own intervals are not drawn")
        if not isinstance(self.about.get("conditions"), dict) or not self.about["conditions"]:
            notes.append("the file has no amplitudes and widths of pulses: their energy is not known")
        return tuple(notes)


def read_subject(path: str | Path) -> Subject:
    """The cell of a file, with its `about`.

    Raises:
        DataError: as `ohmweave.cells.load`, or what the file says about the fit is damaged.
        OutOfRangeError: the cell does not switch by identical pulses.
    """
    path = check_path("path", path)
    cell = load(path)
    text = path.read_bytes()
    content = json.loads(text)
    about = content.get("about", {})
    if not isinstance(about, dict):
        raise DataError(f"{path}: `about` must be an object, but is {about!r}")
    _check_law(cell, f"{path} has")
    uncertainty_of(about, str(path))
    verdict_of(about, str(path))
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return Subject(cell=cell, name=path.stem, digest=digest, about=about)


def subject_of(cell: Cell | str | Path) -> Subject:
    """The subject of a cell or of a cell file."""
    if isinstance(cell, str | Path):
        return read_subject(cell)
    if not isinstance(cell, Cell):
        raise OutOfRangeError(f"`cell` must be a cell file or a Cell, such as yao2020(), but is {shown(cell)}")
    _check_law(cell, "it has")
    return Subject(
        cell=cell, name="cell", digest=hashlib.sha256(repr(asdict(cell)).encode()).hexdigest()[:12], about={}
    )


def _check_law(cell: Cell, has: str) -> None:
    """Refuse laws that no way of the evaluation can use."""
    law = cell.switching
    if type(law) is TwoState:
        raise OutOfRangeError(
            f"`cell` must have steps, but {has} TwoState: each pulse draws one of two states anew, so there are no "
            "conductances between that a weight could be written to, and no small steps for a rule to learn by. "
            "Fit pulse trains of the same cells, below the amplitude that switches them whole (`ohmweave fit "
            "trains.csv`), or put a network of ternary weights on the cell yourself (`ohmweave.deploy` with "
            "`DifferentialPair(levels=3)`, docs/network.md)"
        )
    if type(law) not in _KINDS:
        raise OutOfRangeError(
            f"`cell` must switch by identical pulses ({', '.join(kind.__name__ for kind in _KINDS)}), but {has} "
            f"{type(law).__name__}"
        )
