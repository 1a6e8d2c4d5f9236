"""Logs in the layouts of lm-evaluation-harness and Inspect, of as many invented items as a test wants."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REAL = Path(__file__).parent / "logs"  # written by lm_eval 0.4.13 and inspect_ai 0.3.285 with random and mock models


def document(place: int) -> dict[str, Any]:
    """An invented question at a bank's counter, with fields to group by."""
    return {"id": f"q{place}", "question": f"Which desk takes form {place}?", "choices": ["desk 1", "desk 2"],
            "answer": place % 2, "branch": "north" if place % 3 else "south", "client": f"c{place // 4}"}  # fmt: skip


def sample(place: int, right: bool, **more: Any) -> dict[str, Any]:
    """A line of samples_TASK_DATE.jsonl as lm_eval 0.4.13 writes it for output_type multiple_choice."""
    doc = document(place)
    chosen = doc["answer"] if right else 1 - doc["answer"]
    likely = [["-1.0" if choice == chosen else "-2.0", "False"] for choice in (0, 1)]
    asked = f"Question: {doc['question']}\nAnswer:"
    arguments = {f"gen_args_{i}": {"arg_0": asked, "arg_1": f" {c}"} for i, c in enumerate(doc["choices"])}
    row = {"doc_id": place, "doc": doc, "target": str(doc["answer"]), "arguments": arguments,
           "resps": [[one] for one in likely], "filtered_resps": likely, "filter": "none", "metrics": ["acc"],
           "doc_hash": f"hash{place}", "prompt_hash": "p", "target_hash": "t", "acc": float(right)}  # fmt: skip
    return row | more


def write_samples(folder: Path, rows: Sequence[dict[str, Any]], task: str = "desk", **results: Any) -> Path:
    """samples_TASK_DATE.jsonl and, where `results` says something, results_DATE.json beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    date = "2026-01-02T03-04-05.678901"
    path = folder / f"samples_{task}_{date}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    if results:
        told = {"results": {task: {}}, "configs": {}, **results}
        (folder / f"results_{date}.json").write_text(json.dumps(told), encoding="utf-8")
    return path


def scored(place: int, value: Any, epoch: int = 1, **more: Any) -> dict[str, Any]:
    """A sample of an Inspect log with one score."""
    doc = document(place)
    return {"id": doc["id"], "epoch": epoch, "input": doc["question"], "target": doc["choices"][doc["answer"]],
            "output": {"completion": "desk 1"}, "scores": {"match": {"value": value, "answer": "desk 1"}},
            "metadata": {"branch": doc["branch"]}} | more  # fmt: skip


def write_log(path: Path, samples: Sequence[dict[str, Any]], status: str = "success", task: str = "desk") -> Path:
    """An Inspect log, as one JSON file or as a zip archive by the name's ending."""
    header = {"version": 2, "status": status, "eval": {"task": task, "model": "mockllm/model"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps({**header, "samples": list(samples)}, ensure_ascii=False), encoding="utf-8")
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in samples:
            archive.writestr(f"samples/{one['id']}_epoch_{one['epoch']}.json", json.dumps(one, ensure_ascii=False))
        archive.writestr("header.json", json.dumps(header))
    return path
