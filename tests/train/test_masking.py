"""Masked pretraining: the draw, the network against plain Transformers, learning, saving, resuming, evaluating."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.artifact import Artifact
from metier.console import Console
from metier.errors import UserError
from metier.evaluate.floors.ngram import fit
from metier.registry import lookup
from metier.tables import EXAMPLES, table, write
from metier.train import loop
from metier.train.config import MaskedConfig, TaskConfig, TrainConfig
from metier.train.encoding import Encoder
from metier.train.masking import HELD_OUT, Masked, Masker, masker, words_of
from metier.train.model import load, untouched
from metier.train.network import Shape
from metier.train.network import load as load_network
from metier.train.stage import train
from metier.train.tasks.pretrain import Pretrain, hidden_stretches

QUIET = Console(quiet=True)
PRETRAIN = TaskConfig(name="pretrain")
FAST: dict[str, Any] = {"epochs": 30, "learning_rate": 5e-3, "bf16": False, "device": "cpu", "batch_size": 8}
MASKER = Masker(1, np.arange(10, 90), 0.15)
CLASSES = {"bert": "BertForMaskedLM", "roberta": "RobertaForMaskedLM", "electra": "ElectraForMaskedLM",
           "distilbert": "DistilBertForMaskedLM", "modernbert": "ModernBertForMaskedLM",
           "deberta": "DebertaV2ForMaskedLM"}  # fmt: skip


def masked(words: list[int]) -> Masked:
    ids = np.arange(100, 100 + len(words))
    return Masked(ids, np.zeros(len(ids), np.float32), ids, np.array(words, np.int64))


@pytest.fixture(scope="module")
def reader(base, tmp_path_factory):
    """family -> a random base with its head for hidden tokens, and a mask token."""
    made: dict[str, Any] = {}

    def get(family: str):
        if family not in made:
            plain, folder = base(family), tmp_path_factory.mktemp("readers") / family
            torch.manual_seed(1)
            config = transformers.AutoConfig.from_pretrained(plain.path)
            getattr(transformers, CLASSES[family])(config).save_pretrained(folder)
            tokenizer = transformers.AutoTokenizer.from_pretrained(plain.path)
            tokenizer.add_special_tokens({"mask_token": "[MASK]"})
            tokenizer.save_pretrained(folder)
            made[family] = type(plain)(str(folder), folder, family, "", "", "")
        return made[family]

    return get


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 20), min_size=1, max_size=60), st.integers(0, 5))
def test_words_are_hidden_whole_and_nothing_else_is_touched(words: list[int], epoch: int) -> None:
    one = masked(sorted(words))
    drawn = MASKER.draw(one, epoch, seed=3)
    hidden = drawn.weights > 0
    assert np.array_equal(drawn.ids[~hidden], one.original[~hidden]) and not hidden[one.words < 0].any()
    for word in {word for word in words if word >= 0}:
        assert len(set(hidden[one.words == word].tolist())) == 1
    able = int((one.words >= 0).sum())
    largest = max(Counter(word for word in words if word >= 0).values(), default=0)
    assert hidden.sum() <= max(largest, round(0.15 * able)) and (hidden.sum() > 0) == (able > 0)


def test_the_draw_is_berts_and_new_in_each_epoch() -> None:
    one = masked(list(range(2000)))
    draws = [MASKER.draw(one, epoch, seed=5) for epoch in range(3)]
    assert all(draw.weights.sum() == 300 for draw in draws)
    assert not np.array_equal(draws[0].weights, draws[1].weights)
    again = MASKER.draw(one, 1, seed=5)
    assert np.array_equal(again.ids, draws[1].ids), "it depends on seed, epoch and tokens alone"
    assert not np.array_equal(MASKER.draw(one, 1, seed=6).weights, draws[1].weights)
    hidden = draws[0].weights > 0
    kinds = Counter("mask" if now == 1 else "same" if now == was else "other"
                    for now, was in zip(draws[0].ids[hidden], one.original[hidden], strict=True))  # fmt: skip
    assert abs(kinds["mask"] / 300 - 0.8) < 0.08 and 10 < kinds["same"] < 60 and 10 < kinds["other"] < 60
    held = MASKER.draw(one, HELD_OUT)
    assert set(held.ids[held.weights > 0].tolist()) == {1}, "a held-out token that still stood there would cost nothing"


def test_words_are_found_in_english_and_chinese() -> None:
    pytest.importorskip("jieba")
    text = "Unbelievable! 中华人民共和国刑法"
    offsets = [(0, 2), (2, 12), (12, 13), *((place, place + 1) for place in range(14, 23))]
    assert words_of(text, offsets, True).tolist() == [0, 0, 1, *[2] * 7, 3, 3]
    assert words_of(text, offsets, False).tolist() == list(range(12))


@pytest.mark.parametrize("family", CLASSES)
def test_losses_and_gradients_are_those_of_plain_transformers(family, reader) -> None:
    network = load_network(reader(family), Shape(1, "", "masked", rows="examples"), 0)
    assert not network.own_head and network.flat == (family != "deberta")
    plain = getattr(transformers, CLASSES[family]).from_pretrained(reader(family).path).eval()
    drawn = [Masker(4, np.arange(5, 20), 0.4).draw(replace(masked(list(range(n))), original=np.arange(n) % 15 + 5), 1)
             for n in (9, 4, 12)]  # fmt: skip
    expected = []
    for one in drawn:
        logits = plain(torch.from_numpy(one.ids)[None]).logits[0]
        losses = torch.nn.functional.cross_entropy(logits, torch.from_numpy(one.original), reduction="none")
        expected.append((losses * torch.from_numpy(one.weights)).sum())
    network.eval()
    found = network([(one,) for one in drawn])[:, 0]
    assert torch.allclose(found, torch.stack(expected), rtol=1e-4, atol=1e-4)
    sum(expected).backward()
    network.train()
    network.summed = True
    network([(one,) for one in drawn]).sum().backward()
    mine, theirs = dict(network.model.named_parameters()), dict(plain.named_parameters())
    for name, wanted in theirs.items():
        if wanted.grad is not None and wanted.grad.abs().max() > 1e-4:
            assert torch.allclose(mine[name].grad, wanted.grad, rtol=1e-2, atol=1e-4), name


def sentences(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Two kinds of sentences whose words foretell each other."""
    draw, out = random.Random(seed), []
    for index in range(n):
        words = draw.choice([["the", "card", "is", "lost"], ["a", "loan", "fee", "late"]]) * draw.randint(1, 3)
        split = "train" if index < n * 2 // 3 else "validation" if index < n * 5 // 6 else "test"
        out.append({"id": str(index), "text": " ".join(words), "split": split})
    return out


