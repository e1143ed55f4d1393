"""The tables and the figure of `wang2019/array-law`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ohmweave.cells.wang2019 import NOISE
from ohmweave.experiments import JSON, Row, mean_interval, rates
from ohmweave.papers.wang2019.published import curves
from ohmweave.papers.wang2019.readings import READINGS, V_GATES, Reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER_NUMBERS = {
    "accuracy": 0.9213,  # text
    "in-batch": 0.9112,  # Fig. 2b, second epoch, digitised
    "largest weight": 2.43,  # the outermost bin of the histograms
    "first loss": 7.30,  # Fig. 2b, digitised
    "chip less stuck-free": -0.0107,  # Fig. 2b, second epoch: 91.12 and 92.19 %
}
TOLERANCES = {"accuracy": 0.01, "in-batch": 0.01, "largest weight": 0.25}
N_EARLY = 100  # updates


def reading_lines(rows: Sequence[Row]) -> list[dict[str, object]]:
    """A line for each reading and noise: law, network, and how many printed numbers it meets; the paper's first."""
    paper: dict[str, object] = {"reading": "paper", "chosen numbers": None, "chosen by": None}
    lines = [paper | {name: PAPER_NUMBERS[name] for name in TOLERANCES}]
    law: Mapping[str, Any] = next((_any(row.result) for row in rows if row.params["what"] == "law"), {})
    for name, reading in READINGS.items():
        found = law.get(name)
        start: dict[str, object] = {
            "reading": reading.title,
            "chosen numbers": reading.n_chosen,
            "chosen by": reading.chosen_by,
        }
        if found is not None:
            start |= _law_columns(found)
        trained = [row for row in rows if row.params.get("reading") == name and row.params["stuck"] > 0]
        lines += [start | _network_columns(row, reading) for row in trained] or [start]
    return lines


def network_lines(rows: Sequence[Row]) -> list[dict[str, object]]:
    """A line for each network that was trained, and one for the paper's: what the training shows."""
    early = curves("cnn")
    lines: list[dict[str, object]] = [
        {
            "reading": f"paper, {title}",
            "in-batch, first 100 updates": _early(early.update, early.accuracy[key]),
            "in-batch, second epoch": value,
            "first loss": early.loss[key][0],
        }
        for key, title, value in (("chip", "experiment", 0.9112), ("noise", "10 uS, none stuck", 0.9219))
    ]
    for row in (row for row in rows if row.params["what"] == "cnn"):
        result = _any(row.result)
        curve, in_batch = result["curve"]["accuracy"], mean_interval(rates([row], "n_in_batch", "n_seen"))
        assert in_batch is not None
        lines.append(
            {
                "reading": READINGS[row.params["reading"]].title,
                "noise (uS)": 1e6 * row.params["noise"],
                "stuck": row.params["stuck"],
                "chips": in_batch.n,
                "in-batch, first 100 updates": _early(range(1, 1 + len(curve)), curve),
                "in-batch, second epoch": round(in_batch.value, 4),
                "first loss": result["first_loss"],
                **{f"spread of {name}": round(std, 2) for name, std in result["weight_std"]["after"].items()},
            }
        )
    return lines


def _law_columns(law: Mapping[str, Any]) -> dict[str, object]:
    return {
        "resistance (Ohm)": round(law["r"], 2),
        "at 1.6 V (uS)": round(1e6 * law["level"], 1),
        "distance from the line, 1.3-2.4 V (uS)": round(1e6 * law["miss"], 1),
        "slope, all cells (uS/V)": round(1e6 * law["slope"]),
        "slope, pairs (uS/V)": round(1e6 * law["pair_slope"]),
        "weight at the gate's ends": round(law["weight"], 2),
        "its largest": round(law["weight_most"], 2),
    }


def _network_columns(row: Row, reading: Reading) -> dict[str, object]:
    """Means of the chips, with the interval of the accuracy. Another noise than the printed one is chosen, too."""
    accuracy = mean_interval(rates([row], "n_correct", "n_test"))
    in_batch = mean_interval(rates([row], "n_in_batch", "n_seen"))
    largest = mean_interval(_any(row.result)["largest_weight"])
    assert accuracy is not None
    assert in_batch is not None
    assert largest is not None
    values = {"accuracy": accuracy.value, "in-batch": in_batch.value, "largest weight": largest.value}
    met = sum(abs(value - PAPER_NUMBERS[name]) <= TOLERANCES[name] for name, value in values.items())
    interval = (
        None if accuracy.low is None or accuracy.high is None else [round(accuracy.low, 4), round(accuracy.high, 4)]
    )
    return {
        "chosen numbers": reading.n_chosen + (row.params["noise"] != NOISE),
        "noise (uS)": round(1e6 * row.params["noise"], 1),
        "chips": accuracy.n,
        **{name: round(value, 4) for name, value in values.items()},
        "interval of the accuracy": str(interval or ""),
        "printed numbers met": f"{met} of {len(values)}",
    }


def curves_of(rows: Sequence[Row]) -> "Figure | None":
    """Levels by gate voltage of all readings; the single device leaves the axis."""
    from matplotlib.figure import Figure

    found = [_any(row.result) for row in rows if row.params["what"] == "law"]
    if not found:
        return None
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, reading in READINGS.items():
        style = {"series": "-", "in-array": "--", "device": ":"}.get(name, "-")
        width = 2.0 if name in ("series", "in-array") else 1.0
        levels = [1e6 * g for g in found[-1][name]["curve"]]
        axes.plot(V_GATES, levels, style, linewidth=width, label=reading.title)
    axes.set(xlabel="gate voltage (V)", ylabel="mean conductance seen by a fast read (uS)", ylim=(0, 400))
    axes.legend(frameon=False, fontsize=7)
    return figure


def _early(updates: Sequence[int], accuracy: Sequence[float]) -> float:
    """Mean in-batch accuracy of the first `N_EARLY` updates; the digitised curve skips some."""
    part = [value for update, value in zip(updates, accuracy, strict=True) if update <= N_EARLY]
    return round(sum(part) / len(part), 4)


def _any(result: Mapping[str, JSON]) -> Any:
    return result
