"""Shards: the same result however the corpus is cut, resumed where it stood, and a failure that names its document."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.helpers import prepare, write_documents
from metier import registry, tables
from metier.console import Console
from metier.engines import open_engine
from metier.engines.config import EngineConfig
from metier.errors import UserError
from metier.prepare import passes
from metier.prepare.config import PrepareConfig
from metier.prepare.flow import natural
from metier.prepare.operation import Result, Settings, text_operation, with_texts
from metier.prepare.shards import in_order, sortable
from metier.prepare.texts import Strings
from metier.tables import rejection
from metier.train.config import TaskConfig

from .conftest import document
from .test_tasks import BOTH

TABLES = ("examples", "rejected", "conflicts", "duplicates")


def written(folder: Path, out: str = "out") -> list[bytes]:
    return [(folder / out / f"{name}.parquet").read_bytes() for name in TABLES]


# -- order and cuts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 7, 100, 4096])
def test_any_shard_size_gives_the_same_bytes(tmp_path: Path, rows: int) -> None:
    write_documents(tmp_path, 300, rows=100)
    prepare(tmp_path, "local", out="usual")
    write_documents(tmp_path, 300, rows=rows)
    prepare(tmp_path, "local")
    assert written(tmp_path) == written(tmp_path, "usual")


def test_the_order_of_the_documents_does_not_matter(tmp_path: Path) -> None:
    write_documents(tmp_path, 300)
    prepare(tmp_path, "local", out="usual")
    write_documents(tmp_path, 300, turn=123)
    prepare(tmp_path, "local")
    assert written(tmp_path) == written(tmp_path, "usual")


def test_processes_give_the_bytes_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_documents(tmp_path, 400)
    prepare(tmp_path, "local", out="here")
    monkeypatch.setattr("metier.engines.data.SMALL", 1000)
    prepare(tmp_path, "local", out="processes")
    assert written(tmp_path, "here") == written(tmp_path, "processes")


def test_documents_are_sorted_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_documents(tmp_path, 500, rows=50, turn=250)
    found = []
    for bucket in (1 << 30, 20_000):  # one bucket, many buckets
        monkeypatch.setattr("metier.prepare.shards.BUCKET", bucket)
        (tmp_path / str(bucket)).mkdir()
        ordered = in_order(tmp_path / "documents.parquet", tmp_path / str(bucket), rows=64)
        assert ordered.repeated == [] and [shard.rows for shard in ordered.shards()] == [64] * 7 + [52]
        found.append(ordered.path.read_bytes())
    assert found[0] == found[1]
    sources = tables.read(ordered.path)["source"].to_pylist()
    assert sources == sorted(sources, key=natural) and len(sources) == 500
    again = in_order(ordered.path, tmp_path / "no", rows=64)
    assert again.path == ordered.path  # what is in order already is not copied


def test_a_document_that_stands_twice_is_kept_once(stage: Any) -> None:
    done = stage([*BOTH, BOTH[3], document(70, "  ", "card")])
    assert done.reasons() == {"empty": 1, "same document": 1}
    assert [row["reason"] for row in done.rejected] == ["same document", "empty"]


@given(st.lists(st.text(alphabet="ab/#. 0123456789\u0663\x00é钱", max_size=12), max_size=12))
def test_sortable_is_natural(sources: list[str]) -> None:
    assert sorted(sources, key=lambda source: (natural(source), source)) == sorted(
        sources, key=lambda source: (sortable(source), source)
    )


# -- texts in a file ---------------------------------------------------------------------------------------------------


@given(texts=st.lists(st.text(max_size=30), max_size=30), places=st.lists(st.integers(0, 29), max_size=60))
def test_strings_come_back_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], places: list[int]
) -> None:
    strings = Strings(tmp_path_factory.mktemp("strings") / "x")
    half = len(texts) // 2
    plain = [text.encode("utf-8", "replace").decode() for text in texts]
    strings.extend(pa.array(["left out", *plain[:half]], pa.string()).slice(1))
    assert list(strings) == plain[:half]
    for text in plain[half:]:
        strings.append(text)
    asked = [place for place in places if place < len(plain)]
    assert [strings[place] for place in asked] == [plain[place] for place in asked]
    assert strings[1:3] == plain[1:3] and [strings.size(n) for n in range(len(plain))] == [
        len(text.encode()) for text in plain
    ]
    strings.close()


# -- operations --------------------------------------------------------------------------------------------------------


@pytest.fixture
def door() -> Iterator[Callable[[str], None]]:
    """Names that are taken from behind the door afterwards."""
    names: list[str] = []
    yield names.append
    for name in names:
        registry._entries["operation"].pop(name, None)


def run(names: list[str], folder: Path, rows: int = 10) -> list[passes.Pass]:
    ordered = in_order(folder / "documents.parquet", folder / "sorted", rows=rows)
    settings = Settings(PrepareConfig(), TaskConfig(), 0)
    engine = open_engine(EngineConfig(), Console(quiet=True))
    return passes.run(names, settings, ordered, folder / "work", engine, Console(quiet=True))


def texts(done: list[passes.Pass]) -> list[str]:
    return [text for shard in done[-1].shards for text in shard.read()["text"].to_pylist()]


def test_what_one_operation_learns_of_all_shards_reaches_each(tmp_path: Path, door: Any) -> None:
    door("test-longest")
    seen: list[int] = []

    def observe(batch: pa.Table, settings: Settings) -> pa.Table:
        seen.append(batch.num_rows)
        return pa.table({"longest": [max(map(len, batch["text"].to_pylist()))]})

    def conclude(found: Any, settings: Settings) -> int:
        return max(part["longest"][0].as_py() for part in found)

    @text_operation("test-longest", lambda counts: f"{counts['seen']} seen", observe=observe, conclude=conclude)
    def longest(batch: pa.Table, settings: Settings, knowledge: int) -> Result:
        made = [f"{len(text)}/{knowledge}" for text in batch["text"].to_pylist()]
        changes = [{"id": id, "source": "", "step": "test-longest", "start": 0, "end": 1, "before": "a", "after": "b",
                    "reason": "r"} for id in batch["id"].to_pylist()]  # fmt: skip
        return Result(with_texts(batch, made), [], changes, {"seen": batch.num_rows})

    write_documents(tmp_path, 50, rows=10)
    done = run(["normalize", "test-longest", "language"], tmp_path)
    assert [one.names for one in done] == [("normalize",), ("test-longest", "language")] and sum(seen) == 49
    found = texts(done)
    assert len(found) == 49 and {text.split("/")[1] for text in found} == {
        str(max(int(text.split("/")[0]) for text in found))
    }
    assert [(step.name, step.rows, step.removed, step.made) for step in passes.steps(done)] == [
        ("normalize", 49, 1, 0), ("test-longest", 49, 0, 0), ("language", 49, 0, 0),
    ]  # fmt: skip
    assert passes.steps(done)[1].note == "49 seen"
    assert sum(part.num_rows for _, part in passes.listed(done, "changes")) == 49
    assert [(name, row["reason"]) for name, part in passes.listed(done, "rejected") for row in part.to_pylist()] == [
        ("normalize", "empty")
    ]
    assert not list(done[0].folder.glob("*.rows"))  # the corpus lies on the disk once
    seen.clear()
    assert texts(run(["normalize", "test-longest", "language"], tmp_path)) == found and seen == []
    empty = [document(n, " ") for n in range(3)]
    tables.write(tables.table(empty, tables.DOCUMENTS), tmp_path / "documents.parquet")
    (nothing,) = passes.steps(run(["normalize", "test-longest", "language"], tmp_path))  # what follows is not asked
    assert (nothing.name, nothing.rows, nothing.removed) == ("normalize", 0, 3)


def test_a_failing_operation_names_the_document_and_finished_shards_stay(tmp_path: Path, door: Any) -> None:
    door("test-fails")
    done, broken = [], [True]

    @text_operation("test-fails", lambda counts: "")
    def fails(batch: pa.Table, settings: Settings, knowledge: None) -> Result:
        if broken and "inbox/2.csv#8" in batch["source"].to_pylist():
            raise ZeroDivisionError("a bug")
        done.extend(batch["source"].to_pylist())
        return Result(batch)

    write_documents(tmp_path, 50, turn=23)  # not in order, so they are sorted first, each time
    with pytest.raises(UserError, match="'test-fails' failed: ZeroDivisionError: a bug") as caught:
        run(["test-fails"], tmp_path)
    assert caught.value.where.startswith("inbox/2.csv#8 (id ")
    assert set(done) >= {f"inbox/{n}.csv#1" for n in (0, 1)}
    broken.clear()
    done.clear()
    assert len(texts(run(["test-fails"], tmp_path))) == 50
    assert len(done) == 30  # the two shards before it were not done again


def test_an_operation_may_lose_nothing(tmp_path: Path, door: Any) -> None:
    door("test-loses")

    @text_operation("test-loses", lambda counts: "")
    def loses(batch: pa.Table, settings: Settings, knowledge: None) -> Result:
        return Result(batch.slice(1))

    write_documents(tmp_path, 20, rows=10)
    with pytest.raises(UserError, match="1 documents left without a reason"):
        run(["test-loses"], tmp_path)


def test_one_document_may_become_several_and_flow_operations_may_stand_between(stage: Any, door: Any) -> None:
    for name in ("test-halves", "test-rows", "test-drops"):
        door(name)

    @text_operation("test-halves", lambda counts: "cut")
    def halves(batch: pa.Table, settings: Settings, knowledge: None) -> Result:
        parts = [{**row, "id": f"{row['id']}-{n}", "text": row["text"][n::2] * 3, "source": f"{row['source']}.{n}"}
                 for row in batch.to_pylist() for n in range(2)]  # fmt: skip
        return Result(tables.table(parts, tables.DOCUMENTS))

    @registry.register("operation", "test-rows")
    def rows(flow: Any) -> str:
        for row in flow.rows:
            row.text = row.text + " ?"
        first, second = flow.rows[:2]
        first.document_ids.extend(second.document_ids)
        flow.rows = [first, *flow.rows[2:]]
        return "two are one"

    @text_operation("test-drops", lambda counts: "dropped")
    def drops(batch: pa.Table, settings: Settings, knowledge: None) -> Result:
        gone = [row for row in batch.to_pylist() if row["source"] == "data.csv#0.0"]
        assert all(row["text"].endswith(" ?") and row["title"] == "kept" for row in batch.to_pylist())
        stays = pa.array([source != "data.csv#0.0" for source in batch["source"].to_pylist()])
        return Result(batch.filter(stays), [rejection(r["source"], "prepare", "dropped", "", r["id"]) for r in gone])

    given = [{**row, "title": "kept"} for row in BOTH]
    done = stage(given, {"operations": ["test-halves", "test-rows", "test-drops"], "dedup": {"near": False}})
    told = {entry["step"]: (entry["rows"], entry["removed"]) for entry in done.summary["funnel"]}
    count = len(given)
    assert told["test-halves"] == (2 * count, 0) and told["test-rows"] == (2 * count - 1, 1)
    assert told["test-drops"] == (2 * count - 2, 1) and told["language"] == (2 * count - 2, 0)
    assert done.reasons() == {"dropped": 2}  # the document that was folded into it left with it
    assert all(row["text"].endswith(" ?") for row in done.examples)


# -- killed ------------------------------------------------------------------------------------------------------------


def test_a_killed_prepare_goes_on_where_it_stood(tmp_path: Path) -> None:
    write_documents(tmp_path, 2500, rows=100)
    prepare(tmp_path, "local", out="undisturbed")
    command = [sys.executable, "-m", "engines.helpers", "prepare", str(tmp_path), "local", "", "killed"]
    setting: dict[str, Any] = {
        "cwd": Path(__file__).parents[1],
        "env": {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    }
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **setting)
    while len(finished := list((tmp_path / "killed").rglob("*.done"))) < 3:
        assert process.poll() is None, "it was finished before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in finished}
    assert not (tmp_path / "killed" / "examples.parquet").exists()
    again = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **setting)
    redone = set()
    while again.poll() is None:
        redone |= {path for path, time_ns in before.items() if path.exists() and path.stat().st_mtime_ns != time_ns}
        time.sleep(0.01)
    said = again.stderr.read() if again.stderr else ""
    assert again.returncode == 0 and "of 25 shards were finished before" in said, said
    assert redone == set() and written(tmp_path, "killed") == written(tmp_path, "undisturbed")
    names = [sorted(path.name for path in (tmp_path / out).iterdir()) for out in ("killed", "undisturbed")]
    assert names[0] == names[1]  # the working folder is gone
