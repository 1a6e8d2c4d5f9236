"""Do the paired tests keep their level, and do they find the effect that they say they can find? By simulation.

Run: `python benchmarks/eval_tests.py`. Level: share of p < 0.05 in 2,000 test sets on which two models are equally
good; wanted 0.04 to 0.06 (2,000 sets: +-0.010). Power: share of p < 0.05 where the true difference is the minimum
detectable effect that was stated; wanted 0.78 to 0.82 (+-0.018). Beside McNemar's mid-p test what the exact test would
have given.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
from eval_population import ALPHA, POWER, Random, alike, classes, grouped_pair, pair, scores, setting, shifted, twins
from scipy import stats

from metier.evaluate.compare import Pair, detectable, mcnemar, mcnemar_mde, paired_test
from metier.evaluate.items import Array, Items
from metier.evaluate.metrics import value
from metier.evaluate.power import items_for_difference
from metier.registry import lookup

Row = tuple[str, str, str, float, float | None]  # what, test, effect, share rejected, share of the exact test


def shares(runs: int, resamples: int) -> Iterator[Row]:
    """McNemar's test between two equally good models that differ in some of the texts."""
    random = np.random.default_rng(3)
    for n, discordance in ((200, 0.1), (1000, 0.05), (1000, 0.1), (3080, 0.06)):
        counts = random.multinomial(n, [discordance / 2, discordance / 2, 1 - discordance], size=runs)
        ours = np.mean([mcnemar(int(b), int(c)) < ALPHA for b, c, _ in counts])
        exact = np.mean([stats.binomtest(int(b), int(b + c)).pvalue < ALPHA for b, c, _ in counts if b + c])
        yield f"accuracy, n {n}, discordance {discordance}", "mid-p McNemar", "0", float(ours), float(exact)


def level(
    title: str, name: str, n: int, draw: Callable[[Random], tuple[Items, Items]], groups: Array | None = None
) -> Callable[[int, int], Iterator[Row]]:
    """The test of one metric between two models of equal figures."""

    def rows(runs: int, resamples: int) -> Iterator[Row]:
        metric, p, test = lookup("metric", name), [], ""
        resampled = not metric.swap  # only the bootstrap tests look at resampled differences
        for run in range(runs):
            given, both = setting(n, run, resamples, groups), draw(np.random.default_rng([run, 3]))
            if resampled:
                one = pair(name, *both, given)
            else:
                figures = [value(metric, items) or 0.0 for items in both]
                one = Pair(metric, *both, *figures, np.zeros(1))
            test, found = paired_test(one, given)
            p.append(1.0 if found is None else found)
        yield title, test, "0", float(np.mean(np.array(p) < ALPHA)), None

    return rows


def effects_of_shares(runs: int, resamples: int) -> Iterator[Row]:
    """Power of McNemar's test at the stated effect, and at the size that `metier power` says."""
    random = np.random.default_rng(2)

    def power(n: int, discordance: float, effect: float) -> float:
        split = [(discordance + effect) / 2, (discordance - effect) / 2, 1 - discordance]
        counts = random.multinomial(n, split, size=runs)
        return float(np.mean([mcnemar(int(b), int(c)) < ALPHA for b, c, _ in counts]))

    for n, discordance in ((300, 0.1), (1000, 0.1), (3000, 0.08)):
        effect = mcnemar_mde(n, round(n * discordance), ALPHA, POWER)
        assert effect is not None
        yield (f"accuracy, n {n}, discordance {discordance}", "mid-p McNemar", f"{effect:.4f}",
               power(n, discordance, effect), None)  # fmt: skip
    for effect, discordance in ((0.02, 0.1), (0.05, 0.15)):
        n = items_for_difference(effect, discordance)
        yield (f"accuracy, n {n} (metier power), discordance {discordance}", "mid-p McNemar", f"{effect:.4f}",
               power(n, discordance, effect), None)  # fmt: skip


