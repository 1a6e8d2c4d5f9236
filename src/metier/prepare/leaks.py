"""Where the data brings its own test split: take out of train what stands in the test set.

Purpose: figures on an official test set are comparable only if the set stays as it is, and honest only if its texts
were not trained on. So a training text equal to a test text leaves train (reason "in the test set"), as does a
training text equal to a validation text, and a validation text equal to a test text. Near duplicates and groups on
both sides are counted and told, and stay: taking them out would make another, easier-to-misread benchmark. Choose
`prepare.split.by: group` or `stratified` to have none at all.
With our own split there is nothing to do here: clusters never straddle it.
Not covered: what the base model saw before.
"""

from __future__ import annotations

from collections import defaultdict

from metier.prepare.dedup import question
from metier.prepare.flow import SPLITS, TEST, TRAIN, VALIDATION, Flow, Row, count
from metier.registry import register


@register("operation", "leaks")
def leaks(flow: Flow) -> str:
    """Reject leaking rows of train and validation; warn of near duplicates and groups on both sides."""
    if not flow.official:
        return "our own split, nothing held out yet"
    held: dict[str, set[str]] = {split: set() for split in SPLITS}
    for row in flow.rows:
        held[row.split] |= _names(row)

    def leaves(row: Row) -> tuple[str, str] | None:
        if row.split != TEST and _names(row) & held[TEST]:
            return "in the test set", f"an equal text stands in the official test set, so it leaves {row.split}"
        if row.split == TRAIN and _names(row) & held[VALIDATION]:
            return "in the validation set", "an equal text stands in the official validation set, so it leaves train"
        return None

    removed = flow.reject(leaves)
    near = _near_across(flow)
    if near:
        flow.warn(f"{count(near, 'text')} nearly equal to one of the official test set stayed in train; with "
                  "prepare.split.by=stratified (or group) none would")  # fmt: skip
    groups = _groups_across(flow)
    if groups:
        flow.warn(f"{count(groups, 'group')} stand both in the official test set and in train; with "
                  "prepare.split.by=group none would")  # fmt: skip
    notes = [f"{removed:,} equal to a held-out text"]
    notes += [f"{near:,} nearly equal (kept)"] if near else []
    notes += [f"{count(groups, 'group')} on both sides (kept)"] if groups else []
    return ", ".join(notes)


def _names(row: Row) -> set[str]:
    """What must not stand in two splits: the text, and the question where answers are texts."""
    return {row.key, question(row)} - {""}


def _near_across(flow: Flow) -> int:
    """How many rows outside test have a direct near pair in test."""
    rows = flow.by_key()
    found: set[str] = set()
    for earlier, later, _ in flow.near:
        both = [*rows.get(earlier, ()), *rows.get(later, ())]
        if any(row.split == TEST for row in both):
            found |= {row.id for row in both if row.split != TEST}
    return len(found)


def _groups_across(flow: Flow) -> int:
    sides: dict[str, set[bool]] = defaultdict(set)
    for row in flow.rows:
        if row.group:
            sides[row.group].add(row.split == TEST)
    return sum(1 for both in sides.values() if len(both) > 1)
