"""Bad input ends as text or as a counted reason, within bounds of time and memory; nothing of it ends a run."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from metier.collect import readers
from metier.collect.config import CollectConfig
from metier.collect.inputs import find_inputs
from metier.collect.reading import Options, Reading, Unreadable

from .samples import W, docx, message, paragraph, pdf
from .test_archive import tarred, zipped


def reason(data: bytes, name: str, **options: Any) -> str:
    with pytest.raises(Unreadable) as caught:
        readers.read(data, name, Options(**options))
    return caught.value.reason


def reasons(rejected: list[dict[str, str]]) -> dict[str, str]:
    return {row["source"]: row["reason"] for row in rejected}


# -- XML ---------------------------------------------------------------------------------------------------------------

LAUGHS = b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">' + b"".join(
    b'<!ENTITY lol%d "%s">' % (number, b"&lol%s;" % (str(number - 1).encode() if number > 1 else b"") * 10)
    for number in range(1, 10)
) + b"]><lolz>&lol9;</lolz>"  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        LAUGHS,
        b'<!DOCTYPE a [<!ENTITY x "' + b"A" * 100_000 + b'">]><a>' + b"&x;" * 10_000 + b"</a>",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://localhost:1/x.dtd"> %p;]><a>text</a>',
    ],
    ids=["laughs", "quadratic", "file", "parameter"],
)
def test_entity_bombs_and_external_entities_are_refused(data: bytes) -> None:
    start = time.monotonic()
    assert reason(data, "a.xml") == "unsafe XML"
    assert time.monotonic() - start < 2


def test_harmless_entities_are_read_and_a_dtd_is_not_fetched() -> None:
    kinds = b'<!DOCTYPE a SYSTEM "http://localhost:1/a.dtd" [<!ENTITY firm "M&#252;ller AG">]>'
    data = kinds + b"<a><p>by &firm; &alpha; &no;</p></a>"
    assert readers.read(data, "a.xml", Options()).pieces[0].text == "by Müller AG α &no;"


def test_the_same_bomb_inside_an_office_file_does_not_go_off() -> None:
    body = LAUGHS.split(b"<lolz>")[0] + f"<w:document xmlns:w='{W}'><w:body>".encode() + (
        b"<w:p><w:r><w:t>fine &lol9;</w:t></w:r></w:p></w:body></w:document>")  # fmt: skip
    start = time.monotonic()
    try:
        text = readers.read(zipped(("word/document.xml", body)), "a.docx", Options()).pieces[0].text
        assert text.count("lol") < 100
    except Unreadable as error:
        assert error.reason in ("damaged", "unsafe XML", "too large", "empty")
    assert time.monotonic() - start < 5


def test_deep_nesting_is_no_stack_overflow() -> None:
    for data, name in (
        (b"<a>" * 100_000 + b"x" + b"</a>" * 100_000, "a.xml"),
        (b"[" * 200_000, "a.json"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "a.jsonl"),
        (b"<div>" * 50_000 + b"deep text", "a.html"),
        (b"{" * 100_000 + b"\\rtf1", "a.rtf"),
    ):
        start = time.monotonic()
        try:
            reading = readers.read(data, name, Options())
            assert reading.pieces or reading.refused
        except Unreadable as error:
            assert error.reason
        assert time.monotonic() - start < 20, name


# -- texts that are odd but fine ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["😀👩‍⚕️🇨🇳 emoji", "مرحبا بالعالم، هذا نص عربي", "שלום עולם", "ก็ไม่เป็นไร", "a\u202eb\u202c", "𠮷野家的𩸽"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["text", "csv", "json", "mail", "xml"])
def test_emoji_and_scripts_from_right_to_left_pass_unharmed(text: str, form: str) -> None:
    data = {
        "text": text, "csv": f"text,label\n{text},x\n", "json": f'[{{"text": "{text}"}}]',
        "mail": f"Subject: s\nContent-Type: text/plain; charset=utf-8\n\n{text}\n", "xml": f"<a><p>{text}</p></a>",
    }[form]  # fmt: skip
    name = {"text": "a.txt", "csv": "a.csv", "json": "a.json", "mail": "a.eml", "xml": "a.xml"}[form]
    assert text in readers.read(data.encode(), name, Options()).pieces[0].text


def test_null_bytes_are_taken_out_and_told() -> None:
    assert readers.read(b"one\x00 two", "a.txt", Options()).pieces[0].text == "one two"
    reading = readers.read(b"text,label\na\x00b,x\n", "a.csv", Options())
    assert reading.pieces[0].text == "ab" and any("NUL bytes" in warning for warning in reading.warnings)
    reading = readers.read(b'{"text": "a"}\n{"text": "b\x00c"}\n', "a.jsonl", Options())
    assert [piece.text for piece in reading.pieces] == ["a", "bc"]
    assert reason(bytes(range(256)) * 50, "a.txt") in ("unsupported format", "undecodable")
    assert reason(bytes(5_000), "a.txt") in ("empty", "unsupported format")


def test_rows_in_another_encoding_are_refused_one_by_one() -> None:
    good = "".join(f"客户要求退还年费第{number}次,投诉\n" for number in range(200)).encode()
    reading = readers.read(
        "文本,标签\n".encode() + good + "另一种编码,投诉\n".encode("gb18030") + good, "a.csv", Options()
    )
    assert len(reading.pieces) == 400
    assert [(item.part, item.reason) for item in reading.refused] == [("#201", "undecodable row")]


def test_a_line_of_many_megabytes() -> None:
    long = "long words " * 2_000_000
    start = time.monotonic()
    assert readers.read(f"text,label\n{long},x\n".encode(), "a.csv", Options()).pieces[0].text == long
    assert readers.read(long.encode(), "a.txt", Options()).pieces[0].text == long
    assert time.monotonic() - start < 30


# -- files that are odd ------------------------------------------------------------------------------------------------


def test_a_sparse_file_of_two_gigabytes_is_refused_at_once(run: Any, inbox: Path) -> None:
    (inbox / "a.txt").write_text("fine")
    with (inbox / "huge.csv").open("wb") as stream:
        stream.truncate(2 * 1024**3)
    start = time.monotonic()
    _, documents, rejected = run(sources=["."])
    assert time.monotonic() - start < 5 and len(documents) == 1
    assert reasons(rejected) == {"huge.csv": "too large"} and "2,147,483,648 bytes" in rejected[0]["detail"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes and sockets in the file system")
def test_pipes_sockets_devices_and_loops_of_links(run: Any, inbox: Path) -> None:
    (inbox / "a.txt").write_text("fine")
    os.mkfifo(inbox / "pipe.txt")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(inbox / "socket.txt"))
    (inbox / "device.txt").symlink_to("/dev/zero")
    (inbox / "loop").symlink_to(inbox)
    (inbox / "self.txt").symlink_to(inbox / "self.txt")
    (inbox / "one.txt").symlink_to(inbox / "two.txt")
    (inbox / "two.txt").symlink_to(inbox / "one.txt")
    (inbox / "nowhere.txt").symlink_to("/no/such/file")
    _, documents, rejected = run(sources=["."])
    listening.close()
    assert len(documents) == 1
    assert reasons(rejected) == {
        "pipe.txt": "unreadable", "socket.txt": "unreadable", "device.txt": "unreadable", "loop": "link",
        "self.txt": "unreadable", "one.txt": "unreadable", "two.txt": "unreadable", "nowhere.txt": "unreadable",
    }  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_names_that_are_not_utf8(run: Any, inbox: Path) -> None:
    for raw in ("贷款合同.txt".encode("gbk"), b"\xff\xfe.txt", "emoji 😀.txt".encode(), b"line\nbreak.txt"):
        with open(os.fsencode(inbox) + b"/" + raw, "wb") as stream:
            stream.write(b"words")
    _, documents, _ = run(sources=["."])
    assert {document["source"] for document in documents} == {
        "贷款合同.txt", "\\xff\\xfe.txt", "emoji 😀.txt", "line\nbreak.txt"}  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs users and rights")
def test_folders_and_files_that_one_may_not_read() -> None:
    """Looked at by a process that is not root, since root may read everything."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        base = Path(folder)
        base.chmod(0o755)
        (base / "a.txt").write_text("fine")
        (base / "closed").mkdir()
        (base / "closed" / "b.txt").write_text("x")
        (base / "secret.txt").write_text("x")
        (base / "closed").chmod(0o000)
        (base / "secret.txt").chmod(0o000)
        assert seen_by_nobody(base) == [["a.txt", ""], ["closed/", "unreadable"], ["secret.txt", "unreadable"]]
        (base / "closed").chmod(0o700)