def artifact(tmp_path, data: list[dict[str, Any]]) -> Artifact:
    write(table(data, EXAMPLES), tmp_path / "examples" / "examples.parquet")
    return Artifact(tmp_path / "examples", "prepare", "", {}, {}, {})


@pytest.mark.parametrize("method", ["full", "lora"])
def test_an_encoder_learns_hidden_words_and_is_a_base_for_the_next_recipe(method, reader, tmp_path) -> None:
    data = sentences(60)
    config = TrainConfig(base_model=str(reader("bert").path), method=method, **FAST)
    summary = train(config, PRETRAIN, 0, artifact(tmp_path, data), tmp_path / "out", QUIET)
    assert summary["pooling"] == "masked" and summary["history"][-1]["train_loss"] < summary["history"][0]["train_loss"]
    model = load(tmp_path / "out" / "model", device="cpu")
    texts = [row["text"] for row in data if row["split"] == "test"]
    decoded, _ = model.predict(texts)
    assert sum(decoded.tokens) == sum(max(1, round(0.15 * len(text.split()))) for text in texts)
    perplexity = 2 ** (sum(decoded.bits) / sum(decoded.tokens))
    before, _ = untouched(model, reader("bert")).predict(texts)
    if method == "full":  # the base is random: of about 120 words; two would fit without a context
        assert perplexity < 2.5 < 2 ** (sum(before.bits) / sum(before.tokens))
    else:  # its embeddings, which are its head too, stay random
        assert sum(decoded.bits) < 0.97 * sum(before.bits)
    assert [len(part) for part in decoded.stretches] == decoded.tokens
    if method == "full":
        again = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out" / "model", output_loading_info=True)
        assert not again[1]["missing_keys"] and not again[1]["unexpected_keys"]
        labels = [{**row, "label": row["text"].split()[0]} for row in data]
        (tmp_path / "next").mkdir()
        later = TrainConfig(base_model=str(tmp_path / "out" / "model"), **FAST | {"epochs": 2})
        train(later, TaskConfig(), 0, artifact(tmp_path / "next", labels), tmp_path / "next" / "out", QUIET)
        assert load(tmp_path / "next" / "out" / "model", device="cpu").predict(texts)[0].labels == [
            text.split()[0] for text in texts
        ]  # fmt: skip


