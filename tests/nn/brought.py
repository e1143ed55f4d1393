"""Further networks of the kinds that people bring, built by hand with random weights."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn


class StochasticDepth(nn.Module):
    """Leaves a residual branch out for random samples of a batch, in training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        keep = torch.empty(len(x), *(1,) * (x.dim() - 1), dtype=x.dtype).bernoulli_(0.8)
        return x * keep / 0.8


class SqueezeExcitation(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.pool, self.down, self.up = nn.AdaptiveAvgPool2d(1), nn.Conv2d(n, 2, 1), nn.Conv2d(2, n, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.up(F.silu(self.down(self.pool(x)))))


class EfficientNet(nn.Module):
    """Depthwise convolution, squeeze and excitation, stochastic depth."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.SiLU())
        self.depthwise = nn.Sequential(nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False), nn.BatchNorm2d(6), nn.SiLU())
        self.excite, self.point, self.drop = SqueezeExcitation(6), nn.Conv2d(6, 6, 1), StochasticDepth()
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(6, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.drop(self.point(self.excite(self.depthwise(x))))
        y: torch.Tensor = self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return y


class LayerNorm2d(nn.LayerNorm):
    """torchvision's: over the channels of an image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Layer scale and permutations between channels first and last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 4, 4), LayerNorm2d(6)
        self.depthwise, self.inner = nn.Conv2d(6, 6, 7, padding=3, groups=6), nn.LayerNorm(6)
        self.wide, self.narrow = nn.Linear(6, 12), nn.Linear(12, 6)
        self.layer_scale, self.head = nn.Parameter(torch.full((6, 1, 1), 0.3)), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x))
        y = self.inner(self.depthwise(x).permute(0, 2, 3, 1))
        x = x + self.layer_scale * self.narrow(F.gelu(self.wide(y))).permute(0, 3, 1, 2)
        found: torch.Tensor = self.head(x.mean([-2, -1]))
        return found


