"""What a teacher does in a training run: which of three ways, whether the pair can work, and all that is counted.

Purpose: `train.distill` says who teaches; task and tokenizers say how. `classes`: both answer with the same classes, or
a value. `places`: both write (or guess hidden tokens) over the same vocabulary. `texts`: the teacher writes answers. A
pair that can do none of them is refused before anything is trained.
Not covered: the losses themselves (distill.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier.console import Console
from metier.errors import UserError
from metier.tables import digest, write
from metier.train.bases import Base
from metier.train.config import TrainConfig
from metier.train.encoding import Encoder
from metier.train.teacher import MODEL, Teacher, find

CLASSES, PLACES, TEXTS = "classes", "places", "texts"
BY_CLASS = ("classify", "score", "relate", "tag", "extract")
WRITES = ("generate", "chat")
WHERE = "train.distill"
FILE = "teacher_answers.parquet"
ANSWERS = pa.schema([("id", pa.string()), ("written", pa.string()), ("used", pa.bool_()), ("reason", pa.string())])


@dataclass(frozen=True)
class Teaching:
    """One run's teacher; way: "" where there is none, and nothing is changed."""

    config: TrainConfig
    way: str = ""
    teacher: Teacher | None = None
    out: Path = Path()
    seed: int = 0

    def rewritten(
        self, part: pa.Table, task: Any, encoder: Encoder, console: Console
    ) -> tuple[pa.Table, dict[str, int]]:
        """The training examples with the teacher's answers in place of a share (`weight`) of their own, and counts."""
        if self.way != TEXTS or self.teacher is None:
            return part, {}
        file = self.out / FILE
        if file.is_file():
            from metier.tables import read

            kept = read(file)
        else:
            kept = _written(self, part, task, encoder, console)
            self.out.mkdir(parents=True, exist_ok=True)
            write(kept, file)
        told = {row["id"]: row for row in kept.to_pylist()}
        ids, own = part["id"].to_pylist(), part["answer"].to_pylist()
        answers = [told[name]["written"] if name in told and told[name]["used"] else answer
                   for name, answer in zip(ids, own, strict=True)]  # fmt: skip
        used = sum(row["used"] for row in told.values())
        column = part.schema.get_field_index("answer")
        counts = {"teacher_answers": used, "teacher_refused": len(told) - used}
        console.say(
            f"  the teacher wrote {used:,} of {part.num_rows:,} training answers"
            + (f"; {len(told) - used:,} of its answers were empty or not finished" if len(told) > used else "")
        )
        return part.set_column(column, part.schema.field(column), pa.array(answers, pa.string())), counts

    def beside(self, network: Any, device: Any, console: Console) -> None:
        """Let the teacher run beside a network that writes, or guesses hidden tokens."""
        if self.way == PLACES and self.teacher is not None:
            other = _network(self.teacher, network).to(device).eval()
            for parameter in other.parameters():
                parameter.requires_grad_(False)
            if not (getattr(network, "shares", network.flat) and getattr(other, "shares", other.flat)):
                raise UserError(
                    "places of teacher and student cannot be compared: one of both runs on padded rows only",
                    WHERE, "choose another base, or set train.distill.by=texts where the task writes answers",
                )  # fmt: skip
            network.lesson = lesson(other, self.config)
            console.say(f"  teacher {self.teacher.name}: {sum(p.numel() for p in other.parameters()):,} parameters, "
                        "beside the student")  # fmt: skip

    def taught(
        self, task: Any, part: pa.Table, encoded: Any, split: Any, device: str, console: Console
    ) -> tuple[Any, Any]:
        """Task and training split with the teacher's class logits."""
        if self.way != CLASSES or self.teacher is None:
            return task, split
        from metier.train.distill import teach

        task, beside = teach(task, self.config.distill, self.teacher, part, encoded, self.out, device, console)
        return task, replace(split, targets=beside(split.targets))

    def facts(self) -> dict[str, Any]:
        """What the summary and the report say of the teacher."""
        if self.teacher is None:
            return {}
        told = self.config.distill
        return {"teacher": {"name": self.teacher.name, "sha256": self.teacher.sha256, "way": self.way,
                            "weight": told.weight, "temperature": told.temperature}}  # fmt: skip


def begin(config: TrainConfig, task: Any, tokenizer: Any, out: Path, seed: int, near: Path | None) -> Teaching:
    """The run's teaching; UserError where the pair cannot work. A weight of 0 is no teacher."""
    told = config.distill
    if not told.teacher or not told.weight:
        return Teaching(config)
    teacher = find(told.teacher, told.revision, near)
    return Teaching(config, _way(config, task, teacher, tokenizer), teacher, out, seed)


