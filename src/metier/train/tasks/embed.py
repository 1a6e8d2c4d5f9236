"""Vectors for retrieval: a query and the passage that answers it lie close together, all others further away.

Purpose: tune a base, encoder or decoder, on queries and passages. An example is its query, its passage and, if it has
any, hard negatives: each is one window and one row, a vector of length 1 (`task.embed.pooling`). The loss is InfoNCE
over the passages of the whole batch (contrast.py), whatever may be right too is masked (see `families`).
Trade-off: a text longer than the model reads is cut, and counted, whatever `train.long_text` says: a vector is that of
one window for everyone who uses the saved model. Long documents are cut into passages before (`prepare.chunk`).
Not covered: several vectors a text, and re-ranking of what was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.encoding import DEFAULT_LIMIT, Encoded, Encoder, Item, frame_of, tokens_of
from metier.train.tasks.base import WINDOWS, Decoded, Profile, strings


@register("task", "embed")
class Embed:
    """See `Task` for the members."""

    longest = DEFAULT_LIMIT

    rows, joint = WINDOWS, True
    outputs, problem_type = 1, ""  # no head: a row is as wide as the base
    monitor_name = "nDCG@10"

    def __init__(self, config: TaskConfig, state: dict[str, Any]) -> None:
        self.config, self.classes = config, list[str]()

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        return Profile("pair", "ranking", "ndcg_10", ("bm25",), ("ndcg_10 > bm25", "ndcg_10 > base"),
                       pipeline="sentence-similarity")  # fmt: skip

    @classmethod
    def from_training(cls, config: TaskConfig, train: pa.Table) -> Embed:
        """Nothing is read from the training examples."""
        return cls(config, {})

    def pooling(self, wanted: str) -> str:
        return "vector"  # which one, the base decides (sentence.py)

    def mine(
        self, train: pa.Table, embed: Callable[[Sequence[str], str], Any], console: Any
    ) -> tuple[pa.Table, dict[str, int]]:
        """The training examples with hard negatives, and counts. embed: (texts, prefix) -> vectors of the base."""
        from metier.train.mining import mine

        return mine(train, self.config.embed, embed, console)

    def encode(self, encoder: Encoder, examples: pa.Table, console: Any = None) -> Encoded:
        """Query, passage and hard negatives of each example; the passage alone where the table has no queries."""
        passages, prefix = strings(examples["text"]), self.config.embed.passage_prefix
        if "pair" not in examples.column_names:
            return self.encode_texts(encoder, passages, prefix, console)
        known = families(examples)
        negatives = _negatives(examples, self.config.embed.negatives)
        queries = [self.config.embed.query_prefix + query for query in strings(examples["pair"])]
        texts = [[query, *(prefix + one for one in (passage, *more))]
                 for query, passage, more in zip(queries, passages, negatives, strict=True)]  # fmt: skip
        notes = {"same_family": known.shared, "hard_negatives": sum(map(len, negatives))}
        if self.config.embed.same_group == "mask":
            notes["same_group"] = known.grouped
        return self._encoded(encoder, texts, console, notes)

    def encode_texts(self, encoder: Encoder, texts: Sequence[str], prefix: str, console: Any = None) -> Encoded:
        """One window a text."""
        return self._encoded(encoder, [[prefix + text] for text in texts], console, {})

    def _encoded(
        self, encoder: Encoder, texts: Sequence[Sequence[str]], console: Any, notes: dict[str, int]
    ) -> Encoded:
        frame = frame_of(encoder.tokenizer)
        different = list(dict.fromkeys(text for some in texts for text in some))
        windows: dict[str, tuple[int, ...]] = {}
        cut = cut_tokens = 0
        single = Encoder(encoder.tokenizer, encoder.max_length, "cut")
        for text, found in zip(different, single.tokenize(different, console), strict=True):
            ranges, lost = single.ranges(len(found.ids), frame)
            windows[text] = single.item(found.ids, ranges, frame).windows[0]
            cut, cut_tokens = cut + (lost > 0), cut_tokens + lost
        items = tuple(Item(tuple(windows[text] for text in some)) for some in texts)
        return Encoded(items, tokens_of(items), 0, cut, cut_tokens, (), notes)

    def window_names(self, count: int) -> list[str]:
        """What each window of an example is."""
        return ["query", "passage", *(f"hard negative {number}" for number in range(1, count - 1))][-count:]

    def targets(self, examples: pa.Table, encoded: Encoded | None = None) -> Sequence[Any]:
        """For each example (rows, 2) of int64: family and group of its query, its passage and its negatives."""
        import torch

        known, masked = families(examples), self.config.embed.same_group == "mask"
        found = []
        for codes, negatives in zip(known.rows, _negatives(examples, self.config.embed.negatives), strict=True):
            rows = [codes, codes, *(known.code(text) for text in negatives)]
            found.append(torch.tensor([(family, group if masked else -1) for family, group in rows]))
        return found

    def loss(self, logits: Any, counts: Sequence[int], targets: Sequence[Any], smoothing: float) -> Any:
        from metier.train.contrast import info_nce

        return info_nce(logits, counts, targets, self.config.embed.scale, self.config.embed.symmetric)

    def settle(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> None:
        """Nothing: a vector is one window's."""

    def decode(self, logits: np.ndarray, encoded: Encoded | None = None) -> Decoded:
        """The passages' vectors."""
        if encoded is None or len(encoded) == len(logits):
            return Decoded(vectors=logits)
        counts = np.array(encoded.counts(self.rows))
        return Decoded(vectors=logits[np.cumsum(counts) - counts + 1])

    def monitor(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> float:
        """nDCG@10 of the validation queries among the validation passages."""
        from metier.train.contrast import gain, ranks

        return gain(ranks(logits, counts, targets))

    def label_maps(self) -> tuple[dict[int, str], dict[str, int]]:
        return {}, {}

    def state(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Families:
    """Which passages may answer the same query. rows: family and group of each example; of: of each folded passage."""

    rows: list[tuple[int, int]]
    of: dict[str, tuple[int, int]]
    shared: int  # examples whose family has another example
    grouped: int  # examples whose group has an example of another family

    def code(self, text: str) -> tuple[int, int]:
        """Family and group of a hard negative; one that is no example's passage has neither (family -2, group -1)."""
        return self.of.get(folded(text), (-2, -1))


def families(examples: pa.Table) -> Families:
    """Families of passages: connected by equal passages, by equal queries and by clusters of near duplicates."""
    passages, queries = ([folded(text) for text in strings(examples[name])] for name in ("text", "pair"))
    clusters = strings(examples["cluster"]) if "cluster" in examples.column_names else [""] * len(passages)
    names = strings(examples["group"]) if "group" in examples.column_names else [""] * len(passages)
    parent = list(range(len(passages)))
    first: dict[tuple[str, str], int] = {}
    for row, keys in enumerate(zip(passages, queries, clusters, strict=True)):
        for kind, key in zip(("passage", "query", "cluster"), keys, strict=True):
            if key:
                one, other = _root(parent, first.setdefault((kind, key), row)), _root(parent, row)
                parent[max(one, other)] = min(one, other)
    family = [_root(parent, row) for row in range(len(passages))]
    number = {name: code for code, name in enumerate(dict.fromkeys(name for name in names if name))}
    group = [number.get(name, -1) for name in names]
    rows = list(zip(family, group, strict=True))
    of = dict(zip(reversed(passages), reversed(rows), strict=True))  # the first example of a passage decides
    sizes, members, inside = Counter(family), Counter(group), Counter(rows)
    grouped = sum(one >= 0 and members[one] > inside[other, one] for other, one in rows)
    return Families(rows, of, sum(sizes[one] > 1 for one in family), grouped)


def folded(text: str) -> str:
    """What must be equal for two texts to be one: case and white space say nothing."""
    return " ".join(text.casefold().split())


def _negatives(examples: pa.Table, most: int) -> list[list[str]]:
    if "negatives" not in examples.column_names:
        return [[]] * examples.num_rows
    return [list(some or ())[:most] for some in examples["negatives"].to_pylist()]


def _root(parent: list[int], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row
