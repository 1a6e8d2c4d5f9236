"""Train: examples in, a tuned model out.

Purpose: put base, task, method and data together, run the one loop, save what moved. Everything that was cut or
windowed is counted in the summary. Nothing of the test split is read here.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metier.artifact import Artifact
from metier.console import Console, seconds
from metier.errors import UserError
from metier.registry import lookup
from metier.tables import read, write, write_json
from metier.train import bases, memory, pairs
from metier.train.chat import stop_tokens
from metier.train.checks import losses, stop_at
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoded, Encoder, limit
from metier.train.tasks.base import EXAMPLES
from metier.train.teaching import begin
from metier.train.threads import choose_waiting

MIN_STEPS = 40  # optimizer steps in an epoch that a small set should still have


def train(
    config: TrainConfig, task_config: TaskConfig, seed: int, examples: Artifact, out: Path, console: Console,
    near: Path | None = None, planted: tuple[int, int, int] = (0, 0, 0), chosen: str = "",
    watch: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write model/ and history.json into `out`; returns the figures. Resumes from out/state.

    planted: see _plant. chosen: why the method is what it is, where it was `auto`. watch: is told the figures of every
    look at the validation split; what it raises ends the training without a model.
    """
    pairs.check(task_config.name, config)
    choose_waiting()
    from metier.train import loop, model
    from metier.train.network import load
    from metier.train.sentence import mined

    parts = parts_of(examples)
    ready = prepared(config, task_config, parts["train"], near)
    task, base, encoder, tokenizer = ready.task, ready.base, ready.encoder, ready.encoder.tokenizer
    teaching = begin(config, task, tokenizer, out, seed, near)
    parts["train"], written = teaching.rewritten(parts["train"], task, encoder, console)
    parts["train"], secrets = _plant(parts["train"], task_config, planted, seed, out, console)
    method = lookup("method", config.method)
    if (base.path / "2_Dense").is_dir():
        console.warn("the linear map behind this base (2_Dense) is not trained further; its states are used without it")
    shape = shape_of(task, base, config)
    memory.check_base(config, base, loop.pick_device(config.device))
    network: Any = load(base, shape, seed, task.label_maps(), **getattr(method, "loading", lambda config: {})(config))
    start = time.monotonic()
    parts["train"], found = mined(task, parts["train"], network, encoder, config, console)
    encoded = {name: task.encode(encoder, part, console) for name, part in parts.items()}
    _tell(encoded["train"], network, ready, config, console)
    stop_at(encoded["train"], config, encoder)
    module = method.wrap(network, config, task.outputs)
    if task.rows == EXAMPLES:
        network.summed = task.summed
        network.end_with(stop_tokens(tokenizer))
    rates = resolve(config, method, _count(network), parts["train"].num_rows, task)
    accelerator = loop.make_accelerator(config)
    recomputes = _recompute(network, config, encoded["train"], accelerator.device.type, console)
    module.to(accelerator.device)
    network.to(accelerator.device)
    teaching.beside(network, accelerator.device, console)
    with memory.advised(config, encoded["train"].lengths()):
        splits = _splits(parts, encoded, task, method, module, config, accelerator, console)
    student, splits["train"] = teaching.taught(
        task, parts["train"], encoded["train"], splits["train"], config.device, console
    )
    lengths = splits["train"].lengths
    if not recomputes:
        memory.check_step(config, network, _count(module, trainable=True), lengths, console, accelerator.device.type)
    preparation = round(time.monotonic() - start, 3)
    job = loop.Job(module, student, splits["train"], splits["validation"], config, rates, seed, watch)
    with memory.advised(config, lengths):
        figures = loop.fit(job, out / "state", console)
    _settle(task, module, splits["validation"], config, accelerator)
    facts = _facts(ready, method, shape, config, seed, examples)
    sizes = {"parameters": _count(network), "trainable": _count(module, trainable=True),
             "gradient_checkpointing": recomputes}  # fmt: skip
    if accelerator.is_main_process:  # of several processes only the first writes
        tuned = model.TunedModel(module, task, method, encoder, config.max_batch_tokens, loop.use_bf16(config))
        sizes |= _save(tuned, facts, config, parts["validation" if splits["validation"] else "train"], out, console)
        write_json(figures["history"], out / "history.json")
        shutil.rmtree(out / "state", ignore_errors=True)
    report = encoded["train"].loss_report()
    summary = {
        **figures, "preparation_seconds": preparation, **sizes,
        "base": base.describe() | {"license": base.license}, "method": config.method,
        "method_reason": chosen, "pooling": shape.pooling,
        "flat": network.flat, "peak_memory_mb": memory.peak_mb(), "monitor": task.monitor_name,
        "examples": {name: part.num_rows for name, part in parts.items()}, "max_length": encoder.max_length,
        "learning_rate": rates.learning_rate, "head_learning_rate": rates.head_learning_rate,
        "batch_size": rates.batch_size, "planned_epochs": rates.epochs, "seed": seed,
        **{name: report[name] for name in ("windowed", "windows", "cut", "cut_tokens")}, **encoded["train"].notes,
        **found, **written, **teaching.facts(), **secrets,
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


def parts_of(examples: Artifact) -> dict[str, pa.Table]:
    """The examples that training may see: of the splits train and validation."""
    table = read(examples.path / "examples.parquet")
    parts = {name: table.filter(pc.equal(table["split"], name)) for name in ("train", "validation")}
    if not parts["train"].num_rows:
        raise UserError("there are no training examples", "split 'train'", "see the funnel of the prepare stage")
    return parts


@dataclass(frozen=True)
class Prepared:
    """What is known before a weight is loaded: the task bound to its training examples, the base, how texts are read.

    config: the base's Transformers configuration. encoding: the arguments of `encoder` beside its tokenizer, as a saved
    model remembers them.
    """

    task: Any
    base: bases.Base
    config: Any
    encoder: Encoder
    encoding: dict[str, Any]


def prepared(config: TrainConfig, task_config: TaskConfig, train: pa.Table, near: Path | None = None) -> Prepared:
    """Task, base and encoder of a recipe; train: the examples of the training split."""
    import transformers

    from metier.train.network import load_tokenizer, loaded

    task = lookup("task", task_config.name).from_training(task_config, train)
    base = bases.resolve(config.base_model, config.revision, near)
    tokenizer, known = load_tokenizer(base), loaded(transformers.AutoConfig, base, "model")
    if hasattr(task, "suit"):
        task.suit(known)
    encoding: dict[str, Any] = {
        "max_length": limit(known, tokenizer, config.max_length, task.longest),
        "long_text": config.long_text, "max_windows": config.max_windows, "overlap": config.window_overlap,
        "batch_tokens": config.max_batch_tokens,
    }  # fmt: skip
    return Prepared(task, base, known, Encoder(tokenizer, **encoding), encoding)


def _plant(
    train: pa.Table, task: TaskConfig, planted: tuple[int, int, int], seed: int, out: Path, console: Console
) -> tuple[pa.Table, dict[str, int]]:
    """The training examples with canaries behind them, which are kept in `out`, and how many rows those are.

    planted: number of canaries (canaries.py), how often each is learned, among how many candidates it is ranked.
    """
    from metier.train import canaries

    number, repeats, candidates = planted
    found = canaries.draw(train, task, number, candidates, seed)
    if not found.num_rows:
        return train, {}
    write(found, out / canaries.FILE)
    more = canaries.plant(train, found, repeats)
    rows = more.num_rows - train.num_rows
    console.warn(f"{rows:,} planted canaries are learned beside {train.num_rows:,} training examples "
                 "(evaluate.privacy.canaries)")  # fmt: skip
    return more, {"canaries": rows}


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
                found = predict(module, inputs, lengths, counts, config.max_batch_tokens, meter, accelerator)
            targets = task.with_reference(targets, found)
        splits[name] = Split(inputs, lengths, counts, targets, encoded[name].sizes(), encoded[name].weights())
    return splits


def _facts(
    ready: Prepared, method: Any, shape: Any, config: TrainConfig, seed: int, examples: Artifact
) -> dict[str, Any]:
    """What a model folder remembers, as `model.save` writes and `model.load` reads it."""
    from metier.train.loop import use_bf16

    base = ready.base
    facts = {
        "task": ready.task.config.model_dump(mode="json"), "task_state": ready.task.state(), "method": config.method,
        "base": base.describe(), "base_path": "" if base.name in bases.INSTALLED else str(base.path.absolute()),
        "needs_base": getattr(method, "needs_base", True),
        "encoding": ready.encoding, "shape": vars(shape) | {"dropout": config.dropout},
        "limit": config.max_batch_tokens, "bf16": use_bf16(config), "seed": seed,
        "normalize": examples.identity.get("config", {}).get("prepare", {}).get("normalize", {}),
    }  # fmt: skip
    pooled = base.path / "1_Pooling" / "config.json"
    if shape.pooling == "masked" and pooled.is_file():  # how it makes one vector of its states stays true of it
        facts["pooling_file"] = pooled.read_text(encoding="utf-8")
    return facts


def _tell(encoded: Any, network: Any, ready: Prepared, config: TrainConfig, console: Console) -> None:
    """What is about to be trained, and what is lost of the training examples."""
    console.say(f"  base {ready.base.model}: {_count(network):,} parameters, method {config.method}, "
                + ("no padding" if network.flat else "padded batches (this model cannot be flattened)")
                + _saving(encoded))  # fmt: skip
    if encoded.windowed:
        console.say(f"  {encoded.windowed:,} texts are longer than {ready.encoder.max_length} tokens and are read in "
                    "windows")  # fmt: skip
    for line in losses(encoded):
        console.warn(line)
    if network.pooling == "masked" and network.drawn:
        console.warn(f"the base has no weights for {', '.join(network.drawn)}: this part of the head over its word "
                     "embeddings is new, and the untouched base guesses as a new head does")  # fmt: skip


def _settle(task: Any, module: Any, held: Any, config: TrainConfig, accelerator: Any) -> None:
    """What no gradient teaches is chosen on the validation split, where the task has something of the kind."""
    from metier.train.loop import predict

    if (task.rows == "windows" or getattr(task, "settles", False)) and held is not None:
        with accelerator.autocast():
            most = config.max_batch_tokens
            logits = predict(module, held.inputs, held.lengths, held.counts, most, None, accelerator)
        task.settle(logits, held.counts, held.targets)


def _recompute(network: Any, config: TrainConfig, encoded: Encoded, device: str, console: Console) -> bool:
    """Whether layers are computed again in the backward pass; of a base that learns nothing none needs to be."""
    from metier.train import recomputing
    from metier.train.loop import use_bf16

    if not any(parameter.requires_grad for parameter in network.parameters()):
        return False
    tokens = min(config.max_batch_tokens, sum(encoded.lengths()))
    used = recomputing.use(network, config.gradient_checkpointing, tokens, use_bf16(config), device)
    if used:
        console.say("  layers are computed again in the backward pass (train.gradient_checkpointing)")
    return used


def _save(
    tuned: Any, facts: dict[str, Any], config: TrainConfig, asked: pa.Table, out: Path, console: Console
) -> dict[str, Any]:
    """Write the model, merged if the recipe says so; then the adapter lies beside it. Returns what is to be told."""
    from metier.train import merging, model

    tokenizer = tuned.encoder.tokenizer
    if config.save == "adapter" or merging.whole(tuned.method):
        tuned.module.to("cpu")
        model.save(out / "model", tuned.module, tuned.method, tokenizer, facts)
        return {}
    adapter = out / "adapter"
    model.save(adapter, tuned.module, tuned.method, tokenizer, facts)
    tuned.module.eval()
    return {"merged": merging.merge(tuned, adapter, out / "model", asked.slice(0, merging.ASKED), console)}


def _saving(encoded: Any) -> str:
    """How much of a causal model's work shared beginnings spare."""
    saving = encoded.groups.saving if hasattr(encoded, "groups") else 1.0
    return f", shared beginnings: {saving:.1f} times fewer tokens" if saving > 1.05 else ""


def _count(module: Any, trainable: bool = False) -> int:
    from metier.train.quantization import size

    return sum(size(p) for p in module.parameters() if p.requires_grad or not trainable)


def _tell_result(summary: dict[str, Any], console: Console) -> None:
    rate = summary["tokens"] / max(summary["seconds"], 1e-9)
    best = max((line.get("validation_metric", -math.inf) for line in summary["history"]), default=-math.inf)
    console.say(
        f"  {summary['steps']:,} steps in {seconds(summary['seconds'])}, {rate:,.0f} tokens/s"
        + (f"; best validation {summary['monitor']} {best:.3f} after epoch {summary['best_epoch']:g}"
                       if math.isfinite(best) else "")
    )  # fmt: skip
