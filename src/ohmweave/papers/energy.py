"""The bill of an experiment by image: training in situ and inference, beside the cited energy of a GPU for the same.

Source of the GPU's figure: Ambrogio et al., Nature 558, 60 (2018), 100 GOPS/W of a V100; an operation is a
multiplication or an addition.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Protocol

from ohmweave.arrays import DAC, Activity, SimulatedArray
from ohmweave.base import OhmweaveError
from ohmweave.cost import GOPS_PER_W_V100, Bill, ComponentCosts
from ohmweave.experiments import JSON, Row, TableSpec, by_params, mean_interval
from ohmweave.mapping import Chip
from ohmweave.report import show_spread

MEASURING = "measuring accuracy"
"""The phase of reads that measure accuracy for the experiment. A chip in use would not do them."""

BIT_SERIAL = DAC(bits=8, v_max=0.2, bit_serial=True)
"""Row drivers that send 8-bit inputs bit by bit, 0 V or 0.2 V: eight intervals a vector. Source: Yao et al. 2020."""


@contextmanager
def driven_by(chip: Chip, dac: DAC) -> Iterator[None]:
    """Put `dac` on the rows of `chip` inside the block, for a bill of inputs that are sent by these drivers.

    It is for experiments whose chip has no such converter and which assume one for the bill. The cells are copied to an
    array with the DAC, which counts intervals, bits and heat as any other; open the bill inside the block. After the
    block the former array is back with the cells as they were before: pulses sent inside have no effect.

    Args:
        chip: with a simulated array of ideal wires, without an ADC and access devices.
        dac: of the rows.

    Raises:
        OhmweaveError: the array is not simulated, or has an ADC, wires or access devices.
    """
    array = chip.array
    bare = isinstance(array, SimulatedArray) and (array.adc, array.wires, array.access) == (None, None, None)
    if not isinstance(array, SimulatedArray) or not bare:
        raise OhmweaveError(
            "`chip` must have a simulated array of ideal wires, without an ADC and access devices, to be driven by a "
            f"`dac`, but has {array!r}"
        )
    state = array.state_dict()
    twin = SimulatedArray(
        array.cell,
        n_arrays=array.n_arrays,
        rows=array.rows,
        cols=array.cols,
        n_chips=array.n_chips,
        v_read=array.v_read,
        dac=dac,
        device=array.device,
        dtype=array.dtype,
    )
    twin.load_state_dict(state)
    chip.array = twin
    try:
        yield
    finally:
        chip.array = array
        # The version of its books grows with this: values read from the other array are stale.
        array.load_state_dict(state)


def training_macs(layers: Sequence[int], *, n_frozen: int = 0) -> int:
    """Multiplications of learning from an image in software.

    They are those of the forward pass through all layers, of the gradients of the layers that learn, and of the error
    through the layers above the first that learns.

    Args:
        layers: multiplications of inferring an image, layer by layer.
        n_frozen: layers at the input that do not learn.
    """
    return sum(layers) + sum(layers[n_frozen:]) + sum(layers[n_frozen + 1 :])


def macs_by_layer(bill: Bill, chip: Chip, phase: str, n_images: int) -> list[int]:
    """Multiplications of an image in each layer, in the order of the layers on `chip`: weights times input vectors.

    Args:
        bill: of `chip` alone.
        chip: which holds the layers.
        phase: in which each image went through all layers once.
        n_images: images of the phase, on all chips together.
    """
    placed, usage = chip.placed, bill.usage
    return [
        usage[phase, name].n_vectors * layer.n_in * layer.n_out // n_images
        for name, layer in placed.items()
        if (phase, name) in usage
    ]


def gpu_energy(n_macs: float) -> float:
    """Energy (J) of `n_macs` multiplications and as many additions on a V100, by the cited figure."""
    return 2 * n_macs / GOPS_PER_W_V100


def billed(
    bill: Bill, n_images: Mapping[str, int], *, n_macs: Mapping[str, float], n_chips: int = 1
) -> dict[str, JSON]:
    """The parts `bill` and `energy` of a row, for `ENERGY_TABLE`, the bill of the report, and `ohmweave cost`.

    Args:
        bill: of all chips together.
        n_images: by phase, on all chips together.
        n_macs: by phase, multiplications of an image in software.
        n_chips: side by side.
    """
    images: dict[str, JSON] = {
        phase: {
            "n_images": n,
            "energy": bill.total(phase=phase) / n,
            "gpu_energy": gpu_energy(n_macs[phase]),
        }
        for phase, n in n_images.items()
    }
    records = [{**record, "images": n_images.get(str(record["phase"])), "chips": n_chips} for record in bill.rows()]
    return {"bill": records, "energy": images}


class _Cycled(Protocol):
    """A rule whose SET and RESET steps take turns, by the number of steps."""

    n_steps: int


class SampledBill:
    """The bill of some samples of a training whose compiled loops cannot be metered.

    The samples are learned once more outside the training: cells, random streams and the step counter of the rule are
    restored afterwards, so the training is the same with and without the bill. Reads hardly differ between samples.
    Pulses become fewer as a network learns, so their number is taken from the whole training.

    Args:
        chip: which learns.
        rule: by which it learns.
        costs: prices.
        drivers: row drivers assumed for the samples; None bills the chip as it is. See `driven_by`.
    """

    def __init__(self, chip: Chip, rule: _Cycled, costs: ComponentCosts, *, drivers: DAC | None = None) -> None:
        self.bill = Bill([costs], [chip])
        self._drivers = drivers
        self._chip, self._rule, self._n_chips = chip, rule, math.prod(chip.chip_shape)
        self._n_images: dict[str, int] = {}

    @contextmanager
    def samples(self, phase: str, n: int) -> Iterator[None]:
        """Bill what happens inside as the `phase` of `n` samples, the same for all chips, then undo it."""
        state, n_steps = self._chip.state_dict(), self._rule.n_steps
        drivers = nullcontext() if self._drivers is None else driven_by(self._chip, self._drivers)
        with drivers, self.bill.counting(phase):
            yield
        self._chip.load_state_dict(state)
        self._rule.n_steps = n_steps
        self._n_images[phase] = self._n_images.get(phase, 0) + n * self._n_chips

    def billed(self, layers: Sequence[int], trained: Activity, n_trained: int) -> dict[str, JSON]:
        """The parts `bill` and `energy` of a row.

        Args:
            layers: multiplications of an image, layer by layer; all layers learn.
            trained: activity of the array in the whole training, of which the pulses count.
            n_trained: samples of the whole training, the same for all chips.
        """
        share = self._n_images["training"] / (n_trained * self._n_chips)
        self.bill.recount("training", n_set=share * trained.n_set, n_reset=share * trained.n_reset)
        n_macs = {"training": training_macs(layers), "inference": sum(layers)}
        return billed(self.bill, self._n_images, n_macs=n_macs, n_chips=self._n_chips)


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    table = []
    for params, group in by_params([row for row in rows if isinstance(row.result.get("energy"), dict)]):
        energies = [row.result["energy"] for row in group]
        for phase in dict.fromkeys(phase for energy in energies for phase in energy):
            found = [energy[phase] for energy in energies if phase in energy]
            table.append({**params, "phase": phase, **_mean_energy(found)})
    return table


def _mean_energy(found: Sequence[Mapping[str, float]]) -> dict[str, object]:
    """The mean over rows of one phase."""
    chip, gpu = (mean_interval([one[key] for one in found]) for key in ("energy", "gpu_energy"))
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
    """Rounded to three significant digits."""
    return float(f"{value:.3g}")


ENERGY_TABLE = TableSpec(
    name="energy",
    title="Energy of an image",
    caption="Arrays and their periphery as counted, digital arithmetic left out, mean of the rows; a V100 by its cited "
    "100 GOPS/W.",
    rows=_table,
)


def energy_table(note: str) -> TableSpec:
    """`ENERGY_TABLE` with a `note` in its caption on what was billed."""
    return replace(ENERGY_TABLE, caption=f"{ENERGY_TABLE.caption} {note}")
