"""Reading many files at once, so that a crash, a hang or a flood of memory in a parser costs that file only.

Purpose: PDF and HTML parsers are native code, and files from the field break them. Each worker is a process of its own
that is handed one file at a time over a pipe; when it dies, takes too long or takes too much memory, the file it had is
known at once, is refused as "crashed", "timed out" or "out of memory", and a fresh process goes on with the next. An
archive or a mailbox says which member comes next, so there a death costs that member, and the rest is read by the fresh
process. Large readings come in parts, so that nobody must hold them whole. Plain text and tables are our own code and
are read without a process when small.
Trade-off against concurrent.futures: one broken process there fails all outstanding files, a hang cannot be ended, and
user scripts need a __main__ guard; here none of that. Memory is watched from outside ten times a second, and a single
huge request is refused by the system inside (RLIMIT_DATA, Linux), so a parser may overshoot the limit for a moment.
Not covered: memory of processes that a parser starts itself; a watch over memory on Windows.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from metier.artifact import hash_file
from metier.collect.memory import limit_own, resident
from metier.collect.reading import Options, Reading, Refusal, Unreadable
from metier.errors import UserError

SMALL = (
    64_000_000  # bytes of text and tables that are read in this process; a worker costs about half a second to start
)
PASSING = ("timed out", "crashed", "unreadable", "out of memory", "changed while reading")
"""Reasons of a reading that may go better another time: they depend on the machine and the moment, not on the bytes."""
DIED = ("timed out", "crashed", "out of memory")
"""Those of them that also a member of an archive may end with."""
CHANGED = "the file is not what it was when the run began; run again"
DEATHS = 10  # members of one archive that may break the reader before the rest is given up
START = 60.0  # seconds that a process may need to start and import on a busy machine
TICK = 0.1  # seconds between two looks at a worker's clock and memory
WAITING = 64  # parts that wait for whoever asked; a worker that is ahead of that pauses
COMMAND = "import sys; from metier.collect.workers import serve; serve(int(sys.argv[1]))"


@dataclass(frozen=True)
class Task:
    """One file to read. modules: imported first, so that readers registered by a plug-in are known in the worker."""

    index: int
    path: str
    name: str
    sha256: str
    options: Options
    size: int = 0
    modules: tuple[str, ...] = ()
    skip: int = 0
    """Members of an archive or mailbox that are done."""


@dataclass(frozen=True)
class Mark:
    """A worker begins with this member."""

    number: int
    part: str


@dataclass(frozen=True)
class Last:
    """A worker is done with its file."""

    outcome: Outcome


Outcome = Reading | Unreadable | UserError


def read_all(tasks: Sequence[Task], workers: int, seconds: float, memory: int = 0) -> Iterator[tuple[int, Outcome]]:
    """(index, outcome) in the order in which files are done.

    seconds: limit for one file, or for one member of an archive. memory: bytes that reading one file may take; 0: no
    limit.
    """
    parts: dict[int, Reading] = {}
    for index, outcome, last in read_parts(tasks, workers, seconds, memory):
        if not last:
            assert isinstance(outcome, Reading)
            parts.setdefault(index, Reading()).extend(outcome)
            continue
        before = parts.pop(index, None)
        if before is None or isinstance(outcome, UserError):
            yield index, outcome
            continue
        if isinstance(outcome, Unreadable):
            outcome = Reading(refused=[Refusal("", outcome.reason, outcome.detail)])
        before.extend(outcome)
        yield index, before


def read_parts(
    tasks: Sequence[Task], workers: int, seconds: float, memory: int = 0
) -> Iterator[tuple[int, Outcome, bool]]:
    """(index, outcome, whether it is the file's last). Parts of a file come in its order; files take turns.

    An Unreadable after parts says that the rest of the file could not be read.
    """
    if not tasks:
        return
    outside = any(module == "__main__" for module in tasks[0].modules)  # cannot be imported by another process
    if outside or not sys.executable or (sum(task.size for task in tasks) <= SMALL and all(map(_own, tasks))):
        for task in tasks:
            yield task.index, read_one(task), True
        return
    count = max(1, min(workers or os.cpu_count() or 1, len(tasks)))
    yield from _in_processes(tasks, [_Worker(seconds, memory) for _ in range(count)])


def read_one(task: Task, progress: _Teller | None = None) -> Outcome:
    """Read one file here and now; every exception becomes an outcome."""
    from metier.collect import large

    try:
        readers = _prepare(task)
        options = replace(task.options, progress=progress)
        if large.is_large(Path(task.path), task.size, task.name, options):
            if task.sha256 and hash_file(Path(task.path)) != task.sha256:
                return Unreadable("changed while reading", CHANGED)
            return large.read(Path(task.path), task.name, options)
        with open(task.path, "rb") as stream:
            data = stream.read()
        if task.sha256 and hashlib.sha256(data).hexdigest() != task.sha256:
            return Unreadable("changed while reading", CHANGED)
        return readers.read(data, task.name, options)
    except (Unreadable, UserError) as error:
        return error
    except OSError as error:
        return Unreadable("unreadable", f"{error.strerror or error}")
    except MemoryError:
        return Unreadable("out of memory", "not enough memory to read it")
    except RecursionError:
        return Unreadable("damaged", "nested too deeply to be read")
    except Exception as error:  # a reader's bug must not cost the other files; the detail says what it was
        return Unreadable("reader failed", f"{type(error).__name__}: {str(error)[:300]}")


def serve(memory: int = 0) -> None:
    """A worker's life: tasks in on stdin, outcomes out on what was stdout; parsers' own chatter goes nowhere."""
    with contextlib.suppress(AttributeError, ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    limit_own(memory)
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    while (task := _receive(sys.stdin.buffer)) is not None:
        with contextlib.suppress(Exception):  # which read_one meets again, and tells
            _prepare(task)
        _send(out, None)  # the clock starts when everything is imported
        _send(out, Last(read_one(task, _Teller(out, task.skip))))


def _prepare(task: Task) -> ModuleType:
    """Import what reads."""
    for module in task.modules:
        importlib.import_module(module)
    return importlib.import_module("metier.collect.readers")


class _Teller:
    """The reader's `progress` in a worker: what it hands over goes down the pipe."""

    def __init__(self, out: IO[bytes], skip: int) -> None:
        self.out, self.skip = out, skip

    def hand_over(self, reading: Reading) -> None:
        if reading:
            _send(self.out, reading)

    def begin(self, number: int, part: str) -> None:
        _send(self.out, Mark(number, part))


def _own(task: Task) -> bool:
    from metier.collect import readers

    if task.options.reader:
        return task.options.reader in readers.OWN
    try:
        with open(task.path, "rb") as stream:
            head = stream.read(8192)
        return (
            not head.startswith((*readers.PACKED, *readers.BINARY))
            and readers.choose(head, task.name, bool(task.options.columns)) in readers.OWN
        )
    except (Unreadable, OSError, UserError):
        return True  # it will be refused without any parser


class _Worker:
    """A process that reads; started when first needed, and again after it broke."""

    def __init__(self, seconds: float, memory: int) -> None:
        self.seconds, self.memory = seconds, memory
        self.process: subprocess.Popen[bytes] | None = None
        self.deadline = 0.0  # when the member at hand is late; 0.0: nothing is being read
        self.ended = ""  # why the watch ended the process

    def read(self, task: Task) -> Iterator[tuple[Outcome, bool]]:
        """Parts and whether each is the last. A member that ends the process is refused, and reading goes on after it.

        A whole file that ends the process is `Unreadable`.
        """
        for _ in range(DEATHS):
            mark: Mark | None = None
            for told in self._frames(task):
                if isinstance(told, Mark):
                    mark = told
                elif isinstance(told, Last):
                    yield told.outcome, True
                    self._slim()
                    return
                else:
                    yield told, False
            failure = self._failure()
            if mark is None:
                yield failure, True
                return
            yield Reading(refused=[Refusal(mark.part, failure.reason, failure.detail)]), False
            task = replace(task, skip=mark.number + 1)
        yield Unreadable(failure.reason, f"{DEATHS} members broke the reader; what comes after was not read"), True

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()

    def end(self) -> None:
        """Kill the process, whatever it does; whoever waits for it sees it die."""
        process = self.process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()

    def _frames(self, task: Task) -> Iterator[Reading | Mark | Last]:
        """What the process says of this file, until it is done or dead."""
        process = self.process = self.process or self._start()
        assert process.stdin and process.stdout
        self.ended = ""
        self.deadline = time.monotonic() + max(self.seconds, START)
        try:
            _send(process.stdin, task)
            _receive(process.stdout)
            self.deadline = time.monotonic() + self.seconds
            while (told := _receive(process.stdout)) is not None:
                self.deadline = 0.0  # whoever asked may take their time
                yield told
                self.deadline = time.monotonic() + self.seconds
                if isinstance(told, Last):
                    return
        except (OSError, EOFError, pickle.UnpicklingError, ValueError, AttributeError):
            return
        finally:
            self.deadline = 0.0

    def _failure(self) -> Unreadable:
        process = self.process
        self.stop()
        if self.ended == "timed out":
            return Unreadable("timed out", f"the reader was still busy after {self.seconds:.0f} s")
        if self.ended == "out of memory":
            return Unreadable("out of memory", f"reading it took more than {self.memory:,} bytes "
                              "(collect.max_memory_per_file)")  # fmt: skip
        return Unreadable("crashed", f"the reader's process died ({_death(process.returncode if process else None)})")

    def _slim(self) -> None:
        """A process that has grown would be ended over a small file; a fresh one takes its place."""
        if self.memory and self.process and resident(self.process.pid) > self.memory // 2:
            self.stop()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        while process.returncode is None:
            time.sleep(TICK)
            if 0 < self.deadline < time.monotonic():
                self.ended = "timed out"
            elif self.memory and resident(process.pid) > self.memory:
                self.ended = "out of memory"
            else:
                continue
            with contextlib.suppress(OSError):
                process.kill()
            return

    def _start(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(path for path in sys.path if path)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", COMMAND, str(self.memory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()
        return process


def _in_processes(tasks: Sequence[Task], workers: Sequence[_Worker]) -> Iterator[tuple[int, Outcome, bool]]:
    """One thread feeds one worker. The largest files go first, so that none of them is waited for at the end."""
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in sorted(tasks, key=lambda task: (-task.size, task.index)):
        waiting.put(task)
    done: queue.Queue[tuple[int, Outcome, bool] | BaseException] = queue.Queue(WAITING)
    stopping = threading.Event()

    def tell(item: tuple[int, Outcome, bool] | BaseException) -> None:
        while not stopping.is_set():
            with contextlib.suppress(queue.Full):
                done.put(item, timeout=1)
                return

    def feed(worker: _Worker) -> None:
        try:
            while not stopping.is_set():
                task = waiting.get_nowait()
                for outcome, last in worker.read(task):
                    tell((task.index, outcome, last))
        except queue.Empty:
            pass
        except BaseException as error:  # told to the thread that waits, which would wait forever otherwise
            tell(error)
        finally:
            worker.stop()

    threads = [threading.Thread(target=feed, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    left = len(tasks)
    try:
        while left:
            item = done.get()
            if isinstance(item, BaseException):
                raise item
            left -= item[2]
            yield item
    finally:
        stopping.set()
        for worker in workers:
            worker.end()
        for thread in threads:
            thread.join(timeout=10)


def _send(stream: IO[bytes], value: Any) -> None:
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(len(data).to_bytes(8, "big"))
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "big")
    data = stream.read(size)
    return pickle.loads(data) if len(data) == size else None


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
