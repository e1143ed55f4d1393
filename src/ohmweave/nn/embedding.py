"""`torch.nn.Embedding` on a chip: a token drives one row, a one-hot read.

It is digital unless it is asked for (`layers={"embedding": OnChip()}`), because a look-up in a memory needs no product.
"""

import torch
import torch.nn.functional as F

from ohmweave.base import OutOfRangeError, ShapeError, check_integer, shown
from ohmweave.mapping import Chip
from ohmweave.nn.array_product import array_product
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.layer_registry import ToChip, register_layer
from ohmweave.nn.on_chip import OnChip


class Embedding(ChipLayer):
    """An embedding on a chip: integers `(chips * batch, ...)` to vectors `(chips * batch, ..., embedding_dim)`.

    `weight` is `(*chips, embedding_dim, num_embeddings)`, torch's transposed: a token is a row of the array, which is
    driven at the full read voltage. All rows of its tiles are driven, the others with 0 V.

    Args:
        num_embeddings, embedding_dim: as in torch.
        padding_idx: as in torch: this token's vector receives no gradient. None has no such token.
        chip: holds the cells.
        name: of the placement on the chip.
        on_chip: mapping, scaling and place; None takes the defaults of `OnChip`.

    Raises:
        OutOfRangeError: an argument is out of range.
        ChipFullError: there is no room.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        chip: Chip,
        name: str,
        on_chip: OnChip | None = None,
    ) -> None:
        check_integer("num_embeddings", num_embeddings, at_least=1)
        check_integer("embedding_dim", embedding_dim, at_least=1)
        if padding_idx is not None:
            check_integer("padding_idx", padding_idx, at_least=-num_embeddings, at_most=num_embeddings - 1)
        (on_chip or OnChip()).refuse_transposed("an embedding")
        super().__init__((on_chip or OnChip()).matrix(chip, name, (embedding_dim, num_embeddings)), bias=False)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`(chips * batch, ...)` integers to `(chips * batch, ..., embedding_dim)`.

        Raises:
            OutOfRangeError: `tokens` are no integers, or one is not in the table.
        """
        if not isinstance(tokens, torch.Tensor):
            raise TypeError(f"`tokens` must be a tensor of integers, but is {shown(tokens)}")
        if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
            raise OutOfRangeError(f"`tokens` must be integers, but are {tokens.dtype}")
        if tokens.dim() < 1:
            raise ShapeError("`tokens` must have the shape (batch, ...), but is a single number")
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.num_embeddings:
            raise OutOfRangeError(
                f"`tokens` must be from 0 to {self.num_embeddings - 1}, but are from {int(tokens.min())} to "
                f"{int(tokens.max())}"
            )
        y: torch.Tensor = self.guarded(F.one_hot(tokens.long(), self.num_embeddings).to(self.weight.dtype))
        return y

    def rows_of(self, tokens: torch.Tensor) -> torch.Tensor:
        """One: a token drives its row at full scale."""
        return torch.ones(1, dtype=self.weight.dtype, device=tokens.device)

    def on_array(self, one_hot: torch.Tensor) -> torch.Tensor:
        """Vectors of one-hot rows `(chips * batch, ..., num_embeddings)`, on the array."""
        y = array_product(one_hot.flatten(0, -2), self.weight)
        if self.padding_idx is not None:
            padded = one_hot.flatten(0, -2)[:, self.padding_idx, None] > 0
            y = torch.where(padded, y.detach(), y)
        return y.view(*one_hot.shape[:-1], self.embedding_dim)

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"{self.num_embeddings}, {self.embedding_dim}, on {self.matrix.name!r}"


def _build(module: torch.nn.Embedding, chip: Chip, name: str, on_chip: OnChip) -> Embedding:
    sizes = (module.num_embeddings, module.embedding_dim, module.padding_idx)
    return Embedding(*sizes, chip=chip, name=name, on_chip=on_chip)


def _refuse(module: torch.nn.Embedding) -> str | None:
    options = {
        "max_norm": module.max_norm is not None,
        "scale_grad_by_freq": module.scale_grad_by_freq,
        "sparse": module.sparse,
    }
    used = [name for name, is_used in options.items() if is_used]
    return f"{' and '.join(used)} cannot be kept on a chip" if used else None


TO_CHIP = register_layer(
    ToChip(
        module=torch.nn.Embedding,
        build=_build,
        weight=lambda module: module.weight.T,
        bias=lambda module: None,
        parameters=("weight",),
        refuse=_refuse,
        unasked=False,
    )
)
