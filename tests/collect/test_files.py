"""HTML, PDF, DOCX, mail and plain text through the door `readers.read`."""

from __future__ import annotations

import gzip
import io
import zipfile
from email.message import EmailMessage

import pytest

from metier.collect import html, hyphens, mail, readers
from metier.collect.reading import Options, Piece, Reading, Unreadable

from . import samples
from .samples import docx, message, paragraph

TEXT = "I have been charged twice for the same purchase and would like one of them back."


def read(data: bytes, name: str, **options: object) -> Reading:
    return readers.read(data, name, Options(**{"ocr": False, **options}))  # type: ignore[arg-type]


def one(data: bytes, name: str, **options: object) -> Piece:
    (piece,) = read(data, name, **options).pieces
    return piece


def refused(data: bytes, name: str) -> tuple[str, str]:
    with pytest.raises(Unreadable) as caught:
        read(data, name)
    return caught.value.reason, caught.value.detail


# -- which reader ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "name", "reader"), [
    (b"%PDF-1.7", "note.txt", "pdf"), (b"<!DOCTYPE html><p>x", "scan.pdf", "html"), (b"PAR1", "x.bin", "table"),
    (b"From: a@b\nSubject: x\n\nhi", "mail_17", "mail"), (b"just words", "README", "text"),
    (b"a,b", "Export v1.2", "text"), (b"{\\rtf1 x}", "old.doc", "rtf"), (b"PK\x03\x04rest", "sheet.xlsx", "xlsx"),
])  # fmt: skip
def test_content_before_extension(data: bytes, name: str, reader: str) -> None:
    assert readers.choose(data, name) == reader


