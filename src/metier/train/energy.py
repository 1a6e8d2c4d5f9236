"""The energy that a piece of work takes, read from counters of the machine where there are any.

Purpose: processors count their own joules (Linux shows it as powercap, "RAPL"), and so do NVIDIA's graphics processors.
Where no counter can be read there is a reason instead of a figure. Only if the recipe names a country, and codecarbon
is installed, is the processor's part an estimate from its rated power, and called so.
Trade-off: counters count the whole machine, whoever works on it meanwhile. Both overflow or stand still in their own
ways, so a thread looks at them every few seconds.
Not covered: power supplies, fans and disks; machines of other processes of the same training.
Units: joules, seconds. Source: Linux, Documentation/power/powercap/powercap.rst; NVML API reference,
nvmlDeviceGetTotalEnergyConsumption.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")
PERIOD = 10.0  # seconds between looks
MOST_WATTS = 1000.0  # no zone takes more: sockets are rated up to 500 W. So a gap in which one could overflow is known
PROCESSOR, GRAPHICS = "processor", "graphics"


class Unread(Exception):
    """Why a counter gives no figure: a code that reports put into words, and what the system said."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


class Counter(Protocol):
    """What counts the joules of one part of the machine; making, looking and closing may raise Unread."""

    part: str
    source: str
    of: list[str]  # what is counted, as the system names it
    estimate: bool

    def look(self) -> float:
        """Joules since it was made."""

    def close(self) -> float:
        """The same, for the last time."""


class Powercap:
    """The processor's own counters: each package, and the memory beside it where that has a counter of its own.

    `core` and `uncore` are parts of their package; `psys` is the whole board and would count the packages again.
    """

    part, source, estimate = PROCESSOR, "rapl", False

    def __init__(self, root: Path = POWERCAP) -> None:
        zones = {path: _text(path / "name") for path in sorted(root.glob("intel-rapl:*"))}  # AMD's have this name too
        zones = {path: name for path, name in zones.items() if name.startswith("package") or name == "dram"}
        if not zones:
            raise Unread("no_counter", str(root))
        self.of = sorted(zones.values())
        self.last = {path: _number(path / "energy_uj") for path in zones}
        self.seen = time.monotonic()
        self.joules = 0.0

    def look(self) -> float:
        """Adds up the steps of every zone, over the overflows between them."""
        now = time.monotonic()
        for path, before in self.last.items():
            value = _number(path / "energy_uj")
            whole = _number(path / "max_energy_range_uj")  # after it the counter starts from 0 again
            if (now - self.seen) * MOST_WATTS * 1e6 > whole:
                raise Unread("gap", f"{now - self.seen:.0f} s")  # it may have started again more than once
            self.joules += (value - before if value >= before else value + whole - before) / 1e6
            self.last[path] = value
        self.seen = now
        return self.joules

    close = look


class Nvml:
    """NVIDIA's counters of the graphics processors with these UUIDs."""

    part, source, estimate = GRAPHICS, "nvml", False

    def __init__(self, devices: Sequence[str]) -> None:
        if not devices:
            raise Unread("no_counter", "")
        try:
            self.nvml: Any = importlib.import_module("pynvml")
        except ImportError:
            raise Unread("no_package", "nvidia-ml-py") from None
        try:
            self.nvml.nvmlInit()
            self.handles = [self.nvml.nvmlDeviceGetHandleByUUID(name) for name in devices]
            self.of = [str(self.nvml.nvmlDeviceGetName(handle)) for handle in self.handles]
            self.start = self._now()
        except self.nvml.NVMLError as error:
            raise Unread("failed", str(error)) from None

    def look(self) -> float:
        """What the counters, which start when the driver is loaded, have gained."""
        try:
            now = self._now()
        except self.nvml.NVMLError as error:
            raise Unread("failed", str(error)) from None
        if any(after < before for after, before in zip(now, self.start, strict=True)):
            raise Unread("failed", "the driver was loaded again")
        return (sum(now) - sum(self.start)) / 1000

    def close(self) -> float:
        """The last look."""
        joules = self.look()
        with contextlib.suppress(self.nvml.NVMLError):
            self.nvml.nvmlShutdown()
        return joules

    def _now(self) -> list[int]:
        return [self.nvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in self.handles]  # millijoules


class CodeCarbon:
    """What codecarbon makes of the processor's rated power and load, and of the memory's size: an estimate.

    Only its offline tracker is used, which gets the country from the recipe and asks no server.
    """

    part, source, estimate = PROCESSOR, "codecarbon", True

    def __init__(self, country: str) -> None:
        try:
            package: Any = importlib.import_module("codecarbon")
        except ImportError:
            raise Unread("no_package", "codecarbon") from None
        self.of: list[str] = []
        try:
            self.tracker = package.OfflineEmissionsTracker(
                country_iso_code=country, save_to_file=False, log_level="critical", allow_multiple_runs=True
            )
            self.tracker.start()
        except Exception as error:  # it reads whatever the system has, and raises what that raises
            raise Unread("failed", f"codecarbon: {type(error).__name__}: {error}") from None

    def look(self) -> float:
        """It tells at its end alone."""
        raise Unread("interrupted")

    def close(self) -> float:
        """The estimate for processor and memory; a graphics processor has its counter."""
        try:
            self.tracker.stop()
            found = self.tracker.final_emissions_data
            self.of = [name for name in [str(found.cpu_model or "")] if name]
            return (float(found.cpu_energy) + float(found.ram_energy)) * 3.6e6  # kWh
        except Exception as error:
            raise Unread("failed", f"codecarbon: {type(error).__name__}: {error}") from None


