"""The drives of converted reads: numbers of the DAC, and their bits."""

import torch

from ohmweave.arrays.converters.adc import ADC
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.base import OutOfRangeError


def drive_of(row: RowVoltages, adc: ADC) -> torch.Tensor:
    """`row`, of any shape: codes, or V without a DAC."""
    if not adc.signed and (row.dac is None or row.dac.signed) and bool((row.numbers < 0).any()):
        raise OutOfRangeError("`signed` of the ADC must be true for negative row voltages, but is False")
    if row.dac is None or not row.dac.bit_serial:
        return row.numbers
    if row.dac.signed:
        return row.numbers
    # Bits are extracted from integers; uint8 is faster than int32.
    return row.numbers.to(torch.uint8 if row.dac.bits <= 8 else torch.int32)


def bit_planes(drive: torch.Tensor, dac: DAC | None, n_planes: int, dtype: torch.dtype) -> torch.Tensor:
    """`(chips, lines, n)` to `(chips, lines, planes, n)`: the bits, lowest first, or the drive as one plane."""
    if dac is None or not dac.bit_serial:
        return drive.unsqueeze(-2).to(dtype).contiguous()
    sign = None
    if dac.signed:
        # A signed DAC sends the bits of the magnitude, all with the sign of the number.
        sign = drive.sign()
        drive = drive.abs().to(torch.int32)
    bits = torch.arange(n_planes, dtype=drive.dtype, device=drive.device)[:, None]
    planes = ((drive.unsqueeze(-2) >> bits) & 1).to(dtype)
    return planes if sign is None else planes * sign.unsqueeze(-2)
