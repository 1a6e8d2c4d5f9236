"""Reading many files at once, so that a crash or a hang in a foreign parser costs that file only.

Purpose: PDF and HTML parsers are native code, and files from the field break them. Each worker is a process of its own
that is handed one file at a time over a pipe; when it dies or takes too long, the file it had is known at once, is
refused as "crashed" or "timed out", and a fresh process goes on with the next. Plain text and tables are our own code
and are read without a process when small. Trade-off against concurrent.futures: one broken process there fails all
outstanding files, a hang cannot be ended, and user scripts need a __main__ guard; here none of that.
Not covered: a limit on a worker's memory (the system's own limit ends it, which counts as a crash).
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from metier.collect.reading import Options, Reading, Unreadable
from metier.errors import UserError

SMALL = (
    64_000_000  # bytes of text and tables that are read in this process; a worker costs about half a second to start
)
PASSING = ("timed out", "crashed", "unreadable", "out of memory", "changed while reading")
"""Reasons of a reading that may go better another time: they depend on the machine and the moment, not on the bytes."""
COMMAND = "from metier.collect.workers import serve; serve()"


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


Outcome = Reading | Unreadable | UserError


def read_all(tasks: Sequence[Task], workers: int, seconds: float) -> Iterator[tuple[int, Outcome]]:
    """(index, outcome) in the order in which files are done. seconds: time limit for one file."""
    if not tasks:
        return
    outside = any(module == "__main__" for module in tasks[0].modules)  # cannot be imported by another process
    if outside or not sys.executable or (sum(task.size for task in tasks) <= SMALL and all(map(_own, tasks))):
        for task in tasks:
            yield task.index, read_one(task)
        return
    yield from _in_processes(tasks, max(1, min(workers or os.cpu_count() or 1, len(tasks))), seconds)


def read_one(task: Task) -> Outcome:
    """Read one file here and now; every exception becomes an outcome."""
    from metier.collect import readers

    try:
        for module in task.modules:
            importlib.import_module(module)
        with open(task.path, "rb") as stream:
            data = stream.read()
        if task.sha256 and hashlib.sha256(data).hexdigest() != task.sha256:
            return Unreadable("changed while reading", "the file is not what it was when the run began; run again")
        return readers.read(data, task.name, task.options)
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


def serve() -> None:
    """A worker's life: tasks in on stdin, outcomes out on what was stdout; parsers' own chatter goes nowhere."""
    with contextlib.suppress(AttributeError, ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    while (task := _receive(sys.stdin.buffer)) is not None:
        _send(out, read_one(task))


def _own(task: Task) -> bool:
    from metier.collect import readers

    if task.options.reader:
        return task.options.reader in readers.OWN
    try:
        with open(task.path, "rb") as stream:
            head = stream.read(8192)
        return (
            not head.startswith(b"\x1f\x8b")
            and readers.choose(head, task.name, bool(task.options.columns)) in readers.OWN
        )
    except (Unreadable, OSError, UserError):
        return True  # it will be refused without any parser


class _Worker:
    """A process that reads; started when first needed, and again after it broke."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.process: subprocess.Popen[bytes] | None = None
        self.late = False

    def read(self, task: Task) -> Outcome:
        process = self.process = self.process or self._start()
        assert process.stdin and process.stdout
        self.late = False
        timer = threading.Timer(self.seconds, self._too_late)
        timer.daemon = True
        timer.start()
        try:
            _send(process.stdin, task)
            outcome = _receive(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError, ValueError):
            outcome = None
        finally:
            timer.cancel()
        if isinstance(outcome, (Reading, Unreadable, UserError)):
            return outcome
        self.stop()
        if self.late:
            return Unreadable("timed out", f"the reader was still busy after {self.seconds:.0f} s")
        return Unreadable("crashed", f"the reader's process died ({_death(process.returncode)})")

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

    def _too_late(self) -> None:
        self.late = True
        process = self.process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(path for path in sys.path if path)
        return subprocess.Popen(
            [sys.executable, "-P", "-c", COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip


def _in_processes(tasks: Sequence[Task], count: int, seconds: float) -> Iterator[tuple[int, Outcome]]:
    """One thread feeds one worker. The largest files go first, so that none of them is waited for at the end."""
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in sorted(tasks, key=lambda task: (-task.size, task.index)):
        waiting.put(task)
    done: queue.SimpleQueue[tuple[int, Outcome] | BaseException] = queue.SimpleQueue()
    workers = [_Worker(seconds) for _ in range(count)]
    stopping = threading.Event()

    def feed(worker: _Worker) -> None:
        try:
            while not stopping.is_set():
                task = waiting.get_nowait()
                done.put((task.index, worker.read(task)))
        except queue.Empty:
            pass
        except BaseException as error:  # told to the thread that waits, which would wait forever otherwise
            done.put(error)
        finally:
            worker.stop()

    threads = [threading.Thread(target=feed, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in tasks:
            item = done.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopping.set()
        for worker in workers:
            worker._too_late()
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
