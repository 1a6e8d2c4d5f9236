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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from metier.artifact import Artifact
from metier.console import Console, seconds
from metier.errors import UserError
from metier.tables import read
from metier.train import bases, memory
from metier.train.config import TaskConfig, TrainConfig
from metier.train.memory import gigabytes

if TYPE_CHECKING:
    from metier.train.rehearsal import Counted, Measured

STEP = "a step"  # the line of the plan that train.max_batch_tokens moves
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
    epoch: float  # seconds of an epoch, validation left out
    validation: float  # seconds of reading the validation split once
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
        return self.before + self.epoch * self.epochs + self.validation * math.ceil(self.epochs)


def plan(
    config: TrainConfig, task: TaskConfig, seed: int, examples: Artifact, store: Path, near: Path | None = None
) -> Plan:  # fmt: skip
    """Rehearse and predict. Nothing is trained or kept; the base's weights are not read."""
    from metier.train import rehearsal, standin
    from metier.train.threads import choose_waiting

    choose_waiting()
    table = examples.path / "examples.parquet"
    if not pc.sum(pc.equal(read(table)["split"], "train")).as_py():
        raise UserError("there are no training examples", "split 'train'", "see the funnel of the prepare stage")
    base = bases.resolve(config.base_model, config.revision, near)
    whole = standin.configuration(base)
    layers, (few, more) = memory.Dimensions.of(whole).layers, standin.DEPTHS
    small = standin.parameters_of(whole) <= standin.SMALL or layers <= more
    start = time.monotonic()
    order = rehearsal.Order(config, task, seed, table, base, None if small else more)
    measured, counted = rehearsal.ask(order)
    how = "steps on the whole base with random weights"
    if not small:
        measured = rehearsal.ask(replace(order, depth=few))[0].carried(measured, layers)
        how = f"steps on {few} and {more} of {layers} layers with random weights, carried on to {layers}"
    how += f"; the rehearsal took {seconds(time.monotonic() - start)}"
    return _predict(config, measured, counted, base, store, how)


def _predict(
    config: TrainConfig, measured: Measured, counted: Counted, base: bases.Base, store: Path, how: str
) -> Plan:  # fmt: skip
    from metier.train.loop import pick_device

    device = pick_device(config.device)
    parameters, trainable = round(measured.parameters), round(measured.trainable)
    epoch = counted.fed * measured.train_seconds + counted.steps_an_epoch * measured.update_seconds
    free = memory.available(device)
    if free is not None and device == "cpu":
        free += memory.resident()  # this process will have ended
    return Plan(
        config.method, device, parameters, trainable, counted.examples, counted.tokens, counted.longest,
        counted.epochs, counted.batch_size, counted.steps, counted.first * measured.read_seconds, epoch,
        counted.read * measured.read_seconds, measured.processors, _memory(config, measured, counted, device),
        _disk(config, parameters, trainable, counted.validated), free, _free(store), how,
    )  # fmt: skip


def _memory(config: TrainConfig, measured: Measured, counted: Counted, device: str) -> tuple[Item, ...]:
    """The measured peak in parts: what can be counted, and the rest."""
    parameters = round(measured.parameters)
    sizes = memory.fixed(config.method, parameters, round(measured.trainable), counted.validated)
    items = [
        Item("weights", sizes["weights"], f"{parameters:,} parameters"),
        Item("optimizer", sizes["optimizer"], "AdamW: two averages for each weight that moves (Muon: one or two)"),
        Item("best weights", sizes["best"] if device == "cpu" else 0, "kept from validation"),
        Item("embeddings", counted.embeddings, "of all texts, computed once"),
    ]
    if device == "cpu":
        items.insert(0, Item("program", measured.program, "Python, libraries, examples"))
    rest = max(0.0, measured.peak - sum(item.size for item in items))
    why = f"activations and gradients of up to {config.max_batch_tokens:,} tokens, and what the allocator keeps"
    return (*items, Item(STEP, rest, why))


def _disk(config: TrainConfig, parameters: int, trainable: int, validated: bool) -> tuple[Item, ...]:
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
    console.say(f"  {made.examples:,} training examples, {made.tokens:,} tokens in an epoch (longest {made.longest:,})")
    console.say(f"  {made.steps:,} optimizer steps: {made.epochs:g} epochs at most, {made.batch_size} examples a step")
    if made.before:
        console.say(f"  {seconds(made.before)} to read every text once")
    each, whole = seconds(made.epoch + made.validation), seconds(made.seconds)
    console.say(f"  {each} an epoch, {whole} in all unless training stops early")
    for title, items, free in (("memory", made.memory, made.free_memory), ("disk", made.disk, made.free_disk)):
        rows = [[item.name, gigabytes(item.size), item.why] for item in items if item.size]
        total = sum(item.size for item in items)
        rows.append(["in all", gigabytes(total), f"{gigabytes(free)} are free" if free is not None else ""])
        console.table([title, "size", "because of"], rows)
    console.say(f"measured: {made.how}")


def demand(made: Plan, config: TrainConfig) -> None:
    """UserError when memory or disk will not do: which setting, and by how much."""
    need = made.peak
    if made.free_memory is not None and need > made.free_memory:
        step = next(item.size for item in made.memory if item.name == STEP)
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
