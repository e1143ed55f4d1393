"""A comparison of each chip in a call of several chips with that chip alone: the numbers of a model must be the same.

`check_apart` finds numbers that come from another chip. A model may also use how many samples there are: it divides by
`x.size(0)`, or takes as many rows of a table. Where the chips are merged into the batch, that is (chips * batch), and
the outputs are wrong without a number from another chip. So the model is run once with all chips, each with an input of
its own, and once for each chip alone. All runs are in software, with the readout of the first chip as the weights of
all and the biases of each, without a read, without noise, and with constants in place of random numbers.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from ohmweave.base import ChipsMixedError
from ohmweave.nn.chip_arguments import ChipArguments
from ohmweave.nn.chip_batch import ChipsNotFirstError, in_software
from ohmweave.nn.chip_recurrent import chip_by_chip
from ohmweave.nn.chosen_samples import ChosenSamples
from ohmweave.nn.nests import tree_leaves
from ohmweave.nn.undisturbed import Watch, undisturbed
from ohmweave.nn.without_chance import without_chance

Cut = tuple[int | None, ...]
"""For each leaf of an output the dimension that is the merged batch; None if it has none."""

_RARE = 1e-3
"""Fraction of integers or booleans that rounding may change, where a number is next to a threshold."""

_AMPLIFIED = 30.0
"""Differences up to this factor times what a change in the last digits of the input causes are rounding."""


class Compared(NamedTuple):
    """What the comparison has found.

    Attributes:
        cut: of the outputs; None if the model could not be run with all chips.
        counted: attributes that the model's forward pass changes.
    """

    cut: Cut | None
    counted: frozenset[tuple[torch.nn.Module, str]] = frozenset()


class _Call(NamedTuple):
    """One call of a module: its name, the tensors of its arguments and of its output."""

    name: str
    args: list[torch.Tensor]
    outputs: list[torch.Tensor]


def compare_with_each_chip(
    model: torch.nn.Module, arguments: ChipArguments, one_by_one: Sequence[torch.nn.Module]
) -> Compared:
    """Raise if a chip among several does not compute what it computes alone.

    Args:
        model: with layers on chips. Its state is restored afterwards, its hooks are not called.
        arguments: of the call.
        one_by_one: recurrent layers that are run in `chip_by_chip`.

    Raises:
        ChipsMixedError: the outputs differ by more than rounding. The message names the first module that differs.
    """
    return _Comparison(model, arguments, one_by_one).result()


def cut_of_outputs(
    model: torch.nn.Module, arguments: ChipArguments, one_by_one: Sequence[torch.nn.Module]
) -> Cut | None:
    """The dimensions of the batch of a model on one chip, found with its inputs twice; None if it does not run so.

    An output may depend on a further input alone, which `check_apart` does not change.
    """
    twice = arguments.with_chips(2)
    try:
        comparison = _Comparison(model, twice, one_by_one)
        x = twice.x.detach()
        return comparison.cut(comparison.together(x), comparison.alone(x, 0))
    except Exception:  # noqa: BLE001 - an argument may fix the number of samples
        return None


class _Comparison:
    def __init__(self, model: torch.nn.Module, arguments: ChipArguments, one_by_one: Sequence[torch.nn.Module]) -> None:
        self._model, self._arguments, self._one_by_one = model, arguments, one_by_one
        self._n = arguments.n_chips
        self._counted: frozenset[tuple[torch.nn.Module, str]] = frozenset()

    def result(self) -> Compared:
        together, x = None, self._arguments.x.detach()
        for inputs in (_distinct(x, self._n), x):
            try:
                together = self._together_without_choice(inputs)
            except ChipsNotFirstError as error:  # the read would refuse it, with the same words
                raise ChipsMixedError(str(error)) from error
            except ChipsMixedError:
                raise
            except Exception:  # noqa: BLE001 - a model may refuse other numbers, and the call with the array any
                continue
            break
        else:
            return Compared(None)
        cut: Cut | None = None
        for chip in range(self._n):
            try:
                alone = self.alone(inputs, chip)
            except Exception as error:
                raise ChipsMixedError(
                    f"the model runs with {self._n} chips merged into the batch, but not with one chip alone "
                    f"({type(error).__name__}: {error}), so that the outputs would be those of no chip; {_REMEDY}"
                ) from error
            cut = self.cut(together, alone) if cut is None else cut
            if cut is None or not self._agree(together, alone, cut, chip, inputs):
                raise ChipsMixedError(self._reason(inputs, chip))
        return Compared(cut, self._counted)

    def _together_without_choice(self, x: torch.Tensor) -> Any:
        """As `together`; raise if a layer on the chip is given samples that the model chooses by their numbers."""
        if self._n == 1:
            return self.together(x)
        chosen = ChosenSamples()
        with chosen:
            found = self.together(x, chosen.watch)
        if chosen.given:
            raise ChipsMixedError(
                f"{chosen.given[0]!r} on the chip is given samples that the model chooses by their numbers (a boolean "
                "mask, `nonzero`), as a mixture of experts does: chips may choose different numbers of samples, and in "
                f"a batch of {self._n} chips it cannot be seen where one of them ends; compute the layer for all "
                "samples and multiply by the choice, or deploy on one chip at a time, without `n_chips`"
            )
        return found

    def together(self, x: torch.Tensor, watch: Watch | None = None) -> Any:
        args, kwargs = self._arguments.with_input(x)
        with chip_by_chip(self._one_by_one, self._n):
            return self._run(args, kwargs, None, watch)

    def alone(self, x: torch.Tensor, chip: int, watch: Watch | None = None) -> Any:
        args, kwargs = self._arguments.alone(x, chip)
        with chip_by_chip(self._one_by_one, 1):
            return self._run(args, kwargs, chip, watch)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], chip: int | None, watch: Watch | None) -> Any:
        x = self._arguments.x
        quiet = (torch.no_grad(), in_software(alone=chip, strict=chip is None), without_chance())
        with undisturbed(self._model, x, (watch,)) as changed, quiet[0], quiet[1], quiet[2]:
            if chip is not None:
                self._cut_kept(chip)
            found = self._model(*args, **kwargs)
        self._counted |= changed
        return found

    def _cut_kept(self, chip: int) -> None:
        """Cut what the model keeps from an earlier call of all chips, such as a state, to what is of one chip."""
        whole = self._arguments.x.shape[0]

        def cut(value: Any) -> Any:
            if type(value) in (tuple, list):
                parts = [cut(one) for one in value]
                # The same object where nothing is cut: another list would count as one that the model has changed.
                return value if all(map(operator.is_, parts, value)) else type(value)(parts)
            if type(value) is not torch.Tensor:
                return value
            dim = next((dim for dim in range(min(2, value.dim())) if value.shape[dim] == whole), None)
            return value if dim is None else self._part(value, dim, chip)

        for module in self._model.modules():
            module.__dict__.update({name: cut(value) for name, value in module.__dict__.items() if name[:1] != "_"})

    def cut(self, together: Any, alone: Any) -> Cut | None:
        """The dimensions that are as many times as large as there are chips; None if the outputs have other shapes."""
        leaves, own = tree_leaves(together), tree_leaves(alone)
        if len(leaves) != len(own):
            return None
        found: list[int | None] = []
        for whole, part in zip(leaves, own, strict=True):
            if not isinstance(whole, torch.Tensor) or not isinstance(part, torch.Tensor):
                found.append(None)
                continue
            dims = [] if whole.dim() != part.dim() else _unequal(whole, part)
            if whole.dim() != part.dim() or len(dims) > 1:
                return None
            if dims and whole.shape[dims[0]] != self._n * part.shape[dims[0]]:
                return None
            found.append(dims[0] if dims else None)
        return tuple(found)

    def _agree(self, together: Any, alone: Any, cut: Cut, chip: int, x: torch.Tensor) -> bool:
        """True if the part of a chip is what it computes alone, up to rounding."""
        parts = [self._part(leaf, dim, chip) for leaf, dim in zip(tree_leaves(together), cut, strict=True)]
        own = tree_leaves(alone)
        precision = self._precision(x)
        if all(_is_near(part, want, precision) for part, want in zip(parts, own, strict=True)):
            return True
        if not x.is_floating_point():
            return False
        # A model may amplify rounding, for instance at a threshold: compare with a change in the last digits.
        signs = torch.ones_like(x)
        signs.view(-1)[::2] = -1
        moved = tree_leaves(self.alone(x * (1 + 4 * torch.finfo(x.dtype).eps * signs), chip))
        return all(_is_near(part, want, precision, other) for part, want, other in zip(parts, own, moved, strict=True))

    def _precision(self, x: torch.Tensor) -> float:
        """Square root of the relative rounding error of the coarsest dtype of the model."""
        dtypes = {one.dtype for one in (x, *self._model.parameters()) if one.is_floating_point()}
        if torch.is_autocast_enabled(x.device.type):
            dtypes.add(torch.get_autocast_dtype(x.device.type))
        return math.sqrt(max(torch.finfo(dtype).eps for dtype in dtypes or {torch.float32}))

    def _part(self, leaf: Any, dim: int | None, chip: int) -> Any:
        if dim is None:
            return leaf
        return leaf.unflatten(dim, (self._n, leaf.shape[dim] // self._n)).select(dim, chip)

    def _reason(self, x: torch.Tensor, chip: int) -> str:
        name = self._first_that_differs(x, chip)
        module = self._model.get_submodule(name)
        where = f"{name!r} ({type(module).__name__})" if name else f"the model itself ({type(module).__name__})"
        return (
            f"{where} mixes the {self._n} chips, which are merged into the batch: the outputs of chip {chip} are not "
            "those of that chip alone, because the first dimension of a tensor is (chips * batch) inside the model, "
            "and the model computes with its size (`x.size(0)`, `len(x)`) or with all of it (a mean over the batch, "
            f"products of all samples); {_REMEDY}"
        )

    def _first_that_differs(self, x: torch.Tensor, chip: int) -> str:
        """The first module whose outputs differ although its inputs do not; "" if there is none, for the model."""
        together, alone = _Recorder(), _Recorder()
        self.together(x, together)
        self.alone(x, chip, alone)
        precision = self._precision(x)

        def same(mine: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
            return len(mine) == len(theirs) and all(
                self._is_part(whole, part, chip, precision) for whole, part in zip(mine, theirs, strict=True)
            )

        for mine, theirs in zip(together.calls, alone.calls, strict=False):
            if mine.name != theirs.name:
                return ""
            if same(mine.args, theirs.args) and not same(mine.outputs, theirs.outputs):
                return mine.name
        return ""

    def _is_part(self, whole: torch.Tensor, part: torch.Tensor, chip: int, precision: float) -> bool:
        dims = _unequal(whole, part) if whole.dim() == part.dim() else []
        if whole.dim() != part.dim() or len(dims) > 1 or (dims and whole.shape[dims[0]] % self._n):
            return False
        return _is_near(self._part(whole, dims[0] if dims else None, chip), part, precision)


class _Recorder:
    """Makes forward hooks that record all calls of modules."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []

    def __call__(self, name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, args: Any, output: Any) -> None:
            args, outputs = (
                [one.clone() for one in tree_leaves(nest) if isinstance(one, torch.Tensor)] for nest in (args, output)
            )
            self.calls.append(_Call(name, args, outputs))

        return hook


