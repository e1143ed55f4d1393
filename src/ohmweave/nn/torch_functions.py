"""Kinds of torch functions, by what they do with the values of their arguments."""

from collections.abc import Callable, Iterator
from types import MethodWrapperType
from typing import Any

import torch

_FACTS = frozenset(
    """
    size stride dim ndimension numel nelement element_size storage_offset is_contiguous is_floating_point
    is_complex is_signed is_conj is_neg is_inference is_shared is_pinned get_device __hash__ __len__
    register_hook register_post_accumulate_grad_hook retain_grad requires_grad_ zeros_like ones_like empty_like
    full_like rand_like randn_like randint_like new_zeros new_ones new_empty new_full new_tensor
    new_empty_strided __dir__ is_same_size has_names is_set_to dim_order can_cast result_type promote_types
    _has_compatible_shallow_copy_type
    """.split()  # noqa: SIM905 - forty names, one after the other
)
"""Methods and functions that read no value of a tensor."""

_VALUE_PROPERTIES = frozenset(
    """
    T mT H mH data real imag
    """.split()  # noqa: SIM905 - forty names, one after the other
)
"""Properties that read values; all others are facts."""

_SETTABLE = frozenset(
    """
    grad requires_grad _backward_hooks
    """.split()  # noqa: SIM905 - forty names, one after the other
)
"""Properties that may be set, because they are not values."""

_PRODUCTS = frozenset(
    """
    linear matmul __matmul__ __rmatmul__ mm bmm mv dot vdot inner outer ger kron einsum tensordot chain_matmul
    multi_dot addmm addmv addbmm baddbmm addr bilinear conv1d conv2d conv3d convolution conv_transpose1d
    conv_transpose2d conv_transpose3d conv_tbc embedding embedding_bag scaled_dot_product_attention
    multi_head_attention_forward cdist sspaddmm hspmm smm lstm lstm_cell gru gru_cell rnn_tanh rnn_relu
    rnn_tanh_cell rnn_relu_cell vecdot matrix_power _transformer_encoder_layer_fwd _native_multi_head_attention
    addmm_ addmv_ addbmm_ baddbmm_ addr_ _sparse_mm _sparse_addmm _trilinear cosine_similarity pairwise_distance
    _euclidean_dist int_mm _int_mm _scaled_mm _addmm_activation convolve _convolution conv_tbc solve lu_solve lstsq
    linear_cross_entropy
    """.split()  # noqa: SIM905 - forty names, one after the other
)
"""Functions that sum products of their arguments, as layers do with their weights."""

_ELEMENTWISE_PRODUCTS = frozenset(
    """
    mul multiply __mul__ __rmul__ div divide true_divide __truediv__ __rtruediv__ addcmul addcdiv mul_ multiply_
    div_ addcmul_ addcdiv_ __imul__ __itruediv__
    """.split()  # noqa: SIM905 - twenty names, one after the other
)
"""Functions that multiply number by number; with a sum behind them they are products."""

_COPIES = frozenset(
    """
    detach numpy tolist __dlpack__ untyped_storage storage _typed_storage __array__ cpu
    """.split()  # noqa: SIM905 - forty names, one after the other
)
"""Functions that return the values outside autograd, or outside torch."""

_OTHERS_IN_PLACE = frozenset(
    """
    __setitem__ share_memory_ set_ resize_ swap_tensors __ipow__ __setstate__ index_put_ copy_ norm_except_dim
    """.split()  # noqa: SIM905 - forty names, one after the other
)
"""Further names of functions that change a parameter; `norm_except_dim` is the first step of a weight norm."""


def is_fact(func: Callable[..., Any]) -> bool:
    """True if `func` neither reads nor changes values of its arguments."""
    if isinstance(func, MethodWrapperType):
        name = func.__name__
        if name == "__get__":
            return _property(func) not in _VALUE_PROPERTIES
        if name == "__set__":
            return _property(func) in _SETTABLE
    return func.__name__ in _FACTS


def is_copy(func: Callable[..., Any]) -> bool:
    """True if `func` returns the values of its first argument outside autograd."""
    if isinstance(func, MethodWrapperType):
        return func.__name__ == "__get__" and _property(func) == "data"
    return func.__name__ in _COPIES


def is_product(func: Callable[..., Any]) -> bool:
    """True if `func` sums products of its arguments."""
    return func.__name__.removeprefix("linalg_") in _PRODUCTS


def is_elementwise_product(func: Callable[..., Any]) -> bool:
    """True if `func` multiplies or divides its arguments number by number."""
    return func.__name__ in _ELEMENTWISE_PRODUCTS


def changed_in_place(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
    """The arguments whose memory `func` would change."""
    out = kwargs.get("out")
    yield from out if isinstance(out, list | tuple) else (out,)
    name = func.__name__
    inplace = kwargs.get("inplace") is True
    if _changes_first(name) or inplace or name == "__set__":
        first = args[0] if args else next(iter(kwargs.values()), None)
        yield from first if isinstance(first, list | tuple) else (first,)


def shares_storage(a: torch.Tensor, b: torch.Tensor) -> bool:
    """True if both show the same memory."""
    with torch._C.DisableTorchFunctionSubclass():
        strided = a.layout == torch.strided and b.layout == torch.strided
        return strided and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr() != 0


def tree_map(change: Callable[[torch.Tensor], Any], value: Any) -> Any:
    """`value` with `change` applied to every tensor in it, also in lists and tuples."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(tree_map(change, item) for item in value)
    if isinstance(value, tuple) and type(value).__module__ == "torch.return_types":  # of `max`, `sort`, `svd`, ...
        return type(value)([tree_map(change, item) for item in value])
    return value


def _property(func: Any) -> str:
    name: str = func.__self__.__name__
    return name


def _changes_first(name: str) -> bool:
    """True for the names that torch gives to changes in place: a trailing underscore, or an augmented assignment."""
    if name in _OTHERS_IN_PLACE or (name.endswith("_") and not name.endswith("__")):
        return True
    return name.startswith("__i") and name.endswith("__") and name not in ("__invert__", "__index__", "__int__")
