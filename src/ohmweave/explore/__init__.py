"""Studies of designs: from a declared space to a table, a Pareto front and a page."""

from ohmweave.explore.declared import Study, declare, read_study
from ohmweave.explore.design_figures import Figures
from ohmweave.explore.exploration import Exploration, write_parquet
from ohmweave.explore.keys import Key, Stage, keys
from ohmweave.explore.pareto import Effect, cheapest, front, main_effects
from ohmweave.explore.ranges import Range
from ohmweave.explore.run_study import checked, study
from ohmweave.explore.shipped import find_study, shipped
from ohmweave.explore.space import points_of

__all__ = [
    "Effect",
    "Exploration",
    "Figures",
    "Key",
    "Range",
    "Stage",
    "Study",
    "cheapest",
    "checked",
    "declare",
    "find_study",
    "front",
    "keys",
    "main_effects",
    "points_of",
    "read_study",
    "shipped",
    "study",
    "write_parquet",
]
