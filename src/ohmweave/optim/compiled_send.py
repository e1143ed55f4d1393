"""The pulses of a step of a network to its cells, compiled. Needs Numba (`ohmweave[fast]`); see `compiled_network`."""

from typing import Any

from ohmweave.arrays.compiled_pulses import after_train, signed_of
from ohmweave.base.extras import compiled


def _numbers(sizes: Any, width: int, summed: bool, count: Any, n_found: Any, n_numbers: Any) -> None:
    """Normal numbers that the pulses of each layer take, into `n_numbers`, `(layers,)`; see `_send`."""
    for at in range(len(sizes)):
        total, first = 0, sizes[at, 2]
        for k in range(first, first + n_found[at]):
            total += width * (1 if summed else abs(count[k]))
        n_numbers[at] = total


numbers: Any = compiled(_numbers)


def _send(
    sizes: Any,
    only: int,
    index: Any,
    count: Any,
    n_found: Any,
    by_weight: Any,
    sides: Any,
    row_gain: Any,
    col_gain: Any,
    g: Any,
    factor: Any,
    z: Any,
    signed: Any,
    stale: Any,
    books: Any,
    offset: Any,
    slope: Any,
    spread: Any,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
    summed: bool,
) -> None:
    """Send the pulses that `learn` counted, in the order of `pulses.send_steps` and `table_pulses.send_trains`.

    Args:
        sizes: see the module.
        only: SET, RESET, or 0 for both.
        index: as `learn` left it; likewise `count` and `n_found`.
        count: see `index`.
        n_found: see `index`.
        by_weight: `(weights, H * C)` int32, cells of a weight: with them in one small table, more stays in the cache.
        sides: `(2, H * C / 2)`, which of them raise the weight by a SET, and which lower it.
        row_gain: H factors.
        col_gain: C factors.
        g: S, of all cells; changed.
        factor: of the steps of all cells, or `(0,)`.
        z: normal numbers of the pulses of all layers; `(0,)` without noise.
        signed: as in `learn`; changed.
        stale: likewise.
        books: likewise.
        offset: this and the others as in `table_pulses.StepTables`.
        slope: likewise.
        spread: likewise.
        g_min: likewise.
        bins_per_s: likewise.
        g_max: likewise.
        z_max: likewise.
        summed: likewise.
    """
    used = 0
    for layer in range(len(sizes)):
        n_in, n_out, first = sizes[layer, 0], sizes[layer, 1], sizes[layer, 2]
        stale[layer] |= n_found[layer] > 0
        for k in range(first, first + n_found[layer]):
            weight, up, n = first + index[k], count[k] > 0, abs(count[k])
            for side in range(2):
                sign = 1 if up == (side == 0) else -1
                if only != 0 and sign != only:
                    continue
                for copy in range(sides.shape[1]):
                    at = by_weight[weight, sides[side, copy]]
                    own = factor[at] if len(factor) else g.dtype.type(1)
                    row = 0 if sign > 0 else 1
                    g[at] = after_train(
                        g[at], own, row, n, z, used, offset, slope, spread, g_min, bins_per_s, g_max, z_max, summed
                    )
                    used += 1 if summed else n
                    books[2 + row] += n
            i = index[k] % n_in
            signed[first + i * n_out + index[k] // n_in] = signed_of(by_weight, weight, g, row_gain, col_gain)


send: Any = compiled(_send)
