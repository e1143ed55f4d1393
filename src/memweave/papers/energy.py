"""The bill of an experiment, image by image: training in situ, inference, and what a GPU is cited to take for the same.

Source of the GPU's figure: Ambrogio et al., Nature 558, 60 (2018), 100 GOPS/W of a V100; an operation is a
multiplication or an addition.
"""

from collections.abc import Mapping, Sequence

from memweave.cost import GOPS_PER_W_V100, Bill
from memweave.experiments import JSON, Row, TableSpec

GPU_PASSES = 3
"""Training multiplies three times as often as inference: forward, for the error, for the gradient."""

MEASURING = "measuring accuracy"
"""The phase of what the experimenter wants to know and the chip would not do."""


def gpu_energy(n_macs: int, *, training: bool) -> float:
    """J that a V100 takes for an image of `n_macs` multiplications, by the cited figure."""
    return (GPU_PASSES if training else 1) * 2 * n_macs / GOPS_PER_W_V100


def billed(bill: Bill, n_images: Mapping[str, int], *, n_macs: int) -> dict[str, JSON]:
    """What a row keeps of a bill, for `ENERGY_TABLE`, the bill of the report, and `memweave cost`.

    Args:
        bill: of all chips together.
        n_images: by phase, on all chips together; "training" costs a GPU more.
        n_macs: multiplications of an image.
    """
    images: dict[str, JSON] = {
        phase: {
            "n_images": n,
            "joules": bill.total(phase=phase) / n,
            "gpu_joules": gpu_energy(n_macs, training=phase == "training"),
        }
        for phase, n in n_images.items()
    }
    return {"bill": list(bill.rows()), "energy": images}


def _lines(rows: Sequence[Row]) -> list[dict[str, object]]:
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        energy = row.result.get("energy")
        if isinstance(energy, dict):
            found |= energy
    return [
        {
            "phase": phase,
            "images": round(one["n_images"]),
            "an image, nJ": f"{one['joules'] * 1e9:.3g}",
            "V100, nJ": f"{one['gpu_joules'] * 1e9:.3g}",
            "V100 over chip": f"{one['gpu_joules'] / one['joules']:.3g}" if one["joules"] else "",
        }
        for phase, one in found.items()
    ]


ENERGY_TABLE = TableSpec(
    name="energy",
    title="Energy of an image",
    caption="Arrays and their periphery as counted, digital arithmetic left out; a V100 by its cited 100 GOPS/W.",
    rows=_lines,
)
