"""Learning from a teacher: losses against plain PyTorch, the same bits without one, more learned from noisy labels."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.models import build_writer
from tests.train.test_language import examples_of
from torch.nn import functional

from metier.artifact import Artifact
from metier.console import Console
from metier.errors import UserError
from metier.registry import lookup
from metier.tables import EXAMPLES, read, table, write
from metier.train import chat, teacher
from metier.train.config import DistillConfig, TaskConfig, TrainConfig
from metier.train.distill import Chunk, Taught, binary_divergence, by_place, divergence
from metier.train.encoding import Encoder
from metier.train.model import load
from metier.train.network import Shape, load_tokenizer
from metier.train.network import load as load_network
from metier.train.stage import train
from metier.train.tasks.base import Decoded
from metier.train.tasks.classify import Classify
from metier.train.teaching import begin, lesson

QUIET = Console(quiet=True)
FAST: dict[str, Any] = {"learning_rate": 5e-3, "head_learning_rate": 5e-3, "bf16": False, "device": "cpu",
                        "batch_size": 8, "early_stopping": 0}  # fmt: skip
KINDS = ["card", "loan", "fee"]
WRITES = Shape(1, "", "language", rows="examples")


def artifact(folder: Path, data: list[dict[str, Any]]) -> Artifact:
    write(table(data, EXAMPLES), folder / "examples.parquet")
    return Artifact(folder, "prepare", "", {}, {}, {})


def rows(n: int = 60, noise: float = 0.0, split: str = "train", seed: int = 0) -> list[dict[str, Any]]:
    """Texts of one of three kinds; a share of the labels is drawn at random."""
    draw, out = random.Random(seed), []
    for index in range(n):
        kind = KINDS[index % 3]
        words = [*draw.choices(["the", "a", "my", "is", "here", "please", "help"], k=draw.randint(3, 7)), kind]
        draw.shuffle(words)
        label = draw.choice(KINDS) if draw.random() < noise else kind
        spans = [{"start": " ".join(words).index(kind), "end": " ".join(words).index(kind) + len(kind), "label": kind}]
        out.append({"id": f"{split}{index}", "text": " ".join(words), "label": label, "split": split, "spans": spans,
                    "value": float(KINDS.index(label)), "labels": [label], "pair": kind,
                    "answers": [{"start": spans[0]["start"], "end": spans[0]["end"]}]})  # fmt: skip
    return out


@pytest.fixture(scope="module")
def taught(base, tmp_path_factory):
    """task, family -> the model folder of a teacher that learned from clean labels."""
    made: dict[tuple[str, str], Path] = {}

    def get(task: str, family: str = "bert") -> Path:
        if (task, family) not in made:
            folder = tmp_path_factory.mktemp("teacher")
            config = TrainConfig(base_model=str(base(family).path), epochs=25, **FAST)
            train(config, TaskConfig(name=task), 0, artifact(folder, rows(90)), folder / "out", QUIET)
            made[task, family] = folder / "out" / "model"
        return made[task, family]

    return get


def test_the_losses_are_hintons() -> None:
    torch.manual_seed(0)
    student, master = torch.randn(5, 4, requires_grad=True), torch.randn(5, 4)
    expected = functional.kl_div(
        functional.log_softmax(student / 3, -1), functional.softmax(master / 3, -1), reduction="none"
    ).sum(-1) * 9  # fmt: skip
    assert torch.allclose(divergence(student, master, 3.0), expected, atol=1e-6)
    sure, told = torch.sigmoid(student / 3), torch.sigmoid(master / 3)
    cross = functional.binary_cross_entropy(sure, told, reduction="none")
    own = functional.binary_cross_entropy(told, told, reduction="none")
    assert torch.allclose(binary_divergence(student, master, 3.0), ((cross - own) * 9).mean(-1), atol=1e-5)
    assert divergence(master, master, 2.0).abs().max() < 1e-6


def test_a_text_is_lost_as_labels_and_teacher_say() -> None:
    task = Classify(TaskConfig(), {"classes": KINDS})
    logits, master = torch.randn(2, 3), torch.randn(2, 3)
    targets = [(torch.tensor(1), master[:1], torch.ones(1)), (torch.tensor(2), master[1:], torch.ones(1))]
    found = Taught(task, DistillConfig(weight=0.3, temperature=2.0)).loss(logits, [1, 1], targets, 0.0)
    hard = functional.cross_entropy(logits, torch.tensor([1, 2]), reduction="none")
    soft = functional.kl_div(functional.log_softmax(logits / 2, -1), functional.softmax(master / 2, -1),
                             reduction="none").sum(-1) * 4  # fmt: skip
    assert torch.allclose(found, 0.7 * hard + 0.3 * soft, atol=1e-6)
    plain = Taught(task, DistillConfig(weight=0.3)).loss(logits, [1, 1], torch.tensor([1, 2]), 0.0)
    assert torch.equal(plain, task.loss(logits, [1, 1], torch.tensor([1, 2]), 0.0)), "validation is not taught"


def test_places_are_lost_as_a_plain_loop_over_all_logits(writer, tmp_path) -> None:
    """Gradients too; and the pieces are small, whatever the number of places."""
    base = writer("llama")
    tokenizer = load_tokenizer(base)
    chat.prepare_tokenizer(tokenizer)
    made = examples_of(tokenizer)
    student, master = (load_network(build_writer(name, tmp_path / name) if name != "llama" else base, WRITES, 0)
                       for name in ("llama", "qwen2"))  # fmt: skip
    config = TrainConfig(distill=DistillConfig(weight=0.4, temperature=2.0))
    student.lesson = lesson(master.eval(), config)
    student.train()
    found = student([made[:2], made[2:]])[:, 0]
    expected = []
    for one in made:
        ids, places = torch.from_numpy(one.ids)[None], torch.from_numpy(one.weights[1:]) > 0
        with student.writing() as model, master.writing() as other:
            logits, told = model(ids).logits[0, :-1][places], other(ids).logits[0, :-1][places].detach()
        hard = functional.cross_entropy(logits, ids[0, 1:][places], reduction="none")
        soft = functional.kl_div(functional.log_softmax(logits / 2, -1), functional.softmax(told / 2, -1),
                                 reduction="none").sum(-1) * 4  # fmt: skip
        expected.append((0.6 * hard + 0.4 * soft).sum())
    assert torch.allclose(found, torch.stack(expected), rtol=1e-4)
    weight = student.model.get_input_embeddings().weight
    gradients = [torch.autograd.grad(total, weight)[0] for total in (found.sum(), torch.stack(expected).sum())]
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-5)
    assert not any(parameter.grad is not None for parameter in master.parameters())


def test_pieces_of_places_hold_few_logits_at_once() -> None:
    torch.manual_seed(0)
    head, other = torch.nn.Linear(8, 500_000, bias=False), torch.nn.Linear(4, 500_000, bias=False)
    seen: list[int] = []
    head.register_forward_hook(lambda module, given, out: seen.append(len(out)))
    chunk = Chunk(head, other, 500_000, 0.5, 1.0)
    states, told = torch.randn(20, 8, requires_grad=True), torch.randn(20, 4)
    by_place(chunk, states, told, torch.arange(20)).sum().backward()
    assert max(seen) * 500_000 * 4 <= 64 << 20 and sum(seen) == 40  # forward and backward


def test_no_teacher_and_a_weight_of_zero_are_the_same_bits(base, taught, tmp_path) -> None:
    data = artifact(tmp_path, [*rows(30), *rows(12, split="validation", seed=1)])
    found = []
    for name, distill in (("plain", {}), ("zero", {"teacher": str(taught("classify")), "weight": 0.0})):
        config = TrainConfig(base_model=str(base("bert").path), epochs=2, distill=DistillConfig(**distill), **FAST)
        train(config, TaskConfig(), 0, data, tmp_path / name, QUIET)
        found.append((tmp_path / name / "model" / "model.safetensors").read_bytes())
    assert found[0] == found[1]


def test_a_student_learns_more_from_a_good_teacher_than_from_noisy_labels_alone(base, taught, tmp_path) -> None:
    data = artifact(tmp_path, rows(90, noise=0.7))
    held = rows(90, split="test", seed=2)
    right = {}
    for name, distill in (("alone", {}), ("taught", {"teacher": str(taught("classify")), "weight": 0.9})):
        config = TrainConfig(base_model=str(base("bert").path), epochs=25, distill=DistillConfig(**distill), **FAST)
        summary = train(config, TaskConfig(), 0, data, tmp_path / name, QUIET)
        decoded, _ = load(tmp_path / name / "model", device="cpu").predict([row["text"] for row in held])
        right[name] = sum(a == row["label"] for a, row in zip(decoded.labels, held, strict=True))
    assert right["taught"] >= right["alone"] + 15 and right["taught"] > 80, right
    assert summary["teacher"]["way"] == "classes" and (tmp_path / "taught" / "teacher.safetensors").is_file()


SLOW = [pytest.param(task, marks=pytest.mark.slow) for task in ("score", "relate")]


@pytest.mark.parametrize("task", ["tag", "extract", *SLOW])
def test_every_task_of_classes_learns_from_a_teacher_of_its_own(task, base, tmp_path) -> None:
    """weight 1: of the labels, which are all wrong here, nothing is learned."""
    good, bad = rows(60), rows(60)
    for row in (*good, *bad):
        row["text"] = row["text"] if task != "relate" else f"<< {row['label']} >> is [[ here ]]"
    for row in bad:
        other = KINDS[(KINDS.index(row["label"]) + 1) % 3]
        row |= {"label": other, "value": 5.0 - 3 * row["value"], "answers": [{"start": 0, "end": 1}],
                "spans": [{**row["spans"][0], "label": other}]}  # fmt: skip
    settings = TrainConfig(base_model=str(base("bert").path), epochs=8, **FAST)
    train(settings, TaskConfig(name=task), 0, artifact(tmp_path / "a", good), tmp_path / "teacher", QUIET)
    master = str(tmp_path / "teacher" / "model")
    config = settings.model_copy(update={"distill": DistillConfig(teacher=master, weight=1.0)})
    train(config, TaskConfig(name=task), 0, artifact(tmp_path / "b", bad), tmp_path / "student", QUIET)
    asked = table(good[:30], EXAMPLES)
    told, found = (load(tmp_path / name / "model", device="cpu").predict(asked)[0] for name in ("teacher", "student"))
    if task == "score":
        assert max(abs(a - b) for a, b in zip(told.values, found.values, strict=True)) < 1.0
        return
    answers = (
        [[(s.start, s.end, s.label) for s in one] for one in told.spans],
        [[(s.start, s.end, s.label) for s in one] for one in found.spans],
    )
    pairs = zip(told.labels, found.labels, strict=True) if task == "relate" else zip(*answers, strict=True)
    assert sum(a == b for a, b in pairs) >= 24


def talks(n: int, color: str = "red") -> list[dict[str, Any]]:
    return [{"id": str(index), "text": f"{index} card", "pair": "?", "answer": color, "split": "train"}
            for index in range(n)]  # fmt: skip


def test_a_writer_finds_likely_what_its_teacher_does_and_not_what_the_data_say(writer, tmp_path) -> None:
    task = TaskConfig(name="generate", max_new_tokens=1)
    fast = {**FAST, "epochs": 6, "max_length": 128}
    settings = TrainConfig(base_model=str(writer("llama").path), **fast)
    train(settings, task, 0, artifact(tmp_path / "a", talks(16)), tmp_path / "teacher", QUIET)
    told = DistillConfig(teacher=str(tmp_path / "teacher" / "model"), weight=1.0, temperature=1.0)
    config = settings.model_copy(update={"distill": told})
    summary = train(config, task, 0, artifact(tmp_path / "b", talks(16, "sky")), tmp_path / "out", QUIET)
    assert summary["teacher"]["way"] == "places"
    asked = [table(talks(3, color), EXAMPLES) for color in ("red", "sky")]
    bits = {name: [sum(load(tmp_path / name / "model", device="cpu").predict(one)[0].bits) for one in asked]
            for name in ("teacher", "out")}  # fmt: skip
    assert all(red < sky for red, sky in bits.values()), bits


def test_answers_of_the_teacher_take_the_place_of_the_datas_own(writer, tmp_path, monkeypatch) -> None:
    """The share that `weight` says, the same ones for the same seed; what was written is kept and counted."""
    part = table(talks(200, "blue"), EXAMPLES)
    asked: list[Any] = []

    def predict(rows: Any, console: Any) -> Any:
        asked.append(rows)
        texts = ["red" if int(name) % 10 else " " for name in rows["id"].to_pylist()]
        return Decoded(texts=texts, finished=[int(name) % 10 != 1 for name in rows["id"].to_pylist()]), None

    monkeypatch.setattr("metier.train.model.TunedModel.predict", lambda self, rows, console: predict(rows, console))
    config = TrainConfig(device="cpu", distill=DistillConfig(teacher=str(writer("llama").path), weight=0.4, by="texts"))
    tokenizer = load_tokenizer(writer("llama"))
    task = lookup("task", "generate")(TaskConfig(name="generate"), {})
    teaching = begin(config, task, tokenizer, tmp_path / "out", 0, None)
    made, counts = teaching.rewritten(part, task, Encoder(tokenizer, 128), QUIET)
    kept = read(tmp_path / "out" / "teacher_answers.parquet").to_pylist()
    assert 50 < len(kept) < 110 and len(asked) == 1 and asked[0]["answer"].null_count == len(kept), "no answer is told"
    used = {row["id"] for row in kept if row["used"]}
    assert {row["reason"] for row in kept} == {"", "empty", "not finished"}
    assert [row["answer"] for row in made.to_pylist()] == [
        "red" if row["id"] in used else "blue" for row in part.to_pylist()
    ]  # fmt: skip
    assert counts == {"teacher_answers": len(used), "teacher_refused": len(kept) - len(used)}
    again, _ = teaching.rewritten(part, task, Encoder(tokenizer, 128), QUIET)
    assert again.equals(made) and len(asked) == 1, "a resumed training asks nothing again"


def test_answers_that_do_not_end_are_counted_and_not_learned(writer, tmp_path) -> None:
    """A random teacher of another vocabulary never ends; its student keeps the data's own answers."""
    told = DistillConfig(teacher=str(writer("gpt2").path), weight=0.5, by="texts")
    config = TrainConfig(base_model=str(writer("llama").path), distill=told, epochs=1, max_length=128, **FAST)
    task = TaskConfig(name="generate", max_new_tokens=3)
    summary = train(config, task, 0, artifact(tmp_path, talks(16)), tmp_path / "out", QUIET)
    kept = read(tmp_path / "out" / "teacher_answers.parquet").to_pylist()
    assert summary["teacher_answers"] == 0 and 0 < summary["teacher_refused"] == len(kept) < 16
    assert {row["reason"] for row in kept} <= {"not finished", "empty"}


