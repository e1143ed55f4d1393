"""An experiment's figures as files, and as images inside a page."""

import base64
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ohmweave.experiments import FigureSpec, Row, atomic_write

LARGEST_SVG = 1_000_000
"""Bytes. A larger drawing (for example a scatter plot of every cell) is in the page as PNG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFigure:
    """A figure in the page: `image` is a data URI, `file` the saved drawing; both None if there is a `problem`."""

    title: str
    caption: str
    image: str | None = None
    file: Path | None = None
    problem: str = ""


def draw_figure(spec: FigureSpec, rows: Sequence[Row], path: Path) -> DrawnFigure:
    """Draw `spec` and save it as `path` with .svg and with .png.

    A figure that fails (on the rows of a partial run, for example) does not stop the report: the page holds the error
    in its place, and a `NotMadeWarning` is given.

    Raises:
        OSError: the files cannot be written; the message names the file.
    """
    try:
        svg, png = _drawn(spec, rows, path)
    except _NothingToDrawError:
        return DrawnFigure(
            title=spec.title, caption=spec.caption, problem="There are no rows to draw this figure from yet."
        )
    except OSError:
        raise  # the disk's fault, not the figure's
    except Exception as error:  # noqa: BLE001  a drawing function that fails must not stop the report
        problem = f"could not be drawn from these rows: {type(error).__name__}: {error}"
        warnings.warn(f"figure {spec.name!r} {problem}", NotMadeWarning, stacklevel=2)
        return DrawnFigure(title=spec.title, caption=spec.caption, problem=f"This figure {problem}.")
    small = svg.stat().st_size <= LARGEST_SVG
    image = _data_uri(svg, "image/svg+xml") if small else _data_uri(png, "image/png")
    return DrawnFigure(title=spec.title, caption=spec.caption, image=image, file=svg)


class NotMadeWarning(RuntimeWarning):
    """A figure or a table of the report could not be made from the rows; the message says why."""


class _NothingToDrawError(Exception):
    pass


def _drawn(spec: FigureSpec, rows: Sequence[Row], path: Path) -> tuple[Path, Path]:
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    # Ids and metadata without random numbers or times, so that equal rows give equal bytes.
    with mpl.rc_context({"svg.hashsalt": path.name}):
        figure = spec.draw(rows)
        if figure is None:
            raise _NothingToDrawError
        svg, png = path.with_name(path.name + ".svg"), path.with_name(path.name + ".png")
        try:
            with atomic_write(svg) as part:
                figure.savefig(part, metadata={"Date": None, "Creator": None}, bbox_inches="tight", facecolor="white")
            with atomic_write(png) as part:
                figure.savefig(part, dpi=200, metadata={"Software": None}, bbox_inches="tight", facecolor="white")
        finally:
            plt.close(figure)
    return svg, png


def _data_uri(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
