"""The one style of all figures: colours, marks, sizes of text, axes that end where quantities end, and files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from ohmweave.base import OutOfRangeError, ShapeError, check_kind, check_text, shown
from ohmweave.base.files import atomic_write, check_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers: TypeAlias = torch.Tensor | np.ndarray[Any, Any] | Sequence[Any] | float
"""Numbers in any nesting: a tensor on any device, an array, or a sequence."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7A7A7A")
"""Colours of curves in order: those of Okabe and Ito (2008), which readers who do not tell red from green tell apart,
with grey in place of their yellow, which is too pale for a line on white."""

MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Marks of curves in order, so that curves are told apart without colours too."""

STYLE: Mapping[str, Any] = {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
}
"""Settings of matplotlib for figures in the width of a column of a journal: `with matplotlib.rc_context(STYLE)`."""

COLUMN = 3.5
"""Width of a figure in one column, inches."""


def save_figure(drawn: "Axes | Figure", path: str | Path) -> tuple[Path, Path]:
    """Write a figure as SVG, for print, and as PNG with 200 dots an inch, beside each other.

    Args:
        drawn: a figure, or axes, whose whole figure is written.
        path: of both files, without an ending; an ending .svg or .png is left out. The folder must exist.

    Returns:
        The paths of the SVG and of the PNG. Equal figures give equal bytes with equal versions of matplotlib.

    Raises:
        TypeError: `drawn` is neither.
        OSError: a file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    figure = drawn.get_figure(root=True) if isinstance(drawn, Axes) else drawn
    check_kind("drawn", figure, Figure)
    assert isinstance(figure, Figure)
    path = check_path("path", path)
    if path.suffix in (".svg", ".png"):
        path = path.with_suffix("")
    svg, png = path.with_name(path.name + ".svg"), path.with_name(path.name + ".png")
    with mpl.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "none"}):
        with atomic_write(svg) as part:
            figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
        with atomic_write(png) as part:
            figure.savefig(part, format="png", dpi=200, metadata={"Software": None}, bbox_inches="tight")
    return svg, png


def axes_for(ax: "Axes | None", *, width: float = COLUMN, height: float = 2.6) -> "Axes":
    """`ax`, or new axes on a figure of this size in inches that no window of matplotlib holds."""
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    if ax is not None:
        check_kind("ax", ax, Axes)
        return ax
    settings: Any = dict(STYLE)
    with mpl.rc_context(settings):
        return Figure(figsize=(width, height), layout="constrained").subplots()


def styled(axes: "Axes", *, legend: bool = False) -> "Axes":
    """The sizes of text and the frame of `STYLE`, on axes of any origin."""
    axes.title.set_fontsize(STYLE["axes.titlesize"])
    axes.xaxis.label.set_fontsize(STYLE["axes.labelsize"])
    axes.yaxis.label.set_fontsize(STYLE["axes.labelsize"])
    axes.tick_params(labelsize=STYLE["xtick.labelsize"])
    if not axes.images:
        axes.spines[["top", "right"]].set_visible(False)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=STYLE["legend.fontsize"], frameon=False)
    return axes


def colour_scale(axes: "Axes", drawn: Any, label: str) -> None:
    """A scale of colours beside the axes, of an image or mesh, in the sizes of `STYLE`."""
    scale = axes.get_figure(root=True).colorbar(drawn, ax=axes)  # type: ignore[union-attr]
    scale.set_label(label, fontsize=STYLE["axes.labelsize"])
    scale.ax.tick_params(labelsize=STYLE["xtick.labelsize"])


def percent_axis(axes: "Axes") -> None:
    """End the vertical axis at 0 and 100 %."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 100.0))


def numbers(name: str, values: Numbers, *, dims: tuple[int, ...], inside: tuple[float, float] | None = None) -> Any:
    """Float64 numbers of an argument as an array, checked.

    Args:
        name: of the argument, for errors.
        values: a tensor on any device, an array or nested sequences.
        dims: numbers of dimensions that are allowed.
        inside: least and largest value; None for any finite ones.

    Raises:
        TypeError: they are no numbers.
        ShapeError: there are none, or another number of dimensions.
        OutOfRangeError: a value is not finite, or outside.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` must be numbers, but is {shown(values)}") from None
    if found.ndim not in dims or not found.size:
        wanted = " or ".join(map(str, dims))
        raise ShapeError(f"`{name}` must have {wanted} dimensions and a value, but has the shape {found.shape}")
    low, high = inside or (-np.inf, np.inf)
    if not np.isfinite(found).all() or found.min() < low or found.max() > high:
        limits = "finite" if inside is None else f"from {low:g} to {high:g}"
        raise OutOfRangeError(f"`{name}` must be {limits}, but is from {found.min():g} to {found.max():g}")
    return found


def named(name: str, values: object) -> dict[str, Any]:
    """A mapping with names, not empty.

    Raises:
        TypeError: it is no mapping, or a name is no text.
        ShapeError: it is empty.
    """
    check_kind(name, values, Mapping)
    assert isinstance(values, Mapping)
    for key in values:
        check_text(f"a name in {name}", key)
    if not values:
        raise ShapeError(f"`{name}` must hold something, but is empty")
    return dict(values)
