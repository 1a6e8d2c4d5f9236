"""Run benchmarks one after the other and print their tables.

    python benchmarks/run.py          # all (hours on two cores)
    python benchmarks/run.py data     # reading and preparing documents (over an hour)
    python benchmarks/run.py model    # training
    python benchmarks/run.py eval     # judging: the statistics by simulation, their cost, the floors (an hour)

The names of peers' Python interpreters are options of the single scripts and environment variables named in them; a
peer that is not installed has no column.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS: dict[str, tuple[str, ...]] = {
    "data": ("documents.py", "near_duplicates.py", "near_speed.py", "deidentify.py", "texts.py",
             "prepare_scale.py linear", "prepare_scale.py gigabyte"),
    "model": ("startup.py", "attention.py", "classify.py", "tasks.py", "shared_documents.py"),
    "eval": ("eval_intervals.py", "eval_tests.py", "eval_verdict.py", "eval_scale.py", "floors.py"),
}  # fmt: skip


def main() -> None:
    wanted = sys.argv[1:] or list(SCRIPTS)
    if unknown := set(wanted) - set(SCRIPTS):
        sys.exit(f"there are no benchmarks called {', '.join(sorted(unknown))}; known: {', '.join(SCRIPTS)}")
    for command in (command for name in wanted for command in SCRIPTS[name]):
        script, *options = command.split()
        print(f"\n== {command}", flush=True)
        subprocess.run([sys.executable, str(Path(__file__).parent / script), *options], check=True)


if __name__ == "__main__":
    main()
