"""PDF: columns, tables, running lines, form values, comments, attachments, scans and what is wrong with files."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any

import pytest

from metier.collect import layout, ocr, pdf_page, readers, running
from metier.collect.accounts import ACCOUNTS, told
from metier.collect.layout import Segment
from metier.collect.reading import Options, Piece, Reading, Unreadable

from . import samples

LEFT = [
    "The tenant shall pay the rent in", "advance on the first working day", "of each month, without any set-off",
    "or deduction, to the account that", "the landlord names in writing at", "least ten days before it is due.",
]  # fmt: skip
RIGHT = [
    "If the rent is late by more than", "seven days, interest runs at four", "per cent above the base rate from",
    "the day on which it was due until", "it is paid, and the landlord may", "claim the cost of any reminder.",
]  # fmt: skip


def drawn(*pages: Sequence[tuple[float, float, str]]) -> bytes:
    """A PDF with strings at places: (x, y, text) in the order in which they are written."""
    from reportlab.pdfgen.canvas import Canvas

    stream = io.BytesIO()
    canvas = Canvas(stream)
    for page in pages:
        for x, y, text in page:
            canvas.drawString(x, y, text)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def read(data: bytes, **options: Any) -> Reading:
    return readers.read(data, "a.pdf", Options(**{"ocr": False, **options}))


def one(data: bytes, **options: Any) -> Piece:
    (piece,) = read(data, **options).pieces
    assert set(piece.metadata) <= told(ACCOUNTS["pdf"])
    return piece


def refused(data: bytes, **options: Any) -> str:
    with pytest.raises(Unreadable) as caught:
        read(data, **options)
    return caught.value.reason


# -- layout ------------------------------------------------------------------------------------------------------------


def test_columns_that_were_written_across_the_gutter() -> None:
    across = [place for at in range(6) for place in ((72, 700 - 14 * at, LEFT[at]), (320, 700 - 14 * at, RIGHT[at]))]
    assert one(drawn(across)).text.split("\n") == LEFT + RIGHT


def test_columns_that_were_written_one_after_the_other_stay_so() -> None:
    after = [(72, 700 - 14 * at, line) for at, line in enumerate(LEFT)]
    after += [(320, 700 - 14 * at, line) for at, line in enumerate(RIGHT)]
    assert one(drawn(after)).text.split("\n") == LEFT + RIGHT


def test_a_table_becomes_rows_with_tabs() -> None:
    rows = [("Item", "2025", "2024"), ("Revenue", "$ 1,250", "$ 980"), ("Costs", "(310)", "(295)"),
            ("Profit", "940", "685")]  # fmt: skip
    places = [(72.0, 760.0, "The figures of the year are these:")]
    for at, row in enumerate(rows):
        places += [(x, 720 - 16.0 * at, text) for x, text in zip((72, 260, 380), row, strict=True)]
    places.append((72, 600, "All amounts in thousands."))
    piece = one(drawn(places))
    assert piece.text.split("\n") == [
        "The figures of the year are these:", "Item\t2025\t2024", "Revenue\t$ 1,250\t$ 980", "Costs\t(310)\t(295)",
        "Profit\t940\t685", "All amounts in thousands.",
    ]  # fmt: skip
    assert piece.metadata["tables"] == 1


def test_an_empty_cell_keeps_its_place_and_a_wrapped_one_its_text() -> None:
    places = [
        (72, 700, "Clause"), (200, 700, "Duty"), (420, 700, "Who"), (72, 680, "4.1"), (420, 680, "Tenant"),
        (72, 660, "4.2"), (200, 660, "keeps the roof in"), (200, 646, "good repair"), (420, 660, "Landlord"),
    ]  # fmt: skip
    rows = ["Clause\tDuty\tWho", "4.1\t\tTenant", "4.2\tkeeps the roof in good repair\tLandlord"]
    assert one(drawn(places)).text.split("\n") == rows


def test_numbered_clauses_are_no_table() -> None:
    places = [place for at in range(4) for place in ((72, 700 - 16 * at, f"{at + 1}."), (110, 700 - 16 * at, LEFT[at]))]
    piece = one(drawn(places))
    assert "\t" not in piece.text and "tables" not in piece.metadata
    assert piece.text.split("\n")[0] == f"1. {LEFT[0]}"


def test_nothing_is_lost_by_layout() -> None:
    """Whatever the geometry, each segment's words come out exactly once."""
    from hypothesis import given
    from hypothesis import strategies as st

    places = st.lists(
        st.tuples(st.integers(0, 500), st.integers(0, 700), st.integers(1, 200), st.integers(0, 40)), max_size=40
    )

    @given(places)
    def check(found: list[tuple[int, int, int, int]]) -> None:
        segments = [Segment(x, x + width, y, y + 10, f"w{at}", line) for at, (x, y, width, line) in enumerate(found)]
        words = sorted(layout.lay(segments).text.split())
        assert words == sorted(segment.text for segment in segments)

    check()


