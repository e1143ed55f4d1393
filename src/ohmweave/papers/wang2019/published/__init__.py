"""The paper's training curves, digitised from its figures (+-0.3 points), every tenth or (ConvLSTM) second update.

Accuracies are in-batch accuracies as the paper smoothed them; how it did is not printed.
"""

import csv
from dataclasses import dataclass
from importlib.resources import files

VARIANTS = ("chip", "noise", "noise_free")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Attributes: update: numbers from 1; accuracy, loss: a curve for each of `VARIANTS`."""

    update: tuple[int, ...]
    accuracy: dict[str, tuple[float, ...]]
    loss: dict[str, tuple[float, ...]]


def curves(network: str) -> Curves:
    """The curves of "cnn" (Fig. 2b, c) or "convlstm" (Fig. 4a, b)."""
    text = files(__name__).joinpath(f"{network}.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    accuracy, loss = (
        {variant: tuple(float(line[f"{what}_{variant}"]) for line in lines) for variant in VARIANTS}
        for what in ("accuracy", "loss")
    )
    return Curves(update=tuple(int(line["update"]) for line in lines), accuracy=accuracy, loss=loss)
