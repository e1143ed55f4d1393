"""Contract tests to inherit: what every cell, array, layer and rule must do, for yours as for ours.

A contract is a class whose `test_...` methods pytest finds in a subclass; the subclass says what is tested:

    from ohmweave.testing import CellContract

    class TestMyCell(CellContract):
        def make_cell(self):
            return Cell(MyLaw(...))
"""

from ohmweave.testing.arrays import ArrayContract
from ohmweave.testing.bare_array import BareArray
from ohmweave.testing.book_checks import check_books
from ohmweave.testing.cells import CellContract
from ohmweave.testing.layers import LayerContract
from ohmweave.testing.rules import RuleContract

__all__ = ["ArrayContract", "BareArray", "CellContract", "LayerContract", "RuleContract", "check_books"]
