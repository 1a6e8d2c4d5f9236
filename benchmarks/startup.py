"""How long the command line takes to answer: `python benchmarks/startup.py`.

Least of seven runs, in fresh processes: importing the package, `metier --help`, and a `metier run` in which every
stage is finished already (a small table, method `frozen`).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 7
METIER = [sys.executable, "-c", "from metier.cli import main; main()"]


def main() -> None:
    print(f"bare Python: {least([sys.executable, '-c', 'pass']):.2f} s")
    print(f"import metier: {least([sys.executable, '-c', 'import metier']):.2f} s (aim: below 0.3)")
    print(f"metier --help: {least([*METIER, '--help']):.2f} s (aim: below 0.5)")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.csv"
        words = {"card": "my card is gone", "loan": "what does a loan cost", "fee": "this fee is not fair"}
        draw = random.Random(0)
        letters = "abcdefghijklmnopqrstuvwxyz"

        def some_words() -> str:  # so that no two texts are near duplicates
            return " ".join("".join(draw.choices(letters, k=draw.randint(3, 9))) for _ in range(12))

        rows = [f"{text} {some_words()},{label}" for _ in range(40) for label, text in words.items()]
        data.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
        command = [*METIER, "run", str(data), "train.method=frozen", "evaluate.accept=['accuracy >= 0.5']"]
        first = time.perf_counter()
        once(command, folder)
        print(f"metier run, first time: {time.perf_counter() - first:.2f} s")
        print(f"metier run, everything finished: {least(command, folder):.2f} s (aim: below 5)")


def least(command: list[str], folder: str | None = None) -> float:
    """Seconds of the fastest of RUNS runs."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        once(command, folder)
        times.append(time.perf_counter() - start)
    return min(times)


def once(command: list[str], folder: str | None) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
