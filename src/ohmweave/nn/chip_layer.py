"""`ChipLayer`: the base of all layers on a chip, with a matrix, a weight that is its readout, and a digital bias."""

import math
from collections.abc import Callable
from typing import Any

import torch

from ohmweave.base import OutOfRangeError, WeightOnChipError, check_integer, check_kind, check_shape, shown
from ohmweave.mapping import Matrix
from ohmweave.nn.chip_batch import (
    add_bias,
    check_chips_first,
    chips_from_second,
    chips_to_second,
    is_in_software,
    of_kept_chip,
    record_call,
    split_chips,
)
from ohmweave.nn.modes import outside_inference_mode
from ohmweave.nn.weight import ArrayWeight, Mixed
from ohmweave.programming import Write, WriteReport


class ChipLayer(torch.nn.Module):
    """A layer whose weight is on a chip; the base of `Linear`, `Conv2d` and the rest.

    A subclass computes in `on_array`, by `array_product` or `array_convolution` with `self.weight`; its `forward`
    calls `self.guarded(...)`, which refuses calls that would not reach the array.

    Args:
        matrix: the cells, of shape (out, in).
        weight_shape: shape of one chip's `weight`, of out * in numbers; None is (out, in).
        bias: True for a digital bias `(*chips, out)`, zeros at first, which is added after the conversion.

    Raises:
        OutOfRangeError: `weight_shape` is not the shape of out * in numbers.

    Attributes:
        weight: `(*chips, *weight_shape)`, the readout of the cells.
        bias: `(*chips, out)`, or None.
        behind: numbers of dimensions of inputs and outputs that have the chips in the second dimension, as
            `chips_behind` sets them for a call; empty otherwise.
    """

    behind: frozenset[int] = frozenset()

    def __init__(self, matrix: Matrix, *, weight_shape: tuple[int, ...] | None = None, bias: bool = True) -> None:
        check_kind("matrix", matrix, Matrix)
        own = _checked_shape(weight_shape, matrix.shape)
        super().__init__()
        self.matrix = matrix
        try:
            weight = ArrayWeight(matrix, own)
        except BaseException:
            matrix.chip.remove(matrix.name)  # the array failed at the first readout: free the cells again
            raise
        self.weight = weight
        # A second reference shows if the parameter is swapped. `torch.nn.Module` does not register it in a tuple.
        self._own = (weight,)
        shape = (*matrix.chip.chip_shape, matrix.shape[0])
        # `fresh` gives a plain tensor, so `new_zeros` makes a plain tensor of the same dtype and device.
        with outside_inference_mode():
            self.bias = torch.nn.Parameter(weight.fresh().new_zeros(shape)) if bias else None
        self._parameters = _Parameters(self._parameters)

    def program(self, weight: torch.Tensor, write: Write) -> WriteReport:
        """Write a weight to the cells; `self.weight` is read out again when it is next used.

        Args:
            weight: of the shape of one chip's `weight`, the same for all chips, or `(*chips, *weight_shape)`.
            write: write scheme, for instance `WriteVerify(...)`.

        Returns:
            The report of the write.

        Raises:
            ShapeError, OutOfRangeError, WriteStoppedError: as `Matrix.program`.
        """
        n_chip_dims = len(self.matrix.chip.chip_shape)
        own = tuple(self.weight.shape[n_chip_dims:])
        check_shape("weight", weight, own)
        leading = weight.shape[: weight.dim() - len(own)]
        with outside_inference_mode():
            return self.matrix.program(weight.reshape(*leading, *self.matrix.shape), write)

    def in_software(self, weight: torch.Tensor) -> torch.Tensor:
        """One chip's `weight` in the shape of torch's layer; the same, unless a subclass says otherwise."""
        return weight

    def on_array(self, *args: Any) -> Any:
        """The layer's output, computed by reads of the array. A subclass implements it."""
        raise NotImplementedError

    def rows_of(self, *args: Any) -> torch.Tensor:
        """The numbers that drive the rows in a call of `forward` with these arguments, for `calibrate`; any shape."""
        x: torch.Tensor = args[0]
        return x

    def guarded(self, *args: Any) -> Any:
        """`on_array`, unless the call would not reach the array.

        Raises:
            WeightOnChipError: under `torch.export`, `torch.jit.trace` or a transform of `torch.func`, or with another
                weight put in this one's place.
            OutOfRangeError: an input does not have the dtype of the chip; `torch.autocast` converts it.
        """
        if torch.compiler.is_compiling():
            return self._outside_graph(*args)
        if self._parameters["weight"] is not self._own[0]:
            raise self._refused("another weight (functional_call, pruning, ...)", "deploy the changed model")
        if torch._C._are_functorch_transforms_active():
            raise self._refused("torch.func (vmap, grad, jacrev, ...)", "call it on ordinary tensors")
        if torch._C._get_tracing_state() is not None:
            raise self._refused("torch.jit.trace", "trace the model before it is deployed")
        record_call(self.matrix)
        held = self._own[0]._held  # plain, so that its facts cost no dispatch
        if torch.is_autocast_enabled(held.device.type):
            # Reads have the chip's dtype: autocast would compute them in half precision. It casts inputs, as here.
            with torch.autocast(held.device.type, enabled=False):
                return self._on_checked(_cast(args, held.dtype), held.dtype)
        return self._on_checked(args, held.dtype)

    def chips_first(self, value: Any) -> Any:
        """An input or output of this layer with the chips in its first dimension."""
        if not isinstance(value, torch.Tensor) or value.dim() not in self.behind:
            return value
        return chips_from_second(value, self.matrix.chip.chip_shape)

    def _on_checked(self, args: tuple[Any, ...], dtype: torch.dtype) -> Any:
        if self.behind:
            y = self._on_first(tuple(map(self.chips_first, args)), dtype)
            return chips_to_second(y, self.matrix.chip.chip_shape) if y.dim() in self.behind else y
        return self._on_first(args, dtype)

    def _on_first(self, args: tuple[Any, ...], dtype: torch.dtype) -> Any:
        for arg in args:
            self._check_input(arg, dtype)
        try:
            y = self.on_array(*args)
        except OutOfRangeError as error:
            name = repr(self.matrix.name)
            if name in str(error):
                raise
            raise OutOfRangeError(f"{type(self).__name__} {name}: {error}") from error
        return of_kept_chip(y, self.matrix.chip.chip_shape) if is_in_software() else y

    def _check_input(self, arg: Any, dtype: torch.dtype) -> None:
        """Raise before a read if an input has another dtype than the chip, or was computed past the array."""
        if isinstance(arg, tuple | list):
            for part in arg:
                self._check_input(part, dtype)
        elif isinstance(arg, torch.Tensor) and arg.dtype != dtype:
            raise OutOfRangeError(
                f"the input of {type(self).__name__} {self.matrix.name!r} must have the dtype of its chip, {dtype}, "
                f"but has {arg.dtype}: convert it with `x.to({dtype})`, or make the chip with another `dtype`"
            )
        elif isinstance(arg, torch.Tensor):
            check_chips_first(arg, self.matrix.chip.chip_shape)  # before a stale weight is read out
        if isinstance(arg, Mixed):
            raise WeightOnChipError(f"the input of {self.matrix.name!r} was computed with a weight past the array")

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _outside_graph(self, *args: Any) -> Any:
        """A graph break for `torch.compile`, which cannot compile reads of an array."""
        if torch.compiler.is_compiling():  # still true after the break: `torch.export` traces through it
            raise self._refused("torch.export", "export the model before it is deployed")
        return self.guarded(*args)

    def _refused(self, what: str, remedy: str) -> WeightOnChipError:
        return WeightOnChipError(
            f"{type(self).__name__} {self.matrix.name!r} is on a chip and must not be run by {what}: {remedy}"
        )

    def biased(self, y: torch.Tensor) -> torch.Tensor:
        """`y` `(chips * batch, ..., out)`, as it was read, plus the bias, if there is one; `y` may be overwritten."""
        if self.bias is None:
            return y
        chips = self.matrix.chip.chip_shape
        if torch.is_grad_enabled() or is_in_software():
            return add_bias(y, self.bias, chips)
        # What was read belongs to this layer alone: without gradients a pass over new memory is saved.
        per_chip = split_chips(y, chips)
        per_chip.add_(self.bias.view(*chips, *(1,) * (per_chip.dim() - len(chips) - 1), -1))
        return y

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"on {self.matrix.name!r}"

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse another `weight`."""
        if name == "weight" and "_own" in self.__dict__:
            raise self._refused("another weight", "write new values with `layer.program(weight, write)`")
        super().__setattr__(name, value)

    def register_parameter(self, name: str, param: torch.nn.Parameter | None) -> None:
        """Refuse the weight under another name, as pruning does."""
        if "_own" in self.__dict__ and param is self._own[0] and name != "weight":
            raise self._refused("pruning of its weight", "prune the model before it is deployed")
        super().register_parameter(name, param)

    def __delattr__(self, name: str) -> None:
        """Refuse to lose `weight`, as parametrizations do."""
        if name == "weight":
            raise self._refused("a parametrization of its weight", "parametrize the model before it is deployed")
        super().__delattr__(name)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "ChipLayer":
        check_stays(fn, self._own[0], f"{type(self).__name__} {self.matrix.name!r}")
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        raise self._refused("load_state_dict", "use `ohmweave.load(net, path)`, or `layer.program(weight, write)`")

    def _replicate_for_data_parallel(self) -> "ChipLayer":
        raise self._refused("DataParallel", "make a chip with `n_chips`, or one process for each chip")

    def __prepare_scriptable__(self) -> Any:
        """`torch.jit.script` calls this first."""
        raise self._refused("torch.jit.script", "script the model before it is deployed")

    def __deepcopy__(self, memo: dict[int, Any]) -> "ChipLayer":
        """Refuse, as the weight does."""
        return self._own[0].__deepcopy__(memo)  # type: ignore[return-value]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse, as the weight does."""
        return self._own[0].__reduce_ex__(protocol)