# -- running lines -----------------------------------------------------------------------------------------------------


def test_headers_of_left_and_right_pages_go_and_are_kept_once() -> None:
    pages = [
        f"{'LEASE' if n % 2 else 'Harbour Bank'}\nclause {'abcdefghij'[n]} is here\nPage {n} of 8" for n in range(8)
    ]
    kept, removed = running.strip(pages)
    assert [page.strip() for page in kept] == [f"clause {'abcdefghij'[n]} is here" for n in range(8)] and len(
        removed
    ) == 16
    assert running.examples(removed) == ["Harbour Bank", "Page 0 of 8", "LEASE"]


def test_running_lines_can_be_kept() -> None:
    pages = [
        ["Harbour Bank", f"words of page {word}", f"{n}"] for n, word in enumerate(["one", "two", "three", "four"], 1)
    ]
    data = samples.pdf(pages)
    piece = one(data)
    assert "Harbour" not in piece.text and piece.metadata["running_lines_removed"] == 8
    assert piece.metadata["running_lines"] == ["Harbour Bank", "1"]
    kept = one(data, keep_running=True)
    assert kept.text.count("Harbour Bank") == 4 and "running_lines" not in kept.metadata


# -- what else is in a file --------------------------------------------------------------------------------------------


def test_form_values_comments_and_attachments() -> None:
    from reportlab.pdfgen.canvas import Canvas

    stream = io.BytesIO()
    canvas = Canvas(stream)
    canvas.drawString(72, 700, "Application for a loan")
    canvas.acroForm.textfield(name="applicant", value="Wang", x=72, y=650)
    canvas.acroForm.checkbox(name="married", checked=False, x=72, y=600)
    canvas.textAnnotation("please check the income", Rect=[100, 500, 120, 520])
    canvas.save()
    plain = one(stream.getvalue())
    assert plain.text == "Application for a loan\n\n[field] applicant: Wang\n\n[comment] please check the income"
    assert plain.metadata["fields"] == 1 and plain.metadata["comments"] == 1

    import pypdfium2

    document = pypdfium2.PdfDocument(samples.pdf([["cover letter"]]))
    document.new_attachment("list.txt").set_data(b"the attached words")
    document.new_attachment("photo.heic").set_data(b"\x00\x00\x00\x18ftypheic")
    with_files = io.BytesIO()
    document.save(with_files)
    reading = read(with_files.getvalue())
    assert reading.pieces[0].text == "cover letter\n\n[attachment: list.txt]\nthe attached words"
    assert [(item.part, item.reason) for item in reading.refused] == [("!photo.heic", "unsupported format")]
    off = read(with_files.getvalue(), attachments=False)
    assert [item.reason for item in off.refused] == ["attachments are off"] * 2


# -- scans -------------------------------------------------------------------------------------------------------------


