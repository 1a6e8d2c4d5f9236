"""A few real steps on a double of the base: what training costs in memory and time, before anything is trained.

Purpose: `metier plan` predicts from what this machine does rather than from a table of machines. A process of its own
does what training will do, with the loop's own functions: load, encode, some steps among them the heaviest, read the
heaviest batches of validation, keep the best weights, save. Its peak is then the plan's. A sum of tensors would not do:
the C library's heap holds up to twice what is alive at once (decision "a plan is a rehearsal").
Trade-off: some seconds to a minute of real work; a machine that others use while it is measured, and not later,
misleads about time.
Not covered: what several processes share; compilation; what collect and prepare leave behind in a process that has
just run them too.
"""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from metier.console import Console
from metier.errors import UserError
from metier.registry import lookup
from metier.tables import read
from metier.train import bases, loop, memory, standin
from metier.train.batching import inference_batches, micro_batches, plan_epoch
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoder, limit
from metier.train.network import load, load_tokenizer
from metier.train.tasks.base import EXAMPLES

SECONDS = 10.0  # of measured training steps, and half as many of reading
LEAST = 3  # measured steps
LOOKED_AT = 3  # epochs in which the heaviest batch is looked for
MANY = 50_000  # inputs; from here on one epoch is enough to look at
KILLED = -9  # what the system's own guard of memory leaves


@dataclass(frozen=True)
class Order:
    """What is to be rehearsed. examples: the table; depth: layers of the double, None for all."""

    config: TrainConfig
    task: TaskConfig
    seed: int
    examples: Path
    base: bases.Base
    depth: int | None


@dataclass(frozen=True)
class Measured:
    """What one rehearsal cost. Bytes of the whole process (on an accelerator: of its memory), seconds of the clock."""

    depth: float
    parameters: float
    trainable: float
    peak: float
    program: float  # Python, libraries, examples; before the base is there
    train_seconds: float  # a token, forward and backward
    update_seconds: float  # an optimizer step
    read_seconds: float  # a token that is only read
    processors: float  # seconds of processors in a second of the clock, while steps were measured

    def carried(self, other: Measured, depth: int) -> Measured:
        """The straight line through two depths, at another."""
        share = (depth - self.depth) / (other.depth - self.depth)
        values = {
            field.name: max(0.0, getattr(self, field.name) * (1 - share) + getattr(other, field.name) * share)
            for field in fields(self)
        }
        return Measured(**values)


@dataclass(frozen=True)
class Counted:
    """What follows from examples and recipe alone."""

    examples: int
    tokens: int  # of an epoch of training
    longest: int
    fed: int  # of the same, in the loop's own measure (`frozen` feeds rows of embeddings)
    first: int  # tokens that are read once before the first step
    read: int  # tokens that are read after every epoch
    steps_an_epoch: int
    steps: int
    epochs: float
    batch_size: int
    validated: bool
    embeddings: int  # bytes


@dataclass(frozen=True)
class Scene:
    """Everything that training is made of, but with random weights."""

    job: loop.Job
    method: Any
    network: Any
    encoded: dict[str, Any]
    examples: int
    program: int

    @property
    def reads_first(self) -> bool:
        """Whether all texts go through the base before the first step."""
        return self.job.config.method == "frozen" or bool(getattr(self.job.task, "reference", False))


def ask(order: Order) -> tuple[Measured, Counted]:
    """Rehearse in a process of its own, whose memory is that of the training alone."""
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "order", Path(folder) / "answer"
        question.write_bytes(pickle.dumps(order))
        done = subprocess.run([sys.executable, "-m", __name__, question, answer], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, errors="replace")  # fmt: skip
        if answer.is_file():
            found = pickle.loads(answer.read_bytes())
            if isinstance(found, UserError):
                raise found
            return found  # type: ignore[no-any-return]
    if done.returncode == KILLED:
        raise UserError("the system ended the rehearsal, as it does where memory is short", "train.max_batch_tokens",
                        f"set it from {order.config.max_batch_tokens:,} to {order.config.max_batch_tokens // 2}, or "
                        "choose a smaller base")  # fmt: skip
    raise RuntimeError(f"the rehearsal failed with exit code {done.returncode}:\n{done.stderr[-4000:]}")


def answer(question: str, place: str) -> None:
    """The other side of `ask`."""
    order: Order = pickle.loads(Path(question).read_bytes())
    try:
        found: Any = rehearse(order)
    except UserError as error:
        found = error
    part = Path(place + ".part")
    part.write_bytes(pickle.dumps(found))
    part.rename(place)


