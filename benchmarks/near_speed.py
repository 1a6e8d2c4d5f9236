"""Near-duplicate search beside datatrove, text-dedup and Data-Juicer: `python benchmarks/near_speed.py`.

All read the same JSON Lines with planted near duplicates and write which documents stay, in one process on one core,
one after the other in the same run. Compared are CPU seconds, which other work on the machine disturbs least.
Recall: planted duplicates that were found. Precision: documents to be removed that are planted duplicates. Each peer is
installed in its own environment, named by an option or an environment variable:

    python benchmarks/near_speed.py --datatrove ENV/bin/python --text-dedup ENV/bin/python --data-juicer ENV/bin/python

A peer that is not named, or fails, is told and left out. `--scale` prints our time for 10^4 to 10^6 documents instead.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEERS = ("datatrove", "text-dedup", "data-juicer")
DUPLICATES = 0.1  # of the documents
WORDS = (60, 140)
VOCABULARY = 30_000
# A changed word costs 5 of the peers' shingles, and recall shall be equal: so they get a lower threshold than ours, and
# datatrove 25 buckets of 5 hashes instead of its example's 14 of 8, which found 87 % of the planted duplicates.
THRESHOLD = 0.5
LIMIT = 3600  # seconds for one contestant


def write_documents(path: Path, number: int, seed: int = 0) -> int:
    """JSON Lines of id and text, words by Zipf's law; a planted duplicate has 1 to 3 words changed. How many are."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("etaoinshrdlucmfwypvbgk", k=draw.randint(2, 10))) for _ in range(VOCABULARY)]
    weights = [0.0]
    for rank in range(VOCABULARY):
        weights.append(weights[-1] + 1 / (rank + 10))
    weights = weights[1:]
    planted = 0
    kept: list[list[str]] = []
    with path.open("w", encoding="utf-8") as stream:
        for place in range(number):
            if kept and draw.random() < DUPLICATES:
                name, *text = kept[draw.randrange(len(kept))]
                for _ in range(draw.randint(1, 3)):
                    text[draw.randrange(len(text))] = draw.choice(words)
                planted += 1
                record = {"id": f"{name}-{place}", "text": " ".join(text)}
            else:
                text = draw.choices(words, cum_weights=weights, k=draw.randint(*WORDS))
                record = {"id": str(place), "text": " ".join(text)}
                if len(kept) < 2000:
                    kept.append([str(place), *text])
                else:
                    kept[draw.randrange(2000)] = [str(place), *text]
            stream.write(json.dumps(record) + "\n")
    return planted


def measure(removed: set[str], documents: Path) -> tuple[float, float]:
    """(recall, precision): of a family (an original and its planted duplicates) all but one should be removed."""
    families: dict[str, list[str]] = {}
    for line in documents.open(encoding="utf-8"):
        name = json.loads(line)["id"]
        families.setdefault(name.split("-")[0], []).append(name)
    wanted = sum(len(family) - 1 for family in families.values())
    right = sum(min(len(family) - 1, sum(name in removed for name in family)) for family in families.values())
    return right / max(wanted, 1), right / max(len(removed), 1)


def ours(documents: Path, out: Path) -> None:
    """What `prepare` does to find near duplicates; the first of each cluster stays."""
    from metier.prepare.minhash import join, near_pairs, root

    names, texts = [], []
    for line in documents.open(encoding="utf-8"):
        record = json.loads(line)
        names.append(record["id"])
        texts.append(record["text"])
    parent = list(range(len(texts)))
    pairs, _ = near_pairs(texts, 0.8, 128).all_pairs()
    for i, j in pairs.tolist():
        join(parent, i, j)
    removed = [name for place, name in enumerate(names) if root(parent, place) != place]
    out.write_text("\n".join(removed), encoding="utf-8")


DATATROVE = """
import json, sys, pathlib
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.typeshelper import Languages
folder, documents, out = map(pathlib.Path, sys.argv[1:4])
config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=25, hashes_per_bucket=5)
signatures, buckets, remove, removed, kept = (
    str(folder / name) for name in ("signatures", "buckets", "remove", "removed", "kept"))
read = lambda: JsonlReader(str(documents.parent), glob_pattern=documents.name)
write = lambda place: JsonlWriter(place, compression=None)
stages = [
    [read(), MinhashDedupSignature(output_folder=signatures, config=config, language=Languages.english)],
    [MinhashDedupBuckets(input_folder=signatures, output_folder=buckets, config=config)],
    [MinhashDedupCluster(input_folder=buckets, output_folder=remove, config=config)],
    [read(), MinhashDedupFilter(input_folder=remove, exclusion_writer=write(removed)), write(kept)],
]
for number, pipeline in enumerate(stages):
    tasks = config.num_buckets if number == 1 else 1
    LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=1, logging_dir=str(folder / f"logs{number}")).run()
names = [json.loads(line)["id"] for path in pathlib.Path(removed).rglob("*.jsonl") for line in path.open()]
out.write_text("\\n".join(names))
"""

TEXT_DEDUP = """
import pathlib, sys, json, subprocess
folder, documents, out = map(pathlib.Path, sys.argv[1:4])
options = {"path": "json", "data_files": documents, "split": "train", "column": "text", "output": folder / "kept",
           "ngram": 5, "num_perm": 128, "threshold": THRESHOLD, "batch_size": 10000, "num_proc": 1,
           "cache_dir": folder / "cache"}
words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
subprocess.run([sys.executable, "-m", "text_dedup.minhash", *words], check=True)
from datasets import load_from_disk
kept = set(load_from_disk(str(folder / "kept"))["id"])
out.write_text("\\n".join(name for line in documents.open() if (name := json.loads(line)["id"]) not in kept))
""".replace("THRESHOLD", str(THRESHOLD))

