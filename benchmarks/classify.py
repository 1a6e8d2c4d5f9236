"""How fast and how good is text classification, side by side with the Transformers Trainer.

Run: `METIER_DATA_MIRROR=folder python benchmarks/classify.py` (about 45 minutes on two quiet cores), or one table with
`--only speed|quality|shots`. Contestants run as separate processes, one after the other, alternating, so that a noisy
machine is noisy for all of them; ratios are what counts.

speed    seconds from texts to trained weights, one epoch: short texts (Banking77), lengths of 10 to 512 tokens (MedQuAD
         answers -> type of question), and a set of 1,000 examples, where length grouping finds little to group
quality  Banking77, official split: accuracy of three seeds against the Trainer's best setting and the TF-IDF floor
shots    Banking77 with 10 examples a class: method `frozen` against the TF-IDF floor
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MIRROR = Path(os.environ.get("METIER_DATA_MIRROR", HERE.parent.parent / "shared" / "data"))
EPOCHS = 6
Rows = list[list[str]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["speed", "quality", "shots"])
    parser.add_argument("--rounds", type=int, default=2, help="alternating repetitions of the speed table")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pooling", choices=["auto", "own", "mean"], default="auto", help="quality: Metier's pooling")
    parser.add_argument("--skip-trainer", action="store_true", help="quality: leave out the Trainer (the slowest part)")
    arguments = parser.parse_args()
    if not (MIRROR / "finance" / "banking77").is_dir():
        sys.exit("set METIER_DATA_MIRROR to the folder that holds finance/banking77 and health/medquad")
    if arguments.only in (None, "speed"):
        speed(arguments.rounds)
    if arguments.only in (None, "quality"):
        quality(arguments.seeds, arguments.pooling, arguments.skip_trainer)
    if arguments.only in (None, "shots"):
        shots(arguments.seeds)


def speed(rounds: int) -> None:
    """Seconds an epoch takes, minimum over rounds, and ratios to the Trainer."""
    draw = random.Random(0)
    short, _ = banking77()
    long = medquad(draw)
    sets = {
        "short: Banking77, 1,500 texts": (draw.sample(short, 1500), ("trainer", "trainer-best", "metier")),
        "long tail: MedQuAD, 320 texts": (draw.sample(long, 320), ("trainer", "trainer-best", "metier")),
        "1,000 examples: MedQuAD": (draw.sample(long, 1000), ("trainer-best", "metier")),
    }
    print("\nspeed: seconds for one epoch (least of the rounds), and how many times faster Metier is")
    print(f"{'set':34}{'Trainer':>10}{'Trainer best':>14}{'Metier':>9}{'x Trainer':>11}{'x best':>8}")
    for name, (rows, contestants) in sets.items():
        times: dict[str, list[float]] = {who: [] for who in contestants}
        for _ in range(rounds):
            for who in contestants:
                times[who].append(contest(who, rows, [], 1, 0)["seconds"])
        best = {who: min(values) for who, values in times.items()}
        ours, plain = best["metier"], best.get("trainer")
        columns = [f"{plain:.1f}" if plain else "-", f"{best['trainer-best']:.1f}", f"{ours:.1f}",
                   f"{plain / ours:.1f}" if plain else "-", f"{best['trainer-best'] / ours:.2f}"]  # fmt: skip
        widths = (10, 14, 9, 11, 8)
        print(f"{name:34}" + "".join(f"{c:>{w}}" for c, w in zip(columns, widths, strict=True)), flush=True)


def quality(seeds: int, pooling: str, skip_trainer: bool) -> None:
    """Accuracy on Banking77's official test split."""
    train, test = banking77()
    train, validation = held_back(train, 0.05)
    print(
        f"\nquality: Banking77, official split, {len(test):,} test texts, {EPOCHS} epochs (published: BERT-base 93.66)"
    )
    mine = []
    for seed in range(seeds):
        settings = {"epochs": EPOCHS, "pooling": pooling}
        result = contest("metier", train, test, EPOCHS, seed, settings, validation)
        mine.append(100 * result["accuracy"])
        print(f"  Metier, seed {seed}: {mine[-1]:.2f} ({result['seconds']:.0f} s)", flush=True)
    spread = statistics.stdev(mine) if len(mine) > 1 else 0.0
    print(f"  Metier, mean of {seeds}: {statistics.mean(mine):.2f}, standard deviation {spread:.2f}")
    print(f"  TF-IDF floor: {100 * tfidf(train + validation, test):.2f}", flush=True)
    if not skip_trainer:
        result = contest("trainer-best", train + validation, test, EPOCHS, 0)
        print(
            f"  Trainer, best setting, seed 0: {100 * result['accuracy']:.2f} ({result['seconds']:.0f} s)", flush=True
        )


