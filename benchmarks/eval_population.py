"""Populations whose truth is known, from which the benchmarks of the statistics draw test sets.

Imported by eval_intervals.py, eval_tests.py and eval_verdict.py; prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from metier.evaluate.compare import Pair, Setting
from metier.evaluate.items import Array, Items
from metier.evaluate.metrics import value
from metier.evaluate.resample import bootstrap, units
from metier.registry import lookup

ALPHA, POWER = 0.05, 0.8
Random = np.random.Generator
Make = Callable[[Random, int], Items]


def classes(random: Random, n: int, k: int = 10, skew: float = 0.3, sharp: float = 1.0) -> Items:
    """Labels of unequal frequency, answers by noisy logits; sharp 1: calibrated, larger: over-confident."""
    share = np.exp(-skew * np.arange(k))
    gold = random.choice(k, n, p=share / share.sum())
    # With unit-variance noise and the gold logit raised by 2.5, logits times 2.5 plus the log prior are the posterior.
    noisy = random.normal(size=(n, k))
    noisy[np.arange(n), gold] += 2.5
    logits = sharp * (2.5 * noisy + np.log(share / share.sum()))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return Items("classify", gold, p.argmax(axis=1), p.astype(np.float32), tuple(str(i) for i in range(k)))


def scores(random: Random, n: int, noise: float = 0.8, scale: float = 1.0) -> Items:
    """Values and answers with normal errors."""
    gold = random.normal(size=n)
    return Items("score", gold, scale * (gold + noise * random.normal(size=n)))


def alike(
    random: Random, n: int, first: tuple[int, int] = (0, 1), second: tuple[int, int] = (1, 2)
) -> tuple[Items, Items]:
    """Two models of equal macro F1 that confuse different pairs of three equally frequent labels."""
    gold = random.integers(0, 3, n)
    both = []
    for a, b in (first, second):
        turned = np.where(gold == a, b, np.where(gold == b, a, gold))
        both.append(Items("classify", gold, np.where(random.random(n) < 0.3, turned, gold), None, ("a", "b", "c")))
    return both[0], both[1]


def twins(make: Make, random: Random, n: int, sharp: float = 1.0) -> tuple[Items, Items]:
    """Two independent models of one kind on the same items (gold of the first)."""
    state = random.integers(2**32)
    first = make(np.random.default_rng([state, 0]), n)
    if first.kind == "score":
        noise = random.normal(size=(2, n))
        return (
            Items("score", first.gold, first.gold + 0.8 * noise[0]),
            Items("score", first.gold, first.gold + 0.8 * noise[1]),
        )
    k, logits = len(first.classes), random.normal(size=(2, n, len(first.classes)))
    logits[:, np.arange(n), first.gold] += 2.5
    share = np.exp(-0.3 * np.arange(k))
    raw = sharp * (2.5 * logits + np.log(share / share.sum()))
    p = np.exp(raw - raw.max(axis=2, keepdims=True))
    p = (p / p.sum(axis=2, keepdims=True)).astype(np.float32)
    one, two = (Items("classify", first.gold, q.argmax(axis=1), q, first.classes) for q in p)
    return one, two


def setting(n: int, run: int, resamples: int, groups: Array | None = None) -> Setting:
    names = [""] * n if groups is None else [f"g{code}" for code in groups]
    return Setting(units(names), ALPHA, POWER, resamples, run)


def pair(name: str, first: Items, second: Items, given: Setting) -> Pair:
    metric = lookup("metric", name)
    drawn = bootstrap({0: metric.over(first), 1: metric.over(second)}, given.unit, given.resamples, given.seed)
    a, b = value(metric, first), value(metric, second)
    assert a is not None and b is not None
    return Pair(metric, first, second, a, b, drawn[0] - drawn[1])


def grouped_hits(random: Random, groups: int, size: int) -> tuple[Array, Array]:
    """(n,) of right/wrong whose groups are easy or hard as a whole (mean 0.9), and their groups."""
    share = random.beta(4.5, 0.5, groups)
    return (random.random((groups, size)) < share[:, None]).astype(float).ravel(), np.repeat(np.arange(groups), size)


def grouped_pair(random: Random) -> tuple[Items, Items]:
    """Two equally good models whose errors come in groups of 8 (240 items)."""
    gold = random.integers(0, 3, 240)
    both = []
    for _ in range(2):
        wrong = grouped_hits(random, 30, 8)[0] == 0
        both.append(Items("classify", gold, np.where(wrong, (gold + 1) % 3, gold), None, ("a", "b", "c")))
    return both[0], both[1]


def shifted(random: Random, n: int, name: str, effect: float) -> tuple[Items, Items]:
    """Two models whose true figures differ by `effect`: mean absolute errors 0.6 + effect and 0.6, or macro F1."""
    if name == "mae":
        gold, size = random.normal(size=n), np.sqrt(2 / np.pi)
        errors = random.normal(size=(2, n)) * np.array([[0.6 + effect], [0.6]]) / size
        return Items("score", gold, gold + errors[0]), Items("score", gold, gold + errors[1])
    gold, other = random.integers(0, 4, n), random.integers(1, 4, (2, n))
    wrong = random.random((2, n)) > np.array([[0.8 + effect / 2], [0.8 - effect / 2]])
    first, second = (np.where(w, (gold + o) % 4, gold) for w, o in zip(wrong, other, strict=True))
    return Items("classify", gold, first, None, tuple("abcd")), Items("classify", gold, second, None, tuple("abcd"))