DATA_JUICER = """
import json, pathlib, subprocess, sys
folder, documents, out = map(pathlib.Path, sys.argv[1:4])
recipe = folder / "recipe.yaml"
recipe.write_text(f'''
project_name: near
dataset_path: {documents}
export_path: {folder / "kept.jsonl"}
np: 1
open_tracer: false
use_cache: false
process:
  - document_minhash_deduplicator:
      tokenization: space
      window_size: 5
      num_permutations: 128
      jaccard_threshold: THRESHOLD
''')
subprocess.run([str(pathlib.Path(sys.executable).parent / "dj-process"), "--config", str(recipe)], check=True)
kept = {json.loads(line)["id"] for line in (folder / "kept.jsonl").open()}
out.write_text("\\n".join(name for line in documents.open() if (name := json.loads(line)["id"]) not in kept))
""".replace("THRESHOLD", str(THRESHOLD))

SCRIPTS = {"datatrove": DATATROVE, "text-dedup": TEXT_DEDUP, "data-juicer": DATA_JUICER}
SETTINGS = {
    "Metier": "5 characters, 128 values, 21 bands of 6, exact Jaccard >= 0.8",
    "datatrove": "5 words, 25 buckets of 5 hashes, not verified",
    "text-dedup": f"5 words, 128 permutations, threshold {THRESHOLD}",
    "data-juicer": f"5 words, 128 permutations, threshold {THRESHOLD}",
}  # fmt: skip


def contest(name: str, command: list[str], documents: Path, folder: Path) -> dict[str, float] | str:
    """Seconds on the clock and of the processor, recall and precision; or why there are none."""
    out = folder / "removed.txt"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
                   "TOKENIZERS_PARALLELISM": "false", "HOME": str(folder)}  # fmt: skip
    start, before = time.perf_counter(), _used()
    try:
        done = subprocess.run([*command, str(folder), str(documents), str(out)], capture_output=True, text=True,
                              env=environment, timeout=LIMIT)  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"stopped after {LIMIT} s"
    seconds, used = time.perf_counter() - start, _used() - before
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
    recall, precision = measure(set(out.read_text(encoding="utf-8").split("\n")) - {""}, documents)
    return {"seconds": seconds, "used": used, "recall": recall, "precision": precision}


def _used() -> float:
    """CPU seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(given: argparse.Namespace) -> None:
    """One contestant after the other on the same file."""
    with tempfile.TemporaryDirectory() as work:
        documents = Path(work) / "in" / "documents.jsonl"
        documents.parent.mkdir()
        planted = write_documents(documents, given.documents)
        size = documents.stat().st_size / 1e6
        print(f"{given.documents:,} documents ({size:.0f} MB), {planted:,} planted near duplicates, one process\n")
        print("| | settings | seconds | CPU seconds | recall | precision | Metier is faster by (CPU) |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
        contestants = {"Metier": [sys.executable, __file__, "--run"]}
        for peer in [given.only] if given.only else PEERS:
            if python := getattr(given, peer.replace("-", "_")):
                script = Path(work) / f"run_{peer}.py"
                script.write_text(SCRIPTS[peer], encoding="utf-8")
                contestants[peer] = [python, str(script)]
        first = 0.0
        for name, command in contestants.items():
            folder = Path(work) / name
            folder.mkdir()
            found = contest(name, command, documents, folder)
            if isinstance(found, str):
                print(f"| {name} | {SETTINGS[name]} | failed: {found} | | | | |", flush=True)
                continue
            first = first or found["used"]
            ratio = f"{found['used'] / first:.1f}×" if name != "Metier" else ""
            print(f"| {name} | {SETTINGS[name]} | {found['seconds']:.1f} | {found['used']:.1f} | "
                  f"{found['recall']:.4f} | {found['precision']:.4f} | {ratio} |", flush=True)  # fmt: skip


def scale(sizes: list[int]) -> None:
    """Our time and peak memory by number of documents, each in a process of its own."""
    print(
        "| documents | CPU seconds | microseconds a document | peak memory, MB | recall |\n"
        "| ---: | ---: | ---: | ---: | ---: |"
    )
    for number in sizes:
        with tempfile.TemporaryDirectory() as work:
            documents = Path(work) / "documents.jsonl"
            write_documents(documents, number)
            out, report = Path(work) / "removed.txt", Path(work) / "report.json"
            code = ("import sys, time, resource, json, pathlib; sys.path.insert(0, sys.argv[1]); import near_speed; "
                    "near_speed.ours(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])); "
                    "used = resource.getrusage(resource.RUSAGE_SELF); "
                    "json.dump([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024], "
                    "open(sys.argv[4], 'w'))")  # fmt: skip
            command = [sys.executable, "-c", code, *map(str, (Path(__file__).parent, documents, out, report))]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            seconds, peak = json.loads(report.read_text())
            recall, _ = measure(set(out.read_text().split("\n")) - {""}, documents)
            each = seconds / number * 1e6
            print(f"| {number:,} | {seconds:.1f} | {each:.0f} | {peak:,.0f} | {recall:.4f} |", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--run"]:
        ours(Path(sys.argv[3]), Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--documents", type=int, default=300_000)
    parser.add_argument("--only", help="one peer, to run in pieces; ours runs each time")
    parser.add_argument("--scale", type=int, nargs="*", help="sizes; without any 10,000 100,000 1,000,000")
    for peer in PEERS:
        name = f"METIER_BENCH_{peer.upper().replace('-', '_')}"
        parser.add_argument(f"--{peer}", default=os.environ.get(name, ""), help=f"its Python, or {name}")
    given = parser.parse_args()
    if given.scale is not None:
        scale(given.scale or [10_000, 100_000, 1_000_000])
    else:
        compare(given)


if __name__ == "__main__":
    main()
