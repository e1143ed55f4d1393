"""The converter at the rows: from a number to one of finitely many voltages."""

from dataclasses import dataclass

import torch

from ohmweave.base import check_integer, check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class DAC:
    """Digital-to-analogue converter of the row drivers.

    Args:
        bits: resolution. Unsigned: 2^bits - 1 steps from 0 to `v_max`; signed: as many from -v_max to v_max,
            with one code fewer so that zero is a code.
        v_max: V, full scale. Larger voltages are cut, as a driver cuts them.
        signed: whether negative voltages can be driven.
        bit_serial: drive the magnitude bit by bit, each bit that is one as a read at `v_max` (or -v_max), and add the
            results with the weights of the bits. Drivers then need one voltage only.
    """

    bits: int
    v_max: float
    signed: bool = False
    bit_serial: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_integer("bits", self.bits, at_least=2 if self.signed else 1)
        check_positive("v_max", self.v_max, "V")

    @property
    def n_planes(self) -> int:
        """Reads that one input takes: a read for each bit of the magnitude, if bit-serial."""
        if not self.bit_serial:
            return 1
        return self.bits - 1 if self.signed else self.bits

    @property
    def v_step(self) -> float:
        """V, between neighbouring codes."""
        codes: int = 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1
        return self.v_max / codes

    def codes(self, v: torch.Tensor) -> torch.Tensor:
        """The code of the nearest voltage, `(...)`, whole numbers of the dtype of `v`."""
        low = -self.v_max if self.signed else 0.0
        return v.clamp(low, self.v_max).mul_(1 / self.v_step).round_()

    def convert(self, v: torch.Tensor) -> torch.Tensor:
        """The nearest voltage that the converter can drive, `(...)` V."""
        return self.codes(v).mul_(self.v_step)

    def intervals(self, v: torch.Tensor) -> list[tuple[torch.Tensor, float]]:
        """What the drivers apply one after another for `v` that `convert` gave, V, and how much each counts."""
        if not self.bit_serial:
            return [(v, 1.0)]
        magnitude = (v.abs() * (1 / self.v_step)).round_().long()
        drive = v.sign() * self.v_max
        share = self.v_step / self.v_max
        return [(drive * ((magnitude >> k) & 1), share * 2.0**k) for k in range(self.n_planes)]

    def noise_square(self, v: torch.Tensor) -> torch.Tensor:
        """What a cell's read variance is multiplied by, `(...)` V^2, for voltages `v` that `convert` gave.

        v^2 for one read. Bit-serial reads have their own noise each, and bit k counts 2^k times:
        v_step^2 times the sum of 4^k over the bits that are one.
        """
        if not self.bit_serial:
            return v.square()
        code = torch.arange(2**self.n_planes)
        planes = (code[:, None] >> torch.arange(self.n_planes)) & 1
        table = (planes.double() @ 4.0 ** torch.arange(self.n_planes, dtype=torch.float64)) * self.v_step**2
        magnitude = (v.abs() * (1 / self.v_step)).round_().long()
        return table.to(v.dtype)[magnitude]
