"""Forward and backward with torch's operations on the present weights; pulses of all layers are counted in one call.

It serves networks of linear and convolution layers on one or several chips. Reads are exact, so the product of a layer
is that of its signed weights: torch computes it as for a digital layer, without a call of the array. The books get the
reads that the layers would have made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ohmweave.mapping import FixedScaling, Matrix, PerSampleScaling
from ohmweave.nn import AlwaysOn, Conv2d, Deployed, Linear
from ohmweave.nn.chip_batch import add_bias, is_in_software
from ohmweave.optim.compiled_counts import count_dense
from ohmweave.optim.feed_forward import NotCompiledError, parts_of
from ohmweave.optim.passes import Laws, Pass
from ohmweave.optim.planned_cells import PlannedCells

# Modules without parameters and random numbers that treat each sample alone: they are called as they are.
PLAIN = (
    AlwaysOn,
    torch.nn.AdaptiveAvgPool2d,
    torch.nn.AvgPool2d,
    torch.nn.ELU,
    torch.nn.Flatten,
    torch.nn.GELU,
    torch.nn.Hardtanh,
    torch.nn.LeakyReLU,
    torch.nn.MaxPool2d,
    torch.nn.ReLU,
    torch.nn.Sigmoid,
    torch.nn.SiLU,
    torch.nn.Softplus,
    torch.nn.Tanh,
)


class LeaveToLoopError(Exception):
    """The loop must make this step."""


@dataclass(slots=True, kw_only=True)
class PlacedLayer:
    """A layer on the chip.

    Attributes:
        layer: itself.
        own: number of its matrix in the plan.
        leaf: `(*chips, *weight_shape)`, the present weights; a leaf of the graph that shares the plan's memory.
    """

    layer: Linear | Conv2d
    own: int = 0
    leaf: torch.Tensor

    @property
    def matrix(self) -> Matrix:
        """Of the layer."""
        return self.layer.matrix

    def product(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's output of `x` `(chips * batch, ...)`, without its bias."""
        chips = self.matrix.chip.chip_shape
        if isinstance(self.layer, Conv2d):
            return _convolution(self.layer, x, self.leaf, chips)
        if not chips:
            return F.linear(x, self.leaf)
        rows = x.reshape(*chips, -1, x.shape[-1])
        return (rows @ self.leaf.mT).view(*x.shape[:-1], -1)

    def checked(self, x: torch.Tensor) -> torch.Tensor:
        """`x`, unless the array would refuse it, in which case the loop must say so."""
        layer, scaling = self.layer, self.matrix.scaling
        wrong = x.dim() < 2 if isinstance(layer, Linear) else x.dim() != 4
        if wrong or x.dtype != self.leaf.dtype:
            raise LeaveToLoopError
        if isinstance(scaling, FixedScaling) and not float(x.detach().abs().max()) <= scaling.x_max:
            raise LeaveToLoopError
        return x