def shots(seeds: int, count: int = 10) -> None:
    """10 examples a class: the frozen base with a head, and the TF-IDF floor on the same examples."""
    train, test = banking77()
    print(f"\nshots: Banking77, {count} examples a class, mean of {seeds} draws")
    mine, floor = [], []
    for seed in range(seeds):
        few = few_shots(train, count, seed)
        mine.append(100 * contest("metier", few, test, 0, seed, {"method": "frozen"})["accuracy"])
        floor.append(100 * tfidf(few, test))
    for name, values in (("Metier, frozen", mine), ("TF-IDF floor", floor)):
        print(f"  {name}: {statistics.mean(values):.2f} ({', '.join(f'{v:.2f}' for v in values)})", flush=True)


def contest(
    who: str, train: Rows, test: Rows, epochs: int, seed: int, settings: dict[str, Any] | None = None,
    validation: Rows | None = None,
) -> dict[str, float]:  # fmt: skip
    """Run one contestant in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.json"
        data.write_text(json.dumps({"train": train, "test": test, "validation": validation or []}), encoding="utf-8")
        command = [sys.executable, str(HERE / "contestant.py"), who, str(data), "--epochs", str(epochs),
                   "--seed", str(seed), "--set", json.dumps(settings or {})]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{who} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def tfidf(train: Rows, test: Rows) -> float:
    """Accuracy of the project's TF-IDF floor."""
    from metier.evaluate.floors import FloorData
    from metier.registry import lookup
    from metier.train.config import TaskConfig

    labels = [label for _, label in train]
    data = FloorData(texts=[text for text, _ in train], labels=labels, classes=tuple(sorted(set(labels))))
    found = lookup("floor", "tfidf")(data, [text for text, _ in test], TaskConfig(), 0).labels
    return sum(a == b for a, (_, b) in zip(found, test, strict=True)) / len(test)


def banking77() -> tuple[Rows, Rows]:
    """Train and test as published; training texts that equal a test text (case and spaces folded) are left out."""
    parts = []
    for name in ("train", "test"):
        with (MIRROR / "finance" / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            parts.append([[row["text"], row["category"]] for row in csv.DictReader(stream)])
    held = {" ".join(text.lower().split()) for text, _ in parts[1]}
    return [row for row in parts[0] if " ".join(row[0].lower().split()) not in held], parts[1]


def medquad(draw: random.Random) -> Rows:
    """Answers of 10 to about 512 tokens with their type of question; the rarest types are left out."""
    import pyarrow.parquet as pq

    table = pq.read_table(MIRROR / "health" / "medquad" / "medquad.parquet", columns=["answer", "type"])
    rows = [[a, t] for a, t in zip(table["answer"].to_pylist(), table["type"].to_pylist(), strict=True) if a and t]
    rows = [row for row in rows if 8 <= len(row[0].split()) <= 340 and row[1] != "support groups"]
    draw.shuffle(rows)
    return rows


def held_back(rows: Rows, share: float) -> tuple[Rows, Rows]:
    """A seeded validation part."""
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    count = int(len(rows) * share)
    return [rows[i] for i in order[count:]], [rows[i] for i in order[:count]]


def few_shots(rows: Rows, count: int, seed: int) -> Rows:
    """`count` examples of each class."""
    draw = random.Random(seed)
    by_label: dict[str, Rows] = {}
    for row in rows:
        by_label.setdefault(row[1], []).append(row)
    return [row for label in sorted(by_label) for row in draw.sample(by_label[label], count)]


if __name__ == "__main__":
    main()
