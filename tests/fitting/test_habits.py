"""Files as programs and people write them: each is read right, or refused with line and column."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmweave.base import DataError, OhmweaveError
from ohmweave.fitting import PulseTrains, read
from tests.helpers import assert_close

V_READ = 0.2


def readings() -> list[tuple[int, int, int, float]]:
    """Cell, pulse, polarity and conductance, S, of two cells and two cycles."""
    chance, found = np.random.default_rng(0), []
    for cell in range(2):
        g = 5e-6
        for pulse, sign in enumerate([0] + ([1] * 25 + [-1] * 25) * 2):
            g = float(np.clip(g + sign * 0.4e-6 + chance.normal() * 0.1e-6, 2e-6, 20e-6)) if sign else g
            found.append((cell, pulse, sign, g))
    return found


ALL = readings()
ONE = [one for one in ALL if one[0] == 0]


def table(header: str, line: Callable[..., str], rows: list[Any] = ALL) -> str:
    return "\n".join([header, *(line(*row) for row in rows)]) + "\n"


def easy_expert() -> str:
    above = [
        "SetupTitle, LTP and LTD",
        "TestParameter, Channel.Unit, SMU1:MP, SMU2:MP",
        "Dimension1, 101, 101, 101, 101",
    ]
    rows = [f"DataValue, {pulse}, {V_READ}, {g * V_READ:.6E}, {sign}" for _, pulse, sign, g in ONE]
    return "\r\n".join([*above, "DataName, Index, Vread, Iread, Polarity", *rows]) + "\r\n"


def labview() -> str:
    above = [
        "LabVIEW Measurement\t", "Writer_Version\t2", "Separator\tTab", "Decimal_Separator\t,", "Date\t2025/11/05",
        "***End_of_Header***\t", "\t", "Channels\t3\t\t\t\t", "Y_Unit_Label\tS\t\t\t", "***End_of_Header***\t\t\t\t",
        "X_Value\tPulse\tPolarity\tG (uS)\tComment",
    ]  # fmt: skip
    rows = [f"{pulse * 0.5:.6f}\t{pulse}\t{sign}\t{g * 1e6:.6f}\t".replace(".", ",") for _, pulse, sign, g in ONE]
    return "\r\n".join(above + rows) + "\r\n"


def keithley() -> str:
    lines = ["Index,Time,AnodeI,AnodeV,Polarity,,Test Name,pulse#1@1"]
    for _, pulse, sign, g in ONE:
        lines.append(f"{pulse},{pulse * 1e-3:.4f},{g * V_READ:.5E},{V_READ:.5E},{sign},,,")
    return "\n".join(lines) + "\n"


def grouped(value: float, decimals: int, mark: str, point: str = ".") -> str:
    return f"{value:,.{decimals}f}".replace(",", "x").replace(".", point).replace("x", mark)


def of_r(mark: str, decimals: int = 0, point: str = ".") -> str:
    return table(
        "cell\tpulse\tpolarity\tr (Ohm)",
        lambda cell, pulse, sign, g: f"{cell}\t{pulse}\t{sign}\t{grouped(1 / g, decimals, mark, point)}",
    )


def of_g(mark: str, delimiter: str = ";") -> str:
    return table(
        delimiter.join(["cell", "pulse", "polarity", "g (nS)"]),
        lambda cell, pulse, sign, g: delimiter.join([str(cell), str(pulse), str(sign), grouped(1e9 * g, 0, mark)]),
    )


def titled(title: str, of: Callable[[float], float] = lambda g: 1e6 * g) -> str:
    return table(f"cell,pulse,polarity,{title}", lambda cell, pulse, sign, g: f"{cell},{pulse},{sign},{of(g):.6f}")


def comma(text: str) -> str:
    return text.replace(".", ",")


SET_RESET = {1: "SET", -1: "RESET", 0: ""}
OWN_UNITS = "\n".join(
    ["Leitwert;Puls Nr.;Zelle;Polarität", "µS;;;"]
    + [f"{comma(f'{g * 1e6:.6E}')};{n};Z{c};{ {1: 'Setzen', -1: 'Rücksetzen', 0: ''}[s] }" for c, n, s, g in ALL]
)
CLEAN = titled("g (uS)")
TWO_IN_TURN = [table("pulse,polarity,g (uS)", lambda c, n, s, g: f"{n},{s},{g * 1e6:.6f}", [*some]) for some in (
    ONE, [one for one in ALL if one[0] == 1]
)]  # fmt: skip


RIGHT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "EasyEXPERT": (easy_expert(), "utf-8", {}),
    "LabVIEW": (labview(), "latin-1", {}),
    "Keithley": (keithley(), "utf-8", {"columns": {"i (A)": "AnodeI", "v_read (V)": "AnodeV"}}),
    "UTF-16 of a spreadsheet": (
        table(
            "Device\tPulse #\tPolarity\tG (µS)",
            lambda cell, pulse, sign, g: f"D{cell}\t{pulse}\t{ {1: 'SET', -1: 'RESET', 0: ''}[sign]}\t{g * 1e6:.6f}",
        ),
        "utf-16",
        {},
    ),
    "index of a data frame": (
        "\n".join(
            [",cell,pulse,polarity,conductance_s", *(f"{k},{c},{n},{s},{g!r}" for k, (c, n, s, g) in enumerate(ALL))]
        ),
        "utf-8",
        {},
    ),
    "1'234": (of_r("'"), "utf-8", {}),
    "1 234": (of_r(" "), "utf-8", {}),
    "1 234 with a narrow space": (of_r("\u202f"), "utf-8", {}),
    "1,234.5": (of_r(",", 1), "utf-8", {}),
    "1.234,5": (of_r(".", 1, ","), "utf-8", {}),
    "1,234 explained": (of_g(","), "utf-8", {"decimal": "."}),
    "1.234 explained": (of_g("."), "utf-8", {"decimal": ","}),
    "German, a line of units, powers of ten with a comma": (OWN_UNITS, "latin-1", {}),
    "French currents, read voltage above": (
        table(
            "Tension de lecture : 0,2 V\nCellule;Impulsion;Sens;Courant (µA)",
            lambda c, n, s, g: f"C{c};{n};{SET_RESET[s]};{comma(f'{g * 0.2e6:.7f}')}",
        ),
        "utf-8",
        {},
    ),
    "German currents, read voltage above": (
        table(
            "Lesespannung [V]\t0,2\nZelle\tPuls\tRichtung\tStrom [nA]",
            lambda c, n, s, g: f"C{c}\t{n}\t{SET_RESET[s]}\t{comma(f'{g * 0.2e9:.4f}')}",
        ),
        "utf-8",
        {},
    ),
    "all fields in quotes, with semicolons": (
        table(
            '"cell";"pulse";"polarity";"g (uS)"',
            lambda c, n, s, g: f'"D{c}";"{n}";"{s}";"{comma(f"{g * 1e6:.6f}")}"',
        ),
        "utf-8",
        {},
    ),
    "dates with a clock": (
        table(
            "Timestamp,cell,pulse,polarity,g (uS)",
            lambda c, n, s, g: f"2024-03-01 12:{n // 60:02d}:{n % 60:02d}.500,D{c},{n},{s},{g * 1e6:.6f}",
        ),
        "utf-8",
        {},
    ),
    "clock instead of pulse numbers": (
        table(
            "Zeit;Zelle;Polarität;g (uS)",
            lambda c, n, s, g: f"01.03.2024 12:{n // 60:02d}:{n % 60:02d};D{c};{s};{comma(f'{g * 1e6:.6f}')}",
        ),
        "utf-8",
        {},
    ),
    "a column in kOhm and one in mA": (
        table(
            "R (kOhm),cell,I (mA) @ 0.2 V,pulse,polarity",
            lambda c, n, s, g: f"{1e-3 / g:.7f},D{c},{g * 0.2e3:.10f},{n},{s}",
        ),
        "utf-8",
        {},
    ),
    "merged cells above the header": (
        table(
            "Setup,,,Result\ncell,pulse,polarity,g (uS)", lambda c, n, s, g: f"D{c},{n},{s},{g * 1e6:.6f}"
        ),
        "utf-8",
        {},
    ),
    "a column of each cell in its own unit": (
        "\n".join(
            ["pulse;polarity;D0 (nS);D1 (mS)"]
            + [f"{n};{s};{1e9 * g:.3f};{1e3 * ALL[101 + n][3]:.9f}" for _, n, s, g in ONE]
        ),
        "utf-8",
        {},
    ),
    "percentages explained": (titled("G (%)", lambda g: g / 20e-8), "utf-8", {"scale": {1: 0.2e-6, 100: 20e-6}}),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_read_right(name: str, tmp_path: Path) -> None:
    text, encoding, options = RIGHT[name]
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    trains = read(tmp_path / "a.csv", **options).only(PulseTrains)
    expected = ALL if len(trains.g) == len(ALL) else ONE
    assert_close(trains.g, [g for *_, g in expected], rtol=2e-4)  # resistances are rounded to 1 Ohm, conductances to nS
    assert trains.polarity.tolist() == [sign for _, _, sign, _ in expected]


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "two tests of EasyEXPERT": (2 * easy_expert(), {}, r"a\.csv, line 109 must not begin another test"),
    "1,234": (of_g(","), {}, r"a\.csv, line 2, column 4: '5,000' may be a number with a decimal comma or with a mark"),
    "1.234": (of_g("."), {}, r"a\.csv, line 2, column 4: '5.000' may be a number with a decimal point or with a mark"),
    "current and voltage as cells": (
        keithley(), {"unit": "A", "v_read": 0.2}, "line 1: the column `AnodeI` and the column `AnodeV` must be cells"
    ),
    "one number with groups of two": (
        of_r(",", 1).replace("200,000.0", "20,00.0", 1), {}, r"line 2, column 4: '20,00.0' must have groups of three"
    ),
    "log10(G)": (titled("log10(G)", np.log10), {}, r"line 1: the column `log10\(G\)` must hold values, but holds loga"),
    "log G (uS)": (titled("log G (uS)"), {}, "line 1: the column `log G .uS.` must hold values, but holds logarithms"),
    "ln(R/Ohm)": (titled("ln(R/Ohm)"), {}, "line 1: the column .* holds logarithms"),
    "log10 with a scale": (titled("log10(G)"), {"scale": {1: 1e-6, 2: 2e-6}}, "holds logarithms"),
    "dG (uS)": (titled("dG (uS)"), {}, "line 1: the column `dG .uS.` must hold values, but holds changes"),
    "G/G0": (titled("G/G0"), {}, r"`g of a.csv, line 1` must be a quantity in S.* but is '1 G0'"),
    "an offset": (titled("G (uS)", lambda g: 1e6 * g - 12), {}, r"must hold conductances, but \d+ of \d+ are below"),
    "a second table below": (
        CLEAN + "\nSummary\ncell,mean (uS)\n0,9.1\n", {}, "line 205 must have 4 fields as the header, line 1, but has"
    ),
    "a second table of as many columns": (
        CLEAN + "\ncell,n,yield,mean (uS)\n0,101,1,9.1\n", {}, r"line 205, column .g \(uS\).*but is 'mean \(uS\)'"
    ),
    "two sweeps one after another": (
        TWO_IN_TURN[0] + TWO_IN_TURN[1].split("\n", 1)[1], {}, "line 103, column `pulse`.*where numbers begin again"
    ),
    "two sweeps, each with its header": ("\n".join(TWO_IN_TURN), {}, r"line 104, column .* but is 'g \(uS\)'"),
    "units beside the numbers": (
        table("cell,pulse,polarity,R", lambda c, n, s, g: f"{c},{n},{s},{1e-3 / g:.4f} kOhm"), {},
        "line 1: the column `R` must have a unit",
    ),
    "percentages": (titled("G (%)"), {}, "line 1: the column `G .%.` holds percentages: `scale` must say"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_line_and_column(name: str, tmp_path: Path) -> None:
    text, options, said = REFUSED[name]
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(OhmweaveError, match=said):
        read(tmp_path / "a.csv", **options)


def test_columns_of_different_length(tmp_path: Path) -> None:
    up, down = [g for *_, g in ONE[:26]], [g for *_, g in ONE[25:44]]
    padded = [f"{1e6 * g:.6f}" for g in down] + [""] * (len(up) - len(down))
    lines = [f"{k},{1e6 * one:.6f},{other}" for k, (one, other) in enumerate(zip(up, padded, strict=True))]
    (tmp_path / "a.csv").write_text("\n".join(["Pulse #,LTP (uS),LTD (uS)", *lines]), encoding="utf-8")
    trains = read(tmp_path / "a.csv").only(PulseTrains)
    assert_close(trains.g, [*up, *down], rtol=1e-6)
    assert trains.polarity.tolist() == [1] * 26 + [-1] * 19
    (tmp_path / "b.csv").write_text("\n".join(["Pulse #,LTP (uS),LTD (uS)", *(one.rstrip(",") for one in lines)]))
    with pytest.raises(DataError, match=r"b\.csv, line 21 must have 3 fields .* column `LTD \(uS\)` is missing"):
        read(tmp_path / "b.csv")
