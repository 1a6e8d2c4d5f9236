"""Find exact and near duplicates, and name the cluster of every row. Removes nothing.

Exact: texts are equal after case and white space are folded (width and punctuation are not: 10³ is not 103); they are
compared by a 64-bit digest. Near: `minhash.py`; texts that differ only in punctuation or width count as near with
similarity 1. A cluster is a set of rows connected by either; its name is the id of its first row in source order, so
it does not depend on the order in which rows arrive. The first row in source order is also the one that is kept
wherever duplicates become one. What is folded, listed or kept on one side of a split is decided by `conflicts`,
`leaks`, `fold` and `split`. Trade-off: clusters are transitive (a ~ b ~ c), so a template with many variants is one
cluster. That is what a split without leaks needs; removal looks at direct pairs instead.
Texts are read in source order and never all held; what is kept of a row is its digests and its signature.
Not covered: translations, paraphrases (`semantic.py`), duplicates of a part (`overlaps.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from metier.prepare.flow import Flow, Row, count
from metier.prepare.minhash import join, near_pairs, root
from metier.prepare.semantic import semantic_pairs
from metier.prepare.shingles import Array
from metier.registry import register
from metier.tables import digest

_WIDE = "[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]"
_HAN = re.compile("[\u3400-\u9fff]")
_BESIDE_WIDE = re.compile(f"(?<={_WIDE}) | (?={_WIDE})")


class KeyPairs:
    """Near pairs as (key of the earlier text, key of the later text, similarity); 24 bytes a pair."""

    def __init__(self, keys: Sequence[str], pairs: Array, similarity: Array) -> None:
        self.keys, self.pairs, self.similarity = keys, pairs, similarity

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[tuple[str, str, float]]:
        for start in range(0, len(self.pairs), 4096):
            part = slice(start, start + 4096)
            for (i, j), value in zip(self.pairs[part].tolist(), self.similarity[part].tolist(), strict=True):
                yield self.keys[i], self.keys[j], value


class _Texts(Sequence[str]):
    """The texts of some rows, each read when it is asked for."""

    def __init__(self, rows: Sequence[Row], places: Sequence[int]) -> None:
        self.rows, self.places = rows, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.rows[self.places[index]].compared


@register("operation", "duplicates")
def find_duplicates(flow: Flow) -> str:
    """Fill `key` and `cluster` of every row, `flow.near` and `flow.duplicates`."""
    rows = flow.rows
    parent = list(range(len(rows)))
    first: dict[str, int] = {}  # key -> its first row
    for index, row in enumerate(rows):
        if row.pair or row.formed or not row.key:  # as a rule the engine has made it, of the text alone
            row.key = digest(fold(row.compared))
        join(parent, first.setdefault(row.key, index), index)
    _tie(flow, parent)
    pairs, similarity = np.zeros((0, 2), np.int64), np.zeros(0)
    if flow.config.dedup.near:
        pairs, similarity = _near(flow, list(first.values()))
    for i, j in pairs.tolist():
        join(parent, i, j)
    if flow.profile.answer == "pair":  # what is looked for must not be known from training under another query
        passages: dict[str, int] = {}
        for index, row in enumerate(rows):
            join(parent, passages.setdefault(digest(fold(row.text)), index), index)
    alike = np.zeros((0, 2), np.int64)
    if flow.config.dedup.semantic.enabled:
        alike, cosine = _semantic(flow, sorted({root(parent, index) for index in first.values()}))
        for i, j in alike.tolist():
            join(parent, i, j)
        pairs, similarity = np.concatenate([pairs, alike]), np.concatenate([similarity, cosine])
    for index, row in enumerate(rows):
        row.cluster = rows[root(parent, index)].id
    flow.near = KeyPairs([row.key for row in rows], pairs, similarity)
    _list_duplicates(flow, first, pairs, similarity, len(pairs) - len(alike))
    return _note(flow)


def question(row: Row) -> str:
    """Digest of what a row asks, where answers are texts: the same question on both sides of a split is a leak,
    whatever the answers; "" for other tasks."""
    if not row.formed:
        return ""
    options = sorted(map(fold, row.columns.get("options", ())))  # "which of these is true?" asks with them
    return digest("asked", fold(f"{row.pair}\n{row.text}"), *options)


def _tie(flow: Flow, parent: list[int]) -> None:
    """Join the clusters of rows that ask the same, and of those with one and the same long answer.

    An answer is long from the length on at which decontaminate calls a passage one, and no form.
    """
    formed = [(index, row) for index, row in enumerate(flow.rows) if row.formed]
    first: dict[str, int] = {}
    answers: dict[str, list[int]] = defaultdict(list)
    settings = flow.config.decontaminate
    for index, row in formed:
        join(parent, first.setdefault(question(row), index), index)
        answer = row.columns.get("answer", "")
        if len(answer.split()) >= settings.words or len(_HAN.findall(answer)) >= settings.characters:
            answers[digest(fold(answer))].append(index)
    for same in answers.values():
        if len(same) <= settings.common:
            for index in same[1:]:
                join(parent, same[0], index)


def fold(text: str) -> str:
    """Case and white space folded away; white space beside Chinese characters carries nothing and goes entirely."""
    return _BESIDE_WIDE.sub("", " ".join(unicodedata.normalize("NFC", text).casefold().split()))


def _near(flow: Flow, first: Sequence[int]) -> tuple[Array, Array]:
    """Near pairs among the rows with the indices `first`: (smaller index, larger index), sorted, and similarities."""
    settings = flow.config.dedup
    with flow.console.progress("near duplicates", 2 * len(first), "texts") as meter:
        near = near_pairs(_Texts(flow.rows, first), settings.threshold, settings.permutations, meter.advance)
    if near.crowded:
        flow.warn(f"{len(near.crowded):,} texts share a passage with so many others that not all pairs were compared; "
                  "near duplicates among them may be missed")  # fmt: skip
    pairs, similarity = near.all_pairs()
    pairs = np.array(first, np.int64)[pairs]  # still sorted, since `first` rises
    return pairs, similarity


def _semantic(flow: Flow, first: Sequence[int]) -> tuple[Array, Array]:
    """Pairs of equal meaning among the first rows of all clusters, and their cosine similarities."""
    settings = flow.config.dedup.semantic
    if settings.vectors == "base" and flow.embed is None:
        raise AssertionError("nobody handed in the base model")
    with flow.console.progress("semantic duplicates", len(first), "texts") as meter:
        embed = flow.embed if settings.vectors == "base" else None
        pairs, cosine = semantic_pairs(_Texts(flow.rows, first), settings.threshold, embed, meter.advance)
    return np.array(first, np.int64)[pairs], cosine


def _list_duplicates(flow: Flow, first: dict[str, int], pairs: Array, similarities: Array, lexical: int) -> None:
    """One entry for each row that repeats an earlier one: the exact one, else the nearest, else one of equal meaning.

    lexical: how many of the pairs, the first ones, are near by their shingles.
    """
    rows = flow.rows
    near: dict[int, tuple[float, int]] = {}
    meant: dict[int, tuple[float, int]] = {}
    for number, ((i, j), similarity) in enumerate(zip(pairs.tolist(), similarities.tolist(), strict=True)):
        best = near if number < lexical else meant
        best[j] = max(best.get(j, (0.0, 0)), (similarity, -i))
    for index, row in enumerate(rows):
        earlier = first[row.key]
        if earlier != index:
            kind, similarity = "exact", 1.0
        elif index in near or index in meant:
            kind, best = ("near", near) if index in near else ("semantic", meant)
            similarity, place = best[index]
            earlier = -place
        else:
            continue
        flow.duplicates[row.id] = {
            "cluster": row.cluster, "kind": kind, "kept_id": rows[earlier].id, "id": row.id, "source": row.source,
            "similarity": similarity,
        }  # fmt: skip


def _note(flow: Flow) -> str:
    sizes: dict[str, int] = defaultdict(int)
    for row in flow.rows:
        sizes[row.cluster] += 1
    kinds = [entry["kind"] for entry in flow.duplicates.values()]
    largest = max(sizes.values(), default=0)
    if largest > max(10, 0.1 * len(flow.rows)):
        flow.warn(f"{largest:,} of {len(flow.rows):,} texts are one cluster of duplicates (a template?); it stays on "
                  "one side of the split, a higher prepare.dedup.threshold divides it")  # fmt: skip
    clusters = sum(1 for size in sizes.values() if size > 1)
    meant = f", {kinds.count('semantic'):,} semantic" if flow.config.dedup.semantic.enabled else ""
    return f"{kinds.count('exact'):,} exact, {kinds.count('near'):,} near{meant}, in {count(clusters, 'cluster')}"
