"""Is the verdict right? Better, equal and worse models are planted, and the verdict on each is read.

Run: `python benchmarks/eval_verdict.py`. 100 seeded test sets a row, of the size that `metier power` asks for to find
the planted difference with a power of 99 %; wanted: the right verdict in 95 or more. Right is SIGN OFF for a model that
is what the criterion demands, REJECT for one that is clearly not, and for an equal one that is asked to be better
everything but SIGN OFF.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from eval_population import ALPHA, POWER

from metier.evaluate.compare import Setting, compare, finish
from metier.evaluate.criteria import parse
from metier.evaluate.items import Items
from metier.evaluate.measure import figure_of, measure, pair_of
from metier.evaluate.power import items_for_difference
from metier.evaluate.resample import units
from metier.evaluate.verdict import Evidence, decide
from metier.registry import lookup

EFFECT, DISCORDANCE, SURE = 0.03, 0.09, 0.99
# title, criterion, true difference of the tuned model to the base, verdicts that are right
CASES = (
    ("better by 3 points", "accuracy > base", EFFECT, ("SIGN OFF",)),
    ("equal", "accuracy > base", 0.0, ("CONDITIONAL", "REJECT")),
    ("worse by 3 points", "accuracy > base", -EFFECT, ("REJECT",)),
    ("equal, may be 3 points worse", "accuracy >= base - 0.03", 0.0, ("SIGN OFF",)),
    ("worse by 3 points, may be 3", "accuracy >= base - 0.03", -EFFECT, ("CONDITIONAL", "REJECT")),
    ("worse by 6 points, may be 3", "accuracy >= base - 0.03", -2 * EFFECT, ("REJECT",)),
)


def draw(random: np.random.Generator, n: int, difference: float) -> tuple[Items, Items]:
    """Two models of about 88 %, of which one alone is right in `DISCORDANCE` of the texts."""
    tuned_only, base_only = (DISCORDANCE + difference) / 2, (DISCORDANCE - difference) / 2
    both = 0.88 - DISCORDANCE / 2
    kind = random.choice(4, n, p=[tuned_only, base_only, both, 1 - both - DISCORDANCE])
    gold = random.integers(0, 5, n)
    wrong = (gold + random.integers(1, 5, n)) % 5
    names = tuple("abcde")
    tuned, base = (np.where((kind == own) | (kind == 2), gold, wrong) for own in (0, 1))
    return Items("classify", gold, tuned, None, names), Items("classify", gold, base, None, names)


def verdict(criterion: str, tuned: Items, base: Items, seed: int) -> str:
    """The decision on one test set, by the functions of the stage."""
    metric, given = lookup("metric", "accuracy"), Setting(units([""] * len(tuned)), ALPHA, POWER, 200, seed)
    found = measure({"tuned": tuned, "base": base}, [metric], given)
    pair = pair_of(found, metric, "base")
    assert pair is not None
    row = finish([compare(pair, "base", given)], ALPHA)[0]
    figures = {("accuracy", "", ""): figure_of(metric, found, "tuned", given)}
    evidence = Evidence("accuracy", figures, {("accuracy", "", "base"): row})
    return str(decide([parse(criterion)], evidence, "recipe")["decision"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    given = parser.parse_args()
    n, start = items_for_difference(EFFECT, DISCORDANCE, ALPHA, SURE), time.process_time()
    print(f"Verdicts on planted models, {given.runs} test sets of {n:,} examples a row\n")
    print("| planted | criterion | right is | SIGN OFF | CONDITIONAL | REJECT | right | 95 % or more |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | --- |")
    for title, criterion, difference, right in CASES:
        said = [verdict(criterion, *draw(np.random.default_rng([run, 11]), n, difference), run)
                for run in range(given.runs)]  # fmt: skip
        counts = [said.count(word) for word in ("SIGN OFF", "CONDITIONAL", "REJECT")]
        share = sum(word in right for word in said) / given.runs
        shown = " or ".join(right)
        print(f"| {title} | `{criterion}` | {shown} | {' | '.join(map(str, counts))} | {share:.0%} | "
              f"{'yes' if share >= 0.95 else 'no'} |", flush=True)  # fmt: skip
    print(f"\n{time.process_time() - start:.0f} processor seconds")


if __name__ == "__main__":
    main()
