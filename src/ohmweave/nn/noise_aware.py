"""Training in software for a later chip: quantised weights and write errors in the forward pass of any torch loop."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_non_negative
from ohmweave.mapping import Chip, DifferentialPair, StagedMapping, WeightMapping
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
        generator: of the errors, on the device of the model.
        renew: forward passes between two choices of a layer's scale, >= 1. `clip="mse"` searches for the scale, which
            is slow.
        layers, digital: as in `deploy`; of a layer's `OnChip` the mapping is used.
        as_known: as in `deploy`: by class, a function of a module that returns an equal linear layer or convolution, or
            the class `Linear` or `Conv2d` for a subclass of it, which is taken as one without this as well. The errors
            are those of the equal module, the gradients of parameters those of the module itself.

    Raises:
        OutOfRangeError: an argument is out of range.

    Source: noise in the forward pass as in V. Joshi et al., Nat. Commun. 11, 2473 (2020); straight-through gradients
    as in Y. Bengio et al., arXiv:1308.3432 (2013).
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
        renew: int = 20,
        layers: Mapping[str, OnChip] | None = None,
        digital: Sequence[str] = (),
        as_known: AsKnown | None = None,
    ) -> None:
        check_non_negative("sigma", sigma, "S")
        check_integer("renew", renew, at_least=1)
        if input_bits is not None:
            check_integer("input_bits", input_bits, at_least=1)
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
        for argument, given in (("layers", self.layers), ("digital", self.digital)):
            for name in given:
                if name not in names:
                    raise OutOfRangeError(f"`{argument}` must name layers of the model, {names}, but has {name!r}")

    @contextmanager
    def _apart(self) -> Iterator[torch.nn.Module]:
        """The model with its recurrent layers and attention in matrices, within this block."""
        with apart_in_place(self.model, composites_of(self.model, self.digital)) as model:
            yield model

    def _perturbed(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        for one in self._layers(model):
            if one.entry is None:
                found |= self._by_parameter(one, {"weight": self._perturb(one, one.layer.weight)})
            else:
                found |= self._by_parameter(one, self._perturb_entry(one, one.entry))
        return found

    def _by_parameter(self, one: _Aware, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {f"{one.name}.{own}".removeprefix("."): weight for own, weight in weights.items()}

    def _layers(self, model: torch.nn.Module) -> Iterator[_Aware]:
        for name, layer in model.named_modules():
            if any(name == skip or name.startswith(skip + ".") for skip in self.digital):
                continue
            how, entry = self._how(name), to_chip(layer)
            mapping = self.mapping if how is None or how.mapping is None else how.mapping
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                yield _Aware(name, layer, None, mapping)
            elif entry is not None and (entry.unasked or name in self.layers) and entry.refuse(layer) is None:
                yield _Aware(name, layer, entry, mapping)

    def _how(self, name: str) -> OnChip | None:
        """What `layers` says of a layer, or of the module around it."""
        while name and name not in self.layers:
            name = name.rpartition(".")[0]
        return self.layers.get(name)

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
            for name, layer in model.named_modules() if self._equals else ():
                kept = any(name == skip or name.startswith(skip + ".") for skip in self.digital)
                if type(layer) in self._equals and not kept:
                    hooks.callback(layer.register_forward_hook(partial(self._as_equal, name)).remove)
            yield

    def _as_equal(self, name: str, layer: torch.nn.Module, inputs: tuple[Any, ...], _: Any) -> torch.Tensor:
        with torch.no_grad():
            equal = self._equals[type(layer)](layer)
            how = self._how(name)
            mapping = self.mapping if how is None or how.mapping is None else how.mapping
            weight = self._perturb(_Aware(name, equal, None, mapping), equal.weight)
        rounded = inputs if self.input_bits is None else self._round_inputs(equal, inputs)
        # Detached, because the equal may have parameters of the module itself, such as its bias.
        fixed = {own: parameter.detach() for own, parameter in equal.named_parameters()} | {"weight": weight}
        y: torch.Tensor = torch.func.functional_call(equal, fixed, rounded)
        # The value and the gradient of the input are those of the equal module, those of parameters the module's own.
        mine = layer.forward(*(one.detach() if isinstance(one, torch.Tensor) else one for one in rounded))
        return y + (mine - mine.detach())

    @contextmanager
    def _rounded_inputs(self, model: torch.nn.Module) -> Iterator[None]:
        with ExitStack() as hooks:
            if self.input_bits is not None:
                for one in self._layers(model):
                    if not isinstance(one.layer, torch.nn.Embedding | torch.nn.Bilinear):
                        hooks.callback(one.layer.register_forward_pre_hook(self._round_inputs).remove)
            yield

    def _round_inputs(self, layer: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        first, *more = inputs
        if isinstance(layer, torch.nn.RNNCellBase) and more and more[0] is not None:
            state = more[0]  # h, or (h, c), of which c drives no row
            more[0] = (self._round(state[0]), *state[1:]) if isinstance(state, tuple) else self._round(state)
        return (self._round(first), *more)

    def _round(self, x: torch.Tensor) -> torch.Tensor:
        assert self.input_bits is not None
        # All bits code the magnitude: a signed `DAC`, which counts the sign, has this lsb with one bit more.
        lsb = x.detach().abs().amax().clamp_min(torch.finfo(x.dtype).tiny) / (2**self.input_bits - 1)
        rounded: torch.Tensor = x + ((x.detach() / lsb).round() * lsb - x.detach())
        return rounded


def _error_gain(mapping: WeightMapping) -> float:
    """Standard deviation of a weight's error in S, over that of a cell's write error."""
    if isinstance(mapping, StagedMapping):
        return mapping.error_gain
    # w = (g_pos - g_neg) / g_per_w: independent errors of the two cells add, the mean over copies divides.
    copies = len(mapping.row_gain) * len(mapping.col_gain) / 2
    return float((2 / copies) ** 0.5)
