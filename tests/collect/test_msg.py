"""Outlook messages: code pages, attachments, messages in messages, and bodies in compressed RTF."""

from __future__ import annotations

import struct

import pytest

from metier.collect import oxrtf, readers
from metier.collect.reading import Options, Reading, Unreadable

from .outlook import attached, cfb, embedded, message
from .samples import docx, mirror, paragraph

SUBJECT, BODY, HTML, RTF = "0037", "1000", "1013", "1009"


def read(tree: dict, name: str = "a.msg", **options: object) -> Reading:
    return readers.read(cfb(tree), name, Options(**options))  # type: ignore[arg-type]


def test_a_message_with_attachments_reads_like_its_eml() -> None:
    inner = message({SUBJECT: "Inner", BODY: "inner body"}, attached("b.txt", "里面的文本".encode()), header=24)
    tree = message(
        {SUBJECT: "贷款申请", BODY: "您好：\r\n请查收附件。\r\n", "0C1A": "张三", "0C1F": "zhang@example.cn",
         "0E04": "李四", "1035": "<m2@example.cn>", "1042": "<m1@example.cn>"},
        attached("合同.docx", docx(paragraph("合同正文"))), embedded("fwd.msg", inner),
        attached("x.rar", b"Rar!\x1a\x07"),
    )  # fmt: skip
    reading = read(tree)
    piece = reading.pieces[0]
    assert piece.text == (
        "贷款申请\n\n您好：\n请查收附件。\n\n[attachment: 合同.docx]\n合同正文\n\n"
        "[attachment: fwd.msg]\nInner\n\ninner body\n\n[attachment: b.txt]\n里面的文本"
    )
    assert piece.metadata["from"] == "张三 <zhang@example.cn>" and piece.metadata["thread"] == "m1@example.cn"
    assert [(r.part, r.reason) for r in reading.refused] == [("!x.rar", "unsupported format")]


@pytest.mark.parametrize(
    ("page", "number", "text"), [("cp950", 950, "格式測試與保險合約"), ("gb18030", 936, "请退款到我的银行卡")]
)
def test_old_messages_are_in_the_code_page_that_they_name(page: str, number: int, text: str) -> None:
    piece = read(message({SUBJECT: text, BODY: text}, page=page, p3FFD=number)).pieces[0]
    assert piece.text == f"{text}\n\n{text}"


def test_messages_nested_too_deep_are_refused_at_their_place() -> None:
    tree = message({SUBJECT: "0", BODY: "level 0"}, header=24)
    for level in range(1, 7):
        tree = message(
            {SUBJECT: str(level), BODY: f"level {level}"}, embedded("m.msg", tree), header=32 if level == 6 else 24
        )
    reading = read(tree)
    assert "level 3" in reading.pieces[0].text and "level 2" not in reading.pieces[0].text
    assert [r.reason for r in reading.refused] == ["nested too deep"]


def lzfu(text: bytes) -> bytes:
    """Compressed RTF that holds literals, and one reference into the dictionary's beginning ("{\\rtf1")."""
    out = bytearray()
    reference = struct.pack(">H", 0 << 4 | (6 - 2))
    tokens: list[bytes] = [reference] + [text[at : at + 1] for at in range(6, len(text))]
    for start in range(0, len(tokens), 8):
        run = tokens[start : start + 8]
        out.append(sum(1 << bit for bit, token in enumerate(run) if len(token) == 2))
        out += b"".join(run)
    return struct.pack("<II4sI", len(out) + 12, len(text), b"LZFu", 0) + bytes(out)


RTF_PAGE = (
    rb"{\rtf1\ansi\ansicpg936\fromhtml1 {\fonttbl{\f0 Arial;}}{\*\htmltag64 <p>}\htmlrtf {\b\htmlrtf0 "
    rb"\'c7\'eb\'cd\'cb\'bf\'ee {\*\htmltag84 <b>}now{\*\htmltag92 </b>}\htmlrtf }\htmlrtf0 "
    rb"\u-10179?\u-8704?{\*\htmltag72 </p>}}"
)


def test_a_body_that_is_only_rtf_is_unpacked_and_its_page_unwrapped() -> None:
    packed = lzfu(RTF_PAGE)
    assert oxrtf.unpack(packed, 10_000) == RTF_PAGE
    assert oxrtf.page(RTF_PAGE) == "<p>请退款 <b>now</b>😀</p>"
    tree = {**message({SUBJECT: "s"}), f"__substg1.0_{RTF}0102": packed}
    piece = read(tree).pieces[0]
    assert piece.text == "s\n\n请退款 now😀" and piece.metadata["body"] == "rtf"


def test_what_is_cut_off_or_broken_ends_in_a_reason() -> None:
    whole = cfb(message({SUBJECT: "s", BODY: "b" * 5000}))
    for size in (600, 1024, 2048, len(whole) - 700):
        try:
            readers.read(whole[:size], "a.msg", Options())
        except Unreadable as error:
            assert error.reason in ("damaged", "empty", "unsupported format")
    with pytest.raises(Unreadable, match="not packed"):
        oxrtf.unpack(b"x" * 40, 100)
    with pytest.raises(Unreadable, match="unpacks to"):
        oxrtf.unpack(lzfu(RTF_PAGE), 10)


@pytest.mark.realdata
def test_a_real_chinese_message() -> None:
    path = mirror() / "documents" / "tika" / "testMSG_chinese.msg"
    piece = readers.read(path.read_bytes(), path.name, Options()).pieces[0]
    assert piece.title == "Alfresco MSG format testing ( MSG 格式測試 )"
    assert "產業工會將贈送一點小小禮品以示獎勵" in piece.text and piece.metadata["encoding"] == "cp950"
    assert [mark["kind"] for mark in piece.metadata["marked"]] == ["quoted"]
