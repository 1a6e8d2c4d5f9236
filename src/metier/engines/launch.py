"""Where training runs: in this process, in several that are started here, or in those that a launcher has started.

Purpose: `train.processes: 4` starts four processes on this machine and waits; one that fails or is killed ends the
others, and its reason is told. `torchrun -m metier run ...` and `accelerate launch -m metier run ...` start N whole
commands instead, also on several machines: the first does all the work, and the others wait until it trains (`follow`).
In both ways the processes find each other by the environment variables of torchrun, and Accelerate does the rest.
Trade-off: a process imports everything anew (five seconds or so), and reads and encodes the examples by itself.
Not covered: Ray Train; a machine without the shared folder that the artifacts lie in (an error); going on with fewer
processes by itself when one dies (run the same command again: it resumes).
"""

from __future__ import annotations

import functools
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from metier.artifact import Artifact
from metier.console import Console, quiet_libraries
from metier.engines.data import processors
from metier.errors import UserError
from metier.registry import lookup
from metier.train.config import TaskConfig, TrainConfig

POLL_SECONDS = 0.1
SAYING_SECONDS = 2.0  # for the others to say why, after one has died
GRACE_SECONDS = 10.0  # between the request to stop and the end, for a process that writes a file
TAIL = 15  # lines of a dead process that are shown
JOB, END = "metier/job", "metier/end"  # keys of the launcher's store
WAIT = timedelta(minutes=15)  # for the launcher's store to answer; how long the first process reads is not bounded


@dataclass(frozen=True)
class Job:
    """The arguments of `metier.train.stage.train`, and the modules that its plug-ins stand in."""

    config: TrainConfig
    task: TaskConfig
    seed: int
    examples: Artifact
    out: Path
    near: Path | None
    planted: tuple[int, int, int] = (0, 0, 0)
    chosen: str = ""
    quiet: bool = False
    modules: tuple[str, ...] = ()

    def run(self, console: Console) -> dict[str, Any]:
        """Train in this process, which may be one of several."""
        from metier.train.stage import train

        return train(
            self.config, self.task, self.seed, self.examples, self.out, console, self.near, self.planted, self.chosen
        )


