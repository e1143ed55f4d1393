"""Every layer of ours, by the contract that other people's layers are tested by."""

from typing import Any

import torch
import torch.nn.functional as F

from ohmweave.mapping import CentredPair, Chip, DifferentialPair, FixedScaling
from ohmweave.nn import Bilinear, ChipLayer, Conv2d, ConvLSTMCell, Linear, LSTMCell, OnChip, RNNCell, patches
from ohmweave.nn.conv2d import sides
from ohmweave.nn.lstm import gated
from ohmweave.testing.layers import LayerContract


class TestLinear(LayerContract):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return Linear(5, 3, chip=chip, name="layer")

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(batch, 5, dtype=torch.float64, generator=generator, device=generator.device)

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, weight, bias)


class TestLinearOnSequences(TestLinear):
    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(batch, 2, 4, 5, dtype=torch.float64, generator=generator, device=generator.device)


class TestLinearByTransposedReads(TestLinear):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return Linear(5, 3, chip=chip, name="layer", backward="array", on_chip=OnChip(mapping=CentredPair(w_max=4.0)))


class TestLinearOnTiles(TestLinear):
    def make_layer(self, chip: Chip) -> ChipLayer:
        how = OnChip(mapping=DifferentialPair(lines="rows", copies=(1, 2)), tile_rows=4, scaling=FixedScaling(8.0))
        return Linear(5, 3, chip=chip, name="layer", on_chip=how)


class TestConv2d(LayerContract):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return Conv2d(2, 3, (3, 2), stride=(1, 2), padding=(2, 1), chip=chip, name="layer")

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(batch, 2, 6, 7, dtype=torch.float64, generator=generator, device=generator.device)

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, weight, bias, stride=(1, 2), padding=(2, 1))


class TestLSTMCell(LayerContract):
    """All mappings that `Linear` takes, here the centred one."""

    def make_layer(self, chip: Chip) -> ChipLayer:
        return LSTMCell(3, 4, chip=chip, name="layer", on_chip=OnChip(mapping=CentredPair(w_max=4.0)))

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(batch, 11, dtype=torch.float64, generator=generator, device=generator.device)

    def output(self, layer: ChipLayer, x: torch.Tensor) -> torch.Tensor:
        return torch.cat(layer(x[:, :3], (x[:, 3:7], x[:, 7:])), dim=1)

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.cat(gated(F.linear(x[:, :7], weight, bias), x[:, 7:]), dim=1)


class TestConvLSTMCell(LayerContract):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return ConvLSTMCell(1, 2, 3, 2, chip=chip, name="layer", on_chip=OnChip(mapping=CentredPair(w_max=4.0)))

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(batch, 5, 3, 4, dtype=torch.float64, generator=generator, device=generator.device)

    def output(self, layer: ChipLayer, x: torch.Tensor) -> torch.Tensor:
        return torch.cat(layer(x[:, :1], (x[:, 1:3], x[:, 3:])), dim=1)

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        lines = [
            patches(F.pad(part, sides("same", (k, k))), (k, k), (1, 1)) for part, k in ((x[:, :1], 3), (x[:, 1:3], 2))
        ]
        gates = F.linear(torch.cat(lines, dim=-1), weight, bias)
        return torch.cat(gated(gates.permute(0, 3, 1, 2), x[:, 3:]), dim=1)


class TestLSTMCellByTransposedReads(TestLSTMCell):
    def make_layer(self, chip: Chip) -> ChipLayer:
        how = OnChip(mapping=DifferentialPair(lines="rows", copies=(1, 2)), tile_rows=4)
        return LSTMCell(3, 4, chip=chip, name="layer", on_chip=how, backward="array")


class TestConvLSTMCellByTransposedReads(TestConvLSTMCell):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return ConvLSTMCell(1, 2, 3, 2, chip=chip, name="layer", backward="array")


class TestRNNCell(LayerContract):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return RNNCell(3, 4, chip=chip, name="layer", on_chip=OnChip(mapping=CentredPair(w_max=4.0)))

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(batch, 7, dtype=torch.float64, generator=generator, device=generator.device)

    def output(self, layer: ChipLayer, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = layer(x[:, :3], x[:, 3:])
        return y

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, weight, bias).tanh()


class TestReluCellByTransposedReads(TestRNNCell):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return RNNCell(3, 4, nonlinearity="relu", chip=chip, name="layer", backward="array")

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, weight, bias).relu()


class TestBilinear(LayerContract):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return Bilinear(2, 3, 4, chip=chip, name="layer")

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(batch, 2, 5, dtype=torch.float64, generator=generator, device=generator.device)

    def output(self, layer: ChipLayer, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = layer(x[..., :2], x[..., 2:])
        return y

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return F.bilinear(x[..., :2].contiguous(), x[..., 2:].contiguous(), weight, bias)


class TestBilinearByTransposedReads(TestBilinear):
    def make_layer(self, chip: Chip) -> ChipLayer:
        how = OnChip(mapping=CentredPair(w_max=4.0))
        return Bilinear(2, 3, 4, chip=chip, name="layer", backward="array", on_chip=how)


def test_a_layer_of_somebody_else_is_one_entry() -> None:
    """A depthwise layer, as a package would register it, goes through deploy."""
    from ohmweave.nn import ToChip, deploy, register_layer
    from ohmweave.nn.layer_registry import _ENTRIES
    from ohmweave.programming import BlindWrite

    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0, 3.0]]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.weight.T

    entry = ToChip(
        module=Scaled,
        build=lambda module, chip, name, on_chip: Linear(3, 1, False, chip=chip, name=name, on_chip=on_chip),
        weight=lambda module: module.weight,
        bias=lambda module: None,
        parameters=("weight",),
    )
    register_layer(entry)
    try:
        from tests.nn.test_weight import FINE

        net = deploy(Scaled(), Chip(FINE, rows=4, cols=4), write=BlindWrite(g_step=FINE.g_step))
        assert net(torch.tensor([[1.0, 1.0, 1.0]])).round(decimals=2).tolist() == [[2.0]]
    finally:
        del _ENTRIES[Scaled]
