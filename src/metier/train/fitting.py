"""Conversations into what a model reads at once, with every token that did not fit counted.

Purpose: a document that is longer than the model reads is cut into overlapping windows, the same ones for all questions
about it, so that questions on one window still share it. A question goes to one window: in training to the first that
holds its answer word for word (answers of a word or two stand anywhere and say nothing), else, and always when the
model is asked, to the window that has most of the question's rare words. A conversation of many turns loses its oldest
ones, a question that alone is too long its beginning. An answer that takes more than half of what is read loses its
end, and then no stop token is learned from it.
Trade-off: the choice by words is simple and costs nothing; a question whose answer lies where none of its words do is
asked of the wrong window, in evaluation as in use. Not covered: answers that need two windows.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metier.errors import UserError
from metier.train import chat
from metier.train.bm25 import words
from metier.train.sharing import Example

LEAST_SHARE = 2  # at least one part in so many of what the model reads at once is left to the prompt
TELLING = 3  # words from which on an answer tells by itself where in a document it was taken from


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
    """One turn as the model reads it, and the example with the answer if there is one."""

    turn: Turn  # what is left of it: its prompt is the one that was fitted
    example: Example | None
    size: int  # tokens of the whole turn
    read: int  # tokens that are read of it
    windowed: bool = False
    elsewhere: bool = False  # the document holds the answer word for word, and the window that is read does not

    @property
    def lost(self) -> int:
        """Tokens that are not read."""
        return max(0, self.size - self.read)

    def prompt(self, tokenizer: Any) -> list[int]:
        """Token ids that the model goes on from."""
        return _encode(tokenizer, replace(self.turn, answer=None)).ids.tolist()


def fit(encoder: Any, turns: Sequence[Turn], meter: Any = None, reserve: int = 0) -> list[Fitted]:
    """Each turn within `encoder.max_length` tokens, in order. encoder: an `Encoder`.

    reserve: tokens that stay free for the answer behind a turn that has none.
    """
    chat.prepare_tokenizer(encoder.tokenizer)
    out: list[Fitted | None] = [None] * len(turns)
    long: dict[str, list[tuple[int, int]]] = defaultdict(list)  # document -> (turn, its tokens)
    for index, turn in enumerate(turns):
        limit = encoder.max_length - (reserve if turn.answer is None else 0)
        made = _encode(encoder.tokenizer, turn)
        if meter is not None:
            meter.advance(1)
        if len(made) > limit and turn.document:
            long[turn.document].append((index, len(made)))
        else:
            out[index] = _shorten(encoder, turn, limit)
    for document, members in long.items():
        for index, fitted in _window(encoder, document, [(index, turns[index], size) for index, size in members],
                                     reserve):  # fmt: skip
            out[index] = fitted
    return [one for one in out if one is not None]


def answered(encoder: Any, asked: Fitted, answer: str) -> Fitted:
    """The answer after the very prompt of `asked`; what goes beyond `encoder.max_length` is cut off its end."""
    turn = replace(asked.turn, answer=answer)
    made = _encode(encoder.tokenizer, turn)
    kept = _kept(made, encoder.max_length)
    return replace(asked, turn=turn, example=kept, size=asked.lost + len(made), read=len(kept))


def bytes_of(tokenizer: Any, fitted: Fitted) -> int:
    """UTF-8 bytes of the answer as far as it is learned or measured."""
    answer = fitted.turn.answer or ""
    example = fitted.example
    if example is None or len(example) == len(_encode(tokenizer, fitted.turn)):
        return len(answer.encode())
    learned = tokenizer.decode(example.ids[example.weights > 0].tolist(), skip_special_tokens=True)
    return min(len(answer.encode()), len(learned.encode()))


def _encode(tokenizer: Any, turn: Turn) -> Example:
    """The conversation with its answer; only what is to be learned bears weight. Without an answer: the prompt."""
    messages = turn.messages()
    if turn.answer is not None:
        messages.append({"role": "assistant", "content": turn.answer})
        return chat.encode(tokenizer, chat.write(tokenizer, messages, turn.tools))
    return chat.encode(tokenizer, chat.Written(chat.prompt(tokenizer, messages, turn.tools), ()))


def _kept(made: Example, limit: int) -> Example:
    return made if len(made) <= limit else Example(made.ids[:limit], made.weights[:limit])


def _shorten(encoder: Any, turn: Turn, limit: int) -> Fitted:
    """Drop the oldest turns until it fits, then the beginning of what is asked, then the end of the answer."""
    made = _encode(encoder.tokenizer, turn)
    size = len(made)
    while len(made) > limit and (rest := _later(turn)) is not None:
        turn = rest
        made = _encode(encoder.tokenizer, turn)
    while len(made) > limit:
        asked = len(_encode(encoder.tokenizer, replace(turn, answer=None)))
        over = asked - max(limit - (len(made) - asked), limit // LEAST_SHARE)
        shorter = _trimmed(encoder, turn, over) if over > 0 else turn
        if shorter == turn:
            break
        turn, made = shorter, _encode(encoder.tokenizer, shorter)
    made = _kept(made, limit)
    return Fitted(turn, made if turn.answer is not None else None, size, len(made))


def _later(turn: Turn) -> Turn | None:
    """The turn without its oldest exchange; system messages stay, and so does the last question."""
    system = tuple(one for one in turn.head if one["role"] in ("system", "developer"))
    rest = [one for one in turn.head if one not in system]
    following = next((at for at, one in enumerate(rest) if at and one["role"] == "user"), None)
    if following is None:
        return None
    return replace(turn, head=(*system, *rest[following:]))


def _trimmed(encoder: Any, turn: Turn, over: int) -> Turn:
    """The turn with so many tokens less in its longest text: a document loses its end, another its beginning. The turn
    itself where nothing is left to lose."""
    texts = {"document": turn.document, "question": turn.question}
    texts |= {str(at): str(one["content"]) for at, one in enumerate(turn.head)}
    longest = max(texts, key=lambda name: len(texts[name]))
    tokens = next(iter(encoder.tokenize([texts[longest]], offsets=True)))
    over = min(over, len(tokens.ids) - 1)
    if over <= 0:
        return turn
    if longest == "document":
        return replace(turn, document=turn.document[: tokens.offsets[-over - 1][1]])
    rest = texts[longest][tokens.offsets[over][0] :]
    if longest == "question":
        return replace(turn, question=rest)
    return replace(turn, head=tuple({**one, "content": rest} if str(at) == longest else one
                                    for at, one in enumerate(turn.head)))  # fmt: skip


def _window(
    encoder: Any, document: str, members: Sequence[tuple[int, Turn, int]], reserve: int
) -> Iterator[tuple[int, Fitted]]:
    """(index, fitted) of all turns about one document that is too long."""
    tokens = next(iter(encoder.tokenize([document], offsets=True)))
    length, limit = len(tokens.ids), encoder.max_length
    others = max(size - length + (reserve if turn.answer is None else 0) for _, turn, size in members)
    room = max(limit // LEAST_SHARE, limit - others - 4)  # 4: tokens that merge differently
    step = max(1, room - min(encoder.overlap, room // 2))
    starts = [0] if encoder.long_text == "cut" else list(range(0, max(1, length - room + step), step))
    spans = [(tokens.offsets[at][0], tokens.offsets[min(length, at + room) - 1][1]) for at in starts]
    texts = [document[first:last] for first, last in spans]
    terms = [frozenset(words(text)) for text in texts]
    for index, turn, size in members:
        chosen = choose(texts, terms, turn)
        answer = turn.answer or ""
        elsewhere = bool(answer) and answer in document and answer not in texts[chosen]
        short = _shorten(encoder, replace(turn, document=texts[chosen]),
                         limit - (reserve if turn.answer is None else 0))  # fmt: skip
        yield index, replace(short, size=size, windowed=True, elsewhere=elsewhere)


def choose(windows: Sequence[str], terms: Sequence[frozenset[str]], turn: Turn) -> int:
    """Which window a question goes to; the first of equally good ones. terms: the words of each window."""
    if turn.answer and len(words(turn.answer)) >= TELLING:
        for index, window in enumerate(windows):
            if turn.answer in window:
                return index
    asked = set(words(turn.question))
    spread = {term: sum(term in one for one in terms) for term in asked}
    score = [sum(math.log(1 + len(windows) / spread[term]) for term in asked & one) for one in terms]
    return max(range(len(windows)), key=lambda index: (score[index], -index))


def messages_of(cell: Any, where: str) -> tuple[chat.Message, ...]:
    """The messages of a cell of JSON; UserError when it is none."""
    try:
        found = json.loads(cell) if isinstance(cell, str) else cell
        return tuple({**one, "content": one.get("content") or ""} for one in found)
    except (ValueError, TypeError, AttributeError):
        raise UserError("this is no conversation: a list of messages with `role` and `content` is wanted", where,
                        f"found: {str(cell)[:80]!r}") from None  # fmt: skip
