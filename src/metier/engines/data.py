"""Independent pieces of work on this machine or on a Ray cluster. Every Daft call of the project is in this file.

Purpose: a stage cuts its data into pieces that do not depend on the engine, and hands over one function
`work(setup, payload) -> bytes`. The engine runs it in processes of its own and gives the results back in the order of
the pieces, a few at a time. On this machine Daft's native runner does it and a worker reads its piece from the disk;
on a cluster the same Daft query runs on Ray, and the pieces travel, since a cluster need not see this disk.
Trade-off: a result passes through this process, which writes it down; the network of one machine is the limit.
Why processes: the work is Python and would wait for one lock in threads. Starting them takes a second or two, so what
is done sooner than that is done here.
Not covered: work that compares pieces with each other; a machine of the cluster without Metier on it (an error).
"""

from __future__ import annotations

import importlib
import os
import pickle
import platform
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, Protocol

from metier.console import Console
from metier.engines.config import EngineConfig
from metier.errors import UserError, need
from metier.registry import lookup, register

SMALL = 8_000_000  # bytes of work that this process does itself: two to five seconds, hardly more than a start costs
WINDOW = 256_000_000  # bytes that are sent to a cluster at once
REACH_SECONDS = 5.0  # for the first answer of a cluster; one that is there answers in milliseconds
COMPARED = ("metier", "daft", "ray", "pyarrow", "numpy", "ftfy")  # what must be the same on every machine


class Payload(Protocol):
    """One piece of work, small and picklable. size: bytes that it stands for."""

    @property
    def size(self) -> int: ...

    def carried(self) -> Payload:
        """The same piece with its data in it, for a machine that does not see this disk."""
        ...


Work = Callable[[Any, Any], bytes]


class Engine(Protocol):
    """What the door `engine` gives."""

    def map(self, work: Work, setup: Any, payloads: Sequence[Payload], modules: Sequence[str] = ()) -> Iterator[bytes]:
        """`work(setup, payload)` for each payload, in their order. work: a function of a module, not a lambda.

        modules: imported first where the work is done, so that plug-ins are registered there. What `work` raises is
        raised here, after the results before it. WorkerDied: a process ended without an answer.
        """
        ...


class WorkerDied(Exception):
    """A process of the engine ended without an answer (out of memory, a crash in native code)."""


def open_engine(config: EngineConfig, console: Console) -> Engine:
    """The engine that the recipe names."""
    opened: Engine = lookup("engine", config.name)(config, console)
    return opened


@register("engine", "local")
def local(config: EngineConfig, console: Console) -> Engine:
    """The processors of this machine."""
    return _Local(config.workers or processors(), console)


@register("engine", "ray")
def ray(config: EngineConfig, console: Console) -> Engine:
    """An existing Ray cluster. UserError: no address, no answer, packages missing or of other versions."""
    return _Ray(config, console)


def processors() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class _Local:
    def __init__(self, workers: int, console: Console) -> None:
        self.workers, self.console = workers, console

    def map(self, work: Work, setup: Any, payloads: Sequence[Payload], modules: Sequence[str] = ()) -> Iterator[bytes]:
        workers = min(self.workers, len(payloads))
        small = sum(payload.size for payload in payloads) <= SMALL
        if workers <= 1 or small or "__main__" in modules:  # what stands in a script cannot be imported elsewhere
            return (work(setup, payload) for payload in payloads)
        try:
            daft = _daft("scale")
        except UserError as error:
            self.console.say(f"  on one processor only: {error.what} ({error.fix})")
            return (work(setup, payload) for payload in payloads)
        _runner(daft, "native")
        return self._query(daft, _pack(work, setup, modules), payloads, workers)

    def _query(self, daft: ModuleType, packed: bytes, payloads: Sequence[Payload], workers: int) -> Iterator[bytes]:
        with _environment():
            yield from _run(daft, packed, [pickle.dumps(payload) for payload in payloads], workers)


class _Ray:
    def __init__(self, config: EngineConfig, console: Console) -> None:
        self.daft = _daft("ray")
        self.ray = need("ray", "ray")
        address = config.address or os.environ.get("RAY_ADDRESS", "")
        if not address:
            raise UserError("no Ray cluster is named", "engine.address",
                            "set engine.address=HOST:PORT (`ray start --head` prints it), or RAY_ADDRESS")  # fmt: skip
        _connect(self.ray, address)
        _same_packages(self.ray, address)
        _runner(self.daft, "ray")
        cluster = int(self.ray.cluster_resources().get("CPU", 1))
        self.workers = config.workers or max(1, cluster)
        console.say(f"  engine: Ray at {address}, {len(_nodes(self.ray))} machines, {self.workers} workers")

    def map(self, work: Work, setup: Any, payloads: Sequence[Payload], modules: Sequence[str] = ()) -> Iterator[bytes]:
        packed = _pack(work, setup, modules)
        for window in _windows(payloads, WINDOW):
            sent = [pickle.dumps(payload.carried()) for payload in window]
            yield from _run(self.daft, packed, sent, min(self.workers, len(sent)), spread=True)


