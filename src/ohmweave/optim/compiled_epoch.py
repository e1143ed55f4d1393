"""Compiled steps of a network on a chip for `train_epoch`. Needs Numba (`ohmweave[fast]`).

A step is three calls: `learn` (forward, backward, numbers of pulses), torch's generator for the noise of these pulses,
and `send`. The cells are those of the array itself; signed matrices, memories and counts are copies, which `pause`
writes back.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from ohmweave.arrays import CompiledCells
from ohmweave.arrays.table_pulses import LONGEST, StepTables
from ohmweave.base import OutOfRangeError
from ohmweave.base.counters import new_keys
from ohmweave.optim.compiled_network import HUGE, learn
from ohmweave.optim.compiled_send import numbers, send
from ohmweave.optim.counted import CountedRule
from ohmweave.optim.feed_forward import Chain, NotCompiledError, chain_of, mean_of


class CompiledEpoch:
    """The compiled steps of one call of `train_epoch`.

    Args:
        net: as in `train_epoch`, likewise the others.
        rule: see `net`.
        x: see `net`.
        labels: see `net`.
        loss: see `net`.

    Raises:
        NotCompiledError: something has no compiled form; the message says what.
    """

    def __init__(self, net: torch.nn.Module, rule: Any, x: torch.Tensor, labels: torch.Tensor, loss: Any) -> None:
        chain = chain_of(net)
        self._chain, self._rule, self._mean = chain, _checked_rule(rule, chain), mean_of(loss)
        _check_samples(x, labels, chain)
        self._array = _array_of(chain)
        self._tables = _tables_of(self._array)
        dtype = chain.matrices[0].chip.array.dtype
        number = torch.empty(0, dtype=dtype, device="cpu").numpy().dtype.type
        self._number: Any = number
        placement = chain.matrices[0].placement
        self._gains = np.array(placement.row_gain, number), np.array(placement.col_gain, number)
        self._sides = _sides_of(chain.matrices[0])
        self._by_weight = np.concatenate([_cells_by_weight(matrix) for matrix in chain.matrices])
        n_weights, n_layers = len(self._by_weight), len(chain.matrices)
        self._index, self._count = np.empty(n_weights, np.int64), np.empty(n_weights, np.int64)
        self._n_found, self._n_numbers = np.zeros(n_layers, np.int64), np.zeros(n_layers, np.int64)
        self._z = torch.empty(0, dtype=dtype, device="cpu")
        self._running = False
        self._read_out: NDArray[Any] | None = None
        self._books: NDArray[np.int64] = np.zeros(4, np.int64)
        self._stale: NDArray[np.bool_] = np.zeros(n_layers, np.bool_)

    def step(self, x: torch.Tensor, labels: torch.Tensor, *, last: bool = False) -> float | None:
        """One step on a batch; `last`: True for the last one, after which weights keep their readouts.

        Returns:
            The loss; None, with nothing done, if a gradient is huge or not finite.
        """
        if not self._running:
            self._resume()
        rule, layers = self._rule, len(self._n_found)
        random = rule.stream if any(law.is_random for law in self._laws) else None
        before = None if random is None else random.get_state()
        kept = self._books.copy(), self._stale.copy()
        keys = np.zeros(layers, np.uint64) if random is None else new_keys(random, layers)
        loss = learn(
            np.ascontiguousarray(x.reshape(len(x), -1).numpy()),
            labels.numpy(),
            self._mean,
            self._chain.sizes,
            self._signed,
            self._g_per_w,
            *self._law,
            keys,
            self._memory,
            self._clipped,
            self._index,
            self._count,
            self._n_found,
            self._stale,
            self._books,
        )
        if self._n_found[0] < 0:
            self._books, self._stale = kept
            if random is not None and before is not None:
                random.set_state(before)
            return None
        self._read_out = self._signed.copy() if last else None
        self._send()
        rule.count_step()
        return float(loss)

    def _send(self) -> None:
        """Draw the noise of the pulses that were counted, and send them."""
        rule, tables, bank = self._rule, self._tables, self._array.bank
        only = rule.polarity(rule.param_groups[0])
        width = self._sides.shape[1] * (2 if only is None else 1)
        self._sent |= self._n_found > 0
        z = self._z[:0]
        if tables.noisy:
            numbers(self._chain.sizes, width, tables.summed, self._count, self._n_found, self._n_numbers)
            first, total = 0, int(self._n_numbers.sum())
            if total > len(self._z):
                self._z = torch.empty(2 * total, dtype=self._z.dtype, device="cpu")
            for n in self._n_numbers.tolist():  # one call for each matrix, as in `Array.pulse`
                if n:
                    self._z[first : first + n].normal_(generator=bank.pulse_noise)
                first += n
            z = self._z[: max(total, 1)]
        state = bank.state
        send(
            self._chain.sizes,
            only or 0,
            self._index,
            self._count,
            self._n_found,
            self._by_weight,
            self._sides,
            *self._gains,
            state.switching.g.numpy(),
            np.empty(0, self._number) if state.factor is None else state.factor.numpy(),
            z.numpy(),
            self._signed,
            self._stale,
            self._books,
            *tables.law,
            tables.summed,
        )

    def _resume(self) -> None:
        """Take copies of everything that other code may have changed since the last compiled step."""
        chain, array, number = self._chain, self._array, self._number
        self._laws = [self._rule.law(weight, group) for group in self._rule.param_groups for weight in group["params"]]
        self._law = (
            np.array([law.kind for law in self._laws], np.int64),
            np.array([law.per_grad for law in self._laws], number),
            np.array([law.limit for law in self._laws], np.int64),
        )
        memories = [law.memory.reshape(-1) for law in self._laws if law.memory is not None]
        self._memory: NDArray[Any] = torch.cat(memories).numpy() if memories else np.empty(0, number)
        self._clipped = np.array([bool(len(self._memory))] * len(self._laws))  # looked at once, whatever is in there
        signed = [array.signed_matrix(matrix.placement).reshape(-1) for matrix in chain.matrices]
        self._signed = torch.cat(signed).numpy()
        self._g_per_w = np.array([matrix.g_per_w for matrix in chain.matrices], number)
        self._stale = np.array([weight.is_stale for weight in chain.weights])
        self._was_stale, self._sent = self._stale.copy(), np.zeros(len(self._laws), bool)
        self._books[:] = 0
        self._running = True

    def pause(self) -> None:
        """Write back counts and memories, and mark what has changed; the next step takes new copies."""
        if not self._running:
            return
        self._running = False
        history, array = self._chain.matrices[0].chip.history, self._array
        for law, part in zip(self._laws, np.split(self._memory, self._chain.sizes[1:, 2]), strict=True):
            if law.memory is not None:
                law.memory.copy_(torch.from_numpy(part).view(law.memory.shape))
        n_reads, n_readouts, n_set, n_reset = self._books.tolist()
        history.before_pulses()
        array.bank.mark_all_changed()
        cells_per_weight = self._by_weight.shape[1]
        self._chain.matrices[0].chip.array.books.add_totals(
            n_reads=n_reads, n_readouts=n_readouts * cells_per_weight, n_set=n_set, n_reset=n_reset
        )
        for matrix, sent in zip(self._chain.matrices, self._sent, strict=True):
            if sent:
                history.after_pulses(matrix.name)
        self._settle()

    def _settle(self) -> None:
        """Give the weights that the layers read out the values of the last readout, as a loop leaves them."""
        for at, (weight, row) in enumerate(zip(self._chain.weights, self._chain.sizes, strict=True)):
            stale = bool(self._stale[at])
            read = self._sent[at] or (self._was_stale[at] and not stale)
            # The first layer and those with a transposed read need no readout.
            if not read or not at or row[5] or (stale and self._read_out is None):
                continue
            signed = self._read_out if stale else self._signed
            assert signed is not None
            values = torch.from_numpy(signed[row[2] : row[2] + row[0] * row[1]]).view(row[0], row[1]).mT
            weight.restore(values / weight.matrix.g_per_w, stale=stale)


def _checked_rule(rule: Any, chain: Chain) -> CountedRule:
    """`rule`, if it has a compiled form and its weights are those of the network in order."""
    if not isinstance(rule, CountedRule) or type(rule).send is not CountedRule.send:
        raise NotCompiledError(f"the rule {type(rule).__name__} has no compiled form")
    rule.check_groups()
    if _has_hooks(rule):
        raise NotCompiledError("the rule or its weights have hooks")
    weights = rule.weights
    if len(weights) != len(chain.weights) or any(a is not b for a, b in zip(weights, chain.weights, strict=True)):
        raise NotCompiledError("the rule must have all weights of the network, in the order of its layers")
    if not all(weight.requires_grad for weight in weights):
        raise NotCompiledError("a weight is frozen")
    if len({rule.polarity(group) for group in rule.param_groups}) > 1:
        raise NotCompiledError("the groups of the rule have different cycles")
    laws = [(rule.law(weight, group)) for group in rule.param_groups for weight in group["params"]]
    if any(law.limit > LONGEST for law in laws):
        raise NotCompiledError(f"the rule sends trains of more than {LONGEST} pulses")
    if any(law.memory is not None and not float(law.memory.abs().max()) < HUGE for law in laws):
        raise NotCompiledError("a memory of the rule is huge")
    if len({law.memory is None for law in laws}) > 1:
        raise NotCompiledError("the weights have different laws")
    return rule


def _has_hooks(rule: CountedRule) -> bool:
    """True if torch calls hooks at the steps of the rule, or when a gradient of its weights is there."""
    of_steps = rule._optimizer_step_pre_hooks or rule._optimizer_step_post_hooks
    of_all = _global_optimizer_pre_hooks or _global_optimizer_post_hooks
    of_weights = any(weight._backward_hooks or weight._post_accumulate_grad_hooks for weight in rule.weights)
    return bool(of_steps or of_all or of_weights)


def _check_samples(x: torch.Tensor, labels: torch.Tensor, chain: Chain) -> None:
    """Raise `NotCompiledError` unless samples and labels are plain tensors for `chain`; the loop says what is wrong."""
    dtype, (n_in, n_out) = chain.matrices[0].chip.array.dtype, (chain.n_in, chain.n_out)
    if x.device.type != "cpu" or labels.device.type != "cpu" or x.dtype != dtype or x.requires_grad:
        raise NotCompiledError(f"`x` must be {dtype} on the CPU without a gradient")
    if x.shape[1:].numel() != n_in or (x.dim() != 2 and not chain.flattens):
        raise NotCompiledError(f"`x` must have {n_in} numbers a sample")
    if int(labels.max()) >= n_out:
        raise OutOfRangeError(f"`labels` must be from 0 to {n_out - 1}, but are up to {int(labels.max())}")
    if torch.is_autocast_enabled("cpu") or not torch.is_grad_enabled():
        raise NotCompiledError("gradients are switched off, or torch casts types")


def _array_of(chain: Chain) -> CompiledCells:
    """The array, if it has nothing but cells that acts on reads and pulses."""
    array = chain.matrices[0].chip.array
    if not isinstance(array, CompiledCells) or array.bank.device.type != "cpu":
        raise NotCompiledError("the array is not simulated on the CPU")
    if array.not_compiled:
        raise NotCompiledError(f"the array has {', '.join(array.not_compiled)}")
    if array.books.metered:
        raise NotCompiledError("a bill is open")
    return array


def _tables_of(array: CompiledCells) -> StepTables:
    """The steps of the cells, if nothing else acts on them."""
    cell = array.bank.cell
    for name, part in (("read_noise", cell.read_noise), ("faults", cell.faults), ("conduction", cell.conduction)):
        if part is not None:
            raise NotCompiledError(f"the cells have {name}")
    tables = StepTables.of(cell, array.bank.dtype)
    if tables is None:
        raise NotCompiledError(f"the steps of {type(cell.switching).__name__} cells are no tables, or they age")
    return tables


def _cells_by_weight(matrix: Any) -> NDArray[np.int32]:
    """`(out * in, H * C)`: the cells of each weight."""
    by_weight = matrix.placement.by_weight(matrix.cells)  # (in, H, out, C)
    cells: NDArray[np.int32] = by_weight.permute(2, 0, 1, 3).flatten(2).flatten(0, 1).to(torch.int32).numpy()
    return cells


def _sides_of(matrix: Any) -> NDArray[np.int64]:
    """`(2, H * C / 2)`: which of a weight's H * C cells count positively, and which negatively."""
    gain = matrix.placement.gain(torch.empty(0, device="cpu")).flatten()
    sides = [torch.nonzero(part).flatten() for part in (gain > 0, gain < 0)]
    if len(sides[0]) != len(sides[1]):
        raise NotCompiledError("the mapping has not as many positive as negative cells")
    both: NDArray[np.int64] = torch.stack(sides).numpy()
    return both
