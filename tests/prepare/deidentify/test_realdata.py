"""The aims, on public English sets and on the generated Chinese one: what the benchmark prints, asserted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from collect.samples import mirror

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import deidentify
    finally:
        sys.path.remove(str(BENCHMARKS))
    return deidentify


@pytest.mark.realdata
@pytest.mark.parametrize("place", [0, 1, 2])
def test_pattern_classes_in_english(benchmark: Any, place: int) -> None:
    title, name = benchmark.SETS[place]
    score = benchmark.english(mirror() / "deid/presidio-research" / name, benchmark.metier)["*"]
    assert score.gold > 30 and score.found / score.gold >= 0.95, (title, score.missed)
    assert score.right / score.predicted >= 0.90, (title, score.wrong)
    assert score.exact / score.gold >= 0.95


def test_chinese_identifiers_with_a_check_digit(benchmark: Any) -> None:
    made = benchmark.documents(360)
    scores = benchmark.chinese(benchmark.metier, made)
    for kind in benchmark.CHECKED:
        assert scores[kind].found / scores[kind].gold >= 0.98, scores[kind].missed
    assert scores["*"].found / scores["*"].gold >= 0.98
    assert scores["*"].right / scores["*"].predicted >= 0.98, scores["*"].wrong
    assert scores["traps"].gold > 1000 and scores["traps"].found <= 2
    glued = [text for document in made for text in document.glued]
    missed = [text for text, value in glued if value not in [text[a:b] for a, b, _ in benchmark.metier(text)]]
    assert len(glued) > 150 and missed == []


def test_the_chinese_set_is_the_same_every_time(benchmark: Any) -> None:
    assert benchmark.documents(12) == benchmark.documents(12) != benchmark.documents(12, seed=1)
    for document in benchmark.documents(60):
        assert all(document.text[start:end] for start, end, _ in document.gold + document.traps)
