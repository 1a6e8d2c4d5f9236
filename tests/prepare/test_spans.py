"""Spans read from metadata, found again in a repaired text, and refused with a reason where they cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.prepare.conftest import document

from metier.errors import UserError
from metier.prepare.normalize import clean
from metier.prepare.spans import anchor, locate, read_spans
from metier.train.config import TaskConfig

TAG = TaskConfig(name="tag")
DRUGS = ["aspirin", "ibuprofen", "codeine", "heparin", "insulin", "morphine"]


def spans(*given: tuple[int, int, str]) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "label": label} for start, end, label in given]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffa fever and\u200b a cough",
        "  a fever and a cough",
        "a fever\r\nand a cough",
        "a fe\u200bver and a cough  ",
    ],
)
def test_spans_move_with_a_repaired_text(text: str) -> None:
    fever, cough = text.index("fe"), text.index("cough")
    end = text.index("ver") + 3
    told = anchor({"spans": spans((fever, end, "sign"), (cough, cough + 5, "sign"))}, text)
    found = read_spans(told, clean(text))
    assert isinstance(found, list)
    assert [clean(text)[span["start"] : span["end"]] for span in found] == ["fever", "cough"]


def test_equal_words_keep_their_order_and_their_place() -> None:
    text = "\ufeff\ufeffcough, cough, cough"
    told = anchor({"spans": spans((9, 14, "a"), (16, 21, "b"))}, text)
    assert read_spans(told, clean(text)) == spans((7, 12, "a"), (14, 19, "b"))


@given(st.text(alphabet="ab \u200b\ufeffé治", max_size=40), st.data())
def test_a_text_that_did_not_change_keeps_its_spans(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    words = text[start:end]
    (found,) = locate(text, [(start, words)])
    assert (found is not None) == bool(words.strip())
    if found is not None:
        assert text[slice(*found)] == words.strip() and start <= found[0] and found[1] <= end


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "no spans"),
        ("fever", "malformed span"),
        ([{"start": 3, "end": 3, "label": "x"}], "malformed span"),
        ([{"start": 0, "end": 3}], "malformed span"),
        ([{"start": True, "end": 3, "label": "x"}], "malformed span"),
        ([{"start": 0, "end": 99, "label": "x"}], "malformed span"),
        ([{"start": 0, "end": 5, "label": "x", "text": "cough"}], "span not in the text"),
        ([{"start": 1, "end": 2, "label": "x", "text": " "}], "span not in the text"),
    ],
)
def test_what_cannot_be_used_has_a_reason(given: Any, reason: str) -> None:
    found = read_spans({} if given is None else {"spans": given}, "a fever")
    assert isinstance(found, tuple) and found[0] == reason and found[1]


def tagged(number: int, text: str, *given: tuple[int, int, str], **more: Any) -> dict[str, Any]:
    import json

    row = document(number, text, **more)
    return {**row, "metadata": json.dumps({**json.loads(row["metadata"] or "{}"), "spans": spans(*given)})}


def test_examples_carry_spans_and_types_are_counted(stage: Any) -> None:
    texts = [f"\ufeffpatient {name} takes aspirin daily" for name in "abcdefghijkl"]
    documents = [tagged(i, text, (17, 24, "drug")) for i, text in enumerate(texts)]
    documents += [tagged(20 + i, f"nothing to mark in line {word}") for i, word in enumerate("stuvwxyz")]
    documents.append(document(40, "no mark was ever made here"))
    done = stage(documents, task=TAG)
    assert done.reasons() == {"no spans": 1}
    marked = [row for row in done.examples if row["spans"]]
    assert len(marked) == 12 and len(done.examples) == 20
    assert {row["text"][s["start"] : s["end"]] for row in marked for s in row["spans"]} == {"aspirin"}
    assert set(done.summary["labels"]) == {"drug"}
    assert all(any(row["split"] == split and row["spans"] for row in done.examples) for split in ("train", "test"))


def test_equal_texts_with_other_spans_are_a_conflict(stage: Any) -> None:
    documents = [tagged(i, f"take {name} twice a day", (5, 5 + len(name), "drug"))
                 for i, name in enumerate(DRUGS)]  # fmt: skip
    documents.append(tagged(9, "take aspirin twice a day"))
    done = stage(documents, task=TAG)
    assert done.reasons() == {"conflicting label": 2}
    assert {row["label"] for row in done.conflicts} == {"drug: aspirin", ""}


def test_a_rare_type_stays_and_is_told(stage: Any) -> None:
    documents = [tagged(i, f"take {name} twice a day", (5, 5 + len(name), "drug"))
                 for i, name in enumerate(DRUGS)]  # fmt: skip
    documents.append(tagged(9, "the gene BRCA1 was found", (9, 14, "gene"), split=""))
    done = stage(documents, task=TAG)
    assert any("'gene'" in text for text in done.summary["warnings"])
    assert "rare label" not in done.reasons()


def test_no_spans_at_all_says_what_to_bring(stage: Any) -> None:
    with pytest.raises(UserError, match="no document has spans") as caught:
        stage([document(i, f"text {i}") for i in range(5)], task=TAG)
    assert "CoNLL" in str(caught.value)
