"""Figures, and the texts and tables of reports."""

from collections.abc import Callable
from typing import Any

import torch

from ohmweave import circuit, cost, plot, report
from ohmweave.cost import Job, Schedule
from ohmweave.experiments import Row
from ohmweave.report import Bills
from tests.fuzz.cases.mapping import chip
from tests.fuzz.runner import Call, Case
from tests.helpers.experiments import experiment, only_registered, row

RECORD = {
    "phase": "inference", "layer": "fc", "component": "ADC", "count": 4, "energy": 1e-12, "time": 1e-9, "area": 1e-12,
    "source": "ours", "chips": 2, "images": 10,
}  # fmt: skip

WIRES = circuit.Wires(r_row=1.0, r_col=1.0)


def _drawn(figure: Any) -> Any:
    """The limits of the axes: they are finite if what is drawn is."""
    return [float(end) for axes in figure.axes for end in (*axes.get_xlim(), *axes.get_ylim())]


def _drawn_on(axes: Any) -> Any:
    """The limits of the axes that a function returns."""
    return [float(end) for end in (*axes.get_xlim(), *axes.get_ylim())]


def _rows(result: dict[str, Any]) -> list[Row]:
    return [row(result, seed=seed, data="mnist") for seed in range(2)]


def _jobs() -> tuple[Job, ...]:
    return tuple(Job(name=name, machine="m", duration=1e-6) for name in "ab")


def _of_record(function: Callable[[Bills], Any]) -> Case:
    """A record with one wrong value: a row with it has no bill."""

    def made(record: Any) -> Any:
        return [function(bills) for bills in report.bills_of(_rows({"bill": [record]}))]

    return lambda: Call(function=made, arguments={"record": dict(RECORD)}, negative=False)


def _table(result: Any) -> Any:
    with only_registered(experiment()):
        return report.claims_table({"coins/toss": _rows(result)})


def _page(result: Any) -> Any:
    with only_registered(experiment()):
        return report.all_claims_markdown({"coins/toss": _rows(result)}, {})


