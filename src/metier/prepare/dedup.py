"""Find exact and near duplicates, and name the cluster of every row. Removes nothing.

Exact: texts are equal after case and white space are folded (width and punctuation are not: 10³ is not 103).
Near: `minhash.py`; texts that differ only in punctuation or width count as near with similarity 1. A cluster is a set
of rows connected by either; its name is the id of its first row in source order, so it does not depend on the order
in which rows arrive. What is folded, listed or kept on one side of a split is decided by `conflicts`, `leaks`, `fold`
and `split`. Trade-off: clusters are transitive (a ~ b ~ c), so a template with many variants is one cluster. That is
what a split without leaks needs; removal looks at direct pairs instead.
Not covered: translations, paraphrases, duplicates of a part (a reply that quotes a whole mail).
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from metier.prepare.flow import Flow, Row, count
from metier.prepare.minhash import fold_loosely, join, near_pairs, root
from metier.registry import register
from metier.tables import digest

_WIDE = "[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]"
_BESIDE_WIDE = re.compile(f"(?<={_WIDE}) | (?={_WIDE})")


class _Loose(Sequence[str]):
    """The loosely folded texts of some rows, each made when it is asked for."""

    def __init__(self, rows: Sequence[Row], places: Sequence[int]) -> None:
        self.rows, self.places = rows, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return [fold_loosely(self.rows[place].text) for place in self.places[index]]
        return fold_loosely(self.rows[self.places[index]].text)


@register("operation", "duplicates")
def find_duplicates(flow: Flow) -> str:
    """Fill `key` and `cluster` of every row, `flow.near` and `flow.duplicates`."""
    rows = flow.rows
    parent = list(range(len(rows)))
    first: dict[str, int] = {}  # folded text -> its first row
    for index, row in enumerate(rows):
        row.key = row.key or digest(fold(row.text))  # as a rule the engine has made it
        join(parent, first.setdefault(row.key, index), index)
    near = _near(flow, list(first.values())) if flow.config.dedup.near else []
    for i, j, _ in near:
        join(parent, i, j)
    for index, row in enumerate(rows):
        row.cluster = rows[root(parent, index)].id
    flow.near = [(rows[i].key, rows[j].key, similarity) for i, j, similarity in near]
    _list_duplicates(flow, first, near)
    return _note(flow)


def fold(text: str) -> str:
    """Case and white space folded away; white space beside Chinese characters carries nothing and goes entirely."""
    return _BESIDE_WIDE.sub("", " ".join(unicodedata.normalize("NFC", text).casefold().split()))


def _near(flow: Flow, first: Sequence[int]) -> list[tuple[int, int, float]]:
    """Near pairs among the rows with the indices `first`, as (smaller index, larger index, similarity), sorted."""
    same: dict[str, list[int]] = defaultdict(list)  # digest of the loosely folded text -> rows
    for index in first:
        loose = fold_loosely(flow.rows[index].text)
        if loose:
            same[digest(loose)].append(index)
    groups = list(same.values())
    texts = _Loose(flow.rows, [places[0] for places in groups])
    settings = flow.config.dedup
    with flow.console.progress("near duplicates", 2 * len(texts), "texts") as meter:
        found = near_pairs(texts, settings.threshold, settings.permutations, meter.advance)
    if found.crowded:
        flow.warn(f"{len(found.crowded):,} texts share a passage with so many others that not all pairs were compared; "
                  "near duplicates among them may be missed")  # fmt: skip
    pairs = [(places[0], other, 1.0) for places in groups for other in places[1:]]
    pairs += [(groups[i][0], groups[j][0], similarity) for i, j, similarity in found.pairs]
    return sorted(pairs)


def _list_duplicates(flow: Flow, first: dict[str, int], near: Sequence[tuple[int, int, float]]) -> None:
    """One entry for each row that repeats an earlier one: the exact one, else the nearest."""
    rows = flow.rows
    best: dict[int, tuple[float, int]] = {}
    for i, j, similarity in near:
        best[j] = max(best.get(j, (0.0, 0)), (similarity, -i))
    for index, row in enumerate(rows):
        earlier = first[row.key]
        if earlier != index:
            kind, similarity = "exact", 1.0
        elif index in best:
            kind, (similarity, place) = "near", best[index]
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
    return f"{kinds.count('exact'):,} exact, {kinds.count('near'):,} near, in {count(clusters, 'cluster')}"
