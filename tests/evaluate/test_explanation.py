"""Explanations: complete, faithful for a model that looks at one word, and blind for one that looks at none."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.train.models import build

from metier import tables
from metier.console import Console
from metier.errors import UserError
from metier.evaluate.checks.base import marked
from metier.evaluate.config_evidence import ExplanationConfig
from metier.evaluate.explain import faithful, training, words
from metier.evaluate.explain.reading import read, rows_of
from metier.evaluate.explain.text import explain
from metier.registry import lookup
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoder
from metier.train.model import TunedModel
from metier.train.network import Shape, load, load_tokenizer

from .memory import learn, writer

FILLER = ["please", "my", "is", "here", "not", "help", "the", "a"]
STATES: dict[str, dict[str, Any]] = {
    "classify": {"classes": ["pay", "lost", "other"]}, "score": {"mean": 2.0, "spread": 3.0},
    "tag": {"types": ["thing", "deed"], "units": 6.0}, "extract": {"threshold": -100.0},
    "relate": {"classes": ["pay", "lost"]},
}  # fmt: skip


def reader(base: Any, name: str = "classify", method: str = "full", length: int = 60, **config: Any) -> TunedModel:
    """A random reading model of a task."""
    task = lookup("task", name)(TaskConfig(name=name, **config), STATES[name])
    shape = Shape(task.outputs, task.problem_type, task.pooling("mean"), rows=task.rows)
    network = load(base, shape, 0)
    torch.manual_seed(1)
    if method == "frozen":
        module = lookup("method", "frozen").wrap(network, TrainConfig(), task.outputs)
        torch.nn.init.normal_(module.classifier.weight)
    else:
        module = network
    encoder = Encoder(load_tokenizer(base), length)
    return TunedModel(module.eval(), task, lookup("method", method), encoder, 4096, False)


def rows(n: int = 30, seed: int = 0) -> list[dict[str, Any]]:
    """Texts whose label is that of one word among fillers, or `other` where there is none."""
    draw = random.Random(seed)
    made = []
    for i in range(n):
        label = ["pay", "lost", "other"][i % 3]
        text = draw.choices(FILLER, k=7)
        if label != "other":
            text[draw.randrange(7)] = label
        made.append({
            "id": f"e{i}", "text": " ".join(text), "label": label, "pair": "the loan", "value": float(i % 2),
            "spans": [{"start": 0, "end": 2, "label": "thing"}], "answers": [{"start": 0, "end": 2}],
        })  # fmt: skip
    return made


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[str, Any] = {}

    def get(family: str) -> Any:
        if family not in made:
            made[family] = build(family, tmp_path_factory.mktemp("bases") / family)
        return made[family]

    return get


@pytest.fixture(scope="module")
def taught(base: Any) -> TunedModel:
    """A classifier that learned which word decides."""
    model = reader(base("bert"))
    table = tables.table(rows(42), tables.EXAMPLES)
    items, targets = model.task.encode(model.encoder, table).items, model.task.targets(table)
    optimizer = torch.optim.AdamW(model.module.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        model.task.loss(model.module(items), [1] * len(items), targets, 0.0).mean().backward()
        optimizer.step()
    model.module.eval()
    return model


def one(text: str, **more: Any) -> Any:
    return tables.table([{"text": text, **more}], tables.EXAMPLES)


def test_the_word_that_decides_is_found_and_the_explanation_is_faithful(taught: TunedModel) -> None:
    gains, hits = [], 0
    asked = [row for row in rows(15, seed=5) if row["label"] != "other"]
    for row in asked:
        found = explain(taught, one(row["text"]), ExplanationConfig(), np.random.default_rng(0))
        assert found is not None and found.answer == row["label"]
        heaviest = found.words[int(found.weights.argmax())]
        hits += row["text"][heaviest.start : heaviest.end] == row["label"]
        assert found.found.error <= 0.05 and found.found.full > found.found.empty
        assert found.attention.sum() == pytest.approx(1, abs=0.5) and (found.attention >= 0).all()
        gains.append(found.faith.gain)
    assert hits >= 8 and np.mean(gains) > 0.15  # of 10
    reading = read(taught, one(rows()[0]["text"]))
    assert reading is not None
    right = words.attribute(reading, 32, 0.05).words
    wrong = faithful.faithfulness(reading, -right, 5, np.random.default_rng(0))
    assert wrong is not None and wrong.gain < 0  # the order turned round is worse than a random one
    noise = [faithful.faithfulness(reading, np.random.default_rng(seed).random(len(right)), 5,
                                   np.random.default_rng(seed)).gain for seed in range(20)]  # fmt: skip
    assert abs(np.mean(noise)) < 0.15  # an explanation that knows nothing


@pytest.mark.parametrize(("family", "name", "method", "config"), [
    ("bert", "classify", "frozen", {}), ("deberta", "classify", "full", {}), ("llama", "classify", "full", {}),
    ("bert", "classify", "full", {"pair": True}), ("bert", "classify", "full", {"multi_label": True}),
    ("bert", "score", "full", {}), ("bert", "tag", "full", {}), ("deberta", "tag", "full", {}),
    ("bert", "extract", "full", {}), ("bert", "relate", "full", {}), ("bert", "tag", "frozen", {}),
])  # fmt: skip
def test_every_reading_of_a_text_is_complete(base: Any, family: str, name: str, method: str, config: Any) -> None:
    """Windows, pairs, parts and frozen states: the network with its own embeddings put back gives its own answer, and
    the words' weights and special tokens add up to the difference."""
    model = reader(base(family), name, method, 14, **config)
    text = (
        "<< my card >> is lost and [[ the bank ]]" if name == "relate" else "my card is lost the bank is not here " * 2
    )
    found = read(model, one(text, pair="late fee"))
    if found is None:
        assert name == "tag"  # a random tagger may find no entity
        return
    own, empty = found.embeddings()
    with torch.no_grad():
        logits = rows_of(model, [found.item])
        plain = float((logits * torch.as_tensor(found.goal.weights)).sum())
        assert float(found(own[None])[0]) == pytest.approx(plain, abs=1e-4)
        both = found(torch.stack([own, empty]))
    sums = words.attribute(found, 32, 0.02)
    assert (sums.full, sums.empty) == pytest.approx(both.tolist(), abs=1e-4)
    assert sums.error < 0.05 or abs(sums.full - sums.empty) < 1e-3
    named = {found.texts[word.field][word.start : word.end] for word in found.words}
    assert {"card", "bank"} <= named and ("late" in named) == ("pair" in found.texts)
    assert len(found.word_of) == len(own) == len(found.ids)
    owned = [found.words[owner] for owner in found.word_of if owner >= 0]
    known = load_tokenizer(base(family))
    for token, word in zip([t for t, o in zip(found.ids, found.word_of, strict=True) if o >= 0], owned, strict=True):
        assert known.decode([token]).strip() in (found.texts[word.field][word.start : word.end], "[UNK]")