def rehearse(order: Order) -> tuple[Measured, Counted]:
    """In this process: do what training does, for a few steps."""
    scene = set_scene(order)
    job = scene.job
    with memory.advised(order.config, job.train.lengths):
        measured = perform(scene, order)
    train = scene.encoded["train"].lengths()
    held = scene.encoded["validation"].lengths()
    rows = sum(sum(split.counts) for split in (job.train, job.validation) if split is not None)
    counted = Counted(
        examples=scene.examples, tokens=sum(train), longest=max(train), fed=sum(job.train.lengths),
        first=sum(train) + sum(held) if scene.reads_first else 0,
        read=0 if order.config.method == "frozen" else sum(held),
        steps_an_epoch=job.per_epoch, steps=job.total, epochs=job.rates.epochs, batch_size=job.rates.batch_size,
        validated=job.validation is not None,
        embeddings=rows * scene.network.features * memory.FLOAT if order.config.method == "frozen" else 0,
    )  # fmt: skip
    return measured, counted


def set_scene(order: Order) -> Scene:
    """As `train` does it: the base, the examples in its tokens, the method on it."""
    from metier.train.sentence import mined
    from metier.train.stage import resolve, shape_of

    config, console = order.config, Console(quiet=True)
    table = read(order.examples)
    parts = {name: table.filter(pc.equal(table["split"], name)) for name in ("train", "validation")}
    task = lookup("task", order.task.name).from_training(order.task, parts["train"])
    method = lookup("method", config.method)
    shape = shape_of(task, order.base, config)
    tokenizer = load_tokenizer(order.base)
    program = memory.resident()
    with tempfile.TemporaryDirectory() as folder:
        standin.stand_in(order.base, order.depth, Path(folder), order.seed)
        double = replace(order.base, path=Path(folder))
        network: Any = load(double, shape, order.seed, task.label_maps())
    length = limit(network.config, tokenizer, config.max_length, task.longest)
    encoder = Encoder(tokenizer, length, config.long_text, config.max_windows, config.window_overlap,
                      config.max_batch_tokens)  # fmt: skip
    parts["train"], _ = mined(task, parts["train"], network, encoder, config, console)
    encoded = {name: task.encode(encoder, part, console) for name, part in parts.items()}
    module = method.wrap(network, config, task.outputs)
    if task.rows == EXAMPLES:
        network.summed = task.summed
    rates = resolve(config, method, _count(network), parts["train"].num_rows, task)
    accelerator = loop.make_accelerator(config)
    module.to(accelerator.device)
    network.to(accelerator.device)
    splits = {name: _split(part, encoded[name], task, method, module, config) if part.num_rows else None
              for name, part in parts.items()}  # fmt: skip
    train = splits["train"]
    assert train is not None
    job = loop.Job(module, task, train, splits["validation"], config, rates, order.seed)
    return Scene(job, method, network, encoded, parts["train"].num_rows, program)


def _split(part: pa.Table, encoded: Any, task: Any, method: Any, module: Any, config: TrainConfig) -> loop.Split:
    """What goes into the loop; embeddings and the base's own losses hold any figure, for their size alone matters."""
    counts = method.counts(encoded, task)
    if config.method == "frozen":
        lengths = [max(1, count) for count in counts]
        inputs: Sequence[Any] = [torch.rand(count, module.classifier.in_features) for count in counts]
    else:
        inputs, lengths = method.inputs(module, encoded, config.max_batch_tokens, None)
    targets = task.targets(part, encoded)
    if getattr(task, "reference", False):
        targets = task.with_reference(targets, torch.zeros(sum(counts), 1))
    return loop.Split(inputs, lengths, counts, targets, encoded.sizes(), encoded.weights())


def perform(scene: Scene, order: Order) -> Measured:
    """Steps, readings, the best weights and the saving, in the order in which training has them."""
    seconds_of = _train(scene)
    job = scene.job
    job.module.to("cpu")
    with tempfile.TemporaryDirectory() as folder:
        scene.method.save(job.module, Path(folder))
    depth = order.depth or memory.Dimensions.of(scene.network.config).layers
    return Measured(depth, _count(scene.network), _count(job.module, trainable=True), (memory.peak_mb() or 0.0) * 1e6,
                    scene.program, *seconds_of)  # fmt: skip


def _train(scene: Scene) -> tuple[float, float, float, float]:
    """Seconds of a token, of an update and of a token that is only read, and processors in use."""
    job, config = scene.job, scene.job.config
    accelerator = loop.make_accelerator(config)
    read_seconds = 0.0
    if scene.reads_first:
        with accelerator.autocast():
            lengths = scene.encoded["train"].lengths()
            read_seconds = _timed_reading(_first_reading(scene), lengths, scene, accelerator)
    model, optimizer = accelerator.prepare(job.module, loop.make_optimizer(job.module, config, job.rates))
    model.train()
    size = job.train.inputs_for(job.rates.batch_size)
    batches = plan_epoch(job.train.lengths, size, job.seed, 0, job.joint).batches
    mean_weight = sum(job.train.weights) / len(batches)

    def step(batch: Sequence[int]) -> tuple[float, float]:
        start = time.perf_counter()
        loop.gradient(job, model, accelerator, batch, mean_weight)
        _wait(accelerator.device)
        middle = time.perf_counter()
        accelerator.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
        _wait(accelerator.device)
        return middle - start, time.perf_counter() - middle

    heavy = heaviest(scene, size)
    for batch in (batches[0], *heavy):
        step(batch)
    train_seconds, update_seconds, processors = _timed_steps(batches, job.train.lengths, step)
    if job.validation is not None:
        held = job.validation

        def look(part: Sequence[int]) -> None:
            inputs, lengths, counts = ([column[i] for i in part] for column in (held.inputs, held.lengths, held.counts))
            loop.predict(model, inputs, lengths, counts, config.max_batch_tokens)

        seconds = _timed_reading(look, held.lengths, scene, accelerator)
        read_seconds = read_seconds or seconds
        best = {name: p.detach().to("cpu", copy=True) for name, p in job.module.named_parameters() if p.requires_grad}
        if job.rates.epochs > 1:
            step(heavy[0])
        del best
    return train_seconds, update_seconds, read_seconds, processors


