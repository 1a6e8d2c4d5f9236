"""The newest rows are the test set, the next ones validation: how a model will meet the future.

Purpose: unions (split.py) are ordered by their newest row and cut where the wished shares are met best, never between
two unions of the same time. So everything in train is older than the newest row of every union in test. A patient with
old and new notes is in test with all of them; how many rows are older than the cut is told.
Trade-off: unions with a long history make test larger than wished at the cost of train; the shares that were reached
stand in the funnel. Rows without a time go to train, or leave (`prepare.split.without_time`).
Not covered: a gap between train and test, several cuts.
"""

from __future__ import annotations

from collections.abc import Sequence

from metier.errors import UserError
from metier.prepare.flow import TEST, TRAIN, VALIDATION, Flow, count
from metier.prepare.times import read_time


def read_times(flow: Flow) -> list[str]:
    """The time of every row, "" for none; rejects rows without one on request (reason "no time")."""
    times = {row.id: read_time(row.time) for row in flow.rows}
    if not any(times.values()):
        raise UserError("no document has a time that can be read", "prepare.split.by=time",
                        "map the column (collect.sources.0.columns.time=NAME), or choose another split")  # fmt: skip
    missing = sum(not time for time in times.values())
    if flow.config.split.without_time == "reject":
        flow.reject(lambda row: None if times[row.id] else ("no time", f"the time is {flow.quote(row.time)}"))
    elif missing:
        flow.warn(f"{count(missing, 'example')} without a time that can be read: into train, unless tied to newer ones")
    return [times[row.id] for row in flow.rows]


def place_by_time(unions: Sequence[Sequence[int]], times: Sequence[str], shares: dict[str, float]) -> list[str]:
    """The split of each union, given as places of its rows."""
    newest = [max(times[row] for row in union) for union in unions]
    blocks: dict[str, list[int]] = {}  # time -> unions
    for number, time in enumerate(newest):
        blocks.setdefault(time, []).append(number)
    splits = [TRAIN] * len(unions)
    dated = sorted((time for time in blocks if time), reverse=True)
    total, start = sum(map(len, unions)), 0
    for name in (TEST, VALIDATION):
        wished, reached = shares.get(name, 0) * total, 0
        while wished and start < len(dated):
            size = sum(len(unions[number]) for number in blocks[dated[start]])
            last = start == len(dated) - 1 and "" not in blocks  # something must be left to train on
            if last or (reached and reached + size - wished > wished - reached):
                break
            for number in blocks[dated[start]]:
                splits[number] = name
            reached, start = reached + size, start + 1
            if reached >= wished:
                break
    return splits


def older_than_cut(splits: Sequence[str], times: Sequence[str], newest: Sequence[str]) -> int:
    """Rows of test and validation that are older than the oldest of the unions' newest rows there."""
    older = 0
    for name in (TEST, VALIDATION):
        cut = min((time for split, time in zip(splits, newest, strict=True) if split == name), default="")
        older += sum(split == name and bool(time) and time < cut for split, time in zip(splits, times, strict=True))
    return older
