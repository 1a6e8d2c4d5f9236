"""Learning from a teacher: a tuned or larger model tells a student more than the labels do.

Purpose: three ways, one setting (`train.distill`). Class logits (classify, score, relate, tag, extract): the teacher
answers the training split once, its logits are kept beside the model, and every method learns from them. Token logits
(generate, chat, pretrain): the teacher runs beside the student, place by place, a chunk of the vocabulary's logits of
each at a time. Texts (generate, chat): the teacher writes answers, which take the place of the data's own; each of them
is counted and kept.
The loss is (1 - weight) * (loss of the labels) + weight * (how far the student's answer is from the teacher's): at
temperature T the cross-entropy between both distributions over T, times T * T, less the teacher's own entropy
(Hinton, Vinyals & Dean 2015, arXiv 1503.02531); for scores the squared difference.
Trade-off: the loss of whole answers a teacher wrote is not mixed; `weight` is then the share of examples that get one.
Not covered: hidden states as targets; a teacher behind a server; preferences and vectors (refused).
Shapes: B examples, R rows, K outputs of the task; P labelled places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional

from metier.console import Console
from metier.errors import UserError
from metier.train import model as models
from metier.train.config import DistillConfig
from metier.train.encoding import Encoded
from metier.train.tasks.base import PARTS, combined
from metier.train.teacher import Teacher

FILE = "teacher.safetensors"
WHERE = "train.distill.teacher"
Soft = tuple[Any, torch.Tensor, torch.Tensor]  # a target, the teacher's logits (rows, K), which rows it answered


def divergence(logits: torch.Tensor, taught: torch.Tensor, temperature: float) -> torch.Tensor:
    """logits, taught (..., K) -> (...,) T * T * KL(teacher || student), both softened by the temperature T."""
    student = functional.log_softmax(logits / temperature, -1)
    teacher = functional.log_softmax(taught / temperature, -1)
    return (teacher.exp() * (teacher - student)).sum(-1) * temperature**2


def binary_divergence(logits: torch.Tensor, taught: torch.Tensor, temperature: float) -> torch.Tensor:
    """As `divergence`, for K decisions that are taken apart (multi-label): their mean, (B, K) -> (B,)."""
    student, teacher = (torch.stack([one, torch.zeros_like(one)], -1) for one in (logits, taught))
    return divergence(student, teacher, temperature).mean(-1)


class Taught:
    """A task that loses as the recipe's own does and, on the training split, against a teacher's logits as well.

    All else (encoding, decoding, monitoring, state) is the task's.
    """

    def __init__(self, task: Any, config: DistillConfig) -> None:
        self.task, self.weight, self.temperature = task, config.weight, config.temperature

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def loss(self, logits: Any, counts: Sequence[int], targets: Any, smoothing: float) -> Any:
        """(B,). targets: of the task, or with the teacher's logits (`Soft`), where the split was taught."""
        if not len(targets) or not isinstance(targets[0], tuple):
            return self.task.loss(logits, counts, targets, smoothing)
        hard = self.task.loss(logits, counts, [gold for gold, _, _ in targets], smoothing)
        return (1 - self.weight) * hard + self.weight * self.soft(logits, counts, targets)

    def soft(self, logits: Any, counts: Sequence[int], targets: Sequence[Soft]) -> Any:
        """(B,) how far each answer is from the teacher's."""
        taught = torch.cat([rows for _, rows, _ in targets]).to(logits.device)
        known = torch.cat([there for _, _, there in targets]).to(logits.device)
        if self.task.rows == PARTS:
            return self._of_parts(logits, counts, taught, known, targets)
        logits = combined(logits, counts, getattr(getattr(self.task, "labels", self.task), "combine", "mean"))
        if self.task.problem_type == "regression":
            return (logits - taught)[:, 0] ** 2
        if self.task.problem_type == "multi_label_classification":
            return binary_divergence(logits, taught, self.temperature)
        return divergence(logits, taught, self.temperature)

    def _of_parts(self, logits: Any, counts: Sequence[int], taught: Any, known: Any, targets: Sequence[Soft]) -> Any:
        """tag: the sum over the units, by the usual number of units in a text. extract: the mean over both ends."""
        owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(logits.device)
        out = torch.zeros(len(counts), device=logits.device)
        if hasattr(self.task, "units"):
            losses = divergence(logits, taught, self.temperature) * known
            return out.index_add(0, owner, losses) / self.task.units
        sizes = [size for gold, _, _ in targets for size in gold[:, 0].tolist()]  # rows of each window
        owners = [index for index, (gold, _, _) in enumerate(targets) for _ in range(len(gold))]
        shares = [1 / len(gold) for gold, _, _ in targets for _ in range(len(gold))]
        pieces = zip(logits.split(sizes), taught.split(sizes), owners, shares, strict=True)
        for mine, theirs, index, share in pieces:
            ends = divergence(mine.T, theirs.T, self.temperature).mean()
            out = out.index_add(0, torch.tensor([index], device=out.device), (ends * share)[None])
        return out


def teach(
    task: Any, config: DistillConfig, teacher: Teacher, part: pa.Table, encoded: Encoded, out: Path, device: str,
    console: Console,
) -> tuple[Taught, Callable[[Any], list[Soft]]]:  # fmt: skip
    """The task under its teacher, and a function that puts the teacher's logits beside targets of `part`.

    The teacher is asked once; its logits are kept in `out` and read again when training is resumed.
    """
    from safetensors.numpy import load_file, save_file

    file = out / FILE
    if file.is_file():
        kept = load_file(file)
    else:
        asked = models.load(teacher.path, device)
        _fits(task, asked.task, teacher.name)
        found, theirs = _answers(asked, part, console)
        kept = _matched(task, asked.task, encoded, theirs, found, teacher.name)
        out.mkdir(parents=True, exist_ok=True)
        save_file(kept, file)
    rows, there = torch.from_numpy(kept["logits"]), torch.from_numpy(kept["known"])
    sizes = kept["rows"].tolist()

    def beside(targets: Any) -> list[Soft]:
        return list(zip(targets, rows.split(sizes), there.split(sizes), strict=True))

    return Taught(task, config), beside


