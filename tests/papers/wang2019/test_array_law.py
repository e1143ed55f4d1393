"""Readings of the law in the array: circuits against closed forms and nodal solves; claims on rows made up."""

import math

import pytest
import torch

from ohmweave.arrays import SimulatedArray, Transistors, Wires
from ohmweave.base import generator
from ohmweave.cells import Pulse, wang2019
from ohmweave.cells.wang2019 import DEVICE, G_STUCK, GATES, R_SERIES
from ohmweave.circuit import read_bias, solve_nodes
from ohmweave.experiments import judge
from ohmweave.papers.wang2019 import array_law
from ohmweave.papers.wang2019.array_law_table import network_lines, reading_lines
from ohmweave.papers.wang2019.readings import (
    READINGS,
    V_GATES,
    FastRead,
    distance,
    law_of,
    lowest_at,
    slope,
)
from tests.helpers import assert_close
from tests.papers.made_up import ARRAY_LAW, BROKEN, PAPER, PERFECT, array_law_rows


@pytest.fixture(scope="module")
def read() -> FastRead:
    return FastRead(generator(0, "read"))


def behind(g: float) -> float:
    """A cell of Fig. 1b behind the series resistance, S."""
    return 1 / (1 / g + 1 / 150e-6 - 1 / 278e-6)


def test_only_the_network_s_cells_are_set(read: FastRead) -> None:
    assert int(read.used.sum()) == 4_060
    assert_close(read.stuck.sum() / 4_060, 0.11, rtol=0.2)
    assert not bool((read.stuck & ~read.used).any())
    seen = read.conductance(torch.full((128, 64), 2.0), READINGS["device"], 0.0)
    assert float(seen[~read.used].abs().max()) == 0.0
    # Pairs are neighbouring rows that begin in an odd row: one goes up, the other down.
    assert_close(read.sign[87:123:2, 36:51], -read.sign[88:124:2, 36:51], rtol=1e-12)


def test_the_bare_device_shows_fig_1b(read: FastRead) -> None:
    law = law_of(read, READINGS["device"])
    assert_close(law["curve"], DEVICE.g, rtol=1e-9)
    assert_close(law["slope_of_fig_1b"], (823e-6 - 205e-6) / 0.7, rtol=1e-9)
    assert_close(law["pair_slope"], (630e-6 - 63e-6) / 0.8, rtol=1e-9)
    assert_close(law["weight"], (940e-6 - 38e-6) / 1e-4, rtol=1e-9)


def test_one_series_resistance_by_hand(read: FastRead) -> None:
    """All figures of the law from the table of Fig. 1b with a pocket calculator's arithmetic."""
    law = law_of(read, READINGS["series"])
    assert_close(law["r"], 3_069.5, rtol=1e-4)
    assert_close(law["level"], 150e-6, rtol=1e-9)
    assert_close(law["pair_slope"], (behind(630e-6) - behind(63e-6)) / 0.8, rtol=1e-9)
    assert_close(law["weight"], (behind(940e-6) - behind(38e-6)) / 1e-4, rtol=1e-9)
    errors = [behind(g) - (120e-6 * v - 42e-6) for v, g in zip(V_GATES[3:], DEVICE.g[3:], strict=True)]
    assert_close(law["miss"], math.sqrt(sum(e**2 for e in errors) / 12), rtol=1e-9)
    assert_close(law["slope"], 120e-6 + _fit(errors), rtol=1e-9)


def _fit(errors: list[float]) -> float:
    v = torch.tensor(V_GATES[3:], dtype=torch.float64)
    both = torch.stack([v, torch.ones_like(v)], 1)
    return float(torch.linalg.lstsq(both, torch.tensor(errors, dtype=torch.float64)[:, None]).solution[0])


def test_the_public_law_is_the_device_behind_that_resistance() -> None:
    v = torch.tensor(V_GATES, dtype=torch.float64)
    assert_close(GATES["series"].conductance(v), [behind(g) for g in DEVICE.g], rtol=1e-9)
    seen = []
    for cell, access in (("series", None), ("device", Transistors(r_on=R_SERIES))):
        law = wang2019(gate=cell, noise=0.0, stuck=0.0, d2d=0.0)
        array = SimulatedArray(law, rows=3, cols=5, dtype=torch.float64, access=access or Transistors())
        array.pulse(torch.arange(15), Pulse(torch.ones(15), v_gate=v))
        seen.append(array.readout(torch.arange(15)))
    assert_close(seen[0], seen[1], rtol=1e-9)


