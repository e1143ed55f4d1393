"""The evaluation as an experiment of the report: its tables, figures and assumptions."""

from collections.abc import Mapping, Sequence
from typing import Any

from ohmweave.evaluation.figures import draw_accuracy, draw_costs
from ohmweave.evaluation.search import declared
from ohmweave.evaluation.stages import NAME
from ohmweave.evaluation.tables import accuracy_table, cell_table, cost_table, remarks_table, search_table, spent_table
from ohmweave.experiments import (
    JSON,
    Assumption,
    Context,
    Experiment,
    ExperimentError,
    FigureSpec,
    Options,
    Row,
    TableSpec,
    Task,
)


def _no_tasks(options: Options) -> Sequence[Task]:
    raise ExperimentError("`ohmweave evaluate CELL.json` runs this experiment, because it needs a cell")


def _no_run(task: Task, context: Context) -> Mapping[str, JSON]:
    raise ExperimentError("`ohmweave evaluate CELL.json` runs this experiment, because it needs a cell")


def _search_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return search_table(rows)


EVALUATION = Experiment(
    name=NAME,
    title="What the cell is worth",
    paper="no paper: one cell, as its file describes it",
    summary="One network in software, written with verify, trained with the errors of the write and written, tuned in "
    "situ, and learnt in situ, on chips of the cell and of cells drawn from the uncertainty of its fit; then without "
    "each property of the cell. Settings are found on validation images by the search below; test images are read once "
    "for each result.",
    claims=(),
    assumptions=(
        Assumption(text="wires, row drivers and converters are ideal: what is lost is lost by the cell", source="ours"),
        Assumption(text="biases are digital; in situ they are trained by Adam beside the rule", source="ours"),
        Assumption(
            text="initial weights of learning in situ are random and written with verify, as pairs of cells about the "
            "middle of the window",
            source="ours",
        ),
        Assumption(
            text="one network for all chips: its luck is not in the intervals, but in that of software", source="ours"
        ),
        Assumption(
            text="parameters of the law are drawn together, with the correlations of the file; d2d, read noise and "
            "the share of stuck cells apart from them and from each other",
            source="ours",
        ),
        Assumption(
            text="without a property, settings are those of the whole cell, except that cells with smaller steps learn "
            "at the best of its rate and the two beside it: a whole search for that cell could find more",
            source="ours",
        ),
        Assumption(
            text="energy of a pulse: V^2 g t with the measured amplitude and width, g in the middle of the window; not "
            "known if the file has none",
            source="ours",
        ),
        Assumption(
            text="energy of an image: heat of the cells, V^2 g t with reads of 50 ns, and charging of the row lines; "
            "converters, drivers and digital circuits are not in it, since the chip has none",
            source="reads of 50 ns: Yao et al., Nature 577, 641 (2020); lines: ours (`ohmweave.cost.chip_costs`)",
        ),
    ),
    tasks=_no_tasks,
    run=_no_run,
    figures=(
        FigureSpec(
            name="accuracy",
            title="Accuracy",
            caption="A point is a chip; filled points are of the fitted cell, open ones of cells drawn from the "
            "uncertainty of the fit, a column for each cell. Squares and bars are mean and 95 % interval of a further "
            "drawn cell, or of the mean of the chips where none are drawn. The line is the software network, the band "
            "its 95 % interval.",
            draw=draw_accuracy,
        ),
        FigureSpec(
            name="properties",
            title="What each property costs",
            caption="Accuracy without the property less accuracy with it on the same chips, with 95 % intervals; "
            "smaller steps are ten times smaller, with their scatter.",
            draw=draw_costs,
        ),
    ),
    tables=(
        TableSpec(
            name="cell",
            title="The cell",
            caption="What its file says.",
            rows=cell_table,
            above=True,
        ),
        TableSpec(
            name="accuracy",
            title="Accuracy",
            caption="Accuracy of the test images with 95 % intervals: of the mean chip of the fitted cell, and of a "
            "further cell drawn from what the fit does not know; then standard deviations, in points, between chips "
            "of one cell and between drawn cells.",
            rows=accuracy_table,
            above=True,
        ),
        TableSpec(
            name="remarks",
            title="Remarks",
            caption="Why ways lose more than three points, and what the file does not tell.",
            rows=remarks_table,
            above=True,
        ),
        TableSpec(
            name="properties",
            title="What each property costs",
            caption="Points of accuracy that are won without the property, chip by chip, with 95 % intervals.",
            rows=cost_table,
        ),
        TableSpec(
            name="spent",
            title="Pulses and energy",
            caption="Of one chip of the fitted cell: from fresh cells to the trained network, and of one image.",
            rows=spent_table,
        ),
        TableSpec(
            name="search",
            title="The search",
            caption="Every setting that was tried, and its share of right validation images, best first. Declared was: "
            + "; ".join(declared())
            + ".",
            rows=_search_rows,
        ),
    ),
    data="digits",
)
"""Not registered: `ohmweave evaluate` gives it its tasks."""
