"""Training texts against every evaluation text: shared passages, near duplicates, groups; the leak report.

Purpose: the split keeps groups and near duplicates on one side; a passage that a training text quotes word for word out
of a test text is left, and so is everything that our data shares with evaluation sets from elsewhere
(`prepare.decontaminate.against`). Each find is listed in overlaps.parquet with the passage and with what it overlaps,
and rejected if the recipe says so. leaks.json says for every pair of splits what they share: groups, clusters, near
pairs, passages; with our own split all but the passages must be 0, and a leak there raises in `split`.
Trade-off: test and validation are never changed, so that their size does not depend on what is trained on.
Not covered: what the base model saw before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier.prepare.against import read_texts
from metier.prepare.flow import TEST, TRAIN, VALIDATION, Flow, Row, count, some
from metier.prepare.minhash import near_pairs
from metier.prepare.overlaps import scan
from metier.prepare.ties import shared, ties_of
from metier.registry import register

PAIRS = ((TRAIN, TEST), (TRAIN, VALIDATION), (VALIDATION, TEST))
LONGEST = 300  # characters of a passage that are listed

OVERLAPS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("kind", pa.string()),  # passage or near
        ("share", pa.float64()),  # of its words that stand in shared passages; near: Jaccard similarity
        ("passage", pa.string()),  # the longest one, folded; near: the start of the other text
        ("other_id", pa.string()),  # "" for a text of a file
        ("other_source", pa.string()),  # source of the example, or "file#number"
        ("other_split", pa.string()),  # against: a file of prepare.decontaminate.against
        ("action", pa.string()),  # kept or rejected
    ]
)


class Some(Sequence[str]):
    """The texts of some rows, each read when it is asked for."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.rows[index].whole


@register("operation", "decontaminate")
def decontaminate(flow: Flow) -> str:
    """Fill `flow.overlaps` and `flow.leaks`; reject training rows on request (reason "shares an evaluation text")."""
    settings = flow.config.decontaminate
    if settings.action == "off":
        flow.leaks = {"pairs": leaks_between(flow)}
        return "passages not looked for"
    forms = 0
    sides = {name: [row for row in flow.rows if row.split == name] for name in (TRAIN, VALIDATION, TEST)}
    for one, others in ((TRAIN, (TEST, VALIDATION)), (VALIDATION, (TEST,))):  # a passage in both counts for test
        rows, held = sides[one], [row for name in others for row in sides[name]]
        if rows and held:
            found, passed = scan(Some(rows), Some(held), settings.words, settings.characters, settings.common)
            forms = max(forms, passed)
            for place, overlap in found.items():
                _list(flow, rows[place], "passage", overlap.share, overlap.passage, held[overlap.other])
    train = sides[TRAIN]
    files = {path: read_texts(Path(path)) for path in settings.against}
    for path, texts in files.items():
        _against(flow, train, Path(path).name, texts)
    removed = _reject(flow)
    flow.leaks = {"pairs": leaks_between(flow), "against": _against_counts(flow, files), "forms": forms}
    return _note(flow, removed, forms)


def leaks_between(flow: Flow) -> dict[str, dict[str, int]]:
    """For each pair of splits how many groups (by key), clusters and near pairs stand in both, and passages shared."""
    keys = shared(flow.rows, ties_of(flow))
    clusters: dict[str, set[str]] = {}
    for row in flow.rows:
        clusters.setdefault(row.cluster or row.id, set()).add(row.split)
    rows = flow.by_key()
    near: Counter[tuple[str, str]] = Counter()
    for earlier, later, _ in flow.near:
        sides = {tuple(sorted((a.split, b.split))) for a in rows.get(earlier, ()) for b in rows.get(later, ())}
        near.update(sides)  # type: ignore[arg-type]
    passages = Counter((entry["split"], entry["other_split"]) for entry in flow.overlaps
                       if entry["kind"] == "passage" and entry["action"] == "kept")  # fmt: skip
    found = {}
    for one, other in PAIRS:
        both = {one, other}
        names = sorted({name for name, _ in keys})
        found[f"{one}/{other}"] = {
            "groups": sum(both <= sides for sides in keys.values()),
            **{f"groups by {name}": sum(both <= sides for (key, _), sides in keys.items() if key == name)
               for name in names if name != "group"},
            "clusters": sum(both <= sides for sides in clusters.values()),
            "near pairs": near[tuple(sorted((one, other)))],  # type: ignore[index]
            "passages": passages[one, other],
        }  # fmt: skip
    return found


