"""Old Office files (.doc, .ppt, .xls) and binary workbooks (.xlsb), through xberg.

Purpose: archives are full of them, and their binary forms are not worth a parser of our own. xberg is asked with
recognition, cache and everything that could fetch something switched off; measured with a system call trace, it then
writes no file and opens no socket.
Trade-off: what xberg leaves out (comments, speaker notes, tracked changes) is not counted, since nothing tells of it;
save such a file in the new form where that matters. Not covered: passwords (refused).
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

from metier.collect import html
from metier.collect.accounts import Account, describes
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.registry import register

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# A part of the directory of the file, in UTF-16, tells which program wrote it; the extension may lie.
PARTS = {"WordDocument": "doc", "PowerPoint Document": "ppt", "Workbook": "xls", "Book": "xls"}
MEDIA = {"doc": "application/msword", "ppt": "application/vnd.ms-powerpoint", "xls": "application/vnd.ms-excel",
         "xlsb": "application/vnd.ms-excel.sheet.binary.macroEnabled.12"}  # fmt: skip
PAUSE = 0.02  # seconds in which xberg's thread lets go of Python; a process that ends before may be aborted by it
SHEETS = ("xls", "xlsb")
SECTOR = 512  # bytes; streams begin at multiples of it


@register("reader", "office97")
@describes(
    "office97",
    Account(
        title="Old Office files",
        takes=("doc", "dot", "ppt", "pps", "xls", "xlt", "xlsb"),
        kept=("paragraphs, slides and sheets, as far as xberg reads them", "the title"),
        counted={"created": "date of the file"},
        refused={
            "empty": "no text in it",
            "encrypted": "it needs a password",
            "damaged": "not readable as an Office file",
            "too large": "the text would be larger than the limits",
            "unsupported format": "an OLE file of another program",
            "reader not installed": "the extra `office97` is missing",
        },
        lost=("comments, speaker notes, tracked changes, headers and text boxes that xberg leaves out",),
        libraries=("xberg",),
        extra="office97",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document. Unreadable: empty, encrypted, damaged, unsupported format, reader not installed."""
    if not data:
        raise Unreadable("empty", "the file has 0 bytes")
    kind = recognise(data)
    if not kind:
        raise Unreadable(
            "unsupported format", "the file is of no Office program that is known; save it in a newer form"
        )
    if locked(data, kind):
        raise Unreadable("encrypted", "the file needs a password; save a copy without one")
    if importlib.util.find_spec("xberg") is None:
        raise Unreadable(
            "reader not installed", f"a .{kind} file: pip install 'metier[office97]', or save it as .{kind}x"
        )
    found = _extract(data, f"file.{kind}", options)
    text = found.content.replace("\r\n", "\n").replace("\x00", "").strip()
    if kind in SHEETS:
        text = html.tabbed(text).strip()
    if not text:
        raise Unreadable("empty", "the document has no text (only pictures?)")
    metadata: dict[str, Any] = {}
    if created := found.metadata.created_at:
        metadata["created"] = str(created)
    title = (found.metadata.title or "").strip()
    reading = Reading([Piece(re.sub(r"\n{3,}", "\n\n", text), title="" if title == "PowerPoint Presentation" else title,
                             media_type=MEDIA[kind], metadata=metadata)])  # fmt: skip
    reading.warnings += [f"{name}: {warning.message}" for warning in found.processing_warnings or ()]
    return reading


def recognise(data: bytes) -> str:
    """doc, ppt, xls or xlsb; "" for none of them."""
    if data.startswith(b"PK"):
        return "xlsb"
    if not data.startswith(OLE):
        return ""
    return next((kind for part, kind in PARTS.items() if f"{part}\0".encode("utf-16-le") in data), "")


def locked(data: bytes, kind: str) -> bool:
    """Whether the beginning of the main stream says that the rest is encrypted."""
    if kind not in ("doc", "xls"):
        return "EncryptedSummary".encode("utf-16-le") in data
    for at in range(SECTOR, len(data) - 64, SECTOR):
        if kind == "doc" and data[at : at + 2] == b"\xec\xa5":  # the file information block; bit 8 of its flags
            return bool(int.from_bytes(data[at + 10 : at + 12], "little") & 0x0100)
        if kind == "xls" and data[at : at + 2] == b"\x09\x08":  # the record after the first tells of a password
            after = at + 4 + int.from_bytes(data[at + 2 : at + 4], "little")
            return data[after : after + 2] == b"\x2f\x00"
    return False


def _extract(data: bytes, name: str, options: Options) -> Any:
    import asyncio

    import xberg

    limits = xberg.SecurityLimits(max_content_size=min(options.max_bytes, 200_000_000))
    form = "markdown" if name.rsplit(".", 1)[-1] in SHEETS else "plain"  # as plain text, cells are parted by spaces
    config = xberg.ExtractionConfig(disable_ocr=True, use_cache=False, security_limits=limits, output_format=form,
                                    escape_markdown=False)  # fmt: skip
    given = xberg.ExtractInput(kind="bytes", bytes=data, filename=name)

    async def extracted() -> Any:
        found = await xberg.extract(given, config)
        await asyncio.sleep(PAUSE)
        return found

    try:
        result = asyncio.run(extracted())
    except Exception as error:  # its classes are many, and its parsers' panics come as RuntimeError
        reason = "encrypted" if re.search(r"password|encrypt", str(error), re.I) else "damaged"
        raise Unreadable(reason, f"not readable as .{name.rsplit('.', 1)[-1]}: {str(error)[:200]}") from None
    if not result.results:
        raise Unreadable("damaged", f"xberg finds nothing in it: {str(result.errors)[:200]}")
    return result.results[0]
