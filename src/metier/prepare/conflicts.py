"""Equal texts with different labels: found, listed, and treated by the recipe's policy.

Purpose: two people labelled the same words differently; a model cannot be right about both, and a test set that holds
them has a ceiling below 100 %. All are listed in conflicts.parquet (`kind` exact or near), across train and test too.
`prepare.dedup.conflicts` decides what becomes of exact ones: drop all of them, keep all, or keep the most frequent
label (a tie drops all). Near ones are only listed: their difference may be the very word that decides.
An official test set is never changed, so a text that stands in it is left to `leaks`.
Scores: exact ones conflict if their values differ at all; near ones if they differ by more than one standard
deviation of all values.
Not covered: who is right.
"""

from __future__ import annotations

from collections import Counter

from metier.prepare.flow import TEST, Flow, Row, count
from metier.registry import register

REASON = "conflicting label"
FREE = ("text", "bits")  # kinds of answers of which two may be right at once


@register("operation", "conflicts")
def conflicts(flow: Flow) -> str:
    """Fill `flow.conflicts`; reject by the policy (reason "conflicting label")."""
    if flow.profile.kind in FREE:
        return "answers in words may differ"
    policy = flow.config.dedup.conflicts
    clashing = {key: rows for key, rows in flow.by_key().items() if len({row.answer for row in rows}) > 1}
    for rows in clashing.values():
        _list(flow, rows, "exact")
    near = _near(flow)
    listed = {row.id for rows in clashing.values() for row in rows}
    _list(flow, [row for row in flow.rows if row.id in near and row.id not in listed], "near")

    official = {key for key, rows in clashing.items() if any(row.split == TEST for row in rows)}
    flow.reject(lambda row: _verdict(row, clashing, policy) if row.key not in official else None)
    both = sum(1 for key in official if sum(row.split == TEST for row in clashing[key]) > 1)
    if both:
        flow.warn(f"the official test set holds {count(both, 'text')} with different labels; no model can be right "
                  "about all of them, and they stay so that figures can be compared")  # fmt: skip
    notes = [f"{count(len(clashing), 'text')} with different labels ({policy})"] if clashing else []
    notes += [f"{count(len(near), 'row')} near a text with another label (kept)"] if near else []
    if policy == "keep" and clashing:
        flow.warn(f"{count(len(clashing), 'text')} with different labels kept, as prepare.dedup.conflicts says")
    return ", ".join(notes) or "none"


def _verdict(row: Row, clashing: dict[str, list[Row]], policy: str) -> tuple[str, str] | None:
    rows = clashing.get(row.key)
    if rows is None or policy == "keep":
        return None
    votes = Counter(other.answer for other in rows)
    listed = ", ".join(f"{answer} ({number})" for answer, number in sorted(votes.items()))
    if policy == "majority":
        ranked = votes.most_common(2)
        if ranked[0][1] > ranked[1][1]:
            if row.answer == ranked[0][0]:
                return None
            return REASON, f"an equal text has the more frequent label {ranked[0][0]}; labels: {listed}"
        return REASON, f"equal texts have different labels, none more frequent: {listed}"
    return REASON, f"equal texts have different labels: {listed}"


def _near(flow: Flow) -> set[str]:
    """Ids of rows in a near pair whose labels differ."""
    rows = flow.by_key()
    values = [row.value for row in flow.rows if row.value is not None]
    mean = sum(values) / len(values) if values else 0.0
    deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5 if values else 0.0
    found: set[str] = set()
    for earlier, later, _ in flow.near:
        for one in rows[earlier]:
            for two in rows[later]:
                if one.pair != two.pair:  # another question about the same document
                    continue
                if one.value is not None and two.value is not None:
                    differ = abs(one.value - two.value) > deviation
                else:
                    differ = one.answer != two.answer
                if differ:
                    found |= {one.id, two.id}
    return found


def _list(flow: Flow, rows: list[Row], kind: str) -> None:
    for row in rows:
        flow.conflicts.append({"cluster": row.cluster, "id": row.id, "source": row.source, "label": row.answer,
                               "row": row, "kind": kind})  # fmt: skip
