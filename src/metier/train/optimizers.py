"""What moves the weights: AdamW, or Muon for the matrices of the layers.

Purpose: under Muon the momentum of a matrix is replaced by the nearest one whose singular values are all about 1, so
that directions which gradients seldom show are learned as fast as the common ones. benchmarks/optimizers.py holds it
against AdamW from random weights. Embeddings, heads, biases and norms stay with AdamW.
Sources: Jordan et al. 2024 (the iteration and its coefficients); Liu et al. 2025, "Muon is scalable for LLM training"
(the size of a step, so that AdamW's rate and weight decay serve both).
Trade-off: PyTorch's own `torch.optim.Muon` iterates in bfloat16, one matrix after the other, which takes longer than
all the rest of a step on a processor that has no bfloat16; here matrices of one size go together, in bfloat16 on a GPU.
Not covered: weights that are sharded over processes (FSDP2), whose matrices nobody holds whole (the loop refuses them).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from metier.train.config import TrainConfig

if TYPE_CHECKING:
    from metier.train.loop import Rates

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration: steepest at 0, ends within 0.7 and 1.2
ITERATIONS = 5
MOMENTUM = 0.95
LIKE_ADAMW = 0.2  # root mean square of an AdamW step, in units of its rate (Liu et al. 2025, 2.2)


def make_optimizer(module: nn.Module, config: TrainConfig, rates: Rates) -> torch.optim.Optimizer:
    """AdamW (fused), or Muon: the head has its own rate; weight decay on matrices only."""
    muon = config.optimizer == "muon"
    aside = _entries(module) if muon else set()
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            head, matrix = is_head(name), parameter.ndim > 1
            orthogonal = muon and parameter.ndim == 2 and not head and parameter not in aside
            groups.setdefault((head, matrix, orthogonal), []).append(parameter)
    return (Muon if muon else torch.optim.AdamW)(
        [
            {
                "params": parameters,
                "lr": rates.head_learning_rate if head else rates.learning_rate,
                "weight_decay": config.weight_decay if matrix else 0.0,
                **({"orthogonal": orthogonal} if muon else {}),
            }
            for (head, matrix, orthogonal), parameters in sorted(groups.items(), key=lambda group: group[0])
        ],
        fused=True,
    )


def _entries(module: nn.Module) -> set[nn.Parameter]:
    """Matrices that have a row for each token, place or kind of token: a step changes few of their rows."""
    models: list[Any] = [part for part in module.modules() if hasattr(part, "get_output_embeddings")]
    outputs = [model.get_output_embeddings() for model in models]
    entries = [part for part in module.modules() if isinstance(part, nn.Embedding)]
    return {part.weight for part in (*entries, *outputs) if part is not None}  # type: ignore[misc]


def is_head(name: str) -> bool:
    """Whether a parameter belongs to the classification head (freshly drawn, not from the base)."""
    return any(part in ("classifier", "score", "classification_head", "qa_outputs") for part in name.split("."))


class Muon(torch.optim.AdamW):
    """Groups that say `orthogonal: True` hold matrices (m, n) and are stepped so; all others are AdamW's."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step. closure: computes the loss again; its value is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group.get("orthogonal"):
                self._step(group)
        super().step()
        return loss

    def _step(self, group: dict[str, Any]) -> None:
        alike: dict[tuple[torch.Size, torch.device], list[torch.Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                alike.setdefault((parameter.shape, parameter.device), []).append(parameter)
        for (shape, _), parameters in alike.items():
            updates = torch.stack([self._momentum(parameter) for parameter in parameters])
            rate = group["lr"] * LIKE_ADAMW * max(shape) ** 0.5
            for parameter, update in zip(parameters, orthogonal(updates), strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.to(parameter.dtype), alpha=-rate)
                parameter.grad = None  # AdamW passes over what has none

    def _momentum(self, parameter: torch.Tensor) -> torch.Tensor:
        """The gradient seen ahead along the running mean of the gradients (Nesterov)."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
            state["step"] = torch.tensor(0.0)  # AdamW looks for it when a saved state is loaded
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(state["momentum"], MOMENTUM)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """(k, m, n): about U V^T of each matrix's singular value decomposition U S V^T, by Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    x = matrices.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
