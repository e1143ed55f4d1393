"""Contract harnesses: what every cell, array, layer and rule must do, as classes of tests to inherit from.

A subclass says how to make the thing under test; any test runner that collects `test_*` methods runs the rest.
"""

from ohmweave.testing.arrays import ArrayContract
from ohmweave.testing.bare_array import BareArray

__all__ = ["ArrayContract", "BareArray"]