def _against(flow: Flow, train: Sequence[Row], name: str, texts: Sequence[str]) -> None:
    """Passages and near duplicates of the texts of one file."""
    settings, dedup = flow.config.decontaminate, flow.config.dedup
    found, _ = scan(Some(train), texts, settings.words, settings.characters, settings.common)
    for place, overlap in found.items():
        _list(flow, train[place], "passage", overlap.share, overlap.passage, f"{name}#{overlap.other + 1}")
    both = _Both(texts, train)
    pairs, similarity = near_pairs(both, dedup.threshold, dedup.permutations).all_pairs()
    across = (pairs[:, 0] < len(texts)) & (pairs[:, 1] >= len(texts))
    best: dict[int, tuple[float, int]] = {}
    for (held, row), value in zip(pairs[across].tolist(), similarity[across].tolist(), strict=True):
        best[row - len(texts)] = max(best.get(row - len(texts), (0.0, 0)), (value, -held))
    for place, (value, held) in sorted(best.items()):
        _list(flow, train[place], "near", value, texts[-held], f"{name}#{-held + 1}")


class _Both(Sequence[str]):
    """Texts of a file, then of rows."""

    def __init__(self, texts: Sequence[str], rows: Sequence[Row]) -> None:
        self.texts, self.rows = texts, rows

    def __len__(self) -> int:
        return len(self.texts) + len(self.rows)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.texts[index] if index < len(self.texts) else self.rows[index - len(self.texts)].whole


def _list(flow: Flow, row: Row, kind: str, share: float, passage: str, other: Row | str) -> None:
    flow.overlaps.append({
        "id": row.id, "source": row.source, "split": row.split, "kind": kind, "share": share,
        "passage": passage[:LONGEST], "other_id": other.id if isinstance(other, Row) else "",
        "other_source": other.source if isinstance(other, Row) else other,
        "other_split": other.split if isinstance(other, Row) else "against", "action": "kept",
    })  # fmt: skip


def _reject(flow: Flow) -> int:
    if flow.config.decontaminate.action != "reject":
        return 0
    gone: dict[str, dict[str, Any]] = {}
    for entry in flow.overlaps:
        if entry["split"] == TRAIN and (entry["kind"] == "near" or entry["share"] >= flow.config.decontaminate.share):
            entry["action"] = "rejected"
            gone.setdefault(entry["id"], entry)
    labels = {name for row in flow.rows if row.split == TRAIN for name in row.strata}

    def leaves(row: Row) -> tuple[str, str] | None:
        if row.id not in gone or row.split != TRAIN:
            return None
        entry = gone[row.id]
        how = "nearly equal to" if entry["kind"] == "near" else f"{entry['share']:.0%} of its words stand in"
        return "shares an evaluation text", f"{how} {entry['other_source']}: {entry['passage'][:80]}"

    removed = flow.reject(leaves)
    lost = sorted(labels - {name for row in flow.rows if row.split == TRAIN for name in row.strata})
    if lost:
        flow.warn(f"with them, train lost all examples of {some(lost)}")
    return removed


def _against_counts(flow: Flow, files: dict[str, list[str]]) -> dict[str, dict[str, int]]:
    found = {}
    for path, texts in files.items():
        name = Path(path).name
        mine = [entry for entry in flow.overlaps if entry["other_split"] == "against"
                and entry["other_source"].rpartition("#")[0] == name]  # fmt: skip
        kinds = Counter(entry["kind"] for entry in mine)
        found[name] = {"texts": len(texts), "passages": kinds["passage"], "near": kinds["near"],
                       "rejected": sum(entry["action"] == "rejected" for entry in mine)}  # fmt: skip
    return found


def _note(flow: Flow, removed: int, forms: int) -> str:
    touched = {entry["id"] for entry in flow.overlaps if entry["split"] == TRAIN}
    notes = [f"{count(len(touched), 'training text')} share a passage with evaluation texts"]
    if removed:
        notes.append(f"{removed:,} rejected")
    elif touched:
        flow.warn(f"{count(len(touched), 'training text')} share a passage of {flow.config.decontaminate.words} words "
                  f"or {flow.config.decontaminate.characters} characters with evaluation texts (overlaps.parquet); "
                  "prepare.decontaminate.action=reject takes them out")  # fmt: skip
    if forms:
        notes.append(f"{count(forms, 'passage')} of forms passed over")
    return ", ".join(notes)
