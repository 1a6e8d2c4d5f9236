"""One training run of one contestant, in a process of its own; prints one line of JSON.

trainer       the Transformers Trainer as its quick start uses it: dynamic padding, batch 16, float32
trainer-best  its best setting for this work: length grouping and bfloat16
metier        this project, with its defaults for the given number of epochs
Timed is everything from texts to trained weights (tokenising included; imports and loading the base left out).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
RATE = 5e-5  # the Trainer's default learning rate
BEST_RATE = 2e-4  # a better one for this small encoder; given to the second contestant so that it is at its best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("who", choices=["trainer", "trainer-best", "metier"])
    parser.add_argument("data", type=Path, help="JSON: {train: [[text, label]], test: [[text, label]]}")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", default="{}", help="metier: JSON of train settings")
    arguments = parser.parse_args()
    from metier.console import quiet_libraries

    quiet_libraries()
    data = json.loads(arguments.data.read_text(encoding="utf-8"))
    run = run_metier if arguments.who == "metier" else run_trainer
    print(json.dumps(run(arguments, data)))


def run_trainer(arguments: argparse.Namespace, data: dict[str, Any]) -> dict[str, float]:
    """The Trainer on the standard sequence-classification class."""
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from metier.train.bases import resolve

    path = resolve("minilm").path
    classes = sorted({label for _, label in data["train"]})
    set_seed(arguments.seed)
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=len(classes))
    tokenizer = AutoTokenizer.from_pretrained(path)
    best = arguments.who == "trainer-best"

    def encode(rows: list[list[str]]) -> list[dict[str, Any]]:
        ids = tokenizer([text for text, _ in rows], truncation=True, max_length=512)["input_ids"]
        known = {label: index for index, label in enumerate(classes)}
        return [{"input_ids": i, "labels": known.get(label, 0)} for i, (_, label) in zip(ids, rows, strict=True)]

    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder, num_train_epochs=arguments.epochs, per_device_train_batch_size=16, per_device_eval_batch_size=64,
            report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True, seed=arguments.seed,
            learning_rate=BEST_RATE if best else RATE, bf16=best,
            train_sampling_strategy="group_by_length" if best else "random",
        )  # fmt: skip
        start = time.perf_counter()
        trainer = Trainer(model, settings, train_dataset=encode(data["train"]),  # type: ignore[arg-type]
                          data_collator=DataCollatorWithPadding(tokenizer))  # fmt: skip
        trainer.train()
        spent = time.perf_counter() - start
        accuracy = 0.0
        if data["test"]:
            with torch.no_grad():
                answer = trainer.predict(encode(data["test"]))  # type: ignore[arg-type]
            # Length grouping reorders the test set too, so the labels must be the ones that came back with the logits.
            accuracy = float((answer.predictions.argmax(1) == answer.label_ids).mean())
    return {"seconds": spent, "accuracy": accuracy}


def run_metier(arguments: argparse.Namespace, data: dict[str, Any]) -> dict[str, float]:
    """The train stage, as a recipe would run it; without validation, since the Trainer has none here."""
    import metier.train.loop
    import metier.train.network  # noqa: F401  (imports are not timed)
    from metier.artifact import Artifact
    from metier.console import Console
    from metier.tables import EXAMPLES, table, write
    from metier.train import stage
    from metier.train.config import TaskConfig, TrainConfig
    from metier.train.model import load

    settings = json.loads(arguments.set)
    rows = [
        {"id": str(i), "text": text, "label": label, "split": "train"} for i, (text, label) in enumerate(data["train"])
    ]
    for i, (text, label) in enumerate(data.get("validation", [])):
        rows.append({"id": f"v{i}", "text": text, "label": label, "split": "validation"})
    with tempfile.TemporaryDirectory() as folder:
        write(table(rows, EXAMPLES), Path(folder) / "examples.parquet")
        examples = Artifact(Path(folder), "prepare", "bench", {}, {}, {})
        config = TrainConfig(device="cpu", **({"epochs": arguments.epochs} if arguments.epochs else {}) | settings)
        out = Path(folder) / "out"
        summary = stage.train(config, TaskConfig(), arguments.seed, examples, out, Console(quiet=True))
        accuracy = 0.0
        if data["test"]:
            decoded, _ = load(out / "model", device="cpu").predict([text for text, _ in data["test"]])
            accuracy = sum(a == b for a, (_, b) in zip(decoded.labels, data["test"], strict=True)) / len(data["test"])
    return {"seconds": summary["seconds"] + summary["preparation_seconds"], "accuracy": accuracy}


if __name__ == "__main__":
    main()
