"""`torch.nn.MultiheadAttention` of linear layers that can be placed on a chip, one for each projection.

The projections of queries, keys and values (`in_proj`) and of the heads' outputs (`out_proj`) are products with
weights. The products of queries with keys and of the attention weights with values are products of activations: no cell
holds a factor of them, so they are digital. Equations: A. Vaswani et al., NeurIPS 30 (2017), as torch computes them.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from ohmweave.base import ShapeError
from ohmweave.nn.attention_mask import added_mask
from ohmweave.nn.chip_batch import n_repeats
from ohmweave.nn.chip_time import Layout
from ohmweave.nn.composite import SequenceLayer, ToLayers, linear_of, register_composite
from ohmweave.nn.further_inputs import check_dims, check_like


class MultiheadAttention(SequenceLayer):
    """Attention with its projections in linear layers: `in_proj` and `out_proj`.

    `in_proj` is one matrix for queries, keys and values, as in torch. If they are three views of one tensor, it is
    read once for all; otherwise once for the queries and once or twice for keys and values, each time with all columns.
    With `kdim` or `vdim` there are three matrices, `q_proj`, `k_proj` and `v_proj`, whose `in_proj_bias` is shared by
    all chips.

    Args:
        like: torch's layer, of which this one has sizes, options and parameters.
    """

    digital_products = "products of queries, keys and values"

    def __init__(self, like: torch.nn.MultiheadAttention) -> None:
        super().__init__()
        self.embed_dim, self.kdim, self.vdim = like.embed_dim, like.kdim, like.vdim
        self.num_heads, self.head_dim, self.dropout = like.num_heads, like.head_dim, like.dropout
        self.batch_first, self.add_zero_attn = like.batch_first, like.add_zero_attn
        self._qkv_same_embed_dim = like._qkv_same_embed_dim
        own = like._parameters
        if like._qkv_same_embed_dim:
            self.in_proj = linear_of(like.in_proj_weight, own["in_proj_bias"])
        else:
            self.q_proj, self.k_proj, self.v_proj = (
                linear_of(weight, None) for weight in (like.q_proj_weight, like.k_proj_weight, like.v_proj_weight)
            )
            self.register_parameter("in_proj_weight", None)
            self.register_parameter("in_proj_bias", own["in_proj_bias"])
        self.out_proj = linear_of(like.out_proj.weight, like.out_proj._parameters["bias"])
        self.register_parameter("bias_k", own.get("bias_k"))
        self.register_parameter("bias_v", own.get("bias_v"))

    def __getattr__(self, name: str) -> Any:
        """`in_proj_weight` and `in_proj_bias`, at which torch's transformer layers look."""
        layer = self.__dict__.get("_modules", {}).get("in_proj")
        if layer is not None and name in ("in_proj_weight", "in_proj_bias"):
            return layer._parameters[name.removeprefix("in_proj_")]
        return super().__getattr__(name)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attention, as torch's layer computes it.

        Args:
            query: `(time, batch, features)`, `(batch, time, features)` with `batch_first`, or `(time, features)`. On
                several chips the batch is (chips * batch).
            key: likewise, with a time of its own.
            value: likewise, with the time of `key`.
            key_padding_mask: `(batch, time of the keys)`, True or -inf where a key is padding.
            need_weights: True returns the attention weights.
            attn_mask: `(time, time of the keys)` or `(batch * heads, time, time of the keys)`, True or -inf where a
                query must not see a key; other numbers are added.
            average_attn_weights: True returns the mean of the weights over the heads.
            is_causal: a hint that `attn_mask` is causal; the mask itself is used.

        Returns:
            The output in the order of `query`, and the weights `(batch, [heads,] time, time of the keys)` or None.

        Raises:
            ShapeError: an argument has another shape.
        """
        masks = (attn_mask, key_padding_mask)
        return self._attend(None, (query, key, value), masks, need_weights, average_attn_weights)

    def with_chips_first(
        self,
        n_chips: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `forward`, of `(chips * time, batch, features)`; a mask may be of one chip or of all chips' time steps."""
        n = None if self.batch_first and query.dim() == 3 else n_chips
        if n is not None and n > 1 and key.shape[0] != query.shape[0]:
            # A key that is given from outside does not have the chips: its time would be cut into chips.
            raise ShapeError(
                f"`key` must have the time of `query`, {query.shape[0]} with the chips, on several chips, but has "
                f"{key.shape[0]}: make the layer with `batch_first=True`"
            )
        masks = (attn_mask, key_padding_mask)
        return self._attend(n, (query, key, value), masks, need_weights, average_attn_weights)

    def _attend(
        self,
        n_chips: int | None,
        inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        masks: tuple[torch.Tensor | None, torch.Tensor | None],
        need_weights: bool,
        average: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        check_dims("query", inputs[0], (2, 3))
        layout = Layout(batch_first=self.batch_first, batched=inputs[0].dim() > 2, n_chips=n_chips)
        x = self._sequences(inputs, layout)
        # Before the projections, so that a mask that is refused leaves the array as it was.
        sizes = (x[0].shape[0], self.num_heads, x[0].shape[1], x[1].shape[1])
        mask = added_mask(*masks, sizes=sizes, n_chips=n_chips or n_repeats(), like=x[0])
        q, k, v = self._projected(inputs, x)
        mask = None if mask is None else mask.to(q.dtype)  # autocast may have made it another
        k, v, mask = self._extended(k, v, mask)
        heads = [part.unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2) for part in (q, k, v)]
        if self.add_zero_attn:
            heads[1:] = [F.pad(part, (0, 0, 0, 1)) for part in heads[1:]]
            mask = None if mask is None else F.pad(mask, (0, 1))
        y, weights = self._weighted(heads, mask, need_weights)
        out = layout.sequence_back(self.out_proj(y.transpose(1, 2).flatten(2)))
        if weights is None:
            return out, None
        weights = weights.mean(dim=1) if average else weights
        return out, weights if layout.batched or n_chips is not None else weights.squeeze(0)

    def _sequences(self, inputs: Sequence[torch.Tensor], layout: Layout) -> list[torch.Tensor]:
        """The inputs as `(chips * batch, time, features)`, checked before any of them is read."""
        x: list[torch.Tensor] = []
        features = (self.embed_dim, self.kdim, self.vdim)
        for one, name, n in zip(inputs, ("query", "key", "value"), features, strict=True):
            check_dims(name, one, (inputs[0].dim(),))
            x.append(layout.sequence(one, name))
            time = (x[0] if name == "query" else x[-1] if name == "key" else x[1]).shape[1]
            check_like(name, x[-1], (x[0].shape[0], time, n), x[0])
        return x

    def _projected(self, inputs: Sequence[torch.Tensor], x: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Queries, keys and values, each `(chips * batch, time, embed_dim)`."""
        query, key, value = inputs
        if not self._qkv_same_embed_dim:
            parts = [self.q_proj(x[0]), self.k_proj(x[1]), self.v_proj(x[2])]
            bias = self.in_proj_bias
            return parts if bias is None else [y + b for y, b in zip(parts, bias.chunk(3), strict=True)]
        if query is key and key is value:
            return list(self.in_proj(x[0]).chunk(3, dim=-1))
        of_key = self.in_proj(x[1]).chunk(3, dim=-1)
        of_value = of_key if key is value else self.in_proj(x[2]).chunk(3, dim=-1)
        return [self.in_proj(x[0]).chunk(3, dim=-1)[0], of_key[1], of_value[2]]

    def _extended(
        self, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Keys and values with `bias_k` and `bias_v` behind them, which every query sees."""
        if self.bias_k is None or self.bias_v is None:
            return k, v, mask
        k, v = (
            torch.cat([part, more.expand(part.shape[0], 1, -1)], dim=1)
            for part, more in ((k, self.bias_k), (v, self.bias_v))
        )
        return k, v, None if mask is None else F.pad(mask, (0, 1))

    def _weighted(
        self, heads: Sequence[torch.Tensor], mask: torch.Tensor | None, need_weights: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Values weighted by attention, `(chips * batch, heads, time, head_dim)`, and the weights if needed."""
        q, k, v = heads
        dropout = self.dropout if self.training else 0.0
        if not need_weights:
            return F.scaled_dot_product_attention(q, k, v, mask, dropout), None
        scores = q * self.head_dim**-0.5 @ k.mT
        weights = (scores if mask is None else scores + mask).softmax(dim=-1)
        weights = F.dropout(weights, dropout) if dropout else weights
        return weights @ v, weights

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"{self.embed_dim}, num_heads={self.num_heads}"


def _parameters(module: torch.nn.MultiheadAttention) -> tuple[str, ...]:
    into = ("in_proj_weight",) if module._qkv_same_embed_dim else ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    bias = () if module._parameters.get("in_proj_bias", None) is None else ("in_proj_bias", "out_proj.bias")
    more = () if module.bias_k is None else ("bias_k", "bias_v")
    return (*into, "out_proj.weight", *bias, *more)


TO_LAYERS = register_composite(
    ToLayers(module=torch.nn.MultiheadAttention, build=MultiheadAttention, parameters=_parameters)
)
