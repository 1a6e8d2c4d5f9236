"""Passwords stand in no recipe, no message and no artifact; and nothing is connected to unless the recipe says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.collect.places.conftest import Postgres, Site

from metier import recipe as recipes
from metier.collect.places import credentials
from metier.errors import UserError
from small import rows, write_csv

FILES = Path(__file__).parent / "tensorflow"


@pytest.mark.parametrize(
    "source",
    [
        {"sql": {"url": "postgresql://me:sehr-geheim@host/base", "table": "t"}},
        {"sql": {"url": "mysql://host/base?password=sehr-geheim", "table": "t"}},
        {"path": "ftp://me:sehr-geheim@host/file.txt"},
        {"path": "s3://bucket/x", "storage_options": {"secret": "sehr-geheim"}},
        {"path": "s3://bucket/x", "storage_options": {"client_kwargs": {"aws_session_token": "sehr-geheim"}}},
        {"path": "az://bucket/x", "storage_options": {"connection_string": "AccountKey=sehr-geheim"}},
        {"web": {"start": "https://me:sehr-geheim@example.org/"}},
    ],
)
def test_a_password_that_is_written_out_is_refused_and_not_repeated(source: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"written out|carries a user or password") as error:
        recipes.parse({"collect": {"sources": [source]}}, "recipe.yaml")
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({}, "this one names none"),
        ({"path": "a.csv", "web": "https://example.org/"}, "this one names path and web"),
        ({"path": "a.csv", "storage_options": {"anon": True}}, "goes with an address"),
        ({"sql": {"url": "sqlite:///a.db"}}, "name either `query` or `table`"),
        ({"sql": {"url": "sqlite:///a.db", "query": "select 1", "columns": "a"}}, "goes with `table`"),
        ({"sql": {"url": "sqlite:///a.db", "table": "t", "encoding": "klingon"}}, "no encoding of that name"),
        ({"web": {"max_pages": 3}}, "name `start` or `sitemap`"),
        ({"web": "example.org"}, "begin with https"),
        ({"web": {"start": "https://example.org", "contact": "a\nb"}}, "printable ASCII"),
        ({"dataset": {"nam": "x"}}, "did you mean 'name'"),
    ],
)
def test_mistakes_in_a_source(source: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        recipes.parse({"collect": {"sources": [source]}}, "recipe.yaml")


def test_variables_and_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PASSWORD", "p@ss/wort")
    assert credentials.expand("x:${A_PASSWORD}:y", "here") == "x:p@ss/wort:y"
    for text in ("login p@ss/wort failed", "url p%40ss%2Fwort", "postgresql://me:other@host/x"):
        shown = credentials.scrub(text)
        assert "wort" not in shown and "other" not in shown
    assert credentials.without_credentials("https://me:pw@host/a?X-Amz-Signature=abc&b=1") == "https://host/a?b=1"
    assert credentials.without_credentials("sqlite:///a.db") == "sqlite:///a.db"


def test_show_why_and_the_store_hold_no_password(
    postgres: Postgres, work: Path, metier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINIC_PASSWORD", postgres.password)
    postgres.run("drop table if exists letters", "create table letters (id int primary key, text text, label text)",
                 "insert into letters values (1, 'one', 'a'), (2, 'two', 'b')")  # fmt: skip
    (work / "recipe.yaml").write_text(
        f"collect:\n  sources:\n    - sql: {{url: '{postgres.url}', table: letters}}\n", encoding="utf-8"
    )
    shown = metier("show", "recipe.yaml")
    assert "${CLINIC_PASSWORD}" in shown.out and "geheim" not in shown.out
    collected = metier("collect", "recipe.yaml", "--output", "out")
    assert collected.code == 0, collected.err
    assert "reading letters of postgresql://127.0.0.1" in collected.err
    assert "collect: reuse" in metier("why", "recipe.yaml").out
    postgres.run("update letters set text = 'three' where id = 2")
    why = metier("why", "recipe.yaml", "collect.sources.0.refresh=true")
    assert "collect: run" in why.out and "letters-00001.jsonl" in why.out
    for path in [*work.rglob("*"), *Path(os.environ["METIER_CACHE"]).rglob("*")]:
        assert path.is_dir() or b"geheim" not in path.read_bytes(), path


WATCH = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto"):
        with open({log!r}, "a") as log:
            log.write(event + " " + repr(arguments[-1]) + "\\n")

sys.addaudithook(watch)
"""


def test_nothing_is_connected_to_unless_the_recipe_names_an_address(work: Path, site: Site) -> None:
    """A hook of the interpreter sees every connection and look-up, in this program and in its workers."""
    log = work / "connections.log"
    (work / "watch").mkdir()
    (work / "watch" / "sitecustomize.py").write_text(WATCH.format(log=str(log)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(work / "watch"), *filter(None, sys.path)])}
    (work / "in").mkdir()
    write_csv(work / "in" / "data.csv", rows())
    (work / "in" / "page.html").write_text(
        '<html><body><p>See <a href="http://127.0.0.1:9/x">this</a> page.</p></body>'
    )
    (work / "in" / "mail.eml").write_text("From: a@b.example\nSubject: hello\n\nhttp://127.0.0.1:9/y\n")

    def collect(source: str) -> None:
        done = subprocess.run([sys.executable, "-m", "metier", "collect", source], env=environment, cwd=work,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr

    collect("in")
    collect(str(FILES / "visits"))
    assert not log.exists()
    site.add("/data.csv", b"text,label\nhello,a\n", "text/csv")
    collect(f"{site.address}/data.csv")
    assert "socket.connect" in log.read_text()
