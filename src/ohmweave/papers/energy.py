"""The bill of an experiment, image by image: training in situ, inference, and what a GPU is cited to take for the same.

Source of the GPU's figure: Ambrogio et al., Nature 558, 60 (2018), 100 GOPS/W of a V100; an operation is a
multiplication or an addition.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from ohmweave.arrays import Activity
from ohmweave.cost import GOPS_PER_W_V100, Bill, ComponentCosts
from ohmweave.experiments import JSON, Row, TableSpec, by_params, mean_interval
from ohmweave.mapping import Chip
from ohmweave.report import show_spread

MEASURING = "measuring accuracy"
"""The phase of what the experimenter wants to know and the chip would not do."""


def training_macs(layers: Sequence[int], *, n_frozen: int = 0) -> int:
    """Multiplications of learning from an image in software.

    Forward through all layers, the gradient of those that learn, and the error through those above the first of them.

    Args:
        layers: multiplications of inferring an image, layer by layer.
        n_frozen: layers at the input that do not learn.
    """
    return sum(layers) + sum(layers[n_frozen:]) + sum(layers[n_frozen + 1 :])


def macs_by_layer(bill: Bill, chip: Chip, phase: str, n_images: int) -> list[int]:
    """Multiplications of an image, in the order of the layers on `chip`: weights times vectors that they met.

    Args:
        bill: of `chip` alone.
        chip: where the layers are.
        phase: in which each image went through all layers once.
        n_images: that all chips together saw in it.
    """
    placed, usage = chip.placed, bill.usage
    return [
        usage[phase, name].n_vectors * layer.n_in * layer.n_out // n_images
        for name, layer in placed.items()
        if (phase, name) in usage
    ]


def gpu_energy(n_macs: float) -> float:
    """J that a V100 takes for `n_macs` multiplications and as many additions, by the cited figure."""
    return 2 * n_macs / GOPS_PER_W_V100


def billed(
    bill: Bill, n_images: Mapping[str, int], *, n_macs: Mapping[str, float], n_chips: int = 1
) -> dict[str, JSON]:
    """What a row keeps of a bill, for `ENERGY_TABLE`, the bill of the report, and `ohmweave cost`.

    Args:
        bill: of all chips together.
        n_images: by phase, on all chips together.
        n_macs: by phase, multiplications of an image in software.
        n_chips: how many shared the work.
    """
    images: dict[str, JSON] = {
        phase: {
            "n_images": n,
            "joules": bill.total(phase=phase) / n,
            "gpu_joules": gpu_energy(n_macs[phase]),
        }
        for phase, n in n_images.items()
    }
    records = [{**record, "images": n_images.get(str(record["phase"])), "chips": n_chips} for record in bill.rows()]
    return {"bill": records, "energy": images}


class _Cycled(Protocol):
    """A rule whose pulses go by turns."""

    n_steps: int


class SampledBill:
    """The bill of some samples, beside a training whose compiled loops cannot be counted line by line.

    What is done with the samples is undone: cells, random streams and the rule's turn are put back to where they
    stood, so that training goes on as if nobody had looked. Reads are much the same for all samples; pulses become
    fewer as a network learns, so their number is that of the whole training.

    Args:
        chip: that learns.
        rule: that it learns by.
        costs: prices.
    """

    def __init__(self, chip: Chip, rule: _Cycled, costs: ComponentCosts) -> None:
        self.bill = Bill(costs, [chip])
        self._chip, self._rule, self._n_chips = chip, rule, math.prod(chip.chip_shape)
        self._n_images: dict[str, int] = {}

    @contextmanager
    def samples(self, phase: str, n: int) -> Iterator[None]:
        """Bill what happens inside as the `phase` of `n` samples, the same for all chips, and undo it."""
        state, n_steps = self._chip.state_dict(), self._rule.n_steps
        with self.bill.counting(phase):
            yield
        self._chip.load_state_dict(state)
        self._rule.n_steps = n_steps
        self._n_images[phase] = self._n_images.get(phase, 0) + n * self._n_chips

    def billed(self, layers: Sequence[int], trained: Activity, n_trained: int) -> dict[str, JSON]:
        """What a row keeps.

        Args:
            layers: as in `training_macs`; all of them learn.
            trained: what the array did in the whole training; its pulses count.
            n_trained: samples of the whole training, the same for all chips.
        """
        share = self._n_images["training"] / (n_trained * self._n_chips)
        self.bill.recount("training", n_set=share * trained.n_set, n_reset=share * trained.n_reset)
        n_macs = {"training": training_macs(layers), "inference": sum(layers)}
        return billed(self.bill, self._n_images, n_macs=n_macs, n_chips=self._n_chips)


def _lines(rows: Sequence[Row]) -> list[dict[str, object]]:
    lines = []
    for params, group in by_params([row for row in rows if isinstance(row.result.get("energy"), dict)]):
        energies = [row.result["energy"] for row in group]
        for phase in dict.fromkeys(phase for energy in energies for phase in energy):
            found = [energy[phase] for energy in energies if phase in energy]
            lines.append({**params, "phase": phase, **_line(found)})
    return lines


def _line(found: Sequence[Mapping[str, float]]) -> dict[str, object]:
    """The mean over rows of one phase."""
    chip, gpu = (mean_interval([one[key] for one in found]) for key in ("joules", "gpu_joules"))
    assert chip is not None
    assert gpu is not None
    return {
        "rows": len(found),
        "images": round(sum(one["n_images"] for one in found)),
        "an image, nJ": _digits(chip.value * 1e9),
        **({"95 % interval": show_spread(chip.value, chip.high)} if len(found) > 1 else {}),
        "V100, nJ": _digits(gpu.value * 1e9),
        "V100 over chip": _digits(gpu.value / chip.value) if chip.value else None,
    }


def _digits(value: float) -> float:
    """Three of them."""
    return float(f"{value:.3g}")


ENERGY_TABLE = TableSpec(
    name="energy",
    title="Energy of an image",
    caption="Arrays and their periphery as counted, digital arithmetic left out, mean of the rows; a V100 by its cited "
    "100 GOPS/W.",
    rows=_lines,
)


def energy_table(note: str) -> TableSpec:
    """`ENERGY_TABLE` with a `note` on what was billed under it."""
    return replace(ENERGY_TABLE, caption=f"{ENERGY_TABLE.caption} {note}")
