"""The keys of a study's space: what each sets, the values that it may have, and the stage that it first matters in."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from ohmweave.cells import published
from ohmweave.explore.value_kinds import Kind, Value, integers, names_or_files, numbers, quantities, words


class Stage(IntEnum):
    """The stages of a point, in order. Points that are equal up to a stage share the work of that stage."""

    TRAIN = 0
    WRITE = 1
    READ = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of the table `[space]`.

    Attributes:
        stage: the first stage that depends on it.
        kind: of its values.
        default: its value where the file does not name it, in the JSON form.
        meaning: for the documentation.
    """

    stage: Stage
    kind: Kind
    default: Value
    meaning: str


NETWORKS = ("mlp", "cnn", "five-layer", "resnet")
RULES = ("mixed precision", "pulsed SGD", "Tiki-Taka v2", "Manhattan", "adaptive write-verify")
IN_SITU, AWARE, PLAIN = "in situ", "noise-aware", "plain"
_HOUR, _YEAR = 3_600.0, 3.2e7


def _key(stage: Stage, kind: Kind, default: Value, meaning: str) -> Key:
    return Key(stage=stage, kind=kind, default=default, meaning=meaning)


def _ohms(meaning: str) -> Key:
    return _key(Stage.WRITE, quantities("Ohm", at_least=0.0, at_most=1e6, example="2 Ohm"), 0.0, meaning)


def _lines(default: int, meaning: str) -> Key:
    return _key(Stage.WRITE, integers(at_least=2, at_most=2_048), default, meaning)


@cache
def keys() -> Mapping[str, Key]:
    """All keys by name, in the order of the documentation."""
    return {
        "data": _key(Stage.TRAIN, words("digits", "mnist"), "digits", "data set"),
        "network": _key(
            Stage.TRAIN,
            names_or_files(NETWORKS, ".py", "that defines network(shape, n_classes)"),
            "mlp",
            "network",
        ),
        "training": _key(
            Stage.TRAIN,
            words(PLAIN, AWARE, IN_SITU),
            PLAIN,
            "in software, in software with errors of the weights, or on the chip",
        ),
        "noise": _key(
            Stage.TRAIN,
            numbers(at_least=0.0, at_most=1.0, above=True),
            0.04,
            "error of a cell in noise-aware training, as a fraction of the window",
        ),
        "epochs": _key(Stage.TRAIN, integers(at_least=1, at_most=10_000), 30, "of training in software"),
        "cell": _key(Stage.WRITE, names_or_files(sorted(published()), ".json", "of a cell"), "yao2020", "cell"),
        "rows": _lines(128, "rows of an array"),
        "cols": _lines(128, "columns of an array"),
        "wire": _ohms("resistance of a segment of a row or column wire, between neighbouring cells"),
        "driver": _ohms("resistance of a row driver"),
        "sense": _ohms("resistance of a column's sense circuit"),
        "unused": _key(
            Stage.WRITE,
            words("reset", "fresh"),
            "reset",
            "cells that hold no weight: RESET before the write, or as they are made",
        ),
        "lines": _key(
            Stage.WRITE, words("columns", "rows"), "columns", "where the two cells of a weight are neighbours"
        ),
        "levels": _key(
            Stage.WRITE,
            integers(at_least=3, at_most=65_535, none="analogue", odd=True),
            None,
            "signed levels of a weight",
        ),
        "copies": _key(Stage.WRITE, integers(at_least=1, at_most=64), 1, "pairs of cells for a weight"),
        "tolerance": _key(
            Stage.WRITE,
            quantities("S", at_least=1e-12, at_most=1.0, example="0.5 uS", fraction=True),
            "0.02 of the window",
            "of the write",
        ),
        "max_pulses": _key(Stage.WRITE, integers(at_least=1, at_most=100_000), 500, "pulses of a write, a cell"),
        "rule": _key(Stage.WRITE, words(*RULES), RULES[0], "that learns on the chip"),
        "rate": _key(
            Stage.WRITE,
            numbers(at_least=0.0, at_most=1e3, above=True),
            0.01,
            "of the rule: its learning rate, the dead zone of Manhattan, the threshold of adaptive write-verify",
        ),
        "learning_epochs": _key(Stage.WRITE, integers(at_least=1, at_most=10_000), 10, "of learning on the chip"),
        "adc_bits": _key(
            Stage.READ, integers(at_least=2, at_most=16, none="none"), None, "bits of the column converters"
        ),
        "columns_per_adc": _key(Stage.READ, integers(at_least=1, at_most=2_048), 1, "columns that share a converter"),
        "adc_range": _key(
            Stage.READ,
            words("data", "cells"),
            "data",
            "full scale: found on training images, or the current of a tile whose cells all conduct most",
        ),
        "subtract": _key(
            Stage.READ,
            words("digital", "analogue"),
            "digital",
            "the two cells of a weight, after or before the converter",
        ),
        "adc_design": _key(Stage.READ, words("sar", "flash", "ramp"), "sar", "architecture of the converters"),
        "dac_bits": _key(Stage.READ, integers(at_least=1, at_most=12, none="none"), None, "bits of the row drivers"),
        "dac": _key(
            Stage.READ, words("serial", "parallel"), "serial", "bits of an input one after another, or as one voltage"
        ),
        "age": _key(
            Stage.READ,
            quantities("s", at_least=0.0, at_most=100 * _YEAR, example="1 hour"),
            0.0,
            "time between write and test",
        ),
        "node": _key(
            Stage.READ, quantities("m", at_least=1e-9, at_most=1e-5, example="32 nm"), 32e-9, "feature size, for prices"
        ),
        "cell_size": _key(Stage.READ, numbers(at_least=1.0, at_most=1e4), 12.0, "area of a cell in F^2, for prices"),
    }


WITHOUT_EFFECT: Mapping[str, str] = {
    "noise": "`training` is 'noise-aware'",
    "epochs": "`training` is 'plain' or 'noise-aware'",
    "unused": "`wire`, `driver` or `sense` is above 0",
    "levels": "`training` is not 'in situ'",
    "copies": "`training` is not 'in situ'",
    "rule": "`training` is 'in situ'",
    "rate": "`training` is 'in situ'",
    "learning_epochs": "`training` is 'in situ'",
    "columns_per_adc": "`adc_bits` is a number",
    "adc_range": "`adc_bits` is a number",
    "subtract": "`adc_bits` is a number",
    "adc_design": "`adc_bits` is a number",
    "dac": "`dac_bits` is a number",
}
"""Keys that matter in some points alone, and when."""


def settled(point: Mapping[str, Value]) -> dict[str, Value]:
    """`point`, with None for the keys that have no effect in it, so that points of equal effect are equal."""
    trained = point["training"]
    off = set()
    if trained != AWARE:
        off |= {"noise"}
    if trained == IN_SITU:
        off |= {"epochs", "levels", "copies"}
    else:
        off |= {"rule", "rate", "learning_epochs"}
    if point["adc_bits"] is None:
        off |= {"columns_per_adc", "adc_range", "subtract", "adc_design"}
    if point["dac_bits"] is None:
        off |= {"dac"}
    if not (point["wire"] or point["driver"] or point["sense"]):
        off |= {"unused"}
    return {name: None if name in off else value for name, value in point.items()}
