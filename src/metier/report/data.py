"""The data section: from what was found to what was trained and tested on, with nothing lost in silence.

Purpose: the funnel with counts at each step, what was rejected and why, duplicates, conflicts, splits, labels,
languages. The sums are checked here again: if a step does not add up, the page says so.
Not covered: the rows themselves (rejected.parquet, duplicates.parquet and conflicts.parquet have all of them).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from metier.report import charts
from metier.report.opening import cut
from metier.report.words import Words

EXAMPLES = 3  # shown for each reason
CONFLICT_ROWS = 60
ANSWERS = ("cut_questions", "answers_outside", "long_answers", "inexact_answers")  # what `extract` counts
SPLITS = ("train", "validation", "test")
PAIRS = ("train/test", "train/validation", "validation/test")  # as leaks.json names them
WHERE = (
    "texts",
    "elsewhere",
    "kept",
)  # an identifier was replaced in a text, replaced in another field, or only counted


def data(facts: Mapping[str, Any], words: Words, show_texts: bool) -> dict[str, Any]:
    """Everything of the data section, ready to be laid out."""
    collect, prepare = facts.get("collect") or {}, facts.get("prepare") or {}
    steps = funnel(collect, prepare)
    idle = [step for step in steps if _idle(step)]
    rejected = list(facts.get("rejected") or ())
    duplicates = prepare.get("duplicates") or {}
    return {
        "files": words(
            "data.files", files=words.count(collect.get("files")), documents=words.count(collect.get("documents"))
        ),
        "types": [{"name": name, "n": words.count(n)} for name, n in _largest(collect.get("media_types"))],
        "funnel": [_step(step, steps[0]["rows"], words) for step in steps if not _idle(step)],
        "unchanged": words("data.unchanged", steps=words("comma").join(words.known("step", s["step"]) for s in idle))
        if idle
        else "",
        "total": _total(steps, words),
        "gaps": [words("data.gap", step=words.known("step", step["step"])) for step in steps if step["gap"]],
        "reasons": reasons(rejected, words, show_texts),
        "reasons_total": words.count(len(rejected)),
        "reasons_note": _listed(steps, len(rejected), words),
        "duplicates": words(
            "data.duplicates", exact=words.count(duplicates.get("exact")), near=words.count(duplicates.get("near"))
        ),
        "conflicts": conflicts(facts.get("conflicts") or (), prepare, words, show_texts),
        "deidentified": deidentified(prepare.get("deidentified") or {}, words),
        "leaks": leaks(prepare.get("leaks") or {}, words),
        "splits": splits(prepare, words),
        "labels": labels(prepare, words),
        "languages": [
            {"name": words.known("language", str(code) or "unknown", str(code)), "n": words.count(n)}
            for code, n in _largest(prepare.get("languages"))
        ],
        "long": long_texts(facts.get("train") or {}, words),
        "warnings": [*collect.get("warnings", ()), *prepare.get("warnings", ())],
    }


def deidentified(found: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """A sentence and a row for each kind of identifier, the most frequent first; {} where nothing was looked for."""
    kinds = found.get("kinds") or {}
    if not kinds:
        return {}
    order = sorted(kinds, key=lambda kind: (-sum(kinds[kind].values()), kind))
    total = sum(entry["texts"] + entry["elsewhere"] for entry in kinds.values())
    return {
        "sentence": words("deid.sentence", n=words.count(total), documents=words.count(found.get("documents"))),
        "rows": [
            {
                "name": words.known("identifier", kind),
                "code": kind,
                "cells": [words.count(kinds[kind][where]) for where in WHERE],
            }
            for kind in order
        ],
        "total": [words.count(sum(entry[where] for entry in kinds.values())) for where in WHERE],
    }


def leaks(found: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """What two splits share, and what training shares with the files of evaluation texts; {} where that is nothing.

    rows: what is shared, with one cell for each of PAIRS. against: a sentence for each file.
    """
    pairs = found.get("pairs") or {}
    kinds = list(dict.fromkeys(kind for pair in PAIRS for kind in pairs.get(pair) or ()))
    shared = [kind for kind in kinds if any((pairs.get(pair) or {}).get(kind) for pair in PAIRS)]
    files = {
        name: counts for name, counts in (found.get("against") or {}).items() if counts["passages"] + counts["near"]
    }
    if not shared and not files:
        return {}
    return {
        "heads": [words("arrow").join(words(f"split.{name}") for name in pair.split("/")) for pair in PAIRS],
        "rows": [
            {
                "name": _shared(kind, words),
                "cells": [words.count((pairs.get(pair) or {}).get(kind, 0)) for pair in PAIRS],
            }
            for kind in shared
        ],
        "against": [
            words("leaks.against", file=name, **{key: words.count(counts[key]) for key in
                                                 ("texts", "passages", "near", "rejected")})
            for name, counts in sorted(files.items())
        ],
    }  # fmt: skip


def _shared(kind: str, words: Words) -> str:
    """What a kind of leak is called; the groups of a further key carry its name."""
    key = kind.removeprefix("groups by ")
    return words("leak.groups_by", name=key) if key != kind else words.known("leak", kind)


def funnel(collect: Mapping[str, Any], prepare: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Steps from "found" to "used": {"step", "rows", "removed", "note", "gap"}; gap: rows before - removed != rows."""
    lost = sum((collect.get("rejected") or {}).values())
    documents = collect.get("documents")
    steps: list[dict[str, Any]] = []
    if documents is not None:
        steps.append({"step": "found", "rows": documents + lost, "removed": 0, "note": ""})
        steps.append({"step": "read", "rows": documents, "removed": lost, "note": ""})
    for step in prepare.get("funnel") or ():
        if (
            steps
            and not step.get("removed")
            and step["rows"] == steps[-1]["rows"]
            and step["step"] in ("documents", "start")
        ):
            continue  # the same figure again under another name
        steps.append({"note": "", "removed": 0, **step})
    before = None
    for step in steps:
        step["gap"] = before is not None and before - step["removed"] != step["rows"]
        before = step["rows"]
    return steps


