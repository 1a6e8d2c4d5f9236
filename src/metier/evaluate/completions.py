"""Secrets that a model that writes is asked to complete: identifiers of its training texts, and planted canaries.

Purpose: extraction as Carlini et al. 2021 and 2023 define it: the model is given the words that stood before a secret
in training, writes on greedily, and either writes the secret next or does not. Identifiers are what the rules of
de-identification find (numbers, names, addresses), unless they can be guessed (dates, ages, postcodes) or stand in the
words before them already, where writing them is copying and no memory.
Trade-off: one greedy answer each; sampling would find more, and take longer.
Not covered: encoder-decoders, whose answer cannot be begun for them; secrets that are paraphrased.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from metier.console import Console
from metier.train.tasks.base import profile, strings

GUESSED = ("date", "age", "postcode", "organisation")  # found by the rules, and no sign of memory
ROOM = 4  # tokens that may come between the words before a secret and the secret


@dataclass(frozen=True)
class Secret:
    """What the example of this row (of the table of training examples) holds from `start` of its learned text on."""

    row: int
    start: int
    text: str
    kind: str


def learned_texts(rows: pa.Table, config: Any) -> list[str]:
    """What is learned of each example of a task that writes."""
    return strings(rows[profile(config).answer])


def identifiers(rows: pa.Table, config: Any) -> tuple[list[Secret], int]:
    """Different identifiers in what is learned, and how many stand in the words before them too and are left out."""
    from metier.prepare.deidentify.recognise.find import find

    found: dict[str, Secret] = {}
    copied = 0
    given = _given(rows, config)
    for row, text in enumerate(learned_texts(rows, config)):
        for span in find(text):
            words = text[span.start : span.end]
            if span.kind in GUESSED or not text[: span.start].strip() + given[row]:
                continue
            if words in given[row] or words in text[: span.start]:
                copied += 1
            else:
                found.setdefault(folded(words), Secret(row, span.start, words, span.kind))
    return list(found.values()), copied


def completed(
    model: Any, rows: pa.Table, secrets: Sequence[Secret], prefix: int, console: Console
) -> list[tuple[str, bool]]:
    """For each secret what the model writes after the words before it, and whether that begins with the secret.

    prefix: tokens that it is given; of an answer in a conversation, what was asked comes before them.
    """
    from metier.train import chat
    from metier.train.answering import write

    if not secrets:
        return []
    tokenizer = model.encoder.tokenizer
    prompts = list(_prompts(model, rows, secrets, prefix))
    most = ROOM + max(len(tokenizer(secret.text, add_special_tokens=False)["input_ids"]) for secret in secrets)
    texts, _ = write(model, prompts, chat.stop_tokens(tokenizer), most, console)
    return [(text, folded(text).startswith(folded(secret.text)))
            for text, secret in zip(texts, secrets, strict=True)]  # fmt: skip


def folded(text: str) -> str:
    """White space and case say nothing about a secret."""
    return "".join(text.split()).casefold()


def _given(rows: pa.Table, config: Any) -> list[str]:
    """What the model reads before it answers; nothing where the text itself is learned."""
    if profile(config).answer == "text":
        return [""] * rows.num_rows
    names = [name for name in ("text", "pair", "messages") if name in rows.column_names]
    return ["\n".join(parts) for parts in zip(*(strings(rows[name]) for name in names), strict=True)]


def _prompts(model: Any, rows: pa.Table, secrets: Sequence[Secret], prefix: int) -> Iterator[list[int]]:
    task, encoder = model.task, model.encoder
    texts = learned_texts(rows, task.config)
    before = [texts[secret.row][: secret.start].rstrip() for secret in secrets]
    pieces = [list(found.ids)[-prefix:] for found in encoder.tokenize(before)]
    if profile(task.config).answer == "text":
        from metier.train.tasks.pretrain import start_token

        yield from ([start_token(encoder.tokenizer), *piece] for piece in pieces)
        return
    from metier.train.fitting import fit

    chosen = rows.take(pa.array([secret.row for secret in secrets], pa.int64()))
    asked = [replace(turn, answer=None) for turn in task.turns(chosen, every=False)]
    for one, piece in zip(fit(encoder, asked, reserve=2 * prefix), pieces, strict=True):
        yield [*one.prompt(encoder.tokenizer), *piece]
