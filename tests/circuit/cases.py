"""Crossbars that every solver is tried on."""

import torch
from hypothesis import strategies as st

from ohmweave.base import generator
from ohmweave.circuit import Wires


def conductances(*shape: int, seed: int = 0, g_min: float = 1e-7, g_max: float = 1e-3) -> torch.Tensor:
    """Log-uniform over four decades, S: no two rows, columns or corners alike."""
    u = torch.rand(shape, generator=generator(seed, "conductances"), dtype=torch.float64)
    return g_min * (g_max / g_min) ** u


def voltages(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.3 * torch.rand(shape, generator=generator(seed, "voltages"), dtype=torch.float64)


WIRES = {
    "segments": Wires(r_row=1.0, r_col=2.5),
    "everything": Wires(r_row=3.0, r_col=1.5, r_driver=120.0, r_sense=40.0),
    "both": Wires(r_row=3.0, r_col=1.5, r_driver=120.0, r_sense=40.0, driven_from="both"),
    "ideal rows": Wires(r_row=0.0, r_col=2.0, r_driver=50.0),
    "ideal rows, both": Wires(r_row=0.0, r_col=2.0, r_driver=50.0, r_sense=1.0, driven_from="both"),
    "ideal columns": Wires(r_row=2.0, r_col=0.0, r_sense=50.0),
    "ideal columns to ground": Wires(r_row=2.0, r_col=0.0, driven_from="both"),
    "ends alone": Wires(r_row=0.0, r_col=0.0, r_driver=70.0, r_sense=30.0),
    "drivers alone, both": Wires(r_row=0.0, r_col=0.0, r_driver=70.0, driven_from="both"),
    "nothing": Wires(r_row=0.0, r_col=0.0, driven_from="both"),
}

ohms = st.one_of(st.just(0.0), st.floats(-1, 2).map(lambda exponent: 10.0**exponent))


@st.composite
def wires(draw: st.DrawFn) -> Wires:
    return Wires(
        r_row=draw(ohms),
        r_col=draw(ohms),
        r_driver=draw(ohms),
        r_sense=draw(ohms),
        driven_from=draw(st.sampled_from(["left", "both"])),
    )
