"""Exports of one set of pulse trains in the dialects of labs, and exports that are damaged; all random by seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

Key = tuple[str, int]
"""Name of a cell and number of a pulse."""


@dataclass(frozen=True)
class Reading:
    """One line of the clean file; `g` in uS as text."""

    cell: str
    pulse: int
    polarity: int
    g: str

    @property
    def key(self) -> Key:
        return self.cell, self.pulse


def clean_readings(seed: int = 0, *, cells: int = 3, pulses: int = 60) -> list[Reading]:
    """Trains of a soft-bound law from 2 to 20 uS, SET and RESET 15 each in turn, with scatter."""
    chance = random.Random(seed)
    readings = []
    for cell in range(cells):
        g = 3.0 + chance.random()
        readings.append(Reading(f"D{cell}", 0, 0, f"{g:.4f}"))
        for pulse in range(1, pulses + 1):
            polarity = 1 if (pulse - 1) % 30 < 15 else -1
            step = 0.12 * (20 - g) if polarity > 0 else -0.12 * (g - 2)
            g = min(max(g + step + 0.12 * chance.gauss(0, 1), 2.0), 20.0)
            readings.append(Reading(f"D{cell}", pulse, polarity, f"{g:.4f}"))
    return readings


@dataclass(frozen=True)
class Export:
    """A file in one dialect.

    Attributes:
        head: lines above the table.
        titles: of the columns.
        rows: the fields of each row, with the key of its reading; None for a row that holds none.
        raw: lines that replace the joined fields, by index of the row.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    end: str = "\n"
    head: tuple[str, ...] = ()
    titles: tuple[str, ...] = ("cell", "pulse", "polarity", "g (uS)")
    rows: tuple[tuple[tuple[str, ...], Key | None], ...] = ()
    raw: dict[int, str] = field(default_factory=dict)
    last_end: bool = True
    v_read: float | None = None

    @property
    def lines(self) -> list[str]:
        body = [self.raw.get(at, self.delimiter.join(fields)) for at, (fields, _) in enumerate(self.rows)]
        return [*self.head, self.delimiter.join(self.titles), *body]

    def keys_by_line(self) -> dict[int, Key]:
        first = len(self.head) + 2
        return {first + at: key for at, (_, key) in enumerate(self.rows) if key is not None}

    def data(self) -> bytes:
        text = self.end.join(self.lines) + (self.end if self.last_end else "")
        return text.encode(self.encoding)

    def write(self, path: Path) -> Path:
        path.write_bytes(self.data())
        return path


WORDS = {
    "numbers": {1: "1", -1: "-1", 0: "0"},
    "set": {1: "SET", -1: "RESET", 0: ""},
    "ltp": {1: "LTP", -1: "LTD", 0: "0"},
    "p": {1: "P", -1: "D", 0: "0"},
    "signs": {1: "+", -1: "-", 0: "0"},
    "up": {1: "up", -1: "Down", 0: "none"},
    "long": {1: "Potentiation", -1: "Depression", 0: "initial"},
}
G_TITLES = [
    ("g (uS)", 1), ("g/uS", 1), ("G [µS]", 1), ("Conductance (nS)", 1000), ("conductance_us", 1), ("G in mS", "0.001"),
    ("Conductance (S)", "1e-6"), ("conductance_s", "1e-6"), ("cond. [uS]", 1), ("G_read (µS)", 1),
]  # fmt: skip
R_TITLES = [("r (kOhm)", 1000), ("R [MΩ]", 1), ("Resistance_ohm", 1_000_000), ("resistance (Ohm)", 1_000_000)]
I_TITLES = [("I@0.2V (uA)", "0.2"), ("I (nA) @ 0.2 V", 200), ("Current@200mV [A]", "0.2e-6")]
CELL_TITLES = ["cell", "Device", "device_id", "Dev", "DUT", "Cell ID"]
PULSE_TITLES = ["pulse", "Pulse #", "pulse_index", "Pulse No.", "n", "Pulse number"]
POLARITY_TITLES = ["polarity", "Direction", "Operation", "P/D", "Type", "pulse_type"]
HEADS = [
    (),
    ("Keithley 4200A-SCS", "Date: 2024-03-01", "Operator: AB"),
    ("# bench 3", "# T = 300 K"),
    ("Sample ID;W7", "Compliance;100 uA", ""),
    ("% exported by matlab",),
]


