"""Do the intervals cover, do the tests keep their level, and is the detectable effect detected? By simulation.

Run: `python benchmarks/intervals.py --runs 1000`. Every row draws new test splits from a population whose truth is
known. coverage: share of 95 % intervals that hold the truth (wanted 0.95). level: share of p < 0.05 when there is no
difference (wanted 0.05; exact McNemar is below it by construction). power: share of p < 0.05 when the true difference
is the minimum detectable effect that was stated (wanted 0.80). 1,000 runs: +-0.014 at 0.95 and 0.05, +-0.025 at 0.80.
Not covered: speed; other significance levels.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np

from metier.console import Console, seconds
from metier.evaluate.compare import Pair, Setting, compare, difference_interval, mcnemar, mcnemar_mde
from metier.evaluate.intervals import bootstrap_interval, normal_quantile, proportions, wilson
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


def coverage_of_bootstrap(name: str, make: Make, n: int, runs: int, resamples: int) -> tuple[float, float]:
    """Coverage of our interval and of the plain percentile interval."""
    metric = lookup("metric", name)
    truth = value(metric, make(np.random.default_rng(99), 400_000))
    assert truth is not None
    ours = plain = 0
    for run in range(runs):
        one = make(np.random.default_rng([run, 7]), n)
        drawn = bootstrap({0: metric.over(one)}, setting(n, run, resamples).unit, resamples, run)[0]
        point = value(metric, one)
        assert point is not None
        found = bootstrap_interval(drawn, point, ALPHA, metric.low, metric.high,
                                   metric.bias(one) if metric.bias else 0.0)  # fmt: skip
        low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
        ours += found is not None and found[0] <= truth <= found[1]
        plain += low <= truth <= high
    return ours / runs, plain / runs


def grouped_hits(random: Random, groups: int, size: int) -> tuple[Array, Array]:
    """(n,) of right/wrong whose groups are easy or hard as a whole (mean 0.9), and their groups."""
    share = random.beta(4.5, 0.5, groups)
    return (random.random((groups, size)) < share[:, None]).astype(float).ravel(), np.repeat(np.arange(groups), size)


def coverage(console: Console, runs: int, resamples: int) -> None:
    rows = []
    for share, n in ((0.93, 100), (0.93, 1000), (0.99, 100)):
        hits = np.random.default_rng(0).binomial(n, share, runs)
        low, high = wilson(hits / n, np.full(runs, n), normal_quantile(ALPHA))
        rows.append([f"accuracy {share}, n {n}", "Wilson", f"{np.mean((low <= share) & (share <= high)):.3f}", ""])
    for groups, size in ((15, 10), (50, 8)):
        found = []
        for run in range(runs):
            hits, names = grouped_hits(np.random.default_rng([run, 1]), groups, size)
            columns = hits[:, None], np.ones((len(hits), 1))
            found.append([low[0] <= 0.9 <= high[0] for _, low, high in (
                proportions(*columns, setting(len(hits), 0, 1, names).unit, ALPHA),
                proportions(*columns, setting(len(hits), 0, 1).unit, ALPHA))])  # fmt: skip
        ours, plain = np.mean(found, axis=0)
        rows.append([f"accuracy 0.9, {groups} groups of {size}", "Wilson, effective n", f"{ours:.3f}", f"{plain:.3f}"])
    cases: list[tuple[str, str, Make, int]] = [
        ("macro_f1, 10 classes", "macro_f1", classes, 200), ("macro_f1, 10 classes", "macro_f1", classes, 1000),
        ("mcc, 10 classes", "mcc", classes, 200), ("ece, calibrated", "ece", classes, 200),
        ("ece, calibrated", "ece", classes, 1000),
        ("ece, over-confident", "ece", lambda r, n: classes(r, n, sharp=2.0), 200),
        ("mae", "mae", scores, 100), ("rmse", "rmse", scores, 100), ("spearman", "spearman", scores, 100),
    ]  # fmt: skip
    for title, name, make, n in cases:
        ours, plain = coverage_of_bootstrap(name, make, n, runs, resamples)
        rows.append([f"{title}, n {n}", "bootstrap, centred", f"{ours:.3f}", f"{plain:.3f}"])
    rows += [
        [f"accuracy difference 0.05, n {n}", "Bonett-Price", f"{paired_coverage(n, runs):.3f}", ""] for n in (60, 300)
    ]
    hit = 0
    for run in range(runs):
        given = setting(200, run, resamples)
        limits = difference_interval(pair("macro_f1", *alike(np.random.default_rng([run, 5]), 200), given), given)
        hit += limits is not None and limits[0] <= 0 <= limits[1]
    rows.append(["macro_f1 difference 0, n 200", "paired bootstrap, centred", f"{hit / runs:.3f}", ""])
    console.table(["interval of", "method", "coverage", "plain method"], rows, title="Coverage of 95 % intervals")


def paired_coverage(n: int, runs: int) -> float:
    from metier.evaluate.compare import bonett_price

    counts = np.random.default_rng(1).multinomial(n, [0.1, 0.05, 0.85], size=runs)
    found = [bonett_price(int(b), int(c), n, normal_quantile(ALPHA)) for b, c, _ in counts]
    return float(np.mean([one is not None and one[0] <= 0.05 <= one[1] for one in found]))


def level(console: Console, runs: int, resamples: int) -> None:
    rows = []

    def add(
        title: str, name: str, n: int, draw: Callable[[Random], tuple[Items, Items]], groups: Array | None = None
    ) -> None:
        p, test = [], ""
        for run in range(runs):
            given = setting(n, run, resamples, groups)
            row = compare(pair(name, *draw(np.random.default_rng([run, 3])), given), "base", given)
            p.append(row["p"])
            test = row["test"]
        rows.append([title, test, f"{np.mean(np.array(p) < ALPHA):.3f}"])

    for n in (200, 1000):
        add(f"accuracy, n {n}", "accuracy", n, lambda r, n=n: twins(classes, r, n))  # type: ignore[misc]
    names = np.repeat(np.arange(30), 8)
    add("accuracy, 30 groups of 8 that agree", "accuracy", 240, grouped_pair, names)
    add("macro_f1, 30 groups of 8 that agree", "macro_f1", 240, grouped_pair, names)
    add("macro_f1, exchangeable, n 200", "macro_f1", 200, lambda r: twins(classes, r, 200))
    add("macro_f1, other confusions, n 200", "macro_f1", 200, lambda r: alike(r, 200))
    add("mcc, other confusions, n 200", "mcc", 200, lambda r: alike(r, 200))
    add("ece, both calibrated, n 300", "ece", 300, lambda r: twins(classes, r, 300))
    add("ece, both over-confident, n 300", "ece", 300, lambda r: twins(classes, r, 300, 3.0))
    add("mae, n 100", "mae", 100, lambda r: twins(scores, r, 100))
    add("rmse, n 100", "rmse", 100, lambda r: twins(scores, r, 100))
    add("spearman, n 100", "spearman", 100, lambda r: twins(scores, r, 100))
    console.table(["no difference in", "test", "share p < 0.05"], rows, title="Type-I error at 5 %")


def grouped_pair(random: Random) -> tuple[Items, Items]:
    """Two equally good models whose errors come in groups of 8 (240 items)."""
    gold = random.integers(0, 3, 240)
    both = []
    for _ in range(2):
        wrong = grouped_hits(random, 30, 8)[0] == 0
        both.append(Items("classify", gold, np.where(wrong, (gold + 1) % 3, gold), None, ("a", "b", "c")))
    return both[0], both[1]


def power(console: Console, runs: int, resamples: int) -> None:
    rows = []
    random = np.random.default_rng(2)
    for n, discordance in ((300, 0.1), (1000, 0.1), (3000, 0.08)):
        effect = mcnemar_mde(n, round(n * discordance), ALPHA, POWER)
        assert effect is not None
        share = [(discordance + effect) / 2, (discordance - effect) / 2, 1 - discordance]
        counts = random.multinomial(n, share, size=runs)
        found = np.mean([mcnemar(int(b), int(c)) < ALPHA for b, c, _ in counts])
        rows.append([f"accuracy, n {n}, discordance {discordance}", "exact McNemar", f"{effect:.4f}", f"{found:.3f}"])
    for name, n in (("mae", 200), ("macro_f1", 400)):
        effect = 0.0
        for _ in range(3):  # the effect that test splits with this very effect state: errors spread more as they grow
            stated = []
            for run in range(50):
                given, drawn = setting(n, run, resamples), shifted(np.random.default_rng([run, 8]), n, name, effect)
                stated.append(compare(pair(name, *drawn, given), "", given)["mde"])
            effect = float(np.mean(stated))
        p, test, true = [], "", []
        for run in range(runs):
            given = setting(n, run, resamples)
            row = compare(pair(name, *shifted(np.random.default_rng([run, 9]), n, name, effect), given), "", given)
            p.append(row["p"])
            true.append(row["difference"])
            test = row["test"]
        found = np.mean(np.array(p) < ALPHA)
        rows.append([f"{name}, n {n} (mean difference {np.mean(true):.4f})", test, f"{effect:.4f}", f"{found:.3f}"])
    console.table(
        ["difference in", "test", "detectable effect", "power"], rows, title="Power at the stated effect (80 %)"
    )


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=500)
    given = parser.parse_args()
    console, start = Console(stream=sys.stdout), time.monotonic()
    for part in (coverage, level, power):
        part(console, given.runs, given.resamples)
        console.say()
    console.say(f"{given.runs} runs, {given.resamples} resamples, {seconds(time.monotonic() - start)}")


if __name__ == "__main__":
    main()
