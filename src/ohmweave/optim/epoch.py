"""A pass of training over many samples: compiled where network, cells and rule allow it, else an ordinary loop."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from ohmweave.base import OutOfRangeError, ShapeError, check_integer, has_numba, shown
from ohmweave.nn import Deployed
from ohmweave.optim.feed_forward import NotCompiledError
from ohmweave.optim.rule import ArrayRule

if TYPE_CHECKING:
    from ohmweave.optim.compiled_epoch import CompiledEpoch

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From outputs `(batch, ...)` and labels `(batch,)` to a scalar."""

_SAID: set[str] = set()


def train_epoch(
    net: torch.nn.Module,
    rule: ArrayRule,
    x: torch.Tensor,
    labels: torch.Tensor,
    *,
    batch_size: int = 1,
    loss: Loss = torch.nn.functional.cross_entropy,
) -> float:
    """Train a network on a chip with a rule, batch after batch, in the order of the samples.

    It does what this loop does, with the same random numbers and the same counts in the books:

        for images, wanted in zip(x.split(batch_size), labels.split(batch_size)):
            rule.zero_grad()
            loss(net(images), wanted).backward()  # of a deployed network `net.loss(loss, net(images), wanted)`
            rule.step()

    So on several chips the loss of a deployed network is the sum over its chips.

    With Numba its steps are compiled for simulated arrays on the CPU with exact reads, without converters and wires,
    whose cells have steps as tables, also stuck ones, and for the rules `PulsedSGD`, `MixedPrecision`, `TikiTakaV2`,
    `SignPulse`, `Stellar` and `Manhattan` without a write scheme. Chains of linear layers without bias on one chip
    (`AlwaysOn`, `Flatten`, `ReLU`, `Sigmoid`, `Tanh`) with cross-entropy are compiled whole. Other chains in a
    `Sequential`, of `Linear` and `Conv2d` layers with or without bias, activations and pooling, on one or several
    chips, are run by torch's operations, and their pulses are compiled. Sums are then added up in another order than
    by the loop, so a number of pulses may differ where the last bit of a sum decides it. Anything else runs in the
    loop, and a warning says once why.

    Args:
        net: deployed network, `(batch, ...)` to `(*chips, batch, classes)`, or layers of one chip, `(batch, ...)` to
            `(batch, classes)`.
        rule: of all its weights on the chip.
        x: `(n, ...)`, finite, samples in the order of training, in the dtype of the chip.
        labels: `(n,)` int64, classes from 0.
        batch_size: samples in a step; the last step may have fewer.
        loss: of the outputs of one chip and labels; to be compiled, one of torch's.

    Returns:
        The mean of the loss over the steps, each with the weights before it; on several chips, of its sum over them.

    Raises:
        ShapeError: `x` and `labels` have different lengths, or `labels` another shape.
        OutOfRangeError: an argument is out of range, or what the loop raises; the steps before are done then.

    Warns:
        RuntimeWarning: once a process for each reason, that the loop is used, which is slower.
    """
    batch_size = check_integer("batch_size", batch_size, at_least=1)
    _check_arguments(rule, x, labels, loss)
    epoch = _compiled(net, rule, x, labels, loss)
    total, n_steps = 0.0, 0
    batches = list(zip(x.split(batch_size), labels.split(batch_size), strict=True))
    try:
        for at, (samples, wanted) in enumerate(batches, start=1):
            # The first steps of a rule are watched for pulses, and torch explains what is wrong with the arguments.
            done = None if epoch is None or rule.is_watched else epoch.step(samples, wanted, last=at == len(batches))
            if done is None:
                if epoch is not None:
                    epoch.pause()
                done = _step(net, rule, samples, wanted, loss)
            total, n_steps = total + done, n_steps + 1
    finally:
        if epoch is not None:
            epoch.pause()
        rule.zero_grad()
    return total / n_steps


def _check_arguments(rule: ArrayRule, x: torch.Tensor, labels: torch.Tensor, loss: Loss) -> None:
    """Raise as `train_epoch`, before a step."""
    for name, part in (("x", x), ("labels", labels)):
        if not isinstance(part, torch.Tensor) or not part.dim():
            raise OutOfRangeError(f"`{name}` must be a tensor of samples, but is {shown(part)}")
        if not bool(part.isfinite().all()):
            raise OutOfRangeError(f"`{name}` must be finite, but has values that are NaN or infinite")
    if not callable(loss):
        raise OutOfRangeError(f"`loss` must be a function of outputs and labels, but is {shown(loss)}")
    if labels.dtype != torch.int64 or (len(labels) and int(labels.min()) < 0):
        raise OutOfRangeError(f"`labels` must be classes, int64 from 0, but are {shown(labels)}")
    if labels.dim() != 1:
        raise ShapeError(f"`labels` must have the shape (n,), but has {tuple(labels.shape)}")
    if not len(x):
        raise OutOfRangeError("`x` must have at least one sample, but has none")
    if len(x) != len(labels):
        raise ShapeError(f"`labels` must have one entry for each of the {len(x)} samples, but has {len(labels)}")
    if not isinstance(rule, ArrayRule):
        raise OutOfRangeError(f"`rule` must be a rule of ohmweave.optim, but is a {type(rule).__name__}")


def _step(net: torch.nn.Module, rule: ArrayRule, x: torch.Tensor, labels: torch.Tensor, loss: Loss) -> float:
    rule.zero_grad()
    output = net(x)
    found = net.loss(loss, output, labels) if isinstance(net, Deployed) else loss(output, labels)
    found.backward()
    rule.step()
    return float(found.detach())


def _compiled(
    net: torch.nn.Module, rule: ArrayRule, x: torch.Tensor, labels: torch.Tensor, loss: Loss
) -> "CompiledEpoch | None":
    """The compiled steps; None, with the reason said once, where there are none."""
    if not has_numba():
        _say("Numba is not installed (`pip install ohmweave[fast]`)")
        return None
    from ohmweave.optim.compiled_epoch import CompiledEpoch

    try:
        return CompiledEpoch(net, rule, x, labels, loss)
    except NotCompiledError as reason:
        _say(str(reason))
    return None


def _say(why: str) -> None:
    if why not in _SAID:
        _SAID.add(why)
        warnings.warn(f"`train_epoch` runs in an ordinary loop, because {why}", RuntimeWarning, stacklevel=4)
