"""Fold exact duplicates into one example; on request, remove near duplicates too.

Exact duplicates whose labels agree become one example: the first in source order, with the ids of all in
`document_ids`. Which group does it belong to? A short text that everybody writes ("thanks", 谢谢) comes from hundreds
of customers. If equal texts tied their groups together, those customers would become one giant group and no split
would be left; if the example kept all its groups, the same would follow. So it takes the group of the first and only
that one. Nothing leaks: the text stands once, on one side, and what the other customers wrote besides is no part of
it. Near duplicates are different: they stay separate examples, so their groups must be tied together, and `split`
does so.
An official test set is not folded: its size and its weights are part of what makes figures comparable.
Near duplicates (`remove_near`): in source order, a row goes if it is directly near to a row that stays, the labels
agree and so do all numbers, dates, parties and negations (`guard.py`). What the guard kept apart is counted by kind.
Not covered: choosing the better of two texts; the first stays.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from metier.prepare.conflicts import FREE
from metier.prepare.flow import TEST, Flow, Row
from metier.prepare.guard import difference
from metier.registry import register


@register("operation", "fold")
def fold_duplicates(flow: Flow) -> str:
    """Fold and remove as the recipe says; near ones are rejected with the reason "near duplicate"."""
    folded = _fold_exact(flow) if flow.config.dedup.exact else 0
    notes = [f"{folded:,} equal texts folded" if flow.config.dedup.exact else "equal texts kept"]
    if flow.config.dedup.near and flow.config.dedup.remove_near:
        notes.append(_remove_near(flow))
    return ", ".join(notes)


def _fold_exact(flow: Flow) -> int:
    kept: dict[tuple[str, str, str], Row] = {}
    rows = []
    for row in flow.rows:
        if _fixed(flow, row):
            rows.append(row)
            continue
        first = kept.setdefault((row.key, row.answer, row.split), row)
        if first is row:
            rows.append(row)
        else:
            first.document_ids.extend(row.document_ids)
            flow.duplicates[row.id]["kept_id"] = first.id
    folded = len(flow.rows) - len(rows)
    flow.rows = rows
    return folded


def _remove_near(flow: Flow) -> str:
    rows, free = flow.by_key(), flow.profile.kind in FREE
    earlier: dict[str, list[str]] = defaultdict(list)
    for one, two, _ in flow.near:
        earlier[two].append(one)
    gone: dict[str, str] = {}
    apart: Counter[str] = Counter()
    for row in flow.rows:
        if _fixed(flow, row):
            continue
        others = (other for key in earlier[row.key] for other in rows.get(key, ()))
        for other in others:
            if other.id in gone or _fixed(flow, other) or other.split != row.split:
                continue
            if not free and other.answer != row.answer:
                continue
            if kind := difference(other.whole, row.whole):
                apart[kind] += 1
            else:
                gone[row.id] = other.id
                break
    for id, kept in gone.items():
        if id in flow.duplicates:
            flow.duplicates[id]["kept_id"] = kept
    removed = flow.reject(lambda row: ("near duplicate", f"nearly equal to {gone[row.id]}") if row.id in gone else None)
    kept_apart = "; kept apart by " + ", ".join(f"{kind} {n:,}" for kind, n in sorted(apart.items())) if apart else ""
    return f"{removed:,} near duplicates removed{kept_apart}"


def _fixed(flow: Flow, row: Row) -> bool:
    return flow.official and row.split == TEST
