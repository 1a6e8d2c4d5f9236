"""Databases: SQLite files and a real PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.collect.places.conftest import Postgres

from metier.artifact import fingerprint
from metier.collect.config import CollectConfig
from metier.collect.places.sql import _bare
from metier.collect.stage import find_inputs, identity
from metier.console import Console
from metier.errors import UserError

pytest.importorskip("sqlalchemy")
CASES = [(3, "the pump is broken", "repair"), (1, "水泵坏了", "repair"), (2, "please pay", "invoice")]


@pytest.fixture
def cases(inbox: Path) -> Path:
    path = inbox / "cases.db"
    with sqlite3.connect(path) as base:
        base.execute("create table cases (no integer primary key, message text, intent text, cost numeric, scan blob)")
        base.executemany("insert into cases (no, message, intent) values (?, ?, ?)", CASES)
    base.close()
    return path


def found(base: Path, refresh: bool = False, **sql: Any) -> Any:
    return find_inputs(CollectConfig(sources=[{"sql": sql, "refresh": refresh}]), base)


# -- SQLite ------------------------------------------------------------------------------------------------------------


def test_a_table_in_the_order_of_its_key(run: Any, cases: Path) -> None:
    source = {"sql": {"url": "sqlite:///cases.db", "table": "cases"}, "columns": {"text": "message", "label": "intent"}}
    summary, documents, rejected = run(sources=[source])
    assert [(d["source"], d["text"], d["metadata"]["label"], d["metadata"]["no"]) for d in documents] == [
        ("cases-00001.jsonl#1", "水泵坏了", "repair", 1), ("cases-00001.jsonl#2", "please pay", "invoice", 2),
        ("cases-00001.jsonl#3", "the pump is broken", "repair", 3),
    ]  # fmt: skip
    assert rejected == [] and summary["documents"] == 3


def test_a_query_needs_an_order(cases: Path) -> None:
    url = "sqlite:///cases.db"
    with pytest.raises(UserError, match="no ORDER BY"):
        found(cases.parent, url=url, query="select * from (select * from cases order by no)")
    with pytest.raises(UserError, match="only one SELECT"):
        found(cases.parent, url=url, query="delete from cases")
    with pytest.raises(UserError, match="only one SELECT"):
        found(cases.parent, url=url, query="select 1; drop table cases")
    files = found(
        cases.parent, url=url, query="select message from cases where intent like '%:r%' or 1 order by no"
    ).files
    assert files[0].path.read_text(encoding="utf-8").splitlines()[0] == '{"message": "水泵坏了"}'
    by_key = found(cases.parent, url=url, query="select no, message from cases", order_by="no", rows_per_file=2).files
    assert [item.name for item in by_key] == ["query-00001.jsonl", "query-00002.jsonl"]


def test_the_rows_are_the_identity_and_the_file_is_read_again_when_it_changed(cases: Path, tmp_path: Path) -> None:
    def known(base: Path, **sql: Any) -> str:
        config = CollectConfig(sources=[{"sql": sql}])
        return fingerprint(identity(config, find_inputs(config, base)))

    wanted = {"url": "sqlite:///cases.db", "table": "cases"}
    first = known(cases.parent, **wanted)
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "other.db").write_bytes(cases.read_bytes())
    assert known(tmp_path, url="sqlite:///moved/other.db", table="cases") == first
    with sqlite3.connect(cases) as base:
        base.execute("update cases set message = 'changed' where no = 2")
    base.close()
    assert known(cases.parent, **wanted) != first


def test_nothing_can_be_written(cases: Path) -> None:
    before = cases.read_bytes()
    with pytest.raises(UserError, match=r"the database says: .*readonly"):
        found(cases.parent, url="sqlite:///cases.db",
              query="with x as (select 7 as no) insert into cases (no) select no from x order by no")  # fmt: skip
    assert cases.read_bytes() == before


def test_values_of_sqlite(run: Any, inbox: Path) -> None:
    with sqlite3.connect(inbox / "v.db") as base:
        base.execute("create table v (k integer primary key, message, a, b)")
        base.execute("insert into v values (1, 'one', null, 1.5)")
        base.execute("insert into v values (2, ?, x'fffe00', '2024-01-02 03:04:05')", (2**60,))
        base.execute("insert into v values (3, cast(x'c4e3bac3' as text), 1e400, '')")  # 你好 in GB18030
        base.execute("insert into v values (4, '', 0, 0)")
    base.close()
    source = {"sql": {"url": "sqlite:///v.db", "table": "v"}, "columns": {"text": "message"}}
    _, documents, rejected = run(sources=[source])
    assert [d["text"] for d in documents] == ["one", str(2**60)]
    assert documents[0]["metadata"] == {"encoding": "utf-8", "k": 1, "b": 1.5}
    assert documents[1]["metadata"]["a"] == "base64://4A" and documents[1]["metadata"]["b"] == "2024-01-02 03:04:05"
    assert [row["reason"] for row in rejected] == ["undecodable row", "empty text"]
    _, documents, _ = run(sources=[{**source, "sql": {**source["sql"], "encoding": "gb18030"}}])
    assert documents[2]["text"] == "你好" and documents[2]["metadata"]["a"] == "inf"


def test_mistakes_say_what_to_do(cases: Path) -> None:
    with pytest.raises(UserError, match="no such SQLite file"):
        found(cases.parent, url="sqlite:///nothing.db", table="cases")
    with pytest.raises(UserError, match=r"there is no table called clients[\s\S]*it has: cases"):
        found(cases.parent, url="sqlite:///cases.db", table="clients")
    with pytest.raises(UserError, match="no such column"):
        found(cases.parent, url="sqlite:///cases.db", query="select absent from cases order by 1")
    with pytest.raises(UserError, match="gives no rows"):
        found(cases.parent, url="sqlite:///cases.db", query="select * from cases where 0 order by no")
    with pytest.raises(UserError, match=r"pip install (pymysql|oracledb|pyodbc)"):
        found(cases.parent, url="mysql://u@127.0.0.1/x", table="t")
    with pytest.raises(UserError, match="knows no such database"):
        found(cases.parent, url="nosuch://u@127.0.0.1/x", table="t")


def test_rows_with_one_key_are_told(cases: Path) -> None:
    warnings = found(cases.parent, url="sqlite:///cases.db", table="cases", order_by="intent").warnings
    assert warnings == (
        "cases: 1 rows have the same intent as the row before; their order may differ the next time; order by a unique "
        "key",
    )


def test_the_outermost_level_of_a_query() -> None:
    assert "order" not in _bare("select 'order by' from (select * from x order by y) -- order by\n")
    assert "order by" in _bare("select row_number() over (order by a) from x order by b")


# -- PostgreSQL --------------------------------------------------------------------------------------------------------

VISITS = """create table visits (
    id bigint primary key, note text, cost numeric(20, 4), at timestamptz, day date, seen jsonb, scan bytea,
    tags text[], until timestamptz, sure boolean, key uuid, took interval)"""
ROWS = """insert into visits values
    (2, '患者主诉头痛三天', 12345678901234.5600, '2024-03-01 10:30:00+01', '2024-03-01',
     '{"b": [1, null], "a": {"x": 1.0}}', '\\xfffe00', '{a,"b c"}', 'infinity', true,
     '00000000-0000-0000-0000-00000000002a', '1 day 02:00'),
    (1, 'seen in ward three', null, null, '0044-03-15 BC', 'null', 'plain', '{}', '2024-03-01 10:30:00.25+00', null,
     null, null),
    (3, null, 'NaN', null, null, null, null, null, null, false, null, null)"""


@pytest.fixture
def clinic(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    monkeypatch.setenv("CLINIC_PASSWORD", postgres.password)
    postgres.run("drop table if exists visits", VISITS, ROWS)
    yield postgres


def test_values_of_postgresql_stay_exact(clinic: Postgres, run: Any, inbox: Path) -> None:
    source = {"sql": {"url": clinic.url, "table": "public.visits"}, "columns": {"text": "note", "time": "at"}}
    _, documents, rejected = run(sources=[source])
    assert [(d["source"], d["text"], d["time"]) for d in documents] == [
        ("public_visits-00001.jsonl#1", "seen in ward three", ""),
        ("public_visits-00001.jsonl#2", "患者主诉头痛三天", "2024-03-01T09:30:00+00:00"),
    ]
    assert documents[1]["metadata"] == {
        "encoding": "utf-8", "column:id": 2, "cost": "12345678901234.5600", "day": "2024-03-01",
        "seen": {"a": {"x": 1.0}, "b": [1, None]}, "scan": "base64://4A", "tags": ["a", "b c"], "until": "infinity",
        "sure": True, "key": "00000000-0000-0000-0000-00000000002a", "took": "P1DT2H",
    }  # fmt: skip
    assert documents[0]["metadata"] == {
        "encoding": "utf-8", "column:id": 1, "day": "0044-03-15 BC", "scan": "plain", "tags": [],
        "until": "2024-03-01T10:30:00.25+00:00",
    }  # fmt: skip
    assert [row["reason"] for row in rejected] == ["empty text"]


def test_the_snapshot_stays_until_refresh(clinic: Postgres, inbox: Path) -> None:
    wanted = {"url": clinic.url, "query": "select id, note from visits where id < 3 order by id"}
    first = found(inbox, **wanted)
    clinic.run("update visits set note = 'later' where id = 1")
    assert found(inbox, **wanted) == first
    second = found(inbox, refresh=True, **wanted)
    assert second.files[0].name == first.files[0].name and second.files[0].sha256 != first.files[0].sha256
    assert found(inbox, **wanted) == second
    clinic.run("update visits set note = 'seen in ward three' where id = 1")
    assert found(inbox, refresh=True, **wanted).files[0].sha256 == first.files[0].sha256  # the rows, not the moment


def test_postgresql_refuses_to_write_for_us(clinic: Postgres, inbox: Path) -> None:
    with pytest.raises(UserError, match="data-modifying"):
        found(inbox, url=clinic.url, query="with x as (delete from visits returning id) select id from x order by id")
    clinic.run("create sequence if not exists counter")
    with pytest.raises(UserError, match="read-only transaction"):
        found(inbox, url=clinic.url, query="select nextval('counter') as n order by n")


def test_many_rows_are_streamed(clinic: Postgres, inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = "select n, 'row ' || n || repeat('x', 200) as note from generate_series(1, 30000) n order by n"
    config = CollectConfig(sources=[{"sql": {"url": clinic.url, "query": query, "rows_per_file": 20000}}])
    files = find_inputs(config, inbox, Console()).files
    assert [item.name for item in files] == ["query-00001.jsonl", "query-00002.jsonl"]
    assert sum(item.path.read_bytes().count(b"\n") for item in files) == 30000
    assert "30,000 rows" in capsys.readouterr().err


def test_passwords_stand_nowhere(clinic: Postgres, inbox: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(inbox, url=clinic.url, table="visits")
    for path in cache.rglob("*"):
        assert path.is_dir() or b"geheim" not in path.read_bytes()
    monkeypatch.setenv("CLINIC_PASSWORD", "wrong-geheim")
    with pytest.raises(UserError, match="password authentication failed") as error:
        found(inbox, refresh=True, url=clinic.url, table="visits")
    assert "geheim" not in str(error.value)
    monkeypatch.delenv("CLINIC_PASSWORD")
    with pytest.raises(UserError, match="CLINIC_PASSWORD is not set"):
        found(inbox, refresh=True, url=clinic.url, table="visits")


def test_a_server_that_is_not_there_and_offline(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(UserError, match="the database says"):
        found(inbox, url="postgresql://u@127.0.0.1:9/x", table="t")
    monkeypatch.setenv("METIER_OFFLINE", "1")
    with pytest.raises(UserError, match="METIER_OFFLINE forbids"):
        found(inbox, url="postgresql://u@127.0.0.1:9/x", table="t")
