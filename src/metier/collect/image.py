"""Pictures of pages (.png, .jpg, .tiff, .bmp, .webp, .gif), recognised page by page.

Purpose: a fax is a TIFF of many pages, a receipt a photograph; each page becomes text or a refusal with its number.
Turned photographs are put upright where the camera wrote how it was held. Trade-off and limits are those of `ocr`.
Not covered: HEIC, vector pictures, photographs without writing (refused: nothing was recognised).
"""

from __future__ import annotations

import io
from typing import Any

from metier.collect import ocr
from metier.collect.accounts import Account, describes
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable
from metier.registry import register

MAX_PIXELS = 200_000_000  # of one page; A3 at 600 dots an inch has 70 million
LONG_SIDE = 4_000  # pixels to which a larger page is shrunk; letters of 8 points stay above 20 pixels high


@register("reader", "image")
@describes(
    "image",
    Account(
        title="Pictures of pages",
        takes=("png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp", "gif"),
        kept=("recognised lines in reading order, rows of tables with tabs",),
        counted={
            "pages": "how many",
            "ocr_pages": "pages with recognised text",
            "ocr_confidence": "mean confidence of the lines taken, 0 to 1",
            "ocr_doubtful_lines": "lines left out, with a confidence below 0.5; also a warning",
        },
        refused={
            "empty": "0 bytes",
            "damaged": "not readable as a picture, or only up to some page (the ones before it are read)",
            "too large": "more than 200 million pixels",
            "no text layer": "a picture, and recognition is off (`collect.ocr`) or not installed",
            "nothing recognised": "no writing was found on the picture or page",
            "too many scanned pages": "pages after `collect.max_ocr_pages` (the ones before are read)",
        },
        lost=("what is drawn rather than written",),
        libraries=("rapidocr", "onnxruntime"),
        extra="ocr",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document with all pages. Unreadable: see the account."""
    if not data:
        raise Unreadable("empty", "the file has 0 bytes")
    if not options.ocr:
        raise Unreadable("no text layer", "a picture; `collect.ocr: true` recognises its text")
    if not ocr.installed():
        raise Unreadable("no text layer", f"a picture; {ocr.INSTALL}")
    texts: list[str] = []
    confidences: list[float] = []
    reading = Reading()
    doubtful = count = 0
    for number, page in enumerate(_pages(data, reading), 1):
        count = number
        part = f"#page {number}"
        if number > options.max_ocr_pages:
            reading.refused.append(Refusal(part, "too many scanned pages", f"collect.max_ocr_pages is "
                                           f"{options.max_ocr_pages}"))  # fmt: skip
            continue
        found = ocr.recognise(page)
        doubtful += found.doubtful
        confidences += found.confidences
        if found.text:
            texts.append(found.text)
        else:
            reading.refused.append(Refusal(part, "nothing recognised", "no writing was found on this page"))
    if not texts:
        if reading.refused and reading.refused[0].reason in ("damaged", "too many scanned pages"):
            raise Unreadable(reading.refused[0].reason, reading.refused[0].detail)
        raise Unreadable("nothing recognised", f"no writing was found ({doubtful} doubtful lines were left out)")
    metadata: dict[str, Any] = {"pages": count, "ocr_pages": len(texts), "ocr_confidence": ocr.mean(confidences)}
    if doubtful:
        metadata["ocr_doubtful_lines"] = doubtful
        reading.warnings.append(f"{name}: {doubtful} lines were recognised with a confidence below {ocr.ENOUGH}")
    kind = _kind(data)
    reading.pieces.append(Piece("\n\n".join(texts), media_type=f"image/{kind}", metadata=metadata))
    return reading


def _pages(data: bytes, reading: Reading) -> Any:
    """Each page as an array in the order blue, green, red; a page that cannot be decoded ends the picture."""
    import numpy
    from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

    number = 0
    try:
        with Image.open(io.BytesIO(data)) as picture:
            _bounded(picture.size)
            frames = ImageSequence.Iterator(picture) if picture.format == "TIFF" else [picture]
            for frame in frames:
                number += 1
                _bounded(frame.size)
                upright = ImageOps.exif_transpose(frame)
                upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
                if upright.mode == "RGBA":  # letters on nothing are letters on white
                    white = Image.new("RGBA", upright.size, "white")
                    upright = Image.alpha_composite(white, upright).convert("RGB")
                upright.thumbnail((LONG_SIDE, LONG_SIDE))
                yield numpy.asarray(upright)[:, :, ::-1]
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable("too large", str(error)) from None
    except UnidentifiedImageError:
        raise Unreadable("damaged", "not readable as a picture") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # Pillow's parsers raise all of these
        if number <= 1:
            raise Unreadable("damaged", f"not readable as a picture: {error}") from None
        reading.refused.append(Refusal(f"#page {number}", "damaged", f"the picture ends in this page: {error}"))


def _bounded(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise Unreadable("too large", f"{size[0]:,} x {size[1]:,} pixels")


def _kind(data: bytes) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return (picture.format or "unknown").lower()
