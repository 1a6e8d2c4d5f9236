"""Cross-entropy of a language model's head at labelled places only, in pieces that never hold all logits.

Purpose: with a vocabulary of 150,000 the logits of one long row are gigabytes. Hidden states of unlabelled places never
reach the head, and those of labelled ones do so a chunk at a time: each chunk's logits become a loss and the gradients
of hidden states and weights at once, and are forgotten. Peak memory is that of one chunk, whatever the row's length.
Trade-off: the weight's gradient is accumulated in float32 beside the weight. A head with adapters, a bias or a
rescaling is called as the module it is, under activation checkpointing: as frugal, a third more arithmetic.
Not covered: label smoothing; heads that need more than the hidden state.
Shapes: P labelled places, C width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

CHUNK_BYTES = 64 << 20  # of one chunk's logits in float32: small beside a model, large enough for full-speed products


def chunk_of(vocabulary: int) -> int:
    """Places in one chunk."""
    return max(16, CHUNK_BYTES // (4 * vocabulary))


def labelled_losses(head: Any, hidden: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """hidden (P, C), targets (P,) int64, weights (P,) float32 -> scalar: the weighted sum of the losses.

    The gradient flows to `hidden` and to the head.
    """
    if type(head) is torch.nn.Linear and head.bias is None:
        return _Fused.apply(hidden, head.weight, targets, weights)
    return (per_place(head, hidden, targets) * weights).sum()


def per_place(head: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor, targets: torch.Tensor) -> Any:
    """(P,) float32: the loss of each place, for evaluation, preferences, and heads that are not a plain product."""

    def piece(states: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(head(states).float(), wanted, reduction="none")

    vocabulary = getattr(head, "out_features", None) or 65536
    pieces = [
        checkpoint(piece, states, wanted, use_reentrant=False) if torch.is_grad_enabled() else piece(states, wanted)
        for states, wanted in zip(hidden.split(chunk_of(vocabulary)), targets.split(chunk_of(vocabulary)), strict=True)
    ]
    return torch.cat(pieces) if pieces else hidden.new_zeros(0, dtype=torch.float32)


class _Fused(torch.autograd.Function):
    """Loss and gradients of a plain head in one pass over its chunks."""

    @staticmethod
    def forward(ctx, hidden, weight, targets, weights):  # type: ignore[no-untyped-def]
        active = torch.is_autocast_enabled(hidden.device.type)
        kind = torch.get_autocast_dtype(hidden.device.type) if active else hidden.dtype
        learns = ctx.needs_input_grad[1]
        matrix = weight.to(kind)
        d_hidden = torch.empty_like(hidden)
        d_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device) if learns else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(hidden), step := chunk_of(len(weight))):
                part = slice(start, start + step)
                states = hidden[part].to(kind)
                logits = (states @ matrix.T).float()
                log = logits.logsumexp(1)
                wanted = logits.gather(1, targets[part, None])[:, 0]
                total += ((log - wanted) * weights[part]).sum()
                d_logits = logits.sub_(log[:, None]).exp_().mul_(weights[part, None])
                d_logits.scatter_add_(1, targets[part, None], -weights[part, None].to(d_logits.dtype))
                small = d_logits.to(kind)
                d_hidden[part] = (small @ matrix).to(hidden.dtype)
                if d_weight is not None:
                    d_weight += small.T @ states
        ctx.save_for_backward(d_hidden, d_weight)
        ctx.kind = weight.dtype
        return total

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        d_hidden, d_weight = ctx.saved_tensors
        d_weight = None if d_weight is None else (d_weight * gradient).to(ctx.kind)
        return d_hidden * gradient, d_weight, None, None
