"""What a training run will cost, before it is run: memory, tokens, steps, time and disk, each with its reason.

Purpose: no surprise after an hour. Tokens and steps are counted on the prepared examples with the base's tokenizer and
the loop's own batches; memory and time come from a rehearsal on this machine (rehearsal.py); disk from the weights.
Trade-off: early stopping cannot be foreseen, so epoch and longest run are both told.
Not covered: collect, prepare and evaluate; on a GPU the rest of the program, which lies in the machine's memory.
"""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from metier.artifact import Artifact
from metier.console import Console, seconds
from metier.errors import UserError
from metier.registry import names
from metier.tables import read
from metier.train import bases, memory
from metier.train.batching import batches_per_epoch
from metier.train.config import TaskConfig, TrainConfig
from metier.train.memory import gigabytes

SPARE_DISK = 50e6  # bytes for tokenizer, history and records


@dataclass(frozen=True)
class Item:
    """One line of the plan: bytes, and where they come from."""

    name: str
    size: float
    why: str


@dataclass(frozen=True)
class Plan:
    """The predicted costs. Bytes, seconds of the wall clock, tokens that go through the model."""

    method: str
    device: str
    parameters: int
    trainable: int
    examples: int
    tokens: int  # in an epoch
    longest: int  # tokens of the longest input
    epochs: float
    batch_size: int
    steps: int  # in all, without early stopping
    before: float  # seconds before the first step, the base's loading left out
    epoch: float  # seconds of an epoch, validation included
    processors: float  # how many the rehearsal had; fewer than threads: others use this machine too
    memory: tuple[Item, ...]
    disk: tuple[Item, ...]
    free_memory: int | None
    free_disk: int
    how: str

    @property
    def peak(self) -> float:
        """Bytes of memory at the worst moment."""
        return sum(item.size for item in self.memory)

    @property
    def seconds(self) -> float:
        """Of the whole training, if it does not stop early."""
        return self.before + self.epoch * self.epochs


def plan(
    config: TrainConfig, task: TaskConfig, seed: int, examples: Artifact, store: Path, console: Console,
    near: Path | None = None,
) -> Plan:  # fmt: skip
    """Rehearse and predict. Nothing is trained or kept; the base's weights are not read."""
    from metier.train import rehearsal
    from metier.train.threads import choose_waiting

    choose_waiting()
    table = read(examples.path / "examples.parquet")
    parts = {name: table.filter(pc.equal(table["split"], name)) for name in ("train", "validation")}
    if not parts["train"].num_rows:
        raise UserError("there are no training examples", "split 'train'", "see the funnel of the prepare stage")
    assert config.method in names("method")
    base = bases.resolve(config.base_model, config.revision, near)
    whole = rehearsal.configuration(base)
    layers = memory.Dimensions.of(whole).layers
    small = rehearsal.parameters_of(whole) <= rehearsal.SMALL or layers <= rehearsal.DEPTHS[1]
    start = time.monotonic()
    scene = rehearsal.set_scene(config, task, parts, base, seed, None if small else rehearsal.DEPTHS[1], console)
    measured = rehearsal.rehearse(scene, config, layers if small else rehearsal.DEPTHS[1], seed)
    if not small:
        less = rehearsal.set_scene(config, task, parts, base, seed, rehearsal.DEPTHS[0], Console(quiet=True))
        measured = rehearsal.rehearse(less, config, rehearsal.DEPTHS[0], seed).carried(measured, layers)
    how = ("steps on the whole base with random weights" if small else
           f"steps on {rehearsal.DEPTHS[0]} and {rehearsal.DEPTHS[1]} of {layers} layers with random weights, carried "
           f"on to {layers}") + f"; the rehearsal took {seconds(time.monotonic() - start)}"  # fmt: skip
    return _predict(config, scene, measured, base, store, how)


def _predict(config: TrainConfig, scene: Any, measured: Any, base: bases.Base, store: Path, how: str) -> Plan:
    from metier.train.loop import pick_device
    from metier.train.stage import resolve

    device = pick_device(config.device)
    train, validation = scene.encoded["train"], scene.encoded["validation"]
    parameters, trainable = round(measured.parameters), round(measured.trainable)
    examples = scene.rows["train"].num_rows
    rates = resolve(config, scene.method, parameters, examples, scene.task)
    frozen = config.method == "frozen"
    lengths = train.lengths()
    sizes = [max(1, count) for count in scene.method.counts(train, scene.task)] if frozen else lengths
    per_epoch = batches_per_epoch(sizes, max(1.0, rates.batch_size * len(sizes) / max(1, sum(train.sizes()))))
    read_tokens = sum(validation.lengths())
    before = (train.tokens + read_tokens) * measured.read_seconds if frozen else 0.0
    epoch = sum(sizes) * measured.train_seconds + per_epoch * measured.update_seconds
    epoch += 0.0 if frozen else read_tokens * measured.read_seconds
    return Plan(
        config.method, device, parameters, trainable, examples, sum(lengths), max(lengths), rates.epochs,
        rates.batch_size, max(1, math.ceil(per_epoch * rates.epochs)), before, epoch, measured.processors,
        _memory(config, scene, measured, device), _disk(config, base, parameters, trainable, bool(read_tokens)),
        memory.available(device), _free(store), how,
    )  # fmt: skip


