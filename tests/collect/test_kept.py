"""Collect as a stream: killed and resumed, in bounded memory, with the same bytes as in one go."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from metier import tables
from metier.collect import remote
from metier.collect.config import CollectConfig
from metier.collect.inputs import Input
from metier.collect.kept import Kept
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.collect.stage import collect, find_inputs
from metier.collect.workers import Task, read_all
from metier.console import Console
from metier.errors import UserError

COMMAND = """
import sys
from pathlib import Path
from metier.collect.config import CollectConfig
from metier.collect.stage import collect, find_inputs
from metier.console import Console
config = CollectConfig(sources=["in"], workers=2)
collect(config, find_inputs(config, Path(sys.argv[1])), Path(sys.argv[1]) / sys.argv[2], Console(sys.stderr))
"""


def item(name: str) -> Input:
    return Input(Path(name), name, 0, "ab" * 32)


def test_what_is_kept_comes_back_in_parts(tmp_path: Path) -> None:
    with Kept(tmp_path, "me") as kept:
        kept.add(item("a"), Reading([Piece("1")]), last=False)
        kept.add(item("b"), Unreadable("damaged", "why"))
        kept.add(item("a"), Reading([Piece("2")]))
        kept.add(item("c"), Reading([Piece("half")]), last=False)
        kept.add(item("d"), Unreadable("timed out", "busy"))
    with Kept(tmp_path, "me") as kept:
        assert [item(name) in kept for name in "abcd"] == [True, True, False, False]
        assert [part.pieces[0].text for part in kept.parts(item("a")) if isinstance(part, Reading)] == ["1", "2"]
        (refused,) = kept.parts(item("b"))
        assert isinstance(refused, Unreadable) and (refused.reason, refused.detail) == ("damaged", "why")
        kept.add(item("c"), Reading([Piece("whole")]))
        assert [part.pieces[0].text for part in kept.parts(item("c")) if isinstance(part, Reading)] == ["whole"]
    with Kept(tmp_path, "somebody else") as kept:
        assert item("a") not in kept


@pytest.mark.parametrize("cut", [1, 5, 12, 40])
def test_a_record_that_was_cut_off_is_forgotten(tmp_path: Path, cut: int) -> None:
    with Kept(tmp_path, "me") as kept:
        kept.add(item("a"), Reading([Piece("1")]))
        kept.add(item("b"), Reading([Piece("2")]))
    log = tmp_path / "outcomes.log"
    log.write_bytes(log.read_bytes()[:-cut])
    with Kept(tmp_path, "me") as kept:
        assert item("a") in kept and item("b") not in kept
        kept.add(item("b"), Reading([Piece("3")]))
    with Kept(tmp_path, "me") as kept:
        (part,) = kept.parts(item("b"))
        assert isinstance(part, Reading) and part.pieces[0].text == "3"


def test_a_killed_collect_reads_only_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(400):
        body = "".join(f"<p>Sentence {n} of page {number} says something of its own.</p>" for n in range(60))
        (folder / f"{number}.html").write_text(f"<html><body><article>{body}</article></body></html>")
    command = [sys.executable, "-c", COMMAND, str(tmp_path)]
    setting: dict[str, Any] = {"env": {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}}
    process = subprocess.Popen([*command, "killed"], stderr=subprocess.DEVNULL, **setting)
    log = tmp_path / "killed" / "work" / "outcomes.log"
    while not log.is_file() or log.stat().st_size < 40_000:
        assert process.poll() is None, "it was finished before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "documents.parquet").exists()
    again = subprocess.run([*command, "killed"], capture_output=True, text=True, **setting)
    assert again.returncode == 0, again.stderr
    before = int(again.stderr.split(" files were read before")[0].split()[-1])
    assert 0 < before < 400
    assert subprocess.run([*command, "whole"], capture_output=True, **setting).returncode == 0
    for name in ("documents", "rejected"):
        one, two = (tmp_path / out / f"{name}.parquet" for out in ("killed", "whole"))
        assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["documents.parquet", "rejected.parquet"]


def test_what_failed_for_the_moment_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("hello")
    config = CollectConfig(sources=["."], workers=1)
    inputs = find_inputs(config, tmp_path)
    out = tmp_path.parent / f"{tmp_path.name}-out"
    with monkeypatch.context() as patch:
        patch.setattr("metier.collect.stage.read_parts", lambda *a: [(0, Unreadable("timed out", "busy"), True)])
        with pytest.raises(UserError, match="timed out: 1"):
            collect(config, inputs, out, Console(quiet=True))
    assert collect(config, inputs, out, Console(quiet=True))["documents"] == 1


def test_row_groups_are_small_and_do_not_depend_on_files(inbox: Path, run: Any, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    (inbox / "a.csv").write_text("text\n" + "".join(f"message number {n}\n" for n in range(5000)))
    (inbox / "b.csv").write_text("text\n" + "".join(f"another number {n}\n" for n in range(5000)))
    run(sources=[{"path": ".", "columns": {"text": "text"}}])
    file = pq.ParquetFile(tmp_path / "out" / "documents.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4096, 4096, 1808]


def test_files_that_travel_are_read_like_files_that_do_not(tmp_path: Path) -> None:
    for number, content in enumerate(["one", "<html><body><p>two</p></body></html>", ""]):
        (tmp_path / f"{number}.txt").write_text(content)
    tasks = [Task(n, str(tmp_path / f"{n}.txt"), f"{n}.txt", "", Options(), 10) for n in range(3)]
    tasks.append(Task(3, str(tmp_path / "gone.txt"), "gone.txt", "", Options(), 10))
    (batch,) = remote._batches(tasks)
    travelled = pickle.loads(remote.read_there((30, 0), batch.carried()))
    here = dict(read_all(tasks, 1, 30))
    assert [index for index, _ in travelled] == [0, 1, 2, 3]
    for index, outcome in travelled:
        assert type(outcome) is type(here[index])
        if isinstance(outcome, Reading):
            assert [piece.text for piece in outcome.pieces] == [piece.text for piece in here[index].pieces]
        else:
            assert outcome.reason == here[index].reason
    assert [outcome.reason for _, outcome in travelled[2:]] == ["empty", "unreadable"]


def test_documents_of_one_file_may_be_many(inbox: Path, run: Any) -> None:
    (inbox / "a.jsonl").write_text("".join(f'{{"text": "row {n}", "label": "x"}}\n' for n in range(3000)))
    summary, documents, rejected = run(sources=["a.jsonl"])
    assert summary["documents"] == 3000 and documents[2999]["source"] == "a.jsonl#3000" and rejected == []
    assert tables.digest("a.jsonl#3000", "row 2999") == documents[2999]["id"]
