"""Train: examples in, a tuned model out.

Purpose: put base, task, method and data together, run the one loop, save what moved. Everything that was cut or
windowed is counted in the summary. Nothing of the test split is read here.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metier.artifact import Artifact
from metier.console import Console, seconds
from metier.errors import UserError
from metier.registry import lookup
from metier.tables import read, write_json
from metier.train import bases, memory
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoded, Encoder, limit
from metier.train.threads import choose_waiting

# What a task counts while it encodes, for people.
NOTES = {
    "unread_units": "words of the training texts are not read (cut, or dropped by the tokenizer)",
    "overlapping_spans": "spans overlap a longer one and are not learned: a word has one tag",
    "far_apart": "texts are too long for both marked stretches; where one is left out, all that is read stands for it",
    "inexact_spans": "spans begin or end within a word and are learned as far as the word reaches",
}
MIN_STEPS = 40  # optimizer steps in an epoch that a small set should still have


def train(
    config: TrainConfig, task_config: TaskConfig, seed: int, examples: Artifact, out: Path, console: Console,
    near: Path | None = None, chosen: str = "", watch: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write model/ and history.json into `out`; returns the figures of the run. Resumes from out/state.

    chosen: why the method is what it is, where it was `auto`. watch: is told the figures of every epoch; what it raises
    ends the training without a model.
    """
    choose_waiting()
    from metier.train import loop, model
    from metier.train.network import Shape, load, load_tokenizer, pooling_of

    table = read(examples.path / "examples.parquet")
    parts = {name: table.filter(pc.equal(table["split"], name)) for name in ("train", "validation")}
    if not parts["train"].num_rows:
        raise UserError("there are no training examples", "split 'train'", "see the funnel of the prepare stage")
    task = lookup("task", task_config.name).from_training(task_config, parts["train"])
    method = lookup("method", config.method)
    base = bases.resolve(config.base_model, config.revision, near)
    pooling = task.pooling(pooling_of(base, config.pooling))
    shape = Shape(task.outputs, task.problem_type, pooling, config.dropout, task.rows)
    memory.check_base(config, base, loop.pick_device(config.device))
    network = load(base, shape, seed, task.label_maps())
    tokenizer = load_tokenizer(base)
    encoding: dict[str, Any] = {
        "max_length": limit(network.config, tokenizer, config.max_length), "long_text": config.long_text,
        "max_windows": config.max_windows, "overlap": config.window_overlap,
    }  # fmt: skip
    encoder = Encoder(tokenizer, **encoding)
    start = time.monotonic()
    encoded = {name: task.encode(encoder, part, console) for name, part in parts.items()}
    console.say(f"  base {base.model}: {_count(network):,} parameters, method {config.method}, "
                + ("no padding" if network.flat else "padded batches (this model cannot be flattened)"))  # fmt: skip
    module = method.wrap(network, config, task.outputs)
    rates = resolve(config, method, _count(network), len(encoded["train"]))
    accelerator = loop.make_accelerator(config)
    module.to(accelerator.device)
    network.to(accelerator.device)
    splits = _splits(parts, encoded, task, method, module, config, accelerator, console)
    _tell_losses(encoded["train"], encoder, console)
    lengths = splits["train"].lengths
    memory.check_step(config, network, _count(module, trainable=True), lengths, console, accelerator.device.type)
    preparation = round(time.monotonic() - start, 3)
    job = loop.Job(module, task, splits["train"], splits["validation"], config, rates, seed, watch)
    with memory.advised(config, lengths):
        figures = loop.fit(job, out / "state", console)
    held = splits["validation"]
    if task.rows == "windows" and held is not None:
        with accelerator.autocast():
            logits = loop.predict(module, held.inputs, held.lengths, held.counts, config.max_batch_tokens)
        task.settle(logits, held.counts, held.targets)
    module.to("cpu")
    facts = {
        "task": task_config.model_dump(mode="json"), "task_state": task.state(), "method": config.method,
        "base": base.describe(), "base_path": "" if base.name in bases.INSTALLED else str(base.path.absolute()),
        "needs_base": config.method != "full",
        "encoding": encoding, "shape": vars(shape) | {"dropout": config.dropout}, "limit": config.max_batch_tokens,
        "bf16": loop.use_bf16(config), "seed": seed,
        "normalize": examples.identity.get("config", {}).get("prepare", {}).get("normalize", {}),
    }  # fmt: skip
    model.save(out / "model", module, method, tokenizer, facts)
    write_json(figures["history"], out / "history.json")
    shutil.rmtree(out / "state", ignore_errors=True)
    losses = encoded["train"].loss_report()
    summary = {
        **figures, "preparation_seconds": preparation, "parameters": _count(network),
        "trainable": _count(module, trainable=True),
        "base": base.describe() | {"license": base.license}, "method": config.method,
        "method_reason": chosen, "pooling": shape.pooling,
        "flat": network.flat, "peak_memory_mb": peak_memory_mb(), "monitor": task.monitor_name,
        "examples": {name: part.num_rows for name, part in parts.items()}, "max_length": encoding["max_length"],
        "learning_rate": rates.learning_rate, "head_learning_rate": rates.head_learning_rate,
        "batch_size": rates.batch_size, "planned_epochs": rates.epochs, "seed": seed,
        **{name: losses[name] for name in ("windowed", "windows", "cut", "cut_tokens")}, **encoded["train"].notes,
    }  # fmt: skip
    _tell_result(summary, console)
    return summary


