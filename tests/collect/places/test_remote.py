"""Object stores and file servers: an S3 server of moto, an HTTP server, and fsspec's memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.collect.places.conftest import Page, Site

from metier.artifact import fingerprint
from metier.collect.config import CollectConfig
from metier.collect.places import cache as kept
from metier.collect.places import remote
from metier.collect.stage import find_inputs, identity
from metier.console import Console
from metier.errors import UserError

pytest.importorskip("fsspec")
LETTERS = {
    "2024/a.txt": b"the first letter", "2024/deep/b.txt": "第二封信".encode(), 
    "2024/c.csv": b"text\nrow one\nrow two\n",
    "2024/.hidden/x.txt": b"not for us", "2025/a.txt": b"another year", "2024/": b"",
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE", 0.01)


def found(base: Path, **source: Any) -> Any:
    return find_inputs(CollectConfig(sources=[source]), base)


def names(base: Path, **source: Any) -> list[str]:
    return [item.name for item in found(base, **source).files]


# -- S3 ----------------------------------------------------------------------------------------------------------------


def test_folders_globs_and_files_of_a_bucket(s3: Callable[..., str], run: Any, tmp_path: Path) -> None:
    s3(LETTERS)
    inputs = found(tmp_path, path="s3://letters/2024/")
    assert [item.name for item in inputs.files] == ["a.txt", "c.csv", "deep/b.txt"]
    assert inputs.excluded == ((0, ".hidden/x.txt"),)
    assert names(tmp_path, path="s3://letters/2024/*.txt") == ["a.txt"]
    assert names(tmp_path, path="s3://letters/**/a.txt") == ["2024/a.txt", "2025/a.txt"]
    assert names(tmp_path, path="s3://letters/2025/a.txt") == ["a.txt"]
    _, documents, rejected = run(sources=["s3://letters/2024"])
    assert {d["source"]: d["text"] for d in documents} == {
        "a.txt": "the first letter", "deep/b.txt": "第二封信", "c.csv#1": "row one", "c.csv#2": "row two",
    }  # fmt: skip
    assert [row["reason"] for row in rejected] == ["excluded"]


def test_a_copy_of_a_folder_in_a_bucket_is_the_same_data(s3: Callable[..., str], tmp_path: Path) -> None:
    s3({"copy/a.txt": b"one", "copy/b/c.txt": b"two"})
    (tmp_path / "here" / "b").mkdir(parents=True)
    (tmp_path / "here" / "a.txt").write_bytes(b"one")
    (tmp_path / "here" / "b" / "c.txt").write_bytes(b"two")
    identities = []
    for path in ("here", "s3://letters/copy"):
        config = CollectConfig(sources=[path])
        identities.append(fingerprint(identity(config, find_inputs(config, tmp_path))))
    assert identities[0] == identities[1]


def test_objects_are_fetched_once_and_again_when_they_change(
    s3: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3({"x/a.txt": b"one", "x/b.txt": b"two"})
    fetched = []
    original = remote._range
    monkeypatch.setattr(remote, "_range", lambda *args: fetched.append(args[1].name) or original(*args))
    first = found(tmp_path, path="s3://letters/x")
    assert sorted(fetched) == ["a.txt", "b.txt"]
    assert found(tmp_path, path="s3://letters/x") == first and len(fetched) == 2
    s3({"x/b.txt": b"TWO"})
    second = found(tmp_path, path="s3://letters/x")
    assert fetched[2:] == ["b.txt"] and second.files[0] == first.files[0] and second.files[1] != first.files[1]
    second.files[1].path.write_bytes(b"a hand in the cache")
    assert found(tmp_path, path="s3://letters/x") == second and fetched[3:] == ["b.txt"]


def test_the_login_stands_in_no_message_and_no_cache(
    s3: Callable[..., str], s3_server: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3({"a.txt": b"one"})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="wants credentials") as error:
        found(tmp_path, path="s3://letters/", storage_options={"endpoint_url": s3_server})
    assert "AWS_ACCESS_KEY_ID" in error.value.fix
    options = {"endpoint_url": s3_server, "key": "${STORE_KEY}", "secret": "${STORE_SECRET}"}
    with pytest.raises(UserError, match="STORE_KEY is not set"):
        found(tmp_path, path="s3://letters/", storage_options=options)
    monkeypatch.setenv("STORE_KEY", "who-am-i")
    monkeypatch.setenv("STORE_SECRET", "sehr-geheim")
    assert [item.name for item in found(tmp_path, path="s3://letters/", storage_options=options).files] == ["a.txt"]
    for path in cache.rglob("*"):
        assert path.is_dir() or not any(word in path.read_bytes() for word in (b"sehr-geheim", b"who-am-i"))


def test_what_is_not_there(s3: Callable[..., str], tmp_path: Path) -> None:
    s3({"x/a.txt": b"one"})
    with pytest.raises(UserError, match=r"there is no such file[\s\S]*a\.txt"):
        found(tmp_path, path="s3://letters/x/b.txt")
    with pytest.raises(UserError, match="no object is called like that"):
        found(tmp_path, path="s3://letters/x/*.pdf")
    with pytest.raises(UserError, match=r"no such file|does not answer|credentials"):
        found(tmp_path, path="s3://no-such-bucket-here/x")
    with pytest.raises(UserError, match="a database is no path"):
        found(tmp_path, path="postgresql://host/base")
    with pytest.raises(UserError, match="usual beginnings"):
        found(tmp_path, path="nosuch://host/base")


def test_a_store_of_another_maker_names_its_package(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    for protocol, package in (("gs", "gcsfs"), ("az", "adlfs")):
        try:
            __import__(package)
        except ImportError:
            with pytest.raises(UserError, match=rf"pip install {package}"):
                found(tmp_path, path=f"{protocol}://bucket/folder")


# -- HTTP --------------------------------------------------------------------------------------------------------------


def test_a_file_of_a_web_server(site: Site, run: Any, tmp_path: Path) -> None:
    site.add("/data/rows.csv", b"text,label\nhello,a\n", "text/csv", headers={"ETag": '"1"'})
    _, documents, _ = run(sources=[f"{site.address}/data/rows.csv"])
    assert [(d["source"], d["text"], d["metadata"]["label"]) for d in documents] == [("rows.csv#1", "hello", "a")]
    before = len(site.asked)
    run(sources=[f"{site.address}/data/rows.csv"])
    assert len(site.asked) == before  # its ETag had not changed
    with pytest.raises(UserError, match="does not list its files"):
        found(tmp_path, path=f"{site.address}/data/*.csv")
    with pytest.raises(UserError, match=r"does not answer|no such file"):
        found(tmp_path, path=f"{site.address}/data/none.csv")


def test_the_checksum_of_a_recipe_is_checked(site: Site, tmp_path: Path) -> None:
    site.add("/a.txt", b"one", "text/plain")
    with pytest.raises(UserError, match="checksum differs"):
        found(tmp_path, path=f"{site.address}/a.txt", sha256="0" * 64)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_broke(
    site: Site, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    monkeypatch.setattr(remote, "BLOCK", 1000)
    body = bytes(range(256)) * 20
    site.ranges = ranges
    tag = {"ETag": '"v1"'}
    site.pages["/big.txt"] = Page(body, "text/plain", headers=tag, times=3, then=Page(status=500, headers=tag))
    broken = found(tmp_path, path=f"{site.address}/big.txt").files[0] if ranges else None
    if broken:
        assert broken.problem == "unreachable" and f"after {remote.TRIES} tries" in broken.detail
        assert next((cache / "remote" / "partial").iterdir()).read_bytes() == body[:3000]
    site.asked.clear()
    site.headers.clear()
    site.pages["/big.txt"] = Page(body, "text/plain", headers=tag)
    whole = found(tmp_path, path=f"{site.address}/big.txt").files[0]
    assert whole.path.read_bytes() == body and whole.problem == ""
    if ranges:
        assert site.headers[0]["Range"].startswith("bytes=3000-")
    assert not list((cache / "remote" / "partial").iterdir())


def test_a_connection_that_breaks_is_tried_again(site: Site, tmp_path: Path) -> None:
    body = b"x" * 5000
    good = Page(body, "text/plain")
    site.pages["/a.txt"] = Page(body, "text/plain", cut=100, times=2, then=good)
    assert found(tmp_path, path=f"{site.address}/a.txt").files[0].size == 5000
    assert len(site.asked) == 3


def test_a_file_of_unknown_size_is_bounded(site: Site, tmp_path: Path) -> None:
    site.add("/a.txt", b"y" * 3000, "text/plain", headers={"Transfer-Encoding": "chunked"})
    config = CollectConfig(sources=[f"{site.address}/a.txt"], max_file_bytes=2000)
    assert [item.problem for item in find_inputs(config, tmp_path).files] == ["too large"]
    assert found(tmp_path, path=f"{site.address}/a.txt").files[0].size == 3000
    site.add("/b.txt", b"y" * 3000, "text/plain")
    config = CollectConfig(sources=[f"{site.address}/b.txt"], max_file_bytes=2000)
    assert find_inputs(config, tmp_path).files[0].problem == "too large" and "/b.txt" not in site.asked


# -- any file system ---------------------------------------------------------------------------------------------------


def test_objects_that_fail_are_counted_and_a_dead_store_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for number in range(30):
        memory.pipe(f"/dead/{number:02}.txt", b"text")
    original = type(memory).cat_file

    def failing(self: Any, path: str, **more: Any) -> bytes:
        if broken(path):
            raise OSError(f"no route to {path} for secret sehr-geheim")
        return original(self, path, **more)  # type: ignore[no-any-return]

    monkeypatch.setattr(type(memory), "cat_file", failing)
    monkeypatch.setenv("STORE_TOKEN", "sehr-geheim")
    broken = lambda path: path.endswith("07.txt")  # noqa: E731
    files = found(tmp_path, path="memory://dead", storage_options={"auth": "${STORE_TOKEN}"}).files
    assert [item.name for item in files if item.problem == "unreachable"] == ["07.txt"] and len(files) == 30
    assert "sehr-geheim" not in files[7].detail and "no route" in files[7].detail
    kept.cache_folder()
    memory.store.clear()
    for number in range(30):
        memory.pipe(f"/gone/{number:02}.txt", b"text")
    broken = lambda path: True  # noqa: E731
    with pytest.raises(UserError, match=f"{remote.GIVE_UP} objects in a row"):
        found(tmp_path, path="memory://gone")


def test_an_object_that_changes_meanwhile_is_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pipe("/live/a.txt", b"0" * 2000)
    monkeypatch.setattr(remote, "BLOCK", 1000)
    original = remote._range

    def changing(system: Any, thing: Any, start: int, end: int) -> bytes:
        block = original(system, thing, start, end)
        if start == 0:
            memory.pipe("/live/a.txt", b"1" * 2000)
        return block

    monkeypatch.setattr(remote, "_range", changing)
    assert found(tmp_path, path="memory://live").files[0].problem == "changed while reading"


def test_offline_forbids_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METIER_OFFLINE", "1")
    for path in ("s3://letters/x", "https://example.org/a.txt"):
        with pytest.raises(UserError, match="METIER_OFFLINE forbids"):
            found(tmp_path, path=path)


def test_progress_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("/shown/a.txt", b"text")
    find_inputs(CollectConfig(sources=["memory://shown"]), tmp_path, Console())
    assert "fetching memory://shown: 1/1 files" in capsys.readouterr().err


def test_a_recipe_for_an_address(site: Site, work: Path, metier: Any) -> None:
    from small import rows, write_csv

    site.add("/data/cases.csv", write_csv(work / "cases.csv", rows()).read_bytes(), "text/csv")
    address = f"{site.address}/data/cases.csv"
    made = metier("new", address)
    assert made.code == 0 and "wrote cases.yaml" in made.out, made.err
    text = (work / "cases.yaml").read_text(encoding="utf-8")
    assert address in text and "text: text" in text
    shown = metier("show", address)
    assert address in shown.out and "label: label" in shown.out, shown.err
    collected = metier("collect", address, "--output", "out")
    assert collected.code == 0 and (work / "out" / "documents.parquet").is_file()
    assert metier("new", f"{site.address}/none.csv", "--force").code == 2