def _memory(config: TrainConfig, scene: Any, measured: Any, device: str) -> tuple[Item, ...]:
    sizes = memory.fixed(config.method, round(measured.parameters), round(measured.trainable),
                         bool(scene.rows["validation"].num_rows))  # fmt: skip
    step = max(measured.step_bytes, measured.read_bytes)
    worst = "a step" if measured.step_bytes >= measured.read_bytes else "reading the validation or training texts"
    items = [
        Item("weights", sizes["weights"], f"{round(measured.parameters):,} parameters"),
        Item("optimizer", sizes["optimizer"], "AdamW: two averages for each weight that moves"),
        Item("best weights", sizes["best"] if device == "cpu" else 0, "kept from validation"),
        Item("activations", step, f"{worst} with up to {config.max_batch_tokens:,} tokens, gradients included"),
    ]  # fmt: skip
    if config.method == "frozen":
        rows = sum(sum(scene.method.counts(part, scene.task)) for part in scene.encoded.values())
        items.append(Item("embeddings", rows * scene.network.features * memory.FLOAT, f"{rows:,} of them"))
    if device == "cpu":
        items.insert(0, Item("program", scene.rest, "Python, libraries, examples and their tokens"))
    return tuple(items)


def _disk(config: TrainConfig, base: bases.Base, parameters: int, trainable: int, validated: bool) -> tuple[Item, ...]:
    saved = parameters if config.method == "full" else trainable
    state = trainable * memory.FLOAT * (4 if validated else 3)
    return (
        Item("model", saved * memory.FLOAT, "the weights that are saved"),
        Item("state", 2 * state, "to go on after a kill; the new one is written beside the old one, then removed"),
        Item("other", SPARE_DISK, "tokenizer, history, records"),
    )


def _free(store: Path) -> int:
    place = store.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def show(made: Plan, console: Console) -> None:
    """The plan as tables for a person."""
    console.say(
        f"method {made.method} on {made.device}: {made.trainable:,} of {made.parameters:,} parameters are trained"
    )
    console.say(f"  {made.examples:,} training inputs, {made.tokens:,} tokens in an epoch (longest {made.longest:,})")
    console.say(f"  {made.steps:,} optimizer steps: {made.epochs:g} epochs at most, {made.batch_size} examples a step")
    if made.before:
        console.say(f"  {seconds(made.before)} to read every text once")
    console.say(f"  {seconds(made.epoch)} an epoch, {seconds(made.seconds)} in all unless training stops early")
    for title, items, free in (("memory", made.memory, made.free_memory), ("disk", made.disk, made.free_disk)):
        rows = [[item.name, gigabytes(item.size), item.why] for item in items if item.size]
        total = sum(item.size for item in items)
        rows.append(["in all", gigabytes(total), f"{gigabytes(free)} are free" if free is not None else ""])
        console.table([title, "size", "because of"], rows)
    console.say(f"measured: {made.how}")


def demand(made: Plan, config: TrainConfig) -> None:
    """UserError when memory or disk will not do: which setting, and by how much."""
    held = next((item.size for item in made.memory if item.name == "program"), 0.0)  # is already taken
    need = made.peak - held
    if made.free_memory is not None and need > made.free_memory:
        step = next(item.size for item in made.memory if item.name == "activations")
        room = made.free_memory - (need - step)
        fits = int(config.max_batch_tokens * max(0.0, room) / max(1.0, step) * 0.9)
        raise UserError(
            f"training needs {gigabytes(need)} of memory, {gigabytes(need - made.free_memory)} more than is free",
            f"train.max_batch_tokens: {config.max_batch_tokens:,}", memory.smaller(config, fits, made.longest),
        )  # fmt: skip
    wanted = sum(item.size for item in made.disk)
    if wanted > made.free_disk:
        raise UserError(
            f"training writes {gigabytes(wanted)}, {gigabytes(wanted - made.free_disk)} more than the disk has free",
            "METIER_STORE", "free some space, or set METIER_STORE to a folder on a larger disk",
        )  # fmt: skip