def effects(name: str, n: int) -> Callable[[int, int], Iterator[Row]]:
    """Power of another test at the effect that test sets with that very effect state on average."""

    def rows(runs: int, resamples: int) -> Iterator[Row]:
        effect = 0.0
        for _ in range(3):  # errors spread more as the effect grows
            stated = []
            for run in range(60):
                given = setting(n, run, resamples)
                one = pair(name, *shifted(np.random.default_rng([run, 8]), n, name, effect), given)
                stated.append(detectable(one, given, None) or np.nan)
            effect = float(np.nanmean(stated))
        p, test, true = [], "", []
        for run in range(runs):
            given = setting(n, run, resamples)
            both = shifted(np.random.default_rng([run, 9]), n, name, effect)
            figures = [value(lookup("metric", name), items) or 0.0 for items in both]
            test, found = paired_test(Pair(lookup("metric", name), *both, *figures, np.zeros(1)), given)
            p.append(1.0 if found is None else found)
            true.append(figures[0] - figures[1])
        share = float(np.mean(np.array(p) < ALPHA))
        yield f"{name}, n {n} (mean difference {np.mean(true):.4f})", test, f"{effect:.4f}", share, None

    return rows


GROUPS = np.repeat(np.arange(30), 8)
LEVEL: dict[str, Callable[[int, int], Iterator[Row]]] = {
    "shares": shares,
    "groups": level("accuracy, 30 groups of 8 that agree", "accuracy", 240, grouped_pair, GROUPS),
    "groups_f1": level("macro_f1, 30 groups of 8 that agree", "macro_f1", 240, grouped_pair, GROUPS),
    "macro_f1": level("macro_f1, exchangeable, n 200", "macro_f1", 200, lambda r: twins(classes, r, 200)),
    "confusions": level("macro_f1, other confusions, n 200", "macro_f1", 200, lambda r: alike(r, 200)),
    "mcc": level("mcc, other confusions, n 200", "mcc", 200, lambda r: alike(r, 200)),
    "brier": level("brier, n 200", "brier", 200, lambda r: twins(classes, r, 200)),
    "ece": level("ece, both over-confident, n 300", "ece", 300, lambda r: twins(classes, r, 300, 3.0)),
    "calibrated": level("ece, both calibrated, n 300", "ece", 300, lambda r: twins(classes, r, 300)),
    "mae": level("mae, n 100", "mae", 100, lambda r: twins(scores, r, 100)),
    "rmse": level("rmse, n 100", "rmse", 100, lambda r: twins(scores, r, 100)),
    "spearman": level("spearman, n 100", "spearman", 100, lambda r: twins(scores, r, 100)),
}
EFFECT: dict[str, Callable[[int, int], Iterator[Row]]] = {
    "effect": effects_of_shares, "effect_mae": effects("mae", 200), "effect_f1": effects("macro_f1", 400),
}  # fmt: skip


def table(title: str, parts: dict[str, Callable[[int, int], Iterator[Row]]], given: argparse.Namespace) -> None:
    """Print one table; with `--only`, the row alone."""
    least, most = (0.04, 0.06) if parts is LEVEL else (0.78, 0.82)
    chosen = list(parts) if given.only is None else [given.only] if given.only in parts else []
    if given.only is None:
        print(f"\n{title}, {given.runs:,} simulated test sets, {given.resamples} resamples\n")
        print(f"| difference in | test | true difference | share p < 0.05 | exact test | {least} to {most} |")
        print("| --- | --- | ---: | ---: | ---: | --- |")
    for name in chosen:
        for what, test, effect, share, exact in parts[name](given.runs, given.resamples):
            fine = "yes" if least <= round(share, 3) <= most else "no"
            other = "" if exact is None else f"{exact:.3f}"
            print(f"| {what} | {test} | {effect} | {share:.3f} | {other} | {fine} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--only", choices=[*LEVEL, *EFFECT])
    given = parser.parse_args()
    start = time.process_time()
    table("Type-I error at 5 %", LEVEL, given)
    table("Power at the stated minimum detectable effect (80 %)", EFFECT, given)
    print(f"\n{time.process_time() - start:.0f} processor seconds")


if __name__ == "__main__":
    main()
