"""Models that write: losses are those of plain Transformers, whatever is shared; every task learns and loads again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from metier.artifact import Artifact
from metier.console import Console
from metier.errors import UserError
from metier.tables import write
from metier.train import chat
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoder
from metier.train.model import load, untouched
from metier.train.network import Shape, load_tokenizer
from metier.train.network import load as load_network
from metier.train.sharing import Example
from metier.train.spending import Spending
from metier.train.stage import train

QUIET = Console(quiet=True)
FAST: dict[str, Any] = {"epochs": 8, "learning_rate": 5e-3, "bf16": False, "device": "cpu", "batch_size": 8}
WRITES = Shape(1, "", "language", rows="examples")
COLORS = {"card": "red", "loan": "blue", "fee": "green"}


def examples_of(tokenizer: Any) -> list[Example]:
    """Two questions about one text, and a single one."""
    conversations = [
        [{"role": "user", "content": "The card is red and the fee is 3 %.\n\n" + question},
         {"role": "assistant", "content": answer}]
        for question, answer in (("What colour?", "red"), ("What fee?", "3 %"))
    ] + [[{"role": "user", "content": "你好"}, {"role": "assistant", "content": "您好！有什么可以帮您？"}]]  # fmt: skip
    return [chat.encode(tokenizer, chat.write(tokenizer, one)) for one in conversations]


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "gemma2"])
def test_losses_are_those_of_plain_transformers(family, writer):
    base = writer(family)
    network = load_network(base, WRITES, 0).eval()
    assert network.shares, "every one of these decoders can share beginnings"
    tokenizer = load_tokenizer(base)
    chat.prepare_tokenizer(tokenizer)
    made = examples_of(tokenizer)
    with torch.no_grad():
        found = network([made[:2], made[2:]])[:, 0]
        with network.writing() as model:
            expected = []
            for one in made:
                ids = torch.from_numpy(one.ids)[None]
                logits = model(ids).logits[0, :-1].float()
                losses = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
                expected.append((losses * torch.from_numpy(one.weights[1:])).sum())
    assert torch.allclose(found, torch.stack(expected), rtol=1e-5)
    network.train()
    network.summed = True
    assert network([made]).item() == pytest.approx(sum(expected).item(), rel=1e-5)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_an_encoder_decoder_reads_the_prompt_and_learns_the_answer(family, writer):
    base = writer(family)
    network = load_network(base, WRITES, 0).eval()
    tokenizer = load_tokenizer(base)
    chat.prepare_tokenizer(tokenizer)
    made = examples_of(tokenizer)
    with torch.no_grad():
        found = network([made[:2], made[2:]])[:, 0]
        for one, loss in zip(made, found, strict=True):
            start = int(np.flatnonzero(one.weights)[0])
            stop = int(np.flatnonzero(one.weights)[-1]) + 1
            out = network.model(input_ids=torch.from_numpy(one.ids[None, :start]),
                                labels=torch.from_numpy(one.ids[None, start:stop]))  # fmt: skip
            assert loss.item() == pytest.approx(out.loss.item() * (stop - start), rel=1e-4)


def test_a_model_whose_losses_differ_in_the_tree_runs_padded(writer, monkeypatch):
    """The way is found by numbers: a family that does more to its states than we know is slower, never wrong."""
    from metier.train import language

    base = writer("gemma2")
    monkeypatch.setattr(language, "head_of", lambda model: model.get_output_embeddings())  # forgets the cap
    network = load_network(base, WRITES, 0).eval()
    assert not network.shares
    tokenizer = load_tokenizer(base)
    chat.prepare_tokenizer(tokenizer)
    with torch.no_grad():
        assert torch.isfinite(network([examples_of(tokenizer)])).all()


def test_an_encoder_is_refused_by_name(base):
    with pytest.raises(UserError, match="encoder"):
        load_network(base("bert"), WRITES, 0)


def rows_of(task: str, n: int = 48) -> list[dict[str, Any]]:
    """A world where a card is red, a loan blue, a fee green; three questions a document."""
    out = []
    for index in range(n):
        word = list(COLORS)[index % 3]
        document = f"letter {index // 3}: about {len(str(index)) * 'very '}old things"
        row: dict[str, Any] = {"id": str(index), "split": "train" if index < n * 3 // 4 else
                               "validation" if index < n * 7 // 8 else "test"}  # fmt: skip
        if task == "generate":
            row |= {"text": document, "pair": f"colour of the {word}?", "answer": COLORS[word]}
        elif task == "chat":
            turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"},
                     {"role": "user", "content": f"the {word}?"}]  # fmt: skip
            row |= {"messages": json.dumps(turns), "tools": None, "answer": COLORS[word]}
        elif task == "prefer":
            turns = [{"role": "user", "content": f"the {word}?"}]
            row |= {"messages": json.dumps(turns), "chosen": COLORS[word], "rejected": "who knows"}
        else:
            row |= {"text": f"the {word} is {COLORS[word]}. " * (index % 5 + 1)}
        out.append(row)
    return out


@pytest.fixture
def artifact(tmp_path):
    def make(rows: list[dict[str, Any]]) -> Artifact:
        write(pa.Table.from_pylist(rows), tmp_path / "examples" / "examples.parquet")
        return Artifact(tmp_path / "examples", "prepare", "examples", {}, {}, {})

    return make


@pytest.mark.parametrize("task", ["generate", "chat", "prefer", "pretrain"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_every_task_learns_and_loads_again(task, method, writer, artifact, tmp_path):
    base, rows, config = writer("llama"), rows_of(task), TaskConfig(name=task, max_new_tokens=12)
    # Adapters on a random base move its output little: the head is random and stays so.
    rates, least = ({}, 0.8) if method == "full" else ({"learning_rate": 1e-2}, 0.97)
    given = TrainConfig(base_model=str(base.path), method=method, **FAST | rates)
    summary = train(given, config, 0, artifact(rows), tmp_path / "out", QUIET)
    history = summary["history"]
    assert history[-1]["train_loss"] < least * history[0]["train_loss"]
    test = pa.Table.from_pylist([row for row in rows if row["split"] == "test"])
    model = load(tmp_path / "out" / "model", device="cpu")
    tuned, _ = model.predict(test)
    before, _ = untouched(model, base).predict(test)
    if task == "prefer":
        assert np.mean(tuned.margins) > np.mean(before.margins)
        assert len(tuned.margins) == len(tuned.raw_margins) == test.num_rows
    else:
        assert sum(tuned.bits) < least * sum(before.bits)
        texts = test["text" if task == "pretrain" else "answer"].to_pylist()
        assert tuned.bytes == [len(text.encode()) for text in texts]
    again, _ = load(tmp_path / "out" / "model", device="cpu").predict(test)
    assert again == tuned


def test_a_model_that_has_learned_writes_the_answer_and_stops(writer, artifact, tmp_path):
    base, rows = writer("llama"), rows_of("generate", 96)
    config = TaskConfig(name="generate", max_new_tokens=12)
    given = TrainConfig(base_model=str(base.path), **FAST | {"epochs": 30, "early_stopping": 0})
    train(given, config, 0, artifact(rows), tmp_path / "out", QUIET)
    test = [row for row in rows if row["split"] == "test"]
    spending = Spending("cpu")
    model = replace(load(tmp_path / "out" / "model", device="cpu"), spending=spending)
    found, _ = model.predict(pa.Table.from_pylist(test))
    tokens = sum(len(model.encoder.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in found.texts)
    assert spending.written == tokens + sum(found.finished)  # and its stop token
    assert spending.read and spending.seconds and spending.facts(len(test))["requests"] == len(test)
    right = [text == row["answer"] for text, row in zip(found.texts, test, strict=True)]
    assert np.mean(right) >= 0.75 and np.mean(found.finished) >= 0.75
    saved = json.loads((tmp_path / "out" / "model" / "generation_config.json").read_text())
    assert 257 in saved["eos_token_id"]
    template = load_tokenizer(base).__class__.from_pretrained(tmp_path / "out" / "model").chat_template
    assert template == chat.PLAIN_TEMPLATE


@pytest.mark.parametrize("task", ["generate", "pretrain"])
def test_sharing_and_batches_change_no_weight(task, writer, artifact, tmp_path, monkeypatch):
    """Packed and shared training ends with the weights of training on single, padded sequences."""
    base, rows = writer("llama"), rows_of(task)
    config = TaskConfig(name=task)
    ends = []
    for name in ("shared", "alone"):
        given = TrainConfig(base_model=str(base.path), **FAST | {"epochs": 1, "early_stopping": 0})
        if name == "alone":
            monkeypatch.setattr("metier.train.language.LanguageNetwork.find_way", lambda self: self._use_own())
        train(given, config, 0, artifact(rows), tmp_path / name, QUIET)
        ends.append(load_network_weights(tmp_path / name / "model"))
    for one, two in zip(*ends, strict=True):
        assert torch.linalg.norm(one - two) <= 1e-4 * torch.linalg.norm(one)


def load_network_weights(folder) -> list[torch.Tensor]:
    from safetensors.torch import load_file

    return [tensor for _, tensor in sorted(load_file(folder / "model.safetensors").items())]


def test_frozen_is_refused(writer, artifact, tmp_path):
    given = TrainConfig(base_model=str(writer("llama").path), method="frozen", **FAST)
    with pytest.raises(UserError, match="none to train"):
        train(given, TaskConfig(name="generate"), 0, artifact(rows_of("generate")), tmp_path / "out", QUIET)


def test_simpo_needs_no_reference(writer, artifact, tmp_path):
    config = TaskConfig.model_validate({"name": "prefer", "preference": {"loss": "simpo"}})
    given = TrainConfig(base_model=str(writer("llama").path), **FAST)
    summary = train(given, config, 0, artifact(rows_of("prefer")), tmp_path / "out", QUIET)
    assert summary["history"][-1]["validation_metric"] == 1.0
    assert summary["history"][-1]["train_loss"] < summary["history"][0]["train_loss"]


def test_dpo_starts_at_log_two(writer, artifact, tmp_path):
    """Before the first step the policy is the reference, so every pair costs ln 2."""
    config = TaskConfig(name="prefer")
    given = TrainConfig(base_model=str(writer("llama").path), **FAST | {"epochs": 1, "learning_rate": 1e-9})
    summary = train(given, config, 0, artifact(rows_of("prefer")), tmp_path / "out", QUIET)
    assert summary["history"][0]["train_loss"] == pytest.approx(np.log(2), rel=1e-3)


def encoder_of(base: Any, limit: int, **more: Any) -> Encoder:
    return Encoder(load_tokenizer(base), limit, **more)


def test_pretraining_learns_every_token_once(writer):
    from metier.registry import lookup

    task = lookup("task", "pretrain")(TaskConfig(name="pretrain"), {})
    texts = ["short", "x" * 200, "利率" * 60, ""]
    encoded = task.encode(encoder_of(writer("llama"), 64, overlap=8), pa.table({"text": texts}))
    learned = encoded.by_row(np.array([one.labelled for one in encoded.examples], float))
    assert learned.tolist() == [len(text.encode()) + 1 for text in texts]  # and the end of each text
    assert all(len(one) <= 64 for one in encoded.examples)
    assert encoded.windowed == 2 and encoded.cut == 0
    # Each piece but a text's first begins with tokens that are read and not learned again.
    assert all(one.weights[0] == 0 for one in encoded.examples)


@pytest.mark.parametrize("task", ["generate", "chat", "pretrain", "prefer"])
def test_new_texts_are_answered_in_a_file(task, writer, artifact, tmp_path):
    from metier.prediction import predict_to

    base, rows = writer("llama"), rows_of(task)
    given = TrainConfig(base_model=str(base.path), **FAST | {"epochs": 1})
    train(given, TaskConfig(name=task, max_new_tokens=4), 0, artifact(rows), tmp_path / "out", QUIET)
    model, out = str(tmp_path / "out" / "model"), tmp_path / "answers.jsonl"
    if task == "prefer":
        with pytest.raises(UserError, match="no answers to predict"):
            predict_to(model, ["the card?"], None, out)
        return
    predict_to(model, ["the card?", "我的卡"], None, out, question="what colour?" if task == "generate" else None)
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in found] == ["the card?", "我的卡"]
    if task == "pretrain":
        assert all(4 < row["bits_per_byte"] < 12 for row in found)  # a hardly trained model over 260 bytes and marks
    else:
        assert all(isinstance(row["answer"], str) and row["finished"] in (True, False) for row in found)
