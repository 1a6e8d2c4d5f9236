"""Artifacts: one name for one meaning, whole or not at all, one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.artifact import RECORD, Artifact, Store, canonical, environment, fingerprint, hash_file
from metier.errors import UserError

IDENTITY = {"stage": "demo", "version": 1, "config": {"b": [1, 2.5, None], "a": "中文"}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8,
)  # fmt: skip


def fill(folder: Path) -> dict[str, Any]:
    (folder / "data.txt").write_text("made")
    return {"rows": 1}


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=4))
def test_the_order_of_keys_is_no_meaning(identity: dict[str, Any]) -> None:
    assert canonical(identity) == canonical(shuffled(identity))
    assert json.loads(canonical(identity)) == identity


def test_fingerprint_is_what_it_was() -> None:
    """Pinned: another spelling of identities would make every store of every user stale."""
    assert canonical(IDENTITY) == '{"config":{"a":"中文","b":[1,2.5,null]},"stage":"demo","version":1}'
    assert fingerprint(IDENTITY) == "1b97e7344c21837a9a71d4eea34fda26"
    assert fingerprint({"a": (1, 2)}) == fingerprint({"a": [1, 2]})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"}) != fingerprint({"a": True})


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1, 2}, Path("x"), b"bytes", object(), {1: "key is no string"}]
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(AssertionError, match=r"identity\.deep"):
        fingerprint({"deep": [value]})


def test_build_and_find(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.find("demo", fingerprint(IDENTITY)) is None and store.all("demo") == []
    made = store.build("demo", IDENTITY, {"collect": "f" * 32}, fill)
    assert made.path == tmp_path / "store" / "demo" / fingerprint(IDENTITY)
    assert (made.path / "data.txt").read_text() == "made"
    assert made.summary == {"rows": 1} and made.identity == IDENTITY and made.parents == {"collect": "f" * 32}
    assert store.find("demo", made.fingerprint) == made and store.all("demo") == [made]
    assert made.environment["packages"]["metier"] and made.created.endswith("Z") and made.seconds >= 0
    assert not list((tmp_path / "store").rglob("*.partial"))


def test_a_failure_leaves_no_artifact_and_its_folder_for_a_resume(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fail(folder: Path) -> dict[str, Any]:
        (folder / "half.txt").write_text("half")
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        store.build("demo", IDENTITY, {}, fail)
    assert store.find("demo", fingerprint(IDENTITY)) is None and store.all("demo") == []

    def resume(folder: Path) -> dict[str, Any]:
        return {"found": (folder / "half.txt").read_text()}

    assert store.build("demo", IDENTITY, {}, resume).summary == {"found": "half"}


def test_what_is_there_already_is_not_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.build("demo", IDENTITY, {}, fill)
    assert store.build("demo", IDENTITY, {}, lambda folder: pytest.fail("made twice")) == first


def test_a_damaged_record_is_no_artifact_and_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = store.build("demo", IDENTITY, {}, fill)
    for damage in ("{", '{"stage": "demo"}', '{"surprise": 1}'):
        (made.path / RECORD).write_text(damage)
        assert store.find("demo", made.fingerprint) is None and store.all("demo") == []
        with pytest.raises(UserError, match="not a finished artifact"):
            Artifact.load(made.path)
    assert store.build("demo", IDENTITY, {}, fill).summary == {"rows": 1}
    assert store.find("demo", made.fingerprint) is not None


SLOW = """
import sys, time
from pathlib import Path
from metier.artifact import Store
def work(folder):
    (folder / "half.txt").write_text("half")
    print("working", flush=True)
    time.sleep(60)
    return {}
Store(Path(sys.argv[1])).build("demo", {"slow": 1}, {}, work)
"""


@contextlib.contextmanager
def slow_builder(root: Path) -> Any:
    """A process that is in the middle of building an artifact."""
    with subprocess.Popen([sys.executable, "-c", SLOW, str(root)], stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None and worker.stdout.readline() == "working\n"
            yield worker
        finally:
            worker.kill()


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_killed_while_building_then_resumed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with slow_builder(tmp_path) as worker:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert store.find("demo", fingerprint({"slow": 1})) is None and store.all("demo") == []

    def resume(folder: Path) -> dict[str, Any]:
        return {"found": (folder / "half.txt").read_text()}

    assert store.build("demo", {"slow": 1}, {}, resume).summary == {"found": "half"}  # the lock died with the process


def test_two_processes_on_one_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with slow_builder(tmp_path):
        with pytest.raises(UserError, match="another process is making this artifact") as told:
            store.build("demo", {"slow": 1}, {}, fill)
        assert told.value.fix
        store.build("demo", {"other": 1}, {}, fill)  # another artifact is free


def test_no_second_lock_beside_one_that_is_held(tmp_path: Path) -> None:
    """Whoever comes after a finished build must not lock a file that has been replaced."""
    store = Store(tmp_path)
    lock = tmp_path / "demo" / f"{fingerprint(IDENTITY)}.lock"
    store.build("demo", IDENTITY, {}, fill)
    first = lock.stat().st_ino
    store.build("demo", IDENTITY, {}, fill)
    assert lock.stat().st_ino == first


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "no permission"), (errno.EROFS, "no perm")]
)
def test_disk_and_permission_are_told(code: int, words: str, tmp_path: Path) -> None:
    def work(folder: Path) -> dict[str, Any]:
        raise OSError(code, os.strerror(code), str(folder / "data.parquet"))

    with pytest.raises(UserError, match=words) as told:
        Store(tmp_path).build("demo", IDENTITY, {}, work)
    assert "data.parquet" in told.value.where and "METIER_STORE" in told.value.fix
    assert Store(tmp_path).all("demo") == []


def test_disk_full_while_the_record_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("metier.artifact.write_json", full)
    with pytest.raises(UserError, match=r"the disk is full \([\d,]+ MB free\)"):
        Store(tmp_path).build("demo", IDENTITY, {}, fill)
    monkeypatch.undo()
    assert Store(tmp_path).all("demo") == [] and Store(tmp_path).build("demo", IDENTITY, {}, fill)


def test_a_disk_that_cannot_lock_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match="cannot lock files"):
        Store(tmp_path).build("demo", IDENTITY, {}, fill)


def test_a_bug_of_ours_keeps_its_kind(tmp_path: Path) -> None:
    def work(folder: Path) -> dict[str, Any]:
        return {"text": (folder / "not there").read_text()}

    with pytest.raises(FileNotFoundError):
        Store(tmp_path).build("demo", IDENTITY, {}, work)


def test_a_summary_must_be_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Store(tmp_path).build("demo", IDENTITY, {}, lambda folder: {"figure": float("nan")})
    assert Store(tmp_path).all("demo") == []


def test_all_is_in_order_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"])
    monkeypatch.setattr("metier.artifact._now", lambda: next(times))
    for number in (1, 2):
        Store(tmp_path).build("demo", {"n": number}, {}, fill)
    assert [artifact.identity["n"] for artifact in Store(tmp_path).all("demo")] == [2, 1]


def test_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert hash_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_environment_is_json() -> None:
    made = json.loads(json.dumps(environment()))
    assert made["python"].count(".") == 2
    assert {"tokenizers", "safetensors", "scipy", "lxml", "pypdfium2", "trafilatura"} <= set(made["packages"])
