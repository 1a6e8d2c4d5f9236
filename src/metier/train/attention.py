"""Attention over flattened rows: sequences lie end to end in one row and see only themselves.

Purpose: no padding is ever computed. Registered with Transformers' public AttentionInterface under the name
`metier_flat`, so any model that supports attention back ends can use it; neighbouring sequences of equal length share
one batched call. On a CPU, sequences up to 512 tokens take an explicit product with its own backward pass: PyTorch's
fused CPU kernel has a large fixed cost (measured: 28 ms against 4.8 ms for 64 sequences of 15 tokens, 12 heads, bf16).
Trade-off: the explicit product keeps its (length x length) probabilities for the backward pass.
Not covered: models with their own attention (DeBERTa, T5): those run padded; `network.py` checks each model.
Shapes: N tokens in the row, H heads, D head width, n sequences of length L in a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

NAME = "metier_flat"
EXPLICIT_LIMIT = 512  # tokens; longer sequences use the fused kernel, whose memory grows only linearly

Runs = tuple[tuple[int, int], ...]
_runs: ContextVar[Runs] = ContextVar("metier_runs")


@contextmanager
def layout(lengths: Sequence[int]) -> Iterator[None]:
    """Say how the row that goes through the model is cut: the lengths of its sequences, in order."""
    token = _runs.set(runs_of(lengths))
    try:
        yield
    finally:
        _runs.reset(token)


def runs_of(lengths: Sequence[int]) -> Runs:
    """Lengths as runs of equal length: (5, 5, 3) -> ((2, 5), (1, 3))."""
    runs: list[list[int]] = []
    for length in lengths:
        if runs and runs[-1][1] == length:
            runs[-1][0] += 1
        else:
            runs.append([1, length])
    return tuple((count, length) for count, length in runs)


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
    runs = _runs.get()
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    causal = bool(kwargs.get("is_causal", getattr(module, "is_causal", False)))
    window, softcap = kwargs.get("sliding_window"), kwargs.get("softcap")
    longest = max(length for _, length in runs)
    plain = not dropout and not softcap and not (window and longest > window)
    if plain and query.device.type == "cpu" and longest <= EXPLICIT_LIMIT:
        return _Explicit.apply(query, key, value, scale, causal, runs), None
    return _by_sdpa(query, key, value, scale, causal, dropout, window, softcap, runs), None


def _by_sdpa(query, key, value, scale, causal, dropout, window, softcap, runs) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """One fused call for each run; used for long sequences, dropout, sliding windows and on a GPU."""
    heads, width = query.shape[1], query.shape[3]
    sizes = [count * length for count, length in runs]
    pieces = []
    for (count, length), q, k, v in zip(runs, *(x[0].split(sizes, 1) for x in (query, key, value)), strict=True):
        q, k, v = (x.reshape(heads, count, length, width).transpose(0, 1) for x in (q, k, v))
        mask = _band(length, causal, window, q.device) if window and length > window else None
        if softcap:
            out = _softcapped(q, k, v, scale, causal, mask, softcap)
        else:
            out = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal and mask is None, scale=scale
            )
        pieces.append(out.transpose(1, 2).reshape(count * length, heads, width))
    return torch.cat(pieces).unsqueeze(0)


def _softcapped(q, k, v, scale, causal, mask, softcap) -> torch.Tensor:  # type: ignore[no-untyped-def]
    scores = torch.tanh(q @ k.transpose(-1, -2) * scale / softcap) * softcap
    if mask is None and causal:
        mask = _band(q.shape[2], True, None, q.device)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.float().softmax(-1).to(v.dtype) @ v


def _band(length: int, causal: bool, window: int | None, device: torch.device) -> torch.Tensor:
    """(L, L) True where a position may look: not ahead if causal, not `window` or more positions away."""
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)[None]
    allowed = distance >= 0 if causal else torch.ones_like(distance, dtype=torch.bool)
    return allowed & (distance.abs() < window) if window else allowed


class _Explicit(torch.autograd.Function):
    """softmax(Q K^T) V for each run, with the textbook backward pass; no dropout."""

    @staticmethod
    def forward(ctx, query, key, value, scale, causal, runs):  # type: ignore[no-untyped-def]
        heads, total, width = query.shape[1:]
        rows = [x[0].transpose(0, 1) for x in (query, key, value)]  # (N, H, D)
        out = torch.empty(total, heads, width, dtype=query.dtype)
        saved, start = [], 0
        for count, length in runs:
            end = start + count * length
            q, k, v = (_pack(x[start:end], count, length) for x in rows)
            scores = torch.bmm(q * scale, k.transpose(1, 2))
            if causal:
                scores = scores.masked_fill_(_ahead(length), float("-inf"))
            probabilities = torch.softmax(scores, -1)
            _unpack_into(out[start:end], torch.bmm(probabilities, v), count, length)
            saved += [q, k, v, probabilities]
            start = end
        ctx.save_for_backward(*saved)
        ctx.runs, ctx.scale, ctx.shape = runs, scale, (total, heads, width)
        return out.unsqueeze(0)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        gradient, saved, start = gradient[0], ctx.saved_tensors, 0
        out = [torch.empty(ctx.shape, dtype=gradient.dtype) for _ in range(3)]
        for index, (count, length) in enumerate(ctx.runs):
            q, k, v, probabilities = saved[4 * index : 4 * index + 4]
            end = start + count * length
            g = _pack(gradient[start:end], count, length)
            d_scores = torch._softmax_backward_data(
                torch.bmm(g, v.transpose(1, 2)), probabilities, -1, probabilities.dtype
            )
            _unpack_into(out[0][start:end], torch.bmm(d_scores, k).mul_(ctx.scale), count, length)
            _unpack_into(out[1][start:end], torch.bmm(d_scores.transpose(1, 2), q).mul_(ctx.scale), count, length)
            _unpack_into(out[2][start:end], torch.bmm(probabilities.transpose(1, 2), g), count, length)
            start = end
        return *(x.transpose(0, 1).unsqueeze(0) for x in out), None, None, None


def _pack(rows: torch.Tensor, count: int, length: int) -> torch.Tensor:
    """(n*L, H, D) -> (n*H, L, D)."""
    heads, width = rows.shape[1:]
    return rows.reshape(count, length, heads, width).transpose(1, 2).reshape(count * heads, length, width)


def _unpack_into(rows: torch.Tensor, packed: torch.Tensor, count: int, length: int) -> None:
    """Write (n*H, L, D) back into (n*L, H, D)."""
    heads, width = rows.shape[1:]
    rows.view(count, length, heads, width).copy_(packed.view(count, heads, length, width).transpose(1, 2))


def _ahead(length: int) -> torch.Tensor:
    return torch.ones(length, length, dtype=torch.bool).triu_(1)


def _no_mask(*args: Any, **kwargs: Any) -> None:
    """The layout replaces every mask."""
    return None
