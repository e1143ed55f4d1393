"""Conformance of an array, on real hardware too: a few sacrificial cells, a budget of pulses, and words for what fails.

def test_my_board():
check_array(MyDriver(...), corner=(0, 0, 0), max_pulses=500)
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ohmweave.arrays import Array, Corner, Placement, Tile, cells_of
from ohmweave.base import OhmweaveError, OutOfRangeError, check_fraction, check_integer, shown
from ohmweave.bench.check_probe import BudgetError, Probe
from ohmweave.bench.driver import Driver
from ohmweave.bench.wrapper import as_array
from ohmweave.cells import Pulse

ROWS, COLS = 2, 4
"""Size of the rectangle of sacrificial cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what is checked, as a sentence.
        outcome: "passed", "failed", or "left out" where the budget of pulses did not suffice.
        words: what is wrong or why it was left out; "" if it passed.
    """

    check: str
    outcome: str
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """The results of all checks.

    Attributes:
        array: the array, in words.
        findings: one for each check.
        n_pulses: pulses that were sent to the sacrificial cells.
        durations: s, by what was measured: a vector read, a cell read out, a pulse.
    """

    array: str
    findings: tuple[Finding, ...]
    n_pulses: int
    durations: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True if no check failed and none was left out."""
        return all(one.outcome == "passed" for one in self.findings)

    def __str__(self) -> str:
        """One line for each check, then the durations."""
        lines = [f"{one.outcome:8} {one.check}" + (f": {one.words}" if one.words else "") for one in self.findings]
        spent = ", ".join(f"{value:.3g} s a {what}" for what, value in self.durations.items())
        return "\n".join([self.array, *lines, f"{self.n_pulses} pulses sent" + (f"; {spent}" if spent else "")])


def inspect_array(
    array: Array | Driver,
    *,
    corner: Corner = (0, 0, 0),
    max_pulses: int = 1000,
    n_pulses: int = 20,
    tolerance: float = 0.05,
) -> Conformance:
    """Check an array against the protocol `Array`.

    Pulses go to a rectangle of 2 x 4 sacrificial cells alone; other cells on its lines are only read.

    Args:
        array: any array with at least 4 rows and 5 columns, or the driver of a board.
        corner: (array, row, column) where the sacrificial rectangle begins.
        max_pulses: the budget; checks for which it does not suffice are left out, and the array has not passed.
        n_pulses: pulses of a train that must move a cell visibly.
        tolerance: fraction of the largest current that wires and converters may change a read by, against the product
            of voltages and readouts; read noise is measured and added.

    Returns:
        The findings; nothing is raised for what the array does wrong.

    Raises:
        OutOfRangeError: an argument is out of range, or the rectangle is not on the array.
    """
    whole = as_array(array)
    place = _placement(whole, corner)
    probe = Probe(
        whole,
        place,
        max_pulses=check_integer("max_pulses", max_pulses, at_least=0),
        n_pulses=check_integer("n_pulses", n_pulses, at_least=1),
        tolerance=check_fraction("tolerance", tolerance),
    )
    findings = []
    for check in CHECKS:
        name = (check.__doc__ or "").split("\n")[0].rstrip(".")
        try:
            words = check(probe)
        except BudgetError as error:
            findings.append(Finding(check=name, outcome="left out", words=str(error)))
            continue
        except Exception as error:  # noqa: BLE001 - what a driver raises is a finding
            words = f"raised {type(error).__name__}: {error}"
        findings.append(Finding(check=name, outcome="failed" if words else "passed", words=words or ""))
    return Conformance(
        array=repr(whole), findings=tuple(findings), n_pulses=probe.n_sent, durations=dict(probe.durations)
    )


def check_array(
    array: Array | Driver,
    *,
    corner: Corner = (0, 0, 0),
    max_pulses: int = 1000,
    n_pulses: int = 20,
    tolerance: float = 0.05,
) -> Conformance:
    """As `inspect_array`, in one line of a test.

    Args:
        array: as in `inspect_array`.
        corner: as in `inspect_array`.
        max_pulses: as in `inspect_array`.
        n_pulses: as in `inspect_array`.
        tolerance: as in `inspect_array`.

    Returns:
        The findings, if all checks passed.

    Raises:
        AssertionError: a check failed or was left out; the message says in words what is wrong.
        OutOfRangeError: as `inspect_array`.
    """
    found = inspect_array(array, corner=corner, max_pulses=max_pulses, n_pulses=n_pulses, tolerance=tolerance)
    if not found.passed:
        raise AssertionError(str(found))
    return found


