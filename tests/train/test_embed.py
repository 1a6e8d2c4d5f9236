"""Vectors for retrieval on small random bases: the loss by hand, cached gradients, masks, mining, saving."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
import torch

from metier.artifact import Artifact
from metier.console import Console
from metier.tables import EXAMPLES, table, write
from metier.train import joint
from metier.train.bases import resolve
from metier.train.batching import plan_epoch
from metier.train.config import EmbedConfig, TaskConfig, TrainConfig
from metier.train.contrast import gain, info_nce, ranks
from metier.train.embedding import embedder
from metier.train.encoding import Encoder
from metier.train.loop import Job, Rates, Split, make_accelerator
from metier.train.mining import mine
from metier.train.model import load
from metier.train.network import Shape, load_tokenizer
from metier.train.network import load as load_network
from metier.train.sentence import WHOLE, stated_pooling, vector_pooling
from metier.train.stage import train
from metier.train.tasks.embed import Embed, families

QUIET, EMBED = Console(quiet=True), TaskConfig(name="embed")
NOUNS = ["card", "bank", "loan", "fee", "my", "help", "late", "pay", "卡", "丢", "钱"]
FAST = {"epochs": 25, "learning_rate": 3e-3, "bf16": False, "device": "cpu", "batch_size": 8}


def rows(n: int = 66, seed: int = 0) -> list[dict[str, Any]]:
    """The passage repeats the noun of its query in other words."""
    draw, out = random.Random(seed), []
    for index in range(n):
        one, two = NOUNS[index % len(NOUNS)], NOUNS[(index // len(NOUNS) + index) % len(NOUNS)]
        filler = " ".join(draw.choices(["the", "a", "is", "not", "here"], k=3 + index % 7))
        split = "train" if index < n * 2 // 3 else "validation" if index < n * 5 // 6 else "test"
        out.append({"id": str(index), "pair": f"{one} {two} please", "text": f"{filler} {two} {one}", "split": split,
                    "cluster": f"c{one}{two}"})  # fmt: skip
    return out


def codes(*examples: list[tuple[int, int]]) -> list[torch.Tensor]:
    return [torch.tensor(rows) for rows in examples]


def unit(n: int, width: int = 8, seed: int = 0) -> torch.Tensor:
    vectors = torch.randn(n, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=1)


def test_the_loss_is_the_cross_entropy_of_the_own_passage() -> None:
    """Three examples, the second with a hard negative: rows are q0 p0 | q1 p1 n1 | q2 p2."""
    vectors = unit(7)
    apart = codes([(0, -1)] * 2, [(1, -1), (1, -1), (-2, -1)], [(2, -1)] * 2)
    found = info_nce(vectors, [2, 3, 2], apart, 20.0)
    queries, passages = vectors[[0, 2, 5]], vectors[[1, 3, 4, 6]]
    scores = 20.0 * queries @ passages.T
    expected = [-(scores[row, own] - scores[row].logsumexp(0)) for row, own in enumerate((0, 1, 3))]
    torch.testing.assert_close(found, torch.stack(expected))
    back = 20.0 * vectors[[1, 3, 6]] @ queries.T
    both = [(one - back[row, row] + back[row].logsumexp(0)) / 2 for row, one in enumerate(expected)]
    torch.testing.assert_close(info_nce(vectors, [2, 3, 2], apart, 20.0, symmetric=True), torch.stack(both))


def test_what_may_be_right_too_is_no_negative() -> None:
    """The third example is of the first one's family, the second of its group: only the hard negatives are left."""
    vectors = unit(8)
    alike = codes([(0, 5), (0, 5), (-2, -1)], [(1, 5)] * 3, [(0, -1)] * 2)
    found = info_nce(vectors, [3, 3, 2], alike, 10.0)
    scores = 10.0 * vectors[0] @ vectors[[1, 2]].T  # own passage and own negative
    assert found[0].item() == pytest.approx(-(scores[0] - scores.logsumexp(0)).item())
    own = 10.0 * vectors[3] @ vectors[[4, 2, 7]].T  # the second's own hard negative is of its own family: masked
    assert found[1].item() == pytest.approx(-(own[0] - own.logsumexp(0)).item())
    assert ranks(vectors, [3, 3, 2], alike).shape == (3,)


def test_equal_vectors_are_no_success() -> None:
    same = torch.ones(6, 4) / 2
    places = ranks(same, [2, 2, 2], codes([(0, -1)] * 2, [(1, -1)] * 2, [(2, -1)] * 2))
    assert places.tolist() == [3, 3, 3] and gain(places) == pytest.approx(0.5)
    assert gain(torch.tensor([1, 11])) == 0.5


