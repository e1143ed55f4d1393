"""Valid calls of everything public, by name: "package.name", or "package.name:variant", or "package.Class.method"."""

from tests.fuzz.cases.array_calls import ARRAY_CALLS
from tests.fuzz.cases.arrays import ARRAYS
from tests.fuzz.cases.bench import BENCH
from tests.fuzz.cases.bench_logs import BENCH_LOGS
from tests.fuzz.cases.bring_up import BRING_UP
from tests.fuzz.cases.cells import CELLS
from tests.fuzz.cases.chip_costs import CHIP_COSTS
from tests.fuzz.cases.circuit import CIRCUIT
from tests.fuzz.cases.cost import COST
from tests.fuzz.cases.data import DATA
from tests.fuzz.cases.evaluation import EVALUATION
from tests.fuzz.cases.experiments import EXPERIMENTS
from tests.fuzz.cases.files import FILES
from tests.fuzz.cases.fitting import FITTING
from tests.fuzz.cases.layers import LAYERS
from tests.fuzz.cases.mapping import MAPPING
from tests.fuzz.cases.networks import NETWORKS
from tests.fuzz.cases.objects import OBJECTS
from tests.fuzz.cases.pages import PAGES
from tests.fuzz.cases.rules import RULES
from tests.fuzz.runner import Case

CASES: dict[str, Case] = {
    **CELLS,
    **ARRAYS,
    **ARRAY_CALLS,
    **CIRCUIT,
    **MAPPING,
    **NETWORKS,
    **LAYERS,
    **RULES,
    **COST,
    **EVALUATION,
    **CHIP_COSTS,
    **FITTING,
    **BENCH,
    **BENCH_LOGS,
    **BRING_UP,
    **DATA,
    **EXPERIMENTS,
    **FILES,
    **OBJECTS,
    **PAGES,
}
