"""One way to train one model on one file of token ids: `python benchmarks/train_contestant.py NAME FOLDER`.

Run by `train_speed.py` and its sisters, each name in its own environment: `metier`, `trl:<way>` and
`transformers:<way>` with the ways `one` (an example at a time), `all` (a whole batch at a time, padded), `grouped` (the
same, of like lengths), `free` (a batch flattened into one row) and `packed`. FOLDER holds `job.json`, `train.jsonl`,
`ordered.jsonl`, `held.jsonl` and `model/`; `result.json` is written into it. All start from the same weights and take
AdamW and clipping with the same numbers, at a constant rate: warm-ups begin differently. What is timed is the training
alone: after the libraries, the model and the token ids are loaded.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of {"ids": token ids, "start": the first one that is learned}."""
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def processor_seconds() -> float:
    """Of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_mb(peak: bool) -> float:
    """Resident memory of this process in MB: the most so far, or now."""
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class Clock:
    """Seconds and memory of what happens between its beginning and its end."""

    def __init__(self, device: str) -> None:
        self.device, self.before = device, memory_mb(peak=False)
        self.start, self.used = time.perf_counter(), processor_seconds()

    def end(self) -> dict[str, float]:
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()
            peak, before = torch.cuda.max_memory_allocated() / 1e6, 0.0
        else:
            peak, before = memory_mb(peak=True), self.before
        return {"seconds": time.perf_counter() - self.start, "processor": processor_seconds() - self.used,
                "peak_mb": peak, "before_mb": before}  # fmt: skip


def metier(job: dict[str, Any], folder: Path, rows: list[dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
    """As `metier.train.stage` does it, from token ids on. Finding what examples share is timed too."""
    from metier.console import Console
    from metier.registry import lookup
    from metier.tables import EXAMPLES, table
    from metier.train import bases, language, loop
    from metier.train.config import TaskConfig, TrainConfig
    from metier.train.grouping import grouped

    config = TrainConfig(device=job["device"], bf16=job["bf16"], max_batch_tokens=job["limit"], epochs=job["epochs"],
                         learning_rate=job["rate"], batch_size=job["batch"], threads=job["threads"],
                         warmup=0.0, decay=0.0)  # fmt: skip
    task = lookup("task", "generate").from_training(TaskConfig(name="generate"), table([], EXAMPLES))
    accelerator = loop.make_accelerator(config)
    network = language.load(bases.resolve(str(folder / "model")), None, job["seed"])
    network.summed = task.summed
    network.to(accelerator.device)
    examples = examples_of(rows)
    clock = Clock(job["device"])
    encoded = grouped(examples, job["limit"])
    inputs, lengths, counts = encoded.items, encoded.lengths(), encoded.counts(task.rows)
    targets: Any = [None] * len(inputs)
    split = loop.Split(inputs, lengths, counts, targets, encoded.sizes(), encoded.weights())
    rates = loop.Rates(job["rate"], job["rate"], job["epochs"], job["batch"])
    losses = watched(loop)
    figures = loop.fit(loop.Job(network, task, split, None, config, rates, job["seed"]), folder / "state",
                       Console(quiet=True))  # fmt: skip
    found = clock.end() | {"steps": figures["steps"], "computed": figures["tokens"], "losses": losses}
    return network.plain(), found


def examples_of(rows: list[dict[str, Any]]) -> list[Any]:
    """Rows as Metier's examples."""
    import numpy as np

    from metier.train.sharing import Example

    made = []
    for row in rows:
        weights = np.zeros(len(row["ids"]), np.float32)
        weights[row["start"] :] = 1
        made.append(Example(np.array(row["ids"], np.int64), weights))
    return made


def watched(loop: Any) -> list[float]:
    """The mean loss of a learned token of each step, as the loop goes on."""
    losses: list[float] = []
    backward = loop.gradient

    def listen(job: Any, model: Any, accelerator: Any, batch: Any, mean_weight: float) -> float:
        loss = backward(job, model, accelerator, batch, mean_weight)
        losses.append(loss / sum(job.train.weights[i] for i in batch))
        return float(loss)

    loop.gradient = listen
    return losses


