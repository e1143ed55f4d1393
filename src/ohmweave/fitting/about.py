"""What a cell file says about its fit: estimates, intervals, correlations and origin, in SI units and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any, TypeAlias

from ohmweave.fitting.cycling_fit import CyclingFit
from ohmweave.fitting.fit import Fit
from ohmweave.fitting.measurement import Measurement
from ohmweave.fitting.noise_in_time import NoiseFit
from ohmweave.fitting.retention import RetentionFit
from ohmweave.fitting.sweeps import ConductionFit

Other: TypeAlias = RetentionFit | NoiseFit | ConductionFit | CyclingFit


def about_of(
    measured: Measurement, pulses: Fit | None, others: Sequence[Other], notes: Sequence[str]
) -> dict[str, Any]:
    """The note of a cell file.

    Args:
        measured: what was fitted.
        pulses: the fit of the pulse trains of this cell.
        others: fits of other measurements.
        notes: how the parts were joined.
    """
    fitted = {_NAMES[type(one)]: _other(one) for one in others}
    return {
        **({} if pulses is None else {"verdict": str(pulses.agreement), "notes": list(pulses.notes)}),
        "file": ", ".join(measured.files),
        **({} if pulses is None else _pulses(pulses)),
        **({"parts": fitted} if fitted else {}),
        "joined": [*notes, "parts of different measurements and d2d are taken for independent of the rest"],
        "guessed": list(measured.guesses),
        "left_out": [str(one) for one in measured.left_out],
        "origin": {
            "files": dict(zip(measured.files, measured.sha256, strict=False)),
            "ohmweave": metadata.version("ohmweave"),
        },
    }


def _pulses(result: Fit) -> dict[str, Any]:
    """Of pulse trains: fractions, 95 % intervals, and the correlations of the errors of `parameters`."""
    law = result.chosen
    return {
        "cells": len(result.used.working),
        "pulses": len(result.used.cell),
        "conditions": dict(result.trains.conditions),
        "chosen": law.name,
        "g_min": result.used.g_min,
        "g_max": result.used.g_max,
        "parameters": {name: list(interval) for name, interval in law.parameters.items()},
        "correlations": {"of": list(law.parameters), "matrix": law.correlation.round(4).tolist()},
        "d2d": list(law.d2d),
        "stuck": list(result.stuck),
        "read_noise": {name: list(interval) for name, interval in law.read_noise.items()},
        "agreement": asdict(result.agreement),
        "behind": {name: list(gap) for name, gap in result.behind.items()},
        "numbers": list(law.numbers),
    }


_NAMES: dict[type, str] = {
    RetentionFit: "retention",
    NoiseFit: "noise",
    ConductionFit: "conduction",
    CyclingFit: "cycling",
}


def _other(result: Other) -> dict[str, Any]:
    if isinstance(result, RetentionFit):
        return {
            "shift_error": result.shift_error.tolist(),
            "sigma_error": result.sigma_error.tolist(),
            "readings": result.n.tolist(),
            "off_median": result.off_median,
            "off_quartiles": result.off_quartiles,
        }
    if isinstance(result, NoiseFit):
        return {
            "slope": result.slope,
            "white": result.white,
            "averages": {str(n): list(values) for n, values in result.averages.items()},
        }
    if isinstance(result, ConductionFit):
        return {"v0": list(result.v0), "offset": list(result.offset), "off": result.off_by_form}
    return {
        "after_set": asdict(result.after_set),
        "after_reset": asdict(result.after_reset),
        "closed": result.closed,
        "off_median": result.off_median,
        "off_quartiles": result.off_quartiles,
    }
