"""Masks for a base that reads: which tokens of a text are hidden, and what stands in their place.

Purpose: as in BERT (Devlin et al. 2019, section 3.1 and appendix C.2): 15 % of a text's tokens are to be guessed; of
these 80 % read [MASK], 10 % another token, 10 % themselves, so that the model cannot rely on [MASK] to know where to
look. In training the draw is new for each epoch, from the recipe's seed, the epoch and the tokens alone: it does not
depend on the order of texts or on where training was resumed. Held-out texts have one mask for good, all [MASK]: a
token that still stood there would cost nothing and say nothing.
Whole words (Cui et al. 2021, arXiv 1906.08101): tokens of one word are hidden together.
Trade-off: at least one token of each text is hidden, so short texts weigh a little more.
Not covered: spans of several words; replacing by a generator (ELECTRA).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metier.errors import UserError, need
from metier.train.sharing import Array, Example

MASKED, RANDOM = 0.8, 0.1  # of the tokens to be guessed; the rest stays as it is
HELD_OUT = -1  # in place of an epoch: the mask that never changes
WORD = re.compile(r"[一-鿿㐀-䶿]+|[^\W一-鿿㐀-䶿]+|[^\w\s]")  # runs of Han characters, other words, single signs
HAN = re.compile(r"[一-鿿㐀-䶿]")


@dataclass(frozen=True)
class Masked(Example):
    """ids (n,): as the model reads them. weights (n,): 1 where the token of `original` is to be guessed.

    words: (n,) of int64, the word that a token belongs to; -1 for one that is never hidden.
    """

    original: Array
    words: Array


@dataclass(frozen=True)
class Masker:
    """What every draw shares. choices: ids that may stand for a hidden token, special ones not among them."""

    mask: int
    choices: Array
    share: float

    def draw(self, one: Masked, epoch: int, seed: int = 0) -> Masked:
        """The example under the mask of an epoch; HELD_OUT: under the one for evaluation."""
        words = np.unique(one.words[one.words >= 0])
        if not len(words):
            return replace(one, ids=one.original, weights=np.zeros(len(one), np.float32))
        generator = _generator(one.original, epoch, seed)
        counts = np.bincount(one.words[one.words >= 0], minlength=int(words[-1]) + 1)
        wanted = max(1, round(self.share * int(counts.sum())))
        chosen = _fill(generator.permutation(words), counts, wanted)
        hidden = np.flatnonzero(np.isin(one.words, chosen))
        ids, weights = one.original.copy(), np.zeros(len(one), np.float32)
        weights[hidden] = 1
        ids[hidden] = self.mask
        if epoch != HELD_OUT:
            lot = generator.random(len(hidden))
            other, same = hidden[(lot >= MASKED) & (lot < MASKED + RANDOM)], hidden[lot >= MASKED + RANDOM]
            ids[other] = generator.choice(self.choices, len(other))
            ids[same] = one.original[same]
        return replace(one, ids=ids, weights=weights)


def masker(tokenizer: Any, share: float) -> Masker:
    """UserError where the tokenizer has no token to mask with."""
    if tokenizer.mask_token_id is None:
        raise UserError("this base has no mask token, so no word can be hidden from it", "train.base_model",
                        "choose an encoder with a mask token (BERT, RoBERTa, ...), or set task.objective=causal for a "
                        "base that writes")  # fmt: skip
    special = set(tokenizer.all_special_ids)
    choices = np.array([index for index in range(len(tokenizer)) if index not in special], np.int64)
    return Masker(int(tokenizer.mask_token_id), choices, share)


def words_of(text: str, offsets: Sequence[tuple[int, int]], whole: bool) -> Array:
    """(n,) the word of each token of a text, numbered from 0; whole: False, each token is a word of its own."""
    if not whole:
        return np.arange(len(offsets), dtype=np.int64)
    starts = np.array([start for start, _ in _words(text)], np.int64)
    firsts = np.array([_first(text, place) for place in offsets], np.int64)
    found = np.searchsorted(starts, firsts, side="right") - 1
    return np.unique(np.maximum(found, 0), return_inverse=True)[1].astype(np.int64).reshape(-1)


def _words(text: str) -> list[tuple[int, int]]:
    """Characters from start to end (exclusive) of each word and sign."""
    found: list[tuple[int, int]] = []
    for match in WORD.finditer(text):
        if HAN.match(match.group()):
            jieba: Any = need("jieba", "segment")
            jieba.setLogLevel(60)  # it would tell how long loading took
            found += [(match.start() + a, match.start() + b) for _, a, b in jieba.tokenize(match.group())]
        else:
            found.append(match.span())
    return found


def _first(text: str, place: tuple[int, int]) -> int:
    """Where the first visible character of a token stands; some tokenizers count the space before a word in."""
    start, end = place
    while start < end - 1 and text[start].isspace():
        start += 1
    return start


def _fill(order: NDArray[Any], counts: Array, wanted: int) -> Array:
    """Words in their order as long as they fit into so many tokens; the first that does not is passed over. The first
    one is taken in any case."""
    chosen, room = [int(order[0])], wanted - int(counts[order[0]])
    for word in order[1:].tolist():
        if room <= 0:
            break
        if counts[word] <= room:
            chosen.append(word)
            room -= int(counts[word])
    return np.array(chosen, np.int64)


def _generator(ids: Array, epoch: int, seed: int) -> np.random.Generator:
    """The same for the same tokens, epoch and seed, in every process; held-out masks have no seed."""
    told = "held out" if epoch == HELD_OUT else f"{seed}/{epoch}"
    digest = hashlib.sha256(f"mask/{told}/".encode() + ids.astype("<i8").tobytes()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
