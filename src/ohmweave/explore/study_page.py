"""The page of a study: one self-contained HTML file with an interactive scatter of its designs."""

from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ohmweave.base.text import counted
from ohmweave.explore.design_figures import QUANTITIES
from ohmweave.explore.pareto import Effect, shown_key

if TYPE_CHECKING:
    from ohmweave.explore.exploration import Exploration

_AXES = (
    "energy", "latency", "area", "pulses", "programming_energy", "programming_time", "most_pulses", "n_arrays",
    "failed", "throughput",
)  # fmt: skip
_HEIGHTS = ("accuracy", "worst_chip", "test_accuracy", "worst_chip_test")


def page(found: "Exploration") -> str:
    """The page as text.

    Args:
        found: the result.
    """
    environment = Environment(
        loader=PackageLoader("ohmweave.explore", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    table = found.table()
    return environment.get_template("study.html.j2").render(
        title=found.study.name,
        facts=_facts(found),
        data=_data(found),
        heads=list(table[0]) if table else [],
        cells=[list(line.values()) for line in table],
        advice=found.advice(),
        remarks=found.remarks(),
        effects=[_effect(one) for one in found.effects if one.share >= 0.005],
    )


def _facts(found: "Exploration") -> str:
    study = found.study
    fixed = [
        f"{name} {shown_key(name, found.points[0][name])}"
        for name in study.typed
        if name not in study.axes and found.points[0][name] is not None
    ]
    return (
        f"{counted(len(found.points), 'design')} ({study.method}), {study.chips} chips each, "
        f"{sum(found.on_front)} on the front of {', '.join(study.objectives)}."
        + (f" In all of them: {', '.join(fixed)}." if fixed else "")
    )


def _data(found: "Exploration") -> dict[str, Any]:
    """What the scatter shows: figures in the units of their titles, and the design of each point as text."""
    known = [name for name in (*_HEIGHTS, *_AXES) if all(one.value(name) is not None for one in found.figures)]
    designs = []
    for index, figures in enumerate(found.figures):
        values = {name: QUANTITIES[name].factor * float(figures.value(name) or 0.0) for name in known}
        line = found.line(index)
        designs.append(
            {
                "values": values,
                "low": 100 * (figures.accuracy.low or 0.0),
                "high": 100 * (figures.accuracy.high or 0.0),
                "front": found.on_front[index],
                "text": [[head, cell] for head, cell in line.items()],
                "keys": {name: line[name] for name in found.study.axes},
            }
        )
    return {
        "designs": designs,
        "titles": {name: QUANTITIES[name].title for name in known},
        # What the study asks for is across when the page opens.
        "x": sorted((name for name in _AXES if name in known), key=lambda name: name not in found.study.objectives),
        "y": [name for name in _HEIGHTS if name in known],
        "keys": list(found.study.axes),
        "colour": found.effects[0].key if found.effects else "",
    }


def _effect(one: Effect) -> dict[str, Any]:
    quantity = QUANTITIES[one.figure]
    return {
        "key": one.key,
        "figure": quantity.title,
        "share": round(100 * one.share),
        "span": one.shown_span,
        "levels": ", ".join(f"{label}: {quantity.factor * mean:.4g}" for label, mean, _ in one.levels),
    }