class _Parameters(dict[str, Any]):
    """The parameters of a layer on a chip, of which `weight` cannot be deleted."""

    def __delitem__(self, name: str) -> None:
        """Refuse to lose `weight`: `torch.nn.utils.weight_norm` deletes it here."""
        if name == "weight":
            weight = self["weight"]
            raise WeightOnChipError(
                f"{weight._named()} must not be replaced by a norm or parametrization of it: apply it to the model "
                "before it is deployed"
            )
        super().__delitem__(name)


def _checked_shape(weight_shape: tuple[int, ...] | None, shape: tuple[int, int]) -> tuple[int, ...]:
    """The shape of one chip's weight with the numbers of a matrix of `shape`."""
    if weight_shape is None:
        return shape
    if not isinstance(weight_shape, tuple | list):
        raise OutOfRangeError(f"`weight_shape` must be a tuple, but is {shown(weight_shape)}")
    own = tuple(check_integer(f"weight_shape[{at}]", size, at_least=1) for at, size in enumerate(weight_shape))
    if math.prod(own) != math.prod(shape):
        raise OutOfRangeError(f"`weight_shape` must have {math.prod(shape)} numbers, those of the cells, but is {own}")
    return own


def _cast(arg: Any, dtype: torch.dtype) -> Any:
    """`arg` with its floating-point tensors in `dtype`."""
    if isinstance(arg, tuple | list):
        return type(arg)(_cast(part, dtype) for part in arg)
    return arg.to(dtype) if isinstance(arg, torch.Tensor) and arg.is_floating_point() else arg


def check_stays(fn: Callable[[torch.Tensor], torch.Tensor], weight: ArrayWeight, named: str) -> None:
    """Raise if `fn`, which `Module.to` applies to every tensor, would move or change a weight on a chip.

    Args:
        fn: function that `torch.nn.Module._apply` is given.
        weight: the weight on the chip.
        named: name of the layer for the message.

    Raises:
        WeightOnChipError: `fn` gives another dtype, another device, or shared memory.
    """
    probe = weight._held.new_empty(1)
    was_shared = probe.is_shared()
    if fn(probe) is not probe or probe.is_shared() != was_shared:
        raise WeightOnChipError(
            f"{named} is on a chip with {probe.dtype} on {probe.device} and must stay there: make the chip with the "
            "`dtype` and `device` you want and deploy again, or move the digital layers alone"
        )
