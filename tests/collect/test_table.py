from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.collect import table
from metier.collect.reading import Options, Reading, Unreadable
from metier.errors import UserError


def read(text: str | bytes, name: str = "a.csv", **options: object) -> Reading:
    return table.read(text.encode() if isinstance(text, str) else text, name, Options(**options))  # type: ignore[arg-type]


def test_gb18030_csv_with_chinese_names() -> None:
    reading = read("编号,留言内容,标签\n1,我的卡丢了,挂失\n2,转账没有到账,转账\n".encode("gb18030"))
    assert [piece.text for piece in reading.pieces] == ["我的卡丢了", "转账没有到账"]
    assert reading.pieces[0].metadata == {"encoding": "gb18030", "id": "1", "label": "挂失"}
    assert reading.pieces[1].part == "#2"
    assert "text = '留言内容'" in reading.warnings[0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_tsv(encoding: str) -> None:
    reading = read("text\tlabel\r\nWo ist meine Karte? 卡\tcard\r\n".encode(encoding), "a.tsv")
    assert [(piece.text, piece.metadata["label"]) for piece in reading.pieces] == [("Wo ist meine Karte? 卡", "card")]


def test_quoted_newlines_and_quotes() -> None:
    reading = read('text,label\r\n"first\r\nsecond, ""third""",a\r\nplain,b\r\n')
    assert [piece.text for piece in reading.pieces] == ['first\nsecond, "third"', "plain"]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_delimiters(delimiter: str) -> None:
    reading = read(f"message{delimiter}intent\nHello there{delimiter}greet\nBye{delimiter}leave\n")
    assert [piece.metadata["label"] for piece in reading.pieces] == ["greet", "leave"]


def test_one_column_with_commas_inside() -> None:
    reading = read("text\nhello, world\none, two, three\nfour\n")
    assert [piece.text for piece in reading.pieces] == ["hello, world", "one, two, three", "four"]


def test_malformed_rows_keep_their_place() -> None:
    reading = read("text,label\ngood,a\ntoo,many,fields\nshort\nlast,b\n")
    assert [(piece.part, piece.text) for piece in reading.pieces] == [("#1", "good"), ("#4", "last")]
    assert [(r.part, r.reason, r.detail) for r in reading.refused] == [
        ("#2", "malformed row", "line 3: 3 fields instead of 2"),
        ("#3", "malformed row", "line 4: 1 fields instead of 2"),
    ]


def test_an_open_quote_costs_one_row_not_the_rest() -> None:
    rows = "".join(f"row {number},a\n" for number in range(50))
    reading = read(f'text,label\n"fine, quoted",a\n"never closed,a\n{rows}')
    assert len(reading.pieces) == 51
    assert [r.detail for r in reading.refused] == ["line 3: a quote is opened and not closed"]


def test_literal_quotes_without_quoting() -> None:
    reading = read(
        'ham\t"Hello" she said\nspam\tWin "now\nham\tok"\nham\tbye bye my friend\n',
        "sms.tsv",
        columns={"text": "2", "label": "1"},
    )
    assert [piece.text for piece in reading.pieces] == ['"Hello" she said', 'Win "now', 'ok"', "bye bye my friend"]
    assert [piece.metadata["label"] for piece in reading.pieces] == ["ham", "spam", "ham", "ham"]


def test_empty_texts_are_refused() -> None:
    reading = read("text,label\n,a\nNaN,b\nnull,c\n  ,d\nNone of these,e\n")
    assert [piece.text for piece in reading.pieces] == ["None of these"]
    assert [r.reason for r in reading.refused] == ["empty text"] * 4


def test_numbers_stay_as_written_and_nul_bytes_go() -> None:
    reading = read(b"text,code\nhel\x00lo,007.50\n")
    assert reading.pieces[0].text == "hello" and reading.pieces[0].metadata["code"] == "007.50"
    assert any("NUL" in text for text in reading.warnings)


def test_damaged_bytes_cost_their_row() -> None:
    lines = ["text,label", *["我的银行卡丢了,挂失"] * 20]
    reading = read("\n".join(lines).encode() + b"\nbad \xe6\x88 row,x\nlast,y\n")
    assert [(r.part, r.reason) for r in reading.refused] == [("#21", "undecodable row")]
    assert reading.pieces[-1].text == "last"


def test_json_lines() -> None:
    reading = read(
        '{"text": "a", "label": ["x", "y"], "n": 1}\nnot json\n[1]\n{"text": null}\n{"text": "\\ud800"}\n', "a.jsonl"
    )
    assert reading.pieces[0].metadata == {"encoding": "utf-8", "label": '["x", "y"]', "n": 1}
    assert [(r.part, r.reason) for r in reading.refused] == [
        ("#2", "malformed row"), ("#3", "malformed row"), ("#4", "empty text"), ("#5", "undecodable row"),
    ]  # fmt: skip


@pytest.mark.parametrize("whole", [
    [{"text": "a"}, {"text": "b"}], {"1": {"text": "a"}, "2": {"text": "b"}},
    {"version": 1, "data": [{"text": "a"}, {"text": "b"}]},
])  # fmt: skip
def test_json_shapes(whole: object) -> None:
    assert [piece.text for piece in read(json.dumps(whole), "a.json").pieces] == ["a", "b"]


def test_dotted_path_in_json() -> None:
    reading = read(
        '{"s": "up", "info": [{"score": "0.4"}]}\n', "a.jsonl", columns={"text": "s", "value": "info.0.score"}
    )
    assert reading.pieces[0].metadata["value"] == "0.4"


def test_parquet_keeps_types() -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", None, "c"], "score": [1.5, 2.0, float("nan")]}), stream)
    reading = read(stream.getvalue(), "a.parquet")
    assert [piece.metadata.get("value") for piece in reading.pieces] == [1.5, None]
    assert [r.part for r in reading.refused] == ["#2"]
    with pytest.raises(Unreadable, match="damaged"):
        read(stream.getvalue()[:60], "a.parquet")


def test_mapping_must_exist() -> None:
    with pytest.raises(UserError) as caught:
        read("message,intent\na,b\n", columns={"text": "mesage"})
    assert "no column 'mesage'" in str(caught.value) and "did you mean 'message'?" in str(caught.value)


def test_mapping_by_number_means_no_header() -> None:
    reading = read("card lost,urgent\nnew card,normal\n", columns={"text": "1", "label": "2"})
    assert [piece.metadata["label"] for piece in reading.pieces] == ["urgent", "normal"]


def test_a_column_named_like_a_role_is_kept_apart() -> None:
    reading = read("body,verdict,label\nx,good,old\n", columns={"text": "body", "label": "verdict"})
    assert reading.pieces[0].metadata == {"encoding": "utf-8", "label": "good", "column:label": "old"}


def test_no_text_column() -> None:
    with pytest.raises(Unreadable) as caught:
        read("a,b\n1,2\n3,4\n")
    assert caught.value.reason == "no text column" and "a, b" in caught.value.detail


def test_peek(tmp_path: Path) -> None:
    path = tmp_path / "导出.csv"
    path.write_bytes(("留言;类别\n" + "我要挂失;卡\n" * 300).encode("gb18030"))
    seen = table.peek(path)
    assert (seen.columns, len(seen.rows), seen.n_rows, seen.encoding, seen.delimiter) == (
        ["留言", "类别"],
        200,
        300,
        "gb18030",
        ";",
    )
    assert seen.roles == {"text": "留言", "label": "类别"}


cells = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\"',;\t|"), min_size=1, max_size=30
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=12))
def test_what_the_csv_module_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label"), *rows])
    reading = read(stream.getvalue(), delimiter=",", columns={"text": "text", "label": "label"})
    assert len(reading.pieces) + len(reading.refused) == len(rows)
    expected = [text for text, _ in rows if text.strip() not in table.NO_TEXT]
    assert [piece.text for piece in reading.pieces] == expected


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from('ab",;\n\t|é中'), max_size=80))
def test_any_text_is_a_table_or_a_refusal(text: str) -> None:
    try:
        reading = read("text,label\n" + text, columns={"text": "text"})
    except Unreadable as error:
        assert error.reason in ("empty", "no text column")
    else:
        numbers = sorted(int(item.part[1:]) for item in (*reading.pieces, *reading.refused))
        assert numbers == list(range(1, len(numbers) + 1))  # no row vanishes, none is told twice


