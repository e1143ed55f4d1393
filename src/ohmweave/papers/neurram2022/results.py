"""Numbers in the rows of the experiments."""

from collections.abc import Mapping, Sequence

from ohmweave.experiments import Row


def accuracies(rows: Sequence[Row], trained: float, tested: float) -> list[float]:
    """Test accuracy of each draw of the noise, of the networks trained with `trained`: rows of `neurram2022/grid`."""
    found: list[float] = []
    for row in rows:
        correct = row.result["correct"]
        assert isinstance(correct, Mapping)
        if float(str(row.params["noise"])) == trained:
            counts = correct[f"{tested:g}"]
            assert isinstance(counts, list)
            found += [float(str(n)) / float(str(row.result["n_test"])) for n in counts]
    return found


def chip_accuracies(rows: Sequence[Row], stage: str) -> list[float]:
    """Test accuracy of each chip at a stage, "ideal" or an age: rows of `neurram2022/chip`."""
    found = []
    for row in rows:
        correct = row.result["correct"]
        assert isinstance(correct, Mapping)
        found.append(float(str(correct[stage])) / float(str(row.result["n_test"])))
    return found
