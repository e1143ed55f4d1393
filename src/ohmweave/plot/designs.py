"""Designs of a study as points, with the Pareto front."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ohmweave.base import OutOfRangeError, ShapeError, check_text, shown
from ohmweave.plot.style import COLOURS, MARKS, axes_for, numbers, percent_axis, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Columns of records in SI units: the factor to what is drawn, and the words of the axis.
_SHOWN = {
    "validation_accuracy": (100.0, "validation accuracy (%)"),
    "worst_chip_validation_accuracy": (100.0, "worst chip, validation (%)"),
    "test_accuracy": (100.0, "test accuracy (%)"),
    "worst_chip_test_accuracy": (100.0, "worst chip, test (%)"),
    "software_test_accuracy": (100.0, "software, test (%)"),
    "energy_J_per_image_and_chip": (1e9, "energy of an image (nJ)"),
    "latency_s_per_image": (1e6, "latency of an image (us)"),
    "throughput_images_per_s_and_chip": (1.0, "images in 1 s"),
    "area_m2_per_chip": (1e6, "area of a chip (mm2)"),
    "pulses_per_chip": (1.0, "pulses of a chip"),
    "programming_J_per_chip": (1e6, "programming of a chip (uJ)"),
    "programming_s_per_chip": (1e3, "programming of a chip (ms)"),
}


def pareto(
    records: Sequence[Mapping[str, Any]],
    *,
    x: str = "energy_J_per_image_and_chip",
    y: str = "validation_accuracy",
    colour: str | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Designs as points, those on the Pareto front filled, each with the 95 % interval of y where the records have it.

    Args:
        records: of `ohmweave.explore.study(...).records()`, or lines of its designs.csv with numbers as numbers.
        x: a column with numbers, on a logarithmic scale if all are above 0.
        y: a column with numbers.
        colour: a column, such as "adc_bits", whose values have colours and marks of their own; up to eight values.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes. Known columns are in the units that the axes name (nJ, us, mm2, %), others as they are. Designs
        without a number in `x` or `y` are left out.

    Raises:
        OutOfRangeError: a column is in no record, or has too many values for colours.
        ShapeError: no design has both numbers.
        TypeError: something is no record, no text or no axes.
    """
    chosen = _with_numbers(records, x, y)
    groups = {None: chosen} if colour is None else _groups(chosen, colour)
    (x_factor, x_label), (y_factor, y_label) = (_SHOWN.get(name, (1.0, name)) for name in (x, y))
    axes = axes_for(ax)
    for (value, some), tint, mark in zip(groups.items(), COLOURS, MARKS, strict=False):
        for one in some:
            at, height = x_factor * one[x], y_factor * one[y]
            low, high = one.get(f"{y}_low"), one.get(f"{y}_high")
            if low is not None and high is not None:
                axes.plot([at, at], [y_factor * low, y_factor * high], color=tint, linewidth=0.6, alpha=0.5)
            face = tint if one.get("on_front", True) else "white"
            axes.plot(at, height, mark, color=tint, markerfacecolor=face, markersize=4.5)
        if value is not None:
            axes.plot([], [], mark, color=tint, label=f"{colour} {value}")
    if all(one[x] > 0 for one in chosen):
        axes.set_xscale("log")
    axes.set(xlabel=x_label, ylabel=y_label)
    if y_label.endswith("(%)"):
        percent_axis(axes)
    return styled(axes, legend=True)


def _with_numbers(records: object, x: str, y: str) -> list[Mapping[str, Any]]:
    for name, text in (("x", x), ("y", y)):
        check_text(name, text)
    if not isinstance(records, Sequence) or not all(isinstance(one, Mapping) for one in records):
        raise TypeError(f"`records` must be mappings, as `records()` of a study returns, but is {shown(records)}")
    for name, column in (("x", x), ("y", y)):
        if records and not any(column in one for one in records):
            known = ", ".join(map(str, records[0]))
            raise OutOfRangeError(f"`{name}` must be a column of `records` ({known}), but is {column!r}")
    found = [one for one in records if one.get(x) is not None and one.get(y) is not None]
    if not found:
        raise ShapeError(f"`records` must hold a design with {x} and {y}, but holds none")
    for name, column in (("x", x), ("y", y)):
        numbers(f"{column} ({name})", [one[column] for one in found], dims=(1,))
    return found


def _groups(chosen: list[Mapping[str, Any]], colour: str) -> dict[Any, list[Mapping[str, Any]]]:
    check_text("colour", colour)
    if not any(colour in one for one in chosen):
        raise OutOfRangeError(f"`colour` must be a column of `records`, but is {colour!r}")
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for one in chosen:
        groups.setdefault(str(one.get(colour)), []).append(one)
    if len(groups) > len(COLOURS):
        raise OutOfRangeError(f"`colour` must be a column of at most {len(COLOURS)} values, but has {len(groups)}")
    return groups