def seen_by_nobody(base: Path) -> Any:
    """[name, problem] of each file that a process without rights finds."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        found: Any = "failed"
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            inputs = find_inputs(CollectConfig(sources=[str(base)]), Path("/"))
            found = sorted([item.name, item.problem] for item in inputs.files)
        finally:
            os.write(writing, json.dumps(found).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        told = json.load(stream)
    os.waitpid(child, 0)
    return told


# -- protected, cut off, inside each other -----------------------------------------------------------------------------


def test_passwords_are_told() -> None:
    assert reason(pdf([["secret"]], password="x"), "a.pdf") == "encrypted"
    office = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le")
    assert reason(office, "a.docx") == "encrypted"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_files_that_are_cut_off_end_as_text_or_reason(share: float) -> None:
    whole = {
        "a.pdf": pdf([["page one"], ["page two"]]), "a.docx": docx(paragraph("text " * 200)),
        "a.zip": zipped(("a.txt", b"x" * 2000)), "a.tar": tarred(("a.txt", b"x" * 2000)),
        "a.eml": bytes(message("subject", "body " * 100, ("a.pdf", pdf([["page"]])))),
        "a.json": b'[{"text": "one"}, {"text": "two"}]', "a.xml": b"<a><p>one</p><p>two words</p></a>",
    }  # fmt: skip
    for name, data in whole.items():
        try:
            reading = readers.read(data[: int(share * len(data))], name, Options())
        except Unreadable as error:
            assert error.reason in ("damaged", "empty", "unsupported format", "not a table", "no text layer"), name
        else:
            assert reading.pieces or reading.refused, name


def test_everything_inside_everything() -> None:
    data, name = zipped(("a.txt", b"the innermost text")), "x.zip"
    mail = bytes(message("one", "first", (name, data)))
    again = zipped(("mail.eml", mail), ("m.tar", tarred(("in.eml", mail))))
    reading = readers.read(bytes(message("two", "second", ("all.zip", again))), "a.eml", Options())
    assert reading.pieces[0].text.count("the innermost text") == 2 and not reading.refused


def test_a_bomb_is_refused_by_its_claims_before_it_is_unpacked(run: Any, inbox: Path) -> None:
    (inbox / "bomb.zip").write_bytes(zipped(*((f"{number}.txt", bytes(50_000_000)) for number in range(2))))
    (inbox / "a.txt").write_text("fine")
    start = time.monotonic()
    summary, documents, _ = run(sources=["."])
    assert len(documents) == 1 and summary["rejected"] == {"too large": 2} and time.monotonic() - start < 20


def test_a_table_that_eats_all_memory_costs_itself(run: Any, inbox: Path) -> None:
    (inbox / "a.pdf").write_bytes(pdf([["fine"]]))
    (inbox / "nested.json").write_bytes(b"[" + b"[]," * 6_000_000 + b"{}]")
    _, documents, rejected = run(sources=["."], max_memory_per_file=250_000_000)
    assert [document["source"] for document in documents] == ["a.pdf"]
    assert reasons(rejected) == {"nested.json": "out of memory"}


def test_a_reading_is_never_both_empty_and_silent() -> None:
    for name in ("a.zip", "a.csv", "a.json", "a.xml", "a.eml", "a.mbox", "a.ics", "a.conll", "a.txt", "a.html"):
        try:
            reading = readers.read(b" \n ", name, Options())
        except Unreadable as error:
            assert error.reason
        else:
            assert isinstance(reading, Reading) and (reading.pieces or reading.refused), name