def test_families_are_what_shares_a_query_a_passage_or_a_cluster() -> None:
    found = families(table([
        {"pair": "a", "text": "One", "group": "x"}, {"pair": "A ", "text": "two", "group": "x"},
        {"pair": "b", "text": "one", "group": ""}, {"pair": "c", "text": "three", "group": "x", "cluster": "k"},
        {"pair": "d", "text": "four", "group": "y", "cluster": "k"}, {"pair": "e", "text": "five", "group": "y"},
    ], EXAMPLES))  # fmt: skip
    assert [family for family, _ in found.rows] == [0, 0, 0, 3, 3, 5]
    assert [group for _, group in found.rows] == [0, 0, -1, 0, 1, 1]
    assert found.shared == 5 and found.grouped == 5 and found.code("nobody's") == (-2, -1)


def test_batches_are_drawn_whatever_the_lengths() -> None:
    lengths = [10] * 50 + [100] * 50
    plan = plan_epoch(lengths, 10, 0, 0, joint=True)
    assert sorted(i for batch in plan.batches for i in batch) == list(range(100))
    assert {len(batch) for batch in plan.batches} == {10}
    assert all({lengths[i] for i in batch} == {10, 100} for batch in plan.batches)
    assert any(len({lengths[i] for i in batch}) == 1 for batch in plan_epoch(lengths, 10, 0, 0).batches)


@pytest.mark.parametrize(("family", "pooling"), [("bert", "mean"), ("llama", "last"), ("llama", "mean"),
                                                 ("bert", "first"), ("deberta", "mean")])  # fmt: skip
def test_cached_gradients_are_those_of_the_whole_batch(family: str, pooling: str, base: Any) -> None:
    def gradients(limit: int) -> tuple[dict[str, torch.Tensor], float]:
        network = load_network(base(family), Shape(1, "", f"vector-{pooling}", 0.3, "windows"), seed=1).train()
        with torch.no_grad():  # random weights give all texts nearly one vector, and differences of such are noise
            for parameter in network.parameters():
                if parameter.ndim > 1:
                    parameter *= 8
        task = Embed(EMBED, {})
        data = table([{**row, "negatives": ["the late fee"]} for row in rows(12)], EXAMPLES)
        encoded = task.encode(Encoder(load_tokenizer(base(family)), 40), data)
        split = Split(encoded.items, encoded.lengths(), encoded.counts("windows"), task.targets(data, encoded),
                  encoded.sizes(), encoded.weights())  # fmt: skip
        config = TrainConfig(bf16=False, device="cpu", max_batch_tokens=limit, dropout=0.0)
        network.eval()  # the parts draw other dropout than the whole would; see the next test
        job = Job(network, task, split, None, config, Rates(1e-3, 1e-3, 1, 12), 0)
        value = joint.backward(job, network, make_accelerator(config), range(12), 12.0)
        return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}, value

    whole, value = gradients(10_000)
    parts, other = gradients(40)
    assert value == pytest.approx(other, rel=1e-6) and whole.keys() == parts.keys()
    one, two = (torch.cat([found[name].flatten() for name in whole]) for found in (whole, parts))
    assert float((one - two).norm() / one.norm()) <= 1e-5 and float(one.norm()) > 1e-3


def test_dropout_is_the_same_in_both_passes(base: Any) -> None:
    """With other masks in the second pass the cached gradient would belong to other vectors."""
    seen: list[torch.Tensor] = []
    network = load_network(base("bert"), Shape(1, "", "vector-mean", 0.5, "windows"), seed=1).train()
    network.register_forward_hook(lambda module, given, out: seen.append(out.detach().clone()))
    task, data = Embed(EMBED, {}), table(rows(9), EXAMPLES)
    encoded = task.encode(Encoder(load_tokenizer(base("bert")), 40), data)
    split = Split(encoded.items, encoded.lengths(), encoded.counts("windows"), task.targets(data, encoded),
                  encoded.sizes(), encoded.weights())  # fmt: skip
    config = TrainConfig(bf16=False, device="cpu", max_batch_tokens=40)
    job = Job(network, task, split, None, config, Rates(1e-3, 1e-3, 1, 9), 0)
    joint.backward(job, network, make_accelerator(config), range(9), 9.0)
    half = len(seen) // 2
    assert half > 1 and all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))
    assert not torch.allclose(network(encoded.items), network(encoded.items))


def test_pooling_follows_the_base(base: Any, tmp_path: Any) -> None:
    assert vector_pooling(resolve("minilm"), "auto") == "vector-mean"
    assert vector_pooling(base("bert"), "auto") == "vector-mean"
    assert vector_pooling(base("llama"), "auto") == "vector-last" == vector_pooling(base("gpt2"), "auto")
    assert vector_pooling(base("llama"), "first") == "vector-first"
    for said, expected in (({"pooling_mode": "cls"}, "vector-first"), ({"pooling_mode_lasttoken": True}, "vector-last"),
                           ({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}, "")):  # fmt: skip
        (tmp_path / "1_Pooling").mkdir(exist_ok=True)
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(said))
        assert stated_pooling(tmp_path) == expected