def lesson(other: Any, config: TrainConfig) -> Callable[..., Any]:
    """(inputs, head, states (P, C), target (P,)) -> (P,) losses mixed with those against the network `other`."""
    import torch

    from metier.train.distill import Chunk, by_place

    def losses(inputs: Sequence[Any], head: Any, states: Any, target: Any) -> Any:
        with torch.no_grad():
            found = other.labelled(inputs)
        sizes = [one.out_features for one in (head, found.head) if getattr(one, "out_features", None)]
        chunk = Chunk(head, found.head, min(sizes), config.distill.weight, config.distill.temperature)
        return by_place(chunk, states, found.states, target)

    return losses


def _way(config: TrainConfig, task: Any, teacher: Teacher, tokenizer: Any) -> str:
    name, wanted = task.config.name, config.distill.by
    if name in BY_CLASS:
        if wanted == "texts":
            raise UserError(f"the task '{name}' writes no texts that a teacher could write for it", f"{WHERE}.by",
                            "leave it at auto")  # fmt: skip
        if not teacher.tuned:
            raise UserError(
                f"'{teacher.name}' is a base that was not tuned for anything, so it has no answer to this task",
                f"{WHERE}.teacher", "name a model that Metier tuned for the same task (a run, or its model folder)",
            )  # fmt: skip
        return CLASSES
    if name not in (*WRITES, "pretrain"):
        raise UserError(f"the task '{name}' is not learned from a teacher", f"{WHERE}.teacher",
                        "remove it; a teacher serves classify, score, relate, tag, extract, generate, chat and "
                        "pretrain")  # fmt: skip
    alike = _same_vocabulary(teacher, tokenizer)
    if wanted != "texts" and alike:
        return PLACES
    if name in WRITES and wanted != "logits":
        return TEXTS
    why = "writes no answers" if name not in WRITES else "is to be learned from token by token (train.distill.by)"
    other = f"the teacher '{teacher.name}' has another vocabulary than the base"
    raise UserError(
        f"the task '{name}' {why}" if alike else other, f"{WHERE}.teacher",
        "choose a teacher with the same tokenizer"
        + ("; or set train.distill.by=texts" if name in WRITES else ", and leave train.distill.by at auto"),
    )  # fmt: skip


def _same_vocabulary(teacher: Teacher, tokenizer: Any) -> bool:
    from metier.train.network import load_tokenizer

    other = load_tokenizer(_base(teacher))
    return bool(other.get_vocab() == tokenizer.get_vocab())


def _base(teacher: Teacher) -> Base:
    return Base(teacher.name, teacher.path, teacher.name, teacher.sha256, "", "")


def _network(teacher: Teacher, student: Any) -> Any:
    """The teacher's network, of the student's kind."""
    from metier.train import model
    from metier.train.network import Shape, load

    if not teacher.tuned:
        return load(_base(teacher), Shape(1, "", student.pooling, rows="examples"), 0)
    pooling = json.loads((teacher.path / MODEL).read_text(encoding="utf-8"))["shape"]["pooling"]
    if pooling != student.pooling:
        raise UserError(f"the teacher '{teacher.name}' answers in another way than this base does",
                        f"{WHERE}.teacher", "name a model whose task writes, as this one's does")  # fmt: skip
    return model.load(teacher.path, "cpu").module


def _written(teaching: Teaching, part: pa.Table, task: Any, encoder: Encoder, console: Console) -> pa.Table:
    """ANSWERS for the rows that the seed chooses, `weight` of them."""
    from metier.train import model
    from metier.train.network import Shape, load, load_tokenizer

    told, teacher = teaching.config.distill, teaching.teacher
    assert teacher is not None
    chosen = [row for row, name in enumerate(part["id"].to_pylist())
              if int(digest("teacher", str(teaching.seed), name), 16) / 16**16 < told.weight]  # fmt: skip
    asked = part.take(chosen)
    column = asked.schema.get_field_index("answer")
    asked = asked.set_column(column, asked.schema.field(column), pa.nulls(len(chosen), pa.string()))
    if teacher.tuned:
        master = model.load(teacher.path, teaching.config.device)
    else:
        from metier.registry import lookup
        from metier.train.loop import pick_device

        network: Any = load(_base(teacher), Shape(1, "", "language", rows="examples"), 0)
        network.to(pick_device(teaching.config.device)).eval()
        reader = replace(encoder, tokenizer=load_tokenizer(_base(teacher)))
        master = model.TunedModel(network, task, lookup("method", "full"), reader, encoder.batch_tokens, False)
    decoded, _ = master.predict(asked, console)
    rows = []
    for name, text, ended in zip(asked["id"].to_pylist(), decoded.texts, decoded.finished, strict=True):
        reason = "" if text.strip() and ended else "not finished" if text.strip() else "empty"
        rows.append({"id": name, "written": text, "used": not reason, "reason": reason})
    return pa.Table.from_pylist(rows, schema=ANSWERS)
