"""Extraction on small random bases: the head is Transformers' own, answers are found in windows, methods come back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
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
from metier.train.tasks.extract import END, GIVEN, GOLD, NULL, START, WITHHELD, Extract, Place, best_span

QUIET, EXTRACT = Console(quiet=True), TaskConfig(name="extract", max_answer_tokens=4)
ALWAYS = TaskConfig(name="extract", no_answer=False, max_answer_tokens=4)
IDS = [(2, 5, 3, 6, 7, 3), (2, 8, 3, 9, 3), (2, 9, 10, 3, 11, 12, 13, 14, 15, 16, 17, 18, 3), (2, 5, 3, 6, 7, 3)]
SHAPE = Shape(2, "", "answers", None, "parts")
FAST = {"epochs": 30, "learning_rate": 5e-3, "head_learning_rate": 5e-3, "bf16": False, "device": "cpu",
        "batch_size": 8}  # fmt: skip


def rows(n: int = 120, seed: int = 0) -> list[dict]:
    """Asked for the card, the loan or the 卡, the answer is what stands after it; or it is not there."""
    draw, out = random.Random(seed), []
    for index in range(n):
        asked = draw.choice(["card", "loan", "卡"])
        facts = {"card": "late fee", "loan": "help", "卡": "丢了"}
        there = draw.sample(list(facts), k=2)
        words = [*(f"{name} {facts[name]}" for name in there), *draw.choices(["the", "a", "my", "is"], k=3)]
        draw.shuffle(words)
        text, at = " ".join(words), " ".join(words).find(f"{asked} {facts[asked]}")
        start = at + len(asked) + 1
        answers = [{"start": start, "end": start + len(facts[asked])}] if at >= 0 else []
        split = "train" if index < n * 2 // 3 else "validation" if index < n * 5 // 6 else "test"
        out.append({"id": str(index), "text": text, "pair": asked, "answers": answers, "split": split})
    return out


@pytest.fixture
def examples(tmp_path):
    def make(data: list[dict], name: str = "examples") -> Artifact:
        write(table(data, EXAMPLES), tmp_path / name / "examples.parquet")
        return Artifact(tmp_path / name, "prepare", name, {}, {}, {})

    return make


def answered(model, held: list[dict]) -> list[str]:
    decoded, _ = model.predict(table(held, EXAMPLES))
    return [row["text"][spans[0].start : spans[0].end] if spans and spans[0].label == GIVEN else ""
            for row, spans in zip(held, decoded.spans, strict=True)]  # fmt: skip


def gold(row: dict) -> str:
    return row["text"][row["answers"][0]["start"] : row["answers"][0]["end"]] if row["answers"] else ""


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "modernbert", "deberta"])
def test_logits_and_gradients_equal_the_models_own(family, base):
    """Flat or padded, with the null and the places of the text alone in the loss."""
    network = load_network(base(family), SHAPE, seed=1).eval()
    network.model.save_pretrained(folder := base(family).path.parent / f"{family}-answers")
    plain = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    assert network.flat == FAMILIES[family][2]
    whole = [Item((ids,), (), (tuple((i, i + 1) for i in range(len(ids))),)) for ids in IDS]
    found = network(whole)
    answers = [plain(input_ids=torch.tensor([ids])) for ids in IDS]
    expected = torch.cat([torch.stack([a.start_logits[0], a.end_logits[0]], 1) for a in answers])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    places = [(3, 4), (0, 0), (5, 8), (4, 4)]  # tokens of start and end; 0 is the null
    for ids, place in zip(IDS, places, strict=True):
        start, end = (torch.tensor([token]) for token in place)
        plain(input_ids=torch.tensor([ids]), start_positions=start, end_positions=end).loss.backward()
    targets = [torch.tensor([[len(ids), 1, *place, *place]]) for ids, place in zip(IDS, places, strict=True)]
    Extract(EXTRACT, {}).loss(found, [len(ids) for ids in IDS], targets, 0.05).sum().backward()
    theirs = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
    mine = {name: p.grad for name, p in network.model.named_parameters() if p.grad is not None}
    assert theirs.keys() == mine.keys() and any("qa_outputs" in name or "classifier" in name for name in mine)
    for name, gradient in theirs.items():
        torch.testing.assert_close(mine[name], gradient, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("family", ["bert", "deberta"])
@pytest.mark.parametrize("method", ["full", "lora", "frozen"])
def test_every_method_learns_and_loads_again(family, method, base, examples, tmp_path, monkeypatch):
    from metier.train import model as saved

    data, kept, write_model = rows(), {}, saved.save
    monkeypatch.setattr(saved, "save", lambda folder, module, *rest: (kept.update(module=module),
                                                                      write_model(folder, module, *rest)))  # fmt: skip
    rates = {"head_learning_rate": 0.1} if method == "frozen" else {}
    config = TrainConfig(base_model=str(base(family).path), method=method, **FAST | rates)
    summary = train(config, EXTRACT, 0, examples(data), tmp_path / "out", QUIET)
    model = load(tmp_path / "out" / "model", device="cpu")
    held = [row for row in data if row["split"] == "test"]
    right = sum(found == gold(row) for found, row in zip(answered(model, held), held, strict=True)) / len(held)
    assert right >= {"full": 0.9, "lora": 0.6, "frozen": 0.3}[method], right
    assert summary["monitor"] == "answer F1" and summary["answers_outside"] == summary["inexact_answers"] == 0
    _, encoded = model.predict(table(held, EXAMPLES))
    with torch.no_grad():  # what was saved is what was trained
        inputs, _ = model.method.inputs(kept["module"].eval(), encoded, 10_000, None)
        expected = kept["module"](inputs)
    torch.testing.assert_close(torch.tensor(model.logits(encoded)), expected, atol=1e-4, rtol=1e-4)


def test_plain_transformers_answers_alike(base, examples, tmp_path):
    data = rows()
    train(TrainConfig(base_model=str(base("bert").path), **FAST | {"epochs": 3}), EXTRACT, 0, examples(data),
          tmp_path / "out", QUIET)  # fmt: skip
    plain = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out" / "model").eval()
    mine = load(tmp_path / "out" / "model", device="cpu")
    _, encoded = mine.predict(table(data[:1], EXAMPLES))
    (window,), (parts,) = encoded.items[0].windows, encoded.items[0].parts
    with torch.no_grad():
        theirs = plain(input_ids=torch.tensor([window]))
    places = [start for start, _ in parts]
    expected = torch.stack([theirs.start_logits[0, places], theirs.end_logits[0, places]], 1)
    torch.testing.assert_close(torch.tensor(mine.logits(encoded)), expected, atol=1e-5, rtol=1e-4)
    assert mine.task.threshold == Extract(EXTRACT, mine.task.state()).threshold != 0.0  # settled, saved, loaded


def test_an_answer_is_always_given_where_the_recipe_says_so(base, examples, tmp_path):
    data = [row for row in rows(360) if row["answers"]]
    config = TrainConfig(base_model=str(base("bert").path), **FAST)
    train(config, ALWAYS, 0, examples(data), tmp_path / "out", QUIET)
    held = [row for row in data if row["split"] == "test"]
    found = answered(load(tmp_path / "out" / "model", device="cpu"), held)
    assert all(found) and sum(a == gold(row) for a, row in zip(found, held, strict=True)) >= 0.85 * len(held)


def test_the_question_stands_in_every_window_and_each_learns_what_it_holds(base):
    """A whole answer is learned, none is the null, a part is nothing."""
    encoder = Encoder(load_tokenizer(base("bert")), 14, "window", 8, overlap=3)
    text = "the a my is the a my is late fee the a my is the a my is"
    start = text.index("late fee")
    data = table([{"text": text, "pair": "card", "answers": [{"start": start, "end": start + 8}]}], EXAMPLES)
    task = Extract(EXTRACT, {})
    encoded = task.encode(encoder, data)
    item, place = encoded.items[0], encoded.places[0]
    assert len(item.windows) == 3 and all(list(window[:3]) == [2, 6, 3] for window in item.windows)
    ids = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
    for window, parts, (begin, finish) in zip(item.windows, item.parts, place.ranges, strict=True):
        assert parts[0] == (0, 1) and [window[a] for a, _ in parts[1:]] == ids[begin:finish]
    (target,) = task.targets(data, encoded)
    assert place.ranges == [(0, 10), (7, 17), (14, 18)]
    assert target[:, START : END + 1].tolist() == [[9, 10], [2, 3], [NULL, NULL]]
    cut = Encoder(encoder.tokenizer, 13, "window", 8, overlap=0)  # the border runs through the answer
    encoded = task.encode(cut, data)
    (target,) = task.targets(data, encoded)
    assert target[:, START].tolist() == [-1, -1] and encoded.notes["answers_outside"] == 1
    assert task.loss(torch.zeros(20, 2), [20], [target], 0.0).tolist() == [0.0]  # nothing is learned from it


def test_what_cannot_be_learned_or_given_is_counted(base):
    encoder = Encoder(load_tokenizer(base("bert")), 12, "cut")
    data = table([
        {"text": "the " * 20 + "card", "pair": "loan", "answers": [{"start": 80, "end": 84}]},
        {"text": "late fee the a my", "pair": "loan " * 9,
         "answers": [{"start": 1, "end": 6}, {"start": 0, "end": 17}]},
        {"text": "", "pair": "loan", "answers": []},
    ], EXAMPLES)  # fmt: skip
    task = Extract(EXTRACT, {})
    encoded = task.encode(encoder, data)
    targets = task.targets(data, encoded)
    assert encoded.notes == {"cut_questions": 1, "answers_outside": 1, "inexact_answers": 1, "long_answers": 1}
    assert encoded.cut == 2 and encoded.cut_tokens == (21 - 8) + (9 - 4)
    assert targets[2].tolist() == [[1, 0, 0, 0, -1, -1]]
    decoded = task.decode(np.zeros((sum(encoded.counts("parts")), 2), dtype=np.float32), encoded)
    assert decoded.spans[2] == []


def test_the_best_span_of_all_windows_beats_its_own_null() -> None:
    """The second window is less sure of itself in raw logits, and surer against its null."""
    task = Extract(TaskConfig(name="extract", max_answer_tokens=2), {"threshold": 1.0})
    place = Place("aa bb cc dd", [(0, 2), (3, 5), (6, 8), (9, 11)], [(0, 2), (2, 4)])
    logits = np.array([[9, 9], [9, 0], [0, 8], [0, 0], [3, 0], [0, 2]], dtype=np.float32)
    encoded = type("Encoded", (), {"places": (place,)})()
    (span,) = task.decode(logits, encoded).spans[0]
    assert (span.start, span.end, span.label) == (6, 11, GIVEN) and span.score == pytest.approx(1 / (1 + np.exp(-5)))
    task.threshold = 5.5
    assert task.decode(logits, encoded).spans[0][0].label == WITHHELD


@given(st.integers(1, 12), st.integers(1, 15), st.integers(0, 10_000))
def test_the_best_span_is_the_best_of_all(size: int, most: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(1 + size, 2)).astype(np.float32)
    first, last, lead = best_span(logits, most) or (0, 0, 0.0)
    null = float(logits[0].astype(np.float64).sum())
    every = {(i, j): float(np.float64(logits[i, 0]) + np.float64(logits[j, 1])) - null
             for i in range(1, size + 1) for j in range(i, min(size, i + most - 1) + 1)}  # fmt: skip
    assert lead == pytest.approx(max(every.values())) == every[first, last]


def test_the_threshold_is_the_best_one_on_validation() -> None:
    task = Extract(EXTRACT, {})
    logits = torch.tensor([[0.0, 0.0], [5.0, 5.0], [0.0, 0.0], [3.0, 3.0], [0.0, 0.0], [1.0, 1.0]])
    right, none = torch.tensor([[2, 1, 1, 1, 1, 1]]), torch.tensor([[2, 0, 0, 0, -1, -1]])
    task.settle(logits, [2, 2, 2], [right, none, none])
    assert task.threshold == 8.0 and task.monitor(logits, [2, 2, 2], [right, none, none]) == 1.0
    task.settle(logits, [2, 2, 2], [none, none, none])
    assert task.monitor(logits, [2, 2, 2], [none] * 3) == 1.0
    task.settle(logits, [2, 2, 2], [right, right, right])
    assert task.monitor(logits, [2, 2, 2], [right] * 3) == 1.0


@pytest.mark.parametrize("text", ["费用👍🏽是 100 元。\u200b谢谢", "a👩‍👩‍👧b fee 𠮷野家", "e\u0301tude fee  \t是"])
def test_offsets_count_characters_whatever_they_are(text: str) -> None:
    """Every token of a byte-level tokenizer stands for whole characters of the text, emoji and wide ones too."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=["<s>", "</s>"], show_progress=False)
    raw.train_from_iterator(["fee 是"], trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", pad_token="<s>")
    encoder, task = Encoder(tokenizer, 120), Extract(ALWAYS.model_copy(update={"max_answer_tokens": 99}), {})
    for word in ("是", "fee", "👍🏽", "𠮷野家", "👩‍👩‍👧", "e\u0301"):
        if word not in text:
            continue
        start = text.index(word)
        data = table([{"text": text, "pair": "?", "answers": [{"start": start, "end": start + len(word)}]}], EXAMPLES)
        encoded = task.encode(encoder, data)
        (target,) = task.targets(data, encoded)
        logits = np.zeros((sum(encoded.counts("parts")), 2), dtype=np.float32)
        logits[target[0, GOLD], 0] = logits[target[0, GOLD + 1], 1] = 9
        (span,) = task.decode(logits, encoded).spans[0]
        assert text[span.start : span.end] == word


def test_a_tokenizer_without_offsets_and_nothing_to_learn_are_refused(base, examples, tmp_path):
    slow = type("Slow", (), {"is_fast": False})()
    with pytest.raises(UserError, match="which characters a token stands for"):
        Extract(EXTRACT, {}).encode(Encoder(slow, 12), table([{"text": "a", "pair": "b"}], EXAMPLES))
    with pytest.raises(UserError, match="nothing to extract"):
        train(TrainConfig(base_model=str(base("bert").path)), EXTRACT, 0,
              examples([row | {"answers": []} for row in rows()]), tmp_path / "out", QUIET)  # fmt: skip
