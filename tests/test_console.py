"""Lines, tables and progress where no terminal is."""

from __future__ import annotations

import io
import time

import pytest

from metier import console as module
from metier.console import Console, seconds


@pytest.fixture
def plain() -> Console:
    return Console(io.StringIO())


def shown(console: Console) -> list[str]:
    return console.stream.getvalue().splitlines()  # type: ignore[attr-defined]


def width(line: str) -> int:
    return module._width(line)


def test_plain_lines_without_control_codes(plain: Console) -> None:
    plain.heading("prepare")
    plain.say("[bold]not markup[/bold] 中文")
    plain.warn("two texts were cut")
    plain.table(["label", "n"], [["a", 1]], title="counts")
    with plain.progress("reading", 3, "files") as meter:
        meter.advance(3)
    text = plain.stream.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in text and "\r" not in text
    assert shown(plain)[:3] == ["prepare", "[bold]not markup[/bold] 中文", "warning: two texts were cut"]


def test_a_table_is_aligned_in_both_languages(plain: Console) -> None:
    plain.table(["标签", "rows", "note"], [["信用卡", "1,200", "x"], ["loan", "7", "长"], ["é", "33.5%", ""]])
    lines = shown(plain)
    assert lines[0].startswith("  标签")
    ends = {width(line[: line.index(number) + len(number)])
            for line, number in zip(lines, ["rows", "1,200", "7", "33.5%"], strict=True)}  # fmt: skip
    assert len(ends) == 1  # numbers end in one column, counted in the width of the screen
    notes = {width(line[: line.index(word)]) for line, word in zip(lines[:3], ["note", "x", "长"], strict=True)}
    assert len(notes) == 1


def test_a_table_without_rows_shows_its_head(plain: Console) -> None:
    plain.table(["a", "bb"], [])
    assert shown(plain) == ["  a  bb"]


def test_a_quick_job_takes_one_line(plain: Console) -> None:
    with plain.progress("reading", 1000, "files") as meter:
        for _ in range(1000):
            meter.advance(1, "note")
    assert len(shown(plain)) == 1
    assert shown(plain)[0].startswith("  reading: 1,000/1,000 files, ") and shown(plain)[0].endswith(", note")
    assert " in " in shown(plain)[0] and "left" not in shown(plain)[0]


def test_a_slow_job_says_rate_and_rest_and_its_end_once(plain: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with plain.progress("training", 10, "steps") as meter:
        for _ in range(10):
            now[0] += 3
            meter.advance()
    lines = shown(plain)
    assert lines[0] == "  training: 2/10 steps, 0.3/s, 24 s left"
    assert lines[-1] == "  training: 10/10 steps, 0.3/s, in 30 s"
    assert len(lines) == 5 and len(set(lines)) == 5


def test_what_an_earlier_run_did_does_not_make_this_one_faster(plain: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with plain.progress("training", 100, "steps", 90) as meter:
        for _ in range(10):
            now[0] += 3
            meter.advance()
    lines = shown(plain)
    assert lines[0] == "  training: 92/100 steps, 0.3/s, 24 s left"
    assert lines[-1] == "  training: 100/100 steps, 0.3/s, in 30 s"


def test_work_that_stops_early_has_nothing_left(plain: Console) -> None:
    with plain.progress("training", 10, "steps") as meter:
        meter.advance(4)
    assert len(shown(plain)) == 1 and "4/10" in shown(plain)[0] and "left" not in shown(plain)[0]


def test_parts_that_do_not_add_up_exactly_are_done(plain: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLAIN_SECONDS", 0)
    with plain.progress("hashing", 180, "texts") as meter:
        for _ in range(3):
            meter.advance(59.99999999)
    assert "180/180" in shown(plain)[-1] and "left" not in shown(plain)[-1]


def test_unknown_total_and_failure(plain: Console) -> None:
    with plain.progress("reading", None) as meter:
        meter.advance(5)
    assert shown(plain)[0].startswith("  reading: 5, ")
    with pytest.raises(ValueError), plain.progress("reading", 2) as meter:
        meter.advance()
        raise ValueError
    assert len(shown(plain)) == 1  # no line claims that it ended


def test_quiet_keeps_warnings_only() -> None:
    console = Console(io.StringIO(), quiet=True)
    console.heading("h")
    console.say("s")
    console.table(["a"], [["b"]])
    with console.progress("p", 1) as meter:
        meter.advance(1, "note")
    console.warn("w")
    assert shown(console) == ["warning: w"]


def test_on_a_terminal_text_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    console = Console(Screen())
    console.say("[red]label[/red]")
    console.table(["label", "n"], [["[x]", 1]])
    with console.progress("reading", 2, "files") as meter:
        meter.advance(2, "done")
    text = console.stream.getvalue()  # type: ignore[attr-defined]
    assert "[red]label[/red]" in text and "[x]" in text and "reading" in text
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Console(Screen()).terminal


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (59.9, "60 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text


def test_libraries_are_told_to_be_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "debug")
    module.quiet_libraries()
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "debug"  # what the user set stays
