"""Causal attention over a tree of shared beginnings, without paying for what is masked.

Purpose: in a row of `sharing.py` a token sees its ancestors' tokens and the tokens before it in its own node. Seen
from the keys this is two dense pieces a node: the node's own tokens, causally, and all its descendants (which lie
behind it in one stretch, for the order is depth first), without any mask. Each piece is one fused call, and the
pieces of a query are merged by their log-sum-exp. In the backward pass the fused kernel is given the merged output
and log-sum-exp, which makes each piece's gradient exact (the identity that FlashAttention's own blocks rest on: Dao
et al. 2022, appendix B). So neither a (tokens x tokens) mask nor its scores ever exist.
Registered with Transformers' AttentionInterface as `metier_tree`. On a GPU the same rule is a FlexAttention mask:
`key <= query < ends[key]`, and blocks that it leaves empty are skipped there.
Trade-off: models with a sliding window or capped scores fall back to a dense mask, exact but not cheap.
Not covered: dropout on attention weights (an error); encoders.
Shapes: N tokens, H heads, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

from metier.train.attention import Layout, cut
from metier.train.sharing import Row

NAME = "metier_tree"
_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True)
class Tree:
    """A row as attention needs it. shared: (start, stop, end) of every node that has descendants."""

    own: Layout
    shared: tuple[tuple[int, int, int], ...]
    ends: torch.Tensor  # (N,) see Row.ends
    positions: torch.Tensor  # (N,)
    longest: int  # tokens from a root to its farthest leaf


TREE: ContextVar[Tree] = ContextVar("metier_tree")


@contextmanager
def tree(row: Row, device: Any = "cpu") -> Iterator[None]:
    """Say which row goes through the model."""
    shared = tuple((node.start, node.stop, node.end) for node in row.nodes if node.end > node.stop)
    layout = cut([node.stop - node.start for node in row.nodes], device)
    positions = torch.from_numpy(row.positions)
    found = Tree(layout, shared, torch.from_numpy(row.ends).to(device), positions.to(device), int(positions.max()) + 1)
    token = TREE.set(found)
    try:
        yield
    finally:
        TREE.reset(token)


def install() -> None:
    """Register the attention with Transformers (harmless when done twice)."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, tree_attention)
    AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)  # the tree replaces every mask


