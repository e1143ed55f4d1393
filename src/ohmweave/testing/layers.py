"""`LayerContract`: tests that every layer on a chip must pass. Inherit it and implement three methods.

    class TestMine(LayerContract):
        def make_layer(self, chip): ...
        def make_input(self, batch, generator): ...
        def reference(self, layer, weight, bias, x): ...

It does not import pytest, so any test runner that collects `test_*` methods of classes can run it.
"""

import copy
from typing import Any

import torch

from ohmweave.base import OhmweaveError, generator
from ohmweave.cells import LinearStep, Pulse
from ohmweave.mapping import Chip
from ohmweave.nn import ArrayWeight, ChipLayer
from ohmweave.programming import BlindWrite

_CELL = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)
_WRITE = BlindWrite(g_step=_CELL.g_step)
_BATCH = 3
_RTOL = 1e-5
"""Relative to the largest number: the error of 2^24 levels, added up over at most a few hundred cells, in float64."""


class LayerContract:
    """Tests of one kind of layer, on ideal cells of 2^24 levels in float64, with `n_chips` None, 1 and 3."""

    rows, cols, n_arrays = 64, 64, 4
    """Size of the chip; override them for a larger layer."""

    def make_layer(self, chip: Chip) -> ChipLayer:
        """The layer on `chip`, with a bias."""
        raise NotImplementedError

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        """An input `(batch, ...)` of the layer, float64, on the device of the generator."""
        raise NotImplementedError

    def reference(self, layer: ChipLayer, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The correct output for one chip, computed in software and differentiable.

        Args:
            layer: the layer, for its sizes.
            weight: of one chip, in the shape of `layer.weight` without chips.
            bias: of one chip, `(out,)`.
            x: `(batch, ...)`, of `make_input`.
        """
        raise NotImplementedError

    def output(self, layer: ChipLayer, x: torch.Tensor) -> torch.Tensor:
        """One tensor `(chips * batch, ...)` of the layer's output; override it for a layer that returns several."""
        y: torch.Tensor = layer(x)
        return y

    def make_chip(self, n_chips: int | None) -> Chip:
        """The chip that layers are placed on."""
        return Chip(_CELL, n_arrays=self.n_arrays, rows=self.rows, cols=self.cols, n_chips=n_chips, dtype=torch.float64)

    def written(self, n_chips: int | None = None) -> ChipLayer:
        """A layer with another random weight and bias on every chip."""
        layer = self.make_layer(self.make_chip(n_chips))
        weight = layer.weight.detach()
        device = weight.device
        chance = generator(1, "layer contract", device=device)
        new = torch.randn(weight.shape, generator=chance, dtype=weight.dtype, device=device)
        layer.program(new, _WRITE)
        assert layer.bias is not None, "`make_layer` must make a layer with a bias"
        with torch.no_grad():
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=chance, dtype=weight.dtype, device=device))
        return layer

    def _input(self, layer: ChipLayer, batch: int = _BATCH) -> torch.Tensor:
        chance = generator(2, "layer contract", device=layer.weight.device)
        return self.make_input(batch * _n(layer), chance)

    def test_forward_and_gradients_are_the_reference_on_every_chip(self) -> None:
        """Output, and gradients of input, weight and bias, chip by chip, against software with the readout."""
        for n_chips in (None, 1, 3):
            layer = self.written(n_chips)
            x = self._input(layer).requires_grad_()
            y = self.output(layer, x)
            chance = generator(3, "layer contract", device=x.device)
            error = torch.randn(y.shape, generator=chance, dtype=y.dtype, device=y.device)
            y.backward(error)
            assert layer.bias is not None
            for k in range(_n(layer)):
                part = slice(k * _BATCH, (k + 1) * _BATCH)
                weight = _chip(layer.weight.detach().clone(), k, n_chips).requires_grad_()
                bias = _chip(layer.bias.detach().clone(), k, n_chips).requires_grad_()
                x_k = x.detach()[part].clone().requires_grad_()
                y_k = self.reference(layer, weight, bias, x_k)
                _close(y[part].detach(), y_k.detach(), f"the output of chip {k} of {n_chips}")
                y_k.backward(error[part])
                for name, ours, theirs in (
                    ("x", _grad(x)[part], x_k),
                    ("weight", _chip(_grad(layer.weight), k, n_chips), weight),
                    ("bias", _chip(_grad(layer.bias), k, n_chips), bias),
                ):
                    _close(ours, _grad(theirs), f"the gradient of {name} on chip {k} of {n_chips}")

    def test_samples_and_chips_do_not_touch_each_other(self) -> None:
        """A sample's output is the same whatever the others are."""
        layer = self.written(3)
        x = self._input(layer)
        y = self.output(layer, x).detach()
        other = x.clone()
        kept = _BATCH + 1  # the second sample of the second chip
        others = torch.arange(len(x), device=x.device) != kept
        other[others] = 2 - 3 * other[others]
        _close(self.output(layer, other).detach()[kept], y[kept], "a sample's output among other samples")

    def test_training_and_evaluation_are_the_same(self) -> None:
        """`train()` and `eval()` change nothing."""
        layer = self.written()
        x = self._input(layer)
        _close(self.output(layer.eval(), x).detach(), self.output(layer.train(), x).detach(), "the output in eval mode")

    def test_reads_are_counted(self) -> None:
        """Twice the batch is twice the reads, and all of them are of whole tiles."""
        layer = self.written()
        activity, counts = layer.matrix.chip.array.books.activity, []
        for batch in (_BATCH, 2 * _BATCH):
            before = activity.copy()
            with torch.no_grad():
                self.output(layer, self._input(layer, batch))
            spent = activity - before
            counts.append(spent.n_reads)
            assert spent.n_readouts == spent.n_set == spent.n_reset == 0, "a forward pass must only read"
        assert counts[0] > 0, "the layer read no array"
        assert counts[0] % len(layer.matrix.placement.tiles) == 0, "a read must be of all tiles"
        assert counts[1] == 2 * counts[0], f"twice the batch must be twice the reads, but {counts[1]} and {counts[0]}"

    def test_an_empty_batch_gives_an_empty_result(self) -> None:
        """Zero samples in, zero samples out, on one chip and on three."""
        for n_chips in (None, 3):
            layer = self.written(n_chips)
            assert self.output(layer, self._input(layer, 0)).shape[0] == 0, "an empty batch must stay empty"

    def test_the_weight_is_read_only(self) -> None:
        """No change in place, no other parameter, no copy, no other dtype or device."""
        layer = self.written()
        before = layer.weight.detach().clone()
        assert isinstance(layer.weight, ArrayWeight), "`weight` must be an ArrayWeight"
        changes: dict[str, Any] = {
            "zero_": lambda: layer.weight.zero_(),
            "another parameter": lambda: setattr(layer, "weight", torch.nn.Parameter(before.clone())),
            "load_state_dict": lambda: layer.load_state_dict(layer.state_dict()),
            "float16": layer.half,
            "meta": lambda: layer.to("meta"),
            "deepcopy": lambda: copy.deepcopy(layer),
        }
        for name, change in changes.items():
            with torch.no_grad():
                _refused(name, change)
        assert torch.equal(layer.weight.detach(), before), "a refused change must change nothing"

    def test_a_weight_that_cannot_be_programmed_changes_nothing(self) -> None:
        """NaN, infinity or another shape: no pulse, no other scale, the same output."""
        layer = self.written()
        x = self._input(layer)
        before = self.output(layer, x).detach()
        counted = layer.matrix.chip.array.books.activity.copy()
        for bad in (float("nan"), float("inf")):
            weight = layer.weight.detach().clone()
            weight.view(-1)[-1] = bad
            _refused(f"a weight with {bad}", lambda weight=weight: layer.program(weight, _WRITE))
        _refused("a weight of another shape", lambda: layer.program(weight[..., :-1], _WRITE))
        spent = layer.matrix.chip.array.books.activity - counted
        assert spent.n_set == spent.n_reset == 0, "a refused weight must send no pulse"
        _close(self.output(layer, x).detach(), before, "the output after a refused weight")

    def test_pulses_make_the_weight_stale_and_the_next_look_reads_it(self) -> None:
        """Gradients and looks never use an old readout."""
        layer = self.written()
        layer.weight.refresh()
        cells = layer.matrix.cells.flatten()
        polarity = torch.full_like(cells, -1)
        layer.matrix.pulse(cells, Pulse(polarity, n=torch.full_like(cells, 2**20)))
        assert layer.weight.is_stale, "pulses must make the weight stale"
        counted = layer.matrix.chip.array.books.activity.n_readouts
        looked = layer.weight.detach()
        assert layer.matrix.chip.array.books.activity.n_readouts - counted == cells.numel(), (
            "a look at a stale weight is a readout"
        )
        _close(looked.reshape(-1), layer.matrix.readout().reshape(-1), "the weight after pulses")


def _n(layer: ChipLayer) -> int:
    return layer.matrix.chip.chip_shape[0] if layer.matrix.chip.chip_shape else 1


def _chip(value: torch.Tensor, k: int, n_chips: int | None) -> torch.Tensor:
    return (value if n_chips is None else value[k]).clone()


def _grad(value: torch.Tensor) -> torch.Tensor:
    assert value.grad is not None, "a gradient is missing"
    return value.grad


def _close(ours: torch.Tensor, theirs: torch.Tensor, what: str) -> None:
    assert ours.shape == theirs.shape, f"{what} must have the shape {tuple(theirs.shape)}, but has {tuple(ours.shape)}"
    worst = float((ours - theirs).abs().max()) if ours.numel() else 0.0
    scale = float(theirs.abs().max()) if theirs.numel() else 1.0
    assert worst <= _RTOL * scale, f"{what} must be the reference's, but differs by {worst:.3g} of {scale:.3g}"


def _refused(what: str, call: Any) -> None:
    try:
        call()
    except OhmweaveError:
        return
    raise AssertionError(f"{what} must be refused by an OhmweaveError, but was not")
