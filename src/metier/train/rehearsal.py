"""A few real steps on a base of random weights: what a step costs in memory and time, before anything is trained.

Purpose: `metier plan` predicts from what this machine does rather than from a table of machines. The base's
configuration alone is used; its weights are never read. A base of more than SMALL parameters is built with few layers,
twice, and what was measured is carried on to its full depth: every layer costs the same.
Trade-off: some seconds of real work; a machine that others use while it is measured, and not later, misleads.
Not covered: what several processes share; compilation.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from metier.console import Console
from metier.registry import lookup
from metier.train import bases, loop
from metier.train.batching import inference_batches, micro_batches, plan_epoch
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoder, limit
from metier.train.network import load, load_tokenizer
from metier.train.tasks.base import EXAMPLES

SMALL = 60_000_000  # parameters; up to here the whole base is built
DEPTHS = (2, 4)  # layers of the two shortened bases otherwise; even, as some families alternate two kinds of layers
CAP = 4096  # tokens of a measured micro-batch at most; larger ones follow in proportion
LAYERS = ("num_hidden_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")
SECONDS = 10.0  # of measured training steps, and half as many of reading
LEAST = 3  # measured steps


@dataclass(frozen=True)
class Scene:
    """Everything that training is made of, but with random weights."""

    task: Any
    method: Any
    network: Any
    module: Any
    encoder: Encoder
    rates: loop.Rates
    rows: dict[str, pa.Table]  # split -> examples
    encoded: dict[str, Any]
    rest: int  # bytes of this program with the examples and their tokens, before the model


@dataclass(frozen=True)
class Measured:
    """One rehearsal. Bytes are beyond the weights; seconds are of the wall clock."""

    depth: float
    parameters: float
    trainable: float
    step_bytes: float  # of the largest micro-batch: what is kept, and what is needed in passing
    read_bytes: float  # of the largest batch that is only read
    train_seconds: float  # a token
    update_seconds: float  # an optimizer step
    read_seconds: float  # a token
    processors: float  # seconds of processors in a second of the clock, while steps were measured

    def carried(self, other: Measured, depth: int) -> Measured:
        """The straight line through two depths, at another."""
        share = (depth - self.depth) / (other.depth - self.depth)
        values = {
            field.name: max(0.0, getattr(self, field.name) * (1 - share) + getattr(other, field.name) * share)
            for field in fields(self)
        }
        return Measured(**values)


def set_scene(
    config: TrainConfig, task_config: TaskConfig, parts: dict[str, pa.Table], base: bases.Base, seed: int,
    depth: int | None, console: Console,
) -> Scene:  # fmt: skip
    """Encode the examples with the base's own tokenizer, and put the method on a base of `depth` layers (None: all)."""
    from metier.train.stage import resolve, shape_of

    task = lookup("task", task_config.name).from_training(task_config, parts["train"])
    method = lookup("method", config.method)
    tokenizer = load_tokenizer(base)
    whole = configuration(base)
    length = limit(whole, tokenizer, config.max_length, task.longest)
    encoder = Encoder(tokenizer, length, config.long_text, config.max_windows, config.window_overlap,
                      config.max_batch_tokens)  # fmt: skip
    encoded = {name: task.encode(encoder, part, console) for name, part in parts.items()}
    if config.method in ("lora", "qlora"):
        import peft  # noqa: F401  (counted as part of the program)
    accelerator = loop.make_accelerator(config)
    rest = resident()
    with tempfile.TemporaryDirectory() as folder:
        stand_in(base, depth, Path(folder), seed)
        copied = bases.Base(base.name, Path(folder), base.model, "", "", "")
        network: Any = load(copied, shape_of(task, copied, config), seed, task.label_maps())
    module = method.wrap(network, config, task.outputs)
    if task.rows == EXAMPLES:
        network.summed = task.summed

    # Rates follow from the size of the whole base, but nothing here depends on how large a step is.
    examples = parts["train"].num_rows
    rates = resolve(config, method, sum(p.numel() for p in network.parameters()), examples, task)
    module.to(accelerator.device)
    network.to(accelerator.device)
    return Scene(task, method, network, module, encoder, rates, parts, encoded, rest)


