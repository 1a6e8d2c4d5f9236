"""The operation on Arrow tables: columns, counts, changes, groups, lists, the vault, and nothing of the original."""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metier import tables
from metier.errors import UserError
from metier.prepare.config import PrepareConfig
from metier.prepare.deidentify import tagger, vault
from metier.prepare.deidentify.documents import Knowledge
from metier.prepare.operation import CHANGES, Result, Settings, TextOperation
from metier.registry import lookup
from metier.train.config import TaskConfig
from prepare.conftest import Prepared, document

SECRET = "the key that the tests are run with"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METIER_DEIDENTIFY_KEY", SECRET)


def apply(documents: list[dict[str, Any]], batches: int = 1, **config: Any) -> tuple[pa.Table, list[Result]]:
    """The rows that come out, and the results of the batches."""
    settings = Settings(
        PrepareConfig.model_validate({"deidentify": {"policy": "placeholder", **config}}), TaskConfig(), 0
    )
    operation: TextOperation = lookup("operation", "deidentify")
    assert operation.wanted(settings.config) and operation.observe and operation.conclude
    rows = [{"id": tables.digest(str(number), row["text"]), **row} for number, row in enumerate(documents)]
    size = -(-len(rows) // batches)
    parts = [tables.table(rows[start : start + size], tables.DOCUMENTS) for start in range(0, len(rows), size)]
    knowledge = operation.conclude([operation.observe(part, settings) for part in parts], settings)
    results = [operation.apply(part, settings, knowledge) for part in parts]
    for result in results:
        assert result.batch.schema.equals(tables.DOCUMENTS)
        tables.table(result.changes, CHANGES)
    return pa.concat_tables([result.batch for result in results]), results


def texts(documents: list[dict[str, Any]], **config: Any) -> list[str]:
    return apply(documents, **config)[0]["text"].to_pylist()  # type: ignore[no-any-return]


NOTE = {
    "text": "患者张三，手机13800138000，2024年5月1日入院。",
    "language": "zh",
    "source": "张三先生.docx#1",
    "title": "联系人：张三",
    "group": "P17",
    "metadata": json.dumps({"label": "张三", "phone": 13800138000, "note": "电话13800138000", "n": 3}),
}


def test_it_is_off_unless_a_policy_is_named() -> None:
    operation: TextOperation = lookup("operation", "deidentify")
    assert not operation.wanted(PrepareConfig())
    assert operation.wanted(PrepareConfig.model_validate({"deidentify": {"policy": "keep"}}))


def test_all_columns_that_may_hold_a_name() -> None:
    batch, (result,) = apply([NOTE])
    row = batch.to_pylist()[0]
    assert row["text"] == "患者【姓名】，手机【电话】，【日期】入院。"
    assert row["source"] == "【姓名】先生.docx#1" and row["title"] == "联系人：【姓名】" and row["group"] == "P17"
    fields = json.loads(row["metadata"])
    assert fields == {"label": "张三", "phone": "【电话】", "note": "电话【电话】", "n": 3}
    assert result.rejected == []
    assert result.counts["deidentified:person"] == 1 and result.counts["deidentified:phone"] == 1
    assert result.counts["deidentified in source:person"] == 1 and result.counts["deidentified in metadata:phone"] == 2
    assert result.counts["deidentify:documents"] == 1 and result.counts["deidentify:group kept"] == 1


def test_changes_say_where_and_not_what_was_there() -> None:
    _, (result,) = apply([NOTE], shown=("date",))
    assert [(row["reason"], row["before"], NOTE["text"][row["start"] : row["end"]]) for row in result.changes] == [
        ("person", "", "张三"),
        ("phone", "", "13800138000"),
        ("date", "2024年5月1日", "2024年5月1日"),
    ]
    assert {row["source"] for row in result.changes} == {"【姓名】先生.docx#1"}
    assert SECRET not in str(result)


def test_old_text_comes_back_from_text_and_changes_of_shown_kinds() -> None:
    batch, (result,) = apply([NOTE], shown=("person", "phone", "date"))
    text, moved = batch["text"][0].as_py(), 0
    for row in result.changes:
        start = row["start"] + moved
        assert text[start : start + len(row["after"])] == row["after"]
        text = text[:start] + row["before"] + text[start + len(row["after"]) :]
        moved += 0
    assert text == NOTE["text"]


def test_the_other_columns_can_be_hashed_dropped_or_kept() -> None:
    places = {"group": "hash", "source": "hash", "title": "drop", "metadata": "drop"}
    batch, (result,) = apply([NOTE, {**NOTE, "text": "无"}], places=places)
    first, second = batch.to_pylist()
    assert first["group"] == second["group"] != "P17" and len(first["group"]) == 12
    assert "张三" not in first["source"] and first["title"] == ""
    assert json.loads(first["metadata"]) == {"label": "张三"}
    assert result.counts["deidentify:source hash"] == 2 and "deidentify:group kept" not in result.counts
    kept, _ = apply([NOTE], places={"source": "keep", "title": "keep", "metadata": "keep"})
    assert kept["source"][0].as_py() == NOTE["source"] and kept["metadata"][0].as_py() == NOTE["metadata"]


def test_a_name_of_the_group_is_known_in_its_other_documents() -> None:
    documents = [
        {"text": "姓名：王小明", "group": "P1"},
        {"text": "王小明昨日复诊。", "group": "P1"},
        {"text": "王小明来过。", "group": "P2"},
    ]
    for batches in (1, 3):
        assert apply(documents, batches)[0]["text"].to_pylist() == [
            "姓名：【姓名】",
            "【姓名】昨日复诊。",
            "王小明来过。",
        ]
    assert texts(documents, names={"repeat": False})[1] == "王小明昨日复诊。"


def test_lists_of_the_source_system(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["name", "id", "ward"], ["Kovacs, Ilona", "QX-7781", "3"], ["买买提江", "", "4"]])
    documents = [{"text": "Ilona Kovacs (QX-7781) met I. Kovacs; 买买提江好转。ward 3"}]
    config = {"names": {"dictionary": str(path)}}
    out = texts(documents, **config)[0]
    assert "Kovacs" not in out and "QX-7781" not in out and "买买提江" not in out and "ward 3" in out
    (tmp_path / "bad.csv").write_text("who,what\na,b\n", encoding="utf-8")
    with pytest.raises(UserError, match="no column of this list is known"):
        texts(documents, names={"dictionary": str(tmp_path / "bad.csv")})


