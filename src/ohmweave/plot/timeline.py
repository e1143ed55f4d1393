"""A schedule as bars over time."""

from typing import TYPE_CHECKING

from ohmweave.base import check_text
from ohmweave.cost import Schedule
from ohmweave.plot.style import axes_for, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_JOBS = 4_000
"""Number of jobs that are drawn; more bars would be too thin to be told apart."""


def timeline(done: Schedule, *, title: str = "", ax: "Axes | None" = None) -> "Axes":
    """One row of bars for each machine, with its utilisation.

    Jobs have a colour by name; those of every second image are paler. Times are in us. Jobs after the first `MAX_JOBS`
    are not drawn.

    Args:
        done: the schedule.
        title: of the figure.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        TypeError: `title` is no text, or `ax` no axes.
    """
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    check_text("title", title)
    machines = list(done.utilisation)
    names = list(dict.fromkeys(job.name for job in done.jobs))
    colour = {name: colormaps["tab10"](index % 10) for index, name in enumerate(names)}
    axes = axes_for(ax, width=7.6, height=0.9 + 0.32 * len(machines))
    for job, start in list(zip(done.jobs, done.start, strict=True))[:MAX_JOBS]:
        axes.barh(
            machines.index(job.machine),
            job.duration * 1e6,
            left=start * 1e6,
            color=colour[job.name],
            alpha=0.9 if job.image % 2 == 0 else 0.5,
            edgecolor="white",
            linewidth=0.3,
        )
    labels = [f"{machine}  {done.utilisation[machine]:.0%}" for machine in machines]
    axes.set_yticks(range(len(machines)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("time (us)")
    axes.set_title(title, fontsize=9)
    axes.legend(handles=[Patch(color=colour[name], label=name) for name in names], frameon=False, fontsize=7, ncols=6)
    return styled(axes)
