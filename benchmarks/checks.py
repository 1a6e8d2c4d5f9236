"""How long the checks of a recipe take on real data: `python benchmarks/checks.py [RECIPE] [KEY=VALUE]...`.

Runs a recipe up to the judgement, or reuses what is finished, and prints seconds of every stage and of every check, by
the clock and of the processor, as they were recorded while the work was done. Needs METIER_DATA_MIRROR for real data.

    python benchmarks/checks.py finance/customer-service
"""

from __future__ import annotations

import sys
from pathlib import Path

from metier.console import Console
from metier.finding import find_recipe
from metier.run import default_context, run


def main() -> None:
    name, *overrides = sys.argv[1:] or ["finance/customer-service"]
    recipe, base = find_recipe(name, None, overrides, Console(quiet=True))
    done = run(recipe, default_context(Path(base), Console(), ""), until="evaluate")
    print(f"\n{name} {' '.join(overrides)}: {done['predictions'].summary['test']:,} test examples\n")
    print("| stage or check | seconds | processor seconds |\n| --- | --- | --- |")
    for stage, artifact in done.items():
        print(f"| {stage} | {artifact.seconds:,.1f} | |")
    for check, told in done["checks"].summary["checks"].items() if "checks" in done else ():
        used = told.get("processor_seconds")
        print(f"| check: {check} | {told['seconds']:,.1f} | {'' if used is None else f'{used:,.1f}'} |")


if __name__ == "__main__":
    main()