def value(model: TunedModel, found: Any) -> float:
    """What is explained, now."""
    return float((rows_of(model, [found.item]).double() * torch.as_tensor(found.goal.weights)).sum())


def test_influence_is_the_change_that_a_step_of_the_head_makes(taught: TunedModel, base: Any) -> None:
    """Against the definition: one small gradient step on a training example, and how far the goal moves."""
    for model in (taught, reader(base("bert"), "tag"), reader(base("bert"), "classify", "frozen"),
                  reader(base("roberta"), "score", length=14)):  # fmt: skip
        table = tables.table(rows(6), tables.EXAMPLES)
        known = training.Training(model, table, Console(quiet=True))
        found = read(model, one("my card is lost the bank is not here please"))
        if found is None:
            continue
        pushed = dict(known.influential(found, 6))
        layer = training._last_layer(model)
        encoded = model.task.encode(model.encoder, table)
        targets, counts = model.task.targets(table, encoded), model.method.counts(encoded, model.task)
        before = layer.weight.detach().clone(), None if layer.bias is None else layer.bias.detach().clone()
        for row in range(6):
            for part in layer.parameters():
                part.requires_grad_(True)
                part.grad = None
            loss = model.task.loss(rows_of(model, [encoded.items[row]]), counts[row : row + 1],
                                   targets[row : row + 1], 0.0).sum()  # fmt: skip
            loss.backward()
            with torch.no_grad():
                start, rate = value(model, found), 1e-3
                for part in layer.parameters():
                    part -= rate * part.grad
                moved = (value(model, found) - start) / rate
                layer.weight.copy_(before[0])
                if layer.bias is not None:
                    layer.bias.copy_(before[1])
            assert moved == pytest.approx(pushed.get(row, min(moved, 0.0)), rel=0.05, abs=5e-3), (model.task, row)