def heaviest(scene: Scene, size: float) -> list[Sequence[int]]:
    """The batches of the first epochs that keep most for the backward pass, and that have most tokens, in a part."""
    job = scene.job
    lengths = job.train.lengths
    epochs = 1 if len(lengths) > MANY else min(LOOKED_AT, math.ceil(job.rates.epochs))
    batches = [batch for epoch in range(epochs)
               for batch in plan_epoch(lengths, size, job.seed, epoch, job.joint).batches][: job.total]  # fmt: skip
    weigh = _weigher(scene)

    def most(measure: Callable[[Sequence[int]], float]) -> Sequence[int]:
        return max(batches, key=lambda batch: max(
            measure(part) for part in micro_batches(batch, lengths, job.config.max_batch_tokens)))  # fmt: skip

    by_memory, by_tokens = most(weigh), most(lambda part: sum(lengths[i] for i in part))
    return [by_memory] if by_memory == by_tokens else [by_memory, by_tokens]


def _weigher(scene: Scene) -> Callable[[Sequence[int]], float]:
    """Roughly what a part keeps: attention over short windows on a processor keeps memory by their length squared."""
    job = scene.job
    if job.config.method == "frozen" or scene.network.pooling == "language":
        return lambda part: float(sum(job.train.lengths[i] for i in part))
    sizes = memory.Dimensions.of(scene.network.config)
    windows = [[len(window) for window in item.windows] for item in scene.encoded["train"].items]

    def weigh(part: Sequence[int]) -> float:
        every = [length for i in part for length in windows[i]]
        if not scene.network.flat:
            every = [max(every)] * len(every)
        pairs = max(every) <= memory.EXPLICIT_LIMIT or not scene.network.flat
        return float(sizes.kept(every if pairs else [1] * sum(every)))

    return weigh


def _timed_steps(
    batches: Sequence[Sequence[int]], lengths: Sequence[int], step: Callable[[Sequence[int]], tuple[float, float]]
) -> tuple[float, float, float]:
    """Seconds a token, seconds an update, and processors in use, over steps in the order of the epoch."""
    spent = updating = 0.0
    tokens = done = 0
    clock, processor = time.perf_counter(), time.process_time()
    for batch in batches:
        more, update = step(batch)
        spent, updating = spent + more, updating + update
        tokens, done = tokens + sum(lengths[i] for i in batch), done + 1
        if done >= LEAST and spent + updating > SECONDS:
            break
    processors = (time.process_time() - processor) / max(1e-9, time.perf_counter() - clock)
    return spent / max(1, tokens), updating / max(1, done), processors


def _first_reading(scene: Scene) -> Callable[[Sequence[int]], None]:
    """How training texts are read before the first step."""
    job, encoded = scene.job, scene.encoded["train"]

    def frozen(part: Sequence[int]) -> None:
        some = replace(encoded, items=tuple(encoded.items[i] for i in part))
        scene.method.inputs(job.module, some, job.config.max_batch_tokens, None)

    def reference(part: Sequence[int]) -> None:
        train = job.train
        inputs, lengths, counts = ([column[i] for i in part] for column in (train.inputs, train.lengths, train.counts))
        loop.predict(job.module, inputs, lengths, counts, job.config.max_batch_tokens)

    return frozen if job.config.method == "frozen" else reference


def _timed_reading(
    work: Callable[[Sequence[int]], None], lengths: Sequence[int], scene: Scene, accelerator: Any
) -> float:
    """Seconds a token over the batch of the longest texts, one of the middle, and others while there is time."""
    batches = inference_batches(lengths, scene.job.config.max_batch_tokens)
    spent, tokens = 0.0, 0
    for number, part in enumerate([batches[-1], *batches[len(batches) // 2 : -1], *batches[: len(batches) // 2]]):
        start = time.perf_counter()
        work(part)
        _wait(accelerator.device)
        spent, tokens = spent + time.perf_counter() - start, tokens + sum(lengths[i] for i in part)
        if number and spent > SECONDS / 2:
            break
    return spent / max(1, tokens)


def _wait(device: Any) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _count(module: Any, trainable: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


if __name__ == "__main__":
    from metier.train.rehearsal import answer as run  # under its own name, which the answer is pickled with

    run(*sys.argv[1:])