def random_export(readings: list[Reading], chance: random.Random) -> Export:
    """All readings in a dialect drawn at random."""
    delimiter = chance.choice([",", ";", "\t", ", ", " "])
    decimal = chance.choice([".", ","]) if delimiter in (";", "\t") else "."
    kind = chance.choice(["g", "g", "r", "i"])
    title, factor = chance.choice({"g": G_TITLES, "r": R_TITLES, "i": I_TITLES}[kind])
    words = chance.choice(sorted(WORDS))
    polarity_words = WORDS[words] if delimiter != " " else {**WORDS[words], 0: "0"}
    titles = [chance.choice(CELL_TITLES), chance.choice(PULSE_TITLES), chance.choice(POLARITY_TITLES), title]
    if delimiter == " ":
        titles = [one.replace(" ", "_").replace("_@_", "@") for one in titles]
    as_float = chance.random() < 0.3
    extra = chance.random() < 0.3
    pulser = chance.random() < 0.4
    titles += ["Pulse amplitude (V)", "width (ns)"] * pulser
    order = chance.sample(range(len(titles)), len(titles))
    rows = []
    for one in readings:
        value = Decimal(one.g)
        number = Decimal(str(factor)) / value if kind == "r" else value * Decimal(str(factor))
        shown = f"{number:.6e}" if abs(number) < Decimal("0.01") else f"{number:.7g}"
        pulse = f"{one.pulse}.0" if as_float else str(one.pulse)
        fields = [one.cell, pulse, polarity_words[one.polarity], shown]
        fields += [{1: "1.2", -1: "-1.4", 0: "0"}[one.polarity], "50" if one.polarity else "0"] * pulser
        fields = [fields[at] for at in order] + (["300"] if extra else [])
        if decimal == ",":
            fields = [field.replace(".", ",") for field in fields]
        rows.append((tuple(fields), one.key))
    titles = [titles[at] for at in order] + (["chuck temperature"] if extra else [])
    if delimiter == " ":
        titles = [one.replace(" ", "_") for one in titles]
    unusual = any(ord(one) > 127 for one in "".join(titles))
    encodings = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"] + (["latin-1"] if "Ω" not in "".join(titles) else [])
    return Export(
        delimiter=delimiter,
        encoding=chance.choice(encodings if unusual else [*encodings, "ascii"]),
        end=chance.choice(["\n", "\r\n", "\r"]),
        head=chance.choice(HEADS) if delimiter != " " else (),
        titles=tuple(titles),
        rows=tuple(rows),
        last_end=chance.random() < 0.8,
    )


def wide_export(readings: list[Reading], chance: random.Random) -> Export:
    """A column for each cell, which all got the same pulses."""
    delimiter = chance.choice([",", ";", "\t"])
    comma = delimiter != "," and chance.random() < 0.5
    cells = sorted({one.cell for one in readings})
    rows = []
    for pulse in sorted({one.pulse for one in readings}):
        here = {one.cell: one for one in readings if one.pulse == pulse}
        fields = [str(pulse), WORDS["set"][here[cells[0]].polarity] or "0", *(here[cell].g for cell in cells)]
        rows.append((tuple(field.replace(".", ",") if comma else field for field in fields), None))
    return Export(
        delimiter=delimiter,
        encoding=chance.choice(["utf-8", "utf-8-sig", "utf-16"]),
        end=chance.choice(["\n", "\r\n"]),
        head=chance.choice(HEADS),
        titles=("pulse", "polarity", *(f"{cell} (uS)" for cell in cells)),
        rows=tuple(rows),
    )


Mutation = Callable[[Export, random.Random], tuple[Export, set[Key]]]
"""From an export to a damaged one, and the keys of readings that are no longer in it."""


def _reading_column(export: Export) -> int:
    titles = (*G_TITLES, *R_TITLES, *I_TITLES)
    known = {one.replace(" ", "_").replace("_@_", "@") for one, _ in titles} | {one for one, _ in titles}
    return next(at for at, title in enumerate(export.titles) if title in known)


def _pulse_column(export: Export) -> int:
    known = set(PULSE_TITLES) | {one.replace(" ", "_") for one in PULSE_TITLES}
    return next(at for at, title in enumerate(export.titles) if title in known)


def _polarity_column(export: Export) -> int:
    return next(at for at, title in enumerate(export.titles) if title in POLARITY_TITLES)


