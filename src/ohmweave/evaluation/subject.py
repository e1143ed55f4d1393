"""The cell under evaluation: read from its file, and drawn from the uncertainty of its fit."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ohmweave.base import DataError, OutOfRangeError, generator
from ohmweave.base.files import check_path
from ohmweave.cells import AffineStep, Cell, LinearStep, PulseTable, load

_HALF = 1.959963984540054  # half width of a Gaussian's 95 % interval, in standard deviations
_KINDS = (AffineStep, PulseTable, LinearStep)


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
        return bool(_intervals(self.about))

    @property
    def n_measured(self) -> int | None:
        """Working cells that the law was fitted to; None if the file does not say."""
        n = self.about.get("cells")
        return n if isinstance(n, int) and not isinstance(n, bool) else None

    def drawn(self, draw: int, *, seed: int) -> Cell:
        """The cell of the file (`draw` 0), or a cell drawn from the uncertainty of its fit (from 1 on).

        Each parameter of the law, and d2d, has a Gaussian number of its own, as far as its interval goes to either
        side. The share of stuck cells is drawn from its posterior with Jeffreys' prior. What a single measured cell
        does not show, the spread and the share of stuck cells, stays as in the file. Correlations of the parameters
        are not in the file, and are left out. Ours.
        """
        if draw == 0 or not self.has_intervals:
            return self.cell
        chance = generator(seed, "evaluation", "draw", draw)
        intervals = _intervals(self.about)
        values = {name: _drawn(interval, chance) for name, interval in intervals.items()}
        cell = replace(self.cell, switching=_law(self.cell.switching, values))
        several = self.n_measured is None or self.n_measured > 1
        if cell.spread is not None and (d2d := _interval(self.about.get("d2d"))) is not None:
            cell = replace(cell, spread=replace(cell.spread, d2d=max(0.0, _drawn(d2d, chance))))  # type: ignore[type-var]
        if cell.faults is not None and several and (n := self.n_measured):
            fraction = cell.faults.fraction  # type: ignore[attr-defined]
            total = round(n / (1 - fraction)) if fraction < 1 else n
            cell = replace(cell, faults=replace(cell.faults, fraction=_share(total - n, total, chance)))  # type: ignore[type-var]
        return cell

    def unknown(self) -> tuple[str, ...]:
        """What the file does not tell about the cell, one sentence each."""
        notes = []
        if not self.has_intervals:
            notes.append("the file has no intervals of a fit: what the fit does not know is not in the results")
        if self.n_measured == 1:
            notes.append("one cell was measured: the spread between cells and the share of stuck cells are not known")
        if self.cell.read_noise is None:
            notes.append("the file has no read noise: reads are exact")
        if not self.cell.processes:
            notes.append("the file has no retention: cells keep what was written")
        if not isinstance(self.about.get("conditions"), dict) or not self.about["conditions"]:
            notes.append("the file has no amplitudes and widths of pulses: their energy is not known")
        return tuple(notes)


def read_subject(path: str | Path) -> Subject:
    """The cell of a file, with its `about`.

    Raises:
        DataError: as `ohmweave.cells.load`.
        OutOfRangeError: the cell does not switch by identical pulses.
    """
    path = check_path("path", path)
    cell = load(path)
    text = path.read_bytes()
    content = json.loads(text)
    about = content.get("about", {})
    if not isinstance(about, dict):
        raise DataError(f"{path}: `about` must be an object, but is {about!r}")
    if type(cell.switching) not in _KINDS:
        raise OutOfRangeError(
            f"`cell` must switch by identical pulses ({', '.join(kind.__name__ for kind in _KINDS)}), but {path} has "
            f"{type(cell.switching).__name__}"
        )
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return Subject(cell=cell, name=path.stem, digest=digest, about=about)


def subject_of(cell: Cell | str | Path) -> Subject:
    """The subject of a cell or of a cell file."""
    if isinstance(cell, str | Path):
        return read_subject(cell)
    if not isinstance(cell, Cell) or type(cell.switching) not in _KINDS:
        raise OutOfRangeError(
            f"`cell` must be a cell file or a Cell that switches by identical pulses, but is {cell!r}"
        )
    return Subject(
        cell=cell, name="cell", digest=hashlib.sha256(repr(asdict(cell)).encode()).hexdigest()[:12], about={}
    )


_Interval = tuple[float, float, float]


def _interval(value: Any) -> _Interval | None:
    """(value, low, high) of the file; None if it is none or has no ends."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in value):
        return None
    return float(value[0]), float(value[1]), float(value[2])


def _intervals(about: Mapping[str, Any]) -> dict[str, _Interval]:
    parameters = about.get("parameters")
    found = parameters if isinstance(parameters, dict) else {}
    return {name: interval for name, value in found.items() if (interval := _interval(value)) is not None}


def _normal(chance: torch.Generator) -> float:
    return float(torch.randn((), generator=chance, dtype=torch.float64))


def _drawn(interval: _Interval, chance: torch.Generator) -> float:
    """A Gaussian about the value, with the half width of the interval on either side."""
    value, low, high = interval
    z = _normal(chance) / _HALF
    return value + z * ((high - value) if z > 0 else (value - low))


def _share(n: int, total: int, chance: torch.Generator) -> float:
    """The share of which n of total were seen: Beta(n + 1/2, total - n + 1/2), Jeffreys' posterior."""
    from scipy.special import betaincinv

    uniform = float(torch.rand((), generator=chance, dtype=torch.float64))
    return float(betaincinv(n + 0.5, total - n + 0.5, uniform))


def _law(law: Any, values: Mapping[str, float]) -> Any:
    """The switching law with drawn parameters, by the names that the fit gives them; others stay."""
    window = law.g_max - law.g_min
    if isinstance(law, AffineStep):
        ends = {
            sign: tuple(
                values.get(f"{sign} step", values.get(f"{sign} step at {end}", old))
                for end, old in zip(("g_min", "g_max"), steps, strict=True)
            )
            for sign, steps in (("SET", law.set_step), ("RESET", law.reset_step))
        }
        return replace(
            law,
            set_step=tuple(min(max(step, 0.0), window) for step in ends["SET"]),
            reset_step=tuple(max(min(step, 0.0), -window) for step in ends["RESET"]),
            sigma=max(0.0, values.get("sigma", law.sigma)),
        )
    if isinstance(law, PulseTable):
        return _table(law, values)
    return law


def _table(law: PulseTable, values: Mapping[str, float]) -> PulseTable:
    def drawn(name: str, old: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(values.get(f"{name}, bin {i}", value) for i, value in enumerate(old, start=1))

    def spread(name: str, old: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(max(0.0, value) for value in drawn(name, old))

    return replace(
        law,
        set_mean=drawn("SET step", law.set_mean),
        set_spread=spread("SET sigma", law.set_spread),
        reset_mean=drawn("RESET step", law.reset_mean),
        reset_spread=spread("RESET sigma", law.reset_spread),
    )