_REMEDY = (
    "keep the batch as the first dimension of inputs and outputs, compute nothing along it or with its size (losses: "
    "`net.loss`), or deploy on one chip at a time, without `n_chips`"
)


def _distinct(x: torch.Tensor, n_chips: int) -> torch.Tensor:
    """Inputs `(chips * batch, ...)` that differ from chip to chip, within the range of `x`."""
    per_chip = x.unflatten(0, (n_chips, x.shape[0] // n_chips))
    if x.is_floating_point():
        size = 1 - torch.arange(n_chips, dtype=x.dtype, device=x.device) / (2 * n_chips)
        scaled: torch.Tensor = per_chip * size.view(-1, *(1,) * x.dim())
        return scaled.flatten(0, 1)
    if x.dim() < 2 or x.dtype == torch.bool:
        return x
    # Classes, tokens: the same ones at other places, so that what a sample must have, it has.
    return torch.stack([one.roll(chip, dims=-1) for chip, one in enumerate(per_chip)]).flatten(0, 1)


def _unequal(whole: torch.Tensor, part: torch.Tensor) -> list[int]:
    return [dim for dim, (n, m) in enumerate(zip(whole.shape, part.shape, strict=True)) if n != m]


def _is_near(part: Any, want: Any, precision: float, moved: Any = None) -> bool:
    """True if the two are equal up to rounding, or up to the difference of `want` and `moved`."""
    if not isinstance(part, torch.Tensor) or not isinstance(want, torch.Tensor):
        return not isinstance(want, bool | int | float | str) or part == want or (part != part and want != want)
    if part.shape != want.shape or part.dtype != want.dtype:
        return False
    moved = moved if isinstance(moved, torch.Tensor) and moved.shape == want.shape else want
    if not (want.is_floating_point() or want.is_complex()):
        allowed = max(_RARE, _AMPLIFIED * float((want != moved).double().mean())) if want.numel() else 1.0
        return not want.numel() or float((part != want).double().mean()) <= allowed
    same = (part == want) | ((part != part) & (want != want))
    if bool(same.all()):
        return True
    size = want.abs().nan_to_num(posinf=0.0).amax()
    allowed_difference = precision * size + _AMPLIFIED * (moved - want).abs().nan_to_num().amax()
    return bool((same | ((part - want).abs() <= allowed_difference)).all())
