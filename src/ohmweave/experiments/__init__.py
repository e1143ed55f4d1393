"""Experiments as claims: declared before they run, run as resumable tasks, judged from their rows alone.

No physics is in here. Packages register their experiments here, found by entry point; `ohmweave.report` turns rows
into tables and pages.
"""

from ohmweave.base.errors import ExperimentError
from ohmweave.base.files import atomic_write
from ohmweave.experiments.claims import (
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    Acceptance,
    AtLeast,
    AtMost,
    Between,
    Claim,
    Equal,
    Finding,
    Needs,
    NotWorseThan,
    Within,
    judge,
)
from ohmweave.experiments.discovery import LeftOut, import_experiments, load_installed, source_of
from ohmweave.experiments.distributed import run_distributed
from ohmweave.experiments.estimators import (
    Estimate,
    Estimator,
    gap_interval,
    lowest_of,
    lowest_rate_of,
    mean_interval,
    mean_of,
    mean_rate_difference_of,
    mean_rate_gap_of,
    mean_rate_of,
    numbers,
    rate_of,
    rates,
    select,
    value_of,
    wilson_interval,
)
from ohmweave.experiments.expected_time import Expected, expected_times
from ohmweave.experiments.experiment import Assumption, Experiment, FigureSpec, TableSpec
from ohmweave.experiments.registry import experiments, find, match, register
from ohmweave.experiments.rows import read_log, read_results, read_rows
from ohmweave.experiments.running import Progress, Summary, run_experiment
from ohmweave.experiments.scopes import Scope, by_params, by_scope, scope_of
from ohmweave.experiments.tasks import Context, Options, Row, Task
from ohmweave.experiments.values import JSON, canonical, plain

__all__ = [
    "JSON",
    "NOT_COMPARABLE",
    "NOT_REPRODUCED",
    "NOT_RUN",
    "REPRODUCED",
    "Acceptance",
    "Assumption",
    "AtLeast",
    "AtMost",
    "Between",
    "Claim",
    "Context",
    "Equal",
    "Estimate",
    "Estimator",
    "Expected",
    "Experiment",
    "ExperimentError",
    "FigureSpec",
    "Finding",
    "LeftOut",
    "Needs",
    "NotWorseThan",
    "Options",
    "Progress",
    "Row",
    "Scope",
    "Summary",
    "TableSpec",
    "Task",
    "Within",
    "atomic_write",
    "by_params",
    "by_scope",
    "canonical",
    "expected_times",
    "experiments",
    "find",
    "gap_interval",
    "import_experiments",
    "judge",
    "load_installed",
    "lowest_of",
    "lowest_rate_of",
    "match",
    "mean_interval",
    "mean_of",
    "mean_rate_difference_of",
    "mean_rate_gap_of",
    "mean_rate_of",
    "numbers",
    "plain",
    "rate_of",
    "rates",
    "read_log",
    "read_results",
    "read_rows",
    "register",
    "run_distributed",
    "run_experiment",
    "scope_of",
    "select",
    "source_of",
    "value_of",
    "wilson_interval",
]
