"""What the row drivers apply in one read: codes and volts, made once and passed to everything that needs either."""

from dataclasses import dataclass

import torch

from ohmweave.arrays.converters.dac import DAC


@dataclass(frozen=True, slots=True)
class RowVoltages:
    """Voltages on rows, `(...)`, in the units in which the drivers hold them.

    Attributes:
        numbers: `(...)`. Codes of `dac` (whole numbers of a floating type), or V where there is no converter.
        dac: the converter of the rows, or None.
    """

    numbers: torch.Tensor
    dac: DAC | None = None

    @classmethod
    def of(cls, v: torch.Tensor, dac: DAC | None) -> "RowVoltages":
        """Convert `v`, `(...)` V; raises as `DAC.codes` does."""
        return cls(v if dac is None else dac.codes(v), dac)

    @property
    def v_per_number(self) -> float:
        """V, of a 1 in `numbers`."""
        return 1.0 if self.dac is None else self.dac.v_lsb

    @property
    def v(self) -> torch.Tensor:
        """`(...)` V, what one read in a single interval would apply."""
        return self.numbers if self.dac is None else self.numbers * self.dac.v_lsb

    @property
    def n_intervals(self) -> int:
        """Applications of voltages that the read takes: the bits of a number where they are sent one by one."""
        return 1 if self.dac is None else self.dac.n_planes

    def of_numbers(self, numbers: torch.Tensor) -> "RowVoltages":
        """Other numbers from the same converter: a part of these, or these in another order or shape."""
        return RowVoltages(numbers, self.dac)

    def intervals(self) -> list[tuple[torch.Tensor, float]]:
        """What the drivers apply one after another, `(...)` V, and the weight with which each result counts."""
        dac = self.dac
        if dac is None or not dac.bit_serial:
            return [(self.v, 1.0)]
        magnitude = self.numbers.abs().long()
        drive = self.numbers.sign() * dac.v_max
        share = dac.v_lsb / dac.v_max
        return [(drive * ((magnitude >> k) & 1), share * 2.0**k) for k in range(dac.n_planes)]

    def square(self, table: torch.Tensor | None) -> torch.Tensor:
        """What a cell's read variance is multiplied by, `(...)` V^2: v^2 for one read.

        Args:
            table: `DAC.square_table` if the converter is bit-serial, else None.
        """
        return self.v.square() if table is None else table[self.numbers.abs().long()]