def _placement(array: Array, corner: Corner) -> Placement:
    """Two inputs by two outputs of a pair of columns each, in two tiles of one row."""
    if not isinstance(corner, tuple) or len(corner) != 3:
        raise OutOfRangeError(f"`corner` must be (array, row, column), but is {shown(corner)}")
    index, row, col = (check_integer(f"corner[{i}]", one, at_least=0) for i, one in enumerate(corner))
    if index >= array.n_arrays or row + ROWS > array.rows or col + COLS > array.cols:
        raise OutOfRangeError(
            f"`corner` must leave {ROWS} x {COLS} cells on one of the {array.n_arrays} arrays of {array.rows} x "
            f"{array.cols}, but is {corner}"
        )
    tiles = tuple(
        Tile(array=index, row=row + line, col=col, rows=1, cols=COLS, row_line=line, col_line=0) for line in range(ROWS)
    )
    return Placement(tiles=tiles, cells=cells_of(tiles, rows=array.rows, cols=array.cols), col_gain=(1.0, -1.0))


def sizes(probe: Probe) -> str | None:
    """Sizes, windows and types are plausible."""
    array = probe.array
    chips = () if array.n_chips is None else (array.n_chips,)
    shape = (array.n_arrays, array.rows, array.cols)
    if tuple(array.chip_shape) != chips:
        return f"`chip_shape` must be {chips} for `n_chips` = {array.n_chips}, but is {tuple(array.chip_shape)}"
    if not 0 <= array.g_min < array.g_max < 1:
        return f"`g_min` and `g_max` must be conductances in S, in this order, but are {array.g_min} and {array.g_max}"
    if not 0 < array.v_read < 100:
        return f"`v_read` must be a voltage in V, but is {array.v_read}"
    if tuple(array.usable.shape) != shape or array.usable.dtype != torch.bool:
        return f"`usable` must be {shape} bool, but is {tuple(array.usable.shape)} {array.usable.dtype}"
    return None


def addresses(probe: Probe) -> str | None:
    """Cells are addressed chip by chip, array by array, row by row."""
    array, found = probe.array, probe.cells
    n = array.n_arrays * array.rows * array.cols
    first = torch.arange(array.n_chips or 1).view(*array.chip_shape, 1, 1) * n
    if found.dtype != torch.int64:
        return f"`cells` must be int64, but are {found.dtype}"
    if not torch.equal(found.cpu(), probe.place.cells + first):
        return "`cells(placement)` must be `placement.cells`, plus the cells of the chips before, but are others"
    return None


def shapes(probe: Probe) -> str | None:
    """Reads and readouts have the shape, dtype and device of the protocol."""
    array, place = probe.array, probe.place
    for n in (0, 1, 3):
        found = array.read(probe.volts(n), place)
        wanted = (*array.chip_shape, n, place.n_out)
        if tuple(found.shape) != wanted:
            return f"`read` of {n} vectors must return the shape {wanted}, but returned {tuple(found.shape)}"
        if found.dtype != array.dtype or found.device.type != torch.device(array.device).type:
            return f"`read` must return {array.dtype} on {array.device}, but returned {found.dtype} on {found.device}"
    g = array.readout(probe.cells)
    if g.shape != probe.cells.shape or g.dtype != array.dtype:
        return f"`readout` must return the shape of `cells` in {array.dtype}, but returned {tuple(g.shape)} {g.dtype}"
    return None


def finite(probe: Probe) -> str | None:
    """All sacrificial cells can be measured, and their conductances are those of memristors, in S."""
    g = probe.measured()
    if not bool(g.isfinite().all()):
        n_bad = int((~g.isfinite()).sum())
        return f"{n_bad} of {g.numel()} readouts are NaN or infinite: an open line, or a meter at the end of its range"
    low, high = float(g.min()), float(g.max())
    array = probe.array
    if low < -0.02 * array.g_max:
        return f"readouts must be >= 0 S, but are down to {low:.3g} S: is the sign of the current reversed?"
    if high > 20 * array.g_max or (high > 0 and high < array.g_min / 20):
        return (
            f"readouts must be near the window of {array.g_min:.3g} to {array.g_max:.3g} S, but are up to {high:.3g} "
            "S: are currents in A and voltages in V?"
        )
    return None


def polarity(probe: Probe) -> str | None:
    """SET raises conductances and RESET lowers them."""
    n, found = probe.n_pulses, []
    for sign in (-1, 1, -1):  # fresh cells may be above the window, where a SET lowers them too
        probe.train(sign, n)
        found.append(probe.measured())
    up, down = float((found[1] - found[0]).mean()), float((found[2] - found[1]).mean())
    still = 3 * probe.sigma / probe.cells.numel() ** 0.5
    if down > still or up < -still:
        return (
            f"{n} SETs changed the mean conductance by {up:+.3g} S and {n} RESETs by {down:+.3g} S: is the polarity of "
            "the pulses reversed?"
        )
    if max(abs(up), abs(down)) <= max(still, 1e-4 * probe.array.g_max):
        return f"{n} SETs and {n} RESETs moved nothing: are pulses wide and high enough, and do they reach the cells?"
    return None


