"""The 5-gram that the base is measured against: its probabilities are probabilities, and it learns."""

from __future__ import annotations

import random
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(path: str) -> Any:
    """A script of the repository as a module."""
    name = path.replace("/", "_").removesuffix(".py")
    spec = spec_from_file_location(name, ROOT / path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


BENCHMARK = load("benchmarks/base.py")


def texts(n: int, seed: int) -> list[list[int]]:
    """Walks over seven tokens; each step depends on the last two tokens."""
    draw, out = random.Random(seed), []
    for _ in range(n):
        ids = [0, 1]
        while len(ids) < 30:
            ids.append((ids[-1] + 2 * ids[-2] + draw.choice([0, 0, 0, 1])) % 7)
        out.append(ids)
    return out


@pytest.mark.parametrize("context", [[], [0], [0, 1], [0, 1, 1, 3, 5], [6, 6, 6, 6, 6], [9, 9, 2]])
def test_the_next_token_has_probabilities_that_sum_to_one(context: list[int]) -> None:
    grams = BENCHMARK.Grams(texts(20, 0), vocabulary=10)
    before = grams.bits([context]) if context else 0.0
    chance = [2 ** -(grams.bits([[*context, token]]) - before) for token in range(10)]
    assert sum(chance) == pytest.approx(1) and min(chance) > 0


def test_it_learns_what_depends_on_two_tokens() -> None:
    known, asked = texts(400, 1), texts(20, 2)
    bits = BENCHMARK.Grams(known, vocabulary=10).bits(asked) / sum(map(len, asked))
    assert bits < 1.1  # the walk's own entropy is 0.81 bits a step; an even guess over ten tokens costs 3.3
    assert bits < BENCHMARK.Grams(known[:5], vocabulary=10).bits(asked) / sum(map(len, asked))
