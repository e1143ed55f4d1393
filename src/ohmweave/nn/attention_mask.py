"""The two masks of an attention as one tensor that is added to its scores."""

import torch

from ohmweave.base import OutOfRangeError, ShapeError, shown


def added_mask(
    attn_mask: torch.Tensor | None,
    key_padding_mask: torch.Tensor | None,
    *,
    sizes: tuple[int, int, int, int],
    n_chips: int,
    like: torch.Tensor,
) -> torch.Tensor | None:
    """A mask that can be expanded to `sizes`, with -inf where a key is not seen; None if there is no mask.

    Args:
        attn_mask: `(time, keys)`, `(batch * heads, time, keys)`, or with chips merged into the time `(chips * time,
            chips * keys)`, of which each chip has its own block on the diagonal. Boolean (True: not seen) or floating.
        key_padding_mask: `(batch, keys)`, `(keys,)` without a batch, or with chips merged into the time `(batch, chips
            * keys)`, or the mask of one chip for all.
        sizes: (chips * batch, heads, time, keys).
        n_chips: chips that are merged into the time, or 1.
        like: tensor of the dtype of a boolean mask's numbers.

    Raises:
        ShapeError: a mask has another shape.
        OutOfRangeError: it is neither boolean nor floating.
    """
    parts = []
    if attn_mask is not None:
        _check_kind("attn_mask", attn_mask)
        parts.append(_floating(_of_queries(attn_mask, sizes, n_chips), like))
    if key_padding_mask is not None:
        _check_kind("key_padding_mask", key_padding_mask)
        parts.append(_floating(_of_keys(key_padding_mask, sizes, n_chips), like))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _of_queries(mask: torch.Tensor, sizes: tuple[int, int, int, int], n_chips: int) -> torch.Tensor:
    n, heads, time, keys = sizes
    if tuple(mask.shape) == (time, keys):
        return mask
    if tuple(mask.shape) == (n * heads, time, keys):
        of_heads: torch.Tensor = mask.unflatten(0, (n, heads))
        return of_heads
    if tuple(mask.shape) == (n_chips * time, n_chips * keys):
        blocks: torch.Tensor = mask.unflatten(1, (n_chips, keys)).unflatten(0, (n_chips, time)).diagonal(dim1=0, dim2=2)
        return blocks.permute(2, 0, 1).repeat_interleave(n // n_chips, dim=0).unsqueeze(1)
    raise ShapeError(
        f"`attn_mask` must have the shape ({time}, {keys}) or ({n * heads}, {time}, {keys}), but has "
        f"{tuple(mask.shape)}"
    )


def _of_keys(mask: torch.Tensor, sizes: tuple[int, int, int, int], n_chips: int) -> torch.Tensor:
    n, _, _, keys = sizes
    mask = mask if mask.dim() > 1 else mask.unsqueeze(0)
    if n_chips > 1 and tuple(mask.shape) == (n // n_chips, n_chips * keys):
        mask = mask.unflatten(1, (n_chips, keys)).transpose(0, 1).flatten(0, 1)
    elif n_chips > 1 and tuple(mask.shape) == (n // n_chips, keys):
        mask = mask.repeat(n_chips, 1)
    if tuple(mask.shape) != (n, keys):
        raise ShapeError(f"`key_padding_mask` must have the shape ({n}, {keys}), but has {tuple(mask.shape)}")
    return mask[:, None, None, :]


def _check_kind(name: str, mask: torch.Tensor) -> None:
    if not isinstance(mask, torch.Tensor):
        raise TypeError(f"`{name}` must be a tensor, but is {shown(mask)}")
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise OutOfRangeError(f"`{name}` must be boolean or floating, but has {mask.dtype}")


def _floating(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if mask.is_floating_point():
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -torch.inf)
