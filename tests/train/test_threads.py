from __future__ import annotations

import os

import pytest

from metier.train import threads

IDLE = "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 0\n"
BUSY = "cpu  150 0 100 850 0 0 0 0 0 0\ncpu0 0\n"


@pytest.fixture
def stat(tmp_path, monkeypatch):
    path = tmp_path / "stat"
    path.write_text(IDLE)

    def later(after: str):
        monkeypatch.setattr(threads.time, "sleep", lambda _: path.write_text(after))
        return path

    return later


def test_the_share_of_others_is_seen(stat):
    assert threads.others_busy(stat(BUSY)) == pytest.approx(0.5 * (os.cpu_count() or 1))


def test_an_idle_machine_is_idle(stat):
    assert threads.others_busy(stat(IDLE)) == 0.0


def test_where_nothing_can_be_seen_nothing_is_changed(tmp_path, monkeypatch):
    assert threads.others_busy(tmp_path / "missing") == 0.0
    monkeypatch.setattr(threads, "others_busy", lambda: 0.0)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    threads.choose_waiting()
    assert "OMP_WAIT_POLICY" not in os.environ


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_busy_others_make_threads_sleep_unless_the_user_decided(monkeypatch, given, expected):
    monkeypatch.setattr(threads, "others_busy", lambda: 1.0)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    threads.choose_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == expected
    monkeypatch.delenv("OMP_WAIT_POLICY")
