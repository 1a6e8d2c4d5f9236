"""Pairs of texts: arranged as the tokenizer does, one in every window, decided by what validation prefers."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import transformers

from metier.artifact import Artifact
from metier.console import Console
from metier.tables import EXAMPLES, table, write
from metier.train.bases import resolve
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoder, Item, frame_of
from metier.train.model import load
from metier.train.network import Shape, load_tokenizer
from metier.train.network import load as load_network
from metier.train.stage import train
from metier.train.tasks.base import combined
from metier.train.tasks.classify import Classify

QUIET, PAIR = Console(quiet=True), TaskConfig(pair=True)
FAST = {"epochs": 40, "learning_rate": 5e-3, "head_learning_rate": 5e-3, "bf16": False, "device": "cpu",
        "batch_size": 8}  # fmt: skip


def rows(n: int = 90, seed: int = 0) -> list[dict]:
    """The answer is yes when the short text asks for the card and the document tells of one."""
    draw, out = random.Random(seed), []
    for index in range(n):
        asked = draw.choice(["card", "loan"])
        there = draw.choice(["card", "loan"])
        words = [*draw.choices(["the", "a", "my", "is", "here"], k=4), there]
        draw.shuffle(words)
        yes = asked == there == "card"
        split = "train" if index < n * 2 // 3 else "validation" if index < n * 5 // 6 else "test"
        out.append({"id": str(index), "text": " ".join(words), "pair": asked, "label": "yes" if yes else "no",
                    "value": float(yes), "split": split})  # fmt: skip
    return out


@pytest.fixture
def examples(tmp_path):
    write(table(rows(), EXAMPLES), tmp_path / "examples" / "examples.parquet")
    return Artifact(tmp_path / "examples", "prepare", "examples", {}, {}, {})


def test_a_pair_stands_as_the_tokenizer_puts_it() -> None:
    base = resolve("minilm")
    tokenizer = load_tokenizer(base)
    texts, pairs = ["the contract ends", "it goes on for ever"], ["may they share it?", "no"]
    encoded = Encoder(tokenizer, 64).encode(texts, pairs=pairs)
    for item, text, pair in zip(encoded.items, texts, pairs, strict=True):
        expected = tokenizer(pair, text)
        assert (list(item.windows[0]), list(item.types[0])) == (expected["input_ids"], expected["token_type_ids"])


def test_a_tokenizer_without_an_arrangement_gets_a_separator(base) -> None:
    tokenizer = load_tokenizer(base("bert"))
    assert frame_of(tokenizer, pair=True) == ([2], [3], [3], None)


def test_the_short_text_stands_in_every_window_and_is_cut_at_half(base) -> None:
    tokenizer = load_tokenizer(base("bert"))
    encoder = Encoder(tokenizer, 13, "window", 8, overlap=2)
    encoded = encoder.encode(["card " * 20], pairs=["loan fee"])
    loan = tokenizer("loan fee", add_special_tokens=False)["input_ids"]
    windows = encoded.items[0].windows
    assert len(windows) == 3 and all(list(window[1:3]) == loan and len(window) <= 13 for window in windows)
    assert (encoded.windowed, encoded.cut) == (1, 0)
    long = encoder.encode(["card"], pairs=["loan " * 20])
    assert (long.cut, long.cut_tokens) == (1, 15) and len(long.items[0].windows[0]) == 3 + 5 + 1


@pytest.mark.parametrize("family", ["bert", "deberta"])
def test_token_types_reach_the_model(family, base, tmp_path):
    shape = Shape(3, "single_label_classification", "own", None, "windows")
    network = load_network(base(family), shape, seed=1).eval()
    network.model.save_pretrained(tmp_path)
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    items = [Item(((2, 5, 3, 7, 8, 3), (2, 5, 3, 9, 3)), ((0, 0, 0, 1, 1, 1), (0, 0, 0, 1, 1))),
             Item(((2, 6, 3, 10, 3),), ((0, 0, 0, 1, 1),))]  # fmt: skip
    with torch.no_grad():
        found = network(items)
        expected = torch.cat([
            plain(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([kinds])).logits
            for item in items for ids, kinds in zip(item.windows, item.types, strict=True)
        ])  # fmt: skip
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("method", ["full", "lora", "frozen"])
def test_every_method_learns_pairs_and_loads_again(method, base, examples, tmp_path):
    rates = {"head_learning_rate": 0.1} if method == "frozen" else {}
    config = TrainConfig(base_model=str(base("bert").path), method=method, **FAST | rates)
    train(config, PAIR, 0, examples, tmp_path / "out", QUIET)
    model = load(tmp_path / "out" / "model", device="cpu")
    held = table([row for row in rows() if row["split"] == "test"], EXAMPLES)
    decoded, encoded = model.predict(held.select(["text", "pair"]))
    right = sum(a == b for a, b in zip(decoded.labels, held["label"].to_pylist(), strict=True))
    assert right >= {"full": 0.95, "lora": 0.7, "frozen": 0.6}[method] * held.num_rows
    again, _ = model.predict(held)
    np.testing.assert_array_equal(decoded.scores, again.scores)
    assert len(encoded) == held.num_rows


def test_a_score_of_pairs(base, examples, tmp_path):
    config = TrainConfig(base_model=str(base("bert").path), **FAST)
    train(config, TaskConfig(name="score", pair=True), 0, examples, tmp_path / "out", QUIET)
    held = [row for row in rows() if row["split"] == "test"]
    decoded, _ = load(tmp_path / "out" / "model", device="cpu").predict(table(held, EXAMPLES))
    errors = [abs(found - row["value"]) for found, row in zip(decoded.values, held, strict=True)]
    assert sum(errors) / len(errors) < 0.2  # always giving the mean is off by 0.4


def test_windows_are_averaged_or_the_largest_decides() -> None:
    logits = torch.tensor([[1.0, 0.0], [3.0, 2.0], [0.0, 5.0]])
    torch.testing.assert_close(combined(logits, [2, 1], "mean"), torch.tensor([[2.0, 1.0], [0.0, 5.0]]))
    torch.testing.assert_close(combined(logits, [2, 1], "max"), torch.tensor([[3.0, 2.0], [0.0, 5.0]]))
    assert combined(logits, [1, 1, 1], "max") is logits


def test_validation_decides_how_windows_are_brought_together() -> None:
    """One window of three knows; the others are mildly sure of the contrary."""
    task = Classify(PAIR, {"classes": ["no", "yes"]})
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    task.settle(logits, [3], torch.tensor([1]))
    assert task.combine == "max" and task.state()["combine"] == "max"
    assert Classify(PAIR, task.state()).combine == "max"
    task.settle(logits, [3], torch.tensor([0]))
    assert task.combine == "mean"
