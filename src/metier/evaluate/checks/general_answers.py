"""What a model still does outside its field: general texts, sentences to complete, instructions, and meaning.

Purpose: `written` asks a model that writes: the bits that general text costs it, which of four endings it finds the
likeliest, and what it answers to instructions whose answers are a word or two. `embedded` asks an encoder by its
vectors: is the nearest paragraph one of the same topic, and is another wording of a sentence nearer than one that only
shares its words? The base is asked in the same way; a model is compared with nothing but the base it came from.
Trade-off: an answer is right if the expected word stands in its first line, since small models say more than they
are asked for; both models have that benefit.
Not covered: knowledge and reasoning beyond this; bring texts of your own, or a harness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from metier.console import Console
from metier.evaluate import words
from metier.evaluate.checks import general
from metier.evaluate.config_behaviour import ForgettingConfig
from metier.registry import lookup
from metier.train.config import TaskConfig

ANSWERS = pa.schema(
    [
        ("kind", pa.string()),  # bits_per_byte, cloze, instructions, topics or similar
        ("language", pa.string()),  # en, zh; own: the user's texts
        ("item", pa.int64()),
        ("model", pa.string()),
        ("right", pa.bool_()),
        ("bits", pa.float64()),
        ("bytes", pa.int64()),
        ("asked", pa.string()),  # the instruction, for the report
        ("written", pa.string()),  # the answer to it
    ]
)
Row = dict[str, Any]


def written(model: Any, name: str, own: Sequence[str], config: ForgettingConfig, console: Console) -> list[Row]:
    """Rows of ANSWERS of a model that writes, as far as it can: an encoder-decoder gives running text no likelihood,
    an encoder that learns hidden words has bits for those alone and answers nothing."""
    hides = getattr(model.task, "masked", False)
    rows: list[Row] = []
    if hides or not model.module.config.is_encoder_decoder:
        texts = [(language, text) for language in general.LANGUAGES for _, text in general.paragraphs(language)]
        texts += [("own", text) for text in own]
        bits, sizes = measured(model, [text for _, text in texts], console)
        rows += [{"kind": "bits_per_byte", "language": language, "item": item, "bits": cost, "bytes": size}
                 for item, ((language, _), cost, size) in enumerate(zip(texts, bits, sizes, strict=True))]  # fmt: skip
        rows += [] if hides else _cloze(model, console)
    rows += [] if hides else _instructions(model, config, console)
    return [{**row, "model": name} for row in rows]


def measured(model: Any, texts: Sequence[str], console: Console) -> tuple[list[float], list[int]]:
    """Bits that each text costs the model, and the bytes of UTF-8 that they pay for: every token from those before it,
    or the hidden words from both sides."""
    causal = TaskConfig(name="pretrain", objective="causal")
    reader = model.task if getattr(model.task, "masked", False) else lookup("task", "pretrain")(causal, {})
    decoded, _ = replace(model, task=reader).predict(pa.table({"text": pa.array(texts, pa.string())}), console)
    return decoded.bits, decoded.bytes


def _cloze(model: Any, console: Console) -> list[Row]:
    """Each sentence with each ending; right is the first of the list."""
    rows: list[Row] = []
    for language in general.LANGUAGES:
        items = general.content()["cloze"][language]
        between, stop = ("", "。") if language == "zh" else (" ", ".")
        texts = [f"{begin}{between}{ending}{stop}" for begin, *endings in items for ending in endings]
        bits = np.array(measured(model, texts, console)[0]).reshape(len(items), -1)
        rows += [{"kind": "cloze", "language": language, "item": item, "right": bool(best == 0)}
                 for item, best in enumerate(bits.argmin(axis=1))]  # fmt: skip
    return rows


def _instructions(model: Any, config: ForgettingConfig, console: Console) -> list[Row]:
    task = lookup("task", "generate")(TaskConfig(name="generate", max_new_tokens=config.max_new_tokens), {})
    items = [(language, asked, accepted) for language in general.LANGUAGES
             for asked, *accepted in general.content()["instructions"][language]]  # fmt: skip
    table = pa.table({"pair": [asked for _, asked, _ in items], "text": [""] * len(items),
                      "answer": pa.array([None] * len(items), pa.string())})  # fmt: skip
    decoded, _ = replace(model, task=task).predict(table, console)
    return [
        {"kind": "instructions", "language": language, "item": item, "right": holds(answer, accepted), "asked": asked,
         "written": answer}
        for item, ((language, asked, accepted), answer) in enumerate(zip(items, decoded.texts, strict=True))
    ]  # fmt: skip


def holds(answer: str, accepted: Sequence[str]) -> bool:
    """Whether the words of an accepted answer stand next to each other in the first line of the answer."""
    line = next((line for line in answer.splitlines() if line.strip()), "")
    found = words.words(line)
    for one in accepted:
        wanted = words.words(one)
        if any(found[at : at + len(wanted)] == wanted for at in range(len(found) - len(wanted) + 1)):
            return True
    return False


def embedded(embed: Any, name: str) -> list[Row]:
    """Rows of ANSWERS of an encoder. embed: texts -> (n, C) vectors of length 1."""
    rows: list[Row] = []
    for language in general.LANGUAGES:
        topics, texts = zip(*general.paragraphs(language), strict=True)
        nearest = nearest_of(np.asarray(embed(list(texts))))
        rows += [{"kind": "topics", "language": language, "item": item, "right": topics[place] == topics[item]}
                 for item, place in enumerate(nearest)]  # fmt: skip
        items = general.content()["similar"][language]
        first, same, other = (np.asarray(embed(list(column))) for column in zip(*items, strict=True))
        closer = (first * same).sum(axis=1) > (first * other).sum(axis=1)
        rows += [{"kind": "similar", "language": language, "item": item, "right": bool(one)}
                 for item, one in enumerate(closer)]  # fmt: skip
    return [{**row, "model": name} for row in rows]


def nearest_of(vectors: np.ndarray) -> np.ndarray:
    """(n,) the most similar other row."""
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    return np.asarray(similar.argmax(axis=1))