def test_a_fast_read_is_the_nodal_solve_of_a_row(read: FastRead) -> None:
    v_gate = torch.full((128, 64), 1.6)
    g = torch.where(read.stuck, G_STUCK, DEVICE.conductance(v_gate.double())) * read.used
    wires = Wires(r_row=0.5, r_col=0.5)
    v_row = torch.zeros(128, dtype=torch.float64)
    v_row[40] = 1.0
    expected = solve_nodes(g, read_bias(v_row, wires), wires).i_col
    seen = read.conductance(v_gate, READINGS["segments"], 0.5)[40]
    assert_close(seen, expected, rtol=1e-8, scale=float(expected.max()))


def test_each_reading_has_its_own_resistance() -> None:
    found = {name: reading.around(7.0) for name, reading in READINGS.items()}
    ideal = {"r_row": 0.0, "r_col": 0.0}
    assert found == {
        "device": (Wires(**ideal), 0.0),
        "segments": (Wires(r_row=7.0, r_col=7.0), 0.0),
        "rows": (Wires(r_row=7.0, r_col=0.0), 0.0),
        "columns": (Wires(r_row=0.0, r_col=7.0), 0.0),
        "drivers": (Wires(**ideal, r_driver=7.0), 0.0),
        "sense": (Wires(**ideal, r_sense=7.0), 0.0),
        "series": (Wires(**ideal), 7.0),
        "series-curve": (Wires(**ideal), 0.0),
        "in-array": (Wires(**ideal), 0.0),
    }


def test_lowest_at_finds_the_minimum() -> None:
    assert_close(lowest_at(lambda r: abs(math.log(r / 37.0))), 37.0, rtol=0.01)
    assert_close(lowest_at(lambda r: (r - 0.3) ** 2), 0.3, rtol=0.01)


def test_distance_and_slope_of_the_line_itself() -> None:
    levels = [120e-6 * v - 42e-6 for v in V_GATES]
    assert_close(slope(V_GATES, levels), 120e-6, rtol=1e-9)
    assert_close(distance(V_GATES, [g + 5e-6 for g in levels]), 5e-6, rtol=1e-9)


def test_the_paper_s_numbers_are_reproduced_and_no_others() -> None:
    def verdicts(situation: str) -> dict[str, str]:
        rows = array_law_rows(**ARRAY_LAW[situation])
        return {claim.key: judge(claim, rows).verdict for claim in array_law.EXPERIMENT.claims}

    of_networks = {key for key in verdicts(PAPER) if not key.startswith(("distance", "device-slope"))}
    assert {verdicts(PAPER)[key] for key in of_networks} == {"reproduced"}
    for situation in (PERFECT, BROKEN):
        assert not {key for key in of_networks if verdicts(situation)[key] == "reproduced"}
    assert {verdict for key, verdict in verdicts(PAPER).items() if key.startswith("distance")} == {"met"}
    assert verdicts(PERFECT)["accuracy-series"] == "better than printed"
    assert verdicts(BROKEN)["accuracy-series"] == "worse than printed"


def test_the_table_has_the_paper_all_readings_and_what_they_meet() -> None:
    lines = reading_lines(array_law_rows(**ARRAY_LAW[PAPER]))
    assert lines[0]["reading"] == "paper"
    assert {line["reading"] for line in lines[1:]} == {reading.title for reading in READINGS.values()}
    assert {line["printed numbers met"] for line in lines if "chips" in line} == {"3 of 3"}
    chosen = {(line["reading"], line.get("noise (uS)")): line["chosen numbers"] for line in lines}
    assert chosen["one series resistance a cell", 10.0] == 1
    assert chosen["one series resistance a cell", 20.0] == 2  # the noise is chosen, too
    lines = reading_lines(array_law_rows(**(ARRAY_LAW[PAPER] | {"largest": 2.7})))
    assert {line["printed numbers met"] for line in lines if "chips" in line} == {"2 of 3"}
    assert len(network_lines(array_law_rows(**ARRAY_LAW[PAPER]))) == 2 + len(array_law.TRAINED["full"])
    early = [line["in-batch, first 100 updates"] for line in network_lines(array_law_rows(**ARRAY_LAW[PAPER]))]
    assert_close(early[2], 0.5, rtol=1e-9)
    assert 0.55 < early[0] < 0.7  # the digitised curve passes 67.5 % at update 50 and 79.4 % at update 100
    assert reading_lines([])[1]["reading"] == READINGS["device"].title


def test_the_figure_is_drawn_from_the_law_alone() -> None:
    assert array_law.EXPERIMENT.figures[0].draw(array_law_rows(**ARRAY_LAW[PAPER])) is not None
    assert array_law.EXPERIMENT.figures[0].draw([]) is None