def test_fields_that_name_the_documents_own_people() -> None:
    metadata = json.dumps({"patient_name": "Ilona Kovacs", "mrn": "AB-99"})
    batch, _ = apply(
        [{"text": "Kovacs (AB-99) slept well.", "metadata": metadata, "language": "en"}],
        names={"columns": ["patient_name", "mrn"]},
    )
    assert batch["text"][0].as_py() == "[PERSON] ([PERSON NUMBER]) slept well."
    assert json.loads(batch["metadata"][0].as_py()) == {"patient_name": "[PERSON]", "mrn": "[PERSON NUMBER]"}


def test_surrogates_are_the_same_in_every_batch_and_for_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [
        {"text": f"Tel 212-555-12{number % 3}4, seen 2024-03-0{number + 1}", "group": "g"} for number in range(6)
    ]
    whole = texts(documents, policy="surrogate")
    assert whole == apply(documents, 3, policy="surrogate")[0]["text"].to_pylist()
    assert whole[0][:16] == whole[3][:16] != whole[1][:16]
    monkeypatch.setenv("METIER_DEIDENTIFY_KEY", "another key, also long enough")
    assert whole != texts(documents, policy="surrogate")


def test_the_vault_is_apart_and_turns_surrogates_back(tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    batch, _ = apply([NOTE], policy="surrogate", vault=str(folder))
    (path,) = folder.glob("*.jsonl")
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert vault.reverse(batch["text"][0].as_py(), folder) == (NOTE["text"], 3)
    assert {row["field"] for row in vault.read(folder)} >= {"text", "title", "source"}
    apply([NOTE], policy="surrogate", vault=str(folder))
    assert len(list(folder.glob("*"))) == 1  # the same shard again is the same file
    with pytest.raises(UserError, match="no vault"):
        vault.reverse("x", tmp_path / "none")
    if os.name == "posix":
        folder.chmod(0o755)
        with pytest.raises(UserError, match="others may look"):
            apply([NOTE], policy="surrogate", vault=str(folder))


def test_nothing_is_written_without_a_vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    apply([NOTE], policy="surrogate")
    assert list(tmp_path.iterdir()) == []


def test_keep_counts_and_changes_nothing() -> None:
    batch, (result,) = apply([NOTE], policy="keep")
    assert batch["text"][0].as_py() == NOTE["text"] and result.changes == []
    assert result.counts["found and kept:phone"] >= 1


def test_names_of_a_tagger(monkeypatch: pytest.MonkeyPatch) -> None:
    def tag(found: Any) -> list[list[tuple[int, int, str]]]:
        return [[(text.index("Zorbo"), text.index("Zorbo") + 5, "PER")] if "Zorbo" in text else [] for text in found]

    door = tagger.TaggerDoor(lambda name: tag, lambda name: f"hash of {name}")
    monkeypatch.setattr(tagger, "lookup", lambda kind, name: door)
    tagger._loaded.cache_clear()
    try:
        assert texts([{"text": "then Zorbo left", "language": "en"}, {"text": "nobody"}], names={"model": "run"}) == [
            "then [PERSON] left",
            "nobody",
        ]
        config = PrepareConfig.model_validate({"deidentify": {"policy": "mask", "names": {"model": "run"}}})
        assert config.deidentify.identity()["names"]["model"] == "hash of run"
    finally:
        tagger._loaded.cache_clear()


def test_a_tagger_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="there is no model called"):
        PrepareConfig.model_validate(
            {"deidentify": {"policy": "mask", "names": {"model": "no-such-run"}}}
        ).deidentify.identity()


