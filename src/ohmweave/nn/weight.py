"""The weight of a layer on a chip: a torch parameter whose values are a readout of cells.

It is read-only data with gradients. Whatever torch does to a parameter passes through `__torch_function__` here, which
sorts it into five kinds:

* facts (shape, dtype, `requires_grad`, `grad`, ...) pass without a readout;
* changes in place (`add_`, `out=`, `.data = `, `nn.init`, fused optimizers, ...) raise: they would change no cell;
* products (`linear`, `matmul`, `conv2d`, `einsum`, ...) raise: they would compute past the array;
* copies (`detach`, `.data`, `numpy`, `state_dict`) give a `Readout`: a private copy that is read-only as well;
* everything else (`square`, `sum`, `==`, `repr`, ...) sees fresh values; gradients flow, results are plain tensors.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from ohmweave.base import WeightOnChipError
from ohmweave.mapping import Matrix
from ohmweave.mapping.history import Stamp
from ohmweave.nn.torch_functions import (
    changed_in_place,
    is_copy,
    is_fact,
    is_product,
    shares_storage,
    tree_map,
)

_Plain = torch._C.DisableTorchFunctionSubclass
"""Within this context torch treats guarded tensors as plain ones."""


class _Guarded(torch.Tensor):
    """Values of cells: no change in place, and, unless it is a `Readout`, no product."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Torch calls this in place of `func` wherever an argument is guarded."""
        kwargs = kwargs or {}
        if is_fact(func):
            with _Plain():
                return func(*args, **kwargs)
        for target in changed_in_place(func, args, kwargs):
            if isinstance(target, _Guarded):
                raise target._unchangeable(_name_of(func))
        guarded = _guarded_among(args, kwargs)
        if is_product(func) and not all(isinstance(one, Readout) for one in guarded):
            first = next(one for one in guarded if not isinstance(one, Readout))
            raise WeightOnChipError(
                f"{first._named()} must not be multiplied by `{_name_of(func)}`: the product would pass by the array. "
                "Call the layer; for a product in software take `weight.detach()`"
            )
        for one in guarded:
            if isinstance(one, ArrayWeight):
                one.fresh()
        copied = bool(guarded) and is_copy(func) and args[:1] and isinstance(args[0], _Guarded)
        with _Plain():
            if copied:
                own = torch.Tensor.detach(args[0]).clone()
                return tree_map(lambda out: out.as_subclass(Readout), func(own, *args[1:], **kwargs))
            result = func(*args, **kwargs)
        if isinstance(result, _Guarded):
            return result
        return tree_map(lambda out: _guard_view(out, guarded), result)

    def set_(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: torch does not pass this one through `__torch_function__`."""
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
    """A copy of a readout, as `weight.detach()` gives it: read-only, free to be multiplied. `clone()` is plain."""

    def _named(self) -> str:
        return "a readout of a weight on a chip"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Saved as a plain tensor."""
        with _Plain():
            return self.as_subclass(torch.Tensor).__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        """A plain copy."""
        with _Plain():
            return self.as_subclass(torch.Tensor).clone()


class WeightView(_Guarded):
    """A view of a weight (`weight.T`, `weight[0]`): differentiable, and guarded like the weight."""


class ArrayWeight(_Guarded, torch.nn.Parameter):
    """Parameter `(*chips, *shape)` of numbers that holds a readout of a `Matrix`.

    Read-only: see the module. Pulses (by any rule, `matrix.program`, `matrix.pulse`, `matrix.shift`) and time
    (`chip.wait`) make the readout stale. Stale values are read out again, and that readout is counted, when they are
    next used: in a forward pass whose backward pass needs them, or when their values are looked at. So gradients and
    looks never see an old readout, and rules that never look never pay for one.

    Args:
        matrix: the cells.
        shape: of one chip's weight as the layer sees it, (out, in) or (out, in, kernel height, kernel width).
    """

    matrix: Matrix
    _held: torch.Tensor
    _version_held: int
    _stamp: Stamp | None

    def __new__(cls, matrix: Matrix, shape: tuple[int, ...]) -> "ArrayWeight":
        """Read the cells out once."""
        stamp = matrix.stamp()
        data = matrix.readout().reshape(*matrix.chip.chip_shape, *shape).contiguous()
        weight = torch.Tensor._make_subclass(cls, data, True)
        weight.matrix = matrix
        weight._take(data, stamp)
        return weight

    def __init__(self, matrix: Matrix, shape: tuple[int, ...]) -> None:
        """All is done in `__new__`, as torch's own parameters do."""

    @property
    def is_stale(self) -> bool:
        """True if the cells may have changed since the readout that is held."""
        return self._stamp is None or self._stamp != self.matrix.stamp()

    def fresh(self) -> torch.Tensor:
        """The values `(*chips, *shape)` as a plain tensor without gradient, read out again if they are stale.

        For code that computes with them, such as a layer's backward pass. It is the held memory itself: not to be
        changed.

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
        """Hold the weight that a readout amounts to which was made elsewhere just now.

        Args:
            g: `(*chips, row lines, column lines)`, S, of all cells of the matrix.
        """
        with torch.no_grad():
            self.restore(self.matrix.logical(g))

    def restore(self, values: torch.Tensor, *, stale: bool = False) -> None:
        """Hold values that were read out of these very cells: for a saved network that is resumed.

        Args:
            values: `(*chips, *shape)`, any shape of as many numbers.
            stale: True if the cells had changed since that readout.
        """
        with _Plain(), torch.no_grad():
            data = values.detach().reshape(self.shape).to(device=self.device, dtype=self.dtype, copy=True).contiguous()
            # New memory, not a copy into the old: graphs of earlier forward passes keep the readout that they used.
            self.data = data
        self._take(data, None if stale else self.matrix.stamp())

    def last_readout(self) -> torch.Tensor:
        """A copy of the values that are held, stale or not, `(*chips, *shape)`; no cell is read."""
        return self._held.clone()

    def _take(self, data: torch.Tensor, stamp: Stamp | None) -> None:
        with _Plain(), torch.no_grad():
            # `detach` shares the version counter, so changes in place that nothing intercepted show there.
            self._held = self.detach()
        self._version_held = self._held._version
        self._stamp = stamp

    def _named(self) -> str:
        return f"the weight of {self.matrix.name!r} on the chip"

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        """Where it is and what it holds, in one line."""
        with _Plain():
            state = "stale" if self.is_stale else "read out"
            frozen = "" if self.requires_grad else ", frozen"
            place = f"{tuple(self.shape)} of {self.matrix.name!r}, {self.dtype}, {self.device}"
            return f"ArrayWeight({place}, {state}{frozen})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "ArrayWeight":
        """Refuse: a second network on the same cells is a mistake, and a copy of a chip is a new chip."""
        raise WeightOnChipError(
            f"{self._named()} cannot be copied: deploy the model again on another chip, or use `ohmweave.save`"
        )

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse: cells do not fit into a pickle."""
        raise WeightOnChipError(f"{self._named()} cannot be pickled: use `ohmweave.save(net, path)`")


def matrix_of(parameter: torch.Tensor) -> Matrix | None:
    """The cells behind a parameter, or None for a digital parameter."""
    return parameter.matrix if isinstance(parameter, ArrayWeight) else None


def _guarded_among(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[_Guarded]:
    found: list[_Guarded] = []
    for value in (*args, *kwargs.values()):
        if isinstance(value, _Guarded):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [item for item in value if isinstance(item, _Guarded)]
    return found


def _guard_view(out: torch.Tensor, guarded: list[_Guarded]) -> torch.Tensor:
    """`out`, guarded if it shows the memory of a weight."""
    for one in guarded:
        if shares_storage(out, one):
            kind = Readout if isinstance(one, Readout) else WeightView
            return out.as_subclass(kind)
    return out


def _name_of(func: Callable[..., Any]) -> str:
    name = func.__name__
    owner = func.__self__ if name in ("__get__", "__set__") else None  # type: ignore[attr-defined]
    return name if owner is None else f"{owner.__name__} ="
