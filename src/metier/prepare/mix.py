"""How much of each source is trained on: weights, caps, and general text replayed against forgetting.

Purpose: ten thousand form letters and two hundred judgments are both "the field"; a model sees what it is shown most.
`weights` and `caps` say how often the training rows of a source are used, `general` which sources are general text and
which share of training they shall have. Only training rows are touched. Which rows stay is drawn by a hash of the
recipe's seed and the row, so it depends neither on their order nor on other sources.
A row that is used n times stands n times: its copies have the id of the first with "+1", "+2", ... and no documents of
their own, so that the account of documents stays whole.
Trade-off: copies cost room; a weight of the loss would not, and would not shuffle them through the epochs either.
Not covered: finding the best mixture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import TypeVar

from metier.prepare.flow import TRAIN, Flow, Row, count
from metier.prepare.split import is_general
from metier.registry import register
from metier.tables import digest

T = TypeVar("T", float, int)


@register("operation", "mix")
def mix(flow: Flow) -> str:
    """Repeat and reject training rows as the recipe says (reason "mixed out")."""
    settings = flow.config.mix
    if not (settings.weights or settings.caps or settings.general_share is not None):
        return "as they are"
    train = [row for row in flow.rows if row.split == TRAIN]
    times = {row.id: _times(flow, row) for row in train}
    for pattern, cap in settings.caps.items():
        mine = [row for row in train if _first(settings.caps, row) == (pattern, cap)]
        _cap(flow, mine, times, cap)
    if settings.general_share is not None:
        _share(flow, train, times, settings.general_share)
    return _apply(flow, times)


def _times(flow: Flow, row: Row) -> int:
    """How often a row is used: its weight, the fraction decided by a draw."""
    found = _first(flow.config.mix.weights, row)
    weight = 1.0 if found is None else found[1]
    return int(weight) + (_draw(flow, row) < weight % 1)


def _cap(flow: Flow, rows: list[Row], times: dict[str, int], cap: int) -> None:
    """Give up the uses with the largest draws until `cap` are left, rows that are used more than once first."""
    over = sum(times[row.id] for row in rows) - cap
    order = sorted(rows, key=lambda row: _draw(flow, row), reverse=True)
    while over > 0:
        most = max(times[row.id] for row in rows)
        for row in order:
            if over > 0 and times[row.id] == most:
                times[row.id] -= 1
                over -= 1


def _share(flow: Flow, train: list[Row], times: dict[str, int], share: float) -> None:
    """Cut general text to its share; told if there is too little of it."""
    general = [row for row in train if is_general(flow, row)]
    field = sum(times[row.id] for row in train) - sum(times[row.id] for row in general)
    wished = round(field * share / (1 - share))
    have = sum(times[row.id] for row in general)
    if have < wished:
        flow.warn(f"general text is {have / max(have + field, 1):.1%} of training, not the {share:.1%} wished: there "
                  f"are only {count(have, 'row')} of it; a weight in prepare.mix.weights repeats them")  # fmt: skip
    else:
        _cap(flow, general, times, wished)


def _apply(flow: Flow, times: dict[str, int]) -> str:
    unused = flow.reject(lambda row: ("mixed out", "prepare.mix uses fewer rows of this source")
                         if row.split == TRAIN and times[row.id] == 0 else None)  # fmt: skip
    rows, copies = [], 0
    for row in flow.rows:
        rows.append(row)
        for number in range(1, times.get(row.id, 1) if row.split == TRAIN else 1):
            rows.append(_copy(row, number))
            copies += 1
    flow.rows = rows
    used = Counter("general" if is_general(flow, row) else "field" for row in rows if row.split == TRAIN)
    shares = f", general text {used['general']:,} of {used.total():,}" if used["general"] else ""
    return f"{unused:,} left out, {count(copies, 'copy').replace('copys', 'copies')} added{shares}"


def _copy(row: Row, number: int) -> Row:
    copy = Row(f"{row.id}+{number}", row.source, None, row.language, row.group, None, row.cluster, row.split)
    copy.label, copy.labels, copy.value, copy.key = row.label, row.labels, row.value, row.key
    copy.spans, copy.pair, copy.answers, copy.asked = row.spans, row.pair, row.answers, row.asked
    copy.negatives = row.negatives
    copy.texts, copy.place, copy.time, copy.formed = row.texts, row.place, row.time, row.formed
    copy.document_ids.clear()
    return copy


def _first(patterns: Mapping[str, T], row: Row) -> tuple[str, T] | None:
    """The first pattern that fits the row's source, with what it stands for."""
    source = row.source.partition("#")[0]
    return next(((pattern, value) for pattern, value in patterns.items() if fnmatch(source, pattern)), None)


def _draw(flow: Flow, row: Row) -> float:
    return int(digest("mix", str(flow.seed), row.id), 16) / 2**64
