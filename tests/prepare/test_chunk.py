"""Chunks are slices of whole sentences that cover their parent, keep tables and headings, and stay together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.errors import UserError
from metier.prepare.chunk import chunk, chunks

from .texts import documents, operate, same, settings

EN = "Dr. Lee saw the patient. He takes 5.1 mg a day. See Sec. 5.1 of the plan. No pain was found. He may go home."
ZH = "患者今日复诊。血压120/80，体温36.5℃。诉无胸痛、无气促。继续原方案治疗。一周后复查血常规。"
LAW = "第一章 总则\n第一条 为了规范贷款，制定本办法。\n第二章 贷款\n第二条 贷款应当按期归还。\n第三条 逾期加收利息。"


def parts(text: str, size: int, overlap: int = 0) -> list[str]:
    return [text[part.start : part.end] for part in chunks(text, size, overlap)]


def test_whole_sentences() -> None:
    assert parts(EN, 55) == ["Dr. Lee saw the patient. He takes 5.1 mg a day.",
                             "See Sec. 5.1 of the plan. No pain was found.", "He may go home."]  # fmt: skip
    assert parts(ZH, 24) == [
        "患者今日复诊。血压120/80，体温36.5℃。",
        "诉无胸痛、无气促。继续原方案治疗。",
        "一周后复查血常规。",
    ]


def test_overlap_repeats_sentences_as_far_as_they_fit() -> None:
    assert parts(ZH, 24, 1)[1:] == ["诉无胸痛、无气促。继续原方案治疗。", "继续原方案治疗。一周后复查血常规。"]
    assert all(len(part) <= 55 for part in parts(EN, 55, 3))


def test_headings_go_with_what_follows() -> None:
    assert parts(LAW, 40) == [
        "第一章 总则\n第一条 为了规范贷款，制定本办法。",
        "第二章 贷款\n第二条 贷款应当按期归还。\n第三条 逾期加收利息。",
    ]
    assert [part.headings for part in chunks(LAW, 30)] == [[], ["第一章 总则"], ["第二章 贷款"]]
    text = "# Plan\n## Costs\nThe bank pays the costs of it.\n## Term\nThe term is two years."
    assert [part.headings for part in chunks(text, 40)] == [[], ["# Plan", "## Costs"]]


def test_a_table_is_not_cut() -> None:
    table = "\n".join(f"| {word} | 10 | 20 |" for word in ("sodium", "potassium", "chloride", "glucose"))
    found = parts(f"The results are here. They are normal.\n{table}\nNo action is needed.", 60)
    assert table in found and "No action is needed." in found


def test_an_overlong_sentence_is_cut_at_commas() -> None:
    text = "甲方提供设备、场地和人员，乙方提供资金、技术和管理，双方共同承担风险，并按约定的比例分配利润。"
    assert parts(text, 26) == [
        "甲方提供设备、场地和人员，乙方提供资金、技术和管理，",
        "双方共同承担风险，并按约定的比例分配利润。",
    ]
    assert parts("word " * 30, 24) == ["word word word word word"] * 6
    assert parts("一" * 50, 24) == ["一" * 50]


def test_rows_name_their_parent_and_stay_in_its_group() -> None:
    table = documents([EN, "Short.", ZH], source="a/{}.txt")
    on = settings(chunk={"enabled": True, "size": 60})
    result = operate(chunk, table, on)
    rows = result.batch.to_pylist()
    assert [row["source"] for row in rows] == ["a/0.txt#chunk1", "a/0.txt#chunk2", "a/1.txt", "a/2.txt"]
    assert len({row["id"] for row in rows}) == 4 and not result.rejected
    for row in rows[:2]:
        place = json.loads(row["metadata"])["chunk"]
        assert EN[place["start"] : place["end"]] == row["text"]
        assert place["parent"] == row["group"] == table["id"][0].as_py()
    assert result.counts == {"cut": 1, "chunks": 2, "oversized": 0}
    assert "1 text cut into 2 chunks" in chunk.note(result.counts)
    assert same(result, operate(chunk, table, on, size=1))
    grouped = operate(chunk, documents([EN], group="matter 7"), on)
    assert set(grouped.batch["group"].to_pylist()) == {"matter 7"}


def test_size_in_tokens(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"card": 0, "lost": 1, ".": 2}, unk_token="."))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    text = "card lost card lost. " * 5
    tokens = settings(chunk={"enabled": True, "size": 20, "unit": "tokens",
                             "tokenizer": str(tmp_path / "tokenizer.json")})  # fmt: skip
    rows = operate(chunk, documents([text]), tokens).batch["text"].to_pylist()
    assert len(rows) > 1 and all(len(tokenizer.encode(row, add_special_tokens=False).ids) <= 20 for row in rows)
    (tmp_path / "no.json").write_text("{}")
    wrong = settings(chunk={"enabled": True, "unit": "tokens", "tokenizer": str(tmp_path / "no.json")})
    with pytest.raises(UserError, match="no tokenizer file"):
        operate(chunk, documents(["a"]), wrong)


@given(st.lists(st.sampled_from(["Dr. Lee came. ", "患者复诊。", "\n", "| a | b |\n", "第一章 总则\n", "5.1 mg, 2 mg; ",
                                 "“好。”", "（见附件！）", "# Head\n", "\t", "word "]), max_size=30),
       st.integers(20, 60), st.integers(0, 3))  # fmt: skip
def test_every_character_is_in_a_chunk(drawn: list[str], size: int, overlap: int) -> None:
    text = "".join(drawn)
    covered = [False] * len(text)
    last = 0
    for part in chunks(text, size, overlap):
        assert part.start < part.end and part.end > last and text[part.start : part.end].strip()
        covered[part.start : part.end] = [True] * (part.end - part.start)
        last = part.end
    assert all(covered[at] or char.isspace() for at, char in enumerate(text))