def rehearse(scene: Scene, config: TrainConfig, depth: int, seed: int) -> Measured:
    """Measure steps and readings of a scene."""
    device = next(scene.network.parameters()).device
    reads = config.method == "frozen"
    inputs = scene.encoded["train"]
    lengths = inputs.lengths()
    accelerator = loop.make_accelerator(config)
    with accelerator.autocast():
        read_bytes, read_seconds = _reading(scene, config, device)
    trainable = sum(p.numel() for p in scene.module.parameters() if p.requires_grad)
    parameters = sum(p.numel() for p in scene.network.parameters())
    if reads:  # the head's steps: on features of the right size, whatever they hold
        lengths = [max(1, count) for count in scene.method.counts(inputs, scene.task)]
        features = [torch.rand(count, scene.module.classifier.in_features) for count in lengths]
        items: Sequence[Any] = features
    else:
        items, lengths = scene.method.inputs(scene.module, inputs, config.max_batch_tokens, None)
    counts = scene.method.counts(inputs, scene.task)
    targets = scene.task.targets(scene.rows["train"], inputs)
    model, optimizer = accelerator.prepare(scene.module, loop.make_optimizer(scene.module, config, scene.rates))
    model.train()

    def micro(part: Sequence[int]) -> None:
        logits = model([items[i] for i in part])
        losses = scene.task.loss(logits, [counts[i] for i in part], [targets[i] for i in part], config.label_smoothing)
        accelerator.backward(losses.sum())

    def update() -> None:
        accelerator.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()

    bound = min(config.max_batch_tokens, CAP)
    plan = plan_epoch(lengths, scene.rates.batch_size, seed, 0)
    steps = [micro_batches(batch, lengths, bound) for batch in plan.batches]
    clock, processor = time.perf_counter(), time.process_time()
    train_seconds, update_seconds = _timed(steps, lengths, micro, update, accelerator)
    processors = (time.process_time() - processor) / max(1e-9, time.perf_counter() - clock)
    largest = max((part for parts in steps for part in parts), key=lambda part: sum(lengths[i] for i in part))
    whole = largest_step(lengths, scene.rates.batch_size, config.max_batch_tokens, seed)
    several = any(len(parts) > 1 for parts in steps)
    if several:  # gradients of the parts before lie there already; they are counted apart
        micro(largest)
    beyond = allocated(lambda: micro(largest), device)
    scale = max(1.0, whole / max(1, sum(lengths[i] for i in largest)))
    step_bytes = beyond * scale + (trainable * 4 if several else 0)
    return Measured(depth, parameters, trainable, step_bytes, read_bytes, train_seconds, update_seconds, read_seconds,
                    processors)  # fmt: skip


def largest_step(lengths: Sequence[int], batch_size: int, most: int, seed: int, epochs: int = 4) -> int:
    """Tokens of the largest micro-batch of the first epochs."""
    return max(
        sum(lengths[i] for i in part)
        for epoch in range(epochs if len(lengths) < 50_000 else 1)
        for batch in plan_epoch(lengths, batch_size, seed, epoch).batches
        for part in micro_batches(batch, lengths, most)
    )


def configuration(base: bases.Base) -> Any:
    """The base's configuration; code of the model's own is never run."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(base.path, local_files_only=True, trust_remote_code=False)


def parameters_of(config: Any) -> int:
    """Weights of a backbone, counted on PyTorch's meta device: nothing is allocated."""
    from transformers import AutoModel

    with torch.device("meta"):
        return sum(p.numel() for p in AutoModel.from_config(config).parameters())