def _convolution(layer: Conv2d, x: torch.Tensor, kernels: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """The convolution of `x` `(chips * batch, in, H, W)`; the chips are groups of channels."""
    shape, n = layer.shape, chips[0] if chips else 1
    x = shape.padded(x)
    geometry = shape.geometry
    left, right, top, bottom = geometry.padding
    even = left == right and top == bottom
    if not even:
        x = F.pad(x, geometry.padding)
    batch = len(x) // n
    if chips:
        x = x.view(n, batch, *x.shape[1:]).transpose(0, 1).flatten(1, 2)
        kernels = kernels.flatten(0, 1)
    y = F.conv2d(
        x,
        kernels,
        stride=geometry.stride,
        padding=(top, left) if even else 0,
        dilation=geometry.dilation,
        groups=n * shape.groups,
    )
    return y.unflatten(1, (n, -1)).transpose(0, 1).flatten(0, 1) if chips else y


class TorchPass(Pass):
    """See the module.

    Args:
        net: as in `train_epoch`, likewise `loss`.
        loss: see `net`.

    Raises:
        NotCompiledError: the network or the loss is of another kind; the message says what.
    """

    def __init__(self, net: torch.nn.Module, loss: Any) -> None:
        if is_in_software():
            raise NotCompiledError("the network is run in software")
        self._loss = _loss_of(net, loss)
        self._parts: list[PlacedLayer | torch.nn.Module] = []
        self.weights, self._placed = [], []
        for module in parts_of(net):
            if type(module) is Linear or type(module) is Conv2d:
                _check_layer(module)
                one = PlacedLayer(layer=module, leaf=torch.empty(0, device="cpu"))
                self._placed.append(one)
                self._parts.append(one)
                self.weights.append(module.weight)
            elif type(module) in PLAIN and not (isinstance(module, torch.nn.Flatten) and module.start_dim < 1):
                self._parts.append(module)
            else:
                raise NotCompiledError(f"the network has a {type(module).__name__}")
        if not self._placed:
            raise NotCompiledError("the network has no layer on a chip")
        if len({id(weight) for weight in self.weights}) < len(self.weights):
            raise NotCompiledError("a layer occurs twice")
        self._chips = self._placed[0].matrix.chip.chip_shape
        if self._chips and type(net) is not Deployed:
            raise NotCompiledError("layers on several chips must be those of a deployed network")
        self.out_first, self.reads_out = True, np.zeros(len(self._placed), np.bool_)

    def place(self, cells: PlannedCells, targets: list[int], owns: list[int]) -> None:
        """As in `Pass`."""
        self._targets = np.array(targets, np.int64)
        flat = torch.from_numpy(cells.signed)
        for one, own in zip(self._placed, owns, strict=True):
            one.own, part = own, cells.part(own)
            one.leaf = flat[part].view(one.layer.weight.shape).requires_grad_()
        biases = [one.layer.bias for one in self._placed]
        self._biases = [bias for bias in biases if bias is not None and bias.requires_grad]
        self._grad = torch.empty(sum(one.leaf.numel() for one in self._placed), dtype=cells.dtype, device="cpu")

    def run(
        self, x: torch.Tensor, labels: torch.Tensor, cells: PlannedCells, laws: Laws, keys: NDArray[np.uint64]
    ) -> float | None:
        """As in `Pass`."""
        try:
            loss = self._loss(self._forward(x, cells), labels)
        except LeaveToLoopError:
            return None
        grads = torch.autograd.grad(loss, [*(one.leaf for one in self._placed), *self._biases])
        n = len(self._placed)
        torch.cat([grad.reshape(-1) for grad in grads[:n]], out=self._grad)
        count_dense(
            self._grad.numpy(),
            cells.places,
            self._targets,
            cells.n_chips,
            laws.kinds,
            laws.per_grad,
            laws.limits,
            laws.least,
            keys,
            laws.memory,
            cells.index,
            cells.count,
            cells.n_found,
        )
        if cells.n_found[0] < 0:
            return None
        for bias, grad in zip(self._biases, grads[n:], strict=True):  # as `backward` accumulates them
            bias.grad = grad if bias.grad is None else bias.grad + grad
        return float(loss.detach())

    def _forward(self, x: torch.Tensor, cells: PlannedCells) -> torch.Tensor:
        """Outputs `(*chips, batch, ...)`; counts reads and readouts."""
        if self._chips:
            x = x.expand(*self._chips, *x.shape).flatten(0, 1)
        for at, part in enumerate_layers(self._parts):
            if not isinstance(part, PlacedLayer):
                x = part(x)
                continue
            x = self._layer(at, part, part.checked(x), cells)
        return x.unflatten(0, (*self._chips, -1)) if self._chips else x

    def _layer(self, at: int, part: PlacedLayer, x: torch.Tensor, cells: PlannedCells) -> torch.Tensor:
        """The output of layer `at`; its read is counted, and its readout if the backward pass needs a stale weight."""
        layer, own = part.layer, part.own
        transposed = isinstance(layer, Linear) and layer.backward == "array"
        self.reads_out[at] = x.requires_grad and not transposed
        if self.reads_out[at] and cells.stale[own]:
            cells.books[1] += part.leaf.numel()
            cells.stale[own] = False
        y = part.product(x)
        n_vectors = y.numel() // part.matrix.shape[0]
        cells.books[0] += n_vectors * cells.places[own, 3] * (2 if transposed and x.requires_grad else 1)
        if layer.bias is None:
            return y
        last = isinstance(layer, Linear)
        biased = add_bias(y if last else y.movedim(1, -1), layer.bias, self._chips)
        return biased if last else biased.movedim(-1, 1)


def enumerate_layers(parts: list[Any]) -> Any:
    """Pairs of the number of layers on the chip so far and the part."""
    at = 0
    for part in parts:
        yield at, part
        at += isinstance(part, PlacedLayer)


def _check_layer(layer: Linear | Conv2d) -> None:
    """Raise `NotCompiledError` unless `layer` scales its inputs in a way that cancels, and is called as it is."""
    scaling = layer.matrix.scaling
    if type(scaling) not in (PerSampleScaling, FixedScaling):
        raise NotCompiledError(f"{layer.matrix.name!r} is scaled by {type(scaling).__name__}")
    if layer.behind:
        raise NotCompiledError(f"{layer.matrix.name!r} has the chips in another dimension")


def _loss_of(net: torch.nn.Module, loss: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The loss of outputs and labels, summed over chips; only torch's own losses are sure not to use the weights."""
    function = isinstance(loss, FunctionType) and loss.__module__ == "torch.nn.functional"
    module = isinstance(loss, torch.nn.Module) and type(loss).__module__ == "torch.nn.modules.loss"
    if not function and not module:
        raise NotCompiledError("the loss is not one of torch's")
    if isinstance(net, Deployed):
        return lambda output, labels: net.loss(loss, output, labels)
    return lambda output, labels: loss(output, labels)
