"""Training in software for a later chip: quantised weights and write errors in the forward pass of any torch loop."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from ohmweave.base import check_integer, check_non_negative
from ohmweave.mapping import Chip, DifferentialPair


class NoiseAware(torch.nn.Module):
    """A model that trains with the weights that it would have on a chip.

    Each forward pass in training mode rounds the weights of all convolutions and linear layers as `mapping` does and
    adds a new Gaussian error to every weight. The backward pass ignores both (straight-through gradients). In
    evaluation mode the model is unchanged. `net = NoiseAware(model, ...)` replaces the model in a training loop;
    afterwards deploy `net.model`.

    Args:
        model: trained in place; this module has the same parameters.
        chip: gives the conductance window. Nothing is placed on it or read.
        mapping: weights to conductances; None is an analogue differential pair.
        sigma: S, >= 0, standard deviation of a cell's conductance around its target after a write.
        input_bits: bits of the magnitude of every layer's input; full scale is the largest magnitude in the batch. None
            leaves the inputs as they are.
        generator: of the errors, on the device of the model.
        renew: forward passes between two choices of a layer's scale, >= 1. `clip="mse"` searches for the scale, which
            is slow.

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
        mapping: DifferentialPair | None = None,
        sigma: float = 0.0,
        input_bits: int | None = None,
        renew: int = 20,
    ) -> None:
        check_non_negative("sigma", sigma, "S")
        check_integer("renew", renew, at_least=1)
        if input_bits is not None:
            check_integer("input_bits", input_bits, at_least=1)
        super().__init__()
        self.model = model
        self.sigma, self.input_bits, self.renew = sigma, input_bits, renew
        self.mapping = mapping or DifferentialPair()
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
        with self._rounded_inputs():
            y: torch.Tensor = torch.func.functional_call(self.model, self.perturbed(), args, kwargs)
        return y

    def perturbed(self) -> dict[str, torch.Tensor]:
        """The weights of one forward pass by parameter name, in the shapes of the model's, to which gradients flow."""
        return {f"{name}.weight".removeprefix("."): self._perturb(name, layer.weight) for name, layer in self._layers()}

    def _layers(self) -> Iterator[tuple[str, torch.nn.Conv2d | torch.nn.Linear]]:
        for name, layer in self.model.named_modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                yield name, layer

    def _perturb(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """`weight` `(out, in, ...)` as read back from cells, with the gradient of `weight`."""
        w = weight.detach().flatten(1)
        if name not in self._g_per_w:
            self._g_per_w[name] = self.mapping.g_per_w(w, self._array)
        g_per_w = self._g_per_w[name]
        low, high = self.mapping.window(self._array)
        # The largest weight that a pair can hold: one cell at g_max, the other at g_min.
        target = self.mapping.rounded(w, (high - low) / g_per_w)
        if self.sigma:
            # w = (g_pos - g_neg) / g_per_w: independent errors of the two cells add, the mean over copies divides.
            copies = self.mapping.copies[0] * self.mapping.copies[1]
            error = torch.empty_like(target).normal_(generator=self._generator)
            target = target.add(error, alpha=self.sigma * (2 / copies) ** 0.5 / g_per_w)
        # The value is `target`, the gradient that of `weight`.
        return weight + (target.view_as(weight) - weight).detach()

    @contextmanager
    def _rounded_inputs(self) -> Iterator[None]:
        with ExitStack() as hooks:
            if self.input_bits is not None:
                for _, layer in self._layers():
                    hooks.callback(layer.register_forward_pre_hook(self._round_input).remove)
            yield

    def _round_input(self, layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        assert self.input_bits is not None
        x = inputs[0]
        # All bits code the magnitude: a signed `DAC`, which counts the sign, has this lsb with one bit more.
        lsb = x.detach().abs().amax().clamp_min(torch.finfo(x.dtype).tiny) / (2**self.input_bits - 1)
        return x + ((x.detach() / lsb).round() * lsb - x.detach()), *inputs[1:]
