"""What a person sees while Metier works: lines, tables and progress with rate and remaining time.

Purpose: one object that stages are handed, so that nothing inner prints by itself. On a terminal it draws with rich;
anywhere else (a log file, CI, a pipe) it writes plain lines, at most one each few seconds, without control codes.
Not covered: logging levels of other libraries; `quiet_libraries` turns their chatter off once.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Protocol

PLAIN_SECONDS = 5.0  # between two progress lines when the output is not a terminal


class Meter(Protocol):
    """Something that counts work done."""

    def advance(self, amount: float = 1, note: str = "") -> None: ...


class Console:
    """Lines and progress, to stderr so that stdout stays for results."""

    def __init__(self, stream: IO[str] | None = None, quiet: bool = False) -> None:
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.terminal = bool(getattr(self.stream, "isatty", lambda: False)()) and not os.environ.get("NO_COLOR")

    def say(self, text: str = "") -> None:
        """One line for the reader."""
        if not self.quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        """One line that matters even when quiet."""
        self._print(f"warning: {text}", style="yellow")

    def heading(self, text: str) -> None:
        """The start of a stage."""
        if not self.quiet:
            self._print(text, style="bold cyan")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
        """A small table; numbers are aligned to the right."""
        if self.quiet:
            return
        texts = [[str(cell) for cell in row] for row in rows]
        if self.terminal:
            from rich.table import Table
            from rich.text import Text  # as it is: a label such as "[b]" is no markup

            drawn = Table(title=Text(title) if title else None, title_justify="left", header_style="bold")
            for index, name in enumerate(columns):
                drawn.add_column(Text(name), justify="right" if texts and _numeric(texts[0][index]) else "left")
            for row in texts:
                drawn.add_row(*map(Text, row))
            self._rich().print(drawn)
            return
        if title:
            self._print(title)
        widths = [max(_width(row[i]) for row in [list(columns), *texts]) for i in range(len(columns))]
        for row in [list(columns), *texts]:
            cells = []
            for index, cell in enumerate(row):
                pad = " " * (widths[index] - _width(cell))
                cells.append(pad + cell if texts and _numeric(texts[0][index]) else cell + pad)
            self._print("  " + "  ".join(cells).rstrip())

    @contextmanager
    def progress(self, title: str, total: float | None, unit: str = "", done: float = 0) -> Iterator[Meter]:
        """Progress over `total` units of work (None when it is not known), `done` of which an earlier run did."""
        if self.quiet:
            yield _Silent()
        elif self.terminal:
            with _rich_progress(self._rich(), unit) as bar:
                yield _RichMeter(bar, bar.add_task(title, total=total, completed=done, note=""))
        else:
            meter = _PlainMeter(self, title, total, unit, done)
            yield meter
            meter.finish()

    def _rich(self) -> Any:
        from rich.console import Console as Rich

        return Rich(file=self.stream, highlight=False, soft_wrap=True)

    def _print(self, text: str, style: str = "") -> None:
        if self.terminal:
            self._rich().print(text, style=style or None, markup=False)
        else:
            print(text, file=self.stream, flush=True)


class _Silent:
    def advance(self, amount: float = 1, note: str = "") -> None:
        pass


class _RichMeter:
    def __init__(self, bar: Any, task: Any) -> None:
        self.bar, self.task = bar, task

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.bar.update(self.task, advance=amount, **({"note": note} if note else {}))


class _PlainMeter:
    def __init__(self, console: Console, title: str, total: float | None, unit: str, done: float) -> None:
        self.console, self.title, self.total, self.unit = console, title, total, unit
        self.done, self.before, self.note, self.shown = done, done, "", -1.0
        self.start = self.last = time.monotonic()

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.done += amount
        self.note = note or self.note
        if time.monotonic() - self.last >= PLAIN_SECONDS:
            self._line()

    def finish(self) -> None:
        """The last line, unless the work was already told in full."""
        if self.done != self.shown:
            self._line(ended=True)

    def _line(self, ended: bool = False) -> None:
        self.last, self.shown = time.monotonic(), self.done
        spent = max(self.last - self.start, 1e-9)
        rate = (self.done - self.before) / spent
        parts = [f"  {self.title}: {self.done:,.0f}" + (f"/{self.total:,.0f}" if self.total else "")]
        parts[0] += f" {self.unit}" if self.unit else ""
        parts.append(f"{rate:,.1f}/s")
        if not ended and self.total and rate > 0 and round(self.done) < round(self.total):
            parts.append(f"{seconds((self.total - self.done) / rate)} left")
        else:
            parts.append(f"in {seconds(spent)}")
        if self.note:
            parts.append(self.note)
        self.console._print(", ".join(parts))


def seconds(value: float) -> str:
    """A duration for people: "0.4 s", "12 s", "3 min 05 s", "2 h 10 min"."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60):02d} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60):02d} min"


def quiet_libraries() -> None:
    """No telemetry, no progress bars and no chatter from the libraries underneath; call before importing them."""
    for name, value in {
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }.items():
        os.environ.setdefault(name, value)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft|accelerate)\b.*")


def _rich_progress(console: Any, unit: str) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:,.1f}/s" if task.speed else "")

    return Progress(
        TextColumn("  {task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn(unit), Rate(),
        TimeRemainingColumn(elapsed_when_finished=True), TextColumn("{task.fields[note]}", markup=False),
        console=console,
    )  # fmt: skip


def _numeric(text: str) -> bool:
    return bool(text) and text.lstrip("+-−").replace(",", "").replace(".", "").replace("%", "").strip().isdigit()


def _width(text: str) -> int:
    import unicodedata

    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
