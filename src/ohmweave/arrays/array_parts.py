"""Which parts of a simulated array fit together, and the wiring that follows from them."""

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.writes.access import Access, Passive, Transistors
from ohmweave.arrays.writes.wiring import Wiring
from ohmweave.base import OutOfRangeError, check_integer, check_positive
from ohmweave.cells import Cell
from ohmweave.circuit import Wires


def wiring_of(bank: CellBank, wires: Wires | None, access: Access | None) -> Wiring | None:
    """Wires and access devices of the bank; None if there are neither."""
    if wires is None and access is None:
        return None
    return Wiring(bank, wires or Wires(r_row=0.0, r_col=0.0), access or Transistors())


def check_sizes(n_arrays: int, rows: int, cols: int, n_chips: int | None, v_read: float) -> None:
    """Raise `OutOfRangeError` unless all sizes are integers >= 1 and `v_read` is > 0 V."""
    for name, size in (("n_arrays", n_arrays), ("rows", rows), ("cols", cols)):
        check_integer(name, size, at_least=1)
    if n_chips is not None:
        check_integer("n_chips", n_chips, at_least=1)
    check_positive("v_read", v_read, "V")


def check_parts(
    cell: Cell, dac: DAC | None, access: Access | None, readout: str, v_read: float, dtype: torch.dtype
) -> None:
    """Raise `OutOfRangeError` where a part of the array is out of range or does not fit the others."""
    if dtype not in (torch.float32, torch.float64):
        raise OutOfRangeError(
            f"`dtype` must be torch.float32 or torch.float64, but is {dtype}: conductances differ by less than shorter "
            "types resolve. Keep the chip in float32 and convert its inputs and outputs"
        )
    if dac is not None and dac.v_max < v_read * (1 - 1e-9):
        raise OutOfRangeError(
            f"`v_max` of the DAC must be >= v_read = {v_read!r} V, or inputs would be cut, but is {dac.v_max!r} V: "
            "lower `v_read` or raise `v_max`"
        )
    if readout not in ("cell", "read"):
        raise OutOfRangeError(f"`readout` must be 'cell' or 'read', but is {readout!r}")
    if isinstance(access, Passive):
        if readout == "cell":
            raise OutOfRangeError("`readout` must be 'read' for a passive array: no cell can be measured alone")
        if not cell.feels_voltage:
            raise OutOfRangeError(
                "`cell` must feel the voltage in a passive array, or every pulse would write all cells: give it a "
                "`voltage`, such as VoltageDependence"
            )
    elif access is not None and not cell.feels_voltage and None not in (access.v_set, access.v_reset):
        raise OutOfRangeError(
            "`access` must have no `v_set` and `v_reset` for cells that do not feel the voltage: leave them out, or "
            "give the cell a `voltage`, such as VoltageDependence"
        )