def stand_in(base: bases.Base, depth: int | None, folder: Path, seed: int) -> None:
    """Write a base with the configuration and tokenizer of another, random weights, and `depth` layers (None: all)."""
    from transformers import AutoModel

    for pattern in bases.MEANING:
        for file in base.path.glob(pattern):
            target = folder / file.relative_to(base.path)
            if not file.name.endswith(".index.json"):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
    config = configuration(base)
    if depth is not None:
        for name in LAYERS:
            if isinstance(value := getattr(config, name, None), int):
                setattr(config, name, min(value, depth))
        if isinstance(kinds := getattr(config, "layer_types", None), list):
            config.layer_types = kinds[:depth]
    torch.manual_seed(seed)
    config.dtype = torch.float32
    AutoModel.from_config(config).save_pretrained(folder)


def resident() -> int:
    """Bytes of memory that this process holds now (0 where the system does not say)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def allocated(work: Callable[[], Any], device: torch.device) -> int:
    """The most bytes of tensors that were alive at once during `work`, beyond those before it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return int(torch.cuda.max_memory_allocated()) - before
    from torch.profiler import ProfilerActivity, profile

    with _no_chatter(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    now = most = 0
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]  # type: ignore[union-attr]
    for event in sorted(events, key=lambda one: one.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def _timed(
    steps: Sequence[Sequence[Sequence[int]]], lengths: Sequence[int], micro: Callable[[Sequence[int]], None],
    update: Callable[[], None], accelerator: Any,
) -> tuple[float, float]:  # fmt: skip
    """Seconds a token of forward and backward, and seconds of an update, over steps of an epoch."""
    spent = updating = 0.0
    tokens = done = 0
    order = [*steps[:1], *steps] if steps else []  # the first one warms up, and does not count
    for number, parts in enumerate(order):
        start = time.perf_counter()
        for part in parts[:4]:
            micro(part)
        _wait(accelerator.device)
        middle = time.perf_counter()
        update()
        _wait(accelerator.device)
        if number:
            spent, updating = spent + middle - start, updating + time.perf_counter() - middle
            tokens, done = tokens + sum(lengths[i] for part in parts[:4] for i in part), done + 1
        if done >= LEAST and spent + updating > SECONDS:
            break
    return spent / max(1, tokens), updating / max(1, done)


def _reading(scene: Scene, config: TrainConfig, device: torch.device) -> tuple[float, float]:
    """Bytes of the largest batch that is only read, and seconds a token."""
    name = "train" if config.method == "frozen" or not scene.rows["validation"].num_rows else "validation"
    lengths = scene.encoded[name].lengths()
    bound = min(config.max_batch_tokens, CAP)
    batches = inference_batches(lengths, bound)
    whole = max(sum(lengths[i] for i in part) for part in inference_batches(lengths, config.max_batch_tokens))
    chosen = [batches[len(batches) // 2], batches[-1], batches[0], *batches[1:-1]][: max(1, len(batches))]
    spent, tokens, bytes_ = 0.0, 0, 0.0
    for number, part in enumerate(chosen):
        rows = scene.rows[name].take(part)
        encoded = scene.task.encode(scene.encoder, rows, Console(quiet=True))

        def read(encoded: Any = encoded) -> None:
            inputs, sizes = scene.method.inputs(scene.module, encoded, config.max_batch_tokens, None)
            if config.method != "frozen":
                counts = scene.method.counts(encoded, scene.task)
                loop.predict(scene.module, inputs, sizes, counts, config.max_batch_tokens)

        size = sum(encoded.lengths())
        if number < 2:  # one of the middle, one of the longest
            beyond = allocated(read, device)
            bytes_ = max(bytes_, beyond * max(1.0, whole / max(1, size)))
        start = time.perf_counter()
        read()
        _wait(device)
        spent, tokens = spent + time.perf_counter() - start, tokens + size
        if number >= 1 and spent > SECONDS / 2:
            break
    return bytes_, spent / max(1, tokens)


def _wait(device: Any) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@contextlib.contextmanager
def _no_chatter() -> Iterator[None]:
    """PyTorch's profiler writes lines of its own to the error stream."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
