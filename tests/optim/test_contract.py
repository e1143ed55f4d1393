"""Every rule keeps the contract of rules."""

import torch

from ohmweave.base import generator
from ohmweave.cells import Cell, GateCompliance, LinearGate
from ohmweave.mapping import Chip, DifferentialPair
from ohmweave.nn import Linear, OnChip
from ohmweave.optim import (
    AdaptiveWriteVerify,
    GateControlled,
    Manhattan,
    MixedPrecision,
    PulsedSGD,
    SignPulse,
    Stellar,
    ThresholdedWriteVerify,
    TikiTakaV2,
)
from ohmweave.programming import BlindWrite, WriteVerify
from ohmweave.testing import RuleContract
from ohmweave.testing.rules import G_STEP, N_IN, N_OUT

W_STEP = 1 / 1800


class TestSignPulse(RuleContract):
    def make_rule(self, params):
        return SignPulse(params)


class TestStellar(RuleContract):
    def make_rule(self, params):
        return Stellar(params, gate=0.4)


class TestManhattan(RuleContract):
    def make_rule(self, params):
        return Manhattan(params, g_step=G_STEP, dead=0.1)


class TestManhattanVerify(RuleContract):
    def make_rule(self, params):
        return Manhattan(params, g_step=8 * G_STEP, write=WriteVerify(tolerance=0.6 * G_STEP))


class TestPulsedSGD(RuleContract):
    n_steps = 8

    def make_rule(self, params):
        return PulsedSGD(params, lr=2 * W_STEP, g_step=G_STEP, generator=generator(1, "pulsed"))


class TestPulsedSGDCoincidences(RuleContract):
    n_steps = 12

    def make_rule(self, params):
        chance = generator(1, "pulsed")
        return PulsedSGD(params, lr=3 * W_STEP, g_step=G_STEP, generator=chance, draw="coincidences")


class TestMixedPrecision(RuleContract):
    def make_rule(self, params):
        return MixedPrecision(params, lr=0.4 * W_STEP, g_step=G_STEP)


class TestThresholdedWriteVerify(RuleContract):
    def make_rule(self, params):
        return ThresholdedWriteVerify(params, lr=4 * G_STEP, threshold=G_STEP, write=BlindWrite(g_step=G_STEP))


class TestAdaptiveWriteVerify(RuleContract):
    """Equal gradients from batch to batch have no noise, so that the largest rate is taken: here for all weights."""

    n_steps = 8

    def make_rule(self, params):
        return AdaptiveWriteVerify(params, share=1.0, threshold=4 * G_STEP, write=BlindWrite(g_step=G_STEP))


class TestTikiTakaV2(RuleContract):
    n_steps = 12

    def make_rule(self, params):
        return TikiTakaV2(
            params,
            fast_lr=2 * W_STEP,
            lr=1.0,
            g_step=G_STEP,
            generator=generator(1, "tiki-taka"),
            columns=2,
            write=BlindWrite(g_step=G_STEP),
            n_zeroing=1,
        )


class TestGateControlled(RuleContract):
    """Its own cells: a SET leaves 100 uS/V times the gate voltage."""

    def make_rule(self, params):
        return GateControlled(params, torch.optim.RMSprop, lr=0.01, alpha=0.9)

    def make_layers(self, n_chips=None, *, noisy=False, seed=0):
        noise = 5e-6 if noisy else 0.0
        cell = Cell(GateCompliance(gate=LinearGate(slope=100e-6), v_gate=1.6, v_gate_max=2.5, noise=noise))
        chip = Chip(cell, n_arrays=2, rows=2 * N_IN, cols=N_OUT, n_chips=n_chips, seed=seed, dtype=torch.float64)
        how = OnChip(mapping=DifferentialPair(lines="rows", g_unit=1e-4))
        return [Linear(N_IN, N_OUT, bias=False, chip=chip, name=name, on_chip=how) for name in ("a", "b")]


class TestGateControlledAdam(TestGateControlled):
    def make_rule(self, params):
        return GateControlled(params, torch.optim.Adam, lr=0.01)
