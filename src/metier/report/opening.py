"""The first screen: what matters before anything else, understood in a minute by someone who does not program.

Purpose: warnings, verdict, criterion by criterion, "better, same or worse than what", and what tuning breaks, as
display-ready words and pictures of one language. Nothing is computed here but what the facts already say.
Not covered: the evidence behind it (evidence.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metier.report import charts, marks
from metier.report.words import LOWER, PERCENT, Words

OPPONENTS = (
    "base",
    "zero_shot",
    "linear_tagger",
    "dictionary",
    "tfidf",
    "majority",
    "mean",
    "nearest",
    "lead",
    "ngram",
    "longer",
)  # the order in which people ask
SMALL_TEST = 200  # below it a 95 % interval of an accuracy of 0.9 is wider than +-4 points (normal approximation)
FAR = 6.0  # an opponent so many times further off than the nearest is drawn as an arrow, or it would flatten the rest
QUOTED = ("text", "preference", "choice")  # kinds whose answers are texts: cut, or hidden, as the texts are
WRITTEN = (*QUOTED, "bits")
CRITERION = {"yes": "yes", "no": "no"}


def opening(facts: Mapping[str, Any], words: Words, show_texts: bool) -> dict[str, Any]:
    """Everything of the first screen, ready to be laid out."""
    results = facts["results"]
    verdict = results["verdict"]
    decision = {"SIGN OFF": "sign", "CONDITIONAL": "condition", "REJECT": "reject"}[verdict["decision"]]
    reasons = [
        {
            "met": CRITERION.get(row["met"], "unclear"),
            "word": words(f"met.{CRITERION.get(row['met'], 'unclear')}"),
            "criterion": row["criterion"],
            "text": words.either(row, "text"),
        }
        for row in verdict.get("reasons", ())
    ]
    return {
        "decision": decision,
        "badge": words(f"decision.{decision}"),
        "why": words(f"decision.{decision}.why"),
        "headline": words.either(verdict, "headline"),
        "reasons": reasons,
        "source": criteria_source(facts, words),
        "warnings": warnings(results, words),
        "primary": words.metric(results["primary"]),
        "tuned": words.figure(results["primary"], results["models"].get("tuned", {}).get(results["primary"])),
        "tested": words("opening.tested", n=words.count(results.get("data", {}).get("test"))),
        "opponents": opponents(results, words),
        "axis": words("opponents.points" if results["primary"] in PERCENT else "opponents.units"),
        "breaks": breaks(facts, words, show_texts),
    }


def criteria_source(facts: Mapping[str, Any], words: Words) -> str:
    """Where the criteria come from; criteria changed after the answers were known are said to be so."""
    frozen = facts["results"]["verdict"].get("frozen") or {}
    earlier = facts.get("earlier_criteria") or ([frozen["criteria"]] if frozen.get("changed") else [])
    if earlier:
        return words(
            "criteria.changed", earlier="; ".join(", ".join(row) or words("criteria.unnamed") for row in earlier)
        )
    own = facts["results"]["verdict"].get("criteria_source") == "recipe"
    said = words("criteria.recipe" if own else "criteria.default")
    return said + words("criteria.frozen", sha=frozen["sha256"][:16]) if frozen else said


def warnings(results: Mapping[str, Any], words: Words) -> list[str]:
    """What must stand first: floors that were not beaten, a small test set, then the evaluation's own warnings.

    The evaluation usually says the first two itself; what its warnings already mention is not said twice.
    """
    said = list(results.get("warnings") or ())
    found = []
    for row in primary_comparisons(results):
        kind = results["models"].get(row["against"], {}).get("kind")
        if kind == "floor" and row["outcome"] != "better" and not _mentions(said, row["against"]):
            found.append(words("warning.floor", opponent=words.model(row["against"], results["models"])))
    n = (results.get("data") or {}).get("test")
    if n and n < SMALL_TEST and not any(f"only {n} examples" in str(row.get("text")) for row in said):
        found.append(words("warning.small", n=words.count(n)))
    return found + [words.either(row, "text") for row in said]


def primary_comparisons(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Tuned against each opponent on the metric that decides, in the order in which people ask. That is the first one,
    but for an opponent that cannot have it."""
    by = results.get("decided_by") or {}
    rows = [row for row in results.get("comparisons", ())
            if row["metric"] == by.get(row["against"], results["primary"])]  # fmt: skip
    order = {name: index for index, name in enumerate(OPPONENTS)}
    return sorted(rows, key=lambda row: (order.get(row["against"], len(order)), row["against"]))


