"""What the recipe's `evaluate` section may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metier.config import Section


class EvaluateConfig(Section):
    """Against what the tuned model is judged, and when it is good enough."""

    floors: Literal["auto"] | tuple[str, ...] = "auto"
    """Cheap models that it must beat (names behind the door `floor`). auto: those that the task names: majority and
    tfidf for labels, mean and tfidf for scores, dictionary and linear_tagger for tagging, bm25 for
    retrieval. `majority` and `mean` stand for each other: labels take the first, `score` takes the second."""
    corpus: Literal["test", "all"] = "test"
    """embed: what each test query is looked for in: all different passages of the test split, or those of the other
    splits too, as distractors."""
    base: bool = True
    """Compare with the untouched base: a linear probe on its frozen embeddings and zero-shot by label names;
    for retrieval its own vectors."""
    checks: tuple[str, ...] = ()
    """What the models are asked beyond the test set (names behind the door `check`). Each stores what was said and
    gives figures."""
    accept: tuple[str, ...] = ()
    """Acceptance criteria, written before the run: `accuracy >= 0.9`, `accuracy > tfidf + 0.01`,
    `recall[fraud] >= 0.8`, `macro_f1 >= base - 0.02`, `mae <= 0.2`. Every one must be met. Empty: the tuned model must
    beat the base and every floor on the task's first metric."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Significance level of tests, after Holm's correction; intervals cover 1 - alpha."""
    power: float = Field(default=0.8, gt=0.5, lt=1)
    """Power at which the minimum detectable effect is stated."""
    bootstrap: int = Field(default=2000, ge=200)
    """Bootstrap resamples."""
    listed_cases: int = Field(default=50, ge=0)
    """Broken and mended cases shown in the report; all are kept in cases.parquet."""
