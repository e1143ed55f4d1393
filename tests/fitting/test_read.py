"""Tables of every shape as typed data, and values that are not believed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.fitting import Cycling, Measurement, PulseTrains, Readout, RelaxationData, Sweep, TimeSeries, read
from tests.helpers import assert_close

Write = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path) -> Write:
    def write(text: str, name: str = "data.csv", encoding: str = "utf-8") -> Path:
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return write


def train(n: int = 30, cycles: int = 2) -> list[tuple[int, int, float]]:
    """Pulse, polarity and conductance, uS, of an exact exponential approach from 3 uS to 18 and 4 uS."""
    g, rows = 3.0, [(0, 0, 3.0)]
    for pulse in range(1, n * cycles + 1):
        up = (pulse - 1) // (n // 2) % 2 == 0
        g += 0.15 * ((18 if up else 4) - g)
        rows.append((pulse, 1 if up else -1, round(g, 4)))
    return rows


def table(rows: list[tuple[int, int, float]], cell: str = "A") -> str:
    return "cell,pulse,polarity,g (uS)\n" + "".join(f"{cell},{n},{p},{g:.4f}\n" for n, p, g in rows)


def changed(rows: list[tuple[int, int, float]], at: int, g: float) -> list[tuple[int, int, float]]:
    return [*rows[:at], (rows[at][0], rows[at][1], g), *rows[at + 1 :]]


def reasons(found: Measurement) -> dict[int, str]:
    return {one.line: one.why for one in found.left_out}


# ------------------------------------------------------------------------------------------------ values left out


@pytest.mark.parametrize(
    "value", ["9.9E37", "9.91E+37", "1e38", "-9.9e37", "OVERFLOW", "inf", "NaN", "", "N/A", "0", "-1"]
)
def test_what_no_cell_has_is_named_and_left_out(file: Write, value: str) -> None:
    lines = table(train()).splitlines()
    lines[8] = lines[8].rsplit(",", 1)[0] + "," + value
    found = read(file("\n".join(lines) + "\n"))
    assert list(reasons(found)) == [9]
    assert found.left_out[0].value == value
    assert found.left_out[0].column == "column `g (uS)`"
    assert 7 not in found.trains.pulse
    assert len(found.trains.g) == 60
    assert f"data.csv, line 9, column `g (uS)`: {value!r} left out: " in repr(found)


@pytest.mark.parametrize("at", [0, 5, 15, 16, 30, 59, 60])
@pytest.mark.parametrize("g", [400.0, 0.02])
def test_a_single_misread_is_left_out_wherever_it_is(file: Write, at: int, g: float) -> None:
    if g < 1 and at in (0, 16, 30):
        pytest.skip("near the lower end of the window, 20 nS is no misread that can be told")
    found = read(file(table(changed(train(), at, g))))
    if g < 1 and at not in (5, 59):  # a low reading at the end of a RESET train is what RESET does
        assert reasons(found) in ({}, {at + 2: "its neighbours contradict it: a misread"})
        return
    assert list(reasons(found)) == [at + 2]
    assert at not in found.trains.pulse


def test_abrupt_switching_and_telegraph_noise_stay(file: Write) -> None:
    """One pulse to either end: each reading differs from both neighbours, and the pulses explain it."""
    abrupt = [(0, 0, 2.0), *((n, 1 if n % 2 else -1, 20.0 if n % 2 else 2.0) for n in range(1, 80))]
    assert read(file(table(abrupt))).left_out == ()
    late = [(n, 1 if 0 < n < 40 else -1 if n else 0, 20.0 if 12 <= n < 61 else 2.0 + 0.001 * n) for n in range(80)]
    assert read(file(table(late))).left_out == ()
    chance = np.random.default_rng(0)
    noisy = [(n, p, g + (1.5 if chance.random() < 0.3 else 0.0)) for n, p, g in train(40, 4)]
    assert read(file(table(noisy))).left_out == ()


def test_gaussian_scatter_far_above_the_steps_stays(file: Write) -> None:
    chance = np.random.default_rng(1)
    rows = [(n, 1 if n % 40 < 20 else -1, 10 + chance.normal(0, 0.5)) for n in range(2000)]
    assert read(file(table(rows))).left_out == ()


def test_a_cell_that_stops_responding_is_left_out_from_there(file: Write) -> None:
    rows = train(30, 4)
    dead = [(n, p, g if n < 50 else 7.3) for n, p, g in rows]
    alive = read(file(table(rows, "B"))).trains
    found = read(file(table(dead) + table(rows, "B").split("\n", 1)[1]))
    assert [(one.line, one.why.split(":")[0]) for one in found.left_out] == [(52, "cell A stops responding here")]
    assert found.trains.pulse[found.trains.cell == 0].max() == 49
    assert (found.trains.g[found.trains.cell == 1] == alive.g).all()


def test_a_cell_at_the_end_of_its_window_has_not_stopped(file: Write) -> None:
    rows = [(n, 1, min(3.0 + n, 18.0)) for n in range(80)]
    assert read(file(table(rows))).left_out == ()


def test_repeated_lines_are_named(file: Write) -> None:
    lines = table(train()).splitlines()
    found = read(file("\n".join([*lines[:20], lines[19], *lines[20:]]) + "\n"))
    assert reasons(found) == {21: "repeats line 20"}
    assert len(found.trains.g) == 61


def test_a_last_pulse_number_far_beyond_the_others_is_left_out(file: Write) -> None:
    lines = table(train()).splitlines()
    mistyped = lines[-1].replace(",60,", ",2000,")
    assert mistyped != lines[-1]
    found = read(file("\n".join([*lines[:-1], mistyped]) + "\n"))
    assert reasons(found) == {62: "the pulse number jumps from 59 to 2000, and no reading follows"}
    assert found.trains.pulse.max() == 59
    # A missing stretch that is no longer than what was measured is a gap.
    gap = read(file("\n".join([*lines[:-1], lines[-1].replace(",60,", ",110,")]) + "\n"))
    assert (reasons(gap), int(gap.trains.pulse.max())) == ({}, 110)


def test_a_last_line_that_may_be_cut_is_left_out(file: Write) -> None:
    text = table(train())
    whole = read(file(text)).trains
    for cut in (text[:-2], text[:-3]):
        found = read(file(cut))
        assert list(reasons(found)) == [62]
        assert (found.trains.g == whole.g[:-1]).all()
    assert (read(file(text[:-1])).trains.g == whole.g).all()


def test_one_misread_leaves_the_law(file: Write) -> None:
    """The case of issue 15: one reading of 1,204 at 400 uS."""
    from ohmweave.fitting import fit_trains
    from tests.fitting.exports import clean_readings

    lines = ["cell,pulse,polarity,g (uS)"]
    lines += [f"{one.cell},{one.pulse},{one.polarity},{one.g}" for one in clean_readings(cells=4, pulses=300)]
    reference = fit_trains(read(file("\n".join(lines) + "\n")).trains, law="soft-bounds")
    lines[60] = lines[60].rsplit(",", 1)[0] + ",400"
    found = read(file("\n".join(lines) + "\n"))
    assert list(reasons(found)) == [61]
    fit = fit_trains(found.trains, law="soft-bounds")
    assert fit.stuck.value == 0
    for name, interval in reference.chosen.parameters.items():
        assert interval.low <= fit.chosen.parameters[name].value <= interval.high


# ----------------------------------------------------------------------------------------------------- long tables


def test_polarity_from_the_sign_of_the_amplitude(file: Write) -> None:
    rows = [f"{n},{p * 1.2},{g}" for n, p, g in train()]
    for sign, guess in ((1, "+ is SET"), (-1, "- is SET")):
        text = "\n".join(f"{n},{sign * float(v)},{g}" for n, v, g in (row.split(",") for row in rows))
        found = read(file(f"n,Amplitude (V),G (uS)\n{text}\n"))
        assert found.trains.polarity.tolist() == [p for _, p, _ in train()]
        assert any(guess in one for one in found.guesses)
        assert found.trains.names == ("data",)


def test_polarities_that_contradict_the_readings_are_refused(file: Write) -> None:
    rows = [(n, -p, g) for n, p, g in train()]
    with pytest.raises(DataError, match=r"line 1: SET must raise the conductance .* opposite .*polarities exchanged"):
        read(file(table(rows)))


def test_cycles_with_their_own_pulse_numbers(file: Write) -> None:
    """The columns of memdevice-bench: numbers begin again in each direction of each cycle."""
    lines = ["device_id,cycle,pulse_index,direction,conductance_s"]
    for n, p, g in train()[1:]:
        cycle, index = divmod(n - 1, 30)
        lines.append(f"d1,{cycle},{index % 15},{'potentiation' if p > 0 else 'depression'},{g * 1e-6:.10g}")
    found = read(file("\n".join(lines) + "\n"))
    assert_close(found.trains.g, [g * 1e-6 for _, _, g in train()[1:]], rtol=1e-9)
    assert found.trains.polarity.tolist() == [p for _, p, _ in train()[1:]]
    assert len(found.trains.steps().at) == 4 * 14  # the step into each new train is not used
    assert any("begin again 3 times" in one for one in found.guesses)


def test_amplitudes_are_returned_apart(file: Write) -> None:
    lines = ["cell,pulse,polarity,v (V),width (ns),g (uS)"]
    for n, p, g in train(30, 6):
        v = 1.0 + 0.1 * ((n - 1) // 60) if p > 0 else 1.5
        lines.append(f"A,{n},{p},{v:.3f},50,{g}")
    found = read(file("\n".join(lines) + "\n"))
    with pytest.raises(DataError, match="must hold one PulseTrains, but holds PulseTrains"):
        _ = found.trains
    parts = [part for part in found.parts if isinstance(part, PulseTrains)]
    assert [part.conditions["v_set"] for part in parts] == [1.0, 1.1, 1.2]
    assert {part.conditions["v_reset"] for part in parts} == {1.5}
    assert sum(len(part.steps().at) for part in parts) == 180
    for part in parts:
        steps = part.steps()
        assert len(steps.at) == 60
        assert ((steps.g_after - steps.g_before) * steps.polarity > 0).all()


def test_an_amplitude_that_rises_within_a_train(file: Write) -> None:
    lines = ["cell,pulse,polarity,v (V),g (uS)"]
    lines += [f"A,{n},{p},{1 + 0.1 * ((n - 1) % 15) if p else 0:.3f},{g}" for n, p, g in train(30, 4)]
    found = read(file("\n".join(lines) + "\n"))
    assert len(found.parts) == 30
    assert sum(len(part.steps().at) for part in found.parts if isinstance(part, PulseTrains)) == 120
    assert any("by themselves" in one for one in found.notes)


def test_amplitudes_measured_with_jitter_are_one(file: Write) -> None:
    chance = np.random.default_rng(2)
    lines = ["cell,pulse,polarity,v (V),g (uS)"]
    lines += [f"A,{n},{p},{p * 1.2 * (1 + chance.uniform(-0.003, 0.003)):.5f},{g}" for n, p, g in train()]
    found = read(file("\n".join(lines) + "\n"))
    assert_close(found.trains.conditions["v_set"], 1.2, rtol=0.004)
    assert any("count as one" in one for one in found.notes)


def test_the_read_voltage_of_a_column_a_title_and_a_line_above(file: Write) -> None:
    rows = train()
    bare = "n,polarity,i (uA)\n" + "".join(f"{n},{p},{g * 0.2:.6g}\n" for n, p, g in rows)
    wanted = [g * 1e-6 for *_, g in rows]
    assert_close(read(file("Read voltage: 0.2 V\n" + bare)).trains.g, wanted, rtol=1e-5)
    assert_close(read(file(bare.replace("i (uA)", "I@200mV (uA)"))).trains.g, wanted, rtol=1e-5)
    assert_close(read(file(bare), unit="uA @ 0.2 V").trains.g, wanted, rtol=1e-5)
    assert_close(read(file(bare), v_read=0.2).trains.g, wanted, rtol=1e-5)
    with_column = "\n".join(
        line + (",v_read (V)" if not at else ",0.2") for at, line in enumerate(bare.strip().split("\n"))
    )
    assert_close(read(file(with_column + "\n")).trains.g, wanted, rtol=1e-5)
    with pytest.raises(DataError, match="`v_read` must say at which voltage"):
        read(file(bare))
    with pytest.raises(OutOfRangeError, match="must be that of the column"):
        read(file(bare.replace("i (uA)", "I@0.2V (uA)")), v_read=0.3)


def test_columns_by_title_and_number(file: Write) -> None:
    text = "Dev;No;What;Cond\n" + "".join(f"D1;{n};{p};{g}\n" for n, p, g in train())
    with pytest.raises(DataError, match=r"the header must name polarity too"):
        read(file(text), unit="uS")
    found = read(file(text), columns={"polarity": "What", "g (uS)": "4"}).trains
    assert found.g.tolist() == read(file(table(train()))).trains.g.tolist()
    with pytest.raises(
        DataError, match=r"`--column polarity=Sign`\) must name one column .* 'Dev', 'No', 'What', 'Cond'"
    ):
        read(file(text), columns={"polarity": "Sign"})
    with pytest.raises(OutOfRangeError, match=r"must say what a column holds, one of cell, .* but says 'colour'"):
        read(file(text), columns={"colour": "Cond"})


def test_a_column_of_conductances_in_another_unit(file: Write) -> None:
    with pytest.raises(
        OutOfRangeError, match=r"must be from 1e-15 to 1 S, but their median is .* if the numbers are in"
    ):
        read(file(table(train()).replace("(uS)", "(S)")))


def test_conductance_and_resistance_in_one_line_must_agree(file: Write) -> None:
    rows = train()
    lines = [f"A,{n},{p},{g},{1000 / g:.7g}" for n, p, g in rows]
    lines[7] = f"A,7,1,{rows[7][2]},99.0"
    found = read(file("cell,pulse,polarity,g (uS),r (kOhm)\n" + "\n".join(lines) + "\n"))
    assert reasons(found) == {9: "contradicts the resistance in the same line, column `r (kOhm)`"}


def test_one_mark_of_thousands_is_refused(file: Write) -> None:
    text = table(train()).replace(",", ";")
    with pytest.raises(
        DataError, match=r"line 4, column 4: '1,234' has a comma where other numbers have decimal points"
    ):
        read(file(text.replace(f"{train()[2][2]:.4f}", "1,234")))
    same = "\n".join(f"{n};{p};{round(10 * g)},{n % 10}00" for n, p, g in train())
    with pytest.raises(DataError, match="may be a number with a decimal comma or with a mark of thousands"):
        read(file("n;polarity;g (nS)\n" + same + "\n"))
    assert_close(read(file("n;polarity;g (nS)\n" + same + "\n"), decimal=",").trains.g[0], 30e-9, rtol=1e-9)


# ----------------------------------------------------------------------------------------------------- wide tables


def ramps() -> tuple[list[list[str]], list[list[str]]]:
    """Three SET ramps and three RESET ramps, of different lengths, in uA at 0.1 V."""
    chance = np.random.default_rng(3)
    up = [[f"{0.2 + 0.05 * k + 0.001 * chance.normal():.6f}" for k in range(20 - column)] for column in range(3)]
    down = [[f"{1.2 - 0.05 * k + 0.001 * chance.normal():.6f}" for k in range(18 + column)] for column in range(3)]
    return up, down


def wide(columns: list[list[str]], titles: list[str]) -> str:
    n = max(map(len, columns))
    rows = [",".join(column[row] if row < len(column) else "" for column in columns) for row in range(n)]
    return "\n".join([",".join(titles), *rows]) + "\n"


def test_ramps_in_two_files_are_one_cell(file: Write) -> None:
    up, down = ramps()
    titles = ["rmp1", "rmp2", "rmp3"]
    paths = [file(wide(up, titles), "set.csv"), file(wide(down, titles), "reset.csv")]
    for order in (paths, paths[::-1]):
        found = read(order, unit="uA @ 0.1 V")
        trains = found.trains
        assert found.left_out == ()
        assert len(trains.names) == 1
        steps = trains.steps()
        assert (steps.polarity == 1).sum() == sum(len(one) - 1 for one in up)
        assert (steps.polarity == -1).sum() == sum(len(one) - 1 for one in down)
        assert_close(trains.g[:20], [10e-6 * float(one) for one in up[0]], rtol=1e-9)
        assert trains.polarity[20] == -1


def test_a_column_a_cell(file: Write) -> None:
    up, _ = ramps()
    found = read(file(wide(up, ["A1 (uS)", "A2 (uS)", "B1 (uS)"])))
    assert found.trains.names == ("A1", "A2", "B1")
    rows = [f"{n},{p},{g},{g + 1}" for n, p, g in train()]
    found = read(file("pulse,polarity,D1 (uS),D2 (uS)\n" + "\n".join(rows) + "\n"))
    assert found.trains.names == ("D1", "D2")
    assert_close(found.trains.g, [1e-6 * (g + cell) for cell in (0, 1) for *_, g in train()], rtol=1e-9)


def test_ramps_that_contradict_their_name_or_have_no_direction(file: Write) -> None:
    up, down = ramps()
    with pytest.raises(
        DataError, match=r"set\.csv, line 2, column `rmp1` must hold conductances of a SET ramp, but they fall"
    ):
        read(file(wide(down, ["rmp1", "rmp2", "rmp3"]), "set.csv"), unit="uA @ 0.1 V")
    both = [one + other for one, other in zip(up, down, strict=True)]
    with pytest.raises(DataError, match="must rise or fall as a ramp of SET or RESET pulses does"):
        read(file(wide(both, ["a", "b", "c"])), unit="uS")


def test_two_columns_up_and_down(file: Write) -> None:
    up = [3 + 0.5 * k for k in range(30)]
    text = "\n".join(f"{g},{g_down}" for g, g_down in zip(up, up[::-1], strict=True)) + "\n"
    scaled = read(file(text), scale={0.0: 0.0, 1.0: 1e-6}).trains
    titled = read(file("LTP (uS),LTD (uS)\n" + text)).trains
    for found in (scaled, titled):
        assert_close(found.g, [1e-6 * g for g in up + up[::-1]], rtol=1e-9)
        assert found.polarity.tolist() == [1] * 30 + [-1] * 30
        assert len(found.steps().at) == 58  # between the trains nothing is known
    with pytest.raises(DataError, match="`columns`"):
        read(file(text))


# ----------------------------------------------------------------------------------------------------- other kinds


def test_cycling(file: Write) -> None:
    text = "7\t10000\t100000\t1\n7\t10500\t9.9e37\t2\n8\t9000\t200000\t1\n"
    found = read(file(text), columns=["cell", "r_set (Ohm)", "r_reset (Ohm)", "cycle"])
    data = found.only(Cycling)
    assert data.names == ("7", "8")
    assert_close(data.g_set, [1e-4, 1 / 9000], rtol=1e-12)
    assert_close(data.g_reset, [1e-5, 5e-6], rtol=1e-12)
    assert list(reasons(found)) == [2]
    titled = read(file("device,LRS (kOhm),HRS (kOhm)\na,10,100\na,11,90\n")).only(Cycling)
    assert titled.cycle.tolist() == [1, 2]
    with pytest.raises(DataError, match="are the two exchanged"):
        read(file(text), columns=["cell", "r_reset (Ohm)", "r_set (Ohm)", "cycle"])
    with pytest.raises(DataError, match=r"line 2, column 4: `cycle` must be above 1, .* but is '1'"):
        read(file("7\t1e4\t1e5\t1\n7\t1e4\t1e5\t1\n"), columns=["cell", "r_set (Ohm)", "r_reset (Ohm)", "cycle"])


def test_relaxation(file: Write) -> None:
    text = "device,time (ms),G (uS),level,T (C)\na,0,10,3,25\na,100,9,3,25\nb,0,20,4,85\nb,5e3,18,4,85\n"
    data = read(file(text)).only(RelaxationData)
    assert data.time.tolist() == [0.0, 0.1, 0.0, 5.0]
    assert_close(data.g, [10e-6, 9e-6, 20e-6, 18e-6], rtol=1e-12)
    assert data.level is not None
    assert data.level.tolist() == [3, 3, 4, 4]
    assert data.temperature is not None
    assert_close(data.temperature, [298.15, 298.15, 358.15, 358.15], rtol=1e-12)
    with pytest.raises(DataError, match=r"line 3, column `time \(ms\)`: `time` must be a time after the write"):
        read(file(text.replace("a,100", "a,-100")))


def test_time_series_in_lines_and_in_columns(file: Write) -> None:
    values = [[5 + 0.01 * k for k in range(150)], [7 - 0.01 * k for k in range(150)]]
    rows = "\n".join(f"{at}\t0\t" + "\t".join(f"{one:.4f}" for one in each) for at, each in enumerate(values)) + "\n"
    data = read(file(rows), columns=["level", "-", "g (uS) @ 400 Hz ..."]).only(TimeSeries)
    assert_close(data.interval, 2.5e-3, rtol=1e-12)
    assert_close(data.g[1], [1e-6 * one for one in values[1]], rtol=1e-4)
    assert data.level is not None
    assert data.level.tolist() == [0, 1]
    lines = [
        f"{name},{0.01 * k:.2f},{one:.4f}"
        for name, each in zip("ab", values, strict=True)
        for k, one in enumerate(each)
    ]
    data = read(file("cell,time (s),g (uS)\n" + "\n".join(lines) + "\n")).only(TimeSeries)
    assert_close(data.interval, 0.01, rtol=1e-9)
    assert_close(data.g[0], [1e-6 * one for one in values[0]], rtol=1e-4)
    with pytest.raises(DataError, match="must say how often the series was read"):
        read(file(rows), columns=["level", "-", "g (uS) ..."])


def test_a_reading_of_a_series_that_is_left_out_is_a_gap(file: Write) -> None:
    rows = "0\t" + "\t".join(["5.0"] * 60 + ["-0.1"] + ["5.1"] * 60) + "\n"
    found = read(file(rows + rows), columns=["level", "g (uS) @ 1 ms ..."])
    data = found.only(TimeSeries)
    assert [int(np.flatnonzero(np.isnan(one))[0]) for one in data.g] == [60, 60]
    assert [one.line for one in found.left_out] == [1, 2]


def test_sweeps_and_single_readings(file: Write) -> None:
    sweep = read(file("V,I\n0,0\n0.1,-1\n0.2,2\n"), columns=["v (V)", "i (uA)"]).only(Sweep)
    assert_close(sweep.i[1:], [-1e-6, 2e-6], rtol=1e-12)
    titled = read(file("cell;Voltage (mV);Current (nA)\nx;0,5;1,5\nx;100,5;2,5\n")).only(Sweep)
    assert_close(titled.v, [0.5e-3, 0.1005], rtol=1e-12)
    once = read(file("addr,R (kOhm)\n1,10\n2,20\n")).only(Readout)
    assert_close(once.g, [1e-4, 5e-5], rtol=1e-12)
    with pytest.raises(DataError, match=r"line 4, column `addr`: `cell` must be a cell that was not named before"):
        read(file("addr,R (kOhm)\n1,10\n2,20\n1,11\n"))


# --------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "V"}, "`unit` .* must be one of conductance, resistance or current"),
        ({"kind": "noise"}, "`kind` must be one of trains, cycling"),
        ({"decimal": ";"}, "`decimal` must be"),
        ({"scale": {0: 1e-6}}, "`scale` must map two different numbers"),
        ({"scale": {0: 1e-6, 1: 1e-6}}, "`scale` must map two different numbers"),
        ({"columns": "cell"}, "`columns` must be a list of names or a dict"),
        ({"v_read": float("nan")}, "`v_read` must be a finite number"),
        ({"unit": "uA @ 0.1 V", "v_read": 0.2}, "must give one read voltage"),
    ],
)
def test_options_out_of_range(file: Write, options: dict[str, object], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        read(file(table(train())), **options)  # type: ignore[arg-type]


def test_path_may_not_be_something_else() -> None:
    for path in (3, [], [3]):
        with pytest.raises(OutOfRangeError, match="`path` must be the path of a file, or several"):
            read(path)  # type: ignore[arg-type]
