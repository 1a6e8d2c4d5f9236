"""Run every benchmark and print its tables: `python benchmarks/run.py` (over an hour on two cores)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("startup.py", "attention.py", "classify.py", "intervals.py")


def main() -> None:
    for script in SCRIPTS:
        print(f"\n== {script}", flush=True)
        subprocess.run([sys.executable, str(Path(__file__).parent / script)], check=True)


if __name__ == "__main__":
    main()