# -- tables beyond memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jsonl", "csv", "gb18030", "tsv", "parquet"])
def test_a_large_table_read_in_blocks_is_what_it_is_whole(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metier.collect import large, workers

    monkeypatch.setattr(large, "BLOCK", 900)
    rows = [{"text": f'客户 "{n}" 来信,\n第二行,再说' + "。" * (n % 40), "label": f"类{n % 3}"} for n in range(400)]
    path = tmp_path / f"a.{'csv' if form == 'gb18030' else form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=64)
    elif form == "jsonl":
        path.write_text(
            "\n".join([json.dumps(row) for row in rows[:200]] + ["{broken"] + [json.dumps(r) for r in rows[200:]])
        )
    else:
        stream = io.StringIO()
        writer = csv.DictWriter(stream, ["text", "label"], delimiter="\t" if form == "tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
        path.write_bytes(
            (stream.getvalue() + "too,many,fields,here\r\n").encode("gb18030" if form == "gb18030" else "utf-8")
        )
    whole = table.read(path.read_bytes(), path.name, Options())
    monkeypatch.setattr(large, "LARGE", 1_000)
    task = workers.Task(0, str(path), path.name, "", Options(), path.stat().st_size)
    blocks = workers.read_one(task)
    assert isinstance(blocks, Reading) and len(blocks.pieces) == 400
    assert [(p.part, p.text, p.metadata) for p in blocks.pieces] == [(p.part, p.text, p.metadata) for p in whole.pieces]
    assert [(r.part, r.reason) for r in blocks.refused] == [(r.part, r.reason) for r in whole.refused]
    if form in ("jsonl", "csv"):
        assert [r.detail for r in blocks.refused] == [r.detail for r in whole.refused]
    assert blocks.warnings == whole.warnings