def test_the_nearest_training_example_of_a_text_is_the_text_itself(taught: TunedModel) -> None:
    known = training.Training(taught, tables.table(rows(20), tables.EXAMPLES), Console(quiet=True))
    found = read(taught, one(rows(20)[7]["text"]))
    assert found is not None
    place, cosine = known.nearest(found, 1)[0]
    assert rows(20)[place]["text"] == rows(20)[7]["text"] and cosine == pytest.approx(1, abs=1e-5)


def test_written_answers_and_texts_are_explained(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    for name in ("generate", "pretrain"):
        task = TaskConfig(name=name, max_new_tokens=6)
        model, _ = writer(tmp_path / name, task, template)
        table = tables.table([{"id": f"t{i}", "text": text, "answer": text[:3]} for i, text in
                              enumerate(["卡丢了 now", "pay me", "rent is due"])], tables.EXAMPLES)  # fmt: skip
        learn(model, table, 8)
        known = training.Training(model, table, Console(quiet=True))
        found = explain(model, table.slice(0, 1), ExplanationConfig(random_orders=2), np.random.default_rng(0), known)
        assert found is not None and found.found.error < 0.2
        named = [found.texts["prompt"][word.start : word.end] for word in found.words]
        assert {"卡", "丢", "了", "now"} <= set(named)
        assert len(found.near) == 3 and found.near[0][0] == 0 and len(found.attention) == len(found.words)
    reading = read(model, table.slice(1, 1))
    with pytest.raises(UserError, match="there is no layer 2"):
        words.attention(reading, 2)
    assert words.attention(reading, 1, -1).shape == (len(reading.words),)


def test_marks_are_thirds_of_the_largest_weight() -> None:
    found = marked("pay the late fee", [(0, 3, 3.0), (4, 7, 0.2), (8, 12, -1.0), (13, 16, -2.0)])["marked"]
    assert [(piece["text"], piece["level"]) for piece in found] == [
        ("pay", 3), (" the ", 0), ("late", -1), (" ", 0), ("fee", -2)
    ]  # fmt: skip
    assert marked("plain", [])["marked"] == [{"text": "plain", "level": 0}]


def test_the_report_marks_words_and_hides_them_on_request(copied: Path, metier: Any) -> None:
    more = ["evaluate.checks=[explanation]", "evaluate.explanation.examples=5", "evaluate.explanation.errors=2",
            "evaluate.explanation.random_orders=2"]  # fmt: skip
    answer = metier("run", "recipe.yaml", *more, "train.epochs=0.1")
    assert answer.code == 0, answer.text
    page = Path("runs/small/report.html").read_text(encoding="utf-8")
    assert 'class="weight ' in page and "explanation.faithfulness" in page and "模型空间中最近" in page
    assert metier("run", "recipe.yaml", *more, "train.epochs=0.1", "report.show_texts=false").code == 0
    hidden = Path("runs/small/report.html").read_text(encoding="utf-8")
    assert 'class="weight' not in hidden.partition("<body>")[2] and "explanation.faithfulness" in hidden
    # the same for any text, from the command line
    told = metier("explain", "small", "my card is lost", "--json")
    assert told.code == 0, told.text
    import json

    found = json.loads(told.out)[0]
    assert found["answer"] in ("card", "loan", "transfer") and [one["word"] for one in found["words"]][:2] == [
        "my",
        "card",
    ]
    assert found["nearest"] and found["completeness_miss"] < 0.2 and -1 <= found["faithfulness"] <= 1
    spoken = metier("explain", "small", "my card is lost", "--language", "zh", "--layer", "0", "--head", "1")
    assert spoken.code == 0 and "最近的训练样本" in spoken.out, spoken.text
    assert metier("explain", "small", "my card", "--layer", "9").code == 2
