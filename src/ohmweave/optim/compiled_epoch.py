"""Compiled steps of a network on a chip for `train_epoch`. Needs Numba (`ohmweave[fast]`).

A step has three parts: a pass over the batch, which counts pulses by weight from the description of the rule; torch's
generator, which draws the noise of these pulses; and one call that sends them to the cells of all matrices.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from ohmweave.arrays.table_pulses import LONGEST
from ohmweave.base.counters import new_keys
from ohmweave.mapping import Matrix
from ohmweave.optim.compiled_counts import HUGE
from ohmweave.optim.counted import CountedRule, CountLaw
from ohmweave.optim.feed_forward import NotCompiledError
from ohmweave.optim.passes import ChainPass, Laws, Pass
from ohmweave.optim.planned_cells import PlannedCells
from ohmweave.optim.step_counts import TRAINS
from ohmweave.optim.torch_pass import TorchPass


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
        self._rule = _counted(rule)
        self._pass = _pass_of(net, x, labels, loss)
        weights = self._pass.weights
        _check_rule(self._rule, weights)
        matrices: list[Matrix] = []
        self._targets, self._owns = [], []
        for law, weight in zip(self._laws_now(), weights, strict=True):
            matrix = law.matrix
            self._targets.append(len(matrices))
            matrices += [weight.matrix] if matrix is None else [matrix, weight.matrix]
            self._owns.append(len(matrices) - 1)
        self._of_samples = any(law.kind == TRAINS for law in self._laws_now())
        if self._of_samples and isinstance(self._pass, TorchPass):
            raise NotCompiledError("trains of bits on rows and columns are compiled for chains of linear layers alone")
        self._cells = PlannedCells(matrices, out_first=self._pass.out_first)
        self._pass.place(self._cells, self._targets, self._owns)
        _check_samples(x, labels, self._cells.dtype)
        self._running = False
        self._read_out: NDArray[Any] | None = None

    def _groups(self) -> list[dict[str, Any]]:
        """The parameter group of each weight."""
        return [group for group in self._rule.param_groups for _ in group["params"]]

    def _laws_now(self) -> list[CountLaw]:
        """The present law of each weight."""
        pairs = zip(self._groups(), self._pass.weights, strict=True)
        return [self._rule.law(weight, group) for group, weight in pairs]

    def step(self, x: torch.Tensor, labels: torch.Tensor, *, last: bool = False) -> float | None:
        """One step on a batch; `last`: True for the last one, after which weights keep their readouts.

        Returns:
            The loss; None, with nothing done, if the loop must make this step: of a gradient that is huge or not
            finite, for instance, it tells what is wrong.
        """
        if self._of_samples and len(x) > 1:
            return None
        if not self._running:
            self._resume()
        cells, laws = self._cells, self._laws
        random = self._rule.stream if laws.is_random else None
        before = None if random is None else random.get_state()
        kept = cells.books.copy(), cells.stale.copy()
        n = len(laws.laws)
        keys = np.zeros(n, np.uint64) if random is None else new_keys(random, n)
        loss = self._pass.run(x, labels, cells, laws, keys)
        if loss is None:
            cells.books[:], cells.stale[:] = kept
            if random is not None and before is not None:
                random.set_state(before)
            return None
        self._read_out = cells.signed.copy() if last else None
        self._send()
        self._rule.count_step()
        return loss

    def _send(self) -> None:
        """Send the pulses that were counted, and those of transfers."""
        rule, cells = self._rule, self._cells
        only = rule.polarity(rule.param_groups[0])
        if self._targets == self._owns:
            cells.send(0, len(self._owns), only)
            return
        groups = self._groups()
        for group, weight, target, own in zip(groups, self._pass.weights, self._targets, self._owns, strict=True):
            cells.send(target, target + 1, only)
            if (what := rule.transfer(weight, group)) is not None:
                cells.transfer(target, own, what)

    def _resume(self) -> None:
        """Take copies of everything that other code may have changed since the last compiled step."""
        cells = self._cells
        self._laws = Laws(self._laws_now(), cells.number)
        cells.resume()
        for own, weight in zip(self._owns, self._pass.weights, strict=True):
            cells.stale[own] = weight.is_stale
        self._was_stale = cells.stale.copy()
        self._running = True

    def pause(self) -> None:
        """Write back counts and memories, and mark what has changed; the next step takes new copies."""
        if not self._running:
            return
        self._running = False
        self._laws.restore()
        self._cells.pause()
        self._settle()

    def _settle(self) -> None:
        """Give the weights that the layers read out the values of the last readout, as a loop leaves them."""
        cells = self._cells
        for at, (weight, own) in enumerate(zip(self._pass.weights, self._owns, strict=True)):
            stale = bool(cells.stale[own])
            read = cells.sent[own] or (self._was_stale[own] and not stale)
            if not read or not self._pass.reads_out[at] or (stale and self._read_out is None):
                continue
            signed = self._read_out if stale else cells.signed
            assert signed is not None
            values = torch.from_numpy(signed[cells.part(own)])
            if not cells.out_first:
                values = values.view(*weight.matrix.shape[::-1]).mT / weight.matrix.g_per_w
            weight.restore(values, stale=stale)


def _pass_of(net: torch.nn.Module, x: torch.Tensor, labels: torch.Tensor, loss: Any) -> Pass:
    """The pass that compiles most of a step of `net`."""
    try:
        return ChainPass(net, x, labels, loss)
    except NotCompiledError:
        return TorchPass(net, loss)


def _counted(rule: Any) -> CountedRule:
    """`rule`, if all its pulses follow from a description."""
    if not isinstance(rule, CountedRule):
        raise NotCompiledError(f"the rule {type(rule).__name__} has no compiled form")
    rule.check_groups()
    if (why := rule.uncounted()) is not None:
        raise NotCompiledError(why)
    if _has_hooks(rule):
        raise NotCompiledError("the rule or its weights have hooks")
    return rule


def _check_rule(rule: CountedRule, wanted: list[Any]) -> None:
    """Raise `NotCompiledError` unless the laws of `rule` are compiled and its weights are those of the network."""
    weights = rule.weights
    if len(weights) != len(wanted) or any(a is not b for a, b in zip(weights, wanted, strict=True)):
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
    if len({law.memory is None for law in laws}) > 1 or len({law.matrix is None for law in laws}) > 1:
        raise NotCompiledError("the weights have different laws")


def _has_hooks(rule: CountedRule) -> bool:
    """True if torch calls hooks at the steps of the rule, or when a gradient of its weights is there."""
    of_steps = rule._optimizer_step_pre_hooks or rule._optimizer_step_post_hooks
    of_all = _global_optimizer_pre_hooks or _global_optimizer_post_hooks
    of_weights = any(weight._backward_hooks or weight._post_accumulate_grad_hooks for weight in rule.weights)
    return bool(of_steps or of_all or of_weights)


def _check_samples(x: torch.Tensor, labels: torch.Tensor, dtype: torch.dtype) -> None:
    """Raise `NotCompiledError` unless samples and labels are plain tensors; the loop says what is wrong."""
    if x.device.type != "cpu" or labels.device.type != "cpu" or x.dtype != dtype or x.requires_grad:
        raise NotCompiledError(f"`x` must be {dtype} on the CPU without a gradient")
    if torch.is_autocast_enabled("cpu") or not torch.is_grad_enabled():
        raise NotCompiledError("gradients are switched off, or torch casts types")