def peer(name: str, job: dict[str, Any], folder: Path, rows: list[dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
    """TRL's SFTTrainer or the Transformers Trainer."""
    import datasets
    import torch
    import transformers

    library, way = name.split(":")
    datasets.disable_progress_bars()
    kind = torch.bfloat16 if job["device"] == "cuda" and job["bf16"] else torch.float32
    load = transformers.AutoModelForCausalLM.from_pretrained
    model = load(folder / "model", dtype=torch.float32, attn_implementation=job["attention"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
    longest = max(len(row["ids"]) for row in rows)
    size = 1 if way in ("one", "packed") else min(job["batch"], max(1, job["limit"] // longest))
    rows_of_step = job["batch"]  # of which a packed one holds several examples: as many tokens in a step as the others
    if way == "packed":
        rows_of_step *= sum(len(row["ids"]) for row in rows) / len(rows) / job["window"]
    settings = {
        "output_dir": str(folder / "peer"), "per_device_train_batch_size": size,
        "gradient_accumulation_steps": max(1, round(rows_of_step / size)), "num_train_epochs": job["epochs"],
        "learning_rate": job["rate"], "lr_scheduler_type": "constant",
        "weight_decay": 0.01, "max_grad_norm": 1.0, "optim": "adamw_torch_fused", "logging_steps": 1,
        "save_strategy": "no", "report_to": [], "disable_tqdm": True, "seed": job["seed"], "data_seed": job["seed"],
        "use_cpu": job["device"] == "cpu", "bf16": kind is torch.bfloat16, "gradient_checkpointing": False,
        "train_sampling_strategy": "group_by_length" if way == "grouped" else job["order"],
        "dataloader_pin_memory": job["device"] == "cuda", "remove_unused_columns": False,
    }  # fmt: skip
    columns = {"input_ids": [row["ids"] for row in rows],
               "labels": [[-100] * row["start"] + row["ids"][row["start"] :] for row in rows]}  # fmt: skip
    data = datasets.Dataset.from_dict(columns)
    if library == "trl":
        import trl

        config = trl.SFTConfig(**settings, max_length=job["window"] if way == "packed" else None,
                               packing=way == "packed", padding_free=way == "free")  # fmt: skip
        trainer: Any = trl.SFTTrainer(model, config, train_dataset=data, processing_class=tokenizer)
    else:
        trainer = transformers.Trainer(
            model, transformers.TrainingArguments(**settings), train_dataset=data,
            data_collator=transformers.DataCollatorForSeq2Seq(tokenizer, padding=True),
        )  # fmt: skip
    clock = Clock(job["device"])
    trainer.train()
    history = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return trainer.model, clock.end() | {"steps": trainer.state.global_step, "losses": history, "size": size}


def held_out(model: Any, rows: list[dict[str, Any]], device: str) -> float:
    """Mean loss of a learned token, by plain Transformers, an example at a time."""
    import torch

    model.to(device).eval()
    model.set_attn_implementation("sdpa")
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([row["ids"]], device=device)
            logits = model(input_ids=ids, use_cache=False).logits[0, row["start"] - 1 : -1].float()
            total += float(torch.nn.functional.cross_entropy(logits, ids[0, row["start"] :], reduction="sum"))
            count += len(row["ids"]) - row["start"]
    return total / max(1, count)


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    job = json.loads((folder / "job.json").read_text())
    import torch

    torch.set_num_threads(job["threads"])
    rows = read(folder / ("train.jsonl" if name == "metier" else "ordered.jsonl"))  # the same, in our order
    model, found = metier(job, folder, rows) if name == "metier" else peer(name, job, folder, rows)
    held = read(folder / "held.jsonl")
    found["held_out"] = held_out(model, held, job["device"]) if held else None
    (folder / "result.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
