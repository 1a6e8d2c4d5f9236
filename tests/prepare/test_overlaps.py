"""Shared passages against brute force, decontamination and the leak report."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.errors import UserError
from metier.prepare import overlaps, shingles
from metier.prepare.overlaps import runs, scan
from metier.recipe import parse

from .conftest import document

HAN = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜金生丽水玉出昆冈剑号巨阙珠称夜光"


def words(draw: random.Random, number: int) -> list[str]:
    return ["".join(draw.choices("abcdefgh", k=4)) for _ in range(number)]


def split_words(text: str) -> list[str]:
    found: list[str] = []
    for piece in text.split():
        run = ""
        for char in piece:
            if "\u3400" <= char <= "\u9fff":
                found += [run, char] if run else [char]
                run = ""
            else:
                run += char
        found += [run] if run else []
    return found


def true_runs(text: str, width: int, characters: int) -> list[tuple[str, ...]]:
    """Said in the plainest way."""
    units = split_words(text)
    widths = [characters if "\u3400" <= unit[0] <= "\u9fff" else width for unit in units]
    return [tuple(units[i : i + n]) for i, n in enumerate(widths) if i + n <= len(units)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "cc", "天", "地", "天地玄"]), max_size=9), min_size=1, max_size=6))
def test_runs_are_what_they_should_be(drawn: list[list[str]]) -> None:
    texts = [" ".join(pieces) for pieces in drawn]
    folded = [re.sub("(?<=[天地玄]) | (?=[天地玄])", "", text) for text in texts]
    want = [true_runs(text, 3, 4) for text in folded]
    found = runs(texts, 3, 4)
    assert found.words.tolist() == [len(split_words(text)) for text in folded]
    assert found.text.tolist() == [i for i, mine in enumerate(want) for _ in mine]
    names: dict[tuple[str, ...], int] = {}
    for run, value in zip([run for mine in want for run in mine], found.hashes.tolist(), strict=True):
        assert names.setdefault(run, value) == value
    assert len(set(names.values())) == len(names)


def test_a_quoted_passage_is_found_with_its_share_and_source(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    quoted, clause = words(draw, 15), "".join(draw.choices(HAN, k=24))
    held = [" ".join(words(draw, 20)), " ".join(words(draw, 9) + quoted + words(draw, 9)), f"第一条{clause}。", "short"]
    quoting = [*words(draw, 5), *(word.upper() + "," for word in quoted), *words(draw, 10)]
    texts = [" ".join(words(draw, 30)), " ".join(quoting),
             f"双方约定，{clause}", "short", " ".join(quoted[:12])]  # fmt: skip
    found, forms = scan(texts, held, 13, 20, 10)
    assert {place: (overlap.passage, overlap.other) for place, overlap in found.items()} == {
        1: (" ".join(quoted), 1), 2: (clause, 2)}  # fmt: skip
    assert found[1].share == pytest.approx(0.5) and found[2].share == pytest.approx(24 / 28)
    assert forms == 0
    monkeypatch.setattr(overlaps, "RUNS", 5)
    monkeypatch.setattr(shingles, "BLOCK", 40)
    assert scan(texts, held, 13, 20, 10)[0] == found


def test_a_form_that_many_texts_have_is_no_passage() -> None:
    draw = random.Random(1)
    form = " ".join(words(draw, 14))
    texts = [f"{' '.join(words(draw, 6))} {form}" for _ in range(12)]
    found, forms = scan(texts, [form], 13, 20, 10)
    assert (found, forms) == ({}, 2)
    assert len(scan(texts[:10], [form], 13, 20, 10)[0]) == 10


def corpus(seed: int = 3) -> tuple[list[dict[str, Any]], list[str]]:
    """Documents of two labels; 8 of them quote a passage of an outside text."""
    draw = random.Random(seed)
    outside = [" ".join(words(draw, 40)) for _ in range(8)]
    rows = []
    for i in range(80):
        own = " ".join(words(draw, 30))
        if i % 10 == 0:
            own += " " + " ".join(outside[i // 10].split()[5:22])
        rows.append(document(i, own, f"label{i % 2}"))
    return rows, outside


def test_files_of_evaluation_texts(stage: Any, tmp_path: Path) -> None:
    rows, outside = corpus()
    path = tmp_path / "exam.jsonl"
    path.write_text("\n".join(json.dumps({"question": text, "answers": ["a"]}) for text in outside), encoding="utf-8")
    told = stage(rows, {"decontaminate": {"against": [str(path)]}})
    train = {int(row["source"][9:]) for row in told.examples if row["split"] == "train"}
    quoting = sum(i % 10 == 0 for i in train)
    assert told.summary["leaks"]["against"] == {
        "exam.jsonl": {"texts": 8, "passages": quoting, "near": 0, "rejected": 0}
    }
    assert told.rejected == [] and any("share a passage" in warning for warning in told.summary["warnings"])
    done = stage(rows, {"decontaminate": {"against": [str(path)], "action": "reject"}})
    assert done.reasons() == {"shares an evaluation text": quoting}
    assert all("stand in exam.jsonl#" in row["detail"] for row in done.rejected)
    listed = json.loads((done.path / "leaks.json").read_text(encoding="utf-8"))
    assert listed["against"]["exam.jsonl"]["rejected"] == quoting > 3
    some = stage(rows, {"decontaminate": {"against": [str(path)], "action": "reject", "share": 0.9}})
    assert some.rejected == []


def test_near_duplicates_of_an_evaluation_text(stage: Any, tmp_path: Path) -> None:
    rows, _ = corpus()
    path = tmp_path / "exam.txt"
    done = stage(rows)
    copied = next(row["text"] for row in done.examples if row["split"] == "train")
    path.write_text(copied.replace(copied.split()[4], "zzzz"), encoding="utf-8")
    done = stage(rows, {"decontaminate": {"against": [str(path)], "action": "reject", "words": 60}})
    assert done.reasons() == {"shares an evaluation text": 1}
    assert done.rejected[0]["detail"].startswith("nearly equal to exam.txt#1")


def test_passages_between_our_own_splits(stage: Any) -> None:
    draw = random.Random(5)
    quoted = " ".join(words(draw, 16))
    rows = [
        document(i, " ".join(words(draw, 50)) + (f" {quoted}" if i < 8 else ""), f"label{i % 2}") for i in range(60)
    ]
    told = stage(rows)
    between = told.summary["leaks"]["pairs"]
    splits = [row["split"] for row in told.examples if quoted in row["text"]]
    assert between["train/test"]["passages"] == (splits.count("train") if "test" in splits else 0)
    assert all(pair["clusters"] == pair["near pairs"] == pair["groups"] == 0 for pair in between.values())
    clean = stage(rows, {"decontaminate": {"action": "reject"}})
    assert not any(quoted in text for text in clean.texts("train")) or "test" not in splits
    assert clean.summary["splits"]["test"] == told.summary["splits"]["test"]
    off = stage(rows, {"decontaminate": {"action": "off"}})
    assert off.texts() == told.texts() and off.summary["leaks"]["pairs"]["train/test"]["passages"] == 0


def test_an_official_split_with_leaks_is_reported(stage: Any) -> None:
    draw = random.Random(6)
    shared = " ".join(words(draw, 40))
    rows = [document(i, " ".join(words(draw, 40)), f"label{i % 2}", split="test" if i % 4 == 0 else "train",
                     group=f"g{i // 2}") for i in range(60)]  # fmt: skip
    rows += [document(100, shared, "label0", split="test"), document(101, shared + " ok", "label0", split="train")]
    pairs = stage(rows).summary["leaks"]["pairs"]
    pair = pairs["train/test"]
    assert pair["near pairs"] == 1 and pair["passages"] == 1 and pair["clusters"] == 1
    assert pair["groups"] + pairs["validation/test"]["groups"] == 15


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("a.pdf", b"%PDF", "is none of"), ("a.jsonl", b"{", "cannot be read"), ("a.txt", b" ", "no text"),
     ("a.txt", "你好".encode("gb18030"), "cannot be read")],
)  # fmt: skip
def test_files_that_cannot_be_used(stage: Any, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        stage(corpus()[0], {"decontaminate": {"against": [str(path)]}})
    assert name in error.value.where and error.value.fix


def test_the_bytes_of_the_files_enter_the_identity_and_their_path_does_not(tmp_path: Path) -> None:
    from metier.prepare.files import digests

    sums = []
    for folder, content in (("a", "one"), ("b", "one"), ("c", "two")):
        path = tmp_path / folder / "exam.txt"
        path.parent.mkdir()
        path.write_text(content)
        recipe = parse({"name": "x", "task": "classify", "collect": {"sources": ["d.csv"]},
                        "prepare": {"decontaminate": {"against": [f"{folder}/exam.txt"]}}})  # fmt: skip
        assert "against" not in recipe.prepare.decontaminate.identity()
        sums.append(digests(recipe.prepare, tmp_path))
    assert sums[0] == sums[1] != sums[2]
