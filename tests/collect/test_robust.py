"""Files from the field: cut off, spoilt, locked, or made to do harm; each ends as text or as a reason."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metier.collect import office97, readers
from metier.collect.accounts import ACCOUNTS, ANY
from metier.collect.reading import Options, Unreadable

from . import samples
from .office import docx, named, odf, pptx, shape, xlsx

WORDS = "甲方应于每月五日前付款。 The tenant shall pay the rent in advance. 😀 שלום"
FILES: dict[str, Callable[[], bytes]] = {
    "a.pdf": lambda: samples.pdf([[f"line {at} of the lease"] for at in range(3)]),
    "a.docx": lambda: named(docx(samples.paragraph(WORDS))),
    "a.xlsx": lambda: named(xlsx(("S", "", f"<row><c t='inlineStr'><is><t>{WORDS}</t></is></c></row>"))),
    "a.pptx": lambda: named(pptx(shape(WORDS))),
    "a.odt": lambda: named(odf("text", f"<text:p>{WORDS}</text:p>")),
    "a.rtf": lambda: b"{\\rtf1 " + b"".join(b"\\u%d?" % min(ord(char), 32767) for char in WORDS) + b"}",
    "a.html": lambda: f"<html><body><p>{WORDS}</p></body></html>".encode(),
    "a.md": lambda: f"# {WORDS}\n".encode(),
}


def ends(data: bytes, name: str) -> str:
    """ "text", or a reason that the reader's account or the general list tells."""
    try:
        reading = readers.read(data, name, Options(ocr=False))
    except Unreadable as error:
        assert error.detail
        return error.reason
    assert any(piece.text.strip() for piece in reading.pieces)
    return "text"


@pytest.mark.parametrize("name", FILES)
def test_cut_off_and_spoilt_files(name: str) -> None:
    data = FILES[name]()
    assert ends(data, name) == "text"
    told = {"text", *ACCOUNTS[readers.choose(data, name)].refused, *ANY}
    for at in range(1, 12):
        assert ends(data[: len(data) * at // 12], name) in told
    rng = random.Random(7)
    for _ in range(30):
        spoilt = bytearray(data)
        for _ in range(rng.randint(1, 12)):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        assert ends(bytes(spoilt), name) in told


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("a.pdf", "a.rtf")])
def test_chinese_emoji_and_right_to_left_come_through(name: str) -> None:
    (piece,) = readers.read(FILES[name](), name, Options()).pieces
    assert WORDS in piece.text


def test_a_package_that_unpacks_to_gigabytes_is_refused_before_memory_is_spent() -> None:
    import tracemalloc

    bomb = named(docx(samples.paragraph("x" * 40_000_000)))
    assert len(bomb) < 100_000
    tracemalloc.start()
    assert ends(bomb, "a.docx") == "too large"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_many_parts_that_are_each_small_are_bounded_together() -> None:
    """Each part packs modestly, but their sum is over what one file may unpack to."""
    rng = random.Random(1)
    noise = "".join(rng.choices("abcdefgh ", k=40_000))
    parts = docx(samples.paragraph("x"), **{f"header{at}": samples.paragraph(noise) for at in range(10)})
    with pytest.raises(Unreadable) as caught:
        readers.read(named(parts), "a.docx", Options(max_bytes=200_000))
    assert caught.value.reason == "too large"


def test_a_parser_that_kills_its_process_costs_one_file(
    run: Callable[..., Any], inbox: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A reader of a foreign package that dies as a broken native parser does: by a signal."""
    from metier import registry

    package = tmp_path / "plugins"
    package.mkdir()
    (package / "falling_reader.py").write_text(
        "import os, signal\nfrom metier.registry import register\n\n"
        "@register('reader', 'falling')\ndef read(data, name, options):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    monkeypatch.syspath_prepend(str(package))
    __import__("falling_reader")
    try:
        (inbox / "bad.falling").write_bytes(b"\x01\x02")
        (inbox / "good.docx").write_bytes(FILES["a.docx"]())
        summary, documents, rejected = run(sources=["."], base=inbox)
    finally:
        registry._entries["reader"].pop("falling", None)
        sys.modules.pop("falling_reader", None)
    assert [(row["source"], row["reason"]) for row in rejected] == [("bad.falling", "crashed")]
    assert "SIGSEGV" in rejected[0]["detail"] and [row["source"] for row in documents] == ["good.docx"]
    assert summary["passing_files"] == ["bad.falling"]


# -- old Office files --------------------------------------------------------------------------------------------------


def ole(*names: str, blocks: bytes = b"") -> bytes:
    """The beginning of an OLE file with these streams in its directory."""
    directory = b"".join(f"{name}\0".encode("utf-16-le") for name in names)
    return office97.OLE + bytes(504) + directory.ljust(512, b"\0") + blocks.ljust(512, b"\0") + bytes(512)


def test_old_office_files_are_recognised_by_their_streams_and_locked_ones_refused() -> None:
    assert [office97.recognise(ole(name)) for name in ("WordDocument", "PowerPoint Document", "Workbook", "Other")] == [
        "doc", "ppt", "xls", ""]  # fmt: skip
    word = ole("WordDocument", blocks=b"\xec\xa5" + bytes(8) + (0x0100).to_bytes(2, "little"))
    sheet = ole("Workbook", blocks=b"\x09\x08\x04\x00" + bytes(4) + b"\x2f\x00")
    assert ends(word, "a.doc") == "encrypted" and ends(sheet, "renamed.txt") == "encrypted"
    assert ends(ole("Other"), "a.doc") == "unsupported format"


def test_without_its_extra_an_old_office_file_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office97.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unreadable, match="metier\\[office97\\]"):
        readers.read(ole("WordDocument"), "a.doc", Options())


def test_a_broken_old_office_file_is_damaged() -> None:
    pytest.importorskip("xberg")
    assert ends(ole("WordDocument"), "a.doc") in ("damaged", "empty")
