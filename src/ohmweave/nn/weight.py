"""The weight of a layer on a chip: a torch parameter whose values are a readout of cells.

It is read-only data with gradients. Every torch function of a parameter passes through `__torch_function__`, which
treats five kinds differently:

* facts (shape, dtype, `requires_grad`, `grad`, ...) need no readout;
* changes in place (`add_`, `out=`, `.data = `, `nn.init`, fused optimizers, ...) raise, because no cell would change;
* products (`linear`, `matmul`, `conv2d`, `einsum`, ...) with other tensors raise, because the array would not be read;
* copies (`detach`, `.data`, `numpy`, `state_dict`) return a `Readout`, a copy that is read-only as well;
* all others (`square`, `sum`, `==`, `repr`, ...) see fresh values, and gradients flow. Results with dimensions are
  `Derived`: they are refused in products, too, because `x @ (2 * weight).T` would not read the array either. Scalars,
  which regularisers are, are plain tensors.

Outside a forward pass products with a `Readout` are allowed, and results are plain tensors. Within the forward pass of
a deployed network a `Readout` is treated as the weight is.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import torch

from ohmweave.base import WeightOnChipError
from ohmweave.mapping import Matrix
from ohmweave.mapping.history import Stamp
from ohmweave.nn.chip_batch import is_in_forward
from ohmweave.nn.modes import outside_autocast, outside_inference_mode
from ohmweave.nn.torch_functions import (
    changed_in_place,
    is_copy,
    is_elementwise_product,
    is_fact,
    is_product,
    shares_storage,
    tree_map,
)

_Plain = torch._C.DisableTorchFunctionSubclass
"""Within this context torch treats guarded tensors as plain ones."""


class _Guarded(torch.Tensor):
    """Values of cells: changes in place raise, and so do products, except those of a `Readout`."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Torch calls this instead of `func` if an argument is guarded."""
        kwargs = kwargs or {}
        if is_fact(func):
            with _Plain():
                return func(*args, **kwargs)
        for target in changed_in_place(func, args, kwargs):
            if isinstance(target, _Guarded) and not isinstance(target, Derived):
                raise target._unchangeable(_name_of(func))
        if func.__name__ == "__iter__":
            return iter(args[0].unbind(0))  # torch's iterator would give plain rows
        return _computed(func, args, kwargs)

    def set_(self, *args: Any, **kwargs: Any) -> Any:
        """Raise: torch does not pass `set_` through `__torch_function__`."""
        raise self._unchangeable("set_")

    def _unchangeable(self, by: str) -> WeightOnChipError:
        return WeightOnChipError(
            f"{self._named()} must not be changed by `{by}`: no cell would change. Cells change by "
            "`net.chip_parameters()` with a rule of `ohmweave.optim`, by `matrix.program`, or by `ohmweave.load` of a "
            "file that `ohmweave.save` wrote"
        )

    def _named(self) -> str:
        return "a view of a weight on a chip"


class Readout(_Guarded):
    """A copy of a readout, as `weight.detach()` returns it: read-only, but products are allowed. `clone()` is plain.

    Within the forward pass of a deployed network products with it raise, and what is derived from it is `Derived`.
    """

    def _named(self) -> str:
        return "a readout of a weight on a chip"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle it as a plain tensor."""
        with _Plain():
            return self.as_subclass(torch.Tensor).__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        """Copy it as a plain tensor."""
        with _Plain():
            return self.as_subclass(torch.Tensor).clone()


class WeightView(_Guarded):
    """A view of a weight (`weight.T`, `weight[0]`): differentiable, and guarded like the weight."""

    _of = "a weight on a chip"

    def _named(self) -> str:
        return f"a view of {self._of}"


class Derived(_Guarded):
    """Numbers computed from weights (`2 * weight`, `F.normalize(weight)`), in memory of their own.

    They are differentiable and may be changed in place. Products with other tensors raise.
    """

    def _named(self) -> str:
        return "a tensor computed from a weight on a chip"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle it as a plain tensor."""
        with _Plain():
            return self.as_subclass(torch.Tensor).__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        """Copy it as a plain tensor."""
        with _Plain():
            return copy.deepcopy(self.as_subclass(torch.Tensor), memo)