def test_a_long_text_is_cut_and_counted(base: Any) -> None:
    task = Embed(TaskConfig(name="embed", embed=EmbedConfig(query_prefix="help ")), {})
    encoder = Encoder(load_tokenizer(base("bert")), 12)
    encoded = task.encode(encoder, table([{"pair": "my card", "text": "the " * 30}], EXAMPLES))
    assert [len(window) for window in encoded.items[0].windows] == [5, 12]  # help my card and two special tokens
    assert encoded.cut == 1 and encoded.cut_tokens == 20 and encoded.windowed == 0


def test_hard_negatives_are_alike_and_not_right() -> None:
    data = table([
        {"pair": "what is a late fee", "text": "a late fee is what you pay for a late payment", "group": "fees"},
        {"pair": "who pays the late fee", "text": "the late fee of the bank is paid by the owner", "group": "fees"},
        {"pair": "is there a late fee for loans", "text": "for loans there is a late fee of ten", "group": "loans"},
        {"pair": "what is late", "text": "A late fee is what you pay for a late payment now", "group": "other"},
        {"pair": "我的卡丢了", "text": "卡丢了请打电话", "group": "卡"},
        {"pair": "怎么还款", "text": "还款可以用卡", "group": "还"},
    ], EXAMPLES)  # fmt: skip
    told = EmbedConfig(hard_negatives="bm25", negatives=2)
    found, counts = mine(data, told, lambda texts, prefix: None, QUIET)
    first = found["negatives"].to_pylist()[0]
    assert first == ["for loans there is a late fee of ten"]
    assert data["text"][1].as_py() not in first  # its own group
    assert data["text"][3].as_py() not in first and counts["negatives_near"] >= 1  # says the same
    assert all(text not in (some or []) for text, some in zip(data["text"].to_pylist(), found["negatives"].to_pylist(),
                                                               strict=True))  # fmt: skip
    assert counts["negatives_of_family"] >= 1 and counts["mined_negatives"] == sum(
        len(some or []) for some in found["negatives"].to_pylist())  # fmt: skip
    assert counts["without_negatives"] == 2  # nothing shares a word with the Chinese queries but their own passages
    kept, _ = mine(data, told.model_copy(update={"same_group": "keep"}), lambda texts, prefix: None, QUIET)
    assert data["text"][1].as_py() in kept["negatives"].to_pylist()[0]

    def vectors(texts: list[str], prefix: str) -> np.ndarray:
        """Every passage is as alike as the own one, but for one that is a little less."""
        return np.array([[1.0, 0.0] if "loans" not in text else [0.9, np.sqrt(1 - 0.81)] for text in texts])

    by_base, counts = mine(data, EmbedConfig(hard_negatives="base"), vectors, QUIET)
    assert by_base["negatives"].to_pylist()[0] == ["for loans there is a late fee of ten"]
    assert counts["negatives_as_good"] >= 1


@pytest.mark.parametrize("family", ["bert", "llama", "deberta"])
@pytest.mark.parametrize("method", ["full", "lora", "frozen"])
def test_every_method_learns_and_loads_again(
    family: str, method: str, base: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metier.train import model as saved

    data, kept, write_model = rows(), {}, saved.save
    monkeypatch.setattr(saved, "save", lambda folder, module, *rest: (kept.update(module=module),
                                                                      write_model(folder, module, *rest)))  # fmt: skip
    write(table(data, EXAMPLES), tmp_path / "examples" / "examples.parquet")
    artifact = Artifact(tmp_path / "examples", "prepare", "examples", {}, {}, {})
    rates = {"head_learning_rate": 0.05} if method == "frozen" else {}
    config = TrainConfig(base_model=str(base(family).path), method=method, max_batch_tokens=120, **FAST | rates)
    summary = train(config, EMBED, 0, artifact, tmp_path / "out", QUIET)
    first, best = summary["history"][0], max(line["validation_metric"] for line in summary["history"])
    assert best > first["validation_metric"] or best > 0.9
    assert summary["history"][-1]["train_loss"] < first["train_loss"]
    folder = tmp_path / "out" / "model"
    model = load(folder, device="cpu")
    texts = [row["text"] for row in data if row["split"] == "test"] + ["the " * 100]
    decoded, encoded = model.predict(texts)
    assert decoded.vectors is not None and np.linalg.norm(decoded.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    with torch.no_grad():
        inputs, _ = model.method.inputs(kept["module"].eval(), encoded, 10_000, None)
        torch.testing.assert_close(torch.tensor(decoded.vectors), kept["module"](inputs), atol=1e-4, rtol=1e-4)
    whole = folder if method == "full" else folder / WHOLE  # merged, or with the map beside it
    short = texts[:-1]  # an untouched base is asked in windows
    assert embedder(resolve(str(whole)))(short) == pytest.approx(decoded.vectors[:-1], abs=1e-4)
    sentences = pytest.importorskip("sentence_transformers")
    theirs = sentences.SentenceTransformer(str(whole), device="cpu").encode(short)
    assert np.asarray(theirs) == pytest.approx(decoded.vectors[:-1], abs=1e-4)