def _idle(step: Mapping[str, Any]) -> bool:
    """A step that neither removed nor said anything."""
    return not step["removed"] and not step["note"] and not step["gap"] and step["step"] != "found"


def _step(step: Mapping[str, Any], most: int, words: Words) -> dict[str, Any]:
    share = step["rows"] / most if most else 0.0
    lost = step["removed"] / most if most else 0.0
    name = words.known("step", step["step"])
    title = words("data.step", step=name, rows=words.count(step["rows"]), removed=words.count(step["removed"]))
    rest = max(1.0 - share - lost, 0.0)
    picture = charts.stacked(
        [("kept", share, ""), ("lost", lost, ""), ("gone", rest, "")], title, height=16.0, stretch=True
    )
    return {
        "name": name,
        "rows": words.count(step["rows"]),
        "note": step["note"],
        "picture": picture,
        "removed": f"\u2212{words.count(step['removed'])}" if step["removed"] else "",
    }


def _total(steps: list[dict[str, Any]], words: Words) -> str:
    if not steps:
        return words("no_data")
    removed = sum(step["removed"] for step in steps)
    return words(
        "data.total",
        found=words.count(steps[0]["rows"]),
        used=words.count(steps[-1]["rows"]),
        removed=words.count(removed),
    )


def _listed(steps: list[dict[str, Any]], listed: int, words: Words) -> str:
    """A sentence when the list of rejected rows and the funnel differ; nobody should have to find that out alone."""
    removed = sum(step["removed"] for step in steps)
    return (
        words("data.listed_differs", removed=words.count(removed), listed=words.count(listed))
        if steps and removed != listed
        else ""
    )


