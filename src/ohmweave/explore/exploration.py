"""`Exploration`: the designs of a study with their figures, as a table, as files and as a page."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.base import ExperimentError
from ohmweave.base.files import atomic_write
from ohmweave.experiments import Estimate, Row
from ohmweave.explore.declared import Study
from ohmweave.explore.design_figures import QUANTITIES, Figures, Point, figures_of
from ohmweave.explore.design_stages import Work, task_of
from ohmweave.explore.keys import Stage
from ohmweave.explore.pareto import Effect, cheapest, front, main_effects, shown_key
from ohmweave.explore.study_page import page

MANY_FAILED = 0.05
"""Share of the written cells that do not converge above which a remark says so (ours)."""
_MOST_LINES = 30
"""Designs of the front that are printed."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Exploration:
    """The result of a study.

    Attributes:
        study: as declared.
        points: the designs, each a mapping of all keys of the space; None for keys without effect in it.
        figures: of each design.
        on_front: True for each design on the Pareto front of the study's objectives.
        out: results folder.
    """

    study: Study
    points: tuple[Point, ...]
    figures: tuple[Figures, ...]
    on_front: tuple[bool, ...]
    out: Path

    @classmethod
    def of(cls, study: Study, points: Sequence[Point], rows: Sequence[Row], out: Path, work: Work) -> "Exploration":
        """The result for points whose tasks have rows."""
        by_id = {row.id: row for row in rows}
        figures = tuple(
            figures_of(
                *(by_id[task_of(stage, point, work, study.seed).id] for stage in Stage), endurance=study.endurance
            )
            for point in points
        )
        return cls(
            study=study,
            points=tuple(points),
            figures=figures,
            on_front=tuple(front(figures, study.objectives)),
            out=out,
        )

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The main effect of each key with several values on each objective."""
        return main_effects(self.points, self.figures, self.study.axes, self.study.objectives)

    @property
    def cheapest(self) -> Mapping[str, int | None]:
        """By objective, the index of the cheapest design within `study.within` of the best accuracy."""
        return cheapest(self.figures, self.study.objectives, within=self.study.within)

    def records(self) -> list[dict[str, Any]]:
        """One record a design: every key of the space, every figure in SI units with its interval, and the front."""
        found = []
        for point, figures, on_front in zip(self.points, self.figures, self.on_front, strict=True):
            record: dict[str, Any] = dict(point)
            for name, quantity in QUANTITIES.items():
                value = getattr(figures, name)
                record[quantity.column] = figures.value(name)
                if isinstance(value, Estimate):
                    record |= {f"{quantity.column}_low": value.low, f"{quantity.column}_high": value.high}
            found.append(record | {"on_front": on_front})
        return found

    def write(self) -> Path:
        """Write designs.csv, designs.parquet (if pyarrow is installed) and study.html to `out`; returns the page.

        Raises:
            OSError: a file cannot be written.
        """
        records = self.records()
        with atomic_write(self.out / "designs.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(records[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(records)
        write_parquet(records, self.out / "designs.parquet", missing_ok=True)
        path = self.out / "study.html"
        with atomic_write(path) as part:
            part.write_text(page(self), encoding="utf-8")
        return path

    def table(self) -> list[dict[str, str]]:
        """The designs of the front for people, best validation accuracy first: the keys that vary, and the figures."""
        chosen = [i for i, one in enumerate(self.on_front) if one]
        chosen.sort(key=lambda i: -self.figures[i].accuracy.value)
        return [self.line(i) for i in chosen]

    def line(self, index: int) -> dict[str, str]:
        """One design for people."""
        point, figures = self.points[index], self.figures[index]
        named = {name: shown_key(name, point[name]) for name in self.study.axes}
        shown = dict.fromkeys(("accuracy", "test_accuracy", *self.study.objectives))
        return named | {QUANTITIES[name].title: shown_figure(figures, name) for name in shown}

    def __repr__(self) -> str:
        """One line."""
        return f"Exploration({self.study.name}: {len(self.points)} designs, {sum(self.on_front)} on the front)"

    def __str__(self) -> str:
        """The front, the cheapest good designs, and what matters, as text."""
        lines = [
            repr(self),
            "",
            *_columns(self.table()[:_MOST_LINES]),
            "",
            *self.advice(),
            "",
            *self.knobs(),
            *self.remarks(),
        ]
        return "\n".join(lines)

    @property
    def _within(self) -> str:
        points = 100 * self.study.within
        return f"{points:g} point{'' if points == 1 else 's'}"

    def advice(self) -> list[str]:
        """The cheapest designs within `study.within` of the best validation accuracy, one sentence each."""
        found = []
        for name, index in self.cheapest.items():
            if index is not None:
                design = ", ".join(f"{key} {shown_key(key, self.points[index][key])}" for key in self.study.axes)
                figures = self.figures[index]
                found.append(
                    f"lowest {QUANTITIES[name].title} within {self._within} of the best validation accuracy: "
                    f"{shown_figure(figures, name)} with {design or 'the only design'} (test accuracy "
                    f"{shown_figure(figures, 'test_accuracy')})"
                )
        return found

    def remarks(self) -> list[str]:
        """What is against some of the designs: saturation, writes that did not converge, no price of a converter."""
        n = len(self.points)
        cut = [one.warnings for one in self.figures if one.warnings]
        failed = [one.failed for one in self.figures if one.failed > MANY_FAILED]
        found = [f"{len(cut)} of {n} designs: {cut[0][0]}"] if cut else []
        if failed:
            found.append(
                f"{len(failed)} of {n} designs: up to {100 * max(failed):.0f} % of the written cells did not converge; "
                "see `share_of_cells_not_converged`, and raise `tolerance` or `max_pulses`"
            )
        ideal = sum(point["adc_bits"] is None for point in self.points)
        if 0 < ideal < n:
            found.append(
                f"{ideal} of {n} designs: without a converter (adc_bits none) currents are ideal and cost nothing; "
                "compare the other designs with them, but do not choose them by energy or area"
            )
        return found

    def knobs(self) -> list[str]:
        """Which key matters for what, one sentence for each effect that explains a twentieth of the variance."""
        return [
            f"{QUANTITIES[one.figure].title}: {one.key} explains {100 * one.share:.0f} % of the variance between "
            f"designs; its means span {one.shown_span}"
            for one in self.effects
            if one.share >= 0.05
        ]


def shown_figure(figures: Figures, name: str) -> str:
    """A figure for people in the unit of its title, with its interval."""
    value, quantity = getattr(figures, name), QUANTITIES[name]
    if value is None:
        return "not known"
    if isinstance(value, Estimate):
        middle = f"{quantity.factor * value.value:.2f}"
        if value.low is None or value.high is None:
            return middle
        return f"{middle} ({quantity.factor * value.low:.2f} to {quantity.factor * value.high:.2f})"
    return f"{quantity.factor * value:.4g}"


def _columns(lines: Sequence[Mapping[str, str]]) -> list[str]:
    """A table as text."""
    if not lines:
        return ["no design is on the front, since an objective is not known of any"]
    heads = list(lines[0])
    cells = [heads, *([line[head] for head in heads] for line in lines)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def write_parquet(records: Sequence[Mapping[str, Any]], path: Path, *, missing_ok: bool = False) -> bool:
    """Write the records as one Parquet table. False if pyarrow is not installed and `missing_ok` is true.

    Args:
        records: with equal keys.
        path: of the file, which is replaced.
        missing_ok: True writes nothing where pyarrow is missing.

    Raises:
        ExperimentError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        if missing_ok:
            return False
        raise ExperimentError("Parquet needs pyarrow, which is not installed: `pip install ohmweave[frames]`") from None
    table = pyarrow.Table.from_pylist([_of_one_type(record) for record in records])
    with atomic_write(path) as part:
        pyarrow.parquet.write_table(table, part)
    return True


def _of_one_type(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with `tolerance` as text: it is a number in S, or a share of the window."""
    return {name: str(value) if name == "tolerance" else value for name, value in record.items()}
