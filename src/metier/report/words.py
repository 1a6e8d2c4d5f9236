"""The report's words and numbers in one language.

Purpose: every sentence of the page and of the model card stands in strings.yaml, English and Chinese side by side; a
figure is written in one place only, so the page, the card and the picture's description show the same digits.
Trade-off: two languages and `str.format`, no plural rules (sentences are written so that none is needed).
Not covered: sentences that another stage wrote (they come with their own `_zh` twin).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

LANGUAGES = ("en", "zh")
# Shown as %, differences as points.
PERCENT = {"accuracy", "acc", "acc_norm", "macro_f1", "micro_f1", "ece", "precision", "recall", "f1", "entity_f1",
           "entity_precision",
           "entity_recall", "answer_f1", "answer_exact", "has_answer_f1", "no_answer_accuracy", "aupr",
           "precision_at_80_recall", "exact_match", "finished", "empty", "preference_accuracy", "preference_by_token",
           "preference_equal_length", "ndcg_10", "mrr_10", "recall_1", "recall_10", "recall_100",
           "number_match", "number_f1", "number_unparsable", "choice_accuracy", "choice_consistent", "choice_published",
           "choice_unparsable", "choice_likelihood", "choice_likelihood_per_byte"}  # fmt: skip
# Lower is better.
LOWER = {"mae", "rmse", "ece", "brier", "bits_per_byte", "general_bits_per_byte", "bits_per_masked_token",
         "pseudo_perplexity", "perplexity", "word_perplexity", "byte_perplexity", "brier_score", "empty",
         "number_unparsable", "choice_unparsable"}  # fmt: skip
MINUS = "\u2212"


@functools.cache
def strings() -> dict[str, dict[str, str]]:
    """key -> {"en": ..., "zh": ...}."""
    text = resources.files(__package__).joinpath("strings.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


class Words:
    """Words and numbers of one language: `words("verdict.why", n=3)`."""

    def __init__(self, language: str) -> None:
        assert language in LANGUAGES
        self.language = language

    def __call__(self, key: str, **values: Any) -> str:
        return strings()[key][self.language].format(**values)

    def known(self, kind: str, code: str, otherwise: str = "") -> str:
        """The words for a code such as a step or a reason; the code itself, readable, if nobody wrote words for it."""
        entry = strings().get(f"{kind}.{code}")
        return entry[self.language] if entry else otherwise or code.replace("_", " ")

    def either(self, row: Mapping[str, Any], field: str) -> str:
        """The field of a row that carries both languages (`text` and `text_zh`)."""
        other = row.get(f"{field}_zh") if self.language == "zh" else None
        return str(other or row.get(field) or "")

    def count(self, value: Any) -> str:
        """A whole number with thousands separators."""
        return self("no_data") if value is None else f"{int(value):,}"

    def percent(self, value: float | None, digits: int = 1) -> str:
        """0.931 -> 93.1%."""
        return self("no_data") if _missing(value) else f"{_number(100 * value, digits)}%"  # type: ignore[operator]

    def plain(self, value: float | None) -> str:
        """A number with about three digits that matter."""
        if _missing(value):
            return self("no_data")
        size = abs(value)  # type: ignore[arg-type]
        return _number(value, 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3)  # type: ignore[arg-type]

    def value(self, metric: str, value: float | None) -> str:
        """A metric's value in its own unit."""
        return self.percent(value) if metric in PERCENT else self.plain(value)

    def interval(self, metric: str, figure: Mapping[str, Any]) -> str:
        """`91.0 to 93.1`; empty if there is none."""
        low, high = figure.get("low"), figure.get("high")
        if _missing(low) or _missing(high):
            return ""
        if metric in PERCENT:
            return self("range", low=_number(100 * low, 1), high=_number(100 * high, 1))  # type: ignore[operator]
        return self("range", low=self.plain(low), high=self.plain(high))

    def figure(self, metric: str, figure: Mapping[str, Any] | None) -> str:
        """Value and interval: `92.1% (91.0 to 93.1)`."""
        figure = figure or {}
        between = self.interval(metric, figure)
        shown = self.value(metric, figure.get("value"))
        return shown + self("brackets", inner=between) if between else shown

    def points(self, metric: str, value: float | None, sign: bool = True) -> str:
        """A difference: points for what is shown in percent, the metric's unit otherwise."""
        if _missing(value):
            return self("no_data")
        number = self.bare(metric, value, sign)  # type: ignore[arg-type]
        return self("points", number=number) if metric in PERCENT else number

    def bare(self, metric: str, value: float, sign: bool = True) -> str:
        """A difference without its unit, with its sign."""
        text = _number(100 * value, 1) if metric in PERCENT else self.plain(value)
        return f"+{text}" if sign and value > 0 and text.strip("0.") else text

    def difference(self, row: Mapping[str, Any]) -> str:
        """A comparison's difference with its interval: `+3.1 points (2.0 to 4.2)`."""
        metric, low, high = row["metric"], row.get("low"), row.get("high")
        shown = self.points(metric, row.get("difference"))
        if _missing(low) or _missing(high):
            return shown
        inner = self("range", low=self.bare(metric, low, False), high=self.bare(metric, high, False))  # type: ignore[arg-type]
        return shown + self("brackets", inner=inner)

    def gap(self, row: Mapping[str, Any]) -> str:
        """A difference for reading aloud: as `difference`, but an error is "0.031 lower (0.020 to 0.042)"."""
        value, low, high = row.get("difference"), row.get("low"), row.get("high")
        if row.get("better") != "lower" or _missing(value):
            return self.difference(row)
        turn = -1 if value < 0 else 1  # type: ignore[operator]
        number = self.points(row["metric"], abs(value), sign=False)  # type: ignore[arg-type]
        shown = self("lower" if turn < 0 else "higher", number=number)
        if _missing(low) or _missing(high):
            return shown
        first, last = sorted((turn * low, turn * high))  # type: ignore[operator]
        inner = self("range", low=self.bare(row["metric"], first, False), high=self.bare(row["metric"], last, False))
        return shown + self("brackets", inner=inner)

    def p(self, value: float | None) -> str:
        """A p-value; below 0.001 only that."""
        return self("no_data") if _missing(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"  # type: ignore[operator]

    def seconds(self, value: float | None) -> str:
        """A duration in the unit that a person would use."""
        if _missing(value):
            return self("no_data")
        for unit, size in (("hours", 3600.0), ("minutes", 60.0)):
            if value >= size:  # type: ignore[operator]
                return self(f"unit.{unit}", number=f"{value / size:.1f}")  # type: ignore[operator]
        return self("unit.seconds", number=f"{value:.1f}")

    def model(self, name: str, models: Mapping[str, Any]) -> str:
        """What a model is called in running text."""
        return self.known("model", name, str((models.get(name) or {}).get("title") or name))

    def metric(self, name: str) -> str:
        return self.known("metric", name)


def _missing(value: Any) -> bool:
    return not isinstance(value, (int, float)) or not math.isfinite(value)


def _number(value: float, digits: int) -> str:
    """Fixed digits, thousands separators, a real minus sign, and never a negative zero."""
    text = f"{value:,.{digits}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", MINUS)
