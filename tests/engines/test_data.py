"""Engines: the same results in the same order, errors that say what to do."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from metier.console import Console
from metier.engines import WorkerDied, open_engine
from metier.engines import data as engines
from metier.engines.config import EngineConfig
from metier.errors import UserError

from .helpers import Piece, tell


def local(**more: Any) -> Any:
    return open_engine(EngineConfig(workers=2, **more), Console(quiet=True))


def test_small_work_is_done_here() -> None:
    results = list(local().map(tell, "", [Piece(n, 1000) for n in range(5)]))
    assert [result.split()[0] for result in results] == [b"0", b"1", b"2", b"3", b"4"]
    assert {int(result.split()[2]) for result in results} == {os.getpid()}


def test_work_is_done_in_processes_in_order_and_without_the_data() -> None:
    results = [result.split() for result in local().map(tell, "slow", [Piece(n) for n in range(6)])]
    assert [result[0] for result in results] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert all(result[1] == b"True" for result in results)  # a local worker reads for itself
    workers = {int(result[2]) for result in results}
    assert len(workers) == 2 and os.getpid() not in workers


def test_what_work_raises_arrives_after_the_results_before_it() -> None:
    results = local().map(tell, "mistake", [Piece(n) for n in range(6)])
    assert [next(results).split()[0] for _ in range(3)] == [b"0", b"1", b"2"]
    with pytest.raises(UserError, match="wrong") as caught:
        next(results)
    assert caught.value.where == "piece 3" and caught.value.fix == "mend it"


def test_a_dead_worker_is_told() -> None:
    results = local().map(tell, "die", [Piece(n) for n in range(6)])
    with pytest.raises(WorkerDied):
        list(results)


def test_without_daft_the_work_is_done_here_and_told(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "daft", None)
    engine = open_engine(EngineConfig(workers=2), Console(sys.stderr))
    results = [result.split() for result in engine.map(tell, "", [Piece(n) for n in range(3)])]
    assert {int(result[2]) for result in results} == {os.getpid()}
    assert 'pip install "metier[scale]"' in capsys.readouterr().err


def test_a_cluster_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UserError, match="no Ray cluster is named") as caught:
        open_engine(EngineConfig(name="ray"), Console(quiet=True))
    assert "RAY_ADDRESS" in caught.value.fix


def test_an_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:  # bound and not listening: nobody else can answer here
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(UserError, match="does not answer"):
            open_engine(EngineConfig(name="ray"), Console(quiet=True))


@pytest.mark.parametrize("module", ["ray", "daft"])
def test_a_missing_package_names_its_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match="not installed") as caught:
        open_engine(EngineConfig(name="ray", address="127.0.0.1:1"), Console(quiet=True))
    assert caught.value.fix == 'pip install "metier[ray]"'


def test_nobody_is_told_that_daft_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("daft")
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    engines._daft("scale")
    assert os.environ["DO_NOT_TRACK"] == "true" and os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_windows_hold_so_many_bytes() -> None:
    pieces = [Piece(n, size) for n, size in enumerate((5, 5, 5, 20, 1))]
    assert [[piece.number for piece in window] for window in engines._windows(pieces, 10)] == [[0, 1], [2], [3], [4]]


def test_only_this_file_knows_daft() -> None:
    root = Path(engines.__file__).parents[1]
    users = [
        path.name for path in root.rglob("*.py") if re.search(r'import daft|from daft|need\("daft"', path.read_text())
    ]
    assert users == ["data.py"]
