"""Do 95 % intervals hold the truth in 95 of 100 test sets? By simulation.

Run: `python benchmarks/eval_intervals.py`. Every row draws 2,000 test sets from a population whose truth is known (for
figures without a closed form: the figure of 400,000 items), and counts how many intervals hold it; wanted 0.93 to 0.97
(2,000 sets: +-0.010 at 0.95). Beside it what the plain percentile bootstrap, or counting items instead of groups,
would have given.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
from eval_population import ALPHA, alike, classes, grouped_hits, pair, scores, setting, twins

from metier.evaluate.compare import bonett_price, difference_interval
from metier.evaluate.intervals import normal_quantile, proportions, wilson
from metier.evaluate.items import Items
from metier.evaluate.measure import figure_of, measure
from metier.evaluate.metrics import value
from metier.registry import lookup

Row = tuple[str, str, float, float | None]  # interval of, method, coverage, coverage of the plain method
LEAST, MOST = 0.93, 0.97


def shares(runs: int, resamples: int) -> Iterator[Row]:
    """Proportions of items, and of items in groups."""
    for share, n in ((0.93, 100), (0.93, 1000), (0.99, 1000)):
        hits = np.random.default_rng(0).binomial(n, share, runs)
        low, high = wilson(hits / n, np.full(runs, n), normal_quantile(ALPHA))
        yield f"accuracy {share}, n {n}", "Wilson", float(np.mean((low <= share) & (share <= high))), None
    for groups, size in ((15, 10), (50, 8)):
        held = []
        for run in range(runs):
            hits, names = grouped_hits(np.random.default_rng([run, 1]), groups, size)
            columns = hits[:, None], np.ones((len(hits), 1))
            held.append([low[0] <= 0.9 <= high[0] for _, low, high in (
                proportions(*columns, setting(len(hits), 0, 1, names).unit, ALPHA),
                proportions(*columns, setting(len(hits), 0, 1).unit, ALPHA))])  # fmt: skip
        ours, plain = np.mean(held, axis=0)
        yield f"accuracy 0.9, {groups} groups of {size}", "Wilson, effective n", ours, plain


def figures(
    names: tuple[str, ...], make: Callable[..., Items], n: int, title: str
) -> Callable[[int, int], Iterator[Row]]:
    """Figures of one model, whose intervals share their resamples."""

    def rows(runs: int, resamples: int) -> Iterator[Row]:
        metrics = [lookup("metric", name) for name in names]
        large = make(np.random.default_rng(99), 400_000)
        truths = {metric.name: value(metric, large) for metric in metrics}
        held = {name: [0, 0] for name in names}
        for run in range(runs):
            given = setting(n, run, resamples)
            found = measure({"tuned": make(np.random.default_rng([run, 7]), n)}, metrics, given)
            for metric in metrics:
                truth, one = truths[metric.name], figure_of(metric, found, "tuned", given)
                low, high = np.quantile(found.resampled["tuned", metric.name], [ALPHA / 2, 1 - ALPHA / 2])
                assert truth is not None
                held[metric.name][0] += one["low"] is not None and one["low"] <= truth <= one["high"]
                held[metric.name][1] += low <= truth <= high
        for name, (ours, plain) in held.items():
            yield f"{name}{title}, n {n}", "bootstrap, centred", ours / runs, plain / runs

    return rows


def differences(runs: int, resamples: int) -> Iterator[Row]:
    """Paired differences: of shares, of macro F1, of errors, and of shares in groups."""
    for n in (60, 300):
        counts = np.random.default_rng(1).multinomial(n, [0.1, 0.05, 0.85], size=runs)
        found = [bonett_price(int(b), int(c), n, normal_quantile(ALPHA)) for b, c, _ in counts]
        covered = np.mean([one is not None and one[0] <= 0.05 <= one[1] for one in found])
        yield f"accuracy difference 0.05, n {n}", "Bonett-Price", float(covered), None
    for name, title, draw in (
        ("macro_f1", "macro_f1 difference 0", lambda random: alike(random, 200)),
        ("mae", "mae difference 0", lambda random: twins(scores, random, 200)),
    ):
        held = 0
        for run in range(runs):
            given = setting(200, run, resamples)
            limits = difference_interval(pair(name, *draw(np.random.default_rng([run, 5])), given), given)
            held += limits is not None and limits[0] <= 0 <= limits[1]
        yield f"{title}, n 200", "paired bootstrap, centred", held / runs, None


PARTS: dict[str, Callable[[int, int], Iterator[Row]]] = {
    "shares": shares,
    "labels": figures(("macro_f1", "mcc", "ece", "brier"), classes, 200, ", 10 classes"),
    "many": figures(("macro_f1", "ece"), classes, 1000, ", 10 classes"),
    "sure": figures(("ece",), lambda random, n: classes(random, n, sharp=2.0), 200, ", over-confident"),
    "scores": figures(("mae", "rmse", "spearman"), scores, 100, ""),
    "differences": differences,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--only", choices=list(PARTS))
    given = parser.parse_args()
    start = time.process_time()
    if given.only in (None, "shares"):
        print(f"Coverage of 95 % intervals, {given.runs:,} simulated test sets, {given.resamples} resamples\n")
        print("| interval of | method | coverage | plain method | 0.93 to 0.97 |")
        print("| --- | --- | ---: | ---: | --- |")
    for name in [given.only] if given.only else list(PARTS):
        for title, method, covered, plain in PARTS[name](given.runs, given.resamples):
            fine = "yes" if LEAST <= round(covered, 3) <= MOST else "no"
            print(
                f"| {title} | {method} | {covered:.3f} | {'' if plain is None else f'{plain:.3f}'} | {fine} |",
                flush=True,
            )
    print(f"\n{time.process_time() - start:.0f} processor seconds")


if __name__ == "__main__":
    main()
