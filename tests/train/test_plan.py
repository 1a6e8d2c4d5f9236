"""The plan agrees with what training then does, and what cannot fit is refused with a number."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
import torch
from tests.train.test_stage import CLASSIFY, FAST, QUIET, examples, rows

from metier.errors import UserError
from metier.train import memory, rehearsal, standin
from metier.train.config import TaskConfig, TrainConfig
from metier.train.plan import STEP, Item, Plan, demand, plan, show
from metier.train.stage import train

__all__ = ["examples"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Few steps, and in this process: what starts another one is tested in test_rehearsal_in_its_own_process."""
    monkeypatch.setattr(rehearsal, "SECONDS", 0.1)
    monkeypatch.setattr(rehearsal, "ask", rehearsal.rehearse)


def made(config, artifact, tmp_path) -> Plan:
    return plan(config, CLASSIFY, 0, artifact, tmp_path / "store")


@pytest.mark.parametrize(
    ("family", "method"), [("bert", "full"), ("llama", "lora"), ("bert", "frozen"), ("t5", "full")]
)
def test_counts_are_those_of_the_training(family, method, base, examples, tmp_path):
    config = TrainConfig(
        base_model=str(base(family).path), method=method, **FAST | {"epochs": 2.5, "early_stopping": 0}
    )
    artifact = examples(rows())
    before = {path: path.stat().st_mtime_ns for path in base(family).path.rglob("*")}
    found = made(config, artifact, tmp_path)
    summary = train(config, CLASSIFY, 0, artifact, tmp_path / "out", QUIET)
    assert (found.steps, found.parameters, found.trainable) == (
        summary["steps"], summary["parameters"], summary["trainable"],
    )  # fmt: skip
    assert found.batch_size == summary["batch_size"] and found.epochs == 2.5
    if method != "frozen":  # there an input of the loop is an embedding
        assert found.tokens * 2.5 == pytest.approx(summary["tokens"], rel=0.1)
    saved = sum(file.stat().st_size for file in (tmp_path / "out" / "model").glob("*.safetensors"))
    item = next(item for item in found.disk if item.name == "model")
    assert item.size == pytest.approx(saved, rel=0.2, abs=8000)  # headers; these models are tiny
    assert found.epoch > 0 and found.seconds >= found.epoch * 2.5
    assert not (tmp_path / "store").exists()
    assert before == {path: path.stat().st_mtime_ns for path in base(family).path.rglob("*")}


@pytest.mark.parametrize("task", ["pretrain", "embed"])
def test_tasks_of_every_kind_can_be_planned(task, base, examples, tmp_path):
    """A model that writes, whose inputs are families of examples, and a loss over whole batches."""
    family = "llama" if task == "pretrain" else "bert"
    config = TrainConfig(base_model=str(base(family).path), **FAST | {"epochs": 2, "early_stopping": 0})
    data = [row | {"question": f"{row['label']} {number}"} for number, row in enumerate(rows())]
    artifact, kind = examples(data), TaskConfig(name=task)
    found = plan(config, kind, 0, artifact, tmp_path / "store")
    summary = train(config, kind, 0, artifact, tmp_path / "out", QUIET)
    assert (found.steps, found.parameters) == (summary["steps"], summary["parameters"])
    assert found.tokens * 2 == summary["tokens"]


def test_rehearsal_in_its_own_process(base, examples, tmp_path, monkeypatch):
    """Its peak is near that of a program with the libraries; what is wrong there is told here."""
    monkeypatch.undo()
    monkeypatch.setattr(rehearsal, "SECONDS", 0.1)
    config = TrainConfig(base_model=str(base("bert").path), **FAST)
    found = made(config, examples(rows()), tmp_path)
    assert 2e8 < found.memory[0].size < found.peak < 1.5e9
    with pytest.raises(UserError, match="no cuda device"):
        made(config.model_copy(update={"device": "cuda"}), examples(rows()), tmp_path)


def test_a_rehearsal_that_the_system_ended_is_advice(base, examples, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(rehearsal.subprocess, "run", lambda *given, **more: subprocess.CompletedProcess([], -9, "", ""))
    config = TrainConfig(base_model=str(base("bert").path), **FAST)
    with pytest.raises(UserError, match="ended the rehearsal") as caught:
        made(config, examples(rows()), tmp_path)
    assert "from 16,384 to 8192" in caught.value.fix


def test_two_shortened_bases_tell_of_the_whole_one(base, examples, tmp_path, monkeypatch):
    """Parameters are carried on exactly, and so are steps; only what is measured may differ."""
    import transformers

    folder = tmp_path / "deep"
    config = transformers.BertConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=9, num_attention_heads=4, intermediate_size=48, pad_token_id=1
    )
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(base("bert").path).save_pretrained(folder)
    settings, artifact = TrainConfig(base_model=str(folder), **FAST), examples(rows())
    whole = made(settings, artifact, tmp_path)
    monkeypatch.setattr(standin, "SMALL", 0)
    carried = made(settings, artifact, tmp_path)
    assert "2 and 4 of 9 layers" in carried.how and "whole base" in whole.how
    assert carried.parameters == whole.parameters and carried.steps == whole.steps


def test_what_is_measured_is_carried_on_in_a_straight_line():
    few = rehearsal.Measured(2, 100, 10, 1e9, 4e8, 0.1, 0.01, 0.02, 1)
    more = rehearsal.Measured(4, 140, 14, 1.2e9, 4e8, 0.14, 0.012, 0.03, 1)
    found = few.carried(more, 12)
    assert (found.depth, found.parameters, found.program) == (12, 300, 4e8)
    assert found.peak == pytest.approx(2e9) and found.read_seconds == pytest.approx(0.07)