def _run(
    daft: ModuleType, packed: bytes, payloads: Sequence[bytes], workers: int, spread: bool = False
) -> Iterator[bytes]:
    """One Daft query: a row is a payload, and a function in a process of its own makes its result of it."""

    @daft.cls(use_process=True, max_concurrency=workers)
    class Worker:
        def __init__(self, packed: bytes) -> None:
            self.call = unpack(packed)

        @daft.method.batch(return_dtype=daft.DataType.binary(), batch_size=1)
        def run(self, payloads: Any) -> list[bytes]:
            return [self.call(payload) for payload in payloads.to_pylist()]

    frame = daft.from_pydict({"payload": list(payloads)})
    if spread:
        frame = frame.into_partitions(len(payloads))
    frame = frame.select(Worker(packed).run(daft.col("payload")).alias("result"))
    batches = frame.to_arrow_iter(results_buffer_size=workers)
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:  # Daft's, Ray's or Arrow's: what `work` raises comes as a result
            raise WorkerDied((str(error).splitlines() or [type(error).__name__])[0]) from error
        if batch is None:
            return
        yield from map(_result, batch.column(0).to_pylist())


def _pack(work: Work, setup: Any, modules: Sequence[str]) -> bytes:
    return pickle.dumps((tuple(modules), f"{work.__module__}:{work.__qualname__}", pickle.dumps(setup)))


def unpack(packed: bytes) -> Callable[[bytes], bytes]:
    """In a worker: the function that turns a payload into a result, or into the exception that it raised."""
    modules, place, setup_bytes = pickle.loads(packed)
    for name in modules:
        importlib.import_module(name)
    module, _, name = place.partition(":")
    work, setup = getattr(importlib.import_module(module), name), pickle.loads(setup_bytes)

    def call(payload: bytes) -> bytes:
        try:
            return b"+" + work(setup, pickle.loads(payload))
        except Exception as error:
            try:
                return b"-" + pickle.dumps(error)
            except Exception:  # an exception of another package that cannot be sent
                return b"-" + pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))

    return call


def _result(cell: bytes) -> bytes:
    if cell.startswith(b"-"):
        error: Exception = pickle.loads(cell[1:])
        raise error
    return cell[1:]


def _daft(extra: str) -> ModuleType:
    """Daft, kept from telling anybody that it is used, and from drawing its own progress."""
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    return need("daft", extra)


def _runner(daft: ModuleType, wanted: str) -> None:
    """Daft's runner cannot be changed once it is set."""
    current = daft.runners._get_runner()
    if current is None:
        daft.set_runner_ray(noop_if_initialized=True) if wanted == "ray" else daft.set_runner_native()
    elif current.name != wanted:
        raise UserError(f"this process already uses Daft on its '{current.name}' runner", "engine.name",
                        "use the other engine in a process of its own")  # fmt: skip


@contextmanager
def _environment() -> Iterator[None]:
    """Workers that Daft starts see the modules that this process sees, and none from the working folder."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "PYTHONSAFEPATH")}
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _windows(payloads: Sequence[Payload], limit: int) -> Iterator[list[Payload]]:
    window: list[Payload] = []
    size = 0
    for payload in payloads:
        if window and size + payload.size > limit:
            yield window
            window, size = [], 0
        window.append(payload)
        size += payload.size
    if window:
        yield window


def _connect(ray: ModuleType, address: str) -> None:
    """Join the cluster. The address is tried first, since Ray asks one that is not there for a long time."""
    if ray.is_initialized():
        return
    fix = "start the cluster (`ray start --head`), mend engine.address, or choose engine=local"
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
        except OSError as error:
            raise UserError(f"the Ray cluster does not answer: {error}", f"engine.address: {address}", fix) from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UserError(f"the Ray cluster cannot be joined: {' '.join(lines[:3]) or type(error).__name__}",
                        f"engine.address: {address}", fix) from None  # fmt: skip


def _nodes(ray: ModuleType) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _same_packages(ray: ModuleType, address: str) -> None:
    """Every machine of the cluster has the packages that make results, in the same versions."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    names = COMPARED

    def ask() -> dict[str, str]:  # sent as it is, for a machine that may not have Metier
        return {"python": platform.python_version(), **{name: _version(name) for name in names}}

    def _version(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "missing"

    here = ask()
    remote = ray.remote(num_cpus=0, max_retries=0)(ask)
    asked = [(node["NodeManagerAddress"], remote.options(
        scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote())
        for node in _nodes(ray)]  # fmt: skip
    for machine, answer in asked:
        there = ray.get(answer)
        differ = [f"{name} {there[name]} (here {here[name]})" for name in here if there[name] != here[name]]
        if differ:
            raise UserError(
                f"a machine of the cluster has other packages: {', '.join(differ)}",
                f"{machine}, cluster {address}", "install the same versions there; results would differ otherwise",
            )  # fmt: skip
