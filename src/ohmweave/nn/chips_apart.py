"""A check that the outputs of each chip depend on the inputs of that chip only, where chips are merged into the batch.

The model runs in software, without a read: once unchanged, and several times with the inputs of all chips but one
replaced by NaN or by numbers of another scale. A NaN or a change in the outputs of the chip that kept its inputs has
come from another chip. The first and the last chip keep their inputs in turn, because a recurrent state that runs along
the batch affects only the chips behind. With NaN the weights of the other chips are NaN, too: a layer whose input does
not begin with the chips would read some samples by the cells of another chip.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from ohmweave.base import ChipsMixedError
from ohmweave.nn.chip_batch import in_software
from ohmweave.nn.chip_recurrent import chip_by_chip, is_sequence_first
from ohmweave.nn.chips_behind import Behind
from ohmweave.nn.composite import SequenceLayer
from ohmweave.nn.nests import tree_leaves
from ohmweave.nn.undisturbed import Watch, undisturbed

Forward = Callable[[torch.Tensor], Any]

Cut = tuple[int | None, ...]
"""For each leaf of an output the dimension of the merged batch; see `Apart`."""

_TOLERANCE = 1e-3
"""Relative to the largest output: a library may add the same numbers in another order, with other rounding."""


class Apart(NamedTuple):
    """How a model keeps chips apart.

    Attributes:
        cut: for each leaf of the output, the dimension that is the merged batch, 0 or 1; None for a tensor that does
            not depend on the input, such as a buffer. None if the model could not be run.
        one_by_one: recurrent layers that must be run in `chip_by_chip`.
        reading: of the shapes of further tensors, as in `ChipArguments`.
        behind: layers on the chip that have the chips in their second dimension.
        n_repeats: chips for which attention repeats a mask of one chip.
    """

    cut: Cut | None = None
    one_by_one: tuple[torch.nn.Module, ...] = ()
    reading: int = 0
    behind: Behind = ()
    n_repeats: int = 1


def check_apart(
    model: torch.nn.Module,
    x: torch.Tensor,
    n_chips: int,
    forward: Forward,
    one_by_one: tuple[torch.nn.Module, ...] = (),
) -> Apart:
    """Raise if numbers of one chip reach the outputs of another, although recurrent layers are run chip by chip.

    Args:
        model: with layers on chips, as in `_check`.
        x: `(chips * batch, ...)`, an input.
        n_chips: number of chips.
        forward: function of such an input that returns the model's output.
        one_by_one: recurrent layers to begin with; others are found.

    Raises:
        ChipsMixedError: as `_check`.
    """
    refused = ""
    while True:
        try:
            with chip_by_chip(one_by_one, n_chips):
                cut = _check(model, x, n_chips, forward)
        except _Mixed as mixed:
            # Whether the first dimension of a recurrent layer is the merged one shows only by its mixing the chips: a
            # model may have put the batch behind it before.
            if mixed.module in one_by_one or not is_sequence_first(mixed.module):
                raise ChipsMixedError(str(mixed)) from None
            one_by_one, refused = (*one_by_one, mixed.module), str(mixed)
            continue
        if cut is None and refused:  # a state that has the chips now was given to a layer that is not run so
            raise ChipsMixedError(refused)
        return Apart(cut, one_by_one)


class _Mixed(Exception):
    """A module mixes the chips."""

    def __init__(self, message: str, module: torch.nn.Module) -> None:
        super().__init__(message)
        self.module = module


def _check(model: torch.nn.Module, x: torch.Tensor, n_chips: int, forward: Forward) -> Cut | None:
    """Raise if numbers of one chip reach the outputs of another.

    Args:
        model: with layers on chips. Its buffers and attributes and torch's random state are restored afterwards. Its
            hooks are not called.
        x: `(chips * batch, ...)`, an input.
        n_chips: number of chips; with one, nothing can be mixed.
        forward: function of such an input that returns the model's output, a tensor or a nest of tensors.

    Returns:
        As `Apart.cut`.

    Raises:
        _Mixed: they do. The message names the first module that mixes chips, and the remedy.
    """

    def run(inputs: torch.Tensor, watch: Watch | None = None, kept: int | None = None) -> Any:
        mark = None if kept is None or x.is_floating_point() else _marker(x, kept, n_chips)
        with undisturbed(model, x, (mark, watch)), torch.no_grad(), in_software(kept):
            return forward(inputs)

    try:
        reference = run(x)
    except Exception:  # noqa: BLE001 - the call with the array will raise the same error, with its own traceback
        return None
    dims = _batch_dims(reference, x, run)
    changed: list[bool] | None = None
    for kept, poison in _poisons(x, n_chips):
        inputs = _kept(poison, x, kept, n_chips)
        weights_of = kept if poison is x or bool(poison.isnan().any()) else None
        try:
            outputs = run(inputs, kept=weights_of)
            found = None if kept is None else _leak(reference, outputs, kept, n_chips, dims)
        except Exception:  # noqa: BLE001 - some functions refuse NaN: try finite numbers
            continue
        now = _changes(reference, outputs) if poison is not x else [False] * len(dims)
        changed = now if changed is None else [old or new for old, new in zip(changed, now, strict=True)]
        if found is None or kept is None:
            continue
        # A model with random parts differs from run to run. That is no leak.
        again = run(x)
        if found == "nan" or _leak(reference, again, kept, n_chips, dims) is None:
            raise _error(model, inputs, kept, n_chips, functools.partial(run, kept=weights_of))
    if changed is None:
        return None
    has = _with_batch(reference, changed, x, run)
    return tuple(dim if one else None for one, dim in zip(has, dims, strict=True))


def _batch_dims(reference: Any, x: torch.Tensor, run: Callable[[torch.Tensor], Any]) -> list[int]:
    """For each leaf, 1 if its second dimension is the merged batch, as of the last states of a recurrent layer.

    Twice the samples tell which dimension it is. 0 for all other leaves, of which `_with_batch` decides.
    """
    leaves = tree_leaves(reference)
    if not any(_has_batch(leaf, x, 1) for leaf in leaves):
        return [0] * len(leaves)
    try:
        grown = tree_leaves(run(x.repeat_interleave(2, dim=0)))
    except Exception:  # noqa: BLE001 - another argument fixes the number of samples
        grown = leaves
    return [_batch_dim(leaf, more, x) for leaf, more in zip(leaves, grown, strict=True)]


def _batch_dim(leaf: Any, grown: Any, x: torch.Tensor) -> int:
    if not _has_batch(leaf, x, 1) or leaf.shape[0] != grown.shape[0]:
        return 0
    # If both dimensions are as long as the batch, the one that grows is the batch.
    return int(not _has_batch(leaf, x) or leaf.shape[1] != grown.shape[1])


def _with_batch(
    reference: Any, changed: list[bool], x: torch.Tensor, run: Callable[[torch.Tensor], Any]
) -> tuple[bool, ...]:
    """For each leaf, True if it has the merged batch: if it depends on the inputs, or on their number."""
    alike = [_has_batch(leaf, x) for leaf in tree_leaves(reference)]
    if not any(like and not new for like, new in zip(alike, changed, strict=True)):
        return tuple(changed)
    # Zeros for a state, or a buffer that happens to have as many rows: twice the samples tell them apart.
    twice = x.repeat_interleave(2, dim=0)
    try:
        grown = [_has_batch(leaf, twice) for leaf in tree_leaves(run(twice))]
    except Exception:  # noqa: BLE001 - another argument fixes the number of samples
        grown = alike
    return tuple(new or (like and more) for new, like, more in zip(changed, alike, grown, strict=True))


def _poisons(x: torch.Tensor, n_chips: int) -> list[tuple[int | None, torch.Tensor]]:
    """Chips that keep their inputs, each with numbers for the inputs of the others; None if no chip keeps its own.

    NaN is not enough, because `nan_to_num` and `nanmean` remove it. The finite numbers are larger than those of `x` in
    one case and smaller in the other, and of another scale on each chip.
    """
    first, last = (0, n_chips - 1) if n_chips > 1 else (None, None)
    if not x.is_floating_point():  # classes, tokens: the range must not be left; `x` itself is for NaN in weights alone
        ends = [x, x.amax().expand_as(x), x.amin().expand_as(x)]
        return [(kept, end) for kept in (first, last) for end in ends]
    nan = torch.full_like(x, torch.nan)
    finite = x.nan_to_num(0.0, 0.0, 0.0)
    reach = finite.abs().amax() + (finite.abs().amax() == 0)
    scale = torch.arange(3, 3 + n_chips, device=x.device, dtype=x.dtype).repeat_interleave(x.shape[0] // n_chips)
    scale = scale.view(-1, *(1,) * (x.dim() - 1))
    # Mirrored, so that ranks and differences change as well as the size.
    raised, lowered = scale * (1.1 * reach - finite), scale * (-1.1 * reach - finite)
    # Numbers in the range of `x`, for models that refuse others.
    reflected = finite.amax() + finite.amin() - finite
    return [(kept, poison) for kept, sized in ((first, raised), (last, lowered)) for poison in (nan, sized, reflected)]


def _marker(x: torch.Tensor, kept: int, n_chips: int) -> Watch:
    """Hooks that mark what modules make of integers, such as embeddings, with NaN for all chips but one."""

    def mark(module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        first = args[0] if args else None
        embeds = isinstance(first, torch.Tensor) and not first.is_floating_point() and _has_batch(first, x)
        if not embeds or not _has_batch(output, x) or not output.is_floating_point():
            return None
        marked = torch.full_like(output, torch.nan)
        _of(marked, kept, n_chips).copy_(_of(output, kept, n_chips))
        return marked

    return lambda name: mark


def _has_batch(leaf: Any, x: torch.Tensor, dim: int = 0) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.dim() > dim and leaf.shape[dim] == x.shape[0]


def _changes(reference: Any, outputs: Any) -> list[bool]:
    """For each leaf, True if it differs."""
    return [
        isinstance(want, torch.Tensor)
        and isinstance(have, torch.Tensor)
        and not (want.shape == have.shape and bool(((want == have) | ((want != want) & (have != have))).all()))
        for want, have in zip(tree_leaves(reference), tree_leaves(outputs), strict=True)
    ]


def _kept(poison: torch.Tensor, x: torch.Tensor, kept: int | None, n_chips: int) -> torch.Tensor:
    """`poison`, with the inputs of the chip `kept`."""
    poisoned = poison.clone()
    if kept is None:
        return poisoned
    _of(poisoned, kept, n_chips).copy_(_of(x, kept, n_chips))
    return poisoned


def _of(x: torch.Tensor, chip: int, n_chips: int) -> torch.Tensor:
    """The part of one chip, a view."""
    part: torch.Tensor = x.unflatten(0, (n_chips, x.shape[0] // n_chips))[chip]
    return part


def _has_chips(x: torch.Tensor, n_chips: int) -> bool:
    return x.dim() > 0 and x.shape[0] > 0 and x.shape[0] % n_chips == 0


def _leak(reference: Any, outputs: Any, kept: int, n_chips: int, dims: Sequence[int]) -> str | None:
    """How outputs of the chip that kept its inputs differ: "nan", "value", or None if they do not."""
    found = None
    for want, have, dim in zip(tree_leaves(reference), tree_leaves(outputs), dims, strict=True):
        if not isinstance(want, torch.Tensor) or not isinstance(have, torch.Tensor):
            continue
        if want.shape != have.shape:
            return "value"
        if dim:
            want, have = want.transpose(0, dim), have.transpose(0, dim)
        if _has_chips(want, n_chips):
            want, have = _of(want, kept, n_chips), _of(have, kept, n_chips)
        if not want.is_floating_point():
            found = found if torch.equal(want, have) else "value"
            continue
        if bool((have.isnan() & ~want.isnan()).any()):
            return "nan"
        difference = (want - have).abs().nan_to_num()
        scale = want.abs().nan_to_num(posinf=0.0).amax() if want.numel() else 0.0
        if bool((difference > _TOLERANCE * scale).any()):
            found = "value"
    return found


def _error(model: torch.nn.Module, inputs: torch.Tensor, kept: int, n_chips: int, run: Callable[..., Any]) -> _Mixed:
    name, module = _first_to_mix(model, inputs, kept, n_chips, run)
    sequences = torch.nn.RNNBase | torch.nn.MultiheadAttention | SequenceLayer
    batch_first = isinstance(module, sequences) and not module.batch_first
    if batch_first or type(module).__name__.startswith("Transformer"):
        remedy = "make it with batch_first=True, and let the batch be the first dimension of its input"
    else:
        remedy = (
            "keep the batch as the first dimension of inputs and outputs and compute nothing along it (losses: "
            "`net.loss`), or deploy on one chip at a time, without `n_chips`"
        )
    where = f"{name!r} ({type(module).__name__})" if name else f"the model itself ({type(module).__name__})"
    return _Mixed(
        f"{where} mixes the {n_chips} chips, which are merged into the batch: outputs of one chip depend on inputs of "
        f"another; {remedy}",
        module,
    )


def _first_to_mix(
    model: torch.nn.Module, inputs: torch.Tensor, kept: int, n_chips: int, run: Callable[..., Any]
) -> tuple[str, torch.nn.Module]:
    """The first module with NaN in the outputs of the kept chip, but not in its inputs; the model if there is none."""
    found: list[tuple[str, torch.nn.Module]] = []

    def own(part: torch.Tensor) -> torch.Tensor | None:
        """The part of the kept chip; all of a tensor without chips, such as a state that went through all of them."""
        if _has_chips(part, n_chips):
            return _of(part, kept, n_chips)
        return None if _has_batch(part, inputs, 1) else part

    def is_dirty(value: Any) -> bool:
        parts = (own(one) for one in tree_leaves(value) if isinstance(one, torch.Tensor) and one.is_floating_point())
        return any(part is not None and bool(part.isnan().any()) for part in parts)

    def hook_of(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, args: Any, output: Any) -> None:
            if not found and not is_dirty(args) and is_dirty(output):
                found.append((name, module))

        return hook

    run(inputs, hook_of)
    return found[0] if found else ("", model)
