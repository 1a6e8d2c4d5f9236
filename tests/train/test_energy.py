"""Counters of energy: what they count, when they overflow, and why there is no figure where they cannot be read."""

from __future__ import annotations

import importlib.util
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.train import energy
from metier.train.energy import Meter, Powercap, Unread, plus

RANGE = 262_143_328_850  # microjoules, as Intel's processors have it
NOWHERE = Path("/nowhere")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with two sockets, the cores of one, memory beside the other, and a counter of the whole board."""
    for zone, name in (("0", "package-0"), ("0:0", "core"), ("1", "package-1"), ("1:0", "dram"), ("2", "psys")):
        folder = tmp_path / f"intel-rapl:{zone}"
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
        (folder / "energy_uj").write_text("1000000\n")
    (tmp_path / "intel-rapl-mmio:0").mkdir()  # the same package once more
    (tmp_path / "intel-rapl-mmio:0" / "name").write_text("package-0\n")
    return tmp_path


def add(root: Path, zone: str, microjoules: int) -> None:
    file = root / f"intel-rapl:{zone}" / "energy_uj"
    new = file.with_name("new")  # a counter is never half written
    new.write_text(f"{(int(file.read_text()) + microjoules) % RANGE}\n")
    new.replace(file)


def one(facts: dict[str, Any]) -> dict[str, Any]:
    (part,) = facts["parts"]
    return dict(part)


def test_packages_and_memory_count_and_their_parts_do_not(root: Path) -> None:
    with Meter(root=root) as meter:
        for zone, joules in (("0", 3), ("0:0", 2), ("1", 5), ("1:0", 7), ("2", 100)):
            add(root, zone, joules * 1_000_000)
    facts = meter.facts()
    assert facts["joules"] == 15.0 and not facts["estimate"]
    assert one(facts)["of"] == ["dram", "package-0", "package-1"] and one(facts)["source"] == "rapl"
    add(root, "0", 9_000_000)
    assert meter.stop() == facts  # what comes after the end is not counted


@given(st.lists(st.integers(0, RANGE - 1), min_size=1, max_size=20), st.integers(0, RANGE - 1))
def test_an_overflow_between_two_looks_loses_nothing(steps: list[int], start: int) -> None:
    """`reads` stands for the file; the counter starts again after RANGE, wherever it stood."""
    here = {"energy_uj": start, "max_energy_range_uj": RANGE}
    counter = object.__new__(Powercap)
    counter.last, counter.joules, counter.seen = {Path("zone"): start}, 0.0, time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(energy, "_number", lambda path: here[path.name])
        for step in steps:
            here["energy_uj"] = (here["energy_uj"] + step) % RANGE
            counter.look()
    assert counter.joules == pytest.approx(sum(steps) / 1e6)


def test_a_thread_looks_before_the_second_overflow(root: Path) -> None:
    """Three times 60 % of the range: a start and an end alone would see 80 % of one."""
    with Meter(root=root, period=0.01) as meter:
        for turn in range(1, 4):
            add(root, "0", RANGE * 6 // 10)
            deadline = time.monotonic() + 60  # a busy machine
            while (meter.parts.get("processor") or {"joules": 0})["joules"] < turn * 0.59 * RANGE / 1e6:
                assert time.monotonic() < deadline, "nobody looked"
                time.sleep(0.01)
    assert meter.facts()["joules"] == pytest.approx(3 * 0.6 * RANGE / 1e6)


def test_after_a_pause_too_long_there_is_no_figure(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter(root=root)
    now = time.monotonic()
    monkeypatch.setattr(energy.time, "monotonic", lambda: now + 3600)
    part = one(meter.stop())
    assert part["joules"] is None and part["problem"] == "gap" and part["detail"] == "3600 s"


def test_a_counter_that_may_not_be_read_is_a_reason(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an ordinary user on Linux since 5.10: the name may be read, the counter not."""
    plain = Path.read_text

    def refused(path: Path, *args: Any, **kwargs: Any) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refused)
    facts = Meter(root=root).stop()
    assert facts["joules"] is None and one(facts)["problem"] == "permission"
    assert one(facts)["detail"].endswith("intel-rapl:0/energy_uj")


@pytest.mark.parametrize("text", ["", "many", "12.5"])
def test_a_counter_that_is_no_number_is_a_reason(root: Path, text: str) -> None:
    with Meter(root=root) as meter:
        (root / "intel-rapl:1" / "energy_uj").write_text(text)
    assert one(meter.facts())["problem"] == "failed" and meter.facts()["joules"] is None


def test_without_counters_there_is_no_figure_and_no_thread() -> None:
    meter = Meter(root=NOWHERE)
    facts = meter.stop()
    assert one(facts)["problem"] == "no_counter" and facts["joules"] is None and facts["seconds"] >= 0
    assert meter.counters == {}


