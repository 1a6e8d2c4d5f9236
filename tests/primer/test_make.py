"""The steps that make the base, on a model of a few thousand weights: what is read, written and shipped."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.primer.test_base_benchmark import load

from metier.tables import EXAMPLES, table, write

MAKE = load("tools/primer/make.py")
SHIP = load("tools/primer/ship.py")
SHAPES = sys.modules["shape"]  # as make.py imported it
TEXTS = ["The bridge over the river was opened in 1912, and is 84 metres long.", "这座桥于1912年建成，全长84米。"] * 20


def rows(n: int) -> list[dict[str, str]]:
    sources = ["wikipedia-en.parquet", "wikipedia-zh.parquet", "books-en.parquet"]
    return [{"id": str(i), "text": f"{TEXTS[i % 2]} {i}" * (3000 if i == 8 else 1), "source": f"{sources[i % 3]}#{i}",
             "split": "validation" if i % 10 == 8 else "test" if i % 10 == 9 else "train"}
            for i in range(n)]  # fmt: skip


def test_what_is_read_is_a_part_and_smaller_parts_lie_within_it() -> None:
    given = table(rows(600), EXAMPLES)
    whole, part = (
        set(MAKE._shared(given, {name: share for name in MAKE.LOOKED_AT})["id"].to_pylist()) for share in (0.5, 0.1)
    )
    train = {row["id"] for row in rows(600) if row["split"] == "train"}
    assert part & train < whole & train < train and 0.4 < len(whole & train) / len(train) < 0.6
    assert part - train == whole - train  # what is held out does not depend on it
    assert {row["id"] for row in rows(600) if row["split"] == "test"} <= part  # and is kept whole
    moved = MAKE._shared(given, dict.fromkeys(MAKE.LOOKED_AT, 0.0)).to_pylist()
    assert (
        next(row["split"] for row in moved if row["id"] == "8") == "test"
    )  # a book is not looked at every few minutes


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp("primer")
    tokenizer = SHAPES.train_tokenizer(TEXTS)
    count = SHAPES.blank(SHAPES.Shape(64, 1, 64), tokenizer, 0, work / "blank")
    MAKE._note(work, {"kind": "processor", "weights": count, "vocabulary": len(tokenizer)})
    write(table(rows(60), EXAMPLES), work / "examples" / "examples.parquet")
    funnel = [{"step": "documents", "rows": 60, "removed": 0, "note": "collected"}]
    record = {"stage": "prepare", "fingerprint": "x", "identity": {}, "parents": {}, "summary": {"funnel": funnel}}
    (work / "examples" / "artifact.json").write_text(json.dumps(record))
    return work


def test_a_blank_base_is_a_llama_whose_tokenizer_knows_every_text(work: Path) -> None:
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(work / "blank")
    tokenizer = transformers.AutoTokenizer.from_pretrained(work / "blank")
    assert model.config.model_type == "llama" and model.config.vocab_size == len(tokenizer)
    assert model.config.tie_word_embeddings and model.config.num_attention_heads == 1
    for text in ("A bridge of 1912.", "桥梁建于1912年", "🙂\n\tx"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.convert_ids_to_tokens(tokenizer("1912")["input_ids"]) == list("1912")


def test_tokens_that_keep_the_same_company_start_close_to_each_other() -> None:
    random = np.random.default_rng(0)
    colours, animals, frames = [0, 1, 2], [3, 4, 5], {0: [6, 7], 1: [8, 9]}
    ids = []
    for _ in range(3000):
        kind = int(random.integers(2))
        word = int(random.choice((colours, animals)[kind]))
        ids += [frames[kind][0], word, frames[kind][1]]
    vectors = SHAPES.neighbours(ids, 12, 8, seed=0)  # 10 and 11 are never seen
    assert vectors.shape == (12, 8) and vectors.dtype == np.float32 and np.isfinite(vectors).all()
    assert np.array_equal(vectors, SHAPES.neighbours(ids, 12, 8, seed=0))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near, far = unit[colours] @ unit[colours].T, unit[colours] @ unit[animals].T
    assert near.min() > far.max() + 0.5
    lengths = np.linalg.norm(vectors, axis=1)
    assert (lengths > 0.5 * SHAPES.SPREAD * 7**0.5).all() and (lengths < 4 * SHAPES.SPREAD * 8**0.5).all()


def test_it_reads_settles_and_ships(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import transformers

    from metier.train import loop

    class Enough(Exception):
        pass

    def save(*given: object) -> None:  # a run that is stopped after its first saved state
        kept(*given)
        raise Enough

    kept = loop._save
    monkeypatch.setattr(loop, "_save", save)
    monkeypatch.setattr(MAKE, "RISE", 2)
    monkeypatch.setitem(MAKE.TRAIN, "checkpoint_seconds", 0.0)
    with pytest.raises(Enough):
        MAKE.read(work, 1.0)
    monkeypatch.setattr(loop, "_save", kept)
    assert MAKE.progress(work / "read" / "state")["step"] == 1

    MAKE.take(work)
    taken = transformers.AutoModelForCausalLM.from_pretrained(work / "settled" / "model")
    blank = transformers.AutoModelForCausalLM.from_pretrained(work / "blank")
    ids = torch.tensor([[5, 6, 7]])
    assert not torch.equal(taken(ids).logits, blank(ids).logits)

    MAKE.settle(work, 1.0, 3.0)
    summary = json.loads((work / "settled" / "summary.json").read_text())
    assert summary["steps"] == 4 and summary["history"][-1]["learning_rate"] == 0  # the rate has fallen

    monkeypatch.setattr(SHIP, "BASES", tmp_path)
    (tmp_path / "bases.json").write_text("{}")
    SHIP.weights(work / "settled" / "model", "primer")
    (work / "figures.md").write_text("| figures |")
    SHIP.card(work, "primer")
    told = json.loads((tmp_path / "bases.json").read_text())["primer"]
    shipped = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "primer")
    settled = transformers.AutoModelForCausalLM.from_pretrained(work / "settled" / "model")
    assert shipped.dtype == torch.bfloat16 and len(told["sha256"]) == 64
    assert torch.allclose(shipped.float()(ids).logits, settled(ids).logits, atol=0.05)
    card = (tmp_path / "primer" / "README.md").read_text(encoding="utf-8")
    assert (
        "| figures |" in card and "| documents | 60 | 0 | collected |" in card and "{" not in card.split("---\n", 2)[2]
    )


def test_what_will_never_be_read_is_listed(work: Path, tmp_path: Path) -> None:
    found = MAKE.held(work, tmp_path / "held.txt")
    ids = [line for line in (tmp_path / "held.txt").read_text().splitlines() if line[0] != "#"]
    wanted = [row["id"] for row in rows(60) if row["split"] == "test" and "books" not in row["source"]]
    assert found == len(ids) > 0 and sorted(ids) == sorted(wanted)
