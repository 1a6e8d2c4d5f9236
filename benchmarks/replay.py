"""What replaying general text is worth: a field learned with and without it, and what each run forgets.

Purpose: one table out of the results of finished runs: bits per byte of held-out texts of the field and of held-out
general text, before and after, with the change in percent. Its interval is that of the paired difference, as the report
gives it, over the base's figure: both models read the same texts.
Trade-off: an interval of a change in percent takes the base's figure as known; its own spread is far smaller than that
of the texts, which the pairing takes out.
Not covered: making the runs.

    metier run legal/statutes
    metier run legal/statutes name=statutes-alone 'prepare.mix.weights={"wikipedia-en*": 0}'
    metier run legal/statutes-zh
    metier run legal/statutes-zh name=statutes-zh-alone 'prepare.mix.weights={"wikipedia-zh*": 0}'
    python benchmarks/replay.py runs/legal-statutes runs/statutes-alone runs/legal-statutes-zh runs/statutes-zh-alone
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

METRICS = {"bits_per_byte": "field", "general_bits_per_byte": "general text"}
LIMITS = {"bits_per_byte": -15.0, "general_bits_per_byte": 1.0}  # percent: falls by 15 at least, rises by 1 at most


def line(folder: Path) -> list[str]:
    """Cells of one run: its name, then figures and change of each metric; a dash where it was not measured."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    cells = [results["name"]]
    for metric, limit in LIMITS.items():
        found = next((one for one in results["comparisons"] if (one["metric"], one["against"], one["model"])
                      == (metric, "base", "tuned")), None)  # fmt: skip
        if found is None:
            cells += ["-"] * 3
            continue
        base, tuned = (float(results["models"][model][metric]["value"]) for model in ("base", "tuned"))
        change, low, high = (percent(found[key], base) for key in ("difference", "low", "high"))
        cells += [f"{base:.3f}", f"{tuned:.3f}", f"{change:+.1f} % ({low:+.1f} to {high:+.1f}), {met(high, limit)}"]
    return cells


def percent(part: float | None, whole: float) -> float:
    """A difference as percent of the base's figure; NaN where there is none."""
    return float("nan") if part is None else 100 * part / whole


def met(high: float, limit: float) -> str:
    """Whether the whole interval keeps the limit of the recipe."""
    return f"{'within' if high <= limit else 'not surely within'} {limit:+.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    given = parser.parse_args()
    names = [f"{name}, {what}" for name in METRICS.values() for what in ("base", "tuned", "change (95 % interval)")]
    print(f"| run | {' | '.join(names)} |\n| --- |{' ---: |' * len(names)}")
    for folder in given.runs:
        print(f"| {' | '.join(line(folder))} |")


if __name__ == "__main__":
    main()
