"""Experiments as claims: declared as data, run as resumable tasks, judged from their rows alone.

No physics is in here. Packages register their experiments here, found by entry point; `ohmweave.report` turns rows
into tables and pages.
"""

from ohmweave.base.errors import ExperimentError
from ohmweave.base.files import atomic_write
from ohmweave.experiments.acceptance import Acceptance, AtLeast, AtMost, Between, Equal, Within
from ohmweave.experiments.claims import (
    BETTER,
    EXPLAINED,
    HIGHER,
    LOWER,
    MET,
    NOT_COMPARABLE,
    NOT_JUDGED,
    NOT_MET,
    NOT_RUN,
    REPRODUCED,
    VERDICTS,
    WORSE,
    Claim,
    Finding,
    Needs,
    judge,
)
from ohmweave.experiments.discovery import LeftOut, import_experiments, load_installed, source_of
from ohmweave.experiments.distributed import run_distributed
from ohmweave.experiments.estimators import (
    Estimator,
    lowest_of,
    lowest_rate_of,
    mean_of,
    mean_rate_difference_of,
    mean_rate_gap_of,
    mean_rate_of,
    nested_mean_rate_of,
    nested_rate_difference_of,
    nested_rate_gap_of,
    numbers,
    paired_rate_gap_of,
    rate_of,
    rates,
    select,
    value_of,
)
from ohmweave.experiments.expected_time import Expected, expected_times
from ohmweave.experiments.experiment import Assumption, Experiment, FigureSpec, TableSpec
from ohmweave.experiments.intervals import Estimate, gap_interval, mean_interval, nested_interval, wilson_interval
from ohmweave.experiments.origin import other_origins, short_commit
from ohmweave.experiments.registry import experiments, find, match, register
from ohmweave.experiments.rows import read_log, read_results, read_rows
from ohmweave.experiments.running import Progress, Summary, run_experiment
from ohmweave.experiments.scopes import Scope, by_params, by_scope, scope_of
from ohmweave.experiments.stored_row import RowWarning
from ohmweave.experiments.tasks import Context, Options, Row, Task
from ohmweave.experiments.values import JSON, canonical, plain

__all__ = [
    "BETTER",
    "EXPLAINED",
    "HIGHER",
    "JSON",
    "LOWER",
    "MET",
    "NOT_COMPARABLE",
    "NOT_JUDGED",
    "NOT_MET",
    "NOT_RUN",
    "REPRODUCED",
    "VERDICTS",
    "WORSE",
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
    "Options",
    "Progress",
    "Row",
    "RowWarning",
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
    "nested_interval",
    "nested_mean_rate_of",
    "nested_rate_difference_of",
    "nested_rate_gap_of",
    "numbers",
    "other_origins",
    "paired_rate_gap_of",
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
    "short_commit",
    "source_of",
    "value_of",
    "wilson_interval",
]