def unlisted(probe: Probe) -> str | None:
    """A pulse moves the listed cells alone; polarity 0 moves none."""
    n = probe.n_pulses
    before, others = probe.measured(), probe.neighbours()
    half = probe.cells.reshape(-1)[::2]
    probe.send(half, Pulse(torch.ones_like(half), n=torch.full_like(half, n)))
    probe.send(half, Pulse(torch.zeros_like(half), n=torch.full_like(half, n)))
    moved = (probe.measured() - before).reshape(-1)
    stayed, chosen = moved[1::2].abs().max(), moved[::2].mean()
    allowed = 8 * probe.sigma + 0.02 * probe.array.g_max
    if float(stayed) > allowed:
        return (
            f"cells that were not listed moved by up to {float(stayed):.3g} S, while the listed ones moved by "
            f"{float(chosen):+.3g} S"
        )
    beside = float((probe.neighbours() - others).abs().max()) if others.numel() else 0.0
    if beside > allowed:
        return f"cells on the same lines that were not listed moved by up to {beside:.3g} S"
    return None


def _by_loops(probe: Probe, v: torch.Tensor) -> torch.Tensor:
    """Currents, A, from the readouts, one product at a time."""
    g, place = probe.measured().double(), probe.place
    expected = torch.zeros((*v.shape[:-1], place.n_out), dtype=torch.float64)
    for line in range(ROWS):
        for col in range(COLS):
            expected[..., col // 2] += place.col_gain[col % 2] * v[..., line].double() * g[..., line, col].unsqueeze(-1)
    return expected


def products(probe: Probe) -> str | None:
    """A read is the sum over tiles and columns of gain x voltage x readout."""
    probe.spread_out()
    v = probe.volts(4)
    found = probe.array.read(v, probe.place).double().cpu()
    expected = _by_loops(probe, v)
    allowed = probe.allowed_current
    worst = float((found - expected).abs().max())
    if worst <= allowed:
        return None
    size = float(expected.abs().max())
    for words, other in (
        ("the sign of all currents is reversed", -expected),
        ("the sign of the columns with a negative gain is lost", _by_loops(_unsigned(probe), v)),
        ("currents are 1,000 times too large: are they in mA?", expected * 1e3),
        ("currents are 1,000 times too small: are voltages in mV?", expected * 1e-3),
        ("currents are in uA, not A", expected * 1e6),
        ("currents are in nA, not A", expected * 1e9),
        ("only the first tile is summed", _by_loops(probe, torch.stack([v[..., 0], 0 * v[..., 1]], dim=-1))),
        ("the rows are in reverse order", _by_loops(probe, v.flip(-1))),
        ("the outputs are in reverse order", expected.flip(-1)),
    ):
        if float((found - other).abs().max()) <= allowed * max(1.0, float(other.abs().max()) / max(size, 1e-30)):
            return f"{words} (up to {float(found.abs().max()):.3g} A, where the readouts give {size:.3g} A)"
    return f"currents differ from voltages times readouts by up to {worst:.3g} A, {allowed:.3g} A allowed"


def _unsigned(probe: Probe) -> Probe:
    place = probe.place
    return probe.at(Placement(tiles=place.tiles, cells=place.cells, col_gain=(1.0, 1.0)))


def quiet(probe: Probe) -> str | None:
    """No current flows without a voltage, and reads leave the cells as they are."""
    before, v = probe.measured(), probe.volts(8)
    # One output a column: in the difference of two columns an offset of the meters cancels.
    lines = Placement(tiles=probe.place.tiles, cells=probe.place.cells)
    i_0 = float(probe.array.read(v * 0, lines).abs().max())
    if i_0 > probe.allowed_current:
        return f"{i_0:.3g} A flow without a voltage"
    for _ in range(5):
        probe.array.read(v, probe.place)
    moved = float((probe.measured() - before).abs().max())
    if moved > 8 * probe.sigma + 0.01 * probe.array.g_max:
        return f"reads moved cells by up to {moved:.3g} S: is the read voltage too high?"
    return None


def transposed(probe: Probe) -> str | None:
    """A transposed read is the transposed map of a read, or is refused with OutOfRangeError."""
    array, place = probe.array, probe.place
    x, y = probe.volts(1), probe.volts(1, probe.place.n_out)
    try:
        back = array.read_transposed(y, place).double()
    except OutOfRangeError:
        return None
    forward = array.read(x, place).double()
    difference = float(((forward * y).sum(-1) - (back * x).sum(-1)).abs().max())
    if difference > 4 * probe.allowed_current * array.v_read:
        return f"y . read(x) and x . read_transposed(y) differ by {difference:.3g} W"
    return None


def refusals(probe: Probe) -> str | None:
    """Wrong requests are refused, and neither move a cell nor count."""
    array, at = probe.array, probe.cells.reshape(-1)[:3]
    one, n_cells = torch.ones_like(at), probe.n_cells
    calls: dict[str, Callable[[], object]] = {
        "a polarity of 2": lambda: array.pulse(at, Pulse(one * 2)),
        "a polarity of NaN": lambda: array.pulse(at, Pulse(one.double() * torch.nan)),
        "-3 pulses": lambda: array.pulse(at, Pulse(one, n=-3 * one)),
        "half a pulse": lambda: array.pulse(at, Pulse(one, n=one / 2)),
        "a negative address": lambda: array.pulse(at - int(at.max()) - 1, Pulse(one)),
        "an address behind the last": lambda: array.pulse(at + n_cells, Pulse(one)),
        "a cell listed twice": lambda: array.pulse(at[[0, 1, 0]], Pulse(one)),
        "too few polarities": lambda: array.pulse(at, Pulse(one[:2])),
        "a wait of -1 s": lambda: array.wait(-1.0),
        "voltages for another matrix": lambda: array.read(probe.volts(1, 3), probe.place),
        "twice the read voltage": lambda: array.read(_at_most(array) * 2 * probe.volts(1).sign(), probe.place),
    }
    before, counted = probe.measured(), array.books.activity.copy()
    accepted = [what for what, call in calls.items() if not _refused(call)]
    if accepted:
        return f"accepted {', '.join(accepted)}"
    if array.books.activity != counted:
        return f"the books counted requests that were refused: {array.books.activity - counted!r}"
    moved = float((probe.measured() - before).abs().max())
    return f"refused requests moved cells by {moved:.3g} S" if moved > 8 * probe.sigma + 0.02 * array.g_max else None


def _at_most(array: Array) -> torch.Tensor:
    return torch.tensor(array.v_read, dtype=array.dtype, device=array.device)


def _refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except (OhmweaveError, ValueError, TypeError, IndexError):
        return True
    return False


def books(probe: Probe) -> str | None:
    """The books count each read by tile, readout by cell, pulse by polarity, and second."""
    array, at = probe.array, probe.cells.reshape(-1)[:4]
    chips, before = array.n_chips or 1, array.books.activity.copy()
    probe.budget(10)
    array.read(probe.volts(3), probe.place)
    reads = array.books.activity - before
    per_read = 3 * chips * len(probe.place.tiles) * array.books.n_intervals
    if reads.n_reads != per_read:
        return f"3 vectors on 2 tiles must count as {per_read} tile reads, but count as {reads.n_reads}"
    array.readout(at)
    sign = torch.tensor([1, 1, -1, 0], device=array.device)
    array.pulse(at, Pulse(sign))
    array.pulse(at, Pulse(sign, n=torch.tensor([2, 0, 5, 7], device=array.device)))
    array.wait(0.01)
    done = array.books.activity - before
    if (done.n_readouts, done.n_set, done.n_reset) != (4, 4, 6):
        return f"4 readouts, 4 SETs and 6 RESETs must be counted, but {done!r} was"
    if abs(done.duration - 0.01) > 1e-9:
        return f"a wait of 0.01 s must be counted, but {done.duration:g} s was"
    return None


def timing(probe: Probe) -> str | None:
    """Each call ends; its duration is measured."""
    array, at = probe.array, probe.cells.reshape(-1)
    probe.budget(len(at))
    for what, n, call in (
        ("vector read", 10, lambda: array.read(probe.volts(10), probe.place)),
        ("cell read out", len(at), lambda: array.readout(at)),
        ("pulse", len(at), lambda: array.pulse(at, Pulse(torch.ones_like(at)))),
    ):
        start = time.perf_counter()
        call()
        probe.durations[what] = (time.perf_counter() - start) / n
    return None


CHECKS: tuple[Callable[[Probe], str | None], ...] = (
    sizes,
    addresses,
    shapes,
    finite,
    polarity,
    unlisted,
    products,
    quiet,
    transposed,
    refusals,
    books,
    timing,
)
"""In the order in which they run: a later one relies on what the earlier ones found."""
