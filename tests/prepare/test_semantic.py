"""Texts of equal meaning: pairs against brute force, pivots against all pairs, what the stage makes of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metier.prepare import semantic
from metier.prepare.semantic import by_characters, semantic_pairs

from .conftest import document
from .test_tasks import BOTH

SAID = [
    "Somebody has stolen my bank card yesterday in the market",
    "Yesterday in the market my bank card has been stolen by somebody",
    "我的银行卡昨天在市场被偷了",
    "昨天我的银行卡在市场被偷走了",
    "How long does a transfer to another country take?",
    "",
]


def test_other_order_and_inflection_are_found_without_a_model() -> None:
    pairs, cosine = semantic_pairs(SAID, 0.55)
    assert pairs.tolist() == [[0, 1], [2, 3]]
    assert all(0.55 <= value <= 1 for value in cosine)
    assert semantic_pairs(SAID, 0.999)[0].tolist() == []
    assert semantic_pairs([], 0.9)[0].tolist() == []


def test_vectors_have_length_one_or_none_at_all() -> None:
    length = np.linalg.norm(
        by_characters([*SAID, *(f"text number {i} about things {i * i}" for i in range(300))]), axis=1
    )
    assert length[5] == 0
    assert np.allclose(np.delete(length, 5), 1, atol=1e-5)


def families(number: int, noise: float) -> np.ndarray:
    """Unit vectors in families of two whose cosine is a little above 0.9."""
    draw = np.random.default_rng(0)
    first = draw.normal(size=(number, 32))
    both = np.stack([first, first + noise * draw.normal(size=first.shape)], axis=1).reshape(-1, 32)
    return np.asarray(both / np.linalg.norm(both, axis=1, keepdims=True), np.float32)


def test_exact_search_finds_all_and_pivots_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = families(1500, 0.3)
    texts = [str(i) for i in range(len(vectors))]
    want = {(i, j) for i, j in np.argwhere(np.round(vectors @ vectors.T, 4) >= 0.9).tolist() if i < j}

    def embed(part: Any) -> np.ndarray:
        return vectors[[int(text) for text in part]]

    found = set(map(tuple, semantic_pairs(texts, 0.9, embed)[0].tolist()))
    assert found == want and len(want) > 1200
    monkeypatch.setattr(semantic, "STEP", 100)
    assert set(map(tuple, semantic_pairs(texts, 0.9, embed)[0].tolist())) == want
    monkeypatch.setattr(semantic, "EXACT", 100)
    monkeypatch.setattr(semantic, "CELL", 100)
    fewer = set(map(tuple, semantic_pairs(texts, 0.9, embed)[0].tolist()))
    assert fewer <= want and len(fewer) >= 0.95 * len(want)


def test_they_are_listed_and_stay_on_one_side(stage: Any) -> None:
    rows = [document(100 + i, text, "card") for i, text in enumerate(SAID[:4])]
    off = stage(rows + BOTH)
    assert "semantic" not in off.summary["duplicates"]
    for seed in range(4):
        done = stage(rows + BOTH, {"dedup": {"semantic": {"enabled": True, "threshold": 0.55}}}, seed=seed)
        listed = [(row["id"], row["kept_id"], row["kind"]) for row in done.duplicates]
        assert (rows[1]["id"], rows[0]["id"], "semantic") in listed
        assert (rows[3]["id"], rows[2]["id"], "semantic") in listed
        assert done.summary["duplicates"]["semantic"] == len(listed)
        assert all(len(splits) == 1 for splits in done.sides("cluster").values())


def test_the_guard_decides_what_may_be_removed(stage: Any) -> None:
    rows = [document(100, "The fee for the card is 20 euros and it is due in May", "fee"),
            document(101, "The fee for the card is 25 euros and it is due in May", "fee"),
            document(102, "In May it is due: the fee for the card, which is 20 euros", "fee")]  # fmt: skip
    settings = {"dedup": {"remove_near": True, "threshold": 1.0, "semantic": {"enabled": True, "threshold": 0.5}}}
    done = stage(rows + BOTH, settings)
    assert {row["id"] for row in done.rejected} <= {rows[2]["id"]}
    assert rows[1]["text"] in done.texts()


def test_vectors_of_the_base_come_from_whoever_calls(tmp_path: Path) -> None:
    from metier.recipe import parse
    from metier.run import default_context, identity
    from metier.train.bases import Base

    texts = ["a card", "a loan", "my card"]

    def embed(part: Any) -> list[list[float]]:
        return [[1.0, 0.01 * len(text)] if "card" in text else [0.0, 1.0] for text in part]

    assert semantic_pairs(texts, 0.9, embed)[0].tolist() == [[0, 2]]
    recipe = {"name": "x", "task": "classify", "collect": {"sources": ["d.csv"]}, "train": {"base_model": "b"}}
    asked = parse({**recipe, "prepare": {"dedup": {"semantic": {"enabled": True, "vectors": "base"}}}})
    assert asked.prepare.dedup.semantic.by_base and not parse(recipe).prepare.dedup.semantic.by_base
    from metier.artifact import Artifact
    from metier.console import Console

    context = default_context(tmp_path, Console(quiet=True))
    context.done["collect"] = Artifact(tmp_path, "collect", "f", {}, {}, {})
    context.bases["b", asked.train.revision] = Base("b", tmp_path, "b", "hash of the weights", "", "")
    assert identity("prepare", asked, context)["base"] == "hash of the weights"
    assert "base" not in identity("prepare", parse(recipe), context)