def test_resuming_draws_the_masks_that_would_have_been_drawn(reader, tmp_path, monkeypatch) -> None:
    data, config = sentences(40), TrainConfig(base_model=str(reader("bert").path), **FAST | {"epochs": 3})
    whole = train(config, PRETRAIN, 0, artifact(tmp_path, data), tmp_path / "whole", QUIET)
    original, calls = loop._end_of_epoch, []

    def stopping(*arguments):
        best = original(*arguments)
        calls.append(1)
        if len(calls) == 1:
            job, _, accelerator, progress = arguments[:4]
            loop._save(tmp_path / "cut" / "state", job.module, saved["optimizer"], saved["schedule"], progress, best,
                       accelerator)  # fmt: skip
            raise KeyboardInterrupt
        return best

    saved: dict[str, Any] = {}
    make, lambda_lr = loop.make_optimizer, torch.optim.lr_scheduler.LambdaLR
    monkeypatch.setattr(loop, "make_optimizer", lambda *given: saved.setdefault("optimizer", make(*given)))
    monkeypatch.setattr(torch.optim.lr_scheduler, "LambdaLR",
                        lambda *given: saved.setdefault("schedule", lambda_lr(*given)))  # fmt: skip
    monkeypatch.setattr(loop, "_end_of_epoch", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(config, PRETRAIN, 0, artifact(tmp_path, data), tmp_path / "cut", QUIET)
    monkeypatch.undo()
    resumed = train(config, PRETRAIN, 0, artifact(tmp_path, data), tmp_path / "cut", QUIET)
    assert [line["train_loss"] for line in resumed["history"]] == [line["train_loss"] for line in whole["history"]]


def test_a_base_without_a_head_gets_one_over_its_embeddings_and_that_is_told(tmp_path, capsys) -> None:
    config = TrainConfig(base_model="minilm", epochs=1, device="cpu", max_length=32, bf16=False, learning_rate=1e-4)
    data = [
        {"id": str(n), "text": f"The card number {n} is lost, please block it.", "split": "train"} for n in range(9)
    ]
    train(config, PRETRAIN, 0, artifact(tmp_path, data), tmp_path / "out", Console())
    told = capsys.readouterr().err
    assert "cls.predictions.transform.dense" in told and "is new" in told
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out" / "model")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert (tmp_path / "out" / "model" / "1_Pooling" / "config.json").is_file(), (
        "a later recipe pools as this base does"
    )


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="我的卡丢了 card lost,", max_size=80), st.integers(6, 20), st.integers(0, 8), st.booleans())
def test_every_token_of_a_long_text_may_be_hidden_once(base, text: str, limit: int, overlap: int, whole: bool) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(base("bert").path)
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    encoder = Encoder(tokenizer, limit, overlap=overlap)
    task = Pretrain(TaskConfig(name="pretrain", masked=MaskedConfig(whole_words=whole)), {"masked": True})
    encoded = task.encode(encoder, pa.table({"text": [text]}))
    assert sum(int((one.words >= 0).sum()) for one in encoded.examples) == len(next(encoder.tokenize([text])).ids)
    assert all(len(one) <= limit for one in encoded.examples)
    (places,) = hidden_stretches(encoded, encoder, [text])
    hidden = [int(one.original[at]) for one in encoded.examples for at in np.flatnonzero(one.weights)]
    assert [tokenizer(text[a:b], add_special_tokens=False)["input_ids"] for a, b in places] == [[one] for one in hidden]


def test_what_cannot_be_masked_is_refused(base, writer, tmp_path) -> None:
    data = artifact(tmp_path, sentences(12))
    for family, task, match in (
        (base("bert"), PRETRAIN, "no mask token"),
        (base("bert"), TaskConfig(name="pretrain", objective="causal"), "is an encoder"),
        (writer("llama"), TaskConfig(name="pretrain", objective="masked"), "no head that guesses hidden tokens"),
    ):
        with pytest.raises(UserError, match=match):
            train(TrainConfig(base_model=str(family.path), **FAST), task, 0, data, tmp_path / "out", QUIET)


def test_the_n_gram_floor_foresees_the_hidden_stretches_alone() -> None:
    for text, places in (("the card is lost", [(4, 8)]), ("我的卡丢了", [(2, 3), (4, 5)])):
        model = fit([text] * 5 + ["another one"])
        parts = model.bits([text] * len(places), [[place] for place in places])
        assert model.bits([text], [places])[0] == pytest.approx(parts.sum())
        assert 0 < parts.sum() < model.bits([text])[0] == model.bits([text], [[(0, len(text))]])[0]
    assert lookup("metric", "pseudo_perplexity").better == "lower"
    assert masker.__doc__
