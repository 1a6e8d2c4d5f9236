"""The questions that the instructed base is tuned on, and those about the bank's documents: true by construction."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from tests.primer.test_base_benchmark import load

BANK = load("tools/bank_documents/build.py")
INSTRUCT = load("tools/primer/instruct.py")
HERON = (
    "Grey Heron Bridge\n\nThe Grey Heron Bridge is a footbridge over the river Tarn in the north of Wexdale. It was "
    "built by Amelia Stone in 1911. The bridge was opened on 4 May 1912. The bridge is located in the Old Harbour "
    "district. Its length is 84 metres.\nLater years.\nIt was repaired twice."
)
SHOP = (
    "澄江书店\n\n澄江书店位于青石市北门街，是一家出售旧书和地图的书店。1985年3月2日，书店在江边码头开业。"
    "店内有《山中来信》的初版。书店由陈望舒创办。营业面积约为320平方米。"
)


def asked(text: str, language: str, id: str = "one") -> list[dict[str, str]]:
    return list(INSTRUCT.of_document({"id": id, "text": text}, language))


@pytest.mark.parametrize(("text", "language"), [(HERON, "en"), (SHOP, "zh")])
def test_answers_stand_in_the_passage(text: str, language: str) -> None:
    seen = {}
    for number in range(40):  # which questions a document gets depends on its id
        for one in asked(text, language, str(number)):
            seen[one["kind"]] = one
            if one["kind"] not in ("title", "begin", "continue"):
                assert one["answer"] in one["text"]
            assert one["text"] and "{" not in one["question"] and one["language"] == language
    assert {"title", "is", "gap", "last", "shorten", "lies", "by"} <= set(seen), set(seen)
    assert seen["title"]["answer"] == text.partition("\n")[0] and "\n" not in seen["title"]["text"]
    gap = seen["gap"]
    sentence = re.split(r"[:?：？] ?", gap["question"], maxsplit=1)[1]
    assert sentence.count("____") == 1 and sentence.replace("____", gap["answer"]) in gap["text"]


def test_patterns_find_what_is_asked() -> None:
    found = {(one["kind"], one["answer"]) for number in range(40) for one in asked(HERON, "en", str(number))}
    assert ("happened", "4 May 1912") in found and ("by", "Amelia Stone") in found
    assert ("lies", "in the Old Harbour district") in found and ("number", "84 metres") in found
    found = {(one["kind"], one["answer"]) for number in range(40) for one in asked(SHOP, "zh", str(number))}
    assert ("happened", "1985年3月2日") in found and ("by", "陈望舒") in found
    assert ("lies", "青石市北门街") in found and any(kind == "number" and "320" in said for kind, said in found)


def test_a_heading_ends_the_passage_and_few_questions_are_drawn_alike() -> None:
    found = asked(HERON, "en")
    assert found == asked(HERON, "en") and 0 < len(found) <= INSTRUCT.MOST
    assert all("Later years" not in one["text"] and "repaired" not in one["text"] for one in found)
    assert len({one["kind"] for one in found}) == len(found)
    assert asked("Short.\n\nToo short to ask about.", "en") == []


def test_the_shipped_pages_are_what_the_script_builds(tmp_path: Path) -> None:
    assert BANK.build(tmp_path / "made") == 240
    made = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    assert made == {path.name: path.read_bytes() for path in BANK.OUT.iterdir()} and len(made) == 41


def test_every_answer_rests_on_its_page() -> None:
    with (BANK.OUT / "questions.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [sum(row["language"] == language for row in rows) for language in ("en", "zh")] == [120, 120]
    assert sum(row["split"] == "test" for row in rows) == 80  # two of six, on every page
    assert len({(row["document"], row["question"]) for row in rows}) == 240
    words = {"en": r"[a-z]{4,}", "zh": r"[\u4e00-\u9fff]"}
    for row in rows:
        for figure in re.findall(r"\d[\d.,]*\d|\d", row["answer"]):
            assert figure in row["text"], (row["id"], figure)
        said = re.findall(words[row["language"]], row["answer"].lower())
        there = [word for word in said if word in row["text"].lower()]
        assert len(there) >= 0.5 * len(said), (row["id"], said)
