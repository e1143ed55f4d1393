"""Replicas of a layer: copies on cells of their own that share its work, so that they can be read at the same time.

A convolution is divided by the rows of its output: replica k of n computes the rows from round(k H / n) to
round((k + 1) H / n), as the parallel convolvers of Yao et al. (2020) do with strips of the image. A linear layer has
one input for each sample, and the samples go to the replicas in turn: sample i to replica i mod n.

Source: P. Yao et al., Nature 577, 641 (2020), Fig. 4, cut images from top to bottom into three. How borders are
treated, and that samples take turns, is ours.
"""

import itertools
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from ohmweave.base import OutOfRangeError, check_integer, shown
from ohmweave.mapping.replication import ReplicaSet
from ohmweave.nn.chip_batch import chip_alone, record_call
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.composite import CompositeLayer, TakenApart, ToLayers, built, reasons_to_keep
from ohmweave.nn.convolution import paddings
from ohmweave.nn.copied import copied
from ohmweave.nn.references import replace_everywhere

MOST_REPLICAS = 1_024
_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}

Layer = Callable[[torch.Tensor], torch.Tensor]


class Replicas(torch.nn.ModuleList, ReplicaSet):
    """Copies of one layer, in software or on a chip, `net.conv[0]`, `net.conv[1]` and so on.

    Each has cells, a weight and a bias of its own; they are equal but for what writing and learning make of them.
    """

    @property
    def replica_names(self) -> tuple[str, ...]:
        """The names of the matrices on the chip; empty in software."""
        return tuple(layer.matrix.name for layer in self if isinstance(layer, ChipLayer))

    @property
    def weight(self) -> torch.Tensor:
        """That of replica 0, for models that look at a layer's weight, as torch's transformer layers do."""
        weight: torch.Tensor = self[0].weight  # type: ignore[assignment]
        return weight

    @property
    def bias(self) -> torch.Tensor | None:
        """That of replica 0."""
        bias: torch.Tensor | None = self[0].bias  # type: ignore[assignment]
        return bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What one layer would compute. A replica that has nothing to read counts as called."""
        for layer in self:
            if isinstance(layer, ChipLayer):
                record_call(layer.matrix)
        return self.divided(x)

    @abstractmethod
    def divided(self, x: torch.Tensor) -> torch.Tensor:
        """As `forward`."""


class LinearReplicas(Replicas):
    """Copies of a linear layer: sample i of each chip is read by replica i mod n, with all its vectors.

    Where time comes first, the steps of time take turns in place of the samples.
    """

    @property
    def take_turns(self) -> bool:
        """True."""
        return True

    def divided(self, x: torch.Tensor) -> torch.Tensor:
        """`(chips * batch, ..., in)` to `(chips * batch, ..., out)`; one vector without a batch is of sample 0."""
        first = self[0]
        if x.dim() < 2:
            y: torch.Tensor = first(x)
            return y
        chips = first.matrix.chip.chip_shape if isinstance(first, ChipLayer) else ()
        # `chips_behind` lets the time come first, and the chips second.
        at = 1 if isinstance(first, ChipLayer) and x.dim() in first.behind else 0
        n_chips = chips[0] if chips and chip_alone() is None and x.shape[at] % chips[0] == 0 else 1
        apart = x.unflatten(at, (n_chips, x.shape[at] // n_chips))
        n, size = len(self), apart.shape[at + 1]
        every = (slice(None),) * (at + 1)
        shares = [
            layer(apart[(*every, slice(k, None, n))].flatten(at, at + 1)) for k, layer in enumerate(self) if k < size
        ]
        if not shares:
            empty: torch.Tensor = first(x)
            return empty
        out = shares[0].new_empty(*apart.shape[:-1], shares[0].shape[-1])
        for k, share in enumerate(shares):
            out[(*every, slice(k, None, n))] = share.unflatten(at, (n_chips, share.shape[at] // n_chips))
        whole: torch.Tensor = out.flatten(at, at + 1)
        return whole


class ConvReplicas(Replicas):
    """Copies of a convolution of one or two dimensions: each computes a strip of the first dimension of the output.

    Args:
        layers: the copies, without padding of their own.
        padding: pixels to add, last dimension first, as `torch.nn.functional.pad` takes them.
        mode: of the padding, torch's word.
    """

    def __init__(self, layers: Sequence[torch.nn.Module], padding: tuple[int, ...], mode: str) -> None:
        super().__init__(layers)
        self._pads, self._mode = padding, mode

    @property
    def take_turns(self) -> bool:
        """False."""
        return False

    def divided(self, x: torch.Tensor) -> torch.Tensor:
        """`(chips * batch, in, *size)` to `(chips * batch, out, *out size)`; also without a batch."""
        padded = F.pad(x, self._pads, mode=_MODES[self._mode]) if any(self._pads) else x
        first: Any = self[0]
        return cut_convolution(
            list(self),
            padded,
            dim=-len(first.kernel_size),
            kernel=first.kernel_size[0],
            stride=first.stride[0],
            dilation=first.dilation[0],
            name=self._named(),
        )

    def _named(self) -> str:
        names = self.replica_names
        return repr(names[0].rpartition(".")[0]) if names else "a layer"


def cut_convolution(
    layers: Sequence[Layer],
    x: torch.Tensor,
    *,
    dim: int = 2,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    name: str = "a layer",
) -> torch.Tensor:
    """A convolution without padding whose output rows are computed in equal shares by several layers.

    Each layer gets the input rows that its share of the output needs, so the inputs of neighbours overlap.

    Args:
        layers: convolutions without padding, with the same weights but for write errors.
        x: `(n, channels, height, width)`, or another shape with the rows in the dimension `dim`.
        dim: of the rows.
        kernel: rows of the kernel.
        stride: rows from one row of the output to the next.
        dilation: rows from one row of the kernel to the next.
        name: of the layer, for messages.

    Returns:
        `(n, out channels, out height, out width)`.

    Raises:
        OutOfRangeError: there are fewer rows than layers.

    Source: P. Yao et al., Nature 577, 641 (2020), cut images from top to bottom into three. It does not print how
    borders are treated: that is ours.
    """
    reach = dilation * (kernel - 1)
    n_out = (x.shape[dim] - reach - 1) // stride + 1
    if n_out < len(layers):
        raise OutOfRangeError(
            f"`replicas` of {name} must be at most the {max(n_out, 0)} rows of its output, but is {len(layers)}"
        )
    bounds = [round(k * n_out / len(layers)) for k in range(len(layers) + 1)]
    shares = [
        layer(x.narrow(dim, first * stride, (last - 1 - first) * stride + reach + 1))
        for layer, (first, last) in zip(layers, itertools.pairwise(bounds), strict=True)
    ]
    return torch.cat(shares, dim=dim)


def with_replicas(apart: TakenApart, replicas: Mapping[str, int], *, digital: Collection[str]) -> TakenApart:
    """Replace layers by `Replicas`, in a copy of the model; replica 0 has the layer's own parameters.

    Args:
        apart: the model, after its composite layers were taken apart.
        replicas: number of copies by name of a layer.
        digital: names of modules that stay in software.

    Raises:
        OutOfRangeError: a name is not that of a linear layer or a convolution of one or two dimensions that goes on the
            chip, or a number is not an integer from 1 to 1,024.
    """
    wanted = {name: n for name, n in checked(replicas).items() if n > 1}
    modules = dict(apart.model.named_modules())
    for name in replicas:
        if (why := not_replicable(modules, name, digital)) is not None:
            known = [one for one in modules if not_replicable(modules, one, digital) is None]
            raise OutOfRangeError(f"`replicas` must name layers of {known}, but has {name!r}, {why}")
    if not wanted:
        return apart
    shared: dict[int, object] = {id(one): one for one in (*apart.model.parameters(), *apart.model.buffers())}
    twin = copied(apart.model, shared)
    copies = dict(zip(apart.model.modules(), twin.modules(), strict=True))
    old = {name: copies[modules[name]] for name in wanted}
    new = {module: built(module, _entry(module, wanted[name])) for name, module in old.items()}
    model = replace_everywhere(twin, new, {module: name for name, module in old.items()})
    return replace(apart, model=model, modules={**apart.modules, **{name: modules[name] for name in wanted}})


def checked(replicas: Mapping[str, int]) -> dict[str, int]:
    """The numbers of copies by name. Raises `TypeError`, `OutOfRangeError`."""
    if not isinstance(replicas, Mapping) or not all(isinstance(name, str) for name in replicas):
        raise TypeError(
            f"`replicas` must be numbers of copies by the name of a layer, or Balanced(x), but is {shown(replicas)}"
        )
    return {
        name: check_integer(f"replicas[{name!r}]", n, at_least=1, at_most=MOST_REPLICAS) for name, n in replicas.items()
    }


def not_replicable(modules: Mapping[str, torch.nn.Module], name: str, digital: Collection[str]) -> str | None:
    """Why the module `name` cannot have replicas, or None."""
    if name not in modules or not name:
        return "which is no layer of the model"
    if any(name == one or name.startswith(f"{one}.") for one in digital):
        return "which is in `digital`"
    if type(modules[name]) not in _KINDS:
        return f"which is a {type(modules[name]).__name__}"
    parents = itertools.accumulate(name.split(".")[:-1], lambda path, part: f"{path}.{part}")
    if any(isinstance(modules[one], CompositeLayer) for one in parents):
        return "which is inside of a recurrent layer or attention"
    reasons = reasons_to_keep(modules[name], _entry(modules[name], 2))
    return f"of which {', '.join(reasons)}" if reasons else None


def _entry(module: torch.nn.Module, n: int) -> ToLayers:
    return ToLayers(
        module=type(module),
        build=lambda one: _KINDS[type(one)](one, n),
        parameters=lambda one: ["weight"] if one.bias is None else ["weight", "bias"],
    )


def _with_parameters(layers: Sequence[Any], module: Any) -> list[torch.nn.Module]:
    """`layers` with the parameters of `module`: the first has these themselves, all others copies."""
    for k, layer in enumerate(layers):
        for name, one in module.named_parameters(recurse=False):
            own = one if k == 0 else torch.nn.Parameter(one.detach().clone(), requires_grad=one.requires_grad)
            setattr(layer, name, own)
    return list(layers)


def _linear(module: Any, n: int) -> LinearReplicas:
    layers = [
        torch.nn.Linear(module.in_features, module.out_features, bias=module.bias is not None, device="meta")
        for _ in range(n)
    ]
    return LinearReplicas(_with_parameters(layers, module))


def _convolution(module: Any, n: int) -> ConvReplicas:
    layers = [
        type(module)(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            stride=module.stride,
            dilation=module.dilation,
            groups=module.groups,
            bias=module.bias is not None,
            device="meta",
        )
        for _ in range(n)
    ]
    pads = paddings(module.padding, module.kernel_size, module.stride, module.dilation)
    return ConvReplicas(_with_parameters(layers, module), pads, module.padding_mode)


_KINDS: Mapping[type[torch.nn.Module], Callable[[Any, int], Any]] = {
    torch.nn.Linear: _linear,
    torch.nn.Conv1d: _convolution,
    torch.nn.Conv2d: _convolution,
}
"""How replicas of a layer are made, by its class."""


def sum_replica_gradients(net: torch.nn.Module) -> None:
    """Give all replicas of a layer the sum of their gradients, between `backward` and the rule's `step`.

    Each replica has the gradient of what it has read itself. With the sum each learns as one layer would that had read
    all, and is written with pulses of its own. Replicas without a gradient, as frozen ones, stay without.

    Args:
        net: a deployed network, or any module with `Replicas`.

    Source: ours; the sum of gradients of data-parallel training.
    """
    if not isinstance(net, torch.nn.Module):
        raise TypeError(f"`net` must be a torch.nn.Module, but is {shown(net)}")
    for module in net.modules():
        if not isinstance(module, Replicas):
            continue
        for name in ("weight", "bias"):
            leaves = [layer._parameters.get(name) for layer in module]
            grads = [leaf.grad for leaf in leaves if leaf is not None and leaf.grad is not None]
            if grads:
                total = torch.stack(grads).sum(0)
                for leaf in leaves:
                    if leaf is not None and leaf.requires_grad:
                        leaf.grad = total.clone()
