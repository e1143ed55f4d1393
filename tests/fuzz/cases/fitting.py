"""Files of measurements and what is in them."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ohmweave import fitting
from tests.fuzz.runner import Call, Case

_CELL = np.zeros(3, dtype=np.int64)
_G = np.array([1e-6, 2e-6, 3e-6])


def _read(unit: str, v_read: float, kind: str, decimal: str, columns: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pulses.csv"
        rows = [f"A,{k},{1 if k % 8 < 4 else -1},{1 + 0.1 * min(k % 8, 8 - k % 8)}" for k in range(40)]
        path.write_text("\n".join(["cell,pulse,polarity,x", *rows]) + "\n")
        found = fitting.read(path, unit=unit, v_read=v_read, kind=kind, decimal=decimal, columns=columns)  # type: ignore[arg-type]
        return torch.from_numpy(found.trains.g)


def _cycled(g_set: Any, g_reset: Any) -> Any:
    data = fitting.Cycling(
        names=("a",), cell=np.zeros(30, dtype=np.int64), cycle=np.arange(30), g_set=g_set, g_reset=g_reset
    )
    return torch.tensor(fitting.fit_cycling(data).part.g_set)


def _cell(measured: Any, bins: int) -> Any:
    return torch.tensor(fitting.fit_cell(measured, bins=bins).cell.switching.g_set)  # type: ignore[attr-defined]


def _scaled(scale: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "norm.csv"
        path.write_text("\n".join(f"{k / 40},{1 - k / 40}" for k in range(40)) + "\n")
        return torch.from_numpy(fitting.read(path, scale=scale).trains.g)


_MANY = 1e-6 * np.linspace(1, 2, 30)
CYCLED = fitting.Cycling(
    names=("a",), cell=np.zeros(30, dtype=np.int64), cycle=np.arange(30), g_set=3 * _MANY, g_reset=_MANY
)
_SWEEP = fitting.Sweep(names=("a",), cell=np.zeros(30, dtype=np.int64), v=_MANY * 1e6, i=_MANY)


@cache
def _over_amplitudes() -> fitting.AmplitudeFit:
    """A law over three amplitudes, of cells whose SET steps grow with it."""
    fits = []
    for seed, v in enumerate((1.0, 1.2, 1.4)):
        chance, g, readings = np.random.default_rng(seed), 5e-6, [5e-6]
        pulses = ([1] * 20 + [-1] * 20) * 2
        for sign in pulses:
            g = float(np.clip(g + sign * 3e-7 * v + 1e-7 * chance.normal(), 2e-6, 2e-5))
            readings.append(g)
        trains = fitting.trains_of(np.array(readings)[:, None], np.array(pulses))
        trains = replace(trains, conditions={"v_set": v, "v_reset": 1.5})
        fits.append(fitting.fit_trains(trains, g_min=2e-6, g_max=2e-5, law="linear", read_noise="none"))
    return fitting.fit_amplitudes(fits)


FITTING: dict[str, Case] = {
    "fitting.fit_cycling": lambda: Call(function=_cycled, arguments={"g_set": 3 * _MANY, "g_reset": _MANY}),
    "fitting.fit_conduction": lambda: Call(
        function=fitting.fit_conduction, arguments={"v": _MANY * 1e6, "i": _MANY},
        use=lambda made: torch.from_numpy(made.g),
    ),
    "fitting.fit_cell": lambda: Call(
        function=_cell, arguments={"measured": fitting.Measurement(files=(), parts=(CYCLED,)), "bins": 5},
    ),
    "fitting.thresholds": lambda: Call(
        function=fitting.thresholds, arguments={"data": _SWEEP, "offset": 0.0},
        use=lambda made: torch.from_numpy(made.v_set),
    ),
    "fitting.read": lambda: Call(
        function=_read,
        negative=False,
        arguments={"unit": "uA", "v_read": 0.2, "kind": "trains", "decimal": ".", "columns": {"i": "x"}},
    ),
    "fitting.read:scale": lambda: Call(
        function=_scaled, negative=False, arguments={"scale": {-1.0: 1e-6, 2.0: 4e-6}}
    ),
    "fitting.fit_amplitudes": lambda: Call(
        function=lambda v_set, v_reset: _over_amplitudes().parameters(v_set=v_set, v_reset=v_reset)["SET step"].value,
        arguments={"v_set": 1.1, "v_reset": 1.5}, negative=False,
    ),
    "fitting.Cycling": lambda: Call(
        function=fitting.Cycling,
        arguments={"names": ("a",), "cell": _CELL, "cycle": np.arange(3), "g_set": _G, "g_reset": _G},
        use=lambda made: torch.from_numpy(np.asarray(made.g_set)),
    ),
    "fitting.RelaxationData": lambda: Call(
        function=fitting.RelaxationData,
        arguments={"names": ("a",), "cell": _CELL, "time": np.arange(3.0), "g": _G, "level": _CELL, "g_start": _G},
        use=lambda made: torch.from_numpy(np.asarray(made.g)),
    ),
    "fitting.TimeSeries": lambda: Call(
        function=fitting.TimeSeries, arguments={"names": ("a",), "g": (_G,), "interval": 2.5e-3},
        use=lambda made: made.interval,
    ),
    "fitting.Sweep": lambda: Call(
        function=fitting.Sweep, arguments={"names": ("a",), "cell": _CELL, "v": _G, "i": _G},
        use=lambda made: torch.from_numpy(np.asarray(made.i)),
    ),
    "fitting.Readout": lambda: Call(
        function=fitting.Readout, arguments={"names": ("a", "b", "c"), "g": _G},
        use=lambda made: torch.from_numpy(np.asarray(made.g)),
    ),
}  # fmt: skip
