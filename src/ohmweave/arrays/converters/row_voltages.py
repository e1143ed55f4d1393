"""The voltages of a read, as codes of the DAC and in volts; converted once and passed to all that need either."""

from dataclasses import dataclass

import torch

from ohmweave.arrays.converters.dac import DAC


@dataclass(frozen=True, slots=True)
class RowVoltages:
    """Voltages on rows, `(...)`, in units of the row drivers.

    Attributes:
        numbers: `(...)`. Codes of `dac` (whole numbers of a floating dtype), or V without a converter.
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
        """V for a 1 in `numbers`."""
        return 1.0 if self.dac is None else self.dac.v_lsb

    @property
    def v(self) -> torch.Tensor:
        """`(...)` V, the voltages of a read in a single interval."""
        return self.numbers if self.dac is None else self.numbers * self.dac.v_lsb

    def of_numbers(self, numbers: torch.Tensor) -> "RowVoltages":
        """`numbers`, of any shape, from the same converter: a part of these, or these in another order or shape."""
        return RowVoltages(numbers, self.dac)

    def intervals(self) -> list[tuple[torch.Tensor, float]]:
        """The voltages of each interval, `(...)` V, and the weight of its result."""
        dac = self.dac
        if dac is None or not dac.bit_serial:
            return [(self.v, 1.0)]
        magnitude = self.numbers.abs().long()
        drive = self.numbers.sign() * dac.v_max
        share = dac.v_lsb / dac.v_max
        return [(drive * ((magnitude >> k) & 1), share * 2.0**k) for k in range(dac.n_planes)]

    def square(self, table: torch.Tensor | None) -> torch.Tensor:
        """The factor of a cell's read variance, `(...)` V^2: v^2 for a read in one interval.

        Args:
            table: `DAC.square_table` if the converter is bit-serial, else None.
        """
        return self.v.square() if table is None else table[self.numbers.abs().long()]
