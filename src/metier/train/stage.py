"""Train: examples in, a tuned model out.

Purpose: put base, task, method and data together, run the one loop, save what moved. Everything that was cut or
windowed is counted in the summary. Nothing of the test split is read here.
"""

from __future__ import annotations

import math
import shutil
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
from metier.train.chat import stop_tokens
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoded, Encoder, limit
from metier.train.tasks.base import EXAMPLES
from metier.train.threads import choose_waiting

# What a task counts while it encodes, for people.
NOTES = {
    "unread_units": "words of the training texts are not read (cut, or dropped by the tokenizer)",
    "overlapping_spans": "spans overlap a longer one and are not learned: a word has one tag",
    "cut_questions": "questions are longer than half a window and were cut",
    "answers_outside": "questions have an answer that lies whole in no window; it cannot be learned",
    "long_answers": "answers are longer than task.max_answer_tokens and can never be given whole",
    "inexact_answers": "answers begin or end within a token and are learned as far as the token reaches",
    "far_apart": "texts are too long for both marked stretches; where one is left out, all that is read stands for it",
    "answers_elsewhere": "answers stand in another part of a long text than the part that is read for them",
    "silent": "answers lie wholly beyond what the model reads at once, so nothing is learned from them",
    "same_family": "examples share query, passage or a near duplicate with others, which are no negatives of theirs",
    "same_group": "examples share their group with others, which are no negatives of theirs (task.embed.same_group)",
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
    from metier.train.network import load, load_tokenizer
    from metier.train.sentence import mined

    parts = _parts(examples)
    task = lookup("task", task_config.name).from_training(task_config, parts["train"])
    method = lookup("method", config.method)
    base = bases.resolve(config.base_model, config.revision, near)
    if (base.path / "2_Dense").is_dir():
        console.warn("the linear map behind this base (2_Dense) is not trained further; its states are used without it")
    shape = shape_of(task, base, config)
    memory.check_base(config, base, loop.pick_device(config.device))
    network: Any = load(base, shape, seed, task.label_maps())
    tokenizer = load_tokenizer(base)
    encoding: dict[str, Any] = {
        "max_length": limit(network.config, tokenizer, config.max_length, task.longest),
        "long_text": config.long_text, "max_windows": config.max_windows, "overlap": config.window_overlap,
        "batch_tokens": config.max_batch_tokens,
    }  # fmt: skip
    encoder = Encoder(tokenizer, **encoding)
    start = time.monotonic()
    parts["train"], found = mined(task, parts["train"], network, encoder, config, console)
    encoded = {name: task.encode(encoder, part, console) for name, part in parts.items()}
    console.say(f"  base {base.model}: {_count(network):,} parameters, method {config.method}, "
                + ("no padding" if network.flat else "padded batches (this model cannot be flattened)")
                + _saving(encoded["train"]))  # fmt: skip
    _tell_losses(encoded["train"], encoder, console)
    _stop_at_losses(encoded["train"], config)
    module = method.wrap(network, config, task.outputs)
    if task.rows == EXAMPLES:
        network.summed = task.summed
        network.end_with(stop_tokens(tokenizer))
    rates = resolve(config, method, _count(network), parts["train"].num_rows, task)
    accelerator = loop.make_accelerator(config)
    module.to(accelerator.device)
    network.to(accelerator.device)
    with memory.advised(config, encoded["train"].lengths()):
        splits = _splits(parts, encoded, task, method, module, config, accelerator, console)
    lengths = splits["train"].lengths
    memory.check_step(config, network, _count(module, trainable=True), lengths, console, accelerator.device.type)
    preparation = round(time.monotonic() - start, 3)
    job = loop.Job(module, task, splits["train"], splits["validation"], config, rates, seed, watch)
    with memory.advised(config, lengths):
        figures = loop.fit(job, out / "state", console)
        _settle(task, module, splits["validation"], config, accelerator)
    module.to("cpu")
    facts = _facts(config, task_config, task, base, shape, encoding, examples) | {
        "bf16": loop.use_bf16(config),
        "seed": seed,
    }
    model.save(out / "model", module, method, tokenizer, facts)
    write_json(figures["history"], out / "history.json")
    shutil.rmtree(out / "state", ignore_errors=True)
    losses = encoded["train"].loss_report()
    summary = {
        **figures, "preparation_seconds": preparation, "parameters": _count(network),
        "trainable": _count(module, trainable=True),
        "base": base.describe() | {"license": base.license}, "method": config.method,
        "method_reason": chosen, "pooling": shape.pooling,
        "flat": network.flat, "peak_memory_mb": memory.peak_mb(), "monitor": task.monitor_name,
        "examples": {name: part.num_rows for name, part in parts.items()}, "max_length": encoding["max_length"],
        "learning_rate": rates.learning_rate, "head_learning_rate": rates.head_learning_rate,
        "batch_size": rates.batch_size, "planned_epochs": rates.epochs, "seed": seed,
        **{name: losses[name] for name in ("windowed", "windows", "cut", "cut_tokens")}, **encoded["train"].notes,
        **found,
    }  # fmt: skip
    _tell_result(summary, console)
    return summary


def shape_of(task: Any, base: bases.Base, config: TrainConfig) -> Any:
    """What is put on a base for a task, as a `Shape`."""
    from metier.train.network import Shape, pooling_of
    from metier.train.sentence import vector_pooling

    pooling = task.pooling(pooling_of(base, config.pooling))
    if pooling == "vector":
        pooling = vector_pooling(base, task.config.embed.pooling)
    return Shape(task.outputs, task.problem_type, pooling, config.dropout, task.rows)


def resolve(config: TrainConfig, method: Any, parameters: int, examples: int, task: Any = None) -> Any:
    """Fill what the recipe left to the method: rates, epochs, batch size. A task may want less of the latter two."""
    from metier.train.loop import Rates

    size = config.batch_size
    if size == "auto":
        most = min(method.batch_size, getattr(task, "batch_size", None) or method.batch_size)
        size = max(8, min(most, 2 ** int(math.log2(max(1, examples / MIN_STEPS)))))
    rate = method.learning_rate(parameters, size) if config.learning_rate == "auto" else config.learning_rate
    head = 10 * rate if config.head_learning_rate == "auto" else config.head_learning_rate
    usual = min(method.epochs, getattr(task, "epochs", None) or method.epochs)
    epochs = usual if config.epochs == "auto" else config.epochs
    return Rates(rate, head, epochs, int(size))


def _settle(task: Any, module: Any, held: Any, config: TrainConfig, accelerator: Any) -> None:
    """Let the task choose on the validation split what no gradient teaches."""
    from metier.train.loop import predict

    if (task.rows == "windows" or getattr(task, "settles", False)) and held is not None:
        with accelerator.autocast():
            logits = predict(module, held.inputs, held.lengths, held.counts, config.max_batch_tokens)
        task.settle(logits, held.counts, held.targets)


def _facts(
    config: TrainConfig, task_config: TaskConfig, task: Any, base: bases.Base, shape: Any, encoding: dict[str, Any],
    examples: Artifact,
) -> dict[str, Any]:  # fmt: skip
    """What must be known to load and ask the model again; saved beside its weights."""
    return {
        "task": task_config.model_dump(mode="json"), "task_state": task.state(), "method": config.method,
        "base": base.describe(), "base_path": "" if base.name in bases.INSTALLED else str(base.path.absolute()),
        "needs_base": config.method != "full",
        "encoding": encoding, "shape": vars(shape) | {"dropout": config.dropout}, "limit": config.max_batch_tokens,
        "normalize": examples.identity.get("config", {}).get("prepare", {}).get("normalize", {}),
    }  # fmt: skip


def _parts(examples: Artifact) -> dict[str, pa.Table]:
    """The examples that training may see: of the splits train and validation."""
    table = read(examples.path / "examples.parquet")
    parts = {name: table.filter(pc.equal(table["split"], name)) for name in ("train", "validation")}
    if not parts["train"].num_rows:
        raise UserError("there are no training examples", "split 'train'", "see the funnel of the prepare stage")
    return parts


def _splits(
    parts: dict[str, pa.Table], encoded: dict[str, Encoded], task: Any, method: Any, module: Any,
    config: TrainConfig, accelerator: Any, console: Console,
) -> dict[str, Any]:  # fmt: skip
    from metier.train.loop import Split, predict

    splits: dict[str, Any] = {}
    for name, part in parts.items():
        if not part.num_rows:
            splits[name] = None
            continue
        with console.progress(f"preparing {name}", part.num_rows, "texts") as meter, accelerator.autocast():
            inputs, lengths = method.inputs(module, encoded[name], config.max_batch_tokens, meter)
        counts = method.counts(encoded[name], task)
        targets = task.targets(part, encoded[name])
        if getattr(task, "reference", False):  # what the untouched base finds, before the first step
            title = f"asking the base about {name}"
            with console.progress(title, len(inputs), "texts") as meter, accelerator.autocast():
                found = predict(module, inputs, lengths, counts, config.max_batch_tokens, meter)
            targets = task.with_reference(targets, found)
        splits[name] = Split(inputs, lengths, counts, targets, encoded[name].sizes(), encoded[name].weights())
    return splits


def _saving(encoded: Any) -> str:
    """How much of a causal model's work shared beginnings spare."""
    saving = encoded.groups.saving if hasattr(encoded, "groups") else 1.0
    return f", shared beginnings: {saving:.1f} times fewer tokens" if saving > 1.05 else ""


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


def _stop_at_losses(encoded: Encoded, config: TrainConfig) -> None:
    """UserError where more than the recipe's share of all tokens would not be read."""
    share = encoded.cut_share
    if share > config.max_cut:
        raise UserError(
            f"{share:.0%} of all tokens of the training texts would be cut, train.max_cut allows {config.max_cut:.0%}",
            f"{encoded.cut:,} texts lose {encoded.cut_tokens:,} tokens",
            "raise train.max_length or train.max_windows, cut the texts in prepare (chunk), or raise train.max_cut",
        )  # fmt: skip


def _tell_result(summary: dict[str, Any], console: Console) -> None:
    rate = summary["tokens"] / max(summary["seconds"], 1e-9)
    best = max((line.get("validation_metric", -math.inf) for line in summary["history"]), default=-math.inf)
    console.say(
        f"  {summary['steps']:,} steps in {seconds(summary['seconds'])}, {rate:,.0f} tokens/s"
        + (f"; best validation {summary['monitor']} {best:.3f} after epoch {summary['best_epoch']:g}"
                       if math.isfinite(best) else "")
    )  # fmt: skip
