"""Attention over flattened rows: sequences lie end to end in one row and see only themselves.

Purpose: linear layers never compute padding. Registered with Transformers' public AttentionInterface under the name
`metier_flat`, so any model that supports attention back ends can use it. Sequences of nearly equal length are packed
into one block for the attention product alone (a few masked positions there cost little, a call for every length
costs much). On a CPU, sequences up to 512 tokens take an explicit product with its own backward pass: PyTorch's fused
CPU kernel has a large fixed cost for short sequences (`python benchmarks/attention.py` times them side by side).
Trade-off: the explicit product keeps its (length x length) probabilities for the backward pass.
Not covered: models with their own attention (DeBERTa, T5): those run padded; `network.py` checks each model.
Shapes: N tokens in the row, H heads, D head width; a block holds n sequences padded to L tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

NAME = "metier_flat"
EXPLICIT_LIMIT = 512  # tokens; longer sequences use the fused kernel, whose memory grows only linearly
SLACK = 1.25  # longest by shortest sequence of a block, plus two tokens


@dataclass(frozen=True)
class Block:
    """n sequences of nearly equal length: lengths, and where their tokens lie in the row."""

    lengths: tuple[int, ...]
    gather: torch.Tensor | None  # (n * L,) row positions, padding points at a real token; None: no padding inside
    padding: torch.Tensor | None  # (n, L) True at padding

    @property
    def count(self) -> int:
        return len(self.lengths)

    @property
    def longest(self) -> int:
        return max(self.lengths)


@dataclass(frozen=True)
class Layout:
    """How a row is cut. `restore` (N,) finds every token again in the blocks laid end to end; None: in order."""

    blocks: tuple[Block, ...]
    restore: torch.Tensor | None

    @property
    def longest(self) -> int:
        return max(block.longest for block in self.blocks)


LAYOUT: ContextVar[Layout] = ContextVar("metier_layout")


@contextmanager
def layout(lengths: Sequence[int], device: Any = "cpu") -> Iterator[None]:
    """Say how the row that goes through the model is cut: the lengths of its sequences, in order."""
    token = LAYOUT.set(cut(lengths, device))
    try:
        yield
    finally:
        LAYOUT.reset(token)


def cut(lengths: Sequence[int], device: Any = "cpu") -> Layout:
    """Neighbouring sequences of nearly equal length into blocks; sort by length beforehand for few blocks."""
    groups: list[list[int]] = []
    for length in lengths:
        if groups and max(*groups[-1], length) <= SLACK * min(*groups[-1], length) + 2:
            groups[-1].append(length)
        else:
            groups.append([length])
    blocks: list[Block] = []
    restore: list[torch.Tensor] = []
    start = packed = 0
    for group in groups:
        longest, sizes = max(group), torch.tensor(group)
        starts = start + sizes.cumsum(0) - sizes
        inside = torch.arange(longest)[None] < sizes[:, None]  # (n, L)
        positions = (starts[:, None] + torch.arange(longest)[None]).where(inside, starts[:, None])
        even = bool(inside.all())
        blocks.append(Block(tuple(group), None if even else positions.flatten().to(device),
                            None if even else (~inside).to(device)))  # fmt: skip
        restore.append(packed + inside.flatten().nonzero()[:, 0])
        start, packed = start + sum(group), packed + len(group) * longest
    same = all(block.gather is None for block in blocks)
    return Layout(tuple(blocks), None if same else torch.cat(restore).to(device))


def install() -> None:
    """Register the attention with Transformers (harmless when done twice)."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, flat_attention)
    AttentionMaskInterface.register(NAME, _no_mask)


