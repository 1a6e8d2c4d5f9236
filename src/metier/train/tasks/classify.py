"""Text classification: one label a text (softmax, cross-entropy) or any number (sigmoid, binary cross-entropy).

Classes are those of the training split. `class_weights: balanced` weighs a class by n / (K * n_class), the formula of
scikit-learn. Multi-label decisions are taken at probability 0.5.
Pairs (`task.pair`): the short text stands in every window of the document. The logits of the windows are averaged in
training; whether their mean or their maximum decides is chosen on the validation split afterwards, because a contract
may say in one place what its other windows know nothing of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metier.errors import UserError
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.encoding import DEFAULT_LIMIT, Encoded
from metier.train.tasks.base import (
    COMBINE,
    TEXTS,
    WINDOWS,
    Decoded,
    Profile,
    combined,
    positions,
    short_texts,
    softmax,
    stacked,
    strings,
)

THRESHOLD = 0.5


@register("task", "classify")
class Classify:
    """See `Task` for the members."""

    longest = DEFAULT_LIMIT

    def __init__(self, config: TaskConfig, state: dict[str, Any]) -> None:
        self.config, self.classes = config, list(state["classes"])
        self.weights = state.get("class_weights")
        self.combine = str(state.get("combine", "mean"))
        self.outputs = len(self.classes)
        self.rows = WINDOWS if config.pair else TEXTS
        self.problem_type = "multi_label_classification" if config.multi_label else "single_label_classification"
        self.monitor_name = (
            "micro-F1" if config.multi_label else "macro-F1" if config.class_weights == "balanced" else "accuracy"
        )

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        if config.multi_label:
            accept = ("macro_f1 > tfidf", "macro_f1 > base")
            return Profile("labels", "multi_label", "macro_f1", ("majority", "tfidf"), accept, pair=config.pair,
                           kinds_of_answer=1)  # fmt: skip
        accept = ("accuracy > tfidf", "accuracy > base")
        return Profile("label", "classify", "accuracy", ("majority", "tfidf"), accept, zero_shot=not config.pair,
                       pair=config.pair, kinds_of_answer=2)  # fmt: skip

    @classmethod
    def from_training(cls, config: TaskConfig, train: pa.Table) -> Classify:
        """Read classes and their frequencies from the training examples."""
        lists = train["labels"].to_pylist() if config.multi_label else [[x] for x in strings(train["label"])]
        counts: dict[str, int] = {}
        for labels in lists:
            for label in labels or []:
                counts[label] = counts.get(label, 0) + 1
        classes = sorted(counts)
        if len(classes) < (1 if config.multi_label else 2):
            raise UserError(
                f"there is nothing to classify: the training examples have {len(classes)} label(s)",
                ", ".join(classes), "bring examples of at least two labels",
            )  # fmt: skip
        weights = None
        if config.class_weights == "balanced":
            n = len(lists)
            weights = [
                (n - counts[c]) / counts[c] if config.multi_label else n / (len(classes) * counts[c]) for c in classes
            ]
        return cls(config, {"classes": classes, "class_weights": weights})

    def pooling(self, wanted: str) -> str:
        return wanted

    def encode(self, encoder: Any, examples: pa.Table, console: Any = None) -> Encoded:
        texts, pairs = strings(examples["text"]), short_texts(self.config, examples)
        return encoder.encode(texts, console, pairs=pairs)  # type: ignore[no-any-return]

    def targets(self, examples: pa.Table, encoded: Encoded | None = None) -> Any:
        """(n,) int64 with -100 for a label that training never saw, or (n, K) float32 for multi-label."""
        import torch

        if not self.config.multi_label:
            found = positions(strings(examples["label"]), self.classes)
            return torch.tensor([p if p >= 0 else -100 for p in found], dtype=torch.int64)
        out = torch.zeros(examples.num_rows, self.outputs)
        for row, labels in enumerate(examples["labels"].to_pylist()):
            for position in positions(labels or [], self.classes):
                if position >= 0:
                    out[row, position] = 1.0
        return out

    def loss(self, logits: Any, counts: Sequence[int], targets: Any, smoothing: float) -> Any:
        import torch

        from metier.train.losses import binary_cross_entropy, cross_entropy

        weights = torch.tensor(self.weights, device=logits.device) if self.weights else None
        targets, logits = stacked(targets).to(logits.device), combined(logits, counts, self.combine)
        if self.config.multi_label:
            return binary_cross_entropy(logits, targets, weights, smoothing)
        known = targets >= 0
        return cross_entropy(logits, targets.clamp(min=0), weights, smoothing) * known

    def settle(self, logits: Any, counts: Sequence[int], targets: Any) -> None:
        """Mean or maximum over the windows of a long document, whichever is right more often; the mean on a tie."""
        figures = {}
        for self.combine in COMBINE:
            figures[self.combine] = self.monitor(logits, counts, targets)
        self.combine = max(COMBINE, key=lambda how: (figures[how], how == "mean"))

    def decode(self, logits: np.ndarray, encoded: Encoded | None = None) -> Decoded:
        if encoded is not None and len(logits) != len(encoded):
            import torch

            logits = combined(torch.from_numpy(logits), encoded.counts(self.rows), self.combine).numpy()
        if self.config.multi_label:
            scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
            lists = [[self.classes[k] for k in np.flatnonzero(row >= THRESHOLD)] for row in scores]
            return Decoded(label_lists=lists, scores=scores)
        scores = softmax(logits)
        return Decoded(labels=[self.classes[k] for k in scores.argmax(1)], scores=scores)

    def monitor(self, logits: Any, counts: Sequence[int], targets: Any) -> float:
        targets, logits = stacked(targets), combined(logits, counts, self.combine)
        if self.config.multi_label:
            predicted, gold = logits >= 0, targets > 0.5
            hits = (predicted & gold).sum().item()
            return 2 * hits / max(1, predicted.sum().item() + gold.sum().item())
        predicted = logits.argmax(-1)
        if self.monitor_name == "accuracy":
            return (predicted == targets).float().mean().item()
        scores = []
        for k in targets.unique().tolist():
            hits = ((predicted == k) & (targets == k)).sum().item()
            scores.append(2 * hits / max(1, (predicted == k).sum().item() + (targets == k).sum().item()))
        return float(np.mean(scores))

    def label_maps(self) -> tuple[dict[int, str], dict[str, int]]:
        return dict(enumerate(self.classes)), {label: index for index, label in enumerate(self.classes)}

    def state(self) -> dict[str, Any]:
        return {"classes": self.classes, "class_weights": self.weights, "combine": self.combine}