def tree_attention(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attention_mask: torch.Tensor | None, scaling: float | None = None, dropout: float = 0.0, **kwargs: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Query (1, H, N, D), key and value (1, H or fewer, N, D) -> (1, N, H, D)."""
    assert not dropout, "attention dropout is not possible over a tree; network.py switches it off"
    here = TREE.get()
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    kind = value.dtype  # under autocast rotary positions come out in float32
    query, key = query.to(kind), key.to(kind)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    window, softcap = kwargs.get("sliding_window"), kwargs.get("softcap")
    if softcap or (window and here.longest > window):
        out = _dense(query, key, value, scale, here, window, softcap)
    elif query.device.type == "cpu":  # the fused backward pass is five to ten times slower in bfloat16 here
        out = _Pieces.apply(query.float(), key.float(), value.float(), scale, here).to(kind)
    else:
        out = _flex(query, key, value, scale, here)
    return out.transpose(1, 2), None


def allowed(ends: torch.Tensor) -> torch.Tensor:
    """(N, N) True where the row's token may look at the column's."""
    place = torch.arange(len(ends), device=ends.device)
    return (place[None] <= place[:, None]) & (place[:, None] < ends[None])


class _Pieces(torch.autograd.Function):
    """(1, H, N, D) in and out; see the module's docstring."""

    @staticmethod
    def forward(ctx, query, key, value, scale, here):  # type: ignore[no-untyped-def]
        out = torch.empty(query.shape, dtype=torch.float32)
        total = torch.empty(query.shape[:3], dtype=torch.float32)
        for block, q, k, v, where in _own(here.own, query, key, value):
            piece, log = _FLASH(q, k, v, 0.0, True, scale=scale)
            _put(out, piece, block, where)
            _put(total[..., None], log[..., None], block, where)
        for start, stop, end in here.shared:
            below = slice(stop, end)
            piece, log = _FLASH(query[:, :, below], key[:, :, start:stop], value[:, :, start:stop], 0.0, False,
                                scale=scale)  # fmt: skip
            before = total[:, :, below]
            both = torch.logaddexp(before, log)
            out[:, :, below] *= (before - both).exp()[..., None]
            out[:, :, below] += piece * (log - both).exp()[..., None]
            total[:, :, below] = both
        out = out.to(query.dtype)
        ctx.save_for_backward(query, key, value, out, total)
        ctx.scale, ctx.here = scale, here
        return out

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        query, key, value, out, total = ctx.saved_tensors
        here, scale = ctx.here, ctx.scale
        gradient = gradient.contiguous()
        found = [torch.empty(query.shape, dtype=torch.float32) for _ in range(3)]
        for block, q, k, v, where in _own(here.own, query, key, value):
            g, o, t = (_take(x, block, where) for x in (gradient, out, total[..., None]))
            if block.padding is not None:  # a padded query repeats a real token, whose gradient counts once
                g = g.masked_fill(block.padding[:, None, :, None], 0)
                # Its scores are not those that its log-sum-exp was made of, and might overflow: probability 0 instead.
                t = t.masked_fill(block.padding[:, None, :, None], 1e30)
            pieces = _FLASH_BACKWARD(g, q, k, v, o, t[..., 0], 0.0, True, scale=scale)
            for target, piece in zip(found, pieces, strict=True):
                _put(target, piece, block, where)
        for start, stop, end in here.shared:
            below, node = slice(stop, end), slice(start, stop)
            pieces = _FLASH_BACKWARD(
                gradient[:, :, below], query[:, :, below], key[:, :, node], value[:, :, node], out[:, :, below],
                total[:, :, below], 0.0, False, scale=scale,
            )  # fmt: skip
            for target, place, piece in zip(found, (below, node, node), pieces, strict=True):
                target[:, :, place] += piece
        return *(part.to(query.dtype) for part in found), None, None


def _own(layout: Layout, *rows: torch.Tensor) -> Iterator[tuple[Any, ...]]:
    """Each block of nodes of nearly equal length with its (n, H, L, D) parts of the rows, and its first place."""
    start = 0
    for block in layout.blocks:
        yield block, *(_take(row, block, start) for row in rows), start
        start += sum(block.lengths)


def _take(row: torch.Tensor, block: Any, start: int) -> torch.Tensor:
    """(1, H, N, D) -> (n, H, L, D); padding repeats the node's first token, and causality hides it from real ones."""
    heads, width = row.shape[1], row.shape[3]
    size = block.count * block.longest
    flat = row[0, :, start : start + size] if block.gather is None else row[0].index_select(1, block.gather)
    return flat.reshape(heads, block.count, block.longest, width).transpose(0, 1)


def _put(row: torch.Tensor, piece: torch.Tensor, block: Any, start: int) -> None:
    """Write the real tokens of (n, H, L, D) back to their places in (1, H, N, D)."""
    flat = piece.transpose(0, 1).reshape(piece.shape[1], -1, piece.shape[3])
    if block.padding is not None:
        flat = flat[:, ~block.padding.flatten()]
    row[0, :, start : start + sum(block.lengths)] = flat.to(row.dtype)


def _dense(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, here: Tree, window: int | None,
    softcap: float | None,
) -> torch.Tensor:  # fmt: skip
    """By a mask over all pairs of tokens: for sliding windows (in positions, not places) and capped scores."""
    mask = allowed(here.ends)
    if window:
        mask = mask & (here.positions[:, None] - here.positions[None] < window)
    if not softcap:
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    scores = torch.tanh(query @ key.transpose(-1, -2) * scale / softcap) * softcap
    return scores.masked_fill(~mask, float("-inf")).float().softmax(-1).to(value.dtype) @ value


def _flex(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, here: Tree) -> torch.Tensor:
    """The same rule as a FlexAttention mask, whose empty blocks cost nothing."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    ends, length = here.ends, query.shape[2]

    def sees(batch: Any, head: Any, place: Any, other: Any) -> Any:
        return (other <= place) & (place < ends[other])

    mask = create_block_mask(sees, None, None, length, length, device=query.device.type)
    attend: Any = torch.compile(flex_attention, dynamic=True) if query.is_cuda else flex_attention
    return attend(query, key, value, block_mask=mask, scale=scale)