class Meter:
    """Counts from its making to the first `stop`, or to the end of a `with` block.

    graphics: UUIDs of the graphics processors that do the work, empty where nobody knows them; None: there are none.
    country: for codecarbon. earlier: facts of the same work before it was interrupted.
    """

    def __init__(
        self, graphics: Sequence[str] | None = None, country: str = "", earlier: Mapping[str, Any] | None = None,
        root: Path = POWERCAP, period: float = PERIOD,
    ) -> None:  # fmt: skip
        self.earlier, self.period = earlier or {}, period
        self.counters: dict[str, Counter] = {}
        self.parts: dict[str, dict[str, Any]] = {}
        self._make(PROCESSOR, lambda: _processor(root, country))
        if graphics is not None:
            self._make(GRAPHICS, lambda: Nvml(graphics))
        self.start, self.seconds = time.monotonic(), 0.0
        self._lock, self._ended = threading.Lock(), threading.Event()
        if self.counters:
            threading.Thread(target=self._watch, daemon=True, name="energy").start()

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def facts(self) -> dict[str, Any]:
        """{"joules": float or None, "seconds", "estimate", "parts": [...]}; joules are None unless every part is known.

        A part: {"part", "source", "joules", "of", "estimate", "problem", "detail"}.
        """
        with self._lock:
            if not self._ended.is_set():
                self._read("look")
            return plus(self.earlier, _summed(list(self.parts.values()), self.seconds))

    def stop(self) -> dict[str, Any]:
        """The facts at the first call, whenever it is called again."""
        with self._lock:
            if not self._ended.is_set():
                self._read("close")
                self._ended.set()
        return self.facts()

    def _make(self, part: str, make: Callable[[], Counter]) -> None:
        try:
            self.counters[part] = make()
        except Unread as problem:
            self.parts[part] = _part(part, problem=problem)

    def _watch(self) -> None:
        while not self._ended.wait(self.period):
            self.facts()

    def _read(self, how: str) -> None:
        self.seconds = time.monotonic() - self.start
        for name, counter in list(self.counters.items()):
            try:
                joules = getattr(counter, how)()
                self.parts[name] = _part(name, counter, joules)
            except Unread as problem:
                self.parts[name] = _part(name, counter, problem=problem)
                if problem.code != "interrupted":
                    del self.counters[name]


def graphics(device: str) -> list[str] | None:
    """UUIDs of the graphics processors that this machine's processes of one training use; None for a processor."""
    if device == "cpu":
        return None
    if device != "cuda":
        return []
    import torch

    count = min(int(os.environ.get("LOCAL_WORLD_SIZE") or 1), torch.cuda.device_count())
    found = [getattr(torch.cuda.get_device_properties(index), "uuid", "") for index in range(count)]
    return [f"GPU-{uuid}" for uuid in found if uuid]


def plus(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of two stretches of one work; a part that one of them could not read stays unread."""
    if not earlier:
        return dict(later)
    before, after = ({one["part"]: one for one in facts["parts"]} for facts in (earlier, later))
    parts = []
    for name in dict.fromkeys([*before, *after]):
        unknown = _part(name, problem=Unread("interrupted"))
        first, second = before.get(name, unknown), after.get(name, unknown)
        unread = next((one for one in (second, first) if one["joules"] is None), None)
        joules = None if unread else round(first["joules"] + second["joules"], 3)
        parts.append(unread or {**(first if first["estimate"] else second), "joules": joules})
    return _summed(parts, earlier["seconds"] + later["seconds"])


def _processor(root: Path, country: str) -> Counter:
    """The processor's counters, or codecarbon where the recipe asks for it; else why there are none."""
    try:
        return Powercap(root)
    except Unread:
        if not country:
            raise
    return CodeCarbon(country)


def _part(
    name: str, counter: Counter | None = None, joules: float | None = None, problem: Unread | None = None
) -> dict[str, Any]:
    return {
        "part": name, "source": counter.source if counter else "", "of": list(counter.of) if counter else [],
        "joules": None if joules is None else round(joules, 3), "estimate": bool(counter and counter.estimate),
        "problem": problem.code if problem else "", "detail": problem.detail if problem else "",
    }  # fmt: skip


def _summed(parts: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    known = [one["joules"] for one in parts if one["joules"] is not None]
    whole = round(sum(known), 3) if parts and len(known) == len(parts) else None
    return {"joules": whole, "seconds": round(seconds, 3), "estimate": any(one["estimate"] for one in parts),
            "parts": parts}  # fmt: skip


def _text(path: Path) -> str:
    """A file of the system; Unread with the reason where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except PermissionError:  # since Linux 5.10 only root reads the counters (CVE-2020-8694)
        raise Unread("permission", str(path)) from None
    except OSError as error:
        raise Unread("failed", f"{path}: {error.strerror}") from None


def _number(path: Path) -> int:
    text = _text(path)
    try:
        return int(text)
    except ValueError:
        raise Unread("failed", f"{path}: {text[:40]!r}") from None
