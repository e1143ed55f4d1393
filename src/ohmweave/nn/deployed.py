"""`Deployed`: a torch model whose layers are on a chip."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ohmweave.base import OhmweaveError, OutOfRangeError, ShapeError, WeightOnChipError
from ohmweave.mapping import Chip, Matrix
from ohmweave.nn.apart_checks import ApartChecks
from ohmweave.nn.chip_arguments import split_outputs, without_shared
from ohmweave.nn.chip_batch import forward_pass
from ohmweave.nn.chip_layer import check_stays
from ohmweave.nn.chip_recurrent import chip_by_chip
from ohmweave.nn.chips_apart import Apart
from ohmweave.nn.chips_behind import chips_behind
from ohmweave.nn.generation import Generation, refuse_caches
from ohmweave.nn.image_layout import ImageLayout
from ohmweave.nn.nests import tree_leaves
from ohmweave.nn.printout import printout
from ohmweave.nn.weight import ArrayWeight, Mixed, matrix_of
from ohmweave.programming import WriteReport


class Deployed(torch.nn.Module):
    """A model whose layers are on a chip: input `(batch, ...)`, output `(*chips, batch, ...)`.

    Attributes of the model (`net.fc`) can be read and set as attributes of this module. Each chip has its own cells
    and biases of layers on the chip. Digital parts (batch norm, layers that stay digital) are shared by all chips.

    Attributes:
        chip: the chip.
        reports: the report of writing, by layer.
        on_chip: names of the layers on the chip.
        digital: names of the layers with parameters, and of parameters, that stayed digital.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        chip: Chip,
        reports: Mapping[str, WriteReport],
        on_chip: Sequence[str],
        digital: Sequence[str],
    ) -> None:
        super().__init__()
        self.chip = chip
        self.reports = dict(reports)
        self.on_chip = tuple(on_chip)
        self.digital = tuple(digital)
        self._checks = ApartChecks(chip.chip_shape[0]) if chip.chip_shape else None
        self._apart, self._layout = Apart(), ImageLayout()
        self._watched: set[bool] = set()
        self.training = model.training
        self.model = model  # last, because `__setattr__` sets attributes of the model from now on

    def __getattr__(self, name: str) -> Any:
        """Names that this module does not have are looked up in the model."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            found = getattr(super().__getattr__("model"), name)
        chips = self.__dict__["chip"].chip_shape if name == "generate" else ()
        return Generation(self, found, chips[0]) if chips else found

    def __setattr__(self, name: str, value: Any) -> None:
        """Attributes that the model has are set in the model."""
        model = self.__dict__.get("_modules", {}).get("model")
        own = name in self.__dict__ or name in self._modules if model is not None else True
        if not own and model is not None and _has(model, name):
            setattr(model, name, value)
        else:
            super().__setattr__(name, value)

    def __getitem__(self, index: Any) -> Any:
        """`model[index]`, of a model that is a `Sequential` or another container."""
        container: Any = self.model
        return container[index]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model on all chips.

        Args:
            *args: arguments of the model, also tuples, dictionaries and dataclasses of tensors. With several chips the
                first tensor of all arguments, the input, must be `(batch, ...)`, or one sample without a batch where
                the model takes that; it is the same for all chips. A further tensor is `(batch, ...)`, the same for all
                chips, or `(*chips, batch, ...)`, such as a state that the network has returned. A recurrent state may
                be `(layers, batch, ...)` or `(*chips, layers, batch, ...)`. With no such shape a tensor has no batch,
                and is the same for all chips and samples (`Shared` says so where the shape does not).
            **kwargs: likewise; the input may be one of them.

        Returns:
            `(*chips, batch, ...)`, or a nest of such tensors if the model returns one. Tensors that do not depend on
            the input, such as a buffer, are returned as they are.

        Raises:
            ChipsMixedError: see `check_chips_apart`.
            ShapeError: there is no input, or the shape of a further tensor is ambiguous.
            WeightOnChipError: the model computes a product with a weight past the array.
            OutOfRangeError: a digital layer has another dtype than the chip, or with several chips an argument is a
                cache of keys and values.

        Warns:
            RuntimeWarning: in the first pass of each mode (training or evaluation), a layer on the chip is not called.
        """
        if not torch.compiler.is_compiling() and torch._C._get_tracing_state() is not None:
            raise WeightOnChipError("a deployed network must not be traced by torch.jit: trace the model itself")
        chips = self.chip.chip_shape
        chosen = len(args) != 1 or bool(kwargs)
        args, kwargs = self._merged(args, kwargs)
        if not torch.compiler.is_compiling():
            self._layout.choose(self.model, args, kwargs)
        with forward_pass() as called:
            try:
                with (
                    chip_by_chip(self._apart.one_by_one, chips[0] if chips else 1),
                    chips_behind(self._apart.behind, self._apart.n_repeats),
                ):
                    y = self.model(*args, **kwargs)
            except RuntimeError as error:
                _check_dtypes(self.model, self.digital, self.chip, error)
                raise
        if not torch.compiler.is_compiling():
            self._check_pass(y, called, chosen=chosen)
        return split_outputs(y, chips, self._apart.cut) if chips else y

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _merged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with the chips merged into the batch, after the check that the chips stay apart."""
        if self._checks is None:
            return without_shared(args, kwargs)
        if len(args) != 1 or kwargs:
            refuse_caches(args, kwargs)
        self._apart = Apart()
        arguments = self._checks.arguments(self.model, args, kwargs)
        self._apart = self._checks.check(self.model, arguments)
        return arguments.read_as(self._apart.reading).call

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def check_chips_apart(self, *args: Any, **kwargs: Any) -> None:
        """Raise if outputs of one chip depend on another chip: on its inputs, or on its being there.

        `forward` makes these checks once for each kind of arguments and state of the model: modules, training flags,
        and other attributes that are flags, numbers, text or functions. The model runs about six times in software,
        without reads, to find inputs of other chips, and about twice to compare each chip with that chip alone. The
        comparison is repeated for each new batch size. With fewer than two chips nothing is checked but the shapes of
        further tensors.

        Args:
            *args: arguments of the model, as in `forward`.
            **kwargs: likewise.

        Raises:
            ChipsMixedError: the message names the first module that mixes chips.
            ShapeError: as `forward`.
        """
        if self._checks is not None:
            arguments = self._checks.arguments(self.model, args, kwargs)
            self._checks.check(self.model, arguments, again=True)

    def _check_pass(self, y: Any, called: set[Any], *, chosen: bool) -> None:
        """Raise or warn if the pass has computed past the array; `chosen`: further arguments may choose the layers."""
        if any(isinstance(one, Mixed) for one in ((y,) if isinstance(y, torch.Tensor) else tree_leaves(y))):
            raise WeightOnChipError(
                "an output of the model was computed by an elementwise product with a weight on the chip, past the "
                "array: a forward pass must call the layer"
            )
        if self.training not in self._watched and not chosen:
            self._watched.add(self.training)
            idle = [name for name, weight in self.weights.items() if weight.matrix not in called]
            if idle:
                warnings.warn(
                    f"the layers {idle} on the chip were not read in the first forward pass: the model does not use "
                    "them in this mode, or it computes with their weights past the chip",
                    RuntimeWarning,
                    stacklevel=3,
                )

    def loss(
        self,
        fn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        output: torch.Tensor,
        target: torch.Tensor,
        *,
        per_chip: bool | None = None,
    ) -> torch.Tensor:
        """The sum over chips of the loss of each chip, so that each chip learns as a single chip would.

        `fn` is called for one chip at a time. Its reduction ("mean" or "sum") is over the batch of one chip; losses of
        chips are always summed. The gradient of a chip's weights then does not depend on the number of chips.

        Args:
            fn: loss function of an output `(batch, ...)` and a target, as in `torch.nn.functional`.
            output: `(*chips, batch, ...)`, as the network returns it.
            target: `(batch, ...)`, the same for all chips, or `(*chips, batch, ...)`.
            per_chip: True if `target` has the chips first; None decides by the shapes.

        Returns:
            The loss, in the shape that `fn` returns.

        Raises:
            ShapeError: `output` or `target` has neither shape.
            OutOfRangeError: the shape of `target` fits both and `per_chip` is None.
        """
        chips = self.chip.chip_shape
        if not chips:
            return fn(output, target)
        if output.dim() < 2 or output.shape[:1] != chips:
            raise ShapeError(f"`output` must have the shape ({chips[0]} chips, batch, ...), but has {(*output.shape,)}")
        if per_chip is None:
            per_chip = _target_has_chips(target, chips[0], output.shape[1])
        targets = target if per_chip else [target] * chips[0]
        # A loop over chips, because `fn` may be any function of one batch.
        return torch.stack([fn(one, goal) for one, goal in zip(output, targets, strict=True)]).sum(0)

    def chip_parameters(self) -> list[ArrayWeight]:
        """The weights on the chip, each once, for a rule of `ohmweave.optim`."""
        return list(dict.fromkeys(one for one in self.model.parameters() if isinstance(one, ArrayWeight)))

    def digital_parameters(self) -> list[torch.nn.Parameter]:
        """All other parameters, including biases of layers on the chip, for an optimizer of torch."""
        return [one for one in self.model.parameters() if not isinstance(one, ArrayWeight)]

    def matrix(self, name: str) -> Matrix:
        """The matrix of the layer `name`, whose shape is (out, in).

        Raises:
            OutOfRangeError: no layer of that name is on the chip.
        """
        found = matrix_of(self.weights[name]) if name in self.on_chip else None
        if found is None:
            raise OutOfRangeError(f"`name` must be one of {list(self.on_chip)}, but is {name!r}")
        return found

    @property
    def weights(self) -> dict[str, ArrayWeight]:
        """The weights on the chip, `(*chips, ...)` in the shapes of the layers, by name of the layer."""
        found = {name: self.model.get_submodule(name).weight for name in self.on_chip}
        return {name: weight for name, weight in found.items() if isinstance(weight, ArrayWeight)}

    def refresh(self) -> None:
        """Read all weights out again now. Without it, a stale weight is read out when it is next used."""
        for weight in self.weights.values():
            weight.refresh()

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Raise, because it would change no cell."""
        raise WeightOnChipError(
            "weights on a chip cannot be loaded by load_state_dict, which changes no cell: use `ohmweave.load(net, "
            "path)` for a file of `ohmweave.save`, or load into the model and deploy it again"
        )

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "Deployed":
        for weight in self.chip_parameters():  # first, so that an error leaves digital parts as they are
            check_stays(fn, weight, f"the layer {weight.matrix.name!r}")
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __prepare_scriptable__(self) -> Any:
        """`torch.jit.script` calls this first."""
        raise WeightOnChipError("a deployed network cannot be scripted: script the model before it is deployed")

    def __deepcopy__(self, memo: dict[int, Any]) -> "Deployed":
        """Raise: two networks on the same cells would overwrite each other."""
        raise WeightOnChipError("a deployed network cannot be copied: deploy the model again, or use `ohmweave.save`")

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Raise. `pickle`, `torch.save` and `copy.copy` call this."""
        raise WeightOnChipError("a deployed network cannot be pickled: use `ohmweave.save(net, path)`")

    def __repr__(self) -> str:
        """The chip, a line for each layer on it with its cells, and what is digital; cells are those of one chip."""
        matrices = {name: self.matrix(name) for name in self.on_chip}
        return printout(self.model, self.chip, matrices, self.reports, self.digital)


def _check_dtypes(model: torch.nn.Module, digital: Sequence[str], chip: Chip, error: RuntimeError) -> None:
    """Explain an error of torch by digital layers of another dtype than that of the chip, if there are any."""
    if isinstance(error, OhmweaveError):
        return
    wanted = chip.array.dtype
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters())
    for name in digital:
        own = modules[name].parameters(recurse=False) if name in modules else [parameters[name]]
        for tensor in own:
            if tensor.is_floating_point() and tensor.dtype != wanted:
                raise OutOfRangeError(
                    f"the digital layer {name!r} has {tensor.dtype}, but the chip computes in {wanted}: convert the "
                    f"model with `model.to({wanted})` before it is deployed, or make the chip with "
                    f"`dtype={tensor.dtype}` (torch: {error})"
                ) from error


def _has(model: torch.nn.Module, name: str) -> bool:
    parts = (model.__dict__, model._modules, model._parameters, model._buffers)
    return name != "training" and any(name in part for part in parts)


def _target_has_chips(target: torch.Tensor, n_chips: int, batch: int) -> bool:
    alone = target.dim() > 0 and target.shape[0] == batch
    with_chips = target.dim() > 1 and tuple(target.shape[:2]) == (n_chips, batch)
    if alone and with_chips:
        raise OutOfRangeError(
            f"`per_chip` must be given, because `target` {tuple(target.shape)} may have {n_chips} chips first or not"
        )
    if not alone and not with_chips:
        raise ShapeError(
            f"`target` must have the shape ({batch}, ...) or ({n_chips}, {batch}, ...), but has {tuple(target.shape)}"
        )
    return with_chips
