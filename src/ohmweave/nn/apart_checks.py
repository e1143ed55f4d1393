"""The checks of a deployed network on several chips, made once for each kind of call and state of the model."""

from typing import Any

import torch

from ohmweave.base import ChipsMixedError, ShapeError
from ohmweave.nn.chip_arguments import ALL_READINGS, N_READINGS, ChipArguments
from ohmweave.nn.chip_batch import in_software, repeating_masks
from ohmweave.nn.chip_recurrent import is_sequence_first
from ohmweave.nn.chips_alone import compare_with_each_chip, cut_of_outputs
from ohmweave.nn.chips_apart import Apart, Cut, check_apart
from ohmweave.nn.chips_behind import Call, chips_behind, find_behind
from ohmweave.nn.composite import SequenceLayer
from ohmweave.nn.model_state import state_of
from ohmweave.nn.undisturbed import undisturbed


def _run_quietly(model: torch.nn.Module, x: torch.Tensor, call: Call, *, alone: int | None) -> None:
    """Run the model in software and leave its state as it was."""
    args, kwargs = call
    with torch.no_grad(), undisturbed(model, x), in_software(alone=alone):
        model(*args, **kwargs)


class ApartChecks:
    """What is known of how a model keeps the chips apart.

    Args:
        n_chips: number of chips.
    """

    def __init__(self, n_chips: int) -> None:
        self._n_chips = n_chips
        self._known: dict[Any, Apart] = {}
        self._sizes: set[tuple[Any, int]] = set()
        self._counted: set[tuple[torch.nn.Module, str]] = set()

    def arguments(self, model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ChipArguments:
        """The arguments of a call, with the shapes of reading 0.

        Raises:
            ShapeError: there is no input.
        """
        plain = len(args) == 1 and not kwargs
        recurrent = not plain and any(isinstance(one, SequenceLayer | torch.nn.RNNBase) for one in model.modules())
        return ChipArguments(args, kwargs, self._n_chips, recurrent=recurrent)

    def check(self, model: torch.nn.Module, arguments: ChipArguments, *, again: bool = False) -> Apart:
        """How the model keeps the chips apart; the checks are made if the state or the kind of arguments is new.

        Args:
            model: with layers on chips.
            arguments: of the call.
            again: True makes the checks in any case.

        Raises:
            ChipsMixedError: as `check_apart` and `compare_with_each_chip`.
            ShapeError: the shape of a further tensor is ambiguous.
        """
        if not arguments.x.numel():
            return Apart()
        key = (state_of(model, self._counted), arguments.kinds)
        size = arguments.x.shape[0]
        apart = None if again else self._known.get(key)
        if apart is not None and (key, size) in self._sizes:
            return apart
        before = len(self._counted)
        if apart is None:
            apart = self._first(model, arguments)
        else:  # another number of samples: what may have changed is how the model computes with it
            with chips_behind(apart.behind, apart.n_repeats):
                compared = compare_with_each_chip(model, arguments.read_as(apart.reading), apart.one_by_one)
            self._counted |= compared.counted
        if len(self._counted) > before:
            key = (state_of(model, self._counted), arguments.kinds)
        self._known[key] = apart
        self._sizes.add((key, size))
        return apart

    def _first(self, model: torch.nn.Module, arguments: ChipArguments) -> Apart:
        """The checks, with the first reading of the shapes with which the model runs."""
        readings = range(N_READINGS if arguments.has_more else 1)
        refused: ChipsMixedError | None = None
        for reading in readings:
            read = arguments.read_as(reading)
            if read.problem:
                continue
            try:
                apart = self._read(model, read)
            except ChipsMixedError as error:
                refused = refused or error
                continue
            if apart.cut is not None:
                return apart._replace(reading=reading)
        behind = self._with_chips_behind(model, arguments)
        if behind is not None:
            return behind
        if refused is not None:
            raise refused
        if arguments.problem:
            raise ShapeError(arguments.problem)
        self._refuse_merged(model, arguments)
        return Apart()  # the call with the array raises the model's own error

    def _refuse_merged(self, model: torch.nn.Module, arguments: ChipArguments) -> None:
        """Raise if the model runs with one chip alone: its own error would be of sizes with the chips in them."""
        try:
            _run_quietly(model, arguments.x, arguments.as_on_one_chip(), alone=0)
        except Exception:  # noqa: BLE001 - the call raises it again
            return
        try:
            _run_quietly(model, arguments.x, arguments.with_input(arguments.x.detach()), alone=None)
        except Exception as error:
            raise ShapeError(
                f"the model runs with one chip, but not with the {self._n_chips} chips merged into its batch "
                f"({type(error).__name__}: {error}): let the batch be the first dimension of inputs and masks, or the "
                "second one of those that begin with the time, give `ohmweave.nn.Shared(tensor)` for a tensor without "
                "a batch, or deploy on one chip at a time, without `n_chips`"
            ) from error

    def _with_chips_behind(self, model: torch.nn.Module, arguments: ChipArguments) -> Apart | None:
        """The checks with the chips merged into the second dimension of the input; None if that is not right either."""
        n = self._n_chips
        for reading in range(N_READINGS, ALL_READINGS) if arguments.may_begin_with_time else ():
            read = arguments.read_as(reading)
            x = read.x.detach()
            if read.problem:
                continue
            try:
                with repeating_masks(n):
                    behind = find_behind(model, x, n, (read.with_input(x), read.alone(x, 0)))
                with chips_behind(behind, n):
                    apart = self._read(model, read)
            except Exception:  # noqa: BLE001 - what the other readings have raised is said
                continue
            if apart.cut is not None:
                return apart._replace(reading=reading, behind=behind, n_repeats=n)
        return None

    def _read(self, model: torch.nn.Module, arguments: ChipArguments) -> Apart:
        """The checks with one reading of the shapes; `cut` is None if the model does not run with it."""

        def run(inputs: torch.Tensor) -> Any:
            args, kwargs = arguments.with_input(inputs)
            return model(*args, **kwargs)

        x = arguments.x.detach()
        begin = tuple(one for one in model.modules() if is_sequence_first(one)) if arguments.has_more else ()
        apart = check_apart(model, x, self._n_chips, run)
        if apart.cut is None and begin:
            # A recurrent state with the chips before the layers runs only where the input is cut into chips as well.
            apart = check_apart(model, x, self._n_chips, run, begin)
        if apart.cut is None or (self._n_chips == 1 and not arguments.has_more):
            return apart
        try:
            return self._compared(model, arguments, apart)
        except ChipsMixedError:
            # Keys that are a further tensor do not show that the input is cut into chips before the time.
            apart = check_apart(model, x, self._n_chips, run, begin) if begin else Apart()
            if apart.cut is None:
                raise
        return self._compared(model, arguments, apart)

    def _compared(self, model: torch.nn.Module, arguments: ChipArguments, apart: Apart) -> Apart:
        """`apart`, with the dimensions that the comparison of each chip with that chip alone finds."""
        compared = compare_with_each_chip(model, arguments, apart.one_by_one)
        self._counted |= compared.counted
        if self._n_chips == 1:
            cut = cut_of_outputs(model, arguments, apart.one_by_one)
            return apart if cut is None else apart._replace(cut=_filled(apart.cut, cut))
        own_cut = self._n_chips > 1 and compared.cut is not None
        return apart._replace(cut=compared.cut) if own_cut else apart


def _filled(cut: Cut | None, further: Cut) -> Cut:
    """`cut`, with the dimensions of `further` for outputs that do not depend on the input."""
    if cut is None or len(cut) != len(further):
        return further
    return tuple(other if one is None else one for one, other in zip(cut, further, strict=True))