def resolve(config: TrainConfig, method: Any, parameters: int, examples: int) -> Any:
    """Fill what the recipe left to the method: rates, epochs, batch size."""
    from metier.train.loop import Rates

    size = config.batch_size
    if size == "auto":
        size = max(8, min(method.batch_size, 2 ** int(math.log2(max(1, examples / MIN_STEPS)))))
    rate = method.learning_rate(parameters, size) if config.learning_rate == "auto" else config.learning_rate
    head = 10 * rate if config.head_learning_rate == "auto" else config.head_learning_rate
    epochs = method.epochs if config.epochs == "auto" else config.epochs
    return Rates(rate, head, epochs, int(size))


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far, in MB; of the accelerator if any; None: not measured."""
    import torch

    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    try:
        import resource
    except ImportError:  # Windows has no such figure in its standard library
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak / 1e3, 1)


def _splits(
    parts: dict[str, pa.Table], encoded: dict[str, Encoded], task: Any, method: Any, module: Any,
    config: TrainConfig, accelerator: Any, console: Console,
) -> dict[str, Any]:  # fmt: skip
    from metier.train.loop import Split

    splits: dict[str, Any] = {}
    for name, part in parts.items():
        if not part.num_rows:
            splits[name] = None
            continue
        with console.progress(f"preparing {name}", part.num_rows, "texts") as meter, accelerator.autocast():
            inputs, lengths = method.inputs(module, encoded[name], config.max_batch_tokens, meter)
        counts = method.counts(encoded[name], task)
        splits[name] = Split(inputs, lengths, counts, task.targets(part, encoded[name]))
    return splits


def _count(module: Any, trainable: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


def _tell_losses(encoded: Encoded, encoder: Encoder, console: Console) -> None:
    if encoded.windowed:
        console.say(f"  {encoded.windowed:,} texts are longer than {encoder.max_length} tokens and are read in windows")
    if encoded.cut:
        console.warn(f"{encoded.cut:,} texts were cut ({encoded.cut_tokens:,} tokens left out); see train.long_text")
    for name, text in NOTES.items():
        if encoded.notes.get(name):
            console.warn(f"{encoded.notes[name]:,} {text}")


def _tell_result(summary: dict[str, Any], console: Console) -> None:
    rate = summary["tokens"] / max(summary["seconds"], 1e-9)
    best = max((line.get("validation_metric", -math.inf) for line in summary["history"]), default=-math.inf)
    console.say(
        f"  {summary['steps']:,} steps in {seconds(summary['seconds'])}, {rate:,.0f} tokens/s"
        + (f"; best validation {summary['monitor']} {best:.3f} after epoch {summary['best_epoch']:g}"
                       if math.isfinite(best) else "")
    )  # fmt: skip
