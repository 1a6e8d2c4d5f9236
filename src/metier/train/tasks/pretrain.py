"""Continued pretraining: a base goes on reading, now texts of the field, each token learned from those before it.

Purpose: every token of every text is learned once, the end of the text included. A text that is longer than the model
reads at once goes on in the next piece, which sees the last `train.window_overlap` tokens of the piece before without
learning them again. Texts never see each other (see sharing.py: a row of unshared examples is a packed row without
leakage).
Trade-off: no token is dropped to fill rows evenly. Not covered: curricula; general replay is prepare's `mix`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from metier.errors import UserError
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.grouping import Grouped, singles
from metier.train.sharing import Example
from metier.train.tasks.base import Decoded, Profile, strings
from metier.train.tasks.language import Language


@register("task", "pretrain")
class Pretrain(Language):
    """See `Task` for the members."""

    epochs, batch_size = 1.0, 16

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        accept = ("bits_per_byte < base", "bits_per_byte < ngram")
        return Profile("text", "bits", "bits_per_byte", ("ngram",), accept, pipeline="text-generation")

    def encode(self, encoder: Any, examples: pa.Table, console: Any = None) -> Grouped:
        first = start_token(encoder.tokenizer)
        last = encoder.tokenizer.eos_token_id
        made: list[Example] = []
        owner: list[int] = []
        windowed = 0
        for row, found in enumerate(encoder.tokenize(strings(examples["text"]), console)):
            ids = np.array([first, *found.ids, *([] if last is None else [last])], np.int64)
            pieces = pieces_of(ids, encoder.max_length, encoder.overlap)
            windowed += len(pieces) > 1
            made += pieces
            owner += [row] * len(pieces)
        return singles(made, owner, examples.num_rows, windowed=windowed)

    def answer(self, model: Any, examples: pa.Table, console: Any) -> tuple[Decoded, Grouped]:
        from metier.train.answering import nats

        encoded = self.encode(model.encoder, examples, console)
        bits = encoded.by_row(nats(model, encoded, console)) / np.log(2)
        return Decoded(bits=bits.tolist(), bytes=[len(text.encode()) for text in strings(examples["text"])]), encoded


def start_token(tokenizer: Any) -> int:
    """What stands before the first token of a text, so that it too is predicted: the start token, else the end token.

    UserError when the tokenizer has neither.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise UserError("this base has neither a start nor an end token", "train.base_model",
                    "set eos_token in the base's tokenizer_config.json")  # fmt: skip


def pieces_of(ids: np.ndarray, limit: int, overlap: int) -> list[Example]:
    """ids (n,), whose first token is given -> pieces of at most `limit` tokens; each token but the first is learned
    once, in the piece where it has most before it."""
    overlap = max(1, min(overlap, limit // 2))
    pieces: list[Example] = []
    begin, learned = 0, 1
    while learned < len(ids) or not pieces:
        end = min(len(ids), begin + limit)
        weights = np.zeros(end - begin, np.float32)
        weights[learned - begin :] = 1
        pieces.append(Example(ids[begin:end], weights))
        begin, learned = end - overlap, end
    return pieces
