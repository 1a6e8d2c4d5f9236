"""Conversations into what a model reads at once, with every token that did not fit counted.

Purpose: a document that is longer than the model reads is cut into overlapping windows, the same ones for all questions
about it, so that questions on one window still share it. A question goes to one window: in training to the first that
holds its answer word for word, else, and always when the model is asked, to the window that has most of the question's
rare words (character pairs where it is Chinese). A conversation of many turns loses its oldest ones. An answer that
alone is too long loses its end, and then no stop token is learned from it.
Trade-off: the choice by words is simple and costs nothing; a question whose answer lies where none of its words do is
asked of the wrong window, in evaluation as in use. Not covered: answers that need two windows.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from metier.errors import UserError
from metier.train import chat
from metier.train.sharing import Example

LEAST_SHARE = 2  # at least one part in so many of what the model reads at once is left to the document
_WORD = re.compile(r"[㐀-鿿豈-﫿]|[^\W_]+")


@dataclass(frozen=True)
class Turn:
    """A question about a document, or a conversation. answer: None where the model is only asked.

    head: messages before the document's (a system message, earlier turns). A conversation has no document ("").
    """

    head: tuple[chat.Message, ...]
    instruction: str = ""
    document: str = ""
    question: str = ""
    answer: str | None = None
    tools: Any = None
    every: bool = False  # all answers of the conversation are learned, not the last alone

    def messages(self) -> list[chat.Message]:
        """The conversation up to the answer."""
        asked = "\n\n".join(part for part in (self.instruction, self.document, self.question) if part.strip())
        head: list[chat.Message] = [one if self.every else {**one, "loss": False} for one in self.head]
        return [*head, {"role": "user", "content": asked}] if asked else head


@dataclass(frozen=True)
class Fitted:
    """One turn as the model reads it. ids of the prompt alone, and the example with the answer if there is one."""

    turn: Turn
    example: Example | None
    windowed: bool = False
    lost: int = 0  # tokens that are not read
    elsewhere: bool = False  # the answer stands word for word in another window, or the whole text but in none

    def prompt(self, tokenizer: Any) -> list[int]:
        """Token ids that the model goes on from."""
        text = chat.prompt(tokenizer, self.turn.messages(), self.turn.tools)
        return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def fit(encoder: Any, turns: Sequence[Turn], meter: Any = None) -> list[Fitted]:
    """Each turn within `encoder.max_length` tokens, in order. encoder: an `Encoder`."""
    chat.prepare_tokenizer(encoder.tokenizer)
    out: list[Fitted | None] = [None] * len(turns)
    long: dict[str, list[tuple[int, int]]] = defaultdict(list)  # document -> (turn, its tokens)
    for index, turn in enumerate(turns):
        made = _encode(encoder.tokenizer, turn)
        if meter is not None:
            meter.advance(1)
        if len(made) <= encoder.max_length:
            out[index] = Fitted(turn, made if turn.answer is not None else None)
        elif turn.document:
            long[turn.document].append((index, len(made)))
        else:
            out[index] = _shorten(encoder, turn, made)
    for document, members in long.items():
        for index, fitted in _window(encoder, document, [(index, turns[index], size) for index, size in members]):
            out[index] = fitted
    return [one for one in out if one is not None]


def _encode(tokenizer: Any, turn: Turn) -> Example:
    """The conversation with its answer; only what is to be learned bears weight. Without an answer: the prompt."""
    messages = turn.messages()
    if turn.answer is not None:
        messages.append({"role": "assistant", "content": turn.answer})
        return chat.encode(tokenizer, chat.write(tokenizer, messages, turn.tools))
    return chat.encode(tokenizer, chat.Written(chat.prompt(tokenizer, messages, turn.tools), ()))


def _shorten(encoder: Any, turn: Turn, made: Example, windowed: bool = False) -> Fitted:
    """Drop the oldest turns of a conversation until it fits, then the end of what is left."""
    size = len(made)
    while len(made) > encoder.max_length and (rest := _later(turn)) is not None:
        turn = rest
        made = _encode(encoder.tokenizer, turn)
    if len(made) > encoder.max_length:
        kept = slice(0, encoder.max_length)
        made = Example(made.ids[kept], made.weights[kept])
    return Fitted(turn, made if turn.answer is not None else None, windowed, size - len(made))


def _later(turn: Turn) -> Turn | None:
    """The turn without its oldest exchange; system messages stay, and so does the last question."""
    system = tuple(one for one in turn.head if one["role"] in ("system", "developer"))
    rest = [one for one in turn.head if one not in system]
    following = next((at for at, one in enumerate(rest) if at and one["role"] == "user"), None)
    if following is None:
        return None
    return replace(turn, head=(*system, *rest[following:]))


def _window(
    encoder: Any, document: str, members: Sequence[tuple[int, Turn, int]]
) -> Iterator[tuple[int, Fitted]]:  # fmt: skip
    """(index, fitted) of all turns about one document that is too long."""
    tokens = next(iter(encoder.tokenize([document], offsets=True)))
    length, limit = len(tokens.ids), encoder.max_length
    least = limit // LEAST_SHARE
    room = max(least, limit - max(size - length for _, _, size in members) - 4)  # 4: tokens that merge differently
    step = max(1, room - min(encoder.overlap, room // 2))
    starts = [0] if encoder.long_text == "cut" else list(range(0, max(1, length - room + step), step))
    spans = [(tokens.offsets[at][0], tokens.offsets[min(length, at + room) - 1][1]) for at in starts]
    texts = [document[first:last] for first, last in spans]
    for index, turn, size in members:
        chosen, elsewhere = choose(texts, turn, document)
        text = texts[chosen]
        made = _encode(encoder.tokenizer, replace(turn, document=text))
        while len(made) > limit and len(text) > 1:  # the rest of this turn is larger than its share
            over, whole = len(made) - limit, next(iter(encoder.tokenize([text], offsets=True)))
            if len(whole.ids) - over < least // LEAST_SHARE:
                break
            text = text[: whole.offsets[len(whole.ids) - over - 1][1]]
            made = _encode(encoder.tokenizer, replace(turn, document=text))
        short = _shorten(encoder, replace(turn, document=text), made, windowed=True)
        yield index, replace(short, lost=max(0, size - len(made)) + short.lost, elsewhere=elsewhere)


def choose(windows: Sequence[str], turn: Turn, document: str) -> tuple[int, bool]:
    """(window, elsewhere): which window a question goes to, and whether its answer is not found there word for word
    although the document holds it."""
    if turn.answer:
        for index, window in enumerate(windows):
            if turn.answer in window:
                return index, False
    elsewhere = bool(turn.answer) and (turn.answer or "") in document
    if not turn.question.strip() or len(windows) == 1:
        return 0, elsewhere
    found = [Counter(_terms(window)) for window in windows]
    asked = set(_terms(turn.question))
    spread = {term: sum(term in one for one in found) for term in asked}
    score = [sum(math.log(1 + len(windows) / spread[term]) for term in asked if one[term]) for one in found]
    return max(range(len(windows)), key=lambda index: (score[index], -index)), elsewhere


def _terms(text: str) -> list[str]:
    """Words, and pairs of neighbouring Han characters."""
    words = _WORD.findall(text.lower())
    pairs = [a + b for a, b in pairwise(words) if len(a) == len(b) == 1 and min(a, b) >= "㐀"]
    return [*(word for word in words if len(word) > 1), *pairs]


def messages_of(cell: Any, where: str) -> tuple[chat.Message, ...]:
    """The messages of a cell of JSON; UserError when it is none."""
    try:
        found = json.loads(cell) if isinstance(cell, str) else cell
        return tuple({**one, "content": one.get("content") or ""} for one in found)
    except (ValueError, TypeError, AttributeError):
        raise UserError("this is no conversation: a list of messages with `role` and `content` is wanted", where,
                        f"found: {str(cell)[:80]!r}") from None  # fmt: skip
