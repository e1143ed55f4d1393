"""The tables of an evaluation, from its rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from ohmweave.evaluation.results import Accuracy, accuracy_of, ends, of_stage, property_costs, remarks, shown
from ohmweave.evaluation.search import Found, best, tried
from ohmweave.evaluation.stages import CELL
from ohmweave.evaluation.ways import IN_SITU, SOFTWARE, TRANSFER, WAYS
from ohmweave.evaluation.without import FINER, PERFECT
from ohmweave.experiments import Estimate, Row


def cell_table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Cell and network, then one line a sentence of what the cell file says."""
    lines = []
    for row in of_stage(rows, CELL):
        what = f"{row.result['name']}; network {row.params['network']}, {row.params['seeds']} chips of each result"
        lines += [{"cell": text} for text in (what, *row.result["said"])]
    return lines


def remarks_table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a remark."""
    return [{"remark": text} for text in remarks(rows)]


def result_lines(rows: Sequence[Row]) -> dict[str, str]:
    """Each result that the rows hold as a line for the terminal, by a key of its own, in the order of their coming."""
    lines = {}
    for way in (SOFTWARE, *WAYS):
        one = accuracy_of(rows, way)
        if one is not None:
            what = "networks" if way == SOFTWARE else "chips"
            lines[way] = f"{way}: {shown(one.cell)}, {one.cell.n} {what}{_chosen(rows, way)}"
    for way in (TRANSFER, IN_SITU):
        for cost in property_costs(rows, way):
            name = "all properties" if cost.name == PERFECT else cost.name
            lines[f"{cost.name}, {way}"] = f"without {name}, {way}: {_percent(cost.gain, sign='+')} points of accuracy"
    for way in WAYS:
        one = accuracy_of(rows, way)
        if one is not None and one.fit_sd is not None:
            lines[f"drawn, {way}"] = f"with what the fit does not know, {way}: {shown(one.mean)}"
    return lines


def _chosen(rows: Sequence[Row], way: str) -> str:
    found = _fitted(rows, way)
    return f" ({_setting_text(found[0].params['setting'])})" if found else ""


def accuracy_table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a way: accuracy with its interval, and its two scatters."""
    lines = []
    for way in (SOFTWARE, *WAYS):
        one = accuracy_of(rows, way)
        if one is not None:
            lines.append({"way": way, **_accuracy_cells(one)})
    return lines


def _accuracy_cells(one: Accuracy) -> dict[str, str]:
    return {
        "fitted cell (%)": _percent(one.cell),
        "with the fit (%)": "" if one.fit_sd is None else _percent(one.mean),
        "sd, chip to chip": _points(one.chip_sd),
        "sd, fit": _points(one.fit_sd),
    }


def spent_table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a way: what it takes on one chip of the fitted cell."""
    return [{"way": way, **_spent_cells(found[0].result)} for way in WAYS if (found := _fitted(rows, way))]


def _fitted(rows: Sequence[Row], way: str) -> list[Row]:
    return of_stage(rows, "accuracy", way=way, draw=0)


def _spent_cells(result: Mapping[str, Any]) -> dict[str, str]:
    return {
        "cells": f"{result['n_cells']:,}",
        "not converged": f"{100 * result['n_failed'] / max(1, result['n_written']):.1f} %",
        "pulses": _count(result["n_pulses"]),
        "readouts": _count(result["n_readouts"]),
        "energy of pulses (µJ)": _energy(result["energy_pulses"], 1e6),
        "energy of an image (pJ)": _energy(result["energy_inference"], 1e12),
    }


def _count(value: float) -> str:
    """With three digits, as in "91,700"."""
    return f"{float(f'{value:.3g}'):,.0f}"


def _energy(value: float | None, factor: float) -> str:
    return "not known" if value is None else f"{factor * value:.3g}"


def _percent(one: Estimate, *, sign: str = "") -> str:
    return f"{100 * one.value:{sign}.1f}{ends(one)}"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def cost_table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a property: points that are won without it, written and learnt in situ; the largest first."""
    by_name: dict[str, dict[str, Any]] = {}
    for way in (TRANSFER, IN_SITU):
        for cost in property_costs(rows, way):
            by_name.setdefault(cost.name, {"removed": cost.name})[way] = _percent(cost.gain)
    return list(by_name.values())


def search_table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a trial, best first within its way; then the rates for cells with smaller steps."""
    lines = []
    for way in WAYS:
        found = tried(rows, way)
        chosen = best(rows, way).row.id if found else ""
        lines += [_trial_cells(way, one, chosen) for one in found]
    for name in FINER:
        found = tried(rows, IN_SITU, without=name)
        lines += [_trial_cells(f"{IN_SITU}, without {name}", one, found[0].row.id) for one in found]
    return lines


def _trial_cells(way: str, one: Found, chosen: str) -> dict[str, str]:
    result = one.row.result
    return {
        "way": way,
        "setting": _setting_text(one.setting),
        "validation (%)": f"{100 * one.accuracy:.1f}",
        "pulses": _count(result["n_pulses"]),
        "not converged": f"{100 * result['n_failed'] / max(1, result['n_written']):.1f} %",
        "chosen": "yes" if one.row.id == chosen else "",
    }


def _setting_text(setting: Mapping[str, Any]) -> str:
    """As in "mixed precision, lr 0.01, 20 epochs"; None is "no threshold"."""
    parts = [str(setting["rule"])] if "rule" in setting else []
    for name, value in setting.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        if name == "epochs":
            parts.append(f"{text} epochs")
        elif name != "rule":
            parts.append(f"no {name}" if value is None else f"{name} {text}")
    return ", ".join(parts)