class Nvidia:
    """NVML with one card whose counter the test moves."""

    NVMLError = type("NVMLError", (Exception,), {})

    def __init__(self, refuse: bool = False) -> None:
        self.millijoules, self.refuse, self.open = 5_000_000, refuse, 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetHandleByUUID(self, name: str) -> str:
        return name

    def nvmlDeviceGetName(self, handle: str) -> str:
        return "NVIDIA H100"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if self.refuse:
            raise self.NVMLError("Not Supported")
        return self.millijoules


def test_a_graphics_processor_counts_beside_the_processor(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia = Nvidia()
    monkeypatch.setitem(sys.modules, "pynvml", nvidia)  # type: ignore[arg-type]
    with Meter(["GPU-1"], root=root) as meter:
        add(root, "0", 2_000_000)
        nvidia.millijoules += 40_500
    facts = meter.facts()
    assert facts["joules"] == 42.5 and [part["joules"] for part in facts["parts"]] == [2.0, 40.5]
    assert facts["parts"][1]["of"] == ["NVIDIA H100"] and nvidia.open == 0


@pytest.mark.parametrize(("devices", "refuse", "problem"), [(["GPU-1"], True, "failed"), ([], False, "no_counter")])
def test_a_sum_with_a_hole_is_no_sum(
    root: Path, monkeypatch: pytest.MonkeyPatch, devices: list[str], refuse: bool, problem: str
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvidia(refuse))  # type: ignore[arg-type]
    with Meter(devices, root=root) as meter:
        add(root, "0", 2_000_000)
    facts = meter.facts()
    assert facts["joules"] is None and {part["part"]: part["joules"] for part in facts["parts"]} == {
        "processor": 2.0, "graphics": None,
    }  # fmt: skip
    assert [part["problem"] for part in facts["parts"] if part["problem"]] == [problem]


@pytest.mark.parametrize(("package", "make"), [("pynvml", {"graphics": ["GPU-1"]}), ("codecarbon", {"country": "DEU"})])
def test_a_package_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, package: str, make: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    facts = Meter(root=NOWHERE, **make).stop()
    part = facts["parts"][-1]
    assert part["problem"] == "no_package" and part["detail"] in ("nvidia-ml-py", "codecarbon")


def carbon(asked: dict[str, Any]) -> SimpleNamespace:
    class Tracker:
        def __init__(self, **given: Any) -> None:
            asked.update(given)

        def start(self) -> None: ...

        def stop(self) -> None:
            self.final_emissions_data = SimpleNamespace(cpu_energy=2e-6, ram_energy=1e-6, cpu_model="AMD EPYC")

    return SimpleNamespace(OfflineEmissionsTracker=Tracker)


def test_an_estimate_is_called_one_and_only_made_if_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "codecarbon", carbon(asked))  # type: ignore[arg-type]
    Meter(root=NOWHERE).stop()
    Meter(root=root, country="DEU").stop()  # there are counters
    assert not asked
    meter = Meter(root=NOWHERE, country="DEU")
    assert one(meter.facts())["problem"] == "interrupted"  # all that a state saved now could tell
    facts = meter.stop()
    assert facts["joules"] == pytest.approx(10.8) and facts["estimate"] and one(facts)["source"] == "codecarbon"
    assert one(facts)["of"] == ["AMD EPYC"]
    assert asked["country_iso_code"] == "DEU" and asked["save_to_file"] is False and "save_to_api" not in asked


@pytest.mark.skipif(importlib.util.find_spec("codecarbon") is None, reason="codecarbon is not installed")
def test_codecarbon_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    def refuse(*given: Any) -> None:
        called.append(given)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with Meter(root=NOWHERE, country="DEU") as meter:
        time.sleep(0.5)
    assert meter.facts()["joules"] > 0 and meter.facts()["estimate"] and not called


def test_work_that_was_interrupted_adds_up(root: Path) -> None:
    with Meter(root=root) as first:
        add(root, "0", 2_000_000)
    with Meter(root=root, earlier=first.facts()) as second:
        add(root, "0", 3_000_000)
    assert second.facts()["joules"] == 5.0
    assert second.facts()["seconds"] == pytest.approx(first.seconds + second.seconds, abs=0.002)


def test_a_part_that_was_not_read_once_stays_unread(root: Path) -> None:
    first = Meter(root=NOWHERE).stop()
    with Meter(root=root) as meter:
        add(root, "0", 3_000_000)
    for facts in (plus(first, meter.facts()), plus(meter.facts(), first)):
        assert facts["joules"] is None and one(facts)["problem"] == "no_counter"
    card = {**meter.facts(), "parts": [{**one(meter.facts()), "part": "graphics"}]}
    both = plus(meter.facts(), card)
    assert both["joules"] is None and [part["problem"] for part in both["parts"]] == ["interrupted", "interrupted"]


def test_reasons_carry_what_the_system_said() -> None:
    with pytest.raises(Unread) as raised:
        Powercap(NOWHERE)
    assert (raised.value.code, raised.value.detail) == ("no_counter", "/nowhere")