def reasons(rejected: Iterable[Mapping[str, Any]], words: Words, show_texts: bool) -> list[dict[str, Any]]:
    """Rejected rows grouped by stage and reason, commonest first, each with a few examples.

    A detail may quote the text that was rejected, so it is hidden together with the texts.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rejected:
        groups[str(row.get("stage") or ""), str(row.get("reason") or "")].append(row)
    shown = []
    for (stage, reason), rows in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        examples = [
            {
                "source": cut(str(row.get("source") or ""), 160),
                "detail": cut(str(row.get("detail") or ""), 240) if show_texts else "",
            }
            for row in rows[:EXAMPLES]
        ]
        more = len(rows) - len(examples)
        shown.append(
            {
                "stage": words.known("stage", stage, stage),
                "reason": words.known("reason", reason, ""),
                "code": reason,
                "n": words.count(len(rows)),
                "examples": examples,
                "more": words("data.more", n=words.count(more)) if more else "",
            }
        )
    return shown


def conflicts(
    rows: Iterable[Mapping[str, Any]], prepare: Mapping[str, Any], words: Words, show_texts: bool
) -> dict[str, Any]:
    """Equal texts with different labels, cluster by cluster."""
    rows = list(rows)
    shown = [
        {
            "cluster": str(row.get("cluster", "")),
            "label": str(row.get("label", "")),
            "source": cut(str(row.get("source", "")), 160),
            "text": cut(str(row.get("text") or ""), 200) if show_texts else None,
        }
        for row in rows[:CONFLICT_ROWS]
    ]
    clusters = len({row.get("cluster") for row in rows})
    total = prepare.get("conflicts")
    return {
        "rows": shown,
        "total": words.count(total if total is not None else clusters),
        "any": bool(total or rows),
        "of": words("data.conflicts_listed", shown=words.count(len(shown)), total=words.count(len(rows))),
    }


def splits(prepare: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """How many are in train, validation and test, and why nothing leaks between them."""
    counts = prepare.get("splits") or {}
    parts = [
        (f"split-{index + 1}", float(counts.get(name) or 0), words.count(counts.get(name) or 0))
        for index, name in enumerate(SPLITS)
    ]
    title = words("splits.picture", **{name: words.count(counts.get(name) or 0) for name in SPLITS})
    by = str(prepare.get("split_by") or "")
    groups = prepare.get("groups")
    return {
        "picture": charts.stacked(parts, title) if any(part[1] for part in parts) else "",
        "legend": [
            {"kind": part[0], "name": words(f"split.{name}"), "n": part[2]}
            for name, part in zip(SPLITS, parts, strict=True)
        ],
        "by": words.known("split_by", by, by),
        "groups": words("splits.groups", n=words.count(groups)) if groups else "",
    }


def labels(prepare: Mapping[str, Any], words: Words) -> list[dict[str, str]]:
    """Rows for each label: name and its count in each split, rarest in training first."""
    table = prepare.get("labels") or {}
    order = sorted(table, key=lambda label: (table[label].get("train") or 0, label))
    return [
        {
            "label": label,
            **{name: words.count(table[label].get(name) or 0) for name in SPLITS},
            "all": words.count(sum(table[label].get(name) or 0 for name in SPLITS)),
        }
        for label in order
    ]


def long_texts(train: Mapping[str, Any], words: Words) -> list[str]:
    """What happened to texts that are longer than the model sees at once."""
    said = []
    if train.get("windowed"):
        said.append(words("long.windowed", n=words.count(train["windowed"]), windows=words.count(train.get("windows"))))
    if train.get("cut"):
        said.append(words("long.cut", n=words.count(train["cut"]), tokens=words.count(train.get("cut_tokens"))))
    counts = [(name, train.get(name)) for name in (
        "unread_units", "overlapping_spans", "inexact_spans", "far_apart", *ANSWERS, "same_family", "same_group",
        "mined_negatives", "without_negatives", "answers_elsewhere", "silent",
    )]  # fmt: skip
    said += [words(f"long.{name}", n=words.count(number)) for name, number in counts if number]
    return said or ([words("long.none")] if train.get("cut") is not None else [])


def _largest(counts: Mapping[str, int] | None) -> list[tuple[str, int]]:
    return sorted(Counter(counts or {}).items(), key=lambda item: (-item[1], item[0]))
