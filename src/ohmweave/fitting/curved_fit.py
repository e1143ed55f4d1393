"""Fit of laws of `curved_laws` to readings that are taken for exact."""

from dataclasses import replace

import numpy as np

from ohmweave.fitting.curved_laws import first_guess
from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.lanes import N_FOLDS, lanes_of
from ohmweave.fitting.likelihood import Parameters, Sample, log_likelihood, residuals
from ohmweave.fitting.noisy_fit import estimated
from ohmweave.fitting.noisy_laws import NoisyLaw
from ohmweave.fitting.noisy_likelihood import Point, without_folds
from ohmweave.fitting.trains import Floats, PulseTrains
from ohmweave.fitting.usable import MARGIN, Usable, which_bound


def fitted_curved(law: NoisyLaw, trains: PulseTrains, data: Usable) -> FittedLaw:
    """Fit one law by the filter without read noise; steps are judged as those of other laws are.

    Args:
        law: one of `curved_laws`.
        trains: the data.
        data: window, cells and steps.

    Raises:
        OutOfRangeError: the law that fits best is out of range.
        ConvergenceError: the likelihood has no maximum.
    """
    guess = first_guess(law, trains, data)
    off = _off(law, data, guess)
    spread = float(np.median(np.abs(off)) / 0.6745)
    found = estimated(
        law,
        data,
        lanes_of(trains, data),
        c=guess.tolist(),
        q=[max(spread, 1e-5) ** 2],
        factor=np.ones(len(data.working)),
        growth="none",
        r2=0.0,
        held=False,
    )
    rest = without_folds(found.problem, found.peak)
    score, fold = np.empty(len(data.cell)), data.steps.fold
    for one in range(N_FOLDS):
        sample, at = _exact(law, data, rest, one)
        score[fold == one] = log_likelihood(sample, at)[fold == one]
    return replace(found.law, z=residuals(*_exact(law, data, found.peak.point, 0)), held_out=score, read_noise={})


def _off(law: NoisyLaw, data: Usable, c: Floats) -> Floats:
    """`(steps,)`: steps less their mean by the law, in units of the window."""
    sample = _exact(law, data, Point(shared=np.array([[*c, 1.0, 0.0, 0.0]]), log_f=np.zeros((1, len(data.working)))), 0)
    return np.asarray(sample[0].y - sample[0].basis[:, 0])


def _exact(law: NoisyLaw, data: Usable, point: Point, row: int) -> tuple[Sample, Parameters]:
    """The steps and one set of parameters as `likelihood` takes them: the mean step is a basis of one term."""
    assert law.mean is not None  # of every curved law
    n, window = len(law.coefficients), data.g_max - data.g_min
    c, sigma = point.shared[row : row + 1, :n], float(point.shared[row, n]) ** 0.5
    before, after = data.steps.g_before, data.steps.g_after
    side, x = which_bound(after, data.g_min, data.g_max), (before - data.g_min) / window
    y = np.where(side == 0, (after - before) / window, (side > 0) - side * MARGIN - x)
    mean = law.mean(c, x[None], data.steps.polarity > 0)[0]
    zero = np.zeros(len(x), dtype=np.int64)
    sample = Sample(y, side, data.cell, zero, mean[:, None], zero[:, None])
    return sample, Parameters(np.exp(-point.log_f[row]) / sigma, np.ones(1), np.array([1 / sigma]))