_HEADS = {"n_heads": [50, 60], "n_tosses": 100, "g": 1e-6}
PAGES: dict[str, Case] = {
    "plot.floor_plan": lambda: Call(
        function=plot.floor_plan, arguments={"chip": chip(), "columns": 2}, use=_drawn
    ),
    "plot.waterfall": lambda: Call(
        function=plot.waterfall, arguments={"parts": {"ADC": 1e-9, "DAC": 2e-9}, "ylabel": "energy (J)"}, use=_drawn_on
    ),
    "plot.timeline": lambda: Call(
        function=lambda durations, title: plot.timeline(
            cost.schedule([Job(name="x", machine="m", duration=one) for one in durations]), title=title
        ),
        arguments={"durations": [1e-6, 2e-6], "title": "a schedule"}, use=_drawn_on,
    ),
    "plot.voltage_drop": lambda: Call(
        function=lambda g, v: plot.voltage_drop(circuit.solve_nodes(g, circuit.read_bias(v, WIRES), WIRES)),
        arguments={"g": torch.full((3, 4), 1e-5), "v": torch.full((3,), 0.2)}, use=_drawn,
    ),
    "plot.learning_curves": lambda: Call(
        function=lambda values, x: plot.learning_curves({"a": values, "b": [0.1]}, x=x),
        arguments={"values": torch.rand(3, 4), "x": [1.0, 2.0, 3.0, 4.0]}, use=_drawn_on,
    ),
    "plot.stages": lambda: Call(
        function=lambda values, paper: plot.stages({"a": values, "b": 0.5}, paper={"b": paper}),
        arguments={"values": [0.5, 0.6], "paper": 0.7}, use=_drawn_on,
    ),
    "plot.confusion": lambda: Call(
        function=plot.confusion,
        arguments={"predicted": [[0, 1, 2], [0, 1, 1]], "labels": [0, 1, 2], "n_classes": 3}, use=_drawn_on,
    ),
    "plot.conductance_map": lambda: Call(
        function=plot.conductance_map,
        arguments={"g": torch.full((2, 3, 4), 2e-6), "g_target": torch.full((3, 4), 2e-6), "chip": 1, "title": "g"},
        use=_drawn_on,
    ),
    "plot.weight_map": lambda: Call(
        function=plot.weight_map,
        arguments={"w": torch.rand(2, 3, 4), "w_target": torch.rand(3, 4), "chip": 1, "title": "w"}, use=_drawn_on,
    ),
    "plot.level_histogram": lambda: Call(
        function=plot.level_histogram, arguments={"g": [2e-6, 3e-6], "g_target": [2e-6, 4e-6]}, use=_drawn_on
    ),
    "plot.pulse_counts": lambda: Call(
        function=plot.pulse_counts, arguments={"n_pulses": [2, 3], "g_target": [2e-6, 4e-6]}, use=_drawn_on
    ),
    "plot.drift": lambda: Call(
        function=plot.drift, arguments={"times": [1.0, 10.0], "g": [[2e-6, 4e-6], [3e-6, 4e-6]]}, use=_drawn_on
    ),
    "plot.pareto": lambda: Call(
        function=lambda x, y: plot.pareto([{"x": x, "y": y, "bits": 4}, {"x": 2.0, "y": 0.5, "bits": 6}], x="x", y="y"),
        arguments={"x": 1.0, "y": 0.9}, use=_drawn_on,
    ),
    "report.show": lambda: Call(function=report.show, arguments={"value": 1.5e-6, "unit": "S"}, lets_nan_through=True),
    "report.show_interval": lambda: Call(
        function=report.show_interval, arguments={"low": 1e-6, "high": 2e-6, "unit": "S"}
    ),
    "report.show_duration": lambda: Call(function=report.show_duration, arguments={"duration": 250.0}),
    "report.show_spread": lambda: Call(function=report.show_spread, arguments={"value": 1.0, "high": 1.1}),
    "report.bills_of": _of_record(lambda bills: [dict(one) for one in bills.each[0]]),
    "report.bill_records": _of_record(report.bill_records),
    "report.bill_records:by": lambda: Call(
        function=lambda by: report.bill_records(Bills(params={}, each=[[RECORD]]), by), arguments={"by": ("layer",)},
        negative=False,
    ),
    "report.bill_table": _of_record(lambda bills: report.bill_table([bills])),
    "report.behind": _of_record(lambda bills: report.behind([bills])),
    "report.Bills": lambda: Call(
        function=lambda params, each: report.bill_records(Bills(params=params, each=each)),
        arguments={"params": {"x": 1}, "each": [[dict(RECORD)]]}, negative=False,
    ),
    "report.energy_of": lambda: Call(
        function=lambda record, phase: report.energy_of([record], phase=phase),
        arguments={"record": dict(RECORD), "phase": "inference"}, negative=False,
    ),
    "report.claims_table": lambda: Call(function=_table, arguments={"result": dict(_HEADS)}),
    "report.claims_markdown": lambda: Call(
        function=lambda result: report.claims_markdown(_table(result)), arguments={"result": dict(_HEADS)}
    ),
    "report.claims_text": lambda: Call(
        function=lambda result: str(report.claims_text(_table(result))), arguments={"result": dict(_HEADS)}
    ),
    "report.all_claims_markdown": lambda: Call(function=_page, arguments={"result": dict(_HEADS)}),
    "cost.Schedule": lambda: Call(
        function=Schedule, arguments={"jobs": _jobs(), "start": (0.0, 1e-6)},
        use=lambda made: [repr(made), made.makespan, *made.utilisation.values()], negative=False,
    ),
    "cost.BillItem": lambda: Call(
        function=cost.BillItem,
        arguments={
            "phase": "inference", "layer": "fc", "component": "ADC", "count": 4, "energy": 1e-12, "time": 1e-9,
            "area": 1e-12, "source": "ours",
        },
        use=lambda one: [repr(one), one.count, one.energy, one.time, one.area], negative=False, lets_nan_through=True,
    ),
    "cost.ConverterPrice": lambda: Call(
        function=cost.ConverterPrice,
        arguments={"energy": 1e-12, "area": 1e-9, "duration": 1e-9, "source": "ours"},
        use=lambda one: [one.energy, one.area, one.duration], negative=False,
    ),
}  # fmt: skip
