"""Does the prepare stage stay within bounds? One gigabyte of text, and a hundred times as many documents.

    python benchmarks/prepare_scale.py gigabyte     # the whole stage on 1 GB of English and Chinese text
    python benchmarks/prepare_scale.py linear       # 10^4, 10^5 and 10^6 short documents

The texts are generated, the same each time, into a folder outside the repository (--folder, 1.5 GB; kept for the next
run). Three documents in ten are Chinese; one in fifty repeats another one exactly, one in ten nearly (a few words
changed), one in a hundred is broken in a way that is repaired. Memory is the sum of the resident memory of the stage's
process and of all its children, looked at twenty times a second; what they share counts more than once. Processor
seconds are those of all of them, µs a document theirs; they say more than the clock where others use the machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from metier import tables
from metier.artifact import Artifact
from metier.console import Console

LABELS = ("card", "transfer", "loan", "fee", "fraud", "account", "cash", "app")
BATCH = 5000  # documents generated at once; near duplicates repeat a document of their own batch
ENGLISH, CHINESE = 40_000, 3_000  # different words, different characters
CHANGED = 12  # words between two changes in a near duplicate: Jaccard similarity about 0.8 and more


def main() -> None:
    """Generate what is missing, run the stage in a process of its own, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["gigabyte", "linear", "stage"])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "metier-prepare-scale")
    parser.add_argument("--engine", default="local")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--megabytes", type=int, default=1000)
    given = parser.parse_args()
    if given.what == "stage":
        return stage(given.folder, given.engine)
    print("| documents | text, MB | seconds | processor seconds | µs a document | peak memory, MB |", flush=True)
    print("| ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    if given.what == "gigabyte":
        print(line(given.folder / f"long-{given.megabytes}", given.engine, None, given.megabytes * 10**6, 2000))
    for size in given.sizes if given.what == "linear" else ():
        print(line(given.folder / f"short-{size}", given.engine, size, None, 100), flush=True)


def line(folder: Path, engine: str, documents: int | None, size: int | None, characters: int) -> str:
    """One row of the table."""
    written, total = generate(folder, documents, size, characters)
    command = [sys.executable, __file__, "stage", "--folder", str(folder), "--engine", engine]
    seconds, worked, peak = measure(command)
    return (f"| {written:,} | {total / 1e6:,.0f} | {seconds:,.1f} | {worked:,.1f} | {worked / written * 1e6:,.0f} | "
            f"{peak / 1e6:,.0f} |")  # fmt: skip


def stage(folder: Path, engine: str) -> None:
    """The whole prepare stage, as `metier prepare` runs it."""
    import shutil

    from metier.engines.config import EngineConfig
    from metier.prepare.config import PrepareConfig
    from metier.prepare.stage import prepare
    from metier.train.config import TaskConfig

    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    prepare(PrepareConfig(), TaskConfig(), 0, Artifact(folder, "collect", "0" * 32, {}, {}, {}), out,
            Console(sys.stderr), EngineConfig(name=engine))  # fmt: skip


def measure(command: list[str]) -> tuple[float, float, int]:
    """Seconds on the clock, processor seconds, and peak bytes of a command with all its children."""
    import psutil

    start, before = time.monotonic(), worked()
    process = subprocess.Popen(command)
    root, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        resident = 0
        try:
            for one in [root, *root.children(recursive=True)]:
                try:
                    resident += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
        except psutil.NoSuchProcess:
            continue
        peak = max(peak, resident)
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"the stage failed with exit code {process.returncode}")
    return time.monotonic() - start, worked() - before, peak


