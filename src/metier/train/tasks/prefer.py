"""Preference tuning: of two answers to one prompt the chosen one is to become the likelier.

Purpose: DPO (Rafailov et al. 2023, arXiv 2305.18290) pushes the chosen answer's log-likelihood up against the rejected
one's, both measured from the untouched base; its reference losses are computed once, before the first step. SimPO
(Meng et al. 2024, arXiv 2405.14734) needs no reference and compares mean log-likelihoods a token, so that length alone
wins nothing. The prompt of a pair goes through the model once.
What is compared: the tokens of the last answer and its stop token.
Trade-off: an epoch costs the head twice (its places are recomputed in the backward pass), because a pair's loss is not
a sum of token losses. Not covered: reward models, sampling from the model in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from metier.console import Console
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.fitting import Fitted, Turn, answered, fit, messages_of
from metier.train.grouping import Grouped, pairs
from metier.train.sharing import Example
from metier.train.tasks.base import Decoded, Profile
from metier.train.tasks.language import Language
from metier.train.tasks.writing import masked

BETA = {"dpo": 0.1, "simpo": 2.0}  # the papers' own


@register("task", "prefer")
class Prefer(Language):
    """See `Task` for the members."""

    summed, templated = False, True
    monitor_name = "preference accuracy"
    epochs = 1.0

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        accept = ("preference_accuracy > base", "preference_accuracy > longer")
        return Profile("chosen", "preference", "preference_accuracy", ("longer",), accept, pipeline="text-generation")

    @property
    def reference(self) -> bool:
        """Whether the loss measures from the untouched base."""
        return self.config.preference.loss == "dpo"

    @property
    def beta(self) -> float:
        wanted = self.config.preference.beta
        return BETA[self.config.preference.loss] if wanted == "auto" else wanted

    def encode(self, encoder: Any, examples: pa.Table, console: Any = None) -> Grouped:
        heads = [messages_of(cell, f"pair {row + 1}") for row, cell in enumerate(examples["messages"].to_pylist())]
        system = ({"role": "system", "content": self.config.system},) if self.config.system else ()
        answers = zip(examples["chosen"].to_pylist(), examples["rejected"].to_pylist(), strict=True)
        turns = [
            Turn(head if any(one["role"] == "system" for one in head) else (*system, *head), answer=answer)
            for head, both in zip(heads, answers, strict=True) for answer in both
        ]  # fmt: skip
        with (console or Console(quiet=True)).progress("tokenising", len(turns), "answers") as meter:
            fitted = _alike(encoder, fit(encoder, turns, meter))
        made = [one.example for one in fitted if one.example is not None]
        cut = sum(first.lost > 0 or second.lost > 0 for first, second in zip(fitted[::2], fitted[1::2], strict=True))
        return pairs(made, cut=cut, cut_tokens=sum(one.lost for one in fitted), notes=_masked(encoder, made))

    def targets(self, examples: pa.Table, encoded: Grouped) -> Sequence[Any]:
        """(2, 2) for each pair: labelled tokens of chosen and rejected, and (once known) the base's losses in nats."""
        import torch

        counts = [[float(one.labelled) for one in family] for family in encoded.items]
        return [torch.tensor([count, [0.0, 0.0]]) for count in counts]

    def with_reference(self, targets: Sequence[Any], logits: Any) -> Sequence[Any]:
        """The targets with the untouched base's losses, logits (E, 1)."""
        import torch

        return [torch.stack([target[0], nats]) for target, nats in zip(targets, logits.reshape(-1, 2), strict=True)]

    def margins(self, logits: Any, targets: Sequence[Any]) -> Any:
        """(B,) by how much the chosen answer is ahead, as the loss measures it."""
        import torch

        told = torch.stack(list(targets)).to(logits.device)  # (B, 2, 2)
        likely = -logits.reshape(-1, 2)
        likely = likely + told[:, 1] if self.reference else likely / told[:, 0].clamp(min=1)
        return likely[:, 0] - likely[:, 1]

    def loss(self, logits: Any, counts: Sequence[int], targets: Sequence[Any], smoothing: float) -> Any:
        from torch.nn.functional import logsigmoid

        ahead = self.margins(logits, targets)
        shift = 0.0 if self.reference else self.config.preference.margin
        return -logsigmoid(self.beta * (ahead - shift))

    def monitor(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> float:
        return float((self.margins(logits, targets) > 0).float().mean())

    def answer(self, model: Any, examples: pa.Table, console: Any) -> tuple[Decoded, Grouped]:
        from metier.train.answering import nats

        encoded = self.encode(model.encoder, examples, console)
        likely = -nats(model, encoded, console).reshape(-1, 2)
        tokens = np.array([one.labelled for one in encoded.examples], float).reshape(-1, 2)
        raw = likely[:, 0] - likely[:, 1]
        mean = likely / np.maximum(tokens, 1)
        return Decoded(margins=(mean[:, 0] - mean[:, 1]).tolist(), raw_margins=raw.tolist()), encoded


def _masked(encoder: Any, made: Sequence[Example]) -> dict[str, int]:
    """Pairs one of whose answers holds nothing that is learned, or loses its end."""
    notes: dict[str, int] = {}
    for both in zip(made[::2], made[1::2], strict=True):
        for name in masked(encoder.tokenizer, both):
            notes[name] = notes.get(name, 0) + 1
    return notes


def _alike(encoder: Any, fitted: list[Fitted]) -> list[Fitted]:
    """Both answers of a pair after the same prompt: the shorter one of the two that were fitted."""
    out = []
    for both in zip(fitted[::2], fitted[1::2], strict=True):
        prompt = min(both, key=lambda one: sum(len(str(turn["content"])) for turn in one.turn.head))
        for one in both:
            if one.turn.head != prompt.turn.head:
                again = answered(encoder, replace(one, turn=prompt.turn), one.turn.answer or "")
                one = replace(again, size=one.size)
            out.append(one)
    return out
