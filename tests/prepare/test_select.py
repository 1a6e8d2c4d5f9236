"""The documents most like the target stay, whatever the batches; files and seed decide, paths do not."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from metier import tables
from metier.errors import UserError
from metier.prepare.files import digests, referenced, resolved
from metier.prepare.select import read_texts, select, target_counts

from .texts import documents, operate, same, settings

LAW = [
    "The lender may terminate this agreement upon default of the borrower.",
    "The tenant shall pay the rent.",
    "A party in breach of this contract is liable for damages.",
    "The court found that the clause was void.",
]
COOKING = ["Stir the onions until they are golden brown.", "Add a cup of sugar and bake the cake.",
           "Chop the garlic and fry it in oil.", "Serve the soup hot with fresh bread."]  # fmt: skip
LAW_ZH = [
    "借款人违约的，贷款人可以解除合同。",
    "承租人应当按期支付租金。",
    "违约方应当承担损害赔偿责任。",
    "人民法院认定该条款无效。",
]
COOKING_ZH = ["洋葱炒至金黄色后盛出。", "加一杯糖搅匀，放入烤箱。", "大蒜切碎，用油炒香。", "趁热把汤和面包端上桌。"]
TARGET = (
    "The borrower shall pay the lender under this agreement. The contract is void upon breach by a party.\n\n"
    "The court held the tenant liable for damages.\n\n"
    "承租人违约的，出租人可以解除合同。人民法院认定借款人应当承担赔偿责任。"
)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target.txt"
    path.write_text(TARGET, encoding="utf-8")
    return path


def pile() -> pa.Table:
    en, zh = (
        documents(LAW + COOKING, "en/{}.txt", language="en"),
        documents(LAW_ZH + COOKING_ZH, "zh/{}.txt", language="zh"),
    )
    return pa.concat_tables([en, zh])


def test_what_is_like_the_target_stays_in_both_languages(target: Path) -> None:
    on = settings(select={"target": [str(target)], "keep": 0.5})
    result = operate(select, pile(), on)
    assert result.batch["text"].to_pylist() == LAW + LAW_ZH
    assert all(json.loads(text)["relevance"] > -1 for text in result.batch["metadata"].to_pylist())
    assert {row["reason"] for row in result.rejected} == {"not relevant"} and len(result.rejected) == 8
    assert "the limit of the best 50% in en" in result.rejected[0]["detail"]
    assert result.counts == {"kept": 8, "left": 8} and "8 texts like the target" in select.note(result.counts)
    for size in (1, 5):
        assert same(result, operate(select, pile(), on, size=size))


def test_drawing_follows_the_seed_and_the_weights(target: Path) -> None:
    def drawn(seed: int, temperature: float) -> set[str]:
        on = settings(seed, select={"target": [str(target)], "method": "gumbel", "temperature": temperature})
        return set(operate(select, pile(), on, size=3).batch["text"].to_pylist())

    assert drawn(1, 0.3) == drawn(1, 0.3) and len({frozenset(drawn(seed, 5)) for seed in range(4)}) > 1
    assert sum(len(drawn(seed, 0.02) & set(LAW + LAW_ZH)) for seed in range(5)) >= 38  # of 40
    even = sum(len(drawn(seed, 100) & set(LAW + LAW_ZH)) for seed in range(20)) / 160
    assert 0.4 < even < 0.6


def test_above_the_sample_the_share_is_nearly_kept(target: Path) -> None:
    texts = [f"{a} {b} {n}" for n, (a, b) in enumerate((a, b) for a in LAW + COOKING for b in (LAW + COOKING) * 8)]
    on = settings(select={"target": [str(target)], "keep": 0.25, "sample": 200})
    result = operate(select, documents(texts, language="en"), on, size=100)
    assert 0.15 < len(result.batch) / len(texts) < 0.35
    assert same(result, operate(select, documents(texts, language="en"), on, size=512))


def test_target_files(tmp_path: Path) -> None:
    jsonl, parquet = tmp_path / "a.jsonl", tmp_path / "a.parquet"
    jsonl.write_text('{"text": "one"}\n\n{"text": "two"}\n')
    tables.write(pa.table({"text": ["three", None]}), parquet)
    assert list(read_texts(jsonl)) == ["one", "two"] and list(read_texts(parquet)) == ["three", ""]
    jsonl.write_text('{"txt": "one"}')
    with pytest.raises(UserError, match="no JSON object with a key `text`"):
        list(read_texts(jsonl))
    with pytest.raises(UserError, match=r"is \.txt"):
        list(read_texts(tmp_path / "a.pdf"))
    (tmp_path / "empty.txt").write_text(" ")
    with pytest.raises(UserError, match="hold no text"):
        target_counts((str(tmp_path / "empty.txt"),))
    tables.write(pa.table({"body": ["three"]}), parquet)
    with pytest.raises(UserError, match="no column `text`"):
        list(read_texts(parquet))


def test_the_content_of_named_files_is_the_identity_and_their_path_is_not(target: Path, tmp_path: Path) -> None:
    config = settings(select={"target": ["target.txt"]}).config
    moved = tmp_path / "elsewhere.txt"
    moved.write_bytes(target.read_bytes())
    other = settings(select={"target": ["elsewhere.txt"]}).config
    assert referenced(config) == {"select.target.0": "target.txt"}
    assert config.identity() == other.identity() and digests(config, tmp_path) == digests(other, tmp_path)
    moved.write_text("changed")
    assert digests(config, tmp_path) != digests(other, tmp_path)
    assert resolved(config, tmp_path).select.target == (str(target),)
    with pytest.raises(UserError, match="not there"):
        digests(settings(correct={"lexicon": "none.txt"}).config, tmp_path)


def test_the_stage_is_another_one_when_a_named_file_changes(target: Path, tmp_path: Path) -> None:
    from metier.artifact import Artifact, Store
    from metier.console import Console
    from metier.recipe import parse
    from metier.run import Context, identity

    def found(select: dict[str, object]) -> dict[str, object]:
        recipe = parse({"collect": {"sources": [{"path": "x"}]}, "prepare": {"select": select}}, "test")
        context = Context(tmp_path, Store(tmp_path / "store"), tmp_path, Console(quiet=True))
        context.done["collect"] = Artifact(tmp_path, "collect", "0" * 32, {}, {}, {})
        return identity("prepare", recipe, context)

    before = found({"target": ["target.txt"]})
    target.write_text("other words", encoding="utf-8")
    assert found({"target": ["target.txt"]})["files"] != before["files"] and "files" not in found({})
