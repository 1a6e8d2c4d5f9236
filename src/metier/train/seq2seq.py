"""An encoder-decoder that writes: its encoder reads the prompt, its decoder learns the answer.

Purpose: T5 and BART kinds under the same tasks as decoders: an example is cut where its learned tokens begin; what
stands before is read, what follows is learned.
Trade-off: batches are padded, and a shared document is read once for each question (its encoder sees the question).
Not covered: conversations with several learned answers (the last one is learned, the others are read).
Shapes: E examples, S tokens of the longest prompt, T of the longest answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from metier.train.language import Family, LanguageNetwork
from metier.train.sharing import Example


class Seq2SeqNetwork(LanguageNetwork):
    """Losses in nats (E, 1), as LanguageNetwork."""

    def forward(self, families: Sequence[Family]) -> torch.Tensor:
        device = next(self.parameters()).device
        pieces = [parted(one) for family in families for one in family]
        asked, mask = _padded([prompt for prompt, _ in pieces], self.pad, device)
        answers, real = _padded([answer for _, answer in pieces], self.pad, device)
        model = self.plain()
        start = model.config.decoder_start_token_id
        start = start if start is not None else self.pad
        shifted = torch.cat([torch.full_like(answers[:, :1], start), answers[:, :-1]], 1)
        out = model(input_ids=asked, attention_mask=mask, decoder_input_ids=shifted, use_cache=False)
        losses = nn.functional.cross_entropy(out.logits.float().transpose(1, 2), answers, reduction="none")
        return (losses * real).sum(1, keepdim=True)

    def find_way(self) -> None:
        """Encoder-decoders run padded."""


def parted(example: Example) -> tuple[np.ndarray, np.ndarray]:
    """(prompt, answer): the tokens before the last learned stretch, and that stretch."""
    learned = np.flatnonzero(example.weights)
    if not len(learned):
        return example.ids, example.ids[:0]
    breaks = np.flatnonzero(np.diff(learned) > 1)
    first = learned[breaks[-1] + 1] if len(breaks) else learned[0]
    return example.ids[:first], example.ids[first : learned[-1] + 1]


def _padded(rows: Sequence[np.ndarray], pad: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(E, L) of ids and of 1 where they are real; at least one place wide."""
    longest = max(1, *map(len, rows)) if rows else 1
    ids = torch.full((len(rows), longest), pad, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.from_numpy(row)
        mask[index, : len(row)] = 1
    return ids.to(device), mask.to(device)
