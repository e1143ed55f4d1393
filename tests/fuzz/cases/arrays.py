"""Converters, wires, placements and the constructor of the array."""

from typing import Any

import torch

from ohmweave import arrays, cells
from ohmweave.arrays import ADC, DAC, SimulatedArray, Tile, Wires
from tests.fuzz.runner import Call, Case

CELL = cells.Cell(cells.linear_steps(g_min=2e-6, g_max=20e-6, levels=100, c2c=0.5))
VOLTAGE = cells.Cell(CELL.switching, voltage=cells.VoltageDependence(v_set=1.5, v_reset=1.5, v0=0.2))


def array(**options: Any) -> SimulatedArray:
    """A small array in mid-range states."""
    made = SimulatedArray(options.pop("cell", CELL), rows=6, cols=8, **options)
    every = torch.arange(48 * (made.n_chips or 1))
    made.pulse(every, cells.Pulse(torch.ones(len(every)), n=every % 8, v=_volts(made, every)))
    return made


def _volts(made: SimulatedArray, every: torch.Tensor) -> torch.Tensor | None:
    return torch.full(every.shape, 1.5) if made.cell.feels_voltage else None


def placement(made: arrays.Array | None = None) -> arrays.Placement:
    """4 inputs x 3 outputs, differential columns, on one tile."""
    del made
    tile = Tile(array=0, row=1, col=1, rows=4, cols=6, row_line=0, col_line=0)
    return arrays.Placement(tiles=(tile,), cells=arrays.cells_of((tile,), rows=6, cols=8), col_gain=(1.0, -1.0))


def read(made: SimulatedArray) -> torch.Tensor:
    """A read of positive voltages within the limit, and a readout."""
    where, chips = placement(), made.chip_shape
    made.readout(made.cells(where))
    return made.read(torch.linspace(0, made.v_read, 8).view(2, 4).expand(*chips, 2, 4).to(made.dtype), where)


def reading(**fixed: Any) -> Any:
    """A use of a part of an array: an array with it is read."""

    def use(part: Any) -> torch.Tensor:
        name = next(one for one in fixed if fixed[one] is ...)
        return read(array(**fixed | {name: part}))

    return use


def _simulated() -> Call:
    arguments = {
        "cell": CELL, "n_arrays": 2, "rows": 6, "cols": 8, "n_chips": 2, "seed": 1, "v_read": 0.2,
        "dac": DAC(bits=4, v_max=0.2), "adc": ADC(bits=8), "wires": Wires(r_row=1.0, r_col=1.0), "access": None,
        "readout": "cell", "device": "cpu", "dtype": torch.float32,
    }  # fmt: skip
    return Call(function=SimulatedArray, arguments=arguments, use=read)


def _cells_of(tile: dict[str, int], rows: int, cols: int) -> torch.Tensor:
    return arrays.cells_of((Tile(**tile),), rows=rows, cols=cols)


def _books() -> Call:
    def use(books: arrays.Books) -> Any:
        books.read(placement(), torch.ones(2, 4) * 0.1)
        books.pulse(torch.arange(3), cells.Pulse(torch.ones(3)))
        return books.state_dict()

    return Call(function=arrays.Books, arguments={"n_cells": 48, "v_read": 0.2, "n_chips": 1}, use=use, negative=False)


ADC_FIELDS = {
    "bits": 8, "i_max": 1e-5, "signed": True, "columns_per_adc": 2, "offset": 0.5, "gain": 0.01, "inl": 0.5,
    "noise": 0.3, "subtract": "analogue",
}  # fmt: skip
TILE = {"array": 0, "row": 1, "col": 1, "rows": 4, "cols": 6, "row_line": 0, "col_line": 0}

ARRAYS: dict[str, Case] = {
    "arrays.ADC": lambda: Call(function=ADC, arguments=ADC_FIELDS, use=reading(adc=...)),
    "arrays.DAC": lambda: Call(
        function=DAC, arguments={"bits": 4, "v_max": 0.2, "signed": True, "bit_serial": False}, use=reading(dac=...)
    ),
    "arrays.DAC:serial": lambda: Call(
        function=DAC,
        arguments={"bits": 4, "v_max": 0.2, "signed": True, "bit_serial": True},
        use=reading(dac=..., adc=ADC(bits=8)),
    ),
    "arrays.Wires": lambda: Call(
        function=Wires,
        arguments={"r_row": 1.0, "r_col": 2.0, "r_driver": 10.0, "r_sense": 5.0, "driven_from": "both"},
        use=reading(wires=...),
    ),
    "arrays.Transistors": lambda: Call(
        function=arrays.Transistors, arguments={"r_on": 1e3, "v_set": 1.5, "v_reset": 1.6},
        use=reading(cell=VOLTAGE, access=...),
    ),
    "arrays.Passive": lambda: Call(
        function=arrays.Passive, arguments={"v_set": 1.5, "v_reset": 1.6, "scheme": "third"},
        use=lambda access: read(SimulatedArray(VOLTAGE, rows=6, cols=8, access=access, readout="read")),
    ),
    "arrays.Periphery": lambda: Call(
        function=arrays.Periphery, arguments={"dac": DAC(bits=4, v_max=0.2), "adc": ADC(bits=8)},
        use=lambda both: read(array(dac=both.dac, adc=both.adc)),
    ),
    "arrays.ReadScale": lambda: Call(
        function=arrays.ReadScale, arguments={"v_per_x": 0.2, "a_per_y": 1e-6},
        use=lambda scale: array().read_scaled(torch.ones(2, 4), placement(), scale),
    ),
    "arrays.ConvGeometry": lambda: Call(
        function=arrays.ConvGeometry,
        arguments={"kernel_size": (2, 2), "stride": (1, 1), "dilation": (1, 1), "padding": (0, 1, 0, 1)},
        use=lambda geometry: geometry.out_size((4, 4, 1)),
    ),
    "arrays.Tile": lambda: Call(
        function=Tile, arguments=TILE, use=lambda tile: arrays.cells_of((tile,), rows=6, cols=8), negative=False
    ),
    "arrays.cells_of": lambda: Call(function=_cells_of, arguments={"tile": TILE, "rows": 6, "cols": 8}),
    "arrays.Placement": lambda: Call(
        function=arrays.Placement,
        arguments={"tiles": placement().tiles, "cells": placement().cells, "row_gain": (1.0,), "col_gain": (1.0, -1.0)},
        use=lambda where: array().read(torch.full((2, where.n_in), 0.1), where),
    ),
    "arrays.SimulatedArray": _simulated,
    "arrays.Books": _books,
    "arrays.Meter": lambda: Call(function=arrays.Meter, arguments={"layers": {"fc": placement()}}),
    "arrays.count_pulses": lambda: Call(
        function=lambda cells_, polarity, n, n_cells: arrays.count_pulses(
            cells_, cells.Pulse(polarity, n=n), n_cells=n_cells
        ),
        arguments={
            "cells_": torch.arange(3), "polarity": torch.tensor([1.0, 0.0, -1.0]), "n": torch.tensor([1, 2, 3]),
            "n_cells": 48,
        },
        negative=False,
    ),
}  # fmt: skip