def test_a_sentence_for_the_funnel() -> None:
    operation: TextOperation = lookup("operation", "deidentify")
    _, (result,) = apply([NOTE])
    assert operation.note(result.counts) == (
        "3 identifiers in 1 texts: 1 date, 1 person, 1 phone; the group of 1 documents is left as it is"
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"policies": {"telephone": "mask"}}, "there is no kind of identifier"),
        ({"shown": ["telephone"]}, "there is no kind of identifier"),
        ({"places": {"text": "drop"}}, "there is no column"),
        ({"places": {"group": "drop"}}, "kept or hashed"),
        ({"places": {"metadata": "hash"}}, "scanned, kept or dropped"),
        ({"policy": "blur"}, "policy"),
    ],
)
def test_mistakes_in_the_settings_are_told(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrepareConfig.model_validate({"deidentify": config})


def test_the_key_is_no_part_of_the_settings_and_is_not_shown() -> None:
    assert SECRET not in repr(Knowledge(key=SECRET.encode()))
    config = PrepareConfig.model_validate({"deidentify": {"policy": "surrogate"}})
    assert SECRET not in config.model_dump_json() and SECRET not in json.dumps(config.identity())


def test_through_the_whole_stage(stage: Callable[..., Prepared]) -> None:
    documents = [
        document(
            number,
            f"患者张小{'明红强'[number % 3]}，手机138001380{number:02d}，第{number}次复诊。",
            "ab"[number % 2],
            group=f"P{number % 5}",
        )
        for number in range(30)
    ]
    config = {"deidentify": {"policy": "placeholder", "places": {"group": "hash"}}, "dedup": {"near": False}}
    prepared = stage(documents, config)
    assert len(prepared.examples) > 0 and all(
        "张小" not in row["text"] and "138" not in row["text"] for row in prepared.examples
    )
    step = next(step for step in prepared.summary["funnel"] if step["step"] == "deidentify")
    assert step["rows"] == 30 and "30 person, 30 phone" in step["note"]
    assert not {row["group"] for row in prepared.examples} & {f"P{number}" for number in range(5)}
    everything = "".join(path.read_bytes().decode("latin-1") for path in prepared.path.rglob("*") if path.is_file())
    assert SECRET not in everything
