"""What a cell is worth: a network on chips of it, in every way, with intervals, and what each property costs."""

from ohmweave.evaluation.as_experiment import EVALUATION
from ohmweave.evaluation.comparison import Comparison, compare
from ohmweave.evaluation.comparison_page import COMPARISON
from ohmweave.evaluation.contenders import Contender, Start, compared_cells, contenders
from ohmweave.evaluation.effort import EFFORTS, Effort
from ohmweave.evaluation.evaluate import evaluate
from ohmweave.evaluation.results import Accuracy, Evaluation, PropertyCost
from ohmweave.evaluation.subject import Subject, read_subject
from ohmweave.evaluation.without import PERFECT, PROPERTIES, without

__all__ = [
    "COMPARISON",
    "EFFORTS",
    "EVALUATION",
    "PERFECT",
    "PROPERTIES",
    "Accuracy",
    "Comparison",
    "Contender",
    "Effort",
    "Evaluation",
    "PropertyCost",
    "Start",
    "Subject",
    "compare",
    "compared_cells",
    "contenders",
    "evaluate",
    "read_subject",
    "without",
]