def test_pairs_that_cannot_work_are_refused(base, writer, taught, tmp_path) -> None:
    data = [{**row, "messages": "[]", "chosen": "a", "rejected": "b", "answer": "a"} for row in rows(12)]
    own, bare = str(taught("classify")), str(base("bert").path)
    for task, student, master, match in (
        ("score", bare, own, "was tuned for the task 'classify'"),
        ("classify", bare, bare, "was not tuned for anything"),
        ("prefer", str(writer("llama").path), str(writer("llama").path), "not learned from a teacher"),
        ("embed", bare, own, "not learned from a teacher"),
        ("pretrain", str(writer("llama").path), own, "another vocabulary"),
        ("classify", bare, str(tmp_path / "nothing"), "there is no teacher called"),
    ):
        config = TrainConfig(base_model=student, distill=DistillConfig(teacher=master), **FAST)
        with pytest.raises(UserError, match=match) as caught:
            train(config, TaskConfig(name=task), 0, artifact(tmp_path, data), tmp_path / "out", QUIET)
        assert caught.value.where.startswith("train.distill") and caught.value.fix
    other = [{**row, "label": "bank" if row["label"] == "fee" else row["label"]} for row in data]
    config = TrainConfig(base_model=bare, distill=DistillConfig(teacher=own), **FAST)
    with pytest.raises(UserError, match="other classes"):
        train(config, TaskConfig(), 0, artifact(tmp_path, other), tmp_path / "out", QUIET)


def test_a_teacher_is_its_bytes(taught, tmp_path) -> None:
    import json
    import shutil

    first = teacher.find(str(taught("classify")))
    copy = tmp_path / "copy" / "model"
    shutil.copytree(first.path, copy)
    facts = json.loads((copy / "metier.json").read_text())
    (copy / "metier.json").write_text(json.dumps({**facts, "base_path": "/elsewhere"}))
    assert teacher.find(str(tmp_path / "copy")).sha256 == first.sha256, "where its base lay is not what it is"
    (copy / "metier.json").write_text(json.dumps({**facts, "seed": 9}))
    assert teacher.find(str(copy)).sha256 != first.sha256


def test_a_run_is_made_again_for_another_teacher_and_not_for_another_path(taught, tmp_path) -> None:
    import shutil

    def told(**distill: Any) -> dict[str, Any]:
        return teacher.identity(DistillConfig(**distill).identity(), tmp_path)

    first = teacher.find(str(taught("classify"))).path
    shutil.copytree(first, tmp_path / "copy" / "model")
    by_path = told(teacher=str(first))
    assert by_path == told(teacher="copy") != told(teacher="copy", weight=0.6) and by_path
    assert told() == told(teacher="copy", weight=0) == {}, "a weight of 0 is no teacher"