def opponents(results: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    """One worded outcome and one picture for each opponent; those of one metric on one axis, better to the right."""
    told = primary_comparisons(results)
    metrics = dict.fromkeys(row["metric"] for row in told)
    return [one for metric in metrics for one in _on_axis([row for row in told if row["metric"] == metric], results,
                                                          words)]  # fmt: skip


def _on_axis(told: list[Mapping[str, Any]], results: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    rows = [{**row, **_turned(row)} for row in told]
    limit = axis_limit(rows)
    shown = []
    for index, (plain, row) in enumerate(zip(told, rows, strict=True)):
        sentence = _sentence(plain, words, results["models"])
        if row["metric"] != results["primary"]:
            sentence = words("versus.on", metric=words.metric(row["metric"]), sentence=sentence)
        scale = 100.0 if row["metric"] in PERCENT else 1.0
        steps = charts.nice_ticks(-limit * scale, limit * scale)
        ticks = [(tick / scale, f"{tick:+g}".replace("-", "\u2212") if tick else "0") for tick in steps]
        last = index == len(rows) - 1
        picture = charts.interval_dot(
            row,
            limit,
            sentence,
            ticks if last else [(at, "") for at, _ in ticks],
            (words("axis.worse"), words("axis.better")) if index == 0 else None,
        )
        score = results["models"].get(row["against"], {}).get(row["metric"])
        shown.append(
            {
                "outcome": row["outcome"],
                "word": words(f"outcome.{row['outcome']}"),
                "sentence": sentence,
                "score": words("opponents.score", score=words.figure(row["metric"], score)),
                "how": how(row["against"], results, words),
                "picture": picture,
                "far": row["value"] is not None and abs(row["value"]) > limit,
            }
        )
    return shown


def how(name: str, results: Mapping[str, Any], words: Words) -> str:
    """One sentence on what a model is; ours if we have one in this language, else the evaluation's."""
    told, kind = str((results["models"].get(name) or {}).get("how") or " "), kind_of(results)
    special = "base_writes" if kind in WRITTEN else "base_ranking" if kind == "ranking" else name
    return words.known("how", special if name == "base" else name, told)


def kind_of(results: Mapping[str, Any]) -> str:
    """How the task's answers are compared; "" in results that do not say."""
    return str((results.get("profile") or {}).get("kind") or "")


def axis_limit(rows: Iterable[Mapping[str, Any]]) -> float:
    """Half-width of the common axis, in the metric's unit."""
    reach = sorted(
        max(abs(row[key]) for key in ("value", "low", "high") if row[key] is not None)
        for row in rows
        if row["value"] is not None
    )
    reach = [size for size in reach if size > 0]
    return 1.12 * max(size for size in reach if size <= FAR * reach[0]) if reach else 1.0


def breaks(facts: Mapping[str, Any], words: Words, show_texts: bool, most: int = 3) -> dict[str, Any]:
    """How many cases tuning broke and mended, as a bar, and the worst of the broken ones."""
    counts = facts["results"].get("cases") or {}
    kinds = ("both_right", "mended", "broken", "both_wrong")
    score = facts["results"].get("primary") not in PERCENT
    parts = [(kind, float(counts.get(kind) or 0), words.count(counts.get(kind) or 0)) for kind in kinds]
    title = words("breaks.picture", **{kind: words.count(counts.get(kind)) for kind in kinds})
    against = counts.get("against", "base")
    known = against is not None and counts.get("broken") is not None and counts.get("mended") is not None
    return {
        "known": known,
        "opponent": words.model(against or "base", facts["results"]["models"]),
        "any": bool(counts.get("broken")),
        "broken": words.count(counts.get("broken")),
        "mended": words.count(counts.get("mended")),
        "picture": charts.stacked(parts, title) if known and any(part[1] > 0 for part in parts) else "",
        "legend": [
            {
                "kind": kind,
                "text": words(f"{'kind_score' if score else 'kind'}.{kind}"),
                "n": words.count(counts.get(kind)),
            }
            for kind in kinds
        ],
        "worst": listed(facts, "broken", words, show_texts, most, 360)["rows"],
        "score": score,
    }


def listed(
    facts: Mapping[str, Any], kind: str, words: Words, show_texts: bool, most: int, characters: int
) -> dict[str, Any]:
    """Cases of a kind in the order given (worst first), texts cut to so many characters or hidden."""
    rows = [row for row in facts.get("cases", ()) if row.get("kind") == kind]
    total = (facts["results"].get("cases") or {}).get(kind)
    shown = [
        {
            "id": row.get("id", ""),
            "source": row.get("source", ""),
            "text": cut(str(row.get("text") or ""), characters) if show_texts else None,
            "pieces": marks.pieces(str(row["text"]), row["marks"], characters)
            if show_texts and row.get("marks")
            else None,
            "length": words("cases.length", n=words.count(len(str(row.get("text") or "")))),
            **{
                name: _quoted(row, name, words, show_texts, characters)
                if kind_of(facts["results"]) in QUOTED
                else _given(row, name, words, show_texts, characters if ranked(facts) else 0)
                for name in ("gold", "base", "tuned")
            },
            "severity": severity(row, facts, words),
        }
        for row in rows[:most]
    ]
    total = len(rows) if total is None else total
    return {"rows": shown, "of": words("cases.listed", shown=words.count(len(shown)), total=words.count(total))}


def ranked(facts: Mapping[str, Any]) -> bool:
    """Whether answers are passages that were found."""
    return (facts["results"].get("profile") or {}).get("kind") == "ranking"


def _given(row: Mapping[str, Any], name: str, words: Words, show_texts: bool, passage: int = 0) -> str:
    """One model's answer; spans quote the text, so only their types are shown where it is hidden.

    passage: characters of an answer that is a passage itself, of which only the length is shown where texts are hidden.
    """
    if passage and row.get(name):
        text = str(row[name])
        return cut(text, passage) if show_texts else words("cases.length", n=words.count(len(text)))
    if row.get("marks") and not show_texts:
        return marks.types_only(row["marks"], name) or words("none")
    return answer(row.get(name), words)


def _quoted(row: Mapping[str, Any], name: str, words: Words, show_texts: bool, characters: int) -> str:
    """An answer that is a text: cut as the text is, and hidden with it."""
    text = str(row.get(name) or "")
    if text and not show_texts:
        return words("hidden")
    return cut(text, characters) or words("none")


def severity(row: Mapping[str, Any], facts: Mapping[str, Any], words: Words) -> str:
    """How sure the tuned model was, or how large its error is."""
    value = row.get("severity")
    if row.get("marks"):
        return words.count(value)
    if ranked(facts):
        return words("cases.not_found") if value is None else words.count(value)
    if facts["results"]["primary"] in PERCENT and kind_of(facts["results"]) != "preference":
        return words.percent(value, 0)
    return words.plain(value)


def answer(value: Any, words: Words) -> str:
    """A label, several labels or a number, as text."""
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or words("none")
    if isinstance(value, float):
        return words.plain(value)
    return words("none") if value is None or value == "" else str(value)


def cut(text: str, most: int) -> str:
    """The beginning of a text; what was left out is told."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[:most].rstrip() + f" \u2026 [+{len(text) - most:,}]"


def _turned(row: Mapping[str, Any]) -> dict[str, float | None]:
    """The difference turned so that more is better, whatever the metric."""
    lower = row.get("better") == "lower" or ("better" not in row and row["metric"] in LOWER)
    value, low, high = row.get("difference"), row.get("low"), row.get("high")
    if not lower:
        return {"value": value, "low": low, "high": high}
    return {"value": _minus(value), "low": _minus(high), "high": _minus(low)}


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _sentence(row: Mapping[str, Any], words: Words, models: Mapping[str, Any]) -> str:
    opponent = words.model(row["against"], models)
    difference = words.gap(row)
    mde = row.get("mde")
    if row["outcome"] == "same" and mde is not None:
        return words(
            "versus.same_mde",
            opponent=opponent,
            difference=difference,
            mde=words.points(row["metric"], mde, sign=False),
        )
    return words(f"versus.{row['outcome']}", opponent=opponent, difference=difference)


def _mentions(said: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a warning already says that this opponent was not beaten (it names it, or its first words)."""
    names = {name, Words("en").model(name, {}).split(" (")[0]}
    return any(part in str(row.get("text")) for row in said for part in names)
