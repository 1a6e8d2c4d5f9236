"""The losses: one value an example, so that the loop decides how examples weigh.

logits (B, K) float32; targets as each function says; returns (B,).
"""

from __future__ import annotations

import torch
from torch.nn import functional


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, class_weights: torch.Tensor | None, smoothing: float
) -> torch.Tensor:
    """targets (B,) int64. class_weights (K,) multiply the loss of the gold class; smoothing in [0, 1)."""
    loss = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    return loss if class_weights is None else loss * class_weights[targets]


def binary_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, class_weights: torch.Tensor | None, smoothing: float
) -> torch.Tensor:
    """targets (B, K) in {0, 1}; class_weights (K,) multiply the positive term; mean over the K labels."""
    if smoothing:
        targets = targets * (1 - smoothing) + smoothing / 2
    loss = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=class_weights)
    return loss.mean(1)


def mean_squared_error(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """logits (B, 1), targets (B,) standardised."""
    return (logits[:, 0] - targets) ** 2
