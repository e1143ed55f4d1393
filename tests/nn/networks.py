"""Networks of the kinds that people bring, built by hand with random weights."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def conv_norm(n_in: int, n_out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(n_in, n_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(n_out), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = n_in * expand
        self.residual = stride == 1 and n_in == n_out
        self.conv = nn.Sequential(
            conv_norm(n_in, hidden, 1),
            conv_norm(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, n_out, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        return x + y if self.residual else y


class MobileNet(nn.Module):
    """As MobileNetV2: depthwise convolutions between linear bottlenecks."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [InvertedResidual(8, 8, 1, 2), InvertedResidual(8, 12, 2, 2), InvertedResidual(12, 12, 1, 2)]
        self.features = nn.Sequential(conv_norm(3, 8, 3, stride=2), *blocks)
        self.classifier = nn.Sequential(nn.Identity(), nn.Linear(12, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))
        return y


class BasicBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """As ResNet-18: 1 x 1 shortcuts where the size changes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 7, 2, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages = [(6, 6, 1), (6, 6, 1), (6, 8, 2), (8, 8, 1)]
        self.layers = nn.Sequential(*(BasicBlock(*stage) for stage in stages))
        self.fc = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(self.layers(self.pool(self.stem(x))).mean((2, 3)))
        return y


class UNet(nn.Module):
    """Two levels, up again by a transposed convolution, with the finer level beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect")
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.last = nn.Conv2d(8, 2, 3, padding="same")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = F.relu(self.down1(x))
        coarse = F.relu(self.down2(F.max_pool2d(fine, 2)))
        y: torch.Tensor = self.last(torch.cat([self.up(coarse), fine], dim=1))
        return y


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        n, time, width = x.shape
        q, k, v = self.qkv(x).view(n, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        y: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(n, time, width))
        return y


class Block(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, 2)
        self.norm2, self.mlp = nn.RMSNorm(width), nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))
        self.gamma = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = x + self.gamma * self.attention(self.norm1(x), mask)
        y: torch.Tensor = x + self.mlp(self.norm2(x))
        return y


class ViT(nn.Module):
    """With a class token, a positional embedding and layer scale."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.cls_token, self.position = nn.Parameter(torch.randn(1, 1, 16)), nn.Parameter(torch.randn(1, 5, 16))
        self.blocks = nn.ModuleList([Block(), Block()])
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + self.position
        for block in self.blocks:
            x = block(x)
        y: torch.Tensor = self.head(self.norm(x)[:, 0])
        return y


@dataclass
class Output:
    """As the outputs of Hugging Face models."""

    logits: torch.Tensor
    hidden: tuple[torch.Tensor, ...]
    loss: torch.Tensor | None = None


class LanguageModel(nn.Module):
    """A decoder with keyword inputs, a causal mask and a dataclass output."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.tokens, self.block = nn.Embedding(20, 16), Block()
        self.head = nn.Linear(16, 20, bias=False)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        causal: torch.Tensor | None = None,
        return_dict: bool = False,
    ) -> Any:
        mask = None if attention_mask is None else attention_mask[:, None, None, :].bool()
        if causal is not None:
            mask = causal if mask is None else mask & causal
        x = self.block(self.tokens(input_ids), mask)
        found = Output(logits=self.head(x), hidden=(x,))
        return {"logits": found.logits, "hidden": [x]} if return_dict else found