def train(
    config: TrainConfig, task: TaskConfig, seed: int, examples: Artifact, out: Path, console: Console,
    near: Path | None = None, planted: tuple[int, int, int] = (0, 0, 0), chosen: str = "",
    watch: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """As `metier.train.stage.train`, in as many processes as the recipe says or a launcher has started.

    Only a training in this process can be watched (a search): UserError where several were asked for.
    """
    if watch is not None:
        if launched() or config.processes > 1:
            raise UserError("a search trains in one process", "train.processes", "set it to 1 for metier tune")
        from metier.train import stage

        return stage.train(config, task, seed, examples, out, console, near, planted, chosen, watch)
    modules = {lookup(*door).__module__ for door in (("task", task.name), ("method", config.method))}
    job = Job(config, task, seed, examples, out, near, planted, chosen, console.quiet, tuple(sorted(modules)))
    if launched():
        return _lead(job, console)
    if config.processes == 1:
        return job.run(console)
    if "__main__" in modules:
        raise UserError("other processes cannot import what stands in a script", f"task {task.name}, method "
                        f"{config.method}", "put it into a module, or set train.processes=1")  # fmt: skip
    _check_devices(config)
    console.say(f"  {config.processes} processes train together")
    return _Group(job, config.processes).result()


def launched() -> bool:
    """Whether torchrun or another launcher has started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1


def _check_devices(config: TrainConfig) -> None:
    from metier.train.loop import pick_device

    device = pick_device(config.device)
    if device == "mps":
        raise UserError("there is one MPS device, and one process uses it", "train.processes", "set it to 1")
    if device == "cuda":
        import torch

        if config.processes > torch.cuda.device_count():
            raise UserError(f"{config.processes} processes want a GPU each, there are {torch.cuda.device_count()}",
                            "train.processes", "set it to their number, or train.device=cpu")  # fmt: skip


# Processes of our own


class _Group:
    """Processes of this module's `main`, each with the job on its standard input, which stays open: a process whose
    parent is gone reads its end and stops."""

    def __init__(self, job: Job, number: int) -> None:
        import torch

        self.folder = tempfile.TemporaryDirectory(prefix="metier-launch-")
        self.store = torch.distributed.TCPStore("127.0.0.1", 0, None, is_master=True, wait_for_workers=False)
        self.started: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(number):
                self.started.append(self._start(rank, number, job))
        except BaseException:
            self._stop()
            raise

    def result(self) -> dict[str, Any]:
        """What the first process returns. UserError: what one of them raised, or how it ended."""
        try:
            while any(one.poll() is None for one in self.started) and not any(one.poll() for one in self.started):
                time.sleep(POLL_SECONDS)
            ended = {rank: one.poll() for rank, one in enumerate(self.started)}
            deadline = time.monotonic() + SAYING_SECONDS
            while any(ended.values()) and not self._error() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)  # the one that died may have died of another, which is about to say why
        finally:
            self._stop()
        with self.folder:
            if error := self._error():
                raise error
            self._tell_dead(ended)
            return self._said(0)  # type: ignore[no-any-return]

    def _error(self) -> UserError | None:
        """What one of the processes raised."""
        said = (self._said(rank) for rank in range(len(self.started)))
        return next((one for one in said if isinstance(one, UserError)), None)

    def _start(self, rank: int, number: int, job: Job) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "metier.engines.launch", self.folder.name]
        log = None if rank == 0 else (Path(self.folder.name) / f"{rank}.log").open("wb")
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log,
                                       env=_environment(rank, number, self.store.port))  # fmt: skip
        finally:
            if log is not None:
                log.close()
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it is dead already, and `result` tells
            pickle.dump(job, process.stdin)
            process.stdin.flush()
        return process

    def _said(self, rank: int) -> Any:
        """What a process has written for us: its result, or the UserError that it raised; None: nothing."""
        path = Path(self.folder.name) / f"{rank}.pickle"
        return pickle.loads(path.read_bytes()) if path.is_file() else None

    def _tell_dead(self, ended: Mapping[int, int | None]) -> None:
        """UserError about the first process that ended badly without a word."""
        bad = {rank: code for rank, code in ended.items() if code}
        if not bad:
            return
        rank, code = min(bad.items(), key=lambda item: item[1] > 0)  # killed ones first: others die of it
        log = Path(self.folder.name) / f"{rank}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.is_file() else []
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        fix = "free memory or use fewer processes (train.processes); what is saved is kept, run the same command again"
        raise UserError(f"process {rank} of {len(ended)} that train {how}; the others were stopped",
                        "\n         ".join(lines[-TAIL:]) or "train", fix)  # fmt: skip

    def _stop(self) -> None:
        """End what still runs."""
        for one in self.started:
            if one.poll() is None:
                one.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for one in self.started:
            try:
                one.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()
            assert one.stdin is not None
            one.stdin.close()


def _environment(rank: int, number: int, port: int) -> dict[str, str]:
    """What torchrun would set. Ours alone: the modules that this process sees, and its share of the processors."""
    threads = max(1, processors() // number)
    return {
        "OMP_NUM_THREADS": str(threads), **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONSAFEPATH": "1",
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(number), "LOCAL_WORLD_SIZE": str(number),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True",
    }  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """One of our processes: the job comes by standard input, the result goes into a file of the folder."""
    import importlib

    quiet_libraries()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    rank, folder = int(os.environ["RANK"]), Path(arguments[0])
    job: Job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_watch, daemon=True).start()
    for name in job.modules:
        importlib.import_module(name)
    with _console(rank, job.quiet) as console:
        try:
            said: Any = job.run(console)
        except UserError as error:
            said = error
    (folder / f"{rank}.new").write_bytes(pickle.dumps(said))
    os.replace(folder / f"{rank}.new", folder / f"{rank}.pickle")
    _leave_group()
    return 2 if isinstance(said, UserError) else 0


def _watch() -> None:
    """End this process when the one that started it is gone. Not by `sys.stdin`, whose lock an exit would wait for."""
    while os.read(0, 1):
        pass
    os._exit(1)


@contextmanager
def _console(rank: int, quiet: bool) -> Iterator[Console]:
    """The console of the first process; the others say nothing."""
    if rank == 0:
        yield Console(quiet=quiet)
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        yield Console(nowhere, quiet=True)


def _leave_group() -> None:
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


# Processes of a launcher


def follow() -> bool:
    """In a process of a launcher that is not the first: help where it trains, until it ends. False: this is the first.

    To be called before a command; the first process calls `release` after its own.
    """
    if not launched() or int(os.environ["RANK"]) == 0:
        return False
    store, number = _store(), 0
    while not store.check([END]):
        if not store.check([f"{JOB}/{number}"]):
            time.sleep(POLL_SECONDS)
            continue
        job: Job = pickle.loads(store.get(f"{JOB}/{number}"))
        if not job.examples.path.is_dir():
            raise UserError("this machine does not see the folder that the examples lie in", str(job.examples.path),
                            "set METIER_STORE to a folder that all machines share")  # fmt: skip
        with _console(int(os.environ["RANK"]), quiet=True) as console:
            job.run(console)
        number += 1
    _leave_group()
    return True


def release() -> None:
    """In the first process of a launcher: the others may end."""
    if launched() and int(os.environ["RANK"]) == 0:
        _store().set(END, b"")
        _leave_group()


_led: list[Job] = []  # the jobs that this process has led


def _lead(job: Job, console: Console) -> dict[str, Any]:
    if "__main__" in job.modules:
        raise UserError("other processes cannot import what stands in a script", "task or method", "put it in a module")
    _store().set(f"{JOB}/{len(_led)}", pickle.dumps(job))
    _led.append(job)
    console.say(f"  {os.environ['WORLD_SIZE']} processes of a launcher train together")
    return job.run(console)


@functools.cache
def _store() -> Any:
    """The key-value store by which the launcher's processes find each other."""
    import torch

    return next(torch.distributed.rendezvous("env://", timeout=WAIT))[0]


if __name__ == "__main__":
    from metier.engines import launch  # the module under its own name: pickles name it so

    sys.exit(launch.main(sys.argv[1:]))
