"""Training in software for a later chip: quantised weights and write errors in the forward pass of any torch loop."""

import copy
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_kind, check_non_negative
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling, StagedMapping, WeightMapping
from ohmweave.nn.as_known import AsKnown, equals_of
from ohmweave.nn.composite import apart_in_place, composites_of
from ohmweave.nn.layer_registry import ToChip, to_chip
from ohmweave.nn.on_chip import OnChip


class _Aware(NamedTuple):
    """A layer that would go on a chip; `entry` is None for a subclass of `Linear` or `Conv2d`."""

    name: str
    layer: Any
    entry: ToChip | None
    mapping: WeightMapping


def _matched(digital: Sequence[str], layers: Sequence[str], parameters: Sequence[str]) -> tuple[str, ...]:
    """The layers and parameters that the names and patterns of `digital` match, each once, as in `deploy`."""
    kept: list[str] = []
    for name in digital:
        found = fnmatch.filter([*layers, *parameters], name)
        if not found:
            raise OutOfRangeError(f"`digital` must name layers or parameters of the model, {layers}, but has {name!r}")
        kept += found
    return tuple(dict.fromkeys(kept))


class NoiseAware(torch.nn.Module):
    """A model that trains with the weights that it would have on a chip.

    Each forward pass in training mode rounds the weights of all layers that `deploy` would put on a chip as `mapping`
    does and adds a new Gaussian error to every weight. The backward pass ignores both (straight-through gradients). In
    evaluation mode the model is unchanged. `net = NoiseAware(model, ...)` replaces the model in a training loop;
    afterwards deploy `net.model` with the same `mapping`, `layers` and `digital`.

    Recurrent layers and attention are computed as on a chip, step by step, each of their matrices with errors.

    Args:
        model: trained in place; this module has the same parameters.
        chip: gives the conductance window. Nothing is placed on it or read.
        mapping: weights to conductances; None is an analogue differential pair.
        sigma: S, >= 0, standard deviation of a cell's conductance around its target after a write.
        input_bits: bits of the magnitude of every layer's input and recurrent state; full scale is the largest
            magnitude in the batch. None leaves the inputs as they are. Bilinear layers and embeddings are left, too.
        input_range: "batch", or "learnt": the full scale of each layer's inputs is a parameter of this module, which
            starts at the largest magnitude of the first batch and is trained with the weights (give the optimizer
            `net.parameters()`); larger inputs are clipped. Deploy with `layers=net.layers_for_chip()`. Needs
            `input_bits`.
        generator: of the errors, on the device of the model.
        renew: forward passes between two choices of a layer's scale, >= 1. `clip="mse"` searches for the scale, which
            is slow.
        layers, digital: as in `deploy`; of a layer's `OnChip` the mapping is used.
        as_known: as in `deploy`: by class, a function of a module that returns an equal linear layer or convolution, or
            the class `Linear` or `Conv2d` for a subclass of it, which is taken as one without this as well. The errors
            are those of the equal module, the gradients of parameters those of the module itself.

    Raises:
        OutOfRangeError: an argument is out of range.
        TypeError: an argument is of another class.

    Source: noise in the forward pass as in V. Joshi et al., Nat. Commun. 11, 2473 (2020); straight-through gradients
    as in Y. Bengio et al., arXiv:1308.3432 (2013); the gradient of a learnt range as in S. K. Esser et al., "Learned
    step size quantization" (2020), without their scale of the gradient.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        chip: Chip,
        *,
        generator: torch.Generator,
        mapping: WeightMapping | None = None,
        sigma: float = 0.0,
        input_bits: int | None = None,
        input_range: Literal["batch", "learnt"] = "batch",
        renew: int = 20,
        layers: Mapping[str, OnChip] | None = None,
        digital: Sequence[str] = (),
        as_known: AsKnown | None = None,
    ) -> None:
        check_non_negative("sigma", sigma, "S")
        check_integer("renew", renew, at_least=1)
        if input_bits is not None:
            check_integer("input_bits", input_bits, at_least=1)
        check_kind("model", model, torch.nn.Module)
        check_kind("chip", chip, Chip)
        check_kind("generator", generator, torch.Generator)
        if mapping is not None:
            check_kind("mapping", mapping, WeightMapping)
        for name, how in (layers or {}).items():
            check_kind(f"layers[{name!r}]", how, OnChip)
        super().__init__()
        self.model = model
        self.sigma, self.input_bits, self.renew = sigma, input_bits, renew
        self.mapping = mapping or DifferentialPair()
        self.layers, self.digital = dict(layers or {}), tuple(digital)
        self._equals = equals_of(model, as_known or {})
        self._check_names()
        self._array = chip.array
        self._generator = generator
        self._n_passes = 0
        self._g_per_w: dict[str, float] = {}
        self.x_max = torch.nn.ParameterDict()
        if input_range not in ("batch", "learnt"):
            raise OutOfRangeError(f"`input_range` must be 'batch' or 'learnt', but is {input_range!r}")
        if input_range == "learnt":
            if input_bits is None:
                raise OutOfRangeError("`input_bits` must be given with `input_range='learnt'`, but is None")
            with self._apart() as twin:
                self.x_max.update({_key(name): _full_scale(layer) for name, layer in self._rounded(twin)})

    def layers_for_chip(self) -> dict[str, OnChip]:
        """`layers` for `deploy`: those given, with the learnt input range of each layer as its `FixedScaling`.

        A layer that was not called in training has no range yet, and stays as it was given.
        """
        with self._apart() as twin:
            names = [name for name, _ in self._rounded(twin) if _key(name) in self.x_max]
        learnt = {name: abs(float(self.x_max[_key(name)].detach())) for name in names}
        scaled = {
            name: replace(_how(self.layers, name) or OnChip(), scaling=FixedScaling(x_max))
            for name, x_max in learnt.items()
            if x_max > 0
        }
        return self.layers | scaled

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The model on its own arguments: with perturbed weights in training mode, unchanged in evaluation mode."""
        if not self.training:
            clean: torch.Tensor = self.model(*args, **kwargs)
            return clean
        if self._n_passes % self.renew == 0:
            self._g_per_w.clear()
        self._n_passes += 1
        with self._apart() as model, self._rounded_inputs(model), self._as_equals(model):
            y: torch.Tensor = torch.func.functional_call(model, self._perturbed(model), args, kwargs)
        return y

    def perturbed(self) -> dict[str, torch.Tensor]:
        """The weights of one forward pass by parameter name, in the shapes of the model's, to which gradients flow.

        The names of matrices of recurrent layers and attention end in `.weight`, as in `lstm.weight_ih_l0.weight`.
        Layers of `as_known` are not among them, because their weights are those of other modules.
        """
        with self._apart() as model:
            return self._perturbed(model)

    def _check_names(self) -> None:
        with self._apart() as model:
            names = [name for name, _ in model.named_modules() if name]
        self.digital = _matched(self.digital, names, [name for name, _ in self.model.named_parameters()])
        for name in self.layers:
            if name not in names:
                raise OutOfRangeError(f"`layers` must name layers of the model, {names}, but has {name!r}")

    @contextmanager
    def _apart(self) -> Iterator[torch.nn.Module]:
        """The model with its recurrent layers and attention in matrices, within this block."""
        with apart_in_place(self.model, composites_of(self.model, self.digital)) as model:
            yield model

    def _perturbed(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        for one in self._layers(model):
            if one.entry is None:
                found |= _by_parameter(one, {"weight": self._perturb(one, one.layer.weight)})
            else:
                found |= _by_parameter(one, self._perturb_entry(one, one.entry))
        return found

    def _layers(self, model: torch.nn.Module) -> Iterator[_Aware]:
        for name, layer in model.named_modules():
            if any(name == skip or name.startswith(skip + ".") for skip in self.digital):
                continue
            how, entry = _how(self.layers, name), to_chip(layer)
            mapping = self.mapping if how is None or how.mapping is None else how.mapping
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                yield _Aware(name, layer, None, mapping)
            elif entry is not None and (entry.unasked or name in self.layers) and entry.refuse(layer) is None:
                yield _Aware(name, layer, entry, mapping)

    def _perturb_entry(self, one: _Aware, entry: ToChip) -> dict[str, torch.Tensor]:
        """The weights of a layer whose matrix is made from its parameters by `entry.weight`."""
        own = {name: one.layer._parameters[name] for name in entry.parameters if name.startswith("weight")}
        loose = {name: weight.detach().requires_grad_() for name, weight in own.items()}
        like = copy.copy(one.layer)
        like.__dict__["_parameters"] = one.layer._parameters | loose
        with torch.enable_grad():
            joint = entry.weight(like)
        change = self._perturb(one, joint.detach()) - joint.detach()
        # `entry.weight` only arranges the numbers, so the transposed map puts each change back to where it came from.
        changes = torch.autograd.grad(joint, list(loose.values()), change)
        return {name: own[name] + part for name, part in zip(own, changes, strict=True)}

    def _perturb(self, one: _Aware, weight: torch.Tensor) -> torch.Tensor:
        """`weight` `(out, in, ...)` as read back from cells, with the gradient of `weight`."""
        w, mapping = weight.detach().flatten(1), one.mapping
        if one.name not in self._g_per_w:
            self._g_per_w[one.name] = mapping.g_per_w(w, self._array)
        g_per_w = self._g_per_w[one.name]
        if isinstance(mapping, DifferentialPair):
            low, high = mapping.window(self._array)
            # The largest weight that a pair can hold: one cell at g_max, the other at g_min.
            target = mapping.rounded(w, (high - low) / g_per_w)
        else:
            target = mapping.quantise(w, self._array)
        if self.sigma:
            error = torch.empty_like(target).normal_(generator=self._generator)
            target = target.add(error, alpha=self.sigma * _error_gain(mapping) / g_per_w)
        # The value is `target`, the gradient that of `weight`.
        return weight + (target.view_as(weight) - weight).detach()

    @contextmanager
    def _as_equals(self, model: torch.nn.Module) -> Iterator[None]:
        """Within this block modules of the classes in `as_known` compute as their equals do, with errors."""
        with ExitStack() as hooks:
            for name, layer in self._with_equals(model):
                hooks.callback(layer.register_forward_hook(partial(self._as_equal, name)).remove)
            yield

    def _with_equals(self, model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
        """The modules of the classes in `as_known`, by name."""
        for name, layer in model.named_modules() if self._equals else ():
            kept = any(name == skip or name.startswith(skip + ".") for skip in self.digital)
            if type(layer) in self._equals and not kept:
                yield name, layer

    def _as_equal(self, name: str, layer: torch.nn.Module, inputs: tuple[Any, ...], _: Any) -> torch.Tensor:
        with torch.no_grad():
            equal = self._equals[type(layer)](layer)
            how = _how(self.layers, name)
            mapping = self.mapping if how is None or how.mapping is None else how.mapping
            clean = equal.weight
            assert isinstance(clean, torch.Tensor)
            weight = self._perturb(_Aware(name, equal, None, mapping), clean)
        # Detached, because the equal may have parameters of the module itself, such as its bias.
        fixed = {own: parameter.detach() for own, parameter in equal.named_parameters()} | {"weight": weight}
        y: torch.Tensor = torch.func.functional_call(equal, fixed, inputs)
        # The value and the gradient of the input are those of the equal module, those of parameters the module's own.
        mine: torch.Tensor = layer.forward(*(one.detach() if isinstance(one, torch.Tensor) else one for one in inputs))
        return y + (mine - mine.detach())

    def _rounded(self, model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
        """The layers whose inputs are rounded, by name."""
        for one in self._layers(model):
            if not isinstance(one.layer, torch.nn.Embedding | torch.nn.Bilinear):
                yield one.name, one.layer
        yield from self._with_equals(model)

    @contextmanager
    def _rounded_inputs(self, model: torch.nn.Module) -> Iterator[None]:
        with ExitStack() as hooks:
            for name, layer in self._rounded(model) if self.input_bits is not None else ():
                hooks.callback(layer.register_forward_pre_hook(partial(self._round_inputs, name)).remove)
            yield

    def _round_inputs(self, name: str, layer: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        first, *more = inputs
        h = None
        if isinstance(layer, torch.nn.RNNCellBase) and more and more[0] is not None:
            h = more[0][0] if isinstance(more[0], tuple) else more[0]  # (h, c), of which c drives no row
        if _key(name) in self.x_max:
            _start(self.x_max[_key(name)], first, h)
        if h is not None:
            more[0] = (self._round(name, h), *more[0][1:]) if isinstance(more[0], tuple) else self._round(name, h)
        return (self._round(name, first), *more)

    def _round(self, name: str, x: torch.Tensor) -> torch.Tensor:
        assert self.input_bits is not None
        # All bits code the magnitude: a signed `DAC`, which counts the sign, has this lsb with one bit more.
        codes = 2**self.input_bits - 1
        learnt = self.x_max.get(_key(name), None)
        # A range of 0 is not known yet, as where the first state of a recurrent layer is zero.
        return _by_batch(x, codes) if learnt is None or not bool(learnt) else _by_range(x, codes, learnt)


def _by_batch(x: torch.Tensor, codes: int) -> torch.Tensor:
    """`x` rounded to `codes` steps up to its largest magnitude."""
    lsb = x.detach().abs().amax().clamp_min(torch.finfo(x.dtype).tiny) / codes
    rounded: torch.Tensor = x + ((x.detach() / lsb).round() * lsb - x.detach())
    return rounded


def _by_range(x: torch.Tensor, codes: int, x_max: torch.Tensor) -> torch.Tensor:
    """`x` clipped to `x_max` and rounded to `codes` steps, with the gradient of `x_max`."""
    full = x_max.abs().clamp_min(torch.finfo(x.dtype).tiny)
    code = x.clamp(-full, full) * codes / full
    rounded: torch.Tensor = (code + (code.round() - code).detach()) * full / codes
    return rounded


def _key(name: str) -> str:
    """The name of a layer's range: names of parameters have no dots."""
    return name.replace(".", "/") or "model"


def _full_scale(layer: torch.nn.Module) -> torch.nn.Parameter:
    """A range that is not known yet, 0, with the dtype and device of the layer's parameters."""
    return torch.nn.Parameter(next(layer.parameters()).detach().new_zeros(()))


@torch.no_grad()
def _start(x_max: torch.Tensor, *inputs: torch.Tensor | None) -> None:
    """Set a range that is not known yet to the largest magnitude of the inputs."""
    if not bool(x_max):
        x_max.fill_(max(float(x.abs().amax()) for x in inputs if x is not None))


def _error_gain(mapping: WeightMapping) -> float:
    """Standard deviation of a weight's error in S, over that of a cell's write error."""
    if isinstance(mapping, StagedMapping):
        return mapping.error_gain
    # w = (g_pos - g_neg) / g_per_w: independent errors of the two cells add, the mean over copies divides.
    copies = len(mapping.row_gain) * len(mapping.col_gain) / 2
    return float((2 / copies) ** 0.5)


def _by_parameter(one: _Aware, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{one.name}.{own}".removeprefix("."): weight for own, weight in weights.items()}


def _how(layers: Mapping[str, OnChip], name: str) -> OnChip | None:
    """What `layers` says of a layer, or of the module around it."""
    while name and name not in layers:
        name = name.rpartition(".")[0]
    return layers.get(name)
