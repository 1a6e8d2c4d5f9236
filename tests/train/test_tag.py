"""Tagging on small random bases: every head and method gives what its own class gives, learns, and comes back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import transformers
from tests.train.models import FAMILIES

from metier.artifact import Artifact
from metier.console import Console
from metier.errors import UserError
from metier.tables import EXAMPLES, table, write
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoder, Item
from metier.train.model import load
from metier.train.network import Shape, load_tokenizer
from metier.train.network import load as load_network
from metier.train.stage import train
from metier.train.tasks import bio
from metier.train.tasks.tag import Tag

QUIET, TAG = Console(quiet=True), TaskConfig(name="tag")
IDS = [(2, 5, 6, 7, 3), (2, 8, 3), (2, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 3), (2, 5, 6, 7, 3)]
FAST = {"epochs": 25, "learning_rate": 5e-3, "head_learning_rate": 5e-3, "bf16": False, "device": "cpu",
        "batch_size": 8}  # fmt: skip


def rows(n: int = 60, seed: int = 0) -> list[dict]:
    """`card` and `loan` are things of the bank; `late fee` is one entity of two words; 卡 is one of one character."""
    draw, out = random.Random(seed), []
    for index in range(n):
        text, spans = "", []
        for word in draw.choices(["the", "a", "my", "is", "card", "loan", "late fee", "我的卡", "please"], k=6):
            start = len(text)
            text += word + " "
            if word in ("card", "loan", "late fee"):
                spans.append({"start": start, "end": start + len(word), "label": "fee" if " " in word else "thing"})
            if word == "我的卡":
                spans.append({"start": start + 2, "end": start + 3, "label": "thing"})
        split = "train" if index < n * 2 // 3 else "validation" if index < n * 5 // 6 else "test"
        out.append({"id": str(index), "text": text.strip(), "spans": spans, "split": split})
    return out


@pytest.fixture
def examples(tmp_path):
    def make(data: list[dict], name: str = "examples") -> Artifact:
        write(table(data, EXAMPLES), tmp_path / name / "examples.parquet")
        return Artifact(tmp_path / name, "prepare", name, {}, {}, {})

    return make


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "bart"])
def test_token_logits_equal_the_models_own(family, base):
    network = load_network(base(family), Shape(5, "", "tokens", None, "parts"), seed=1).eval()
    network.model.save_pretrained(folder := base(family).path.parent / f"{family}-tags")
    plain = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
    items = [Item((ids,), (), (tuple((i, i + 1) for i in range(len(ids))),)) for ids in IDS]
    with torch.no_grad():
        found = network(items)
        expected = torch.cat([plain(input_ids=torch.tensor([ids])).logits[0] for ids in IDS])
        pairs = network([Item((IDS[0],), (), (((1, 3), (3, 4)),))])
    assert network.flat == FAMILIES[family][2]
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(pairs, torch.stack([expected[1:3].mean(0), expected[3]]), atol=2e-5, rtol=1e-4)


def test_a_base_without_such_a_class_is_refused(base):
    with pytest.raises(UserError, match="tagger of tokens"):
        load_network(base("bart"), Shape(5, "", "tokens", None, "parts"), seed=1)


@pytest.mark.parametrize("family", ["bert", "deberta"])
@pytest.mark.parametrize("method", ["full", "lora", "frozen"])
def test_every_method_learns_and_loads_again(family, method, base, examples, tmp_path, monkeypatch):
    from metier.train import model as saved

    data, kept, write_model = rows(), {}, saved.save
    monkeypatch.setattr(saved, "save", lambda folder, module, *rest: (kept.update(module=module),
                                                                      write_model(folder, module, *rest)))  # fmt: skip
    rates = {"head_learning_rate": 0.1} if method == "frozen" else {}
    config = TrainConfig(base_model=str(base(family).path), method=method, **FAST | rates)
    summary = train(config, TAG, 0, examples(data), tmp_path / "out", QUIET)
    model = load(tmp_path / "out" / "model", device="cpu")
    held = [row for row in data if row["split"] == "test"]
    decoded, encoded = model.predict([row["text"] for row in held])
    gold = {(row["id"], s["start"], s["end"], s["label"]) for row in held for s in row["spans"]}
    found = {(row["id"], s.start, s.end, s.label) for row, some in zip(held, decoded.spans, strict=True) for s in some}
    f1 = 2 * len(gold & found) / (len(gold) + len(found))
    assert f1 >= {"full": 0.95, "lora": 0.7, "frozen": 0.4}[method], f1
    assert all(0 < s.score <= 1 for some in decoded.spans for s in some)
    assert summary["monitor"] == "entity F1" and (summary["overlapping_spans"], summary["inexact_spans"]) == (0, 0)
    with torch.no_grad():  # what was saved is what was trained
        inputs, _ = model.method.inputs(kept["module"].eval(), encoded, 10_000, None)
        expected = kept["module"](inputs)
    torch.testing.assert_close(torch.tensor(model.logits(encoded)), expected, atol=1e-4, rtol=1e-4)


def test_plain_transformers_answers_alike(base, examples, tmp_path):
    data = rows()
    config = TrainConfig(base_model=str(base("bert").path), **FAST | {"epochs": 3})
    train(config, TAG, 0, examples(data), tmp_path / "out", QUIET)
    folder = tmp_path / "out" / "model"
    plain = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    mine, text = load(folder, device="cpu"), data[0]["text"]
    _, encoded = mine.predict([text])
    with torch.no_grad():
        theirs = plain(**tokenizer(text, return_tensors="pt")).logits[0]
    first = [start for window in encoded.items[0].parts for start, _ in window]
    torch.testing.assert_close(torch.tensor(mine.logits(encoded)), theirs[first], atol=1e-5, rtol=1e-4)
    assert plain.config.id2label == {0: "O", 1: "B-fee", 2: "I-fee", 3: "B-thing", 4: "I-thing"}


def test_each_unit_of_a_long_text_is_answered_once_and_far_from_an_edge(base):
    encoder = Encoder(load_tokenizer(base("bert")), 12, "window", 8, overlap=4)
    task = Tag(TAG, {"types": ["x"], "units": 1})
    words = ["card", "bank", "lost", "我", "late"] * 8
    encoded = task.encode(encoder, table([{"text": " ".join(words)}], EXAMPLES))
    places, item = encoded.places[0], encoded.items[0]
    assert [" ".join(words)[a:b] for a, b in places] == words and encoded.notes["unread_units"] == 0
    assert len(item.windows) > 3 and sum(map(len, item.parts)) == len(words)
    ids = encoder.tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]
    answered = [window[start] for window, parts in zip(item.windows, item.parts, strict=True) for start, _ in parts]
    assert answered == ids  # in the order of the text, each once
    for window, parts in list(zip(item.windows, item.parts, strict=True))[1:-1]:
        assert all(start - 1 >= 2 and start <= len(window) - 4 for start, _ in parts)  # half the overlap away


def test_what_is_beyond_the_windows_is_counted_and_not_learned(base):
    encoder = Encoder(load_tokenizer(base("bert")), 12, "cut")
    task = Tag(TAG, {"types": ["x"], "units": 1})
    data = table([{"text": "card " * 30, "spans": [{"start": 0, "end": 4, "label": "x"},
                                                  {"start": 145, "end": 149, "label": "x"}]}], EXAMPLES)  # fmt: skip
    encoded = task.encode(encoder, data)
    assert encoded.notes["unread_units"] == 20 and encoded.cut_tokens == 20
    (target,) = task.targets(data, encoded)
    assert target.tolist() == [1] + [0] * 9
    assert task.decode(np.zeros((10, 3)), encoded).spans == [[]]


def test_every_unit_weighs_the_same_whatever_the_length_of_its_text():
    task = Tag(TAG, {"types": ["x"], "units": 3.0})
    targets = [torch.tensor([0, 1, 2, 0, 0]), torch.tensor([1]), torch.tensor([], dtype=torch.int64)]
    losses = task.loss(torch.zeros(6, 3), [5, 1, 0], targets, 0.0)
    torch.testing.assert_close(losses, torch.tensor([5.0, 1.0, 0.0]) * np.log(3) / 3)


def test_signs_in_one_token_are_not_lost(base):
    """A tokenizer that joins two signs in one token: both units see that token."""
    from metier.train.encoding import Tokens
    from metier.train.tasks.tag import _parts

    text = "a ). b"
    found = Tokens([7, 8, 9], [(0, 1), (1, 4), (5, 6)])  # the second token holds the space, the bracket and the stop
    parts, read = _parts(text, bio.units(text), found, [(0, 3)], 1, True)
    assert read == [(0, 1), (2, 3), (3, 4), (5, 6)] and parts == (((1, 2), (2, 3), (2, 3), (3, 4)),)


def test_a_tokenizer_without_offsets_is_refused(base):
    slow = type("Slow", (), {"is_fast": False})()
    with pytest.raises(UserError, match="which characters a token stands for"):
        Tag(TAG, {"types": ["x"], "units": 1}).encode(Encoder(slow, 12), table([{"text": "a"}], EXAMPLES))


def test_nothing_to_tag_is_a_user_error(base, examples, tmp_path):
    with pytest.raises(UserError, match="nothing to tag"):
        train(TrainConfig(base_model=str(base("bert").path)), TAG, 0, examples([r | {"spans": []} for r in rows()]),
              tmp_path / "out", QUIET)  # fmt: skip


def test_a_resumed_run_ends_with_the_same_weights(base, examples, tmp_path, monkeypatch):
    from metier.train import loop

    artifact = examples(rows())
    config = TrainConfig(base_model=str(base("bert").path), checkpoint_seconds=0,
                         **FAST | {"epochs": 3, "dropout": 0.1})  # fmt: skip
    train(config, TAG, 0, artifact, tmp_path / "whole", QUIET)
    end, calls = loop._end_of_epoch, []

    def stop_in_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return end(*arguments)

    monkeypatch.setattr(loop, "_end_of_epoch", stop_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        train(config, TAG, 0, artifact, tmp_path / "killed", QUIET)
    monkeypatch.setattr(loop, "_end_of_epoch", end)
    train(config, TAG, 0, artifact, tmp_path / "killed", QUIET)
    for name in ("history.json", "model/model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
