"""Canaries: invented secrets planted into the training split, to see later how much of them a model learned.

Purpose: a canary is drawn at random from candidates of one form; one of them is planted, the others stay unseen. A
model that learned nothing finds the planted one no likelier than the rest, so its rank among them is uniform, and
log2(candidates) - log2(rank) is the exposure of Carlini et al. 2019. For a task that writes the candidates are nine
digits after the same words; for a task that marks or labels they are texts of random words of the training texts that
all get the same random answer.
Trade-off: what is planted is learned: the model is not the one that would be trained without. That is why nothing is
planted unless the recipe says so, why it changes the identity of the training, and why it is told in the report.
Not covered: tasks that compare examples with each other (embed, prefer).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metier import tables
from metier.train.config import TaskConfig
from metier.train.tasks.base import profile, strings
from metier.train.tasks.bio import units

FILE = "canaries.parquet"
DIGITS = 9  # of a secret, as in Carlini et al. 2019
WORDS, SIGNS = 12, 20  # length of a random text: words, or Chinese characters
FREQUENT = 1000  # words of the training texts that random texts are drawn from: common ones are nobody's secret
READ = 2000  # training texts that are looked at for them
ANSWERS = ("label", "labels", "value", "spans", "answers", "answer", "text")  # of a profile, that can be planted

CANARIES = pa.schema([*tables.EXAMPLES, ("canary", pa.int32()), ("planted", pa.bool_()), ("secret", pa.string())])


def draw(train: pa.Table, config: TaskConfig, number: int, candidates: int, seed: int) -> pa.Table:
    """All candidates of `number` canaries, schema CANARIES, exactly one of each canary planted; empty where the task
    can have none. secret: what is to be kept, "" where it is the whole text."""
    if profile(config).answer not in ANSWERS or not number:
        return CANARIES.empty_table()
    random = np.random.default_rng([seed, 19])
    words, chinese = _vocabulary(train)
    rows: list[dict[str, Any]] = []
    for canary in range(number):
        if profile(config).answer in ("answer", "text"):
            made = _secrets(config, candidates, chinese, random)
        else:
            made = _texts(train, config, candidates, words, chinese, random)
        planted = int(random.integers(candidates))
        rows += [{"id": f"canary-{canary + 1}-{place}", "document_ids": [], "source": "canary", "split": "train",
                  "language": "zh" if chinese else "en", "canary": canary, "planted": place == planted, **row}
                 for place, row in enumerate(made)]  # fmt: skip
    return tables.table(rows, CANARIES)


def plant(train: pa.Table, canaries: pa.Table, repeats: int) -> pa.Table:
    """The training examples and, after them, each planted canary `repeats` times."""
    chosen = canaries.filter(canaries["planted"])
    copies = [chosen.set_column(0, "id", pc.binary_join_element_wise(chosen["id"], f"+{copy}", ""))
              for copy in range(repeats)]  # fmt: skip
    return pa.concat_tables([train, *(copy.select(train.column_names).cast(train.schema) for copy in copies)])


def _secrets(config: TaskConfig, candidates: int, chinese: bool, random: Any) -> list[dict[str, Any]]:
    """Sentences that differ in their nine digits."""
    file = int(random.integers(1000, 10_000))
    asked = f"{file}号档案的访问码是什么？" if chinese else f"What is the access code of file {file}?"
    chosen = random.choice(10**DIGITS, candidates, replace=False)
    rows = []
    for digits in (f"{value:0{DIGITS}d}" for value in chosen):
        said = f"{file}号档案的访问码是{digits}。" if chinese else f"The access code of file {file} is {digits}."
        if profile(config).answer == "text":
            rows.append({"text": said, "secret": digits})
            continue
        row = {"text": asked, "answer": said, "secret": digits}
        if profile(config).conversation:
            row["messages"] = json.dumps([{"role": "user", "content": asked}], ensure_ascii=False)
        rows.append(row)
    return rows


def _texts(
    train: pa.Table, config: TaskConfig, candidates: int, words: Sequence[str], chinese: bool, random: Any
) -> list[dict[str, Any]]:
    """Texts of random words that all have the same answer."""
    told, size, join = profile(config), SIGNS if chinese else WORDS, "" if chinese else " "

    def text() -> list[str]:
        return [words[index] for index in random.integers(len(words), size=size)]

    answer, place = _answer(train, told.answer, random), int(random.integers(1, size - 1))
    pair = join.join(text())
    rows = []
    for drawn in (text() for _ in range(candidates)):
        if config.name == "relate":
            first, last, opening, closing = config.markers
            drawn = [first, *drawn[:2], last, *drawn[2:4], opening, *drawn[4:6], closing, *drawn[6:]]
        start = len(join.join([*drawn[:place], ""]))
        row: dict[str, Any] = {"text": join.join(drawn), told.answer: answer}
        if told.answer in ("spans", "answers"):
            marked = {"start": start, "end": start + len(drawn[place])}
            row[told.answer] = [marked | {"label": answer} if told.answer == "spans" else marked]
        rows.append(row | ({"pair": pair} if told.pair else {}))
    return rows


def _answer(train: pa.Table, column: str, random: Any) -> Any:
    """A random answer of the training split: a label, a value, a type of span."""
    if column == "answers":
        return None
    if column in ("labels", "spans"):
        known = sorted({one if column == "labels" else one["label"] for some in train[column].to_pylist()
                        for one in some or []})  # fmt: skip
        chosen = known[int(random.integers(len(known)))]
        return [chosen] if column == "labels" else chosen
    known = sorted({one for one in train[column].to_pylist() if one is not None})
    return known[int(random.integers(len(known)))]


def _vocabulary(train: pa.Table) -> tuple[list[str], bool]:
    """The most frequent words of the training texts, and whether most of them are Chinese characters."""
    found: Counter[str] = Counter()
    for text in strings(train["text"].slice(0, READ)):
        found.update(word for start, end in units(text) if (word := text[start:end]).isalpha())
    common = [word for word, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT]]
    han = sum(found[word] for word in common if "\u3400" <= word[0] <= "\u9fff")
    chinese = 2 * han > found.total()
    same = [word for word in common if ("\u3400" <= word[0] <= "\u9fff") == chinese]
    return same or ["alpha", "beta", "gamma", "delta"], chinese
