"""The evidence: every model and metric, paired comparisons, classes, confusions, calibration, cases.

Purpose: each figure of results.json with its interval and n, in tables that read worst first, and pictures beside them.
Trade-off: past 20 classes a lettered heat map is unreadable, so a list of the commonest confusions takes its place
and the map shrinks to a pattern.
Not covered: computing anything; figures come from the evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metier.report import calibration, charts, slices
from metier.report.opening import how, kind_of, listed
from metier.report.words import PERCENT, Words

METRICS = (
    "accuracy",
    "answer_f1",
    "answer_exact",
    "has_answer_f1",
    "no_answer_accuracy",
    "aupr",
    "precision_at_80_recall",
    "entity_f1",
    "entity_precision",
    "entity_recall",
    "ndcg_10",
    "mrr_10",
    "recall_1",
    "recall_10",
    "recall_100",
    "micro_f1",
    "macro_f1",
    "mcc",
    "ece",
    "brier",
    "mae",
    "rmse",
    "spearman",
    "bits_per_byte",
    "general_bits_per_byte",
    "bits_per_masked_token",
    "pseudo_perplexity",
    "rouge_l",
    "chrf",
    "token_f1",
    "exact_match",
    "finished",
    "empty",
    "distinct_2",
    "preference_accuracy",
    "preference_by_token",
    "preference_equal_length",
    "number_match",
    "number_f1",
    "number_unparsable",
    "choice_accuracy",
    "choice_consistent",
    "choice_published",
    "choice_likelihood",
    "choice_likelihood_per_byte",
    "choice_unparsable",
)
MODELS = (
    "tuned",
    "base",
    "zero_shot",
    "best_sentence",
    "linear_tagger",
    "dictionary",
    "bm25",
    "tfidf",
    "majority",
    "mean",
    "no_answer",
    "nearest",
    "lead",
    "ngram",
    "longer",
    "longest_option",
    "majority_letter",
)
LETTERED = 20  # classes up to which the heat map carries names and counts
CONFUSIONS = 10
FIRST_CLASSES = 24  # rows of the class table that stand open; the rest opens on demand (and in print)
FIRST_CASES = 10
ALL_CASES = 200  # rows of a case table on the page; cases.parquet has all of them
TEXT_BUDGET = 60_000  # characters of quoted text per table, so that the page stays small whatever the texts are


def evidence(facts: Mapping[str, Any], words: Words, show_texts: bool) -> dict[str, Any]:
    """Everything of the evidence section, ready to be laid out."""
    results = facts["results"]
    tuned = results["models"].get("tuned", {})
    marked = any(row.get("marks") for row in facts.get("cases", ()))
    return {
        "scores": scores(results, words),
        "comparisons": comparisons(results, words),
        "classes": classes(tuned, results, words),
        "confusion": confusion(tuned, words),
        "slices": slices.slices(results, words),
        "reliability": reliability(tuned, words),
        "calibration": calibration.calibration(results, words),
        "cases": {kind: cases(facts, kind, words, show_texts) for kind in ("broken", "mended")},
        "severity": words(_severity(results, marked)),
        "marked": words("cases.marks") if marked and show_texts else "",
    }


def _severity(results: Mapping[str, Any], marked: bool) -> str:
    """The key of the heading above how bad a case is."""
    if kind_of(results) == "ranking":
        return "cases.rank"
    if kind_of(results) == "preference":
        return "cases.margin"
    return "cases.wrong_spans" if marked else "cases.sure" if results["primary"] in PERCENT else "cases.error"


def scores(results: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """All models by all metrics."""
    models = results["models"]
    present = [m for m in METRICS if any(isinstance(model.get(m), Mapping) for model in models.values())]
    order = [name for name in MODELS if name in models] + [name for name in sorted(models) if name not in MODELS]
    rows = []
    for name in order:
        cells = [_cell(metric, models[name].get(metric), words) for metric in present]
        rows.append(
            {
                "name": words.model(name, models),
                "how": how(name, results, words),
                "tuned": name == "tuned",
                "cells": cells,
                "seconds": words.seconds(models[name].get("seconds")),
            }
        )
    heads = [
        {"name": words.metric(m), "what": words.known("metric_what", m, " "), "first": m == results["primary"]}
        for m in present
    ]
    return {"heads": heads, "rows": rows}


def _cell(metric: str, figure: Any, words: Words) -> dict[str, str]:
    if not isinstance(figure, Mapping):
        return {"value": words("not_applicable"), "interval": "", "n": ""}
    return {
        "value": words.value(metric, figure.get("value")),
        "interval": words.interval(metric, figure),
        "n": words.count(figure.get("n")),
    }


def comparisons(results: Mapping[str, Any], words: Words) -> list[dict[str, str]]:
    """Each paired comparison with its test, and what the test set could have seen, in words."""
    rows = []
    for row in results.get("comparisons", ()):
        mde = row.get("mde")
        rows.append(
            {
                "against": words.model(row["against"], results["models"]),
                "metric": words.metric(row["metric"]),
                "first": "first" if row["metric"] == results["primary"] else "",
                "outcome": row["outcome"],
                "word": words(f"outcome.{row['outcome']}"),
                "difference": words.difference(row),
                "p": words.p(row.get("p")),
                "p_holm": words.p(row.get("p_holm")),
                "mde": words("mde_none")
                if mde is None
                else words("mde", mde=words.points(row["metric"], mde, sign=False)),
                "n": words.count(row.get("n")),
                "discordant": words("not_applicable")
                if row.get("discordant") is None
                else words.count(row["discordant"]),
                "test": words.known("test", str(row.get("test") or ""), str(row.get("test") or "")),
            }
        )
    return rows


def classes(tuned: Mapping[str, Any], results: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Each class of the tuned model, lowest F1 first; classes without test examples stand last as "no data"."""
    names = results.get("task", {}).get("label_names") or {}

    def key(row: Mapping[str, Any]) -> tuple[bool, float, str]:
        value = (row.get("f1") or {}).get("value")
        return (value is None, value or 0.0, str(row["label"]))

    rows = []
    for row in sorted(tuned.get("per_class") or (), key=key):
        cells = {m: _cell(m, row.get(m) or {}, words) for m in ("precision", "recall", "f1")}
        title = words("classes.bar", label=row["label"], f1=words.figure("f1", row.get("f1")))
        rows.append(
            {
                "label": str(row["label"]),
                "words": names.get(row["label"], ""),
                "n": words.count(row.get("n")),
                "predicted": words.count(row.get("predicted")),
                "bar": charts.bar(row.get("f1") or {}, title),
                **cells,
            }
        )
    split = FIRST_CLASSES if len(rows) > FIRST_CLASSES + 6 else len(rows)
    return {"first": rows[:split], "rest": rows[split:], "total": len(rows)}