@pytest.mark.parametrize(("data", "name", "told"), [
    (b"\x00\x00\x00\x18ftypheic", "photo.heic", ".heic"), (b"PK\x03\x04rest", "app.jar", ".jar"),
    (b"\x00\x01\x02" * 99, "core", "no extension"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old.doc", "save it as .docx"),
    (b"<a/>", "style.xsl", ".xsl"), (b"OggS\x00", "call.txt", "ogg"),
])  # fmt: skip
def test_unsupported_formats_are_named(data: bytes, name: str, told: str) -> None:
    reason, detail = refused(data, name)
    assert reason == "unsupported format" and told in detail


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.pdf", "a.docx", "a.html", "a.eml", "a.mbox", "a.jsonl", "a"])
def test_empty_files(name: str) -> None:
    assert refused(b"", name)[0] == "empty"


def test_gz_is_opened_and_bounded() -> None:
    assert one(gzip.compress(b"<html><body><p>Hello</p></body></html>"), "a.html.gz").text == "Hello"
    assert refused(gzip.compress(b"x" * 999)[:-9], "a.txt.gz")[0] == "damaged"
    with pytest.raises(Unreadable, match="too large"):
        read(gzip.compress(b"\x00" * 3_000_000), "a.txt.gz", max_bytes=1_000_000)


# -- text --------------------------------------------------------------------------------------------------------------


def test_markdown_title_and_encoding() -> None:
    piece = one("```\n# code\n```\n\n# 投诉处理指南\n\n正文\n".encode("gb18030"), "指南.md")
    assert (piece.title, piece.media_type, piece.metadata["encoding"]) == ("投诉处理指南", "text/markdown", "gb18030")


def test_binary_called_txt() -> None:
    assert refused(bytes(range(1, 32)) * 50, "a.txt")[0] == "unsupported format"


# -- html --------------------------------------------------------------------------------------------------------------


def test_navigation_goes_and_article_stays() -> None:
    links = "".join(f"<li><a href='/{n}'>Section number {n}</a></li>" for n in range(20))
    article = "".join(f"<p>Paragraph {n}. {TEXT}</p>" for n in range(8))
    piece = one(f"<html><head><title>T</title></head><body><nav><ul>{links}</ul></nav><article><h1>Head</h1>{article}"
                f"</article><footer>Imprint and cookies</footer></body></html>".encode(), "a.html")  # fmt: skip
    assert "Paragraph 7" in piece.text and "Section number" not in piece.text
    assert piece.metadata["extraction"] == "article"


def test_pages_without_navigation_keep_everything() -> None:
    table = "<table><tr><th>Item</th><th>GBP</th></tr><tr><td>Card</td><td>5</td></tr></table>"
    page = f"<html><title>Fees</title><body><h2>Fees</h2>{table}<ul><li>one</li><li>two</li></ul><script>x()</script>"
    piece = one(page.encode(), "a.htm")
    assert piece.text.split("\n") == ["Fees", "", "Item\tGBP", "Card\t5", "", "- one", "- two"]
    assert (piece.title, piece.metadata["extraction"]) == ("Fees", "whole page")


def test_html_charsets() -> None:
    page = "<html><meta charset=gb2312><body>您的贷款申请已经通过审核。</body></html>"
    assert one(page.encode("gb18030"), "a.html").text == "您的贷款申请已经通过审核。"
    assert one(page.encode("utf-8"), "a.html").text == "您的贷款申请已经通过审核。"
    damaged = read("<p>Grüße aus Köln, ä ö ü ß, schöne Grüße".encode() + b"\xff</p>", "a.html")
    assert damaged.pieces[0].metadata["undecodable_bytes"] == 1 and damaged.warnings


def test_entities_are_not_fetched_or_expanded() -> None:
    piece = one(
        b'<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><html><body>safe &x;</body></html>', "a.html"
    )
    assert "root:" not in piece.text


def test_deeply_nested_html() -> None:
    assert "deep" in one(b"<html><body>" + b"<div>" * 3000 + b"deep", "a.html").text


def test_chinese_visible_text() -> None:
    assert html.extract("<html><body><p>第一段</p><p>第二段</p></body></html>")[0] == "第一段\n\n第二段"


# -- pdf ---------------------------------------------------------------------------------------------------------------


def test_pdf_pages_and_running_lines() -> None:
    pages = [["Harbour Bank - confidential", f"Body {word}. {TEXT}", f"Page {n} of 5"]
             for n, word in enumerate(["one", "two", "three", "four", "five"], 1)]  # fmt: skip
    piece = one(samples.pdf([*pages, []]), "a.pdf")
    assert piece.metadata["pages"] == 6 and piece.metadata["pages_without_text"] == 1
    assert piece.metadata["running_lines_removed"] == 10
    assert "confidential" not in piece.text and piece.text.count("Body ") == 5


def test_words_cut_at_a_line_end() -> None:
    (page,) = hyphens.tidy(["the agree-\nment of long-\nterm and 2020-\n2021, wei\ufffe\nter, 12\ufffe14"])
    assert page == "the agreement of long-term and 2020-\n2021, weiter, 12-14"
    known = [
        "a royalty on free air, non-compete and network",
        "royalty\ufffefree, Non\ufffeCompete, net\ufffework, so\u00ad\nlid",
    ]
    assert hyphens.tidy(known)[1] == "royalty-free, Non-Compete, network, solid"


def test_bad_pdfs() -> None:
    good = samples.pdf([["text"]])
    assert refused(samples.pdf([[], []]), "scan.pdf")[0] == "no text layer"
    assert refused(samples.pdf([["secret"]], password="pw"), "a.pdf")[0] == "encrypted"
    assert refused(b"%PDF-1.4 nothing else", "a.pdf")[0] == "damaged"
    assert refused(good[: len(good) // 3], "a.pdf")[0] == "damaged"


# -- docx --------------------------------------------------------------------------------------------------------------

TRACKED = """<w:p><w:r><w:t xml:space="preserve">Pay </w:t></w:r>
<w:del w:author="x"><w:r><w:delText>100</w:delText></w:r></w:del>
<w:ins w:author="x"><w:r><w:t>250</w:t></w:r></w:ins><w:r><w:t xml:space="preserve"> euros</w:t></w:r></w:p>"""


def test_tracked_changes_are_both_kept() -> None:
    piece = one(docx(TRACKED), "a.docx")
    assert piece.text == "Pay [deleted: 100]250 euros"
    assert piece.metadata == {"deletions": 1, "insertions": 1}


def test_tables_notes_comments_hidden_text() -> None:
    cell = "<w:tc>{}</w:tc>".format
    row = "<w:tr>" + cell(paragraph("a")) + cell(paragraph("b")) + "</w:tr>"
    hidden = "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r></w:p>"
    piece = one(docx(paragraph("One") + f"<w:tbl>{row}{row}</w:tbl>" + hidden, header1=paragraph("Letterhead"),
                     footnotes=f"<w:footnote>{paragraph('a note')}</w:footnote>",
                     comments=f"<w:comment w:author='Li'>{paragraph('why?')}</w:comment>"), "a.docx")  # fmt: skip
    assert piece.text == ("One\n\na\tb\na\tb\n\n[hidden: secret]\n\n[header]\nLetterhead\n\n[footnote]\na note\n\n"
                          "[comment]\nLi: why?")  # fmt: skip
    assert piece.metadata["hidden_runs"] == 1 and piece.metadata["tables"] == 1


def test_zip_bomb_and_broken_docx() -> None:
    bomb = docx(paragraph("x" * 30_000_000))
    assert len(bomb) < 200_000
    assert refused(bomb, "a.docx") == ("too large", refused(bomb, "a.docx")[1])
    assert refused(docx("<w:p>")[:200], "a.docx")[0] == "damaged"
    assert refused(b"PK\x03\x04 no zip", "a.docx")[0] == "damaged"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("word/document.xml", '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>')
    assert refused(stream.getvalue(), "a.docx")[0] == "damaged"


def test_password_protected_office_file() -> None:
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 512 + "EncryptedPackage".encode("utf-16-le")
    assert refused(data, "a.docx")[0] == "encrypted"


# -- mail --------------------------------------------------------------------------------------------------------------


def test_subject_body_and_metadata() -> None:
    piece = one(message("Karte weg", "Guten Tag,\n" + TEXT, message_id="<1@x>").as_bytes(), "a.eml")
    assert piece.text == f"Karte weg\n\nGuten Tag,\n{TEXT}"
    assert (piece.title, piece.time) == ("Karte weg", "2026-01-02T21:46:00+01:00")
    assert piece.metadata["message_id"] == "1@x" and piece.metadata["from"] == "a@example.org"


def test_attachment_inside_an_attached_mail() -> None:
    inner = message(
        "Inner", "inner body", ("note.docx", docx(paragraph("deep text"))), ("pic.png", b"\x89PNG\r\n\x1a\n")
    )
    outer = message("Outer", "outer body", ("list.csv", b"a,b\n1,2\n"))
    outer.add_attachment(inner, filename="fwd.eml")
    reading = read(outer.as_bytes(), "a.eml")
    assert reading.pieces[0].text == (
        "Outer\n\nouter body\n\n[attachment: list.csv]\na,b\n1,2\n\n\n[attachment: fwd.eml]\nInner\n\ninner body\n\n"
        "[attachment: note.docx]\ndeep text"
    )
    assert [(r.part, r.reason) for r in reading.refused] == [("!fwd.eml!pic.png", "no text layer")]


def test_mails_nested_too_deep() -> None:
    mail_ = message("0", "level 0")
    for level in range(1, 7):
        outer = message(str(level), f"level {level}")
        outer.add_attachment(mail_, filename="m.eml")
        mail_ = outer
    reading = read(mail_.as_bytes(), "a.eml")
    assert "level 3" in reading.pieces[0].text and "level 2" not in reading.pieces[0].text
    assert [r.reason for r in reading.refused] == ["nested too deep"]


def test_html_only_mail_and_inline_image() -> None:
    mail_ = EmailMessage()
    mail_["Subject"], mail_["From"] = "H", "a@b.c"
    mail_.set_content("<p>Dear bank</p><p>Please call <b>me</b></p>", subtype="html")
    mail_.add_related(b"\x89PNG", "image", "png", cid="<x>")
    piece = one(mail_.as_bytes(), "a.eml")
    assert piece.text == "H\n\nDear bank\n\nPlease call me" and piece.metadata["inline_images"] == 1


def test_plain_is_preferred_to_html() -> None:
    mail_ = message("S", "plain words")
    mail_.add_alternative("<p>html words</p>", subtype="html")
    assert one(mail_.as_bytes(), "a.eml").text == "S\n\nplain words"


def test_wrong_charsets_are_survived() -> None:
    head = (
        b"From: a@b\nSubject: \xce\xd2\xb5\xc4\xbf\xa8\xb6\xaa\xc1\xcb\nContent-Type: text/plain; charset=us-ascii\n\n"
    )
    piece = one(head + "请帮我把信用卡挂失，谢谢。".encode("gb18030"), "a.eml")
    assert (piece.title, piece.text) == ("我的卡丢了", "我的卡丢了\n\n请帮我把信用卡挂失，谢谢。")
    unknown = b"From: a@b\nSubject: =?x-nonsense?B?aGk=?=\nContent-Type: text/plain; charset=x-nonsense\n\nhello"
    assert one(unknown, "a.eml").text == "hi\n\nhello"


def test_chinese_attachment_names() -> None:
    name = b'filename="=?gb2312?B?zcu/7i50eHQ=?="'
    raw = b"From: a@b\nSubject: x\nContent-Type: multipart/mixed; boundary=B\n\n--B\n\nbody\n--B\n"
    raw += b"Content-Type: text/plain\nContent-Disposition: attachment; " + name + b"\n\ninside\n--B--\n"
    assert "[attachment: 退款.txt]\ninside" in one(raw, "a.eml").text


def test_mbox_with_from_lines_in_the_body() -> None:
    def entry(number: int, body: str) -> str:
        return (
            f"From a@b Fri Jan  2 21:46:00 2026\nFrom: a@b\nSubject: s{number}\nMessage-ID: <{number}@x>\n\n{body}\n\n"
        )

    box = (
        entry(1, "Hello\n\nFrom the beginning I was unhappy.\n\nFrom here on too.")
        + entry(2, ">From quoted")
        + entry(3, "end")
    )
    reading = read(box.encode(), "archive.mbox")
    assert [piece.part for piece in reading.pieces] == ["#1", "#2", "#3"]
    assert "From the beginning I was unhappy.\n\nFrom here on too." in reading.pieces[0].text
    assert reading.pieces[1].text == "s2\n\nFrom quoted"
    assert len(mail.split_mbox(box.replace("\n", "\r\n").encode())[1]) == 3


def test_broken_messages_are_refused() -> None:
    box = (
        b"From a@b Fri Jan  2 21:46:00 2026\nX-Nothing: 1\n\n\n\nFrom a@b Fri Jan  2 21:46:00 2026\nSubject: ok\n\nhi\n"
    )
    reading = read(box, "a.mbox")
    assert [piece.text for piece in reading.pieces] == ["ok\n\nhi"]
    assert [(r.part, r.reason) for r in reading.refused] == [("#1", "empty")]
    assert refused(b"no headers here\n\nat all", "a.eml")[0] == "damaged"


def test_attachments_can_be_switched_off() -> None:
    data = message("S", "b", ("a.txt", b"inside")).as_bytes()
    reading = read(data, "a.eml", attachments=False)
    assert "inside" not in reading.pieces[0].text and reading.refused[0].part == "!a.txt"
