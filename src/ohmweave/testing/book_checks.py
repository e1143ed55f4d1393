"""The contract of an array's books: each call is counted exactly, and phases and layers sum to the totals."""

from collections.abc import Callable

import torch

from ohmweave.arrays import UNASSIGNED, Activity, Array, Meter, Placement, Tile, Usage, cells_of
from ohmweave.base import OutOfRangeError
from ohmweave.cells import Pulse

BATCH = 3
WAITED = 0.25  # s


def check_books(array: Array) -> None:
    """Read, read out, pulse and wait, and compare the counters of the array with the calls that were made.

    Args:
        array: with at least 2 x 2 cells, which are pulsed. A transposed read may be refused with `OutOfRangeError`.

    Raises:
        AssertionError: a call was counted wrongly; the message has the call, the expected and the found counts.
    """
    where = _placement(array)
    _check_calls(array, where)
    _check_detail(array, where)
    _check_state(array)


def _placement(array: Array) -> Placement:
    """A matrix of one tile that does not use the last column of its array."""
    tile = Tile(array=0, row=0, col=0, rows=min(array.rows, 3), cols=min(array.cols - 1, 4), row_line=0, col_line=0)
    return Placement(tiles=(tile,), cells=cells_of((tile,), rows=array.rows, cols=array.cols))


def _calls(array: Array, where: Placement) -> dict[str, tuple[Callable[[], object], Activity]]:
    """Each call, and the counts that it must add to the totals."""
    chips = array.n_chips or 1
    inside = array.cells(where).reshape(-1)
    outside = torch.full_like(inside[:1], array.cols - 1)  # the last cell of the first row
    cells = torch.cat([inside[:1], inside[-1:], outside])
    like = array.readout(cells)
    v_row = like.new_full((*array.chip_shape, BATCH, where.n_in), array.v_read)
    v_col = like.new_full((*array.chip_shape, BATCH, where.n_out), array.v_read)
    polarity, n = like.new_tensor([1.0, -1.0, 0.0]), torch.tensor([2, 1, 5], device=like.device)
    only_one = like.new_tensor([0.0, 0.0, 1.0])
    tiles = BATCH * chips * len(where.tiles)
    return {
        "read": (lambda: array.read(v_row, where), Activity(n_reads=tiles * array.books.n_intervals)),
        "read_transposed": (lambda: array.read_transposed(v_col, where), Activity(n_reads=tiles)),
        "readout": (lambda: array.readout(cells), Activity(n_readouts=len(cells))),
        "pulse": (lambda: array.pulse(cells, Pulse(polarity, n=n)), Activity(n_set=2, n_reset=1)),
        "pulse without n": (lambda: array.pulse(cells, Pulse(only_one)), Activity(n_set=1)),
        "wait": (lambda: array.wait(WAITED), Activity(duration=WAITED)),
    }


def _done(array: Array, call: Callable[[], object]) -> Activity | None:
    """The counts that a call added to the totals; None if it was refused."""
    before = array.books.activity.copy()
    try:
        call()
    except OutOfRangeError:
        added = array.books.activity - before
        assert added == Activity(), f"a call that was refused must add nothing to the books, but added {added}"
        return None
    return array.books.activity - before


def _check_calls(array: Array, where: Placement) -> None:
    for name, (call, expected) in _calls(array, where).items():
        version = array.books.version
        added = _done(array, call)
        if added is None:
            assert name == "read_transposed", f"`{name}` must be done, but was refused"
            continue
        assert added == expected, f"`{name}` must add to the books {expected}, but added {added}"
        moved = name.startswith("pulse") or name == "wait"
        grown = array.books.version > version
        assert grown == moved, f"`books.version` must {'' if moved else 'not '}grow by `{name}`, but did the contrary"


def _check_detail(array: Array, where: Placement) -> None:
    """The same calls with a meter attached, each in its own phase."""
    meter, books = Meter({"checked": where}), array.books
    calls = _calls(array, where)
    total = Activity()
    with books.attached(meter):
        assert books.metered, "`books.metered` must be true inside `attached`, but is false"
        for name, (call, _) in calls.items():
            meter.phase = name
            total = total + (_done(array, call) or Activity())
    assert not books.metered, "`books.metered` must be false after `attached`, but is true"
    summed = sum((usage.activity for usage in meter.usage.values()), Activity())
    assert summed == total, f"phases and layers must sum to {total}, but sum to {summed}"
    nothing = Usage()
    pulsed, other = (meter.usage.get(("pulse", layer), nothing) for layer in ("checked", UNASSIGNED))
    assert (pulsed.n_set, pulsed.n_reset) == (2, 1), f"pulses must go to the layer of their cells, but are {pulsed}"
    assert (other.n_set, other.n_reset) == (0, 0), f"polarity 0 must be no pulse, but the other cells have {other}"
    pulsed = meter.usage.get(("pulse without n", UNASSIGNED), nothing)
    assert pulsed.n_set == 1, f"a pulse outside all layers must be one of the other cells, but these have {pulsed}"
    found = [meter.usage.get(("readout", layer), nothing).n_readouts for layer in ("checked", UNASSIGNED)]
    assert found == [2, 1], f"readouts must go to the layer of their cells, 2 and 1, but are {found}"


def _check_state(array: Array) -> None:
    before = array.books.activity.copy()
    array.books.load_state_dict(array.books.state_dict())
    assert array.books.activity == before, f"loaded books must hold {before}, but hold {array.books.activity}"