class Mixed(Derived):
    """Numbers computed elementwise from weights and other tensors (`x * weight`): no layer and no output may be one."""


class ArrayWeight(_Guarded, torch.nn.Parameter):
    """Parameter `(*chips, *shape)` of numbers that holds a readout of a `Matrix`.

    Read-only: see the module. Pulses (of any rule, `matrix.program`, `matrix.pulse`, `matrix.shift`) and time
    (`chip.wait`) make the readout stale. Stale values are read out again when they are next used: in a forward pass
    whose backward pass needs them, or when the values are inspected. That readout is counted. So gradients are never
    computed from an old readout, and a rule that does not use the values costs no readout.

    Args:
        matrix: the cells.
        shape: shape of one chip's weight in the layer, (out, in) or (out, in, kernel height, kernel width).

    Attributes:
        matrix: the cells.
    """

    matrix: Matrix
    _held: torch.Tensor
    _version_held: int
    _stamp: Stamp | None

    def __new__(cls, matrix: Matrix, shape: tuple[int, ...]) -> "ArrayWeight":
        """Read the cells out once."""
        stamp = matrix.stamp()
        with outside_inference_mode(), outside_autocast(matrix.chip.array.device.type):
            data = matrix.readout().reshape(*matrix.chip.chip_shape, *shape).contiguous()
            data = data.clone() if data.is_inference() else data
            weight = torch.Tensor._make_subclass(cls, data, True)
            weight.matrix = matrix
            weight._take(data, stamp)
        return weight

    def __init__(self, matrix: Matrix, shape: tuple[int, ...]) -> None:
        """All is done in `__new__`, as torch's own parameters do."""

    @property
    def is_stale(self) -> bool:
        """True if the cells may have changed since the last readout."""
        return self._stamp is None or self._stamp != self.matrix.stamp()

    def fresh(self) -> torch.Tensor:
        """The values `(*chips, *shape)` as a plain tensor without gradient, read out again if they are stale.

        For code that computes with them, such as a layer's backward pass. It is not a copy and must not be changed.

        Raises:
            WeightOnChipError: the held values were changed by code that torch cannot intercept.
        """
        if self._held._version != self._version_held:
            self.refresh()
            raise WeightOnChipError(f"{self._named()} was changed in place; it has been read out again")
        if self._stamp != self.matrix.stamp():
            self.refresh()
        return self._held

    def refresh(self) -> None:
        """Read the cells out again now."""
        self.hold(self.matrix.conductance())

    def hold(self, g: torch.Tensor) -> None:
        """Take over a readout that the caller has just made.

        Args:
            g: `(*chips, row lines, column lines)`, S, conductances of all cells of the matrix.
        """
        with outside_autocast(g.device.type), torch.no_grad():
            self.restore(self.matrix.logical(g))

    def restore(self, values: torch.Tensor, *, stale: bool = False) -> None:
        """Take over values of an earlier readout of these cells, to resume a saved network.

        Args:
            values: `(*chips, *shape)`, or another shape with as many numbers.
            stale: True if the cells had changed since that readout.
        """
        # A tensor made in inference mode could not be trained later, nor would it count changes in place.
        with outside_inference_mode(), _Plain(), torch.no_grad():
            data = values.detach().reshape(self.shape).to(device=self.device, dtype=self.dtype, copy=True).contiguous()
            # In new memory: graphs of earlier forward passes keep the readout that they used.
            self.data = data
            self._take(data, None if stale else self.matrix.stamp())

    def last_readout(self) -> torch.Tensor:
        """A copy of the last readout, stale or not, `(*chips, *shape)`; no cell is read."""
        return self._held.clone()

    def _take(self, data: torch.Tensor, stamp: Stamp | None) -> None:
        with _Plain(), torch.no_grad():
            # `detach` shares the version counter, which shows changes in place that were not intercepted.
            self._held = self.detach()
        self._version_held = self._held._version
        self._stamp = stamp

    def _named(self) -> str:
        return f"the weight of {self.matrix.name!r} on the chip"

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        """Shape, placement, dtype, device, and whether it is stale, in one line."""
        with _Plain():
            state = "stale" if self.is_stale else "read out"
            frozen = "" if self.requires_grad else ", frozen"
            place = f"{tuple(self.shape)} of {self.matrix.name!r}, {self.dtype}, {self.device}"
            return f"ArrayWeight({place}, {state}{frozen})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "ArrayWeight":
        """Raise: two networks on the same cells would overwrite each other."""
        raise WeightOnChipError(
            f"{self._named()} cannot be copied: deploy the model again on another chip, or use `ohmweave.save`"
        )

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Raise: a pickle would hold the values but not the cells."""
        raise WeightOnChipError(f"{self._named()} cannot be pickled: use `ohmweave.save(net, path)`")


def matrix_of(parameter: torch.Tensor) -> Matrix | None:
    """The matrix of a weight on a chip; None for a digital parameter."""
    return parameter.matrix if isinstance(parameter, ArrayWeight) else None


def _computed(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of `func` of fresh values, guarded; products with other tensors raise."""
    guarded = _guarded_among(args, kwargs)
    allowed = all(isinstance(one, Readout) for one in guarded) and not is_in_forward()
    others = not allowed and _has_others(args, kwargs)
    mixed = others or any(isinstance(one, Mixed) for one in guarded)
    if mixed and is_product(func):
        _refuse_product(func, guarded)
    for one in guarded:
        if isinstance(one, ArrayWeight):
            one.fresh()
    copied = bool(guarded) and is_copy(func) and args[:1] and isinstance(args[0], _Guarded)
    with _Plain():
        if copied:
            own = torch.Tensor.detach(args[0]).clone()
            return tree_map(lambda out: out.as_subclass(Readout), func(own, *args[1:], **kwargs))
        result = func(*args, **kwargs)
    if isinstance(result, _Guarded) or func.__name__ == "grad":  # `torch.autograd.grad` gives plain gradients
        return result
    if others and is_elementwise_product(func) and _is_broadcast(result, guarded):
        _refuse_product(func, guarded)
    kind = None if allowed else Mixed if mixed else Derived
    return tree_map(lambda out: _guard(out, guarded, kind), result)


