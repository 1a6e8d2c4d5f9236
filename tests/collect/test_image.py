"""Pictures: pages of a fax, turned photographs, bombs, and what happens without recognition."""

from __future__ import annotations

import io
from typing import Any

import pytest

from metier.collect import image, ocr, readers
from metier.collect.accounts import ACCOUNTS, told
from metier.collect.reading import Options, Reading, Unreadable

PIL = pytest.importorskip("PIL.Image")


def picture(form: str = "PNG", pages: int = 1, size: tuple[int, int] = (60, 40), **options: Any) -> bytes:
    """A white picture; with several pages, each one shade darker."""
    stream = io.BytesIO()
    frames = [PIL.new("RGB", size, (255 - at,) * 3) for at in range(pages)]
    more = {"save_all": True, "append_images": frames[1:]} if pages > 1 else {}
    frames[0].save(stream, form, **more, **options)
    return stream.getvalue()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Recognition that remembers what it was shown and finds its number."""
    shown: list[Any] = []

    def recognise(array: Any) -> ocr.Recognised:
        shown.append(array)
        return ocr.Recognised(f"page of shade {array[0, 0, 0]}", (0.9, 0.7), doubtful=1)

    monkeypatch.setattr(ocr, "installed", lambda: True)
    monkeypatch.setattr(ocr, "recognise", recognise)
    return shown


def read(data: bytes, name: str = "a.png", **options: Any) -> Reading:
    return readers.read(data, name, Options(**options))


def refused(data: bytes, **options: Any) -> str:
    with pytest.raises(Unreadable) as caught:
        read(data, **options)
    assert caught.value.detail and caught.value.reason in ACCOUNTS["image"].refused
    return caught.value.reason


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"])
def test_every_form_is_known_by_its_first_bytes(form: str, seen: list[Any]) -> None:
    data = picture(form)
    assert readers.choose(data, "letter.txt") == "image"
    (piece,) = read(data, "letter.txt").pieces
    assert piece.text.startswith("page of shade 25") and piece.media_type == f"image/{form.lower()}"
    assert piece.metadata == {"pages": 1, "ocr_pages": 1, "ocr_confidence": 0.8, "ocr_doubtful_lines": 1}
    assert set(piece.metadata) <= told(ACCOUNTS["image"])


def test_a_fax_of_several_pages_up_to_the_limit(seen: list[Any]) -> None:
    reading = read(picture("TIFF", 4), max_ocr_pages=2)
    assert reading.pieces[0].text == "page of shade 255\n\npage of shade 254"
    assert [item.part for item in reading.refused] == ["#page 3", "#page 4"]
    assert {item.reason for item in reading.refused} == {"too many scanned pages"}


def test_a_turned_photograph_is_put_upright(seen: list[Any]) -> None:
    turned = PIL.Exif()
    turned[0x0112] = 6  # the camera was held upright
    read(picture("JPEG", exif=turned))
    assert seen[0].shape == (60, 40, 3)


def test_letters_on_nothing_are_letters_on_white(seen: list[Any]) -> None:
    stream = io.BytesIO()
    PIL.new("RGBA", (4, 4), (0, 0, 0, 0)).save(stream, "PNG")
    read(stream.getvalue())
    assert seen[0].min() == 255


def test_without_recognition_a_picture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(picture(), ocr=False) == "no text layer"
    monkeypatch.setattr(ocr, "installed", lambda: False)
    with pytest.raises(Unreadable, match="metier\\[ocr\\]"):
        read(picture())


def test_nothing_recognised_broken_and_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "installed", lambda: True)
    monkeypatch.setattr(ocr, "recognise", lambda array: ocr.Recognised(""))
    assert refused(picture()) == "nothing recognised"
    assert refused(picture()[:60]) == "damaged"
    monkeypatch.setattr(image, "MAX_PIXELS", 1000)
    assert refused(picture()) == "too large"


def test_real_recognition_in_two_columns_of_a_receipt() -> None:
    pytest.importorskip("rapidocr")
    from PIL import ImageDraw, ImageFont

    page = PIL.new("RGB", (900, 300), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(44)
    for at, (left, right) in enumerate([("Coffee", "4.50"), ("Bread", "3.20"), ("Total", "7.70")]):
        pen.text((40, 30 + 80 * at), left, "black", font)
        pen.text((650, 30 + 80 * at), right, "black", font)
    stream = io.BytesIO()
    page.save(stream, "PNG")
    (piece,) = read(stream.getvalue()).pieces
    assert piece.text == "Coffee\t4.50\nBread\t3.20\nTotal\t7.70" and piece.metadata["ocr_confidence"] > 0.9