def confusion(tuned: Mapping[str, Any], words: Words) -> dict[str, Any] | None:
    """The heat map, and the commonest confusions as a list."""
    matrix = tuned.get("confusion")
    if not matrix or not matrix.get("labels"):
        return None
    labels, counts = [str(label) for label in matrix["labels"]], matrix["counts"]
    right = sum(counts[i][i] for i in range(len(labels)))
    total = sum(map(sum, counts))
    title = words("confusion.picture", classes=len(labels), right=words.count(right), total=words.count(total))
    wrong = [
        (counts[i][j], labels[i], labels[j], sum(counts[i]))
        for i in range(len(labels))
        for j in range(len(labels))
        if i != j and counts[i][j]
    ]
    wrong.sort(key=lambda item: (-item[0], item[1], item[2]))
    compact = len(labels) > LETTERED
    return {
        "picture": charts.heat_map(labels, counts, title, compact),
        "compact": compact,
        "top": [
            {"n": words.count(n), "gold": gold, "predicted": predicted, "share": words.percent(n / of)}
            for n, gold, predicted, of in wrong[:CONFUSIONS]
        ],
        "kinds": words(
            "confusion.kinds",
            shown=min(len(wrong), CONFUSIONS),
            total=words.count(len(wrong)),
            errors=words.count(total - right),
        ),
    }


def reliability(tuned: Mapping[str, Any], words: Words) -> dict[str, Any] | None:
    """Whether 90 % sure means 90 % right."""
    bins: Sequence[Mapping[str, Any]] = tuned.get("reliability") or ()
    filled = [row for row in bins if row.get("n")]
    if not filled:
        return None
    total = sum(row["n"] for row in filled)
    lean = sum(row["n"] * ((row.get("confidence") or 0) - (row.get("accuracy") or 0)) for row in filled) / total
    ece = words.figure("ece", tuned.get("ece"))
    title = words("reliability.picture", ece=ece)
    rows = [
        {
            "range": words("range", low=words.percent(row["low"], 0), high=words.percent(row["high"], 0)),
            "n": words.count(row["n"]),
            "confidence": words.percent(row.get("confidence")),
            "accuracy": words.percent(row.get("accuracy")),
        }
        for row in bins
    ]
    return {
        "picture": charts.reliability(bins, title, (words("reliability.x"), words("reliability.y"))),
        "ece": words("reliability.ece", ece=ece),
        "lean": words(
            "reliability.over" if lean > 0.02 else "reliability.under" if lean < -0.02 else "reliability.fair"
        ),
        "rows": rows,
    }


def cases(facts: Mapping[str, Any], kind: str, words: Words, show_texts: bool) -> dict[str, Any]:
    """The table of broken or mended cases, its quotes cut to what the page can carry."""
    wanted = min(sum(row.get("kind") == kind for row in facts.get("cases", ())), ALL_CASES)
    characters = min(500, max(80, TEXT_BUDGET // max(wanted, 1)))
    table = listed(facts, kind, words, show_texts, ALL_CASES, characters)
    rows = table["rows"]
    split = FIRST_CASES if len(rows) > FIRST_CASES + 5 else len(rows)
    return {**table, "first": rows[:split], "rest": rows[split:]}
