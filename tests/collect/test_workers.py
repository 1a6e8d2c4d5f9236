"""Workers: memory and time are bounded, a member costs itself only, and large readings come in parts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.collect.workers import Task, read_all, read_parts

PLUGIN = """
import os, time
from metier.collect.reading import Piece, Reading, Refusal, Unreadable
from metier.registry import register

@register("reader", "container")
def container(data, name, options):
    reading = Reading()
    for number, word in enumerate(data.decode().split()):
        if options.progress and number < options.progress.skip:
            continue
        if options.progress:
            options.progress.hand_over(reading)
            reading = Reading()
            options.progress.begin(number, f"!{word}")
        if word == "die":
            os._exit(3)
        if word == "hang":
            time.sleep(600)
        if word == "swell":
            held = [bytearray(10_000_000) for _ in range(200)]
        if word == "huge":
            held = bytearray(100 * 1024**3)
        reading.pieces.append(Piece(word, f"!{word}"))
    return reading
"""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "container_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(*words: str, number: int = 0, reader: str = "container") -> Task:
        path = tmp_path / f"{number}.x"
        path.write_text(" ".join(words))
        return Task(number, str(path), path.name, "", Options(reader=reader), modules=("container_plugin",))

    return make


def told(outcome: object) -> tuple[list[str], list[tuple[str, str]]]:
    assert isinstance(outcome, Reading), outcome
    return [piece.text for piece in outcome.pieces], [(item.part, item.reason) for item in outcome.refused]


def test_a_member_that_breaks_the_reader_costs_itself_only(task) -> None:
    tasks = [task("one", "die", "two", "hang", "three"), task("a", "b", number=1)]
    outcomes = dict(read_all(tasks, workers=2, seconds=3))
    assert told(outcomes[0]) == (["one", "two", "three"], [("!die", "crashed"), ("!hang", "timed out")])
    assert told(outcomes[1]) == (["a", "b"], [])


def test_an_archive_that_breaks_the_reader_again_and_again_is_given_up(task) -> None:
    outcomes = dict(read_all([task("one", *["die"] * 12, "two")], workers=1, seconds=20))
    pieces, refused = told(outcomes[0])
    assert pieces == ["one"]
    assert refused == [("!die", "crashed")] * 10 + [("", "crashed")]


def test_memory_is_bounded(task) -> None:
    memory = 600_000_000
    start = time.monotonic()
    outcomes = dict(read_all([task("one", "swell", "two"), task("huge", number=1)], 1, seconds=60, memory=memory))
    assert told(outcomes[0]) == (["one", "two"], [("!swell", "out of memory")])
    assert isinstance(outcomes[1], Unreadable) and outcomes[1].reason == "out of memory"
    assert time.monotonic() - start < 50


def test_large_tables_come_in_parts_and_are_the_same_together(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"words {number},x\n" for number in range(7_000)))
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4 broken")  # so that processes are used
    tasks = [Task(0, str(path), "a.csv", "", Options()), Task(1, str(tmp_path / "b.pdf"), "b.pdf", "", Options())]
    parts = [(outcome, last) for index, outcome, last in read_parts(tasks, 1, 60) if index == 0]
    assert len(parts) > 3 and [last for _, last in parts] == [False] * (len(parts) - 1) + [True]
    texts = [piece.text for outcome, _ in parts for piece in outcome.pieces]  # type: ignore[union-attr]
    assert texts == [f"words {number}" for number in range(7_000)]
    whole = dict(read_all(tasks, 1, 60))[0]
    assert isinstance(whole, Reading) and [piece.text for piece in whole.pieces] == texts


def test_a_member_s_parts_follow_its_own_name() -> None:
    reading = Reading([Piece("a")])
    reading.extend(Reading([Piece("b", "#1")]), "!x")
    assert [piece.part for piece in reading.pieces] == ["", "!x#1"]