def flat_attention(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attention_mask: torch.Tensor | None, scaling: float | None = None, dropout: float = 0.0, **kwargs: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Query (1, H, N, D), key and value (1, H or fewer, N, D) -> (1, N, H, D), each sequence by itself."""
    cuts = LAYOUT.get()
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    causal = bool(kwargs.get("is_causal", getattr(module, "is_causal", False)))
    window, softcap = kwargs.get("sliding_window"), kwargs.get("softcap")
    plain = not dropout and not softcap and not (window and cuts.longest > window)
    if plain and query.device.type == "cpu" and cuts.longest <= EXPLICIT_LIMIT:
        out = _Explicit.apply(query[0], key[0], value[0], scale, causal, cuts)
    else:
        options = _Options(scale, causal, dropout, window, softcap)
        pieces = [_fused(query[0], key[0], value[0], block, start, options) for block, start in _starts(cuts)]
        out = torch.cat(pieces, 1)
        out = out if cuts.restore is None else out.index_select(1, cuts.restore)
    return out.transpose(0, 1).unsqueeze(0), None


@dataclass(frozen=True)
class _Options:
    scale: float
    causal: bool
    dropout: float
    window: int | None
    softcap: float | None


def _starts(cuts: Layout) -> Iterator[tuple[Block, int]]:
    """Each block with its first row position."""
    start = 0
    for block in cuts.blocks:
        yield block, start
        start += sum(block.lengths)


def _take(rows: torch.Tensor, block: Block, start: int) -> torch.Tensor:
    """(H, N, D) -> the block's (H, n * L, D), contiguous."""
    if block.gather is None:
        return rows[:, start : start + block.count * block.longest].contiguous()
    return rows.index_select(1, block.gather)


def _fused(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, block: Block, start: int, options: _Options
) -> torch.Tensor:
    """(H, n * L, D) by PyTorch's fused attention; for long sequences, dropout, sliding windows and on a GPU."""
    heads, width, count, length = query.shape[0], query.shape[2], block.count, block.longest
    q, k, v = (_take(x, block, start).view(heads, count, length, width).transpose(0, 1) for x in (query, key, value))
    mask = None
    if block.padding is not None or options.softcap or (options.window and length > options.window):
        mask = _band(length, options.causal, options.window, query.device)[None, None]
        mask = mask if block.padding is None else mask & ~block.padding[:, None, None]
    if options.softcap:
        scores = torch.tanh(q @ k.transpose(-1, -2) * options.scale / options.softcap) * options.softcap
        scores = scores.masked_fill(~mask, float("-inf"))  # type: ignore[operator]
        out = scores.float().softmax(-1).to(v.dtype) @ v
    else:
        out = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=options.dropout, is_causal=options.causal and mask is None,
            scale=options.scale,
        )  # fmt: skip
    return out.transpose(0, 1).reshape(heads, count * length, width)


def _band(length: int, causal: bool, window: int | None, device: torch.device) -> torch.Tensor:
    """(L, L) True where a position may look: not ahead if causal, not `window` or more positions away."""
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)[None]
    allowed = distance >= 0 if causal else torch.ones_like(distance, dtype=torch.bool)
    return allowed & (distance.abs() < window) if window else allowed


class _Explicit(torch.autograd.Function):
    """softmax(Q K^T) V for each block, with the textbook backward pass; no dropout. (H, N, D) in and out."""

    @staticmethod
    def forward(ctx, query, key, value, scale, causal, cuts):  # type: ignore[no-untyped-def]
        heads, _, width = query.shape
        pieces, saved = [], []
        for block, start in _starts(cuts):
            shape = (heads * block.count, block.longest, width)
            q, k, v = (_take(x, block, start).view(shape) for x in (query, key, value))
            scores = torch.bmm(q, k.transpose(1, 2)).mul_(scale)
            if block.padding is not None:
                _by_sequence(scores, heads).masked_fill_(block.padding[None, :, None], float("-inf"))
            if causal:
                scores.masked_fill_(_ahead(block.longest), float("-inf"))
            probabilities = torch.softmax(scores, -1)
            pieces.append(torch.bmm(probabilities, v).view(heads, -1, width))
            if any(ctx.needs_input_grad):  # where it is only read, a block is forgotten before the next
                saved += [q, k, v, probabilities]
        ctx.save_for_backward(*saved)
        ctx.cuts, ctx.scale = cuts, scale
        return _join(pieces, cuts)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        heads, _, width = gradient.shape
        pieces: tuple[list[torch.Tensor], ...] = ([], [], [])
        saved = ctx.saved_tensors  # taken once: a layer that is computed again gives them once only
        for index, (block, start) in enumerate(_starts(ctx.cuts)):
            q, k, v, probabilities = saved[4 * index : 4 * index + 4]
            g = _take(gradient, block, start).view(q.shape)
            if block.padding is not None:  # padding points at a real token, whose gradient must count once
                _by_sequence(g, heads).masked_fill_(block.padding[None, :, :, None], 0)
            d_scores = torch._softmax_backward_data(
                torch.bmm(g, v.transpose(1, 2)), probabilities, -1, probabilities.dtype
            ).mul_(ctx.scale)
            pieces[0].append(torch.bmm(d_scores, k).view(heads, -1, width))
            pieces[1].append(torch.bmm(d_scores.transpose(1, 2), q).view(heads, -1, width))
            pieces[2].append(torch.bmm(probabilities.transpose(1, 2), g).view(heads, -1, width))
        return *(_join(part, ctx.cuts) for part in pieces), None, None, None


def _by_sequence(blocks: torch.Tensor, heads: int) -> torch.Tensor:
    """(H * n, ...) seen as (H, n, ...)."""
    return blocks.view(heads, -1, *blocks.shape[1:])


def _join(pieces: list[torch.Tensor], cuts: Layout) -> torch.Tensor:
    """Blocks (H, n * L, D) -> the row (H, N, D) in its own order, padding left out."""
    joined = pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)
    return joined if cuts.restore is None else joined.index_select(1, cuts.restore)


def _ahead(length: int) -> torch.Tensor:
    return torch.ones(length, length, dtype=torch.bool).triu_(1)


def _no_mask(*args: Any, **kwargs: Any) -> None:
    """The layout replaces every mask."""
    return None
