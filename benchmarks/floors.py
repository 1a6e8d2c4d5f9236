"""Our floors against the figures that others published for the same cheap methods on the same test sets.

Run: `METIER_DATA_MIRROR=DATA python benchmarks/floors.py` (`--only banking77 pubmedqa` for some; the linear tagger and
the statements about contracts take minutes). A floor that is weaker than it could be makes every tuned model look good,
so it shall be within a point of the published one, or above it. Only floors are fitted; no model is trained.
Sources of the published figures: Banking77: words (1-2) and characters (3-5) with a linear SVM, measured independently
(BERT: 93.66, Casanueva et al. 2020). PubMedQA: Jin et al. 2019 (majority), an independent measurement (TF-IDF with
logistic regression). NCBI: dictionary and linear tagger on Crichton et al. 2017's split, likewise. ContractNLI:
Koreeda & Manning 2021 (TF-IDF and SVM of whole documents).
Not covered: LexGLUE, whose data are no part of the mirror (its terms of service are another release of that corpus).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass

from tasks import floors

from metier.console import Console, quiet_libraries
from metier.finding import find_recipe
from metier.run import default_context


@dataclass(frozen=True)
class Published:
    """One figure that somebody else gave. note: in what the two are not the same."""

    key: str
    recipe: str
    floor: str
    metric: str
    value: float
    note: str = ""
    more: tuple[str, ...] = ()  # overrides of the recipe


TABLE = (
    Published("banking77", "finance/customer-service", "tfidf", "accuracy", 0.9097),
    Published("pubmedqa", "healthcare/pubmedqa", "majority", "accuracy", 0.552),
    Published("pubmedqa", "healthcare/pubmedqa", "tfidf", "accuracy", 0.570, "published: logistic regression"),
    Published("ncbi", "healthcare/disease-mentions", "dictionary", "entity_f1", 0.611, "published: also validation"),
    Published("ncbi", "healthcare/disease-mentions", "linear_tagger", "entity_f1", 0.779, "published: fewer features"),
    Published("contract-nli", "legal/contract-nli", "tfidf", "accuracy", 0.733, "published: one model a hypothesis"),
)  # fmt: skip


def ours(recipe_name: str, wanted: list[str], overrides: tuple[str, ...]) -> dict[str, list[str]]:
    """Floor -> [metric, value, interval, seconds] of a recipe."""
    recipe, base = find_recipe(recipe_name, overrides=[*overrides, f"evaluate.floors={json.dumps(wanted)}"])
    return {row[0]: row[1:] for row in floors(recipe, default_context(base, Console(quiet=True)))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted({one.key for one in TABLE}))
    parser.add_argument("--floors", nargs="+", default=[], help="these floors alone")
    given = parser.parse_args()
    quiet_libraries()
    start = time.process_time()
    print(
        "| recipe | floor | metric | published | ours | 95 % interval | difference | within 1 point, or above | note |"
    )
    print("| --- | --- | --- | ---: | ---: | --- | ---: | --- | --- |")
    chosen = [one for one in TABLE if (not given.only or one.key in given.only)
              and (not given.floors or one.floor in given.floors)]  # fmt: skip
    for recipe in dict.fromkeys(one.recipe for one in chosen):
        rows = [one for one in chosen if one.recipe == recipe]
        found = ours(recipe, [one.floor for one in rows], rows[0].more)
        for one in rows:
            metric, value, interval, _ = found[one.floor]
            assert metric == one.metric
            gap = float(value) - one.value
            print(f"| {recipe} | {one.floor} | {metric} | {one.value:.4f} | {value} | {interval} | {100 * gap:+.1f} | "
                  f"{'yes' if gap >= -0.01 else 'no'} | {one.note} |", flush=True)  # fmt: skip
    print(f"\n{time.process_time() - start:.0f} processor seconds")


if __name__ == "__main__":
    main()
