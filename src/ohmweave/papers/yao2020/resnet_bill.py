"""The energy of ResNet-56 on the chip: a few images by bit-serial drivers, layers summed by stage."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ohmweave.arrays import DAC
from ohmweave.cost import ledger, yao2020_periphery
from ohmweave.experiments import JSON
from ohmweave.nn import Deployed
from ohmweave.papers.energy import billed, driven_by, macs_by_layer

SIGNED_BIT_SERIAL = DAC(bits=9, v_max=0.2, signed=True, bit_serial=True)
"""Row drivers assumed for the bill alone: 8 bits and a sign, sent bit by bit in eight read intervals a vector (ours).
Inputs are normalised images and residual sums, so they have a sign."""
N_BILLED = 20  # test images whose inference is billed


def inference_bill(on_chip: Deployed, images: torch.Tensor) -> dict[str, JSON]:
    """The `energy` and the `bill` of a row, from inferring `images` `(n, 3, 32, 32)`. The cells stay as they are."""
    counted = ledger(on_chip, costs=yao2020_periphery(), assumed=True)
    with driven_by(on_chip.chip, SIGNED_BIT_SERIAL), counted as bill, torch.no_grad():
        on_chip(images, group=0)  # an argument that chooses the copy, so that unread copies are no surprise
    n_macs = {"inference": sum(macs_by_layer(bill, on_chip.chip, "inference", len(images)))}
    found: dict[str, Any] = billed(bill, {"inference": len(images)}, n_macs=n_macs)
    return {"energy": found["energy"], "bill": by_stage(found["bill"])}


def by_stage(records: Sequence[Mapping[str, Any]]) -> list[JSON]:
    """Sum the records of a bill over the layers of each stage: "layer1" for "layer1.0.conv1" to "layer1.8.conv2"."""
    merged: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in records:
        named = {**record, "layer": record["layer"].partition(".")[0]}
        key = tuple(named[field] for field in ("phase", "layer", "component"))
        sums = merged.setdefault(key, named | dict.fromkeys(("count", "energy", "time", "area"), 0))
        for quantity in ("count", "energy", "time", "area"):
            sums[quantity] += record[quantity]
    return list(merged.values())