def _cell_column(export: Export) -> int:
    known = {*CELL_TITLES, *(one.replace(" ", "_") for one in CELL_TITLES)}
    return next(at for at, title in enumerate(export.titles) if title in known)


def _with_field(export: Export, row: int, column: int, text: str) -> Export:
    fields, key = export.rows[row]
    changed = (*fields[:column], text, *fields[column + 1 :])
    return replace(export, rows=(*export.rows[:row], (changed, key), *export.rows[row + 1 :]))


def _any_row(export: Export, chance: random.Random) -> int:
    return chance.randrange(len(export.rows))


def overflow(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    """An instrument's code for a value beyond its range, or nothing, in place of a reading."""
    code = chance.choice(["9.9E37", "9.91E+37", "1E38", "-9.9e37", "OVERFLOW", "inf", "NaN", "N/A", "--", "1.#INF"])
    if export.delimiter in ";\t" and any("," in field for fields, _ in export.rows for field in fields):
        code = code.replace(".", ",")
    return _with_field(export, _any_row(export, chance), _reading_column(export), code), set()


def not_a_number(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    text = chance.choice(
        ["two", "2.5u", "2.5uS", "2..5", "1e", "0x12", "1_000", "٣.٥", "2.5;", "−2.5", "2,5,0", "1'000.0"]
    )
    return _with_field(export, _any_row(export, chance), _reading_column(export), text), set()


def far_off(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    """A reading of 400 uS, of zero, or below zero."""
    column = _reading_column(export)
    title = export.titles[column]
    g = chance.choice([400, 1000, 0, -3])
    factor = {one.replace(" ", "_").replace("_@_", "@"): by for one, by in (*G_TITLES, *R_TITLES, *I_TITLES)}
    by = Decimal(str(factor[title.replace(" ", "_").replace("_@_", "@")]))
    resistance = title.lower().startswith("r")
    number = (by / g if g else Decimal(0)) if resistance else by * g
    comma = any("," in field for fields, _ in export.rows for field in fields)
    text = f"{number:.6e}"
    return _with_field(export, _any_row(export, chance), column, text.replace(".", ",") if comma else text), set()


def line_gone(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    row = _any_row(export, chance)
    key = export.rows[row][1]
    return replace(export, rows=export.rows[:row] + export.rows[row + 1 :]), {key} if key else set()


def line_twice(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    row = _any_row(export, chance)
    return replace(export, rows=(*export.rows[: row + 1], export.rows[row], *export.rows[row + 1 :])), set()


def lines_exchanged(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    rows = list(export.rows)
    one, other = chance.sample(range(len(rows)), 2)
    rows[one], rows[other] = rows[other], rows[one]
    return replace(export, rows=tuple(rows)), set()


def field_gone(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    row = _any_row(export, chance)
    fields, key = export.rows[row]
    at = chance.randrange(len(fields))
    return replace(
        export, rows=(*export.rows[:row], ((*fields[:at], *fields[at + 1 :]), key), *export.rows[row + 1 :])
    ), {key} if key else set()


def field_more(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    row = _any_row(export, chance)
    fields, key = export.rows[row]
    at = chance.randrange(len(fields) + 1)
    return replace(
        export, rows=(*export.rows[:row], ((*fields[:at], "7", *fields[at:]), key), *export.rows[row + 1 :])
    ), set()


def character(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    """A stray character in a line."""
    row = _any_row(export, chance)
    text = export.delimiter.join(export.rows[row][0])
    at = chance.randrange(len(text) + 1)
    stray = chance.choice(['"', "'", "\x00", "\x1a", "x", "?", ";", ",", "\t", "e", "#"])
    key = export.rows[row][1]
    gone = {key} if at == 0 and stray == "#" and key else set()
    return replace(export, raw={row: text[:at] + stray + text[at:]}), gone


def garbage(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    row = _any_row(export, chance)
    line = chance.choice(
        ["ERROR -113", "--- page 2 ---", "End of data", ";;;", "compliance reached, aborting", ",,,", "0"]
    )
    made = replace(export, rows=(*export.rows[:row], (("x",), None), *export.rows[row:]), raw={row: line})
    return made, set()


def header_again(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    row = _any_row(export, chance)
    return replace(export, rows=(*export.rows[:row], (export.titles, None), *export.rows[row:])), set()


def header_gone(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    first = export.rows[0]
    return replace(export, titles=first[0], rows=export.rows[1:]), {first[1]} if first[1] else set()


def title_unknown(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    at = chance.randrange(len(export.titles))
    title = chance.choice(["", "foo", "g (V)", "g (xS)", "column", "g"])
    return replace(export, titles=(*export.titles[:at], title, *export.titles[at + 1 :])), set()


def titles_exchanged(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    titles = list(export.titles)
    one, other = chance.sample(range(len(titles)), 2)
    titles[one], titles[other] = titles[other], titles[one]
    return replace(export, titles=tuple(titles)), set()


def resistance_as_conductance(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    """Conductances under a title of resistances, or the other way round."""
    at = _reading_column(export)
    title = "g (uS)" if export.titles[at].lower().startswith("r") else "R (kOhm)"
    title = title.replace(" ", "") if export.delimiter == " " else title
    return replace(export, titles=(*export.titles[:at], title, *export.titles[at + 1 :])), set()


def decimal_mark(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    """The other decimal mark in one reading, or a mark of thousands."""
    row, column = _any_row(export, chance), _reading_column(export)
    text = export.rows[row][0][column]
    swapped = text.translate(str.maketrans(".,", ",."))
    thousands = chance.random() < 0.3
    return _with_field(export, row, column, "1,234.5" if thousands else swapped), set()


def pulse_number(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    row, column = _any_row(export, chance), _pulse_column(export)
    text = chance.choice(["-1", "0.5", "1e99", "one", "", "2000", "3"])
    key = export.rows[row][1]
    return _with_field(export, row, column, text), {key} if key else set()


def polarity_word(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    row, column = _any_row(export, chance), _polarity_column(export)
    return _with_field(export, row, column, chance.choice(["STE", "2", "??", "SETRESET", "x", "1.5", ""])), set()


def polarities_exchanged(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    column = _polarity_column(export)
    words = sorted({fields[column] for fields, _ in export.rows})
    pair = next((one[1], one[-1]) for one in WORDS.values() if one[1] in words and one[-1] in words)
    other = {pair[0]: pair[1], pair[1]: pair[0]}
    rows = tuple(
        ((*fields[:column], other.get(fields[column], fields[column]), *fields[column + 1 :]), key)
        for fields, key in export.rows
    )
    return replace(export, rows=rows), set()


def cell_name(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    row, column = _any_row(export, chance), _cell_column(export)
    return _with_field(export, row, column, chance.choice(["", "D", "D00", "cell"])), set()


def amplitude(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    """Another amplitude or width in one line, or none."""
    known = ("Pulse amplitude (V)", "width (ns)", "Pulse_amplitude_(V)", "width_(ns)")
    found = [at for at, title in enumerate(export.titles) if title in known]
    if not found:
        return export, set()
    text = chance.choice(["", "NaN", "12", "3", "off", "9.9e37", "-7"])
    return _with_field(export, _any_row(export, chance), chance.choice(found), text), set()


def cells_mixed(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    """Lines of different cells in turn: nothing is wrong."""
    cells: dict[str, list[tuple[tuple[str, ...], Key | None]]] = {}
    for fields, key in export.rows:
        cells.setdefault(key[0] if key else "", []).append((fields, key))
    rows = []
    while any(cells.values()):
        rows.append(chance.choice([one for one in cells.values() if one]).pop(0))
    return replace(export, rows=tuple(rows)), set()


def comments_between(export: Export, chance: random.Random) -> tuple[Export, set[Key]]:
    row = _any_row(export, chance)
    line = chance.choice(["# paused", "", "% resumed", "   "])
    return replace(export, rows=(*export.rows[:row], (("x",), None), *export.rows[row:]), raw={row: line}), set()


MUTATIONS: dict[str, Mutation] = {
    one.__name__: one
    for one in (
        overflow, not_a_number, far_off, line_gone, line_twice, lines_exchanged, field_gone, field_more, character,
        garbage, header_again, header_gone, title_unknown, titles_exchanged, resistance_as_conductance, decimal_mark,
        pulse_number, polarity_word, polarities_exchanged, cell_name, amplitude, cells_mixed, comments_between,
    )
}  # fmt: skip


def cut(data: bytes, export: Export, chance: random.Random) -> bytes:
    """The file's beginning: a full disk, an interrupted copy."""
    return data[: chance.randrange(len(data) // 3, len(data))]
