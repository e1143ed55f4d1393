"""Messages as bytes: numbers, text, lists and tensors, by msgpack. Nothing else is ever decoded.

A tensor is an extension type, by dtype: one byte for the number of dimensions, four for each of them, then the raw
numbers, all little-endian. msgpack is the extra `ohmweave[bench]`.
"""

import struct
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ohmweave.base import DataError

if TYPE_CHECKING:
    from types import ModuleType

_DTYPES: dict[torch.dtype, tuple[int, Any]] = {
    torch.float32: (1, np.dtype("<f4")),
    torch.float64: (2, np.dtype("<f8")),
    torch.int64: (3, np.dtype("<i8")),
    torch.int32: (4, np.dtype("<i4")),
    torch.int8: (5, np.dtype("<i1")),
    torch.bool: (6, np.dtype("?")),
}
_CODES = {code: dtype for dtype, (code, _) in _DTYPES.items()}
_ARRAYS = {kind.newbyteorder("="): code for code, kind in _DTYPES.values()}
_TENSORS = (torch.Tensor, np.ndarray)
MAX_DIMS = 8
MAX_DEPTH = 8
LARGE = 4096
"""Bytes of a tensor from which on its numbers are not copied."""


class FrameError(DataError):
    """Bytes are no message of ours."""


def _msgpack() -> "ModuleType":
    try:
        import msgpack
    except ImportError:
        raise DataError("logs and remote arrays need msgpack: pip install 'ohmweave[bench]'") from None
    module: ModuleType = msgpack
    return module


def packed(message: Any) -> bytes:
    """A message as bytes.

    Args:
        message: None, bool, int of 64 bits, float, str, bytes, tensors or
            arrays, and lists and dictionaries of these.

    Raises:
        TypeError: it holds something else, or a tensor of another dtype.
    """
    packer, _ = _tools()
    found: bytes = packer.pack(message)
    return found


def packed_parts(message: list[Any]) -> list[bytes | memoryview]:
    """A message that is a list, as the parts of its bytes: the numbers of its large tensors are not copied.

    Args:
        message: as in `packed`. Its tensors must not change while the parts are in use.

    Raises:
        TypeError: as `packed`.
    """
    packer, _ = _tools()
    large = [at for at, value in enumerate(message) if isinstance(value, _TENSORS) and value.nbytes >= LARGE]
    if not large:
        return [packer.pack(message)]
    n = len(message)
    head = bytes([0x90 | n]) if n < 16 else b"\xdc" + struct.pack(">H", n)
    parts: list[bytes | memoryview] = []
    for at, value in enumerate(message):
        if at not in large:
            head += packer.pack(value)
            continue
        numbers = _numbers(value)
        code, sizes = _described(numbers)
        # "ext 32" of msgpack: its length, its type, then the bytes.
        parts += [
            head + b"\xc9" + struct.pack(">IB", len(sizes) + numbers.nbytes, code) + sizes,
            _bytes_of(numbers),
        ]
        head = b""
    return [*parts, head] if head else parts


def _bytes_of(numbers: Any) -> memoryview:
    """The bytes of an array, in the order of its indices; a copy only of a strided one."""
    contiguous: Any = np.ascontiguousarray(numbers)
    return memoryview(contiguous).cast("B")


@cache
def _tools() -> tuple[Any, Any]:
    """A packer, which is kept from message to message, and the type of extensions."""
    msgpack = _msgpack()
    return msgpack.Packer(default=_extension, use_bin_type=True), msgpack.ExtType


def _extension(value: Any) -> Any:
    if not isinstance(value, _TENSORS):
        raise TypeError(f"a message must hold numbers, text, lists and tensors, but holds a {type(value).__name__}")
    numbers = _numbers(value)
    code, sizes = _described(numbers)
    return _tools()[1](code, sizes + numbers.tobytes())


def _numbers(value: Any) -> Any:
    """The numbers of a tensor or array, little-endian."""
    found = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    if sys.byteorder == "big" and found.dtype in _ARRAYS:
        found = found.astype(_DTYPES[_CODES[_ARRAYS[found.dtype]]][1])
    return found


def _described(numbers: Any) -> tuple[int, bytes]:
    """The type of an extension, and the first of its bytes, which hold the shape."""
    known = _ARRAYS.get(numbers.dtype if sys.byteorder == "little" else numbers.dtype.newbyteorder("="))
    if known is None or numbers.ndim > MAX_DIMS:
        raise TypeError(f"a tensor of a message must be one of {sorted(map(str, _DTYPES))}, but is {numbers.dtype}")
    return known, struct.pack(f"<B{numbers.ndim}I", numbers.ndim, *numbers.shape)


def unpacked(data: bytes) -> Any:
    """The message of `data`.

    Raises:
        FrameError: the bytes are no message; nothing of them has been executed or kept.
    """
    msgpack, size = _msgpack(), len(data)
    try:
        message = msgpack.unpackb(
            data,
            ext_hook=_tensor,
            raw=False,
            strict_map_key=True,
            timestamp=0,
            max_bin_len=size,
            max_str_len=size,
            max_ext_len=size,
            max_array_len=size,
            max_map_len=size,
        )
    except FrameError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise FrameError(f"not a message: {type(error).__name__}: {error}") from None
    _check_types(message, MAX_DEPTH)
    return message


def _check_types(value: Any, depth: int) -> None:
    """Raise `FrameError` for a value of a type that no message of ours has, such as msgpack's time stamps."""
    if value is None or isinstance(value, bool | int | float | str | bytes | torch.Tensor):
        return
    if depth == 0 or not isinstance(value, list | dict):
        raise FrameError(f"not a message: it holds a {type(value).__name__}, or lists in lists too deep")
    for one in [*value, *value.values()] if isinstance(value, dict) else value:
        _check_types(one, depth - 1)


def _tensor(code: int, data: bytes) -> torch.Tensor:
    dtype = _CODES.get(code)
    n_dims = data[0] if data else MAX_DIMS + 1
    if dtype is None or n_dims > MAX_DIMS or len(data) < 1 + 4 * n_dims:
        raise FrameError(f"not a tensor: extension type {code} of {len(data)} bytes")
    shape = struct.unpack_from(f"<{n_dims}I", data, 1)
    kind, first = _DTYPES[dtype][1], 1 + 4 * n_dims
    n = 1
    for length in shape:
        n *= length
    if n * kind.itemsize != len(data) - first:
        raise FrameError(f"not a tensor: {len(data) - first} bytes for the shape {shape} of {dtype}")
    numbers = np.frombuffer(data, dtype=kind, offset=first)
    if dtype is torch.bool and len(numbers) and int(numbers.view(np.uint8).max()) > 1:
        raise FrameError("not a tensor: truth values other than 0 and 1")
    return torch.from_numpy(numbers.astype(kind.newbyteorder("="))).view(shape)