class ShuffleNet(nn.Module):
    """Halves of the channels, shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.branch = nn.Sequential(
            nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, 1, 1, groups=4)
        )
        self.fc = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.stem(x).chunk(2, dim=1)
        y = torch.cat((left, self.branch(right)), dim=1)
        n, channels, height, width = y.size()
        y = y.view(n, 2, channels // 2, height, width).transpose(1, 2).contiguous().view(n, -1, height, width)
        found: torch.Tensor = self.fc(y.mean([2, 3]))
        return found


class DenseNet(nn.Module):
    """Each layer has all features before it, concatenated from a list."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(4 + 2 * k, 2, 3, padding=1) for k in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 2 * k) for k in range(3))
        self.fc = nn.Linear(10, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [self.stem(x)]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            features.append(layer(F.relu(norm(torch.cat(features, 1)))))
        y: torch.Tensor = self.fc(F.avg_pool2d(torch.cat(features, 1), 8).flatten(1))
        return y


class Inception(nn.Module):
    """Parallel branches, and a second classifier in training."""

    class Outputs(NamedTuple):
        logits: torch.Tensor
        aux: torch.Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (
            nn.Conv2d(3, 2, 1),
            nn.Conv2d(3, 2, (1, 7), padding=(0, 3)),
            nn.Conv2d(3, 3, 5, padding=2),
        )
        self.aux, self.fc = nn.Linear(7, 3), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> "Inception.Outputs":
        y = torch.cat([self.a(x), self.b(x), self.c(F.avg_pool2d(x, 3, 1, 1))], 1).relu().mean((2, 3))
        return self.Outputs(self.fc(y), self.aux(y) if self.training else None)


class Swin(nn.Module):
    """Attention in shifted windows with a table of relative positions."""

    def __init__(self, window: int = 4, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.window, self.heads = window, heads
        self.patches, self.norm = nn.Conv2d(3, width, 2, 2), nn.LayerNorm(width)
        self.qkv, self.proj, self.head = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.Linear(width, 3)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.1)
        place = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        apart = place[:, :, None] - place[:, None] + window - 1
        self.register_buffer("index", (apart[0] * (2 * window - 1) + apart[1]).flatten())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.patches(x).permute(0, 2, 3, 1))
        n, height, width, features = x.shape
        w = self.window
        y = torch.roll(x, (-w // 2, -w // 2), (1, 2)).view(n, height // w, w, width // w, w, features)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(-1, w * w, features)
        q, k, v = self.qkv(y).view(len(y), w * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index].view(w * w, w * w, -1).permute(2, 0, 1)
        y = ((q @ k.mT / math.sqrt(q.shape[-1]) + bias).softmax(-1) @ v).transpose(1, 2).reshape(-1, w * w, features)
        y = self.proj(y).view(n, height // w, width // w, w, w, features).permute(0, 1, 3, 2, 4, 5)
        y = torch.roll(y.reshape(n, height, width, features), (w // 2, w // 2), (1, 2)) + x
        found: torch.Tensor = self.head(y.mean((1, 2)))
        return found


class Bert(nn.Module):
    """Three embeddings, an extended mask from 0 and 1, a pooler."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.words, self.places, self.types = nn.Embedding(13, width), nn.Embedding(16, width), nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.pooler = nn.Linear(width, width)
        self.register_buffer("position_ids", torch.arange(16).expand(1, -1))

    def forward(
        self, input_ids: torch.Tensor, attention_mask: Any = None, token_type_ids: Any = None
    ) -> dict[str, Any]:
        length = input_ids.size(1)
        if attention_mask is None:
            attention_mask = torch.ones(input_ids.shape)
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        x = self.norm(self.words(input_ids) + self.places(self.position_ids[:, :length]) + self.types(types))
        extended = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -1e4
        q, k, v = (layer(x).view(*x.shape[:2], 2, -1).transpose(1, 2) for layer in (self.query, self.key, self.value))
        y = (q @ k.mT / math.sqrt(q.shape[-1]) + extended).softmax(-1) @ v
        x = self.norm(x + self.out(y.transpose(1, 2).flatten(2)))
        return {"last_hidden_state": x, "pooler_output": torch.tanh(self.pooler(x[:, 0]))}


class T5(nn.Module):
    """Relative biases by buckets, shared by two blocks; no scaling of scores; tied head."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.words, self.bias = nn.Embedding(13, width), nn.Embedding(6, 2)
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width, bias=False) for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(2))
        self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, 13, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x, time = self.words(ids), ids.shape[1]
        apart = (torch.arange(time)[None] - torch.arange(time)[:, None]).clamp(-3, 2) + 3
        bias = self.bias(apart).permute(2, 0, 1).unsqueeze(0)
        for qkv, out in zip(self.qkv, self.out, strict=True):
            q, k, v = qkv(self.norm(x)).view(*x.shape[:2], 3, 2, -1).permute(2, 0, 3, 1, 4)
            x = x + out(((q @ k.mT + bias).softmax(-1) @ v).transpose(1, 2).flatten(2))
        y: torch.Tensor = self.head(x)
        return y


class Experts(nn.Module):
    """A mixture of experts: each token goes to the two best of three, by index."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 3, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 12), nn.ReLU(), nn.Linear(12, width)) for _ in range(3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = x.shape
        x = x.reshape(-1, shape[-1])
        weights, chosen = self.gate(x).softmax(-1).topk(2, dim=-1)
        y = torch.zeros_like(x)
        for k, expert in enumerate(self.experts):
            rows, place = torch.where(chosen == k)
            y[rows] += weights[rows, place, None] * expert(x[rows])
        return y.view(shape)


class DenseExperts(Experts):
    """The same, with every expert for every token."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, chosen = self.gate(x).softmax(-1).topk(2, dim=-1)
        full = torch.zeros(*x.shape[:-1], 3, dtype=x.dtype).scatter(-1, chosen, weights)
        return torch.stack([expert(x) for expert in self.experts], -1).mul(full.unsqueeze(-2)).sum(-1)


class Clip(nn.Module):
    """Two encoders; the logits compare every image of a batch with every text."""

    def __init__(self, similarity: bool = True) -> None:
        super().__init__()
        self.image, self.text, self.similarity = nn.Linear(12, 6), nn.Linear(8, 6), similarity
        self.logit_scale = nn.Parameter(torch.tensor(1.2))

    def forward(self, pixels: torch.Tensor, tokens: torch.Tensor) -> Any:
        image, text = F.normalize(self.image(pixels), dim=-1), F.normalize(self.text(tokens), dim=-1)
        return self.logit_scale.exp() * image @ text.T if self.similarity else (image, text)


class Audio(nn.Module):
    """Strided convolutions, a bidirectional GRU, log-probabilities with the time first, as CTC takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(3, 6, 5, 2, 2), nn.BatchNorm1d(6), nn.ReLU())
        self.rnn, self.fc = nn.GRU(6, 5, batch_first=True, bidirectional=True), nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.rnn(self.conv(x).transpose(1, 2))
        return self.fc(y).log_softmax(-1).transpose(0, 1)


class Seq2Seq(nn.Module):
    """Bahdanau attention, teacher forcing, a loop over the target."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(9, width), nn.Embedding(7, width)
        self.encoder, self.cell = nn.GRU(width, width, batch_first=True), nn.GRUCell(2 * width, width)
        self.of_keys, self.of_state, self.score = nn.Linear(width, 5), nn.Linear(width, 5), nn.Linear(5, 1, bias=False)
        self.out = nn.Linear(width, 7)

    def forward(self, source: torch.Tensor, target: torch.Tensor, teacher: bool = True) -> torch.Tensor:
        keys, state = self.encoder(self.source(source))
        h, token, outputs = state[0], target[:, 0], []
        for step in range(target.size(1)):
            weights = self.score(torch.tanh(self.of_keys(keys) + self.of_state(h)[:, None])).softmax(1)
            h = self.cell(torch.cat([self.target(token), (weights * keys).sum(1)], 1), h)
            outputs.append(self.out(h))
            token = target[:, min(step + 1, target.size(1) - 1)] if teacher else outputs[-1].argmax(-1)
        return torch.stack(outputs, 1)


class TemporalConvolution(nn.Module):
    """Causal dilated convolutions that are cut at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(4, 4, 3, padding=2 * 2**k, dilation=2**k) for k in range(3))
        self.out = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x + layer(x)[..., : x.shape[-1]].relu()
        y: torch.Tensor = self.out(x[:, :, -1])
        return y
