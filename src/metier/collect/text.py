"""Plain text and Markdown.

Purpose: one file, one document, as it stands; Markdown keeps its marks, because they carry structure, and lends its
first heading as the title. Not covered: reStructuredText, source code, RTF.
"""

from __future__ import annotations

import re

from metier.collect.accounts import Account, describes
from metier.collect.encoding import Decoded, decode
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.registry import register

MARKDOWN = (".md", ".markdown")
BINARY = 0.02  # share of control characters from which "text" is binary; real text files have none


@register("reader", "text")
@describes(
    "text",
    Account(
        title="Plain text and Markdown",
        takes=("txt", "text", "md", "markdown", "log", "asc"),
        kept=("the whole text as it stands, with line ends as `\\n`", "the marks of Markdown"),
        counted={"encoding": "which encoding was found or named"},
        refused={
            "empty": "no text in it",
            "undecodable": "no encoding gives plausible text",
            "unsupported format": "control characters show that it is a binary file",
        },
        lost=("NUL characters",),
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document with the whole text; Unreadable: empty, undecodable, unsupported format (binary)."""
    decoded = decode(data, options.encoding, options.declared)
    text = clean(decoded)
    if not text.strip():
        raise Unreadable("empty", "the file holds no text" if data else "the file has 0 bytes")
    markdown = name.lower().endswith(MARKDOWN)
    piece = Piece(
        text=text, title=_heading(text) if markdown else "",
        media_type="text/markdown" if markdown else "text/plain", metadata={"encoding": decoded.encoding},
    )  # fmt: skip
    return Reading([piece])


def clean(decoded: Decoded) -> str:
    """Line ends as \\n, NUL bytes removed; Unreadable when the characters are those of a binary file."""
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n")
    control = len(re.findall("[\x00-\x08\x0e-\x1a\x1c-\x1f]", text[:100_000]))
    if control > max(1, BINARY * len(text[:100_000])):
        raise Unreadable("unsupported format", "the file is binary, not text")
    return text.replace("\x00", "")


def _heading(text: str) -> str:
    """Title of the front matter, else the first heading outside a code fence."""
    front = re.match(r"---\n(.*?)\n---\n", text, re.S)
    if front and (title := re.search(r"^title:\s*(.+)$", front.group(1), re.M)):
        return title.group(1).strip().strip("\"'")
    outside = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.S | re.M)
    found = re.search(r"^#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$|^(\S.*)\n=+[ \t]*$", outside, re.M)
    return (found.group(1) or found.group(2)).strip() if found else ""
