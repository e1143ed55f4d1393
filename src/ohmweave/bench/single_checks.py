"""The single checks of a conformance check, in the order in which they run; each returns words for what is wrong."""

import time
from collections.abc import Callable

import torch

from ohmweave.arrays import Array, Placement
from ohmweave.base import OhmweaveError, OutOfRangeError
from ohmweave.bench.check_probe import Probe
from ohmweave.cells import Pulse


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
    for line in range(2):
        for col in range(4):
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