def test_the_heaviest_batch_is_the_one_that_keeps_most(base, examples, tmp_path):
    """Of two batches with as many tokens, attention over long texts keeps more."""
    texts = [f"payment of order {number} was late " * (1 if number % 8 else 12) for number in range(64)]
    config = TrainConfig(base_model=str(base("bert").path), **FAST)
    data = [{"id": str(n), "text": text, "label": "ab"[n % 2], "split": "train"} for n, text in enumerate(texts)]
    table = examples(data).path / "examples.parquet"
    scene = rehearsal.set_scene(rehearsal.Order(config, CLASSIFY, 0, table, base("bert"), None))
    weigh, lengths = rehearsal._weigher(scene), scene.job.train.lengths
    long = [at for at, length in enumerate(lengths) if length == max(lengths)][:2]
    short = [at for at, length in enumerate(lengths) if length == min(lengths)]
    short = short[: sum(lengths[at] for at in long) // min(lengths)]
    assert abs(sum(lengths[at] for at in long) - sum(lengths[at] for at in short)) <= min(lengths)
    assert weigh(long) > 1.2 * weigh(short)
    chosen = rehearsal.heaviest(scene, scene.job.train.inputs_for(scene.job.rates.batch_size))[0]
    assert set(chosen) & {at for at, length in enumerate(lengths) if length == max(lengths)}


def test_what_does_not_fit_is_refused_with_a_number(base, examples, tmp_path, monkeypatch):
    config = TrainConfig(base_model=str(base("bert").path), **FAST)
    found = made(config, examples(rows()), tmp_path)
    demand(found, config)
    found = replace(found, memory=(Item("program", 4e8, ""), Item(STEP, 6e8, "")))
    step = 6e8
    with pytest.raises(UserError, match="more than is free") as caught:
        demand(replace(found, free_memory=int(found.peak - step / 2)), config)
    number = int(caught.value.fix.split(" to ")[1].split()[0])
    assert "max_batch_tokens" in caught.value.fix and 0.3 * 16384 < number < 0.5 * 16384
    with pytest.raises(UserError, match="more than the disk"):
        demand(replace(found, free_disk=1000), config)


def test_show_says_why(base, examples, tmp_path, capsys):
    import sys

    from metier.console import Console

    config = TrainConfig(base_model=str(base("bert").path), **FAST)
    show(made(config, examples(rows()), tmp_path), Console(sys.stdout))
    shown = capsys.readouterr().out
    for word in ("optimizer", "a step", "AdamW", "an epoch", "disk", "12 epochs at most"):
        assert word in shown


def test_a_base_that_cannot_fit_is_refused_before_it_is_loaded(base, examples, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: 300_000)
    monkeypatch.setattr("metier.train.network.load", lambda *given: pytest.fail("the weights were loaded"))
    config = TrainConfig(base_model=str(base("bert").path), **FAST)
    with pytest.raises(UserError, match="more than the 0 MB") as caught:
        train(config, CLASSIFY, 0, examples(rows()), tmp_path / "out", QUIET)
    assert "lora" in caught.value.fix
    assert memory.parameters_on_disk(base("bert").path) == standin.parameters_of(standin.configuration(base("bert")))


def test_a_step_that_cannot_fit_is_refused_and_a_doubtful_one_is_told(base, examples, tmp_path, monkeypatch, capsys):
    from metier.console import Console

    config = TrainConfig(base_model=str(base("bert").path), **FAST)
    network = torch.nn.Linear(10, 10)
    network.config = standin.configuration(base("bert"))
    lengths = [40] * 100
    sizes = memory.Dimensions.of(network.config)
    need = sizes.kept(lengths)
    monkeypatch.setattr(memory, "available", lambda device: need // 2)
    with pytest.raises(UserError, match="are free") as caught:
        memory.check_step(config, network, 0, lengths, QUIET, "cpu")
    assert "train.max_batch_tokens from 16,384 to" in caught.value.fix
    monkeypatch.setattr(memory, "available", lambda device: int(need * 0.9))
    memory.check_step(config, network, 0, lengths, Console(), "cpu")
    assert "if it fails: set train.max_batch_tokens" in capsys.readouterr().err
    monkeypatch.setattr(memory, "available", lambda device: need * 2)
    memory.check_step(config, network, 0, lengths, Console(), "cpu")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
    torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
])  # fmt: skip
def test_running_out_of_memory_is_told_with_advice(error, base, examples, tmp_path, monkeypatch):
    from metier.train.tasks.classify import Classify

    def fail(*given):
        raise error

    monkeypatch.setattr(Classify, "loss", fail)
    config = TrainConfig(base_model=str(base("bert").path), **FAST | {"max_batch_tokens": 64})
    with pytest.raises(UserError, match="out of memory with up to 64 tokens") as caught:
        train(config, CLASSIFY, 0, examples(rows()), tmp_path / "out", QUIET)
    assert "train.max_batch_tokens from 64 to 32" in caught.value.fix


def test_another_error_stays_what_it_is(base, examples, tmp_path, monkeypatch):
    from metier.train.tasks.classify import Classify

    def fail(*given):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Classify, "loss", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        train(TrainConfig(base_model=str(base("bert").path), **FAST), CLASSIFY, 0, examples(rows()), tmp_path, QUIET)


@pytest.mark.parametrize("family", ["bert", "llama", "distilbert", "t5", "gpt2", "modernbert", "bart"])
def test_dimensions_of_every_family(family, base):
    found = memory.Dimensions.of(standin.configuration(base(family)))
    assert (found.layers, found.hidden, found.heads) == (2, 32, 4)
    assert found.intermediate in (48, 128)
    assert found.kept([10, 10]) < 2 * found.kept([10]) + 1 and found.kept([20]) > found.kept([10, 10])
