"""The converter at the rows: from a number to one of finitely many voltages."""

from dataclasses import dataclass

import torch

from memweave.base import check_integer, check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class DAC:
    """Digital-to-analogue converter of the row drivers.

    Args:
        bits: resolution. Unsigned: 2^bits - 1 steps from 0 to `v_max`; signed: as many from -v_max to v_max,
            with one code fewer so that zero is a code.
        v_max: V, full scale. Larger voltages are cut, as a driver cuts them.
        signed: whether negative voltages can be driven.
    """

    bits: int
    v_max: float
    signed: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_integer("bits", self.bits, at_least=2 if self.signed else 1)
        check_positive("v_max", self.v_max, "V")

    @property
    def v_step(self) -> float:
        """V, between neighbouring codes."""
        codes = 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1
        return self.v_max / codes

    def convert(self, v: torch.Tensor) -> torch.Tensor:
        """The nearest voltage that the converter can drive, `(...)` V."""
        low = -self.v_max if self.signed else 0.0
        return (v.clamp(low, self.v_max) * (1 / self.v_step)).round_() * self.v_step
