"""Whether loops over samples can train on an array."""

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.capabilities import CompiledCells
from ohmweave.arrays.protocol import Array
from ohmweave.base import OutOfRangeError
from ohmweave.cells.steps import check_steps


def compiles(array: Array) -> bool:
    """True if a loop over samples (`optim.compiled_epochs`) gives the same results on `array` as the torch version.

    Without Numba the loop runs in NumPy, to the same bits, so that results do not depend on what is installed.
    """
    try:
        check_compilable(array)
    except OutOfRangeError:
        return False
    return True


def check_compilable(array: Array) -> CellBank:
    """The cells of `array`, if compiled loops can read and change them.

    Raises:
        OutOfRangeError: the array is not simulated or not on the CPU, has wires, converters, access devices or an open
            bill, its reads are noisy, or its law has no compiled form.
    """
    if not isinstance(array, CompiledCells):
        raise OutOfRangeError(f"`array` must be simulated to be compiled, but is a {type(array).__name__}")
    if array.bank.device.type != "cpu":
        raise OutOfRangeError(f"`array` must be on the CPU to be compiled, but is on {array.bank.device}")
    if array.books.metered:
        raise OutOfRangeError(
            "`array` must have no open bill to be compiled, but reports to one: compiled loops do not count line by "
            "line what they drive, so bill a run of the torch version"
        )
    if found := array.not_compiled:
        raise OutOfRangeError(f"`array` must be bare to be compiled, but has {', '.join(found)}")
    if array.bank.cell.read_noise is not None:
        raise OutOfRangeError("`array` must have exact reads to be compiled, but its cells are noisy")
    check_steps(array.bank.cell)
    return array.bank