def _guarded_among(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[_Guarded]:
    found: list[_Guarded] = []
    for value in (*args, *kwargs.values()):
        if isinstance(value, _Guarded):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [item for item in value if isinstance(item, _Guarded)]
    return found


def _has_others(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """True if a tensor with dimensions among the arguments is not guarded, such as an input or a mask."""
    for value in (*args, *kwargs.values()):
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, torch.Tensor) and not isinstance(item, _Guarded) and item.dim() > 0:
                return True
    return False


def _is_broadcast(result: Any, guarded: list[_Guarded]) -> bool:
    """True if an elementwise product repeated a weight, as `x[:, None] * weight` does for each sample."""
    with _Plain():
        return isinstance(result, torch.Tensor) and result.numel() > max(one.numel() for one in guarded)


def _refuse_product(func: Callable[..., Any], guarded: list[_Guarded]) -> NoReturn:
    first = next((one for one in guarded if not isinstance(one, Readout)), guarded[0])
    way = (
        "a forward pass must call the layer; where a module computes with the weight of another, name it in `digital`"
        if is_in_forward()
        else "call the layer; for a product in software take `weight.detach()`"
    )
    raise WeightOnChipError(
        f"{first._named()} must not be multiplied by `{_name_of(func)}`: the product would pass by the array; {way}"
    )


def _guard(out: torch.Tensor, guarded: list[_Guarded], kind: type[Derived] | None) -> torch.Tensor:
    """`out`, guarded if it shares memory with a weight, or as `kind`; scalars and, outside a pass, masks are plain."""
    for one in guarded:
        if not isinstance(one, Derived) and shares_storage(out, one):
            if isinstance(one, Readout):
                return out.as_subclass(Readout)
            view = out.as_subclass(WeightView)
            view._of = one._of if isinstance(one, WeightView) else one._named()
            return view
    if kind is None or out.dim() == 0 or not (out.is_floating_point() or is_in_forward()):
        return out
    return out.as_subclass(kind)


def _name_of(func: Callable[..., Any]) -> str:
    name = func.__name__
    owner = func.__self__ if name in ("__get__", "__set__") else None  # type: ignore[attr-defined]
    return name if owner is None else f"{owner.__name__} ="
