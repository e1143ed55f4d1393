"""Parts of a sum as bars; each bar starts at the end of the one before."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ohmweave.base import check_non_negative, check_text
from ohmweave.plot.style import COLOURS, axes_for, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def waterfall(parts: Mapping[str, float], *, ylabel: str, ax: "Axes | None" = None) -> "Axes":
    """A bar for each part from left to right, the largest first, and one for their sum.

    Args:
        parts: values >= 0 by name, in the unit of `ylabel`; zeros are left out.
        ylabel: quantity and unit, for example "energy (J)".
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        OutOfRangeError: a value is negative or not finite.
        TypeError: `ylabel` is no text, or `ax` no axes.
    """
    parts = {str(name): check_non_negative(f"parts[{name!r}]", value) for name, value in parts.items()}
    check_text("ylabel", ylabel)
    shown = {name: value for name, value in sorted(parts.items(), key=lambda part: -part[1]) if value}
    total = sum(shown.values())
    axes = axes_for(ax, width=6.4, height=0.9 + 0.3 * (len(shown) + 1))
    reached = 0.0
    for at, (_, value) in enumerate(shown.items()):
        axes.barh(at, value, left=reached, color=COLOURS[0])
        axes.annotate(f" {value:.3g} ({value / total:.1%})", (reached + value, at), va="center", fontsize=7)
        reached += value
    axes.barh(len(shown), total, color=COLOURS[7])
    axes.annotate(f" {total:.4g}", (total, len(shown)), va="center", fontsize=7)
    axes.set_yticks(range(len(shown) + 1), [*shown, "total"], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, total * 1.3 or 1.0)
    axes.set_xlabel(ylabel)
    return styled(axes)
