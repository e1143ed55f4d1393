"""The figures of a design, from the rows of its three tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ohmweave.experiments import Estimate, Row, mean_interval

Point = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a design is worth and costs; a chip and an image are what the names say.

    Attributes:
        accuracy: share of right validation images, mean of the chips with its 95 % interval, cut at 0 and 1. Designs
            are chosen by it.
        worst_chip: the same of the worst chip.
        test_accuracy, worst_chip_test: the same of test images, by which nothing is chosen.
        software: of test images in software; None for a network that learns on the chip.
        energy: J an image on one chip; None if the heat of the cells is not known.
        latency: s, of one image.
        throughput: images in 1 s on one chip.
        area: m2 of one chip.
        n_arrays: of one chip.
        pulses: of one chip, from fresh cells to the network, RESET of unused cells included.
        most_pulses: of the cell that got most.
        endurance_used: `most_pulses` over the pulses that a cell endures; None if these are not known.
        programming_energy: J of these pulses on one chip.
        programming_time: s, pulses and verify reads of one chip one after another.
        failed: share of the written cells that did not converge.
        warnings: of its converters, where currents or inputs are beyond their range.
    """

    accuracy: Estimate
    worst_chip: float
    test_accuracy: Estimate
    worst_chip_test: float
    software: float | None
    energy: float | None
    latency: float
    throughput: float
    area: float
    n_arrays: int
    pulses: float
    most_pulses: int
    endurance_used: float | None
    programming_energy: float
    programming_time: float
    failed: float
    warnings: tuple[str, ...] = ()

    def value(self, name: str) -> float | None:
        """The figure called `name` as one number, the mean of those with an interval."""
        found = getattr(self, name)
        return found.value if isinstance(found, Estimate) else found


def figures_of(trained: Row, written: Row, read: Row, *, endurance: float | None) -> Figures:
    """The figures of a point with these rows."""
    train, write, result = trained.result, written.result, read.result
    validation = _rates(result["n_correct_validation"], result["n_validation"])
    test = _rates(result["n_correct"], result["n_test"])
    right = train["n_correct"]
    return Figures(
        accuracy=_mean(validation),
        worst_chip=min(validation),
        test_accuracy=_mean(test),
        worst_chip_test=min(test),
        software=None if right is None else right / train["n_test"],
        energy=result["energy"],
        latency=result["latency"],
        throughput=result["throughput"],
        area=result["area"],
        n_arrays=result["n_arrays"],
        pulses=write["n_pulses"],
        most_pulses=write["most_pulses"],
        endurance_used=None if endurance is None else write["most_pulses"] / endurance,
        programming_energy=write["programming_energy"],
        programming_time=write["programming_time"],
        failed=write["n_failed"] / max(1, write["n_cells"]),
        warnings=tuple(result.get("warnings", ())),
    )


def _rates(n_correct: Sequence[int], n: int) -> list[float]:
    return [one / n for one in n_correct]


def _mean(values: Sequence[float]) -> Estimate:
    found = mean_interval(values)
    assert found is not None  # there are two chips or more
    assert found.low is not None
    assert found.high is not None
    # Student's interval of a few chips may leave the shares that are possible.
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """How a figure is shown.

    Attributes:
        title: with its unit, for tables and axes.
        column: in files, with the SI unit.
        factor: from SI to the unit of `title`.
        high: True if it is to be high.
    """

    title: str
    column: str
    factor: float = 1.0
    high: bool = False


QUANTITIES: Mapping[str, Quantity] = {
    "accuracy": Quantity(title="validation accuracy (%)", column="validation_accuracy", factor=100, high=True),
    "worst_chip": Quantity(
        title="worst chip, validation (%)", column="worst_chip_validation_accuracy", factor=100, high=True
    ),
    "test_accuracy": Quantity(title="test accuracy (%)", column="test_accuracy", factor=100, high=True),
    "worst_chip_test": Quantity(title="worst chip, test (%)", column="worst_chip_test_accuracy", factor=100, high=True),
    "software": Quantity(title="software, test (%)", column="software_test_accuracy", factor=100, high=True),
    "energy": Quantity(title="energy (nJ an image)", column="energy_J_per_image_and_chip", factor=1e9),
    "latency": Quantity(title="latency (µs an image)", column="latency_s_per_image", factor=1e6),
    "throughput": Quantity(title="images in 1 s", column="throughput_images_per_s_and_chip", high=True),
    "area": Quantity(title="area (mm² a chip)", column="area_m2_per_chip", factor=1e6),
    "n_arrays": Quantity(title="arrays", column="arrays_per_chip"),
    "pulses": Quantity(title="pulses a chip", column="pulses_per_chip"),
    "most_pulses": Quantity(title="most pulses of a cell", column="most_pulses_of_a_cell"),
    "endurance_used": Quantity(title="endurance used (%)", column="endurance_used", factor=100),
    "programming_energy": Quantity(title="programming (µJ a chip)", column="programming_J_per_chip", factor=1e6),
    "programming_time": Quantity(title="programming (ms a chip)", column="programming_s_per_chip", factor=1e3),
    "failed": Quantity(title="not converged (%)", column="share_of_cells_not_converged", factor=100),
}