def worked() -> float:
    """Processor seconds of all children that have ended, theirs included."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def generate(folder: Path, documents: int | None, size: int | None, characters: int) -> tuple[int, int]:
    """(documents, bytes of text) of documents.parquet in `folder`, written unless it is there."""
    record = folder / "generated.json"
    if record.is_file():
        known = json.loads(record.read_text())
        return known["documents"], known["bytes"]
    folder.mkdir(parents=True, exist_ok=True)
    count = total = 0
    with tables.Writer(folder / "documents.parquet", tables.DOCUMENTS) as writer:
        for batch in batches(characters):
            rows = []
            for text, label in batch:
                if (documents is not None and count >= documents) or (size is not None and total >= size):
                    break
                source, group = f"generated.jsonl#{count + 1}", f"customer {count * 7919 % 200_003}"
                count += 1
                total += len(text.encode())
                rows.append({"id": tables.digest(source, text), "text": text, "source": source, "group": group,
                             "metadata": json.dumps({"label": label})})  # fmt: skip
            writer.write(tables.table(rows, tables.DOCUMENTS))
            if len(rows) < BATCH:
                break
    record.write_text(json.dumps({"documents": count, "bytes": total}))
    return count, total


def batches(characters: int) -> Iterator[list[tuple[str, str]]]:
    """Endless batches of (text, label); `characters` is the median length of an English text."""
    random = np.random.Generator(np.random.PCG64(7))
    words, signs = english(random), chinese()
    while True:
        lengths = np.clip(random.lognormal(np.log(characters), 0.8, BATCH), 20, 20 * characters)
        in_chinese = random.random(BATCH) < 0.3
        fate = random.random(BATCH)
        texts: list[list[str]] = []
        batch = []
        for n in range(BATCH):
            kind = signs if in_chinese[n] else words
            if n > 100 and fate[n] < 0.12:  # one before it, as it is or with a few words changed
                earlier = int(random.integers(n))
                parts, kind = list(texts[earlier]), signs if in_chinese[earlier] else words
                in_chinese[n] = in_chinese[earlier]
                if fate[n] < 0.1:
                    for place in range(
                        int(random.integers(CHANGED)), len(parts), CHANGED * (8 if len(parts) > 8 else 1)
                    ):
                        parts[place] = kind[int(random.integers(len(kind)))]
            else:
                length = max(4, int(lengths[n] / (2.5 if in_chinese[n] else 6)))
                parts = kind[zipf(random, len(kind), length)].tolist()
            texts.append(parts)
            text = ("" if in_chinese[n] else " ").join(parts)
            if fate[n] > 0.99:
                text = text.replace("，", "\u200b，").replace(" a", "\u00a0a") + " donâ€™t \r\n"
            batch.append((text, LABELS[len(parts[0]) * 31 % 7 if n % 5 else n % 8]))
        yield batch


def zipf(random: np.random.Generator, kinds: int, count: int) -> Any:
    """Places of words as frequent as words are: about 1 / rank."""
    return np.minimum(kinds - 1, np.exp(random.random(count) * np.log(kinds)).astype(int) - 1)


def english(random: np.random.Generator) -> Any:
    """Invented words of one to four syllables, the frequent ones short, some with a comma or a full stop."""
    syllables = [a + b + c for a in ("", "b", "c", "d", "f", "gr", "h", "l", "m", "n", "p", "r", "s", "st", "t", "v")
                 for b in "aeiou" for c in ("", "l", "n", "r", "s", "t")]  # fmt: skip
    words = []
    for rank in range(ENGLISH):
        parts = 1 + min(3, rank.bit_length() // 5)
        word = "".join(syllables[int(random.integers(len(syllables)))] for _ in range(parts))
        words.append(word + ("." if rank % 17 == 3 else "," if rank % 13 == 5 else ""))
    return np.array(words, dtype=object)


def chinese() -> Any:
    """The most used characters (level 1 of GB 2312) in an order of no meaning, with commas and full stops."""
    signs = [bytes([high, low]).decode("gb2312") for high in range(0xB0, 0xD7) for low in range(0xA1, 0xFF)]
    signs = [signs[n * 1019 % len(signs)] for n in range(CHINESE)]
    return np.array([sign + ("，" if n % 23 == 7 else "。" if n % 37 == 11 else "") for n, sign in enumerate(signs)],
                    dtype=object)  # fmt: skip


if __name__ == "__main__":
    main()
