"""The state of an array as one flat dictionary of tensors, composed of the states of its parts."""

from collections.abc import Mapping
from typing import Protocol

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.books.books import Books
from ohmweave.arrays.converters.columns import ColumnConverters
from ohmweave.base import NormalStream, OutOfRangeError, ShapeError, check_shape, check_tensor, shown


class Part(Protocol):
    """A part of an array with a state that is saved."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """A copy of the state, by name."""
        ...

    def check_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Raise unless `load_state_dict` can load `state`; changes nothing."""
        ...

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Load a state that `check_state_dict` accepts."""
        ...


class Streams:
    """Random streams by name, as a part."""

    def __init__(self, **streams: torch.Generator | NormalStream) -> None:
        self._streams = streams

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The state of each stream, on the CPU."""
        return {name: stream.get_state() for name, stream in self._streams.items()}

    def check_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Raise `OutOfRangeError` unless every stream is there, from the same kind of device."""
        check_names("random streams", state, self._streams)
        for name, stream in self._streams.items():
            own = stream.get_state()
            check_tensor(f"random.{name}", state[name])
            if (own.shape, own.dtype) != (state[name].shape, state[name].dtype):
                raise OutOfRangeError(
                    f"`state` must be from the same kind of device, but its random stream {name!r} is "
                    f"{tuple(state[name].shape)} {state[name].dtype}, not {tuple(own.shape)} {own.dtype}"
                )

            if isinstance(stream, torch.Generator):
                try:  # only torch knows which bytes are a state
                    torch.Generator(stream.device).set_state(state[name].cpu())
                except RuntimeError as error:
                    raise OutOfRangeError(
                        f"`state` must have states of streams, but that of {name!r}: {error}"
                    ) from None

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue the streams from these states."""
        for name, stream in self._streams.items():
            stream.set_state(state[name].cpu())


class BookTotals:
    """The totals of an array's books, as a part."""

    _NAMES = ("counts", "duration", "by_width")

    def __init__(self, books: Books) -> None:
        self._books = books

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Counts, duration and pulses by width; see `Books.state_dict`."""
        return {name.removeprefix("books."): leaf for name, leaf in self._books.state_dict().items()}

    def check_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Raise `OutOfRangeError` unless all totals are there."""
        check_names("totals of the books", state, self._NAMES)
        shapes: dict[str, tuple[int | None, ...]] = {"counts": (4,), "duration": (), "by_width": (None, 3)}
        for name, shape in shapes.items():
            leaf = check_tensor(f"books.{name}", state[name], dtype=torch.int64 if name == "counts" else torch.float64)
            if leaf.dim() != len(shape):
                raise ShapeError(f"`books.{name}` must have {len(shape)} dimensions, but has {tuple(leaf.shape)}")
            check_shape(f"books.{name}", leaf, shape)
        sign, width, number = state["by_width"].unbind(-1)
        right = (sign.abs() == 1) & (width > 0) & width.isfinite() & (number >= 0) & (number.trunc() == number)
        whole = [state["counts"] >= 0, (state["duration"] >= 0) & state["duration"].isfinite(), right]
        if not all(bool(one.all()) for one in whole) or not bool((number < 2**53).all()):
            raise OutOfRangeError("the totals of the books in `state` must be counts and durations >= 0, but are not")

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Replace the totals by these."""
        self._books.load_state_dict({f"books.{name}": leaf for name, leaf in state.items()})


def parts_of(bank: CellBank, books: Books, *, reads: NormalStream, columns: ColumnConverters | None) -> dict[str, Part]:
    """The parts of a simulated array with a state, by name: cells, random streams, books, converters if there are any.

    Args:
        bank: the cells.
        books: of the array.
        reads: the stream of read noise.
        columns: converters of the columns, or None.
    """
    random = Streams(pulses=bank.pulse_noise, time=bank.relaxation_noise, reads=reads)
    parts: dict[str, Part] = {"cells": bank, "random": random, "books": BookTotals(books)}
    return parts if columns is None else parts | {"converters": columns}


def collect(parts: Mapping[str, Part]) -> dict[str, torch.Tensor]:
    """The states of all parts under the names `"part.name"`."""
    return {f"{part}.{name}": leaf for part, of in parts.items() for name, leaf in of.state_dict().items()}


def distribute(parts: Mapping[str, Part], state: Mapping[str, torch.Tensor]) -> None:
    """Load the state of every part; on an error no part has changed.

    Raises:
        OutOfRangeError: a name is missing, or belongs to another kind of array.
        ShapeError: a tensor has another shape.
    """
    if not isinstance(state, Mapping):
        raise OutOfRangeError(f"`state` must be tensors by name, but is {shown(state)}")
    for name, leaf in state.items():
        if not isinstance(name, str):
            raise OutOfRangeError(f"`state` must be tensors by name, but has {shown(name)}")
        check_tensor(f"state[{name!r}]", leaf)
    if unknown := sorted({name.split(".")[0] for name in state} - set(parts)):
        raise OutOfRangeError(f"`state` must be that of an array with {sorted(parts)}, but also has {unknown}")
    by_part = {
        part: {name.removeprefix(f"{part}."): leaf for name, leaf in state.items() if name.startswith(f"{part}.")}
        for part in parts
    }
    for part, of in parts.items():  # all are checked before the first is loaded
        of.check_state_dict(by_part[part])
    for part, of in parts.items():
        of.load_state_dict(by_part[part])


def check_names(what: str, state: Mapping[str, torch.Tensor], names: Mapping[str, object] | tuple[str, ...]) -> None:
    """Raise `OutOfRangeError` unless `state` has exactly these `names`."""
    if set(state) != set(names):
        raise OutOfRangeError(f"the {what} in `state` must be {sorted(names)}, but are {sorted(state)}")
