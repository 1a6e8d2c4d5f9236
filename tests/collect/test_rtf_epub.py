"""RTF token by token, and books in the order of their spine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.collect import readers
from metier.collect.accounts import ACCOUNTS, told
from metier.collect.reading import Options, Piece, Reading, Unreadable

from .office import named


def read(data: bytes, name: str = "a.rtf") -> Reading:
    return readers.read(data, name, Options(ocr=False))


def one(data: bytes, name: str = "a.rtf") -> Piece:
    (piece,) = read(data, name).pieces
    assert set(piece.metadata) <= told(ACCOUNTS[readers.choose(data, name)])
    return piece


def hexed(text: str, codec: str) -> bytes:
    """Text as RTF writes bytes above 127."""
    return b"".join(b"\\'%02x" % byte if byte > 127 else bytes([byte]) for byte in text.encode(codec))


FONTS = rb"{\fonttbl{\f0\fnil\fcharset0 Times;}{\f1\fnil\fcharset134 SimSun;}{\f2\fcharset204 Cyr;}}"


def test_chinese_bytes_of_the_code_page_and_of_the_font() -> None:
    page = rb"{\rtf1\ansi\ansicpg936 " + hexed("合同条款（一）ABC", "gb18030") + rb"\par next}"
    assert one(page).text == "合同条款（一）ABC\n\nnext"
    mixed = rb"{\rtf1\ansi\ansicpg1252" + FONTS + rb"\f1 " + hexed("患者", "gb18030") + rb"\f0 caf\'e9 {\f2 " + \
        hexed("Да", "cp1251") + rb"}\f0 \'80}"  # fmt: skip
    assert one(mixed).text == "患者café Да€"


def test_a_second_byte_that_looks_like_a_letter() -> None:
    """Many second bytes of code page 936 are ASCII letters, which writers leave as they are."""
    double = "乂丂".encode("gbk")
    assert any(0x40 <= byte <= 0x7E for byte in double)
    body = b"".join(b"\\'%02x" % byte if byte > 127 or byte in b"\\{}" else bytes([byte]) for byte in double)
    assert one(rb"{\rtf1\ansicpg936 " + body + b"}").text == "乂丂"


def test_unicode_escapes_with_their_fallback() -> None:
    assert one(rb"{\rtf1\uc1 \u20320?\u22909\'3f!\u-10179?\u-8704? {\uc0\u8364}x{\uc2\u228 ae}}").text == "你好!😀 €xä"
    upr = rb"{\rtf1 {\upr{bad}{\*\ud{good}}} end}"
    assert one(upr).text == "good end"


def test_marks_tables_notes_and_what_is_skipped() -> None:
    body = (
        rb"{\rtf1{\info{\title My \'84title\'93}{\author nobody}}{\stylesheet{\s1 Heading;}}"
        rb"{\header head{\field{\*\fldinst PAGE}{\fldrslt 1}}}Pay {\deleted 100}{\revised 250}{\v secret} euros"
        rb"{\footnote small print}\par\trowd\intbl a\cell b\par c\cell\row\pard {\*\unknown nothing}{\pict 0102ff}"
        rb"\bin3 }{}after{\*\annotation why?}{\listtext 1.\tab}item\~x\_y}"
    )
    piece = one(body)
    assert piece.title == "My „title“"
    assert piece.text.split("\n") == [
        "Pay [deleted: 100]250[hidden: secret] euros", "", "a\tb c", "after1.\titem x-y", "", "[header]", "head1", "",
        "[footnote]", "small print", "", "[comment]", "why?",
    ]  # fmt: skip
    assert piece.metadata == {"deletions": 1, "insertions": 1, "hidden_runs": 1, "headers": 1, "footnotes": 1,
                              "comments": 1, "pictures": 1}  # fmt: skip


@pytest.mark.parametrize(("data", "reason"), [
    (b"{\\rtf1 }", "empty"), (b"{\\rtf1{\\pict 00}}", "empty"), (b"{\\rtf1" + b"{" * 20_000, "damaged"),
])  # fmt: skip
def test_bad_rtf(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(data)
    assert caught.value.reason == reason


def test_a_cut_off_file_keeps_what_it_has_and_says_so() -> None:
    reading = read(rb"{\rtf1 first\par {\b second")
    assert reading.pieces[0].text == "first\n\nsecond" and "cut off" in reading.warnings[0]


@given(st.binary(max_size=300))
def test_any_bytes_end_as_text_or_reason(tail: bytes) -> None:
    try:
        read(b"{\\rtf1" + tail)
    except Unreadable as error:
        assert error.reason in ACCOUNTS["rtf"].refused


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), min_size=1, max_size=60))
def test_every_character_survives_as_an_escape(text: str) -> None:
    units = text.encode("utf-16-le")
    codes = [int.from_bytes(units[at : at + 2], "little") for at in range(0, len(units), 2)]
    body = "".join(f"\\u{code - 65536 if code > 32767 else code}?" for code in codes)
    found = one(f"{{\\rtf1 {body}}}".encode()).text
    assert found == text.strip("\n ")


# -- books -------------------------------------------------------------------------------------------------------------

CONTAINER = "<container xmlns='c'><rootfiles><rootfile full-path='OEBPS/book.opf'/></rootfiles></container>"
BOOK = """<package xmlns='http://www.idpf.org/2007/opf' xmlns:dc='http://purl.org/dc/elements/1.1/'>
<metadata><dc:title>法律入门</dc:title><dc:creator>Wu</dc:creator><dc:language>zh</dc:language></metadata>
<manifest>{}</manifest><spine>{}</spine></package>"""


def book(**extra: str) -> dict[str, str | bytes]:
    listed = [("n", "nav.xhtml", "properties='nav'"), ("b", "b%20two.xhtml", ""), ("a", "text/a.xhtml", ""),
              ("x", "gone.xhtml", "")]  # fmt: skip
    item = "<item id='{}' href='{}' media-type='application/xhtml+xml' {}/>".format
    items = "".join(item(*one_) for one_ in listed)
    spine = "".join(f"<itemref idref='{name}'/>" for name in ("n", "a", "b", "x"))
    page = "<html xmlns='http://www.w3.org/1999/xhtml'><head><title>t</title></head><body>{}</body></html>".format
    return {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": BOOK.format(items, spine),
        "OEBPS/nav.xhtml": page("<a href='#'>contents</a>"),
        "OEBPS/text/a.xhtml": page("<h1>第一章</h1><p>甲方</p>"),
        "OEBPS/b two.xhtml": page("<ol><li>one</li><li>two</li></ol>"),
        **extra,
    }


def test_chapters_in_the_order_of_the_spine() -> None:
    reading = read(named(book()), "a.epub")
    (piece,) = reading.pieces
    assert piece.text == "第一章\n\n甲方\n\n1. one\n2. two"
    assert (piece.title, piece.language, piece.metadata) == (
        "法律入门",
        "zh",
        {"chapters": 2, "navigation": 1, "author": "Wu"},
    )
    assert [(item.part, item.reason) for item in reading.refused] == [("#OEBPS/gone.xhtml", "damaged")]


def test_protected_and_broken_books() -> None:
    locked = "<e><CipherReference URI='OEBPS/text/a.xhtml'/></e>"
    cases = (
        (book(**{"META-INF/encryption.xml": locked}), "encrypted"),
        ({"mimetype": "application/epub+zip"}, "damaged"),
    )
    for parts, reason in cases:
        with pytest.raises(Unreadable) as caught:
            read(named(parts), "a.epub")
        assert caught.value.reason == reason
