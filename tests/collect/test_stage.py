"""Finding files, identity, the register, crashes and the stage's own files."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from metier import tables
from metier.artifact import fingerprint
from metier.collect import download
from metier.collect.config import CollectConfig, SourceConfig
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.collect.stage import collect, find_inputs, identity
from metier.collect.workers import Task, read_all
from metier.console import Console
from metier.errors import UserError

from . import samples

CSV = "text,label\nhello there,a\ngood bye,b\n"


def find(base: Path, **config: Any) -> Any:
    return find_inputs(CollectConfig(**config), base)


def names(base: Path, *sources: Any, **config: Any) -> list[str]:
    return [item.name for item in find(base, sources=list(sources), **config).files]


# -- finding -----------------------------------------------------------------------------------------------------------


def test_folders_globs_and_exclusions(inbox: Path) -> None:
    for name in ("a.txt", "sub/b.txt", "sub/deep/c.md", ".git/x.txt", "sub/~$b.docx", "客户/投诉.txt"):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_text("x")
    assert names(inbox.parent, "in") == ["a.txt", "sub/b.txt", "sub/deep/c.md", "客户/投诉.txt"]
    assert names(inbox, "*.txt") == ["a.txt"]
    assert names(inbox, "**/*.txt") == ["a.txt", "sub/b.txt", "客户/投诉.txt"]
    assert names(inbox, "sub/*/[a-c].m?") == ["deep/c.md"]
    assert find(inbox.parent, sources=["in"]).excluded == ((0, ".git/"), (0, "sub/~$b.docx"))


def test_a_source_without_a_match_says_what_is_there(inbox: Path) -> None:
    (inbox / "data.csv").write_text(CSV)
    with pytest.raises(UserError, match=r"did you mean 'data.csv'\?"):
        find(inbox, sources=["dat.csv"])
    with pytest.raises(UserError, match=r"1 \.csv"):
        find(inbox, sources=["*.pdf"])
    with pytest.raises(UserError, match=r"holds: data\.csv"):
        find(inbox, sources=["zzz/qqq"])
    (inbox / "empty").mkdir()
    with pytest.raises(UserError, match="holds no files"):
        find(inbox, sources=["empty"])
    with pytest.raises(UserError, match="names no data"):
        find(inbox)


def test_symlink_loops_end(inbox: Path) -> None:
    (inbox / "a").mkdir()
    (inbox / "a" / "x.txt").write_text("x")
    (inbox / "a" / "up").symlink_to(inbox)
    (inbox / "dead.txt").symlink_to(inbox / "nothing")
    other = inbox.parent / "other"
    other.mkdir()
    (other / "y.txt").write_text("y")
    (inbox / "linked").symlink_to(other)
    found = find(inbox.parent, sources=["in"])
    assert {item.name: item.problem for item in found.files} == {
        "a/up": "link", "a/x.txt": "", "dead.txt": "unreadable", "linked/y.txt": "",
    }  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(inbox: Path) -> None:
    (inbox / "a.txt").write_text("x")
    (inbox / "a.txt").chmod(0)
    assert [(item.name, item.problem) for item in find(inbox.parent, sources=["in"]).files] == [("a.txt", "unreadable")]


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_file_names_in_other_encodings(inbox: Path, run: Any) -> None:
    raw = os.fsencode(inbox) + b"/" + "投诉".encode("gb18030") + b".txt"
    with open(raw, "wb") as stream:
        stream.write("我要投诉".encode())
    with open(os.fsencode(inbox) + b"/bad\xff.txt", "wb") as stream:
        stream.write(b"x")
    _, documents, _ = run(sources=["."])
    assert [document["source"] for document in documents] == ["bad\\xff.txt", "投诉.txt"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(inbox: Path) -> None:
    os.mkfifo(inbox / "pipe")
    assert find(inbox.parent, sources=["in"]).files[0].problem == "unreadable"


def test_a_file_of_two_sources_is_read_once(inbox: Path, run: Any) -> None:
    (inbox / "a.csv").write_text("x,y\nhello there,1\n")
    (inbox / "b.txt").write_text("b")
    summary, documents, _ = run(sources=[".", {"path": "a.csv", "columns": {"text": "x"}}])
    assert [document["source"] for document in documents] == ["b.txt", "a.csv#1"]
    assert "1 files of another source are read as part of collect.sources.1 only" in summary["warnings"]


# -- identity ----------------------------------------------------------------------------------------------------------


def test_one_byte_changes_the_identity_and_moving_does_not(inbox: Path, tmp_path: Path) -> None:
    (inbox / "a.csv").write_text(CSV)
    config = CollectConfig(sources=["in"], workers=1)
    before = fingerprint(identity(config, find_inputs(config, tmp_path)))
    moved = tmp_path / "elsewhere"
    inbox.rename(moved)
    again = CollectConfig(sources=[str(moved)], workers=4)
    assert fingerprint(identity(again, find_inputs(again, tmp_path))) == before
    (moved / "a.csv").write_text(CSV.replace("hello", "hallo"))
    assert fingerprint(identity(again, find_inputs(again, tmp_path))) != before
    (moved / "a.csv").write_text(CSV)
    (moved / "a.csv").rename(moved / "b.csv")
    assert fingerprint(identity(again, find_inputs(again, tmp_path))) != before


# -- the stage ---------------------------------------------------------------------------------------------------------


def test_documents_rejected_and_summary(inbox: Path, run: Any) -> None:
    (inbox / "a.csv").write_text(CSV + ",c\n")
    (inbox / "b.heic").write_bytes(b"\x00\x00\x00\x18ftypheic")
    (inbox / "c.txt").write_text("")
    summary, documents, rejected = run(
        sources=[{"path": ".", "split": "test", "license": "CC0"}], max_file_bytes=10_000
    )
    assert summary["files"] == 3 and summary["documents"] == 2
    assert summary["rejected"] == {"empty text": 1, "unsupported format": 1, "empty": 1}
    assert [d["source"] for d in documents] == ["a.csv#1", "a.csv#2"]
    assert documents[0]["metadata"]["split"] == "test" and documents[0]["license"] == "CC0"
    assert {row["source"] for row in rejected} == {"a.csv#3", "b.heic", "c.txt"}
    assert all(row["stage"] == "collect" and row["detail"] for row in rejected)
    json.dumps(summary, allow_nan=False)


def test_the_order_does_not_depend_on_workers(inbox: Path, tmp_path: Path) -> None:
    for number in range(6):
        (inbox / f"{number}.html").write_text(f"<html><body>page {number} {'x ' * 900 * (6 - number)}</body></html>")
    written = []
    for workers in (1, 3):
        config = CollectConfig(sources=["in"], workers=workers)
        out = tmp_path / f"out{workers}"
        collect(config, find_inputs(config, tmp_path), out, Console(quiet=True))
        written.append((out / "documents.parquet").read_bytes())
    assert written[0] == written[1]


def test_reasons_are_told_on_the_screen(inbox: Path, tmp_path: Path) -> None:
    (inbox / "a.txt").write_text("fine")
    (inbox / "b.heic").write_bytes(b"\x00\x00\x00\x18ftypheic")
    stream = io.StringIO()
    config = CollectConfig(sources=["in"])
    collect(config, find_inputs(config, tmp_path), tmp_path / "out", Console(stream))
    assert "unsupported format" in stream.getvalue() and "1 documents from 2 files" in stream.getvalue()


def test_nothing_at_all_is_an_error_with_reasons(inbox: Path, run: Any) -> None:
    (inbox / "b.heic").write_bytes(b"\x00\x00\x00\x18ftypheic")
    with pytest.raises(UserError, match=r"no document came out of 1 files \(unsupported format: 1"):
        run(sources=["."])


def test_a_missing_column_ends_the_stage(inbox: Path, run: Any) -> None:
    (inbox / "a.csv").write_text(CSV)
    with pytest.raises(UserError, match="the columns are: text, label"):
        run(sources=[{"path": "a.csv", "columns": {"text": "body"}}])


def test_unknown_roles_are_refused_by_the_recipe() -> None:
    with pytest.raises(ValueError, match="did you mean 'label'"):
        SourceConfig(path="a", columns={"lable": "x"})


def test_label_from_folder(inbox: Path, run: Any) -> None:
    for name in ("complaint/1.txt", "praise/2.txt", "3.txt"):
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_text(name)
    summary, documents, _ = run(sources=[{"path": ".", "label_from": "folder"}])
    assert [d["metadata"].get("label") for d in documents] == [None, "complaint", "praise"]
    assert any("get no label" in text for text in summary["warnings"])


def test_too_large_and_changed_files(inbox: Path, run: Any, tmp_path: Path) -> None:
    (inbox / "a.txt").write_text("x" * 99)
    (inbox / "b.txt").write_text("ok")
    _, _, rejected = run(sources=["."], max_file_bytes=50)
    assert [(row["source"], row["reason"]) for row in rejected] == [("a.txt", "too large")]
    config = CollectConfig(sources=["in"])
    inputs = find_inputs(config, tmp_path)
    (inbox / "b.txt").write_text("other")
    summary = collect(config, inputs, tmp_path / "out", Console(quiet=True))
    assert summary["rejected"] == {"changed while reading": 1}


# -- register ----------------------------------------------------------------------------------------------------------


def test_register_joins_by_path_name_and_message_id(inbox: Path, run: Any) -> None:
    (inbox / "mail" / "2026").mkdir(parents=True)
    (inbox / "letters").mkdir()
    (inbox / "mail" / "2026" / "1.eml").write_bytes(samples.message("s1", "b1").as_bytes())
    (inbox / "mail" / "2026" / "2.eml").write_bytes(samples.message("s2", "b2", message_id="<Two@x>").as_bytes())
    (inbox / "letters" / "l.docx").write_bytes(samples.docx(samples.paragraph("letter")))
    (inbox / "letters" / "bad.pdf").write_bytes(b"%PDF-1.4")
    (inbox / "letters" / "left.txt").write_text("not in the register")
    (inbox / "register.csv").write_text(
        "item;customer;intent;risk\nmail/2026/1.eml;C1;lost;0.5\n<two@x>;C2;fee;\nl.docx;C3;fee;1\n"
        "letters/bad.pdf;C4;fee;1\n9.eml;C5;fee;1\n<two@x>;C2;other;\n"
    )
    summary, documents, rejected = run(
        sources=["mail", "letters"],
        index={
            "path": "register.csv",
            "key": "item",
            "columns": {"label": "intent", "group": "customer", "value": "risk"},
        },
    )
    got = {d["source"]: (d["group"], d["metadata"].get("label"), d["metadata"].get("value")) for d in documents}
    assert got == {"2026/1.eml": ("C1", "lost", "0.5"), "2026/2.eml": ("C2", "fee", None), "l.docx": ("C3", "fee", "1"),
                   "left.txt": ("", None, None)}  # fmt: skip
    assert {row["source"]: row["reason"] for row in rejected} == {
        "bad.pdf": "damaged", "register.csv#4": "in register but not read",
        "register.csv#5": "in register but not found",
        "register.csv#6": "register contradicts itself",
    }  # fmt: skip
    assert any("1 documents are not in the register" in text for text in summary["warnings"])


def test_register_mistakes(inbox: Path, run: Any) -> None:
    (inbox / "a.txt").write_text("x")
    (inbox / "r.csv").write_text("item,label\na.txt,x\n")
    with pytest.raises(UserError, match="no column 'file'"):
        run(sources=["a.txt"], index={"path": "r.csv", "key": "file", "columns": {"label": "label"}})
    with pytest.raises(UserError, match=r"did you mean 'r.csv'"):
        run(sources=["a.txt"], index={"path": "rr.csv", "key": "item", "columns": {"label": "label"}})


# -- crashes and hangs -------------------------------------------------------------------------------------------------


def breaking(data: bytes, name: str, options: Options) -> Reading:
    """A foreign parser: dies, hangs, fails or reads, as the file says."""
    if data == b"die":
        os._exit(7)
    if data == b"hang":
        time.sleep(60)
    if data == b"fail":
        raise RuntimeError("parser bug")
    print("chatter on stdout must not disturb the worker's answers")
    return Reading([Piece(data.decode())])


def test_a_crash_or_a_hang_costs_one_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metier import registry

    registry.names("reader")
    monkeypatch.setitem(registry._entries["reader"], "breaking", breaking)
    source = tmp_path / "breaking_plugin.py"
    source.write_text(
        f"import sys\nfrom metier.registry import register\nfrom {__name__} import breaking\n"
        "register('reader', 'breaking')(breaking)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    tasks = []
    for number, content in enumerate(["one", "die", "two", "hang", "fail", "three"]):
        (tmp_path / f"{number}.x").write_text(content)
        tasks.append(Task(number, str(tmp_path / f"{number}.x"), f"{number}.x", "", Options(reader="breaking"),
                          modules=("breaking_plugin",)))  # fmt: skip
    start = time.monotonic()
    outcomes = dict(read_all(tasks, workers=2, seconds=8))  # its imports are part of them
    assert time.monotonic() - start < 40
    assert [outcomes[n].pieces[0].text for n in (0, 2, 5)] == ["one", "two", "three"]  # type: ignore[union-attr]
    reasons = {n: outcome.reason for n, outcome in outcomes.items() if isinstance(outcome, Unreadable)}
    assert reasons == {1: "crashed", 3: "timed out", 4: "reader failed"}


# -- downloads ---------------------------------------------------------------------------------------------------------


def test_mirror_first_and_the_checksum_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    (tmp_path / "finance").mkdir()
    (tmp_path / "finance" / "a.csv").write_text(CSV)
    monkeypatch.setenv("METIER_DATA_MIRROR", str(tmp_path))
    good = {"path": "mirror:finance/a.csv", "sha256": hashlib.sha256(CSV.encode()).hexdigest()}
    assert names(tmp_path, good) == ["a.csv"]
    with pytest.raises(UserError, match="checksum differs"):
        find(tmp_path, sources=[{**good, "sha256": "0" * 64}])
    with pytest.raises(UserError, match=r"without '\.\.'"):
        find(tmp_path, sources=["mirror:../x.csv"])


def test_offline_names_address_and_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METIER_OFFLINE", "1")
    monkeypatch.setenv("METIER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("METIER_DATA_MIRROR", raising=False)
    source = {"path": "mirror:x/a.csv", "url": "https://example.org/a.csv", "sha256": "0" * 64}
    with pytest.raises(UserError) as caught:
        find(tmp_path, sources=[source])
    assert "https://example.org/a.csv" in str(caught.value) and "METIER_DATA_MIRROR" in str(caught.value)
    with pytest.raises(UserError, match="only https"):
        find(tmp_path, sources=[{**source, "url": "http://example.org/a.csv"}])
    with pytest.raises(UserError, match="needs `sha256`"):
        find(tmp_path, sources=[{**source, "sha256": ""}])


def test_download_goes_to_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    class Answer(io.BytesIO):
        headers = MappingProxyType({"Content-Length": "9"})

    class Opener:
        def open(self, request: Any, timeout: float) -> Answer:
            asked.append(request.full_url)
            return Answer(CSV.encode())

    asked: list[str] = []
    monkeypatch.setattr(download.urllib.request, "build_opener", lambda *handlers: Opener())
    monkeypatch.setenv("METIER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("METIER_DATA_MIRROR", raising=False)
    monkeypatch.delenv("METIER_OFFLINE", raising=False)
    source = {
        "path": "mirror:x/a.csv",
        "url": "https://example.org/a.csv",
        "sha256": hashlib.sha256(CSV.encode()).hexdigest(),
    }
    assert names(tmp_path, source) == ["a.csv"] and names(tmp_path, source) == ["a.csv"]
    assert asked == ["https://example.org/a.csv"]  # the second time it came from the cache
    with pytest.raises(UserError, match="newer version"):
        find(tmp_path, sources=[{**source, "sha256": "1" * 64}])
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["a.csv"]


def test_tables_schema(inbox: Path, run: Any, tmp_path: Path) -> None:
    (inbox / "a.csv").write_text(CSV)
    run(sources=["a.csv"])
    assert tables.read(tmp_path / "out" / "documents.parquet").schema.equals(tables.DOCUMENTS)
    assert tables.read(tmp_path / "out" / "rejected.parquet").schema.equals(tables.REJECTED)
