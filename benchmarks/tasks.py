"""How good is each task's shipped recipe: the tuned model, the untouched base and the floors, on real data.

    METIER_DATA_MIRROR=DATA python benchmarks/tasks.py healthcare/disease-mentions --seeds 0 1 2
    METIER_DATA_MIRROR=DATA python benchmarks/tasks.py my.yaml --floors

Prints one Markdown table a recipe: each model's first metric with its 95 % interval, and how the tuned model differs,
paired on the same test items (p after Holm's correction). `--floors` trains nothing: it fits the floors alone, which
needs no base model. Runs go into the store, so that what was interrupted goes on and what is finished is not repeated;
`--set` overrides a key of the recipe, as on the command line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from metier import tables
from metier.console import Console, quiet_libraries
from metier.evaluate import load
from metier.evaluate.floors import floor_names
from metier.evaluate.intervals import bootstrap_interval
from metier.evaluate.metrics import for_kind, value
from metier.evaluate.predict import answers_table, floor_data
from metier.evaluate.resample import bootstrap, units
from metier.finding import find_recipe
from metier.recipe import Recipe
from metier.registry import lookup
from metier.run import Context, default_context, run
from metier.train.tasks import profile
from metier.train.tasks.base import short_texts

RESAMPLES = 2000


def main() -> None:
    """Measure each recipe named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--floors", action="store_true", help="the floors alone")
    options = parser.parse_args()
    quiet_libraries()
    for name in options.recipes:
        recipe, base = find_recipe(name, overrides=options.set)
        print(f"\n### {name}{''.join(f', {one}' for one in options.set)}\n")
        if options.floors:
            _print(
                ["model", "metric", "value", "95 % interval", "seconds"],
                floors(recipe, default_context(base, Console())),
            )
            continue
        rows = []
        for seed in options.seeds:
            recipe, base = find_recipe(name, overrides=[*options.set, f"seed={seed}"])
            rows += tuned(recipe, default_context(base, Console()), seed)
        _print(["seed", "model", "metric", "value", "95 % interval", "tuned minus it", "p (Holm)"], rows)


def tuned(recipe: Recipe, context: Context, seed: int) -> list[list[Any]]:
    """One row a model of a whole run."""
    done = run(recipe, context, until="evaluate")
    results = json.loads((done["evaluate"].path / "results.json").read_text(encoding="utf-8"))
    primary = results["primary"]
    against = {row["against"]: row for row in results["comparisons"] if row["metric"] == primary}
    rows = []
    for model, block in results["models"].items():
        figure, row = block[primary], against.get(model)
        rows.append([seed, model, primary, f"{figure['value']:.4f}", f"{figure['low']:.4f} – {figure['high']:.4f}",
                     f"{row['difference']:+.4f}" if row else "", f"{row['p_holm']:.4f}" if row else ""])  # fmt: skip
        for part in block.get("per_class") or () if len(block.get("per_class") or ()) <= 12 else ():
            one = part["f1"]
            rows.append([seed, model, f"f1[{part['label']}]", f"{one['value'] or 0:.4f}",
                         f"{one['low'] or 0:.4f} – {one['high'] or 0:.4f}", "", ""])  # fmt: skip
    return rows


def floors(recipe: Recipe, context: Context) -> list[list[Any]]:
    """One row a floor: its first metric on the test split, with a bootstrap interval."""
    examples = run(recipe, context, until="prepare")["prepare"].path / "examples.parquet"
    table, told = tables.read(examples), profile(recipe.task)
    parts = {name: table.filter(pc.equal(table["split"], name)) for name in ("train", "test")}
    classes = lookup("task", recipe.task.name).from_training(recipe.task, parts["train"]).classes
    data, rows = floor_data(parts["train"], recipe.task, classes, short_texts(recipe.task, parts["test"])), []
    for name in floor_names(recipe.evaluate, recipe.task):
        start = time.monotonic()
        answer = lookup("floor", name)(data, parts["test"]["text"].to_pylist(), recipe.task, recipe.seed)
        seconds = time.monotonic() - start
        with tempfile.TemporaryDirectory() as folder:
            tables.write(
                answers_table({name: answer}, parts["test"]["id"].to_pylist()), Path(folder) / "predictions.parquet"
            )
            items = load.items(Path(folder), name, parts["test"], told.kind, classes)
        metric = next(one for one in for_kind(told.kind, told.primary) if one.name == told.primary)
        point = value(metric, items)
        assert point is not None
        drawn = bootstrap({0: metric.over(items)}, units(parts["test"]["group"].to_pylist()), RESAMPLES, recipe.seed)[0]
        low, high = bootstrap_interval(drawn, point, 0.05, metric.low, metric.high) or (float("nan"), float("nan"))
        rows.append([name, told.primary, f"{point:.4f}", f"{low:.4f} – {high:.4f}", f"{seconds:.0f}"])
        print(f"<!-- {' | '.join(rows[-1])} -->", flush=True)
    return rows


def _print(columns: list[str], rows: list[list[Any]]) -> None:
    print("| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


if __name__ == "__main__":
    main()
