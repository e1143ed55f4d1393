"""What numbers stand for, in reads whose result does not depend on it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadScale:
    """Scale between numbers, volts and amperes.

    An array of linear cells without converters multiplies whatever the scale is: it need not be applied to the
    numbers, only known to those who count volts.

    Attributes:
        v_per_x: V, of a 1 at the inputs.
        a_per_y: A, of a 1 at the outputs.
    """

    v_per_x: float = 1.0
    a_per_y: float = 1.0

    @property
    def s_per_w(self) -> float:
        """S, of a 1 in the matrix."""
        return self.a_per_y / self.v_per_x


IN_SI = ReadScale()
"""Volts in, amperes out."""
