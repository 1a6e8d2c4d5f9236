"""Continued pretraining: a base goes on reading, now texts of the field.

Purpose: a base that writes learns each token from those before it (`causal`): every token of every text once, the end
of the text included. An encoder learns hidden tokens from both sides (`masked`, see masking.py). A text that is longer
than the model reads at once goes on in the next piece, which sees the last `train.window_overlap` tokens of the piece
before without learning, or hiding, them again. Texts never see each other (see sharing.py: a row of unshared examples
is a packed row without leakage).
Trade-off: no token is dropped to fill rows evenly. Not covered: curricula; general replay is prepare's `mix`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metier.errors import UserError
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.encoding import Frame, frame_of
from metier.train.grouping import Grouped, singles
from metier.train.masking import HELD_OUT, Masked, Masker, masker, words_of
from metier.train.sharing import Example
from metier.train.tasks.base import Decoded, Profile, strings
from metier.train.tasks.language import Language


@register("task", "pretrain")
class Pretrain(Language):
    """See `Task` for the members."""

    epochs, batch_size = 1.0, 16

    def __init__(self, config: TaskConfig, state: dict[str, Any]) -> None:
        super().__init__(config, state)
        self.masked = bool(state.get("masked", config.objective == "masked"))
        self.mask: Masker | None = None  # known once a tokenizer is

    def suit(self, config: Any) -> None:
        """Learn as the base can, unless the recipe says how. config: the base's Transformers configuration."""
        from metier.train.language import writes

        if self.config.objective == "auto":
            self.masked = not writes(config)

    def pooling(self, wanted: str) -> str:
        return "masked" if self.masked else "language"

    def state(self) -> dict[str, Any]:
        return {"masked": self.masked}

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        accept = ("bits_per_byte < base", "bits_per_byte < ngram")
        return Profile("text", "bits", "bits_per_byte", ("ngram",), accept, pipeline="text-generation")

    def encode(self, encoder: Any, examples: pa.Table, console: Any = None) -> Grouped:
        if self.masked:
            return self._hidden(encoder, strings(examples["text"]), console)
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

    def _hidden(self, encoder: Any, texts: Sequence[str], console: Any) -> Grouped:
        """Each text between the base's own special tokens, under the mask that never changes."""
        self.mask = masker(encoder.tokenizer, self.config.masked.share)
        frame = frame_of(encoder.tokenizer)
        made: list[Example] = []
        owner: list[int] = []
        windowed = 0
        for row, found in enumerate(encoder.tokenize(texts, console, offsets=True)):
            words = words_of(texts[row], found.offsets, self.config.masked.whole_words)
            pieces = hidden_pieces(np.array(found.ids, np.int64), words, frame, encoder)
            windowed += len(pieces) > 1
            made += [self.mask.draw(one, HELD_OUT) for one in pieces]
            owner += [row] * len(pieces)
        silent = len(texts) - len({row for row, one in zip(owner, made, strict=True) if one.labelled})
        return singles(made, owner, len(texts), windowed=windowed, notes={"silent": silent} if silent else {})

    def anew(self, inputs: Sequence[Any], epoch: int, seed: int) -> Sequence[Any]:
        """The training inputs under the masks of an epoch; those of a causal base are the same in every epoch."""
        if not self.masked or self.mask is None:
            return inputs
        return [tuple(self.mask.draw(one, epoch, seed) for one in family) for family in inputs]

    def answer(self, model: Any, examples: pa.Table, console: Any) -> tuple[Decoded, Grouped]:
        from metier.train.answering import nats

        encoded = self.encode(model.encoder, examples, console)
        bits = (encoded.by_row(nats(model, encoded, console)) / np.log(2)).tolist()
        texts = strings(examples["text"])
        if not self.masked:
            return Decoded(bits=bits, bytes=[len(text.encode()) for text in texts]), encoded
        places = hidden_stretches(encoded, model.encoder, texts)
        sizes = [sum(len(text[start:end].encode()) for start, end in part)
                 for text, part in zip(texts, places, strict=True)]  # fmt: skip
        tokens = encoded.by_row(np.array([one.labelled for one in encoded.examples], float)).astype(int).tolist()
        return Decoded(bits=bits, bytes=sizes, tokens=tokens, stretches=places), encoded


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


def hidden_pieces(ids: np.ndarray, words: np.ndarray, frame: Frame, encoder: Any) -> list[Masked]:
    """ids (n,) and the word of each -> windows with special tokens around them; each word may be hidden in one window
    only, in the others it is there to be read."""
    room = encoder.max_length - len(frame.before) - len(frame.after)
    overlap = max(0, min(encoder.overlap, room // 2))
    made: list[Masked] = []
    begin, learned = 0, 0
    while learned < len(ids) or not made:
        end = min(len(ids), begin + room)
        if end < len(ids):  # a word that the window's edge would cut is hidden, as a whole, in the next one
            edge = end
            while edge > learned + 1 and words[edge] == words[edge - 1]:
                edge -= 1
            last = edge if edge > learned + 1 else end
        else:
            last = end
        around = (np.array(frame.before, np.int64), np.array(frame.after, np.int64))
        whole = np.concatenate([around[0], ids[begin:end], around[1]])
        mine = np.full(len(whole), -1, np.int64)
        shift = len(frame.before) - begin
        mine[learned + shift : last + shift] = words[learned:last]
        made.append(Masked(whole, np.zeros(len(whole), np.float32), whole, mine))
        learned, begin = last, max(begin + 1, min(last, end - overlap)) if end < len(ids) else last
    return made


def hidden_stretches(encoded: Grouped, encoder: Any, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """For each text the characters from start to end (exclusive) that are hidden from the model."""
    done = [0] * len(texts)  # tokens of a text that earlier pieces could hide
    found: list[list[tuple[int, int]]] = [[] for _ in texts]
    offsets = [tokens.offsets for tokens in encoder.tokenize(texts, offsets=True)]
    for row, one in zip(encoded.owner, encoded.examples, strict=True):
        able = np.flatnonzero(one.words >= 0)  # type: ignore[attr-defined]
        for place in np.flatnonzero(one.weights).tolist():
            found[row].append(tuple(offsets[row][done[row] + place - int(able[0])]))  # type: ignore[arg-type]
        done[row] += len(able)
    return found
