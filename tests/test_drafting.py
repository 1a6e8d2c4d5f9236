"""`metier new`: the recipe that is written for a file, and what it says of what it saw."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier import tables
from metier.collect.stage import find_inputs
from metier.drafting import draft, render, write_recipe
from metier.errors import UserError
from metier.recipe import load, parse, read_word, write_word
from small import Answer, rows, write_csv

Metier = Callable[..., Answer]
LABELS = {"card": "信用卡", "loan": "贷款", "transfer": "转账"}
CHINESE = [
    {"编号": i, "文本": row["text"] + "，请尽快处理。", "标签": LABELS[row["label"]]} for i, row in enumerate(rows(12))
]


def written_and_drafted_agree(path: Path, task: str | None, folder: Path) -> None:
    """What `new` writes is read back as exactly what `run` on the bare file would use, from its own folder."""
    target = write_recipe(path, task, folder / "deep" / "recipe.yaml", force=True)
    made = draft(path, task, target.parent)
    assert load(target) == parse(made.data)
    found = find_inputs(load(target).collect, target.parent)
    bare = find_inputs(parse(draft(path, task).data).collect, Path.cwd())
    assert [item.sha256 for item in found.files] == [item.sha256 for item in bare.files]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_chinese_table(work: Path, encoding: str) -> None:
    path = write_csv(work / "客户 留言.csv", CHINESE, encoding)
    made = draft(path)
    assert made.data["collect"]["sources"][0]["columns"] == {"text": "文本", "label": "标签"} | (
        {"id": "编号"} if "id" in made.data["collect"]["sources"][0]["columns"] else {}
    )
    assert made.data["task"] == "classify" and made.data["name"] == "客户-留言"
    assert "12 rows" in made.seen[0] and any("信用卡" in line for line in made.seen)
    written_and_drafted_agree(path, None, work)


def test_an_english_table_with_groups(work: Path) -> None:
    path = write_csv(work / "export.csv", [{"message": row["text"], "intent": row["label"], "customer_id": f"c{i % 4}"}
                                           for i, row in enumerate(rows(12))])  # fmt: skip
    made = draft(path)
    columns = made.data["collect"]["sources"][0]["columns"]
    assert (columns["text"], columns["label"], columns["group"]) == ("message", "intent", "customer_id")
    assert "# group:" not in render(made)
    written_and_drafted_agree(path, None, work)


def test_json_lines_and_parquet(work: Path) -> None:
    lines = work / "a.jsonl"
    lines.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in CHINESE), encoding="utf-8")
    tables.write(pa.Table.from_pylist(rows(12)), work / "b.parquet")
    for path in (lines, work / "b.parquet"):
        assert set(draft(path).data["collect"]["sources"][0]["columns"]) >= {"text", "label"}
        written_and_drafted_agree(path, None, work)


def test_a_folder_of_classes(work: Path) -> None:
    for row, number in zip(rows(9), range(9), strict=True):
        file = work / "in box" / row["label"] / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(row["text"])
    (work / "in box" / "readme.md").write_text("about")
    (work / "in box" / ".git").mkdir()
    (work / "in box" / ".git" / "config").write_text("x")
    made = draft(work / "in box")
    assert made.data["collect"]["sources"] == [{"path": (work / "in box").as_posix(), "label_from": "folder"}]
    assert "3 folders, taken for labels" in made.seen and "9 .txt" in made.seen[0]
    written_and_drafted_agree(work / "in box", "classify", work)


def test_a_folder_without_classes_gets_no_labels(work: Path) -> None:
    (work / "flat").mkdir()
    (work / "flat" / "a.txt").write_text("a")
    assert "label_from" not in draft(work / "flat").data["collect"]["sources"][0]


def test_a_table_of_values_is_a_scoring_task(work: Path) -> None:
    path = write_csv(work / "v.csv", [{"text": row["text"], "score": i / 2} for i, row in enumerate(rows(12))])
    made = draft(path)
    assert made.data["task"] == "score" and made.data["collect"]["sources"][0]["columns"]["value"] == "score"
    assert all("accuracy" not in line for line in made.data["evaluate"]["accept"])
    as_classes = draft(path, "classify").data["collect"]["sources"][0]["columns"]
    assert as_classes["label"] == "score" and "value" not in as_classes
    written_and_drafted_agree(path, None, work)


def test_many_numbers_as_labels_are_told(work: Path) -> None:
    path = write_csv(work / "n.csv", [{"text": f"text {i}", "label": i} for i in range(40)])
    assert any("perhaps the task is score" in line for line in draft(path).seen)


def test_labels_cannot_write_the_recipe(work: Path) -> None:
    data = rows(6)
    data[0]["label"] = "fine\ntask: score\nseed: 99"
    data[1]["label"] = "x\u2028seed: 98\x85seed: 97"
    path = write_csv(work / "evil.csv", data)
    target = write_recipe(path, None, work / "r.yaml", force=False)
    assert load(target).seed == 0 and load(target).task.name == "classify"
    written_and_drafted_agree(path, None, work)


@pytest.mark.parametrize(
    "name", ["2024", "no", "1e5", "a: b", "null", "it's", "with, comma", "列 名", "-", "x#y", "[a]"]
)
def test_names_of_columns_and_files_are_kept_whatever_they_look_like(work: Path, name: str) -> None:
    path = write_csv(work / "2024.csv", [{name: f"a long enough sentence {i}", "label": "ab"[i % 2]} for i in range(8)])
    made = draft(path).data
    made["collect"]["sources"][0]["columns"]["text"] = name
    target = work / "r.yaml"
    target.write_text(render(type(draft(path))(made, [])), encoding="utf-8")
    assert load(target).collect.sources[0].columns["text"] == name and load(target).name == "2024"


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_quoted_scalar_is_read_back(text: str) -> None:
    assert read_word(write_word(text)) == text and "\n" not in write_word(text)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("empty.csv", b"", "cannot be read (empty)"),
        ("head.csv", b"text,label\n", "has no rows"),
        ("broken.parquet", b"PAR1 and no more", "cannot be read"),
        ("not.parquet", b"hello", "cannot be read"),
        ("bad.jsonl", b"{not json}\n", ""),
        ("numbers.csv", b"a,b\n1,2\n3,4\n", "no column looks like the text"),
        ("letter.pdf", b"%PDF-1.4", "a recipe cannot be guessed for a single .pdf file"),
    ],
)
def test_tables_that_give_no_draft(work: Path, name: str, content: bytes, what: str) -> None:
    (work / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        draft(work / name)
    assert what in error.value.what and name in error.value.where and error.value.fix


def test_other_mistakes(work: Path) -> None:
    path = write_csv(work / "data.csv", rows(6))
    with pytest.raises(UserError, match="there is no task called 'clasify'"):
        draft(path, "clasify")
    with pytest.raises(UserError, match="no such file or folder"):
        draft(work / "none.csv")
    (work / "hollow").mkdir()
    with pytest.raises(UserError, match="the folder is empty"):
        draft(work / "hollow")


def test_new_writes_once_and_over_only_with_force(work: Path, metier: Metier) -> None:
    write_csv(work / "data.csv", rows(9))
    answer = metier("new", "data.csv")
    assert answer.code == 0 and answer.out == "wrote data.yaml; look at it, then: metier run data.yaml\n"
    assert load(work / "data.yaml").collect.sources[0].columns == {"text": "text", "label": "label"}
    (work / "data.yaml").write_text("# mine\n")
    answer = metier("new", "data.csv")
    assert answer.code == 2 and "already there" in answer.err and (work / "data.yaml").read_text() == "# mine\n"
    assert metier("new", "data.csv", "--force").code == 0 and "name: data" in (work / "data.yaml").read_text()
    assert metier("new", "data.csv", "-o", "a/b/c.yaml", "--task", "classify").code == 0
    assert load(work / "a/b/c.yaml").collect.sources[0].path == "../../data.csv"
    assert metier("collect", "a/b/c.yaml", "-o", "out").code == 0 and (work / "out/documents.parquet").is_file()


def test_columns_that_the_user_names_are_taken(tmp_path: Path) -> None:
    data = tmp_path / "odd.csv"
    data.write_text("aaa,bbb\n" + "".join(f"some words {i},{'xy'[i % 2]}\n" for i in range(8)), encoding="utf-8")
    made = draft(data, "classify", columns={"text": "aaa", "label": "bbb"})
    assert made.data["collect"]["sources"][0]["columns"] == {"text": "aaa", "label": "bbb"}
    with pytest.raises(UserError, match="no column 'ccc'"):
        draft(data, "classify", columns={"text": "ccc"})


def test_the_example_of_the_readme_is_guessed(tmp_path: Path) -> None:
    data = tmp_path / "complaints.csv"
    rows_of = "".join(f"C{i},They charged me twice for item {i},{'card' if i % 2 else 'loan'}\n" for i in range(8))
    data.write_text("customer_id,narrative,product\n" + rows_of, encoding="utf-8")
    columns = draft(data, "classify").data["collect"]["sources"][0]["columns"]
    assert columns == {"text": "narrative", "label": "product", "group": "customer_id"}
