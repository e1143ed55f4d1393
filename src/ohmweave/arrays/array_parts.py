"""Which parts of a simulated array fit together, and the wiring that follows from them."""

from typing import NamedTuple

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.converters.adc import ADC
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.writes.access import Access, Passive, Transistors
from ohmweave.arrays.writes.wiring import Wiring
from ohmweave.base import OutOfRangeError, check_integer, shown
from ohmweave.base.checks import MOST
from ohmweave.cells import Cell, SinhConduction
from ohmweave.circuit import Wires


def wiring_of(bank: CellBank, wires: Wires | None, access: Access | None) -> Wiring | None:
    """Wires and access devices of the bank; None if there are neither."""
    if wires is None and access is None:
        return None
    return Wiring(bank, wires or Wires(r_row=0.0, r_col=0.0), access or Transistors())


class Sizes(NamedTuple):
    """Attributes: n_chips (None for one), n_arrays, rows, cols."""

    n_chips: int | None
    n_arrays: int
    rows: int
    cols: int


def check_sizes(n_arrays: int, rows: int, cols: int, n_chips: int | None) -> Sizes:
    """The sizes as Python's integers.

    Raises:
        OutOfRangeError: one is not an integer >= 1, or there are more cells than their addresses can number.
    """
    sizes = Sizes(
        None if n_chips is None else check_integer("n_chips", n_chips, at_least=1),
        check_integer("n_arrays", n_arrays, at_least=1),
        check_integer("rows", rows, at_least=1),
        check_integer("cols", cols, at_least=1),
    )
    n_cells = (sizes.n_chips or 1) * sizes.n_arrays * sizes.rows * sizes.cols
    if n_cells > MOST:
        raise OutOfRangeError(f"`n_arrays`, `rows`, `cols` and `n_chips` must make <= {MOST:,} cells, not {n_cells:,}")
    return sizes


def check_device(device: torch.device | str) -> torch.device:
    """`device` as torch's. Raises `OutOfRangeError` if torch does not know it."""
    try:
        return torch.device(device)
    except (RuntimeError, TypeError, ValueError):
        raise OutOfRangeError(f"`device` must be one of torch's, such as 'cpu', but is {shown(device)}") from None


def _check_kinds(wires: object, dac: object, adc: object, access: object) -> None:
    """Raise `TypeError` where a part is of another kind."""
    kinds: dict[str, tuple[object, tuple[type, ...]]] = {
        "wires": (wires, (Wires,)),
        "dac": (dac, (DAC,)),
        "adc": (adc, (ADC,)),
        "access": (access, (Transistors, Passive)),
    }
    for name, (part, kind) in kinds.items():
        if part is not None and not isinstance(part, kind):
            wanted = " or ".join(one.__name__ for one in kind)
            raise TypeError(f"`{name}` must be {wanted} or None, such as {_example(name, part)}, but is {shown(part)}")


def _example(name: str, part: object) -> str:
    """How a part is made, with the bits that were given in its place if they may be bits."""
    bits = part if isinstance(part, int) and not isinstance(part, bool) and 1 <= part <= 16 else 8
    made = {"adc": f"ADC(bits={bits})", "dac": f"DAC(bits={bits}, v_max=0.2)", "wires": "Wires(r_row=1.0, r_col=1.0)"}
    return made.get(name, "Transistors()")


def check_parts(
    cell: Cell,
    wires: Wires | None,
    dac: DAC | None,
    adc: ADC | None,
    access: Access | None,
    readout: str,
    v_read: float,
    dtype: torch.dtype,
) -> None:
    """Raise `OutOfRangeError` where a part of the array is out of range or does not fit the others."""
    if dtype not in (torch.float32, torch.float64):
        raise OutOfRangeError(
            f"`dtype` must be torch.float32 or torch.float64, but is {dtype}: conductances differ by less than shorter "
            "types resolve. Keep the chip in float32 and convert its inputs and outputs"
        )
    _check_kinds(wires, dac, adc, access)
    if isinstance(cell.conduction, SinhConduction) and v_read > 80 * cell.conduction.v0:
        raise OutOfRangeError(
            f"`v_read` must be at most 80 v0 = {80 * cell.conduction.v0:g} V for these cells, or currents overflow, "
            f"but is {v_read!r} V"
        )
    if dac is not None and dac.v_max < v_read * (1 - 1e-9):
        raise OutOfRangeError(
            f"`v_max` of the DAC must be >= v_read = {v_read!r} V, or inputs would be cut, but is {dac.v_max!r} V: "
            "lower `v_read` or raise `v_max`"
        )
    if not isinstance(readout, str) or readout not in ("cell", "read"):
        raise OutOfRangeError(f"`readout` must be 'cell' or 'read', but is {shown(readout)}")
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