def scan(*texts: str) -> bytes:
    """A PDF of pictures; "" is a white page, "digital ..." a page with a text layer."""
    from PIL import Image, ImageDraw, ImageFont
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    stream = io.BytesIO()
    canvas = Canvas(stream)
    for text in texts:
        if text.startswith("digital"):
            canvas.drawString(72, 700, text)
        elif text:
            picture = Image.new("RGB", (800, 200), "white")
            ImageDraw.Draw(picture).text((20, 60), text, "black", ImageFont.load_default(60))
            canvas.drawImage(ImageReader(picture), 50, 500, 500, 125)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def test_each_page_without_a_text_layer_is_refused_by_number() -> None:
    reading = read(scan("digital words on this page", "Invoice", "", "Receipt"))
    assert reading.pieces[0].text == "digital words on this page"
    assert [(item.part, item.reason) for item in reading.refused] == [
        ("#page 2", "no text layer"),
        ("#page 4", "no text layer"),
    ]
    assert reading.pieces[0].metadata["pages_without_text"] == 3 and reading.pieces[0].metadata["blank_pages"] == 1
    assert refused(scan("Invoice")) == "no text layer" and refused(scan("", "")) == "empty"


def test_without_the_extra_a_scan_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "installed", lambda: False)
    with pytest.raises(Unreadable, match="metier\\[ocr\\]"):
        read(scan("Invoice"), ocr=True)


def test_scanned_pages_are_recognised_up_to_a_limit() -> None:
    pytest.importorskip("rapidocr")
    reading = read(scan("digital words on this page", "Invoice 2026", "Receipt"), ocr=True, max_ocr_pages=1)
    piece = reading.pieces[0]
    assert piece.text.split("\n\n") == ["digital words on this page", "Invoice 2026"]
    assert piece.metadata["ocr_pages"] == 1 and piece.metadata["ocr_confidence"] > 0.8
    assert [(item.part, item.reason) for item in reading.refused] == [("#page 3", "too many scanned pages")]


def test_a_page_on_which_nothing_is_recognised_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "installed", lambda: True)
    monkeypatch.setattr(ocr, "recognise", lambda image: ocr.Recognised("", doubtful=2))
    assert refused(scan("Invoice"), ocr=True) == "nothing recognised"
    reading = read(scan("digital words on this page", "Invoice"), ocr=True)
    assert [item.reason for item in reading.refused] == ["nothing recognised"]
    assert reading.pieces[0].metadata["ocr_doubtful_lines"] == 2


def test_a_stamp_on_a_scan_does_not_pass_for_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    stream = io.BytesIO()
    canvas = Canvas(stream)
    canvas.drawImage(ImageReader(Image.new("L", (60, 80), 200)), 0, 0, 595, 842)
    canvas.drawString(500, 20, "copy 7")
    canvas.save()
    monkeypatch.setattr(ocr, "installed", lambda: True)
    monkeypatch.setattr(ocr, "recognise", lambda image: ocr.Recognised("the whole letter, copy 7", (0.9,)))
    assert one(stream.getvalue(), ocr=True).text == "the whole letter, copy 7"


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_right_to_left_emoji_and_null_bytes_do_not_break_it() -> None:
    assert pdf_page.text(_textpage(drawn([(72, 700, "plain")])))[0].strip() == "plain"
    assert one(drawn([(72, 700, "a\x00b")])).text
    assert refused(b"%PDF-1.7\n" + b"\x00" * 5000) == "damaged"


def _textpage(data: bytes) -> Any:
    import pypdfium2

    return pypdfium2.PdfDocument(data)[0].get_textpage()


def test_five_thousand_pages_in_bounded_time() -> None:
    data = samples.pdf([["Harbour Bank", f"Clause about {'abcdefghij'[n % 10]} {n}", f"Page {n}"] for n in range(5000)])
    start = time.perf_counter()
    piece = one(data)
    assert piece.metadata["pages"] == 5000 and piece.metadata["running_lines_removed"] == 10_000
    assert piece.text.count("Clause about") == 5000 and time.perf_counter() - start < 60
