"""Every switching law alone and with all parts, three with each part, and the published cells."""

from dataclasses import replace
from typing import Any

from ohmweave.cells import (
    AffineStep,
    Cell,
    FlickerNoise,
    GateCompliance,
    LevelRelaxation,
    LinearGate,
    LinearStep,
    PolynomialConduction,
    PulseTable,
    ReadNoise,
    Relaxation,
    SinhConduction,
    Spread,
    StretchedStep,
    StuckCells,
    SwitchingLaw,
    TwoState,
    VoltageDependence,
    aggregate,
    exponential_steps,
    linear_steps,
    soft_bounds,
    stellar2023,
    wang2019,
    yao2020,
)

WINDOW = {"g_min": 2e-6, "g_max": 20e-6}
SOFT = soft_bounds(**WINDOW, levels=60, asymmetry=0.8, c2c=0.5)
GATE = GateCompliance(gate=LinearGate(slope=120e-6, offset=-42e-6), v_gate=1.6, v_gate_max=2.5, noise=10e-6, d2d=25e-6)
LAWS: dict[str, SwitchingLaw[Any]] = {
    "linear": LinearStep(**WINDOW, levels=40),
    "noisy linear": linear_steps(**WINDOW, levels=60, up=1.2, down=0.7, c2c=1.0),
    "soft bounds": SOFT,
    "soft bounds, summed": aggregate(SOFT),
    "exponential": exponential_steps(**WINDOW, n_set=60, n_reset=90, shape_set=0.4, shape_reset=0.2, c2c=0.02),
    "affine from the middle": AffineStep(**WINDOW, set_step=(2e-7, 1e-7), reset_step=(-1e-7, -3e-7), g_fresh=11e-6),
    "table": PulseTable(
        **WINDOW,
        set_mean=(1.1e-6, 0.7e-6, 0.4e-6, 0.2e-6),
        set_spread=(0.5e-6, 0.6e-6, 0.8e-6, 0.9e-6),
        reset_mean=(-0.1e-6, -0.6e-6, -1.3e-6, -2.4e-6),
        reset_spread=(0.3e-6, 1.2e-6, 1.4e-6, 1.7e-6),
    ),
    "power": StretchedStep(**WINDOW, n_set=50, n_reset=40, exponent_set=0.45, exponent_reset=0.3, sigma=1e-7),
    "stretched exponential": StretchedStep(
        **WINDOW,
        n_set=60,
        n_reset=90,
        exponent_set=0.7,
        exponent_reset=1.4,
        saturation_set=0.9,
        saturation_reset=0.5,
        g_fresh=9e-6,
    ),
    "two states": TwoState(g_set=(8e-6, 15e-6, 16e-6, 20e-6), g_reset=(2e-6, 2.5e-6, 4e-6), own_set=0.3, own_reset=0.6),
    "two states that wear": TwoState(
        g_set=(8e-6, 15e-6, 20e-6), g_reset=(2e-6, 4e-6), drift_set=-0.1, drift_reset=0.2, drift_from=2.0
    ),
    "gate": GATE,
    "gate, listed cells disturbed": replace(GATE, noise_on="all", g_reset=3e-6),
}
PARTS: dict[str, dict[str, Any]] = {
    "spread": {"spread": Spread(d2d=0.3)},
    "voltage": {"voltage": VoltageDependence(v_set=1.2, v_reset=1.4, v0=0.4, v_threshold=0.6)},
    "retention": {
        "retention": (
            Relaxation(sigma_fast=0.4e-6, tau=0.5, sigma_slow=0.3e-6, t_slow=5.0),
            Relaxation(sigma_slow=1e-6, fraction=0.3),
        )
    },
    "retention by level": {
        "retention": (
            LevelRelaxation(
                g=(4e-6, 16e-6),
                ages=(0.1, 10.0, 1e3),
                shift=((1e-7, 2e-7, 4e-7), (-1e-7, -3e-7, -9e-7)),
                sigma=((1e-7, 2e-7, 3e-7), (2e-7, 5e-7, 8e-7)),
                tail_fraction=0.1,
                tail_factor=4.0,
            ),
            FlickerNoise(g=(2e-6, 20e-6), sigma=(1e-7, 3e-8), tau=(0.01, 1.0, 100.0), weight=(0.3, 0.3, 0.4)),
        )
    },
    "faults": {"faults": StuckCells(fraction=0.2, g_stuck=(1e-6, 30e-6))},
    "polynomial conduction": {"conduction": PolynomialConduction(linear=0.4, square=-0.6, v_max=0.6)},
    "conduction": {"conduction": SinhConduction(v0=0.2)},
    "read noise": {"read_noise": ReadNoise(fraction=0.02, floor=1e-8)},
}
ALL: dict[str, Any] = {name: part for parts in PARTS.values() for name, part in parts.items()}

CELLS: dict[str, Cell] = {
    **{name: Cell(law) for name, law in LAWS.items()},
    **{
        f"{name}, {part}": Cell(LAWS[name], **parts)
        for name in ("soft bounds, summed", "table", "gate, listed cells disturbed")
        for part, parts in PARTS.items()
    },
    **{f"{name}, all": Cell(law, **ALL) for name, law in LAWS.items()},
}
SUMMED: dict[str, Cell] = {
    name: Cell(law, spread=Spread(d2d=0.3, trains="aggregate"))
    for name, law in LAWS.items()
    if name in ("linear", "soft bounds, summed", "table")
}
PUBLISHED: dict[str, Cell] = {
    "yao2020": yao2020(),
    "yao2020, noisy reads": yao2020(read_noise=0.01),
    "yao2020, tails and drift": yao2020(variant="tails", drift=True),
    "wang2019": wang2019(),
    "wang2019, device": wang2019(gate="device", noise_on="written", stuck=0.0),
    **{f"stellar2023, level {level}": stellar2023(level=level) for level in range(1, 6)},
    "stellar2023, noisy": stellar2023(level=3, noise=1.0),
    "stellar2023, asymmetric": stellar2023(linear_asymmetry=4),
}
