"""Peak memory of training with a vocabulary of 150,000, beside TRL: `python benchmarks/train_memory.py`.

Two steps over batches of the same tokens, half of which bear loss, on a random Llama-like model of 72 M parameters with
one matrix for both ends. Logits of one batch would be 2.5 GB in float32. Told are the most resident memory of each
process, and how much of it came after the libraries, the model and the data were loaded. METIER_BENCH_TRL names a
Python with TRL.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

import train_common as common

VOCABULARY = 150_000
CONTESTANTS = ("metier", "trl:all", "trl:free", "transformers:all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=8, help="in a batch")
    parser.add_argument("--length", type=int, default=512, help="tokens of each")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--trl", default=os.environ.get("METIER_BENCH_TRL", ""), help="a Python with TRL in it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "model").mkdir()
        common.tokenizer_for(["tatqa"], folder / "model")  # only for its padding token
        common.save_model(folder / "model", VOCABULARY)
        draw, half = random.Random(0), given.length // 2
        rows = [{"ids": [draw.randrange(3, VOCABULARY) for _ in range(given.length)], "start": half}
                for _ in range(given.sequences * given.steps)]  # fmt: skip
        for name in ("train", "ordered"):
            common.write_rows(folder / f"{name}.jsonl", rows)
        common.write_rows(folder / "held.jsonl", [])
        tokens = given.sequences * given.length
        job = {"device": given.device, "bf16": given.device == "cuda", "limit": tokens, "epochs": 1, "rate": 1e-4,
               "seed": 0, "batch": given.sequences, "threads": given.threads, "window": given.length,
               "attention": "sdpa", "order": "sequential"}  # fmt: skip
        lines, ours = [], 0.0
        for name in CONTESTANTS if given.trl else CONTESTANTS[:1]:
            found = common.contest(name, sys.executable if name == "metier" else given.trl, folder, job)
            if isinstance(found, str):
                lines.append([name, found, "", "", ""])
                continue
            ours = ours or found["peak_mb"]
            lines.append([name, f"{found['peak_mb']:,.0f}", f"{found['peak_mb'] - found['before_mb']:,.0f}",
                          f"{ours / found['peak_mb']:.2f}", f"{found['processor']:.0f}"])  # fmt: skip
        print(f"{given.steps} steps of {tokens:,} tokens, {given.device}\n")
        common.table(["", "peak MB", "of it in training", "Metier's share of it", "processor s"], lines)


if __name__ == "__main__":
    main()
