"""Archives and compressed files: every member is read by its own reader, or refused with its path and a reason."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metier.collect import archive, readers
from metier.collect.reading import Budget, Options, Reading, Unreadable

from .samples import docx, message, paragraph, pdf


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as whole:
        for name, data in members:
            whole.writestr(name, data)
    return stream.getvalue()


def tarred(*members: tuple[str | tarfile.TarInfo, bytes], mode: str = "w", **settings: Any) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, **settings) as whole:  # type: ignore[call-overload]
        for name, data in members:
            entry = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            entry.size = len(data)
            whole.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def read(data: bytes, name: str = "a.zip", **options: Any) -> Reading:
    return readers.read(data, name, Options(**options))


def told(reading: Reading) -> list[tuple[str, str]]:
    return [(refusal.part, refusal.reason) for refusal in reading.refused]


def reason(data: bytes, name: str = "a.zip", **options: Any) -> str:
    with pytest.raises(Unreadable) as caught:
        read(data, name, **options)
    return caught.value.reason


def test_members_of_any_kind_become_documents_with_their_path() -> None:
    data = zipped(
        ("cases/2024/a.txt", b"plain words"), ("cases/letter.docx", docx(paragraph("a letter"))),
        ("export.csv", b"text,label\none,x\ntwo,y\n"),
        ("mail.eml", bytes(message("s", "body", ("b.txt", b"attached")))),
        ("logo.rar", b"Rar!\x1a\x07"), ("empty.txt", b""), ("page.pdf", pdf([["a page"]])),
    )  # fmt: skip
    reading = read(data)
    assert [(piece.part, piece.text) for piece in reading.pieces] == [
        ("!cases/2024/a.txt", "plain words"), ("!cases/letter.docx", "a letter"), ("!export.csv#1", "one"),
        ("!export.csv#2", "two"), ("!mail.eml", "s\n\nbody\n\n[attachment: b.txt]\nattached"), ("!page.pdf", "a page"),
    ]  # fmt: skip
    assert reading.pieces[2].metadata["label"] == "x" and reading.pieces[0].metadata["member"] == "cases/2024/a.txt"
    assert told(reading) == [("!logo.rar", "unsupported format"), ("!empty.txt", "empty")]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars_however_they_are_packed(mode: str) -> None:
    name = f"a.tar{mode[1:].replace(':', '.')}"
    reading = read(tarred(("x/a.txt", b"one"), ("x/b.txt", "二".encode("gb18030") * 20), mode=mode), name)
    assert [(piece.part, piece.text) for piece in reading.pieces] == [("!x/a.txt", "one"), ("!x/b.txt", "二" * 20)]
    assert read(tarred(("a.txt", b"one")), "old.tgz").pieces[0].text == "one"


def test_archives_in_archives_and_in_mails() -> None:
    inner = zipped(("deep.txt", "最里面的文本".encode()))
    outer = zipped(("inner.zip", inner), ("b.tar.gz", gzip.compress(tarred(("t.txt", b"from tar")))))
    parts = {piece.part: piece.text for piece in read(outer).pieces}
    assert parts == {"!inner.zip!deep.txt": "最里面的文本", "!b.tar.gz!t.txt": "from tar"}
    piece = read(bytes(message("s", "body", ("x.zip", outer))), "a.eml").pieces[0]
    assert "[attachment: x.zip]\n[inner.zip!deep.txt]\n最里面的文本" in piece.text


@pytest.mark.parametrize(
    ("pack", "suffix"),
    [(bz2.compress, ".bz2"), (lzma.compress, ".xz"), (gzip.compress, ".gz"),
     (lambda data: pa.compress(data, "zstd", asbytes=True), ".zst"),
     (lambda data: lzma.compress(data, lzma.FORMAT_ALONE), ".lzma")],
)  # fmt: skip
def test_single_compressed_files(pack: Any, suffix: str) -> None:
    data = "请退款，谢谢。\n".encode() * 60_000 + b"end"
    assert read(pack(data), f"a.txt{suffix}").pieces[0].text.endswith("\nend")
    assert reason(pack(data), f"a.txt{suffix}", max_bytes=1_000_000) == "too large"
    assert reason(pack(data)[:-9], f"a.txt{suffix}") == "damaged"


def test_many_streams_in_one_file_and_bytes_after_its_end() -> None:
    reading = read(b"".join(gzip.compress(b"part %d\n" % number) for number in range(500)) + b"tail", "a.txt.gz")
    assert reading.pieces[0].text.count("part") == 500
    assert "4 bytes after the end" in reading.warnings[0]


def test_chinese_names_without_the_flag_of_unicode() -> None:
    names = ["贷款合同/第一份.txt", "理赔记录.txt", "readme.txt"]
    data = zipped(
        *((f"{number:02}" + "x" * (len(name.encode("gbk")) - 2), b"text") for number, name in enumerate(names))
    )
    for number, name in enumerate(names):
        raw = name.encode("gbk")
        data = data.replace(f"{number:02}".encode() + b"x" * (len(raw) - 2), raw)
    assert [piece.part for piece in read(data).pieces] == [f"!{name}" for name in names]
    russian = zipped(("x" * 11 + ".txt", b"text")).replace(b"x" * 11, "Договор № 7".replace("№", "N").encode("cp866"))
    assert [piece.part for piece in read(russian).pieces] == ["!Договор N 7.txt"]
    tar = tarred(*((name, b"text") for name in names), format=tarfile.GNU_FORMAT, encoding="gbk")
    assert [piece.part for piece in read(tar, "a.tar").pieces] == [f"!{name}" for name in names]


@pytest.mark.parametrize(
    ("name", "clean"),
    [("../../etc/passwd", "etc/passwd"), ("/etc/passwd", "etc/passwd"), (r"C:\windows\x.txt", "windows/x.txt"),
     ("a/../../b.txt", "a/b.txt"), ("..", "unnamed"), ("a\x00b\n.txt", "a_b_.txt"), ("x\u202etxt.exe", "x_txt.exe"),
     ("a!b#1.txt", "a_b_1.txt"), ("./ok.txt", "ok.txt"), ("////", "unnamed")],
)  # fmt: skip
def test_names_stay_below_the_archive(name: str, clean: str) -> None:
    assert archive.clean_path(name) == clean


def test_names_that_climb_are_told_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reading = read(zipped(("../../evil.txt", b"one"), ("/abs.txt", b"two"), ("evil.txt", b"three")))
    assert [piece.part for piece in reading.pieces] == ["!evil.txt", "!abs.txt", "!evil.txt (2)"]
    assert "2 member names were not safe" in reading.warnings[0]
    assert not list(tmp_path.rglob("*")) and not (tmp_path.parent.parent / "evil.txt").exists()


def test_links_devices_and_excluded_members_are_refused() -> None:
    link, hard, device = tarfile.TarInfo("l.txt"), tarfile.TarInfo("h.txt"), tarfile.TarInfo("null")
    link.type, link.linkname, hard.type, hard.linkname = tarfile.SYMTYPE, "/etc/passwd", tarfile.LNKTYPE, "a.txt"
    device.type = tarfile.CHRTYPE
    reading = read(tarred((link, b""), (hard, b""), (device, b""), ("__MACOSX/x", b"y"), ("a.txt", b"one")), "a.tar",
                   exclude=("__MACOSX",))  # fmt: skip
    assert told(reading) == [
        ("!l.txt", "link"),
        ("!h.txt", "link"),
        ("!null", "unreadable"),
        ("!__MACOSX/x", "excluded"),
    ]
    assert [piece.text for piece in reading.pieces] == ["one"]
    entry = zipfile.ZipInfo("s.txt")
    entry.external_attr = 0o120777 << 16
    assert told(read(zipped((entry, b"/etc/passwd"), ("a.txt", b"x")))) == [("!s.txt", "link")]


def test_encrypted_members_and_unknown_methods() -> None:
    data = bytearray(zipped(("secret.txt", b"text"), ("open.txt", b"text")))
    data[6] |= 1  # the flag in the first member's local header, and in its entry of the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert told(read(bytes(data))) == [("!secret.txt", "encrypted")]
    data = bytearray(zipped(("a.txt", b"text"), ("b.txt", b"text")))
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 97
    assert told(read(bytes(data))) == [("!a.txt", "unsupported format")]


def test_damage_costs_the_damaged_member_only() -> None:
    data = bytearray(zipped(("a.txt", b"x" * 500), ("b.txt", b"fine"), method=zipfile.ZIP_STORED))
    data[60] ^= 1
    reading = read(bytes(data))
    assert told(reading) == [("!a.txt", "damaged")] and [piece.text for piece in reading.pieces] == ["fine"]
    assert reason(zipped(("a.txt", b"x"))[:-30]) == "damaged"
    reading = read(tarred(("a.txt", b"one"), ("b.txt", b"y" * 5000), ("c.txt", b"z"))[:2500], "a.tar")
    assert [piece.text for piece in reading.pieces] == ["one"]
    assert {refusal.reason for refusal in reading.refused} == {"damaged"} and reading.refused[0].part == "!b.txt"


# -- bombs -------------------------------------------------------------------------------------------------------------


def test_a_member_that_unpacks_like_a_bomb_is_not_unpacked() -> None:
    reading = read(zipped(("bomb.txt", bytes(40_000_000)), ("a.txt", b"one")))
    assert told(reading) == [("!bomb.txt", "too large")] and "as in a zip bomb" in reading.refused[0].detail


def test_a_member_that_lies_about_its_size_is_cut_at_the_limit() -> None:
    data = bytearray(zipped(("a.txt", b"0123456789" * 300_000)))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")  # claims ten bytes
    assert told(read(bytes(data), max_bytes=1_000_000))[0][1] in ("damaged", "too large")


def test_members_that_share_bytes_are_refused_before_anything_is_unpacked() -> None:
    data = bytearray(zipped(("a.txt", b"x" * 5000), ("b.txt", b"y" * 5000)))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = (10).to_bytes(4, "little")  # begins inside the first
    assert reason(bytes(data)) == "damaged"


def test_nested_bombs_are_paid_from_one_budget() -> None:
    leaf = zipped(("a.txt", b"0123456789" * 10_000))
    middle = zipped(*((f"{number}.zip", leaf) for number in range(10)))
    outer = zipped(*((f"{number}.zip", middle) for number in range(10)))
    budget = Budget(bytes=1_000_000)
    reading = read(outer, budget=budget)
    assert 0 < len(reading.pieces) < 15
    assert reading.refused[-1].reason == "too large" and "were not read" in reading.refused[-1].detail


def test_an_archive_that_holds_itself_forever_ends() -> None:
    data = b"the end"
    for _ in range(20):
        data = gzip.compress(data)
    assert reason(data, "a.gz") == "nested too deep"
    data = zipped(("a.txt", b"x"))
    for _ in range(20):
        data = zipped(("a.zip", data))
    assert [refusal.reason for refusal in read(data).refused] == ["nested too deep"]


def test_thousands_of_members() -> None:
    reading = read(zipped(*((f"{number % 50}/{number}.txt", b"text %d" % number) for number in range(3_000))))
    assert len(reading.pieces) == 3_000 and reading.pieces[2_999].text == "text 2999"
    assert reason(zipped()) == "empty"


# -- the stage ---------------------------------------------------------------------------------------------------------


def test_the_stage_names_and_labels_members(run: Any, inbox: Path) -> None:
    data = zipped(("good/1.txt", b"fine words"), ("bad/2.txt", b"other words"), (".DS_Store", b"x"))
    (inbox / "export.zip").write_bytes(data)
    _, documents, rejected = run(sources=[{"path": ".", "label_from": "folder"}])
    assert {(d["source"], d["metadata"]["label"]) for d in documents} == {
        ("export.zip!good/1.txt", "good"), ("export.zip!bad/2.txt", "bad")}  # fmt: skip
    assert [(row["source"], row["reason"]) for row in rejected] == [("export.zip!.DS_Store", "excluded")]
