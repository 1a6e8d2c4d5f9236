"""Training a model that writes, beside TRL's SFTTrainer and the Transformers Trainer.

    python benchmarks/train_speed.py

Same random model, same token ids, one epoch, same optimizer at the same constant rate, the same questions in every step
where they are about documents; one after the other in one run, alternating. The figure is tokens that bear loss per
second of the processor, in the training alone. TRL and Transformers run in every way that they have on a CPU (see
`train_contestant.py`), the fastest of each is the peer, and only these are repeated:

    METIER_BENCH_TRL=ENV/bin/python python benchmarks/train_speed.py --data contract-nli tatqa --tokens 40000

`--device cuda --large` is the same contest with 0.7 B parameters in bfloat16, and prints how much of the GPU's peak
(`--peak`, in TFLOP/s) the arithmetic of the model uses.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import train_common as common

DOCUMENTS = {"contract-nli": 17, "tatqa": 6, "mts-dialog": 2}  # questions about each document
WAYS = ("one", "all", "free", "packed")
SINGLE_WAYS = ("grouped", "free", "packed", "one")
BATCH = 16  # examples in a step where there is no document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", choices=common.SETS, default=list(common.SETS))
    parser.add_argument("--tokens", type=int, default=40_000, help="to train on, every question with its document")
    parser.add_argument("--window", type=int, default=2048, help="longer examples are left out")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ways", nargs="+", help="of the peers, if not all that they have")
    parser.add_argument("--trl", default=os.environ.get("METIER_BENCH_TRL", ""), help="a Python with TRL in it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--large", action="store_true", help="0.7 B parameters, for a GPU")
    parser.add_argument("--peak", type=float, default=989.0, help="TFLOP/s of the GPU in bfloat16; default: H100")
    given = parser.parse_args()
    if not given.trl:
        print("no TRL: name a Python that has it by --trl or METIER_BENCH_TRL; Metier runs alone\n")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "model").mkdir()
        tokenizer = common.tokenizer_for(list(common.SETS), folder / "model")
        parameters = common.save_model(folder / "model", sizes=common.LARGE if given.large else None)
        print(f"{parameters / 1e6:.0f} M parameters, {given.device}, {given.threads} thread(s)\n", flush=True)
        for name in given.data:
            compare(name, folder, tokenizer, parameters, given)


def compare(name: str, folder: Path, tokenizer: Any, parameters: int, given: argparse.Namespace) -> None:
    """One table."""
    documents, held = common.rows_of(name, tokenizer, given.tokens, given.window)
    many = name in DOCUMENTS
    job = {"device": given.device, "bf16": given.device == "cuda", "limit": 8192, "epochs": 1, "rate": 3e-4, "seed": 0,
           "batch": DOCUMENTS.get(name, BATCH), "threads": given.threads, "window": given.window, "attention": "sdpa",
           "order": "sequential" if many else "random"}  # fmt: skip
    common.write_rows(folder / "held.jsonl", [row for rows in held for row in rows])
    rows = [row for rows in documents for row in rows]
    common.write_rows(folder / "train.jsonl", rows)
    common.write_rows(folder / "ordered.jsonl", in_our_order(rows, job) if many else rows)
    learned = sum(len(row["ids"]) - row["start"] for row in rows)
    read = sum(len(row["ids"]) for row in rows)
    print(f"## {name}: {len(documents):,} documents, {len(rows):,} examples, {read:,} tokens read alone, {learned:,} "
          "with loss\n", flush=True)  # fmt: skip
    found = alternate(folder, job, given.ways or (WAYS if many else SINGLE_WAYS), given)
    ours = found["metier"]
    lines = []
    for contestant, runs in found.items():
        if isinstance(runs, str):
            lines.append([contestant, runs, *[""] * 7])
            continue
        best = min(run["processor"] for run in runs)
        base = min(run["processor"] for run in ours)
        extra = f", {utilisation(runs, parameters, read, given.peak):.0%} of peak" if given.device == "cuda" else ""
        lines.append([contestant, len(runs), f"{learned / best:,.1f}", f"{best:.1f}{extra}", f"{best / base:.2f}",
                      f"{runs[0]['held_out']:.4f}", runs[0]["steps"], apart(runs[0], ours[0], many),
                      f"{runs[0]['peak_mb']:,.0f}"])  # fmt: skip
    common.table(["", "runs", "tokens with loss / processor s", "processor s", "times Metier's", "held-out loss",
                  "steps", "steps' losses apart", "peak MB"], lines)  # fmt: skip
    print(flush=True)


def apart(run: dict[str, Any], ours: dict[str, Any], ordered: bool) -> str:
    """The largest relative difference of a step's loss from Metier's, where every step has the same examples."""
    if not ordered or len(run["losses"]) != len(ours["losses"]):
        return ""
    return f"{max(abs(a - b) / b for a, b in zip(run['losses'], ours['losses'], strict=True)):.2%}"


def in_our_order(rows: list[Any], job: dict[str, Any]) -> list[Any]:
    """Rows in the order in which Metier trains on them, so that each step of every contestant has the same ones."""
    from train_contestant import examples_of

    from metier.train.batching import plan_epoch
    from metier.train.grouping import grouped

    groups = grouped(examples_of(rows), job["limit"]).groups
    size = job["batch"] * len(groups.members) / len(rows)
    plan = plan_epoch(groups.tokens, max(1.0, size), job["seed"], 0)
    return [rows[index] for batch in plan.batches for family in batch for index in groups.members[family]]


def alternate(folder: Path, job: dict[str, Any], ways: Sequence[str], given: argparse.Namespace) -> dict[str, Any]:
    """Contestant -> its runs, or why there are none. All run once; then Metier and the fastest of each peer again."""
    peers = [f"{library}:{way}" for library in ("trl", "transformers") for way in ways
             if given.trl and (library == "trl" or way not in ("free", "packed"))]  # fmt: skip
    found: dict[str, Any] = {}
    for round_ in range(given.rounds):
        for name in ["metier", *(peers if not round_ else fastest(found))]:
            result = common.contest(name, sys.executable if name == "metier" else given.trl, folder, job)
            if isinstance(result, str):
                found.setdefault(name, result)
                print(f"<!-- {name}: {result} -->", flush=True)
            elif not isinstance(found.get(name), str):
                found.setdefault(name, []).append(result)
                losses = " ".join(f"{loss:.3f}" for loss in result["losses"][:12])
                print(f"<!-- {name}: {result['processor']:.1f} s of the processor; loss {losses} -->", flush=True)
    if isinstance(found["metier"], str):
        sys.exit(f"Metier itself failed: {found['metier']}")
    return found


def fastest(found: dict[str, Any]) -> list[str]:
    """The fastest way of each peer."""
    best: dict[str, tuple[float, str]] = {}
    for name, runs in found.items():
        if name != "metier" and not isinstance(runs, str):
            library = name.split(":")[0]
            best[library] = min(best.get(library, (float("inf"), "")), (runs[0]["processor"], name))
    return [name for _, name in best.values()]


def utilisation(runs: list[dict[str, Any]], parameters: int, read: int, peak: float) -> float:
    """Model FLOPs utilisation: 6 operations a parameter and computed token, of what the GPU could have done."""
    tokens = runs[0].get("computed", read)
    return 6.0 * parameters * tokens / min(run["seconds"] for run in runs) / (peak * 1e12)


if __name__ == "__main__":
    main()
