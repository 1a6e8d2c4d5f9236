"""What one page of a PDF holds: its text as layout makes it, what was filled in and noted on it, a picture of it.

Purpose: the calls of pdfium's C interface, in one place. Character boxes are asked for only beside spaces and at line
ends, so that the layout costs little more than the text. Trade-off: text that stands turned or runs from
right to left is left to pdfium's own order. Not covered: structure trees of tagged PDF.
"""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from metier.collect import layout
from metier.collect.layout import GAP, Segment

LINE, SPACES = re.compile(r"[^\r\n]*[^\r\n ][^\r\n]*"), re.compile(" +")
MEANINGLESS = re.compile("[\ufffd\ue000-\uf8ff\x00-\x1f]")  # no value in the font, private use, control
LAM_ALEF = re.compile("[\u0622\u0623\u0625\u0627]\u0644")
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff]")
PICTURE = 0.3  # share of the page's area from which pictures are likely to be what it says
LITTLE = 30  # characters beside such a picture that are a stamp or a page number rather than its text
UNKNOWN = 0.3  # share of characters without a meaning from which the text layer is worthless
LONG_SIDE = 2_000  # pixels of a page that is drawn for recognition: 170 dots an inch on A4


def text(textpage: Any) -> tuple[str, int]:
    """(text of the page, number of tables)."""
    plain = textpage.get_text_bounded() or ""
    if len(RIGHT_TO_LEFT.findall(plain)) > 0.2 * len(plain):
        return _arabic(textpage, plain), 0  # pdfium knows in which direction such lines run
    segments = _segments(textpage)
    if segments is None:
        return plain, 0
    laid = layout.lay(segments)
    return (laid.text, laid.tables) if laid.changed else (plain, 0)


def _arabic(textpage: Any, plain: str) -> str:
    """Text from right to left; pdfium turns the two letters of the ligature lam-alef round, which share one place."""
    written = textpage.get_text_range()
    if len(written) != textpage.count_chars():
        return plain
    box, letters = _boxes(textpage.raw), list(written)
    for pair in LAM_ALEF.finditer(written):
        at = pair.start()
        if box(at) == box(at + 1):
            letters[at : at + 2] = reversed(letters[at : at + 2])
    return "".join(letters)


def _segments(textpage: Any) -> list[Segment] | None:
    """Words that stand together, with their places; None where there is nothing to lay out."""
    count = textpage.count_chars()
    written = textpage.get_text_range() if count else ""
    if len(written) != count:  # characters beyond the basic plane are two in pdfium's count and one in Python's
        return None
    box = _boxes(textpage.raw)
    segments: list[Segment] = []
    for number, line in enumerate(LINE.finditer(written)):
        start, end = line.span()
        start += len(line.group()) - len(line.group().lstrip(" "))
        end -= len(line.group()) - len(line.group().rstrip(" "))
        for space in SPACES.finditer(written, start, end):
            before, after = box(space.start() - 1), box(space.end())
            if after[0] - before[1] >= GAP * max(before[3] - before[2], 1.0):
                _add(segments, written, start, space.start(), number, box)
                start = space.end()
        if start < end:
            _add(segments, written, start, end, number, box)
    return segments


def _add(segments: list[Segment], written: str, start: int, end: int, line: int, box: Callable[[int], Any]) -> None:
    first, last = box(start), box(end - 1)
    bottom, top = min(first[2], last[2]), max(first[3], last[3])
    if top - bottom > 3 * max(first[3] - first[2], 1.0):  # it runs up the page: no line
        bottom = top
    segments.append(Segment(first[0], last[1], bottom, top, written[start:end], line))


def _boxes(page: Any) -> Callable[[int], tuple[float, float, float, float]]:
    """A function from a character's index to (left, right, bottom, top) of its place, accents and tails included."""
    import pypdfium2.raw as raw

    rectangle = raw.FS_RECTF()
    pointer = ctypes.byref(rectangle)

    @functools.cache
    def box(at: int) -> tuple[float, float, float, float]:
        raw.FPDFText_GetLooseCharBox(page, at, pointer)
        return rectangle.left, rectangle.right, rectangle.bottom, rectangle.top

    return box


def is_picture(page: Any, found: str) -> bool:
    """Whether the page has to be recognised: no text or hardly any beside a large picture, or text without meaning."""
    import pypdfium2.raw as raw

    letters = "".join(found.split())
    if letters and len(MEANINGLESS.findall(letters)) > UNKNOWN * len(letters):
        return True
    if len(letters) >= LITTLE:
        return False
    if not letters:
        return next(iter(page.get_objects(max_depth=2)), None) is not None
    width, height = page.get_size()
    area = 0.0
    for item in page.get_objects(filter=(raw.FPDF_PAGEOBJ_IMAGE,), max_depth=3):
        left, bottom, right, top = item.get_bounds()
        area += max(0.0, min(right, width) - max(left, 0)) * max(0.0, min(top, height) - max(bottom, 0))
    return area > PICTURE * width * height


def draw(page: Any) -> Any:
    """The page as an array (height, width, 3) in the order blue, green, red; None if it is blank."""
    width, height = page.get_size()
    scale = min(LONG_SIDE / max(width, height, 1.0), 8.0)
    array = page.render(scale=scale, draw_annots=True).to_numpy()[:, :, :3]
    return None if int(array.max()) - int(array.min()) < 8 else array


def written_on(document: Any, page: Any) -> tuple[list[str], list[str]]:
    """(values filled into form fields, comments), each as a line of text."""
    import pypdfium2.raw as raw

    fields: dict[str, str] = {}
    comments: list[str] = []
    form = document.formenv.raw if document.formenv else None
    for index in range(raw.FPDFPage_GetAnnotCount(page.raw)):
        note = raw.FPDFPage_GetAnnot(page.raw, index)
        if not note:
            continue
        kind = raw.FPDFAnnot_GetSubtype(note)
        if kind == raw.FPDF_ANNOT_WIDGET and form:
            name = _wide(partial(raw.FPDFAnnot_GetFormFieldName, form, note))
            value = _wide(partial(raw.FPDFAnnot_GetFormFieldValue, form, note))
            if value.strip() and value != "Off":
                fields[name] = value.strip()
        elif kind not in (raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP, raw.FPDF_ANNOT_WIDGET):
            said = _wide(partial(raw.FPDFAnnot_GetStringValue, note, b"Contents")).strip()
            who = _wide(partial(raw.FPDFAnnot_GetStringValue, note, b"T")).strip()
            if said:
                comments.append(f"{who}: {said}" if who else said)
        raw.FPDFPage_CloseAnnot(note)
    return [f"{name}: {value}" if name else value for name, value in fields.items()], comments


def _wide(call: Callable[[Any, int], int]) -> str:
    """A string that pdfium writes as UTF-16 into a buffer, whose size it tells when asked with none."""
    import pypdfium2.raw as raw

    size = call(None, 0)
    if size <= 2:
        return ""
    buffer = ctypes.create_string_buffer(size)
    call(ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace")