def _answers(asked: Any, part: pa.Table, console: Console) -> tuple[np.ndarray, Encoded]:
    theirs = asked.task.encode(asked.encoder, part, console)
    with console.progress("asking the teacher", part.num_rows, "texts") as meter:
        return asked.logits(theirs, meter), theirs


def _fits(task: Any, theirs: Any, name: str) -> None:
    """UserError where the teacher answers another question than the student is to learn."""
    mine, other = task.config, theirs.config
    if mine.name != other.name or mine.multi_label != other.multi_label or mine.pair != other.pair:
        raise UserError(f"the teacher '{name}' was tuned for the task '{other.name}', this recipe is for '{mine.name}'",
                        WHERE, "name a model that was tuned for the same task")  # fmt: skip
    missing = sorted(set(_classes(task)) ^ set(_classes(theirs)))
    if missing:
        raise UserError(
            f"the teacher '{name}' has other classes than this recipe's training examples: they differ in "
            f"{', '.join(missing[:5])}", WHERE, "tune the teacher on the same labels",
        )  # fmt: skip


def _classes(task: Any) -> list[str]:
    return list(getattr(task, "classes", []))


def _matched(
    task: Any, theirs: Any, encoded: Encoded, told: Encoded, found: np.ndarray, name: str
) -> dict[str, np.ndarray]:
    """logits (R, K) in the student's rows and classes, known (R,): the teacher answered there, rows (B,) of each."""
    if task.rows == PARTS:
        return _matched_parts(task, theirs, encoded, told, found, name)
    counts = told.counts(theirs.rows)
    logits = combined(torch.from_numpy(found), counts, getattr(getattr(theirs, "labels", theirs), "combine", "mean"))
    made = logits.float().numpy()
    if task.problem_type == "regression":
        made = ((made * theirs.spread + theirs.mean) - task.mean) / task.spread
    else:
        made = made[:, [_classes(theirs).index(label) for label in _classes(task)]]
    n = len(made)
    return {"logits": np.ascontiguousarray(made, np.float32), "known": np.ones(n, np.float32),
            "rows": np.ones(n, np.int64)}  # fmt: skip


def _matched_parts(
    task: Any, theirs: Any, encoded: Encoded, told: Encoded, found: np.ndarray, name: str
) -> dict[str, np.ndarray]:
    mine, sizes = np.array(encoded.counts(PARTS)), told.counts(PARTS)
    if not hasattr(task, "units"):  # extract: rows are tokens of windows
        if [one.windows for one in encoded.items] != [one.windows for one in told.items]:
            raise UserError(
                f"the teacher '{name}' reads the texts in other tokens or windows than this base, so their places "
                "cannot be compared", WHERE, "use a base of the same tokenizer, and the teacher's train.max_length",
            )  # fmt: skip
        return {"logits": found.astype(np.float32), "known": np.ones(len(found), np.float32), "rows": mine}
    order = [0, *(1 + 2 * theirs.types.index(label) + inside for label in task.types for inside in (0, 1))]
    out, known = np.zeros((int(mine.sum()), task.outputs), np.float32), np.zeros(int(mine.sum()), np.float32)
    at = first = 0
    for places, others, size in zip(encoded.places, told.places, sizes, strict=True):
        where = {tuple(place): first + index for index, place in enumerate(others)}
        for index, place in enumerate(places):
            if (row := where.get(tuple(place))) is not None:
                out[at + index], known[at + index] = found[row][order], 1
        at, first = at + len(places), first + size
    return {"logits": out, "known": known, "rows": mine}


@dataclass(frozen=True)
class Chunk:
    """Heads of student and teacher, and over how many tokens both are compared."""

    student: Callable[[torch.Tensor], torch.Tensor]
    teacher: Callable[[torch.Tensor], torch.Tensor]
    vocabulary: int
    weight: float
    temperature: float

    def losses(self, states: torch.Tensor, told: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """states (p, C), told (p, C'), wanted (p,) -> (p,) mixed losses; logits of p places of each exist."""
        logits = self.student(states).float()
        hard = functional.cross_entropy(logits, wanted, reduction="none")
        with torch.no_grad():
            taught = self.teacher(told).float()[:, : self.vocabulary]
        soft = divergence(logits[:, : self.vocabulary], taught, self.temperature)
        return (1 - self.weight) * hard + self.weight * soft


def by_place(chunk: Chunk, states: torch.Tensor, told: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """states (P, C) of the student, told (P, C') of the teacher, wanted (P,) -> (P,) float32, in pieces.

    Each piece is computed again in the backward pass, so that one piece's logits of both are all that ever exist.
    """
    from torch.utils.checkpoint import checkpoint

    from metier.train.head_loss import chunk_of

    step = max(8, chunk_of(getattr(chunk.student, "out_features", None) or 65536) // 2)
    pieces = [checkpoint(chunk.losses, *piece, use_reentrant=False)
              for piece in zip(states.split(step), told.split(step), wanted.split(step), strict=True)]  # fmt: skip
    return torch.cat(pieces) if pieces else states.new_zeros(0, dtype=torch.float32)
