"""`zhang2018/cost`: bits kept, converters used and pulses sent, against back-propagation in 8 and in 32 bits.

Bits are counted from the signals of a training step. Energy and area are a model of ours: counted activity times cited
component costs, for the periphery alone, without wires and control.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import torch

from ohmweave.base import generator
from ohmweave.cells import Cell, linear_steps
from ohmweave.cost import ADC_ENERGY_YAO, COMPARATOR_ENERGY
from ohmweave.data import load
from ohmweave.experiments import (
    Assumption,
    AtLeast,
    Between,
    Claim,
    Context,
    Estimate,
    Estimator,
    Experiment,
    Needs,
    Options,
    Row,
    TableSpec,
    Task,
    mean_interval,
    numbers,
    register,
    value_of,
)
from ohmweave.nn import ErrorLoss
from ohmweave.papers.changes import OURS_NOW
from ohmweave.papers.sharing import tasks_by_seed
from ohmweave.papers.zhang2018.network import ASSUMPTIONS, G_MAX, G_MIN, PAPER, Hyperparameters, SignPerceptron, binary

NAME = "zhang2018/cost"
HIDDEN = 100
_SAMPLES = {"smoke": 200, "full": 2_000}

# J. Horowitz, ISSCC 2014 (45 nm): 10 pJ for 64 bits of an 8 kB memory; 8-bit and 32-bit floating multiply and add.
E_BIT = 10e-12 / 64
E_PRODUCT = {8: 0.2e-12, 32: 3.7e-12}
# m2. Kull et al. 2013: 0.0015 mm2 a converter. A comparator is taken as a tenth of it; ours.
A_ADC = 0.0015e-6
A_COMPARATOR = A_ADC / 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Periphery:
    """Use of the periphery in a training step, for one sample.

    Attributes:
        n_comparisons, n_conversions: decisions of single comparators, conversions of 8-bit converters.
        n_products: products of the update that are computed digitally, of `bits` bits.
        bits: of a product.
        n_bits: kept between forward and backward pass, each written once and read once.
        n_comparators, n_converters: one a line, not shared.
    """

    n_comparisons: float = 0.0
    n_conversions: float = 0.0
    n_products: float = 0.0
    bits: int = 8
    n_bits: int
    n_comparators: int = 0
    n_converters: int = 0

    def energy(self) -> dict[str, float]:
        """J a sample, by component."""
        return {
            "converters": self.n_conversions * ADC_ENERGY_YAO,
            "comparators": self.n_comparisons * COMPARATOR_ENERGY,
            "memory": 2 * self.n_bits * E_BIT,
            "products": self.n_products * E_PRODUCT[self.bits],
        }

    def area(self) -> float:
        """m2 of converters and comparators."""
        return self.n_converters * A_ADC + self.n_comparators * A_COMPARATOR


def bits_of(signal: torch.Tensor) -> int:
    """Bits that a signal of any shape needs: log2 of its number of different values, rounded up."""
    return ceil(log2(len(signal.unique())))


def tasks(options: Options) -> list[Task]:
    """One chip a seed."""
    return tasks_by_seed(NAME, options, [{"samples": _SAMPLES[options.scale]}])


def run(task: Task, context: Context) -> Mapping[str, Any]:
    """Train on some samples, and count the bits that layers exchange, pulses and reads."""
    data = load(task.params["data"], data_dir=context.options.data_dir)
    n_in, n_out = data.train.images[0].numel(), data.n_classes
    cell = Cell(linear_steps(g_min=G_MIN, g_max=G_MAX, levels=1_000))
    perceptron = SignPerceptron(cell, n_in, n_out, Hyperparameters.of(HIDDEN), seed=task.seed)
    chosen = torch.randperm(len(data.train), generator=generator(task.seed, NAME, "order"))[: task.params["samples"]]
    forward, backward = _signals(perceptron, binary(data.train)[chosen], data.train.labels[chosen])
    before = perceptron.chip.array.books.activity.copy()
    perceptron.train_epoch(binary(data.train)[chosen], data.train.labels[chosen])
    done = perceptron.chip.array.books.activity - before
    neurons = HIDDEN + n_out
    n_weights = (n_in + 1) * HIDDEN + (HIDDEN + 1) * n_out
    kept = neurons * forward + neurons * backward
    # Forward: zero and both sides of the boxcar for a hidden neuron, both sides of the margin for an output.
    # Backward: both sides of the threshold for a hidden neuron. Its boxcar costs a bit more to keep.
    n_comparators = 3 * HIDDEN + 2 * n_out + 2 * HIDDEN
    schemes = {
        "sbp": Periphery(n_comparisons=n_comparators, n_comparators=n_comparators, n_bits=kept + HIDDEN),
        "bp8": _back_propagation(n_out, n_weights, 8),
        "bp32": _back_propagation(n_out, n_weights, 32),
    }
    return {
        "bits": {"sbp": kept, "boxcar": HIDDEN, "bp8": neurons * 2 * 8, "bp32": neurons * 2 * 32},
        "bits_forward": forward,
        "bits_backward": backward,
        "n_pulses": (done.n_set + done.n_reset) / len(chosen),
        "n_reads": done.n_reads / len(chosen),
        "energy": {
            name: scheme.energy() | {"total": sum(scheme.energy().values())} for name, scheme in schemes.items()
        },
        "area": {name: scheme.area() for name, scheme in schemes.items()},
        "conversions": {name: scheme.n_conversions for name, scheme in schemes.items()},
        "comparisons": {name: scheme.n_comparisons for name, scheme in schemes.items()},
    }


def _back_propagation(n_out: int, n_weights: int, bits: int) -> Periphery:
    """The same reads through 8-bit converters; the outer product is computed and kept in `bits` bits."""
    lines = HIDDEN + n_out + HIDDEN
    return Periphery(
        n_conversions=lines, n_converters=lines, n_products=n_weights, bits=bits, n_bits=(HIDDEN + n_out) * 2 * bits
    )


def _signals(perceptron: SignPerceptron, x: torch.Tensor, labels: torch.Tensor) -> tuple[int, int]:
    """Bits that neurons pass forward and backward, from one batch `(n, in)` with labels `(n,)`, without an update."""
    passed: list[torch.Tensor] = []
    returned: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        passed.append(output.detach().flatten())
        inputs[0].register_hook(lambda error: returned.append(error.flatten()))

    handle = perceptron.comparators.register_forward_hook(keep)
    z = perceptron.net(x)
    handle.remove()
    ErrorLoss(perceptron.error)(z, labels).backward()
    one_hot = torch.nn.functional.one_hot(labels, z.shape[-1])
    passed.append((z.detach() >= 0).float().flatten())
    returned.append(perceptron.error(z.detach(), one_hot).flatten())
    perceptron.rule.zero_grad()
    return bits_of(torch.cat(passed)), bits_of(torch.cat(returned))


def _ratio(of: str, to: str) -> Estimator:
    """How many times more."""

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        return mean_interval([a / b for a, b in zip(numbers(rows, of), numbers(rows, to), strict=True)])

    return estimate


_MNIST = Needs(data="mnist")
_BITS = "ours: 1 bit forward and 2 bits backward (abstract) for 110 neurons; the paper's own table is not at hand"


def _bits_claim(scheme: str, bits: int, words: str) -> Claim:
    return Claim(
        key=f"bits-{scheme}",
        quantity=f"bits kept for a sample of 784-100-10 by {words}",
        unit="bits",
        paper=None,
        where=_BITS if scheme == "sbp" else "ours: the same count with activations and errors of that width",
        estimate=value_of(f"bits.{scheme}"),
        accept=Between(bits, bits),
        note="reconstructed; a boxcar derivative keeps 100 bits more" if scheme == "sbp" else "reconstructed",
        declared=OURS_NOW,
    )


def _saving(key: str, quantity: str, of: str, to: str) -> Claim:
    return Claim(
        key=key,
        quantity=quantity,
        unit="times",
        paper=None,
        where="abstract: area and energy of computing and storing intermediate results are saved; no number",
        estimate=_ratio(of, to),
        accept=AtLeast(1.0),
        needs=_MNIST,
        note="reconstructed; energy and area are our model",
    )


CLAIMS = (
    _bits_claim("sbp", 330, "sign backpropagation"),
    _bits_claim("bp8", 1_760, "back-propagation in 8 bits"),
    _bits_claim("bp32", 7_040, "back-propagation in 32 bits"),
    _saving("energy-8", "periphery energy of 8-bit back-propagation over ours", "energy.bp8.total", "energy.sbp.total"),
    _saving(
        "energy-32", "periphery energy of 32-bit back-propagation over ours", "energy.bp32.total", "energy.sbp.total"
    ),
    _saving("area", "converter area of back-propagation over comparator area of ours", "area.bp8", "area.sbp"),
)


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a scheme, for one sample."""
    names = {"sbp": "sign backpropagation", "bp8": "back-propagation, 8 bit", "bp32": "back-propagation, 32 bit"}

    def mean(key: str) -> float:
        found = mean_interval(numbers(rows, key))
        assert found is not None
        return found.value

    return [
        {
            "scheme": name,
            "bits kept": f"{mean(f'bits.{key}'):.0f}",
            "conversions": f"{mean(f'conversions.{key}'):.0f}",
            "comparisons": f"{mean(f'comparisons.{key}'):.0f}",
            "periphery energy (nJ)": f"{mean(f'energy.{key}.total') * 1e9:.3f}",
            "converter area (mm2)": f"{mean(f'area.{key}') * 1e6:.3f}",
        }
        for key, name in names.items()
    ]


register(
    Experiment(
        name=NAME,
        title="What one- and two-bit interfaces save",
        paper=PAPER,
        summary="Counts the bits that forward and backward passes keep, the decisions and conversions they take and "
        "the pulses an update sends, for one sample of 784-100-10, and prices the periphery with cited component "
        "costs. Reconstructed: the paper's own table is not at hand.",
        claims=CLAIMS,
        assumptions=(
            *ASSUMPTIONS,
            Assumption(
                text="energy: ADC 2.55 pJ a conversion, a comparator an eighth of it, 0.16 pJ a bit kept, 0.2 and "
                "3.7 pJ a product of 8 and 32 bits; area: 0.0015 mm2 an ADC, a comparator a tenth of it; one converter "
                "or comparator a line; reads and pulses of the cells are not in it",
                source="Yao et al. 2020; Kull et al. 2013; Horowitz 2014; comparator: ours",
            ),
        ),
        tasks=tasks,
        run=run,
        tables=(TableSpec(name="schemes", title="By scheme", caption="For one sample.", rows=table),),
    )
)
