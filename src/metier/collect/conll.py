"""Tagged sentences, one token a line (CoNLL): each sentence becomes one document with its spans.

Purpose: data sets of entities come as columns of token and tag with a blank line between sentences. The token is the
first column, the tag the last; what stands between is left. A line that does not fit costs its sentence, with the
line's number. `-DOCSTART-` lines become groups, so that no split parts a document.
Trade-off: a text is put together from tokens, so its spaces are not those of the original.
Not covered: CoNLL-U (trees, ten columns), tags glued to their words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from metier.collect.accounts import Account, describes
from metier.collect.encoding import decode
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable
from metier.collect.spans import TAG, Misfit, read_tags
from metier.registry import register

DOCUMENT = re.compile(r"-DOCSTART-|#\s*doc(?:ument)?[\s_]?id\s*[=:]\s*(.+)", re.I)
HEAD = 16_384  # bytes by which a file is recognised
FEWEST = 5  # lines that must be there for a guess
SURE = 0.95  # share of them that must end in a tag; the rest are damaged lines, which are told


@register("reader", "conll")
@describes(
    "conll",
    Account(
        title="Tagged sentences (CoNLL)",
        kind="container",
        takes=("conll", "bio", "iob", "iob2", "bioes", "bmes", "ner"),
        kept=("each sentence as one document, its tokens joined (no space beside a Han character)",),
        counted={
            "shape": "`tokens`",
            "tokens, tags, offsets, spans": "the sentence's tokens, their tags, their places in the text, its entities",
            "encoding": "which encoding was found or named",
        },
        refused={
            "empty": "no sentence",
            "undecodable": "no encoding gives plausible text",
            "undecodable row": "a sentence with bytes that do not decode",
            "malformed row": "a line without a tag, or a tag that is none; the detail names the line",
        },
        lost=("columns between the token and its tag",),
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document a sentence. Unreadable: empty, undecodable."""
    decoded = decode(data, options.encoding, options.declared, lenient=True)
    reading = Reading()
    group, documents, number = "", 0, 0
    for first, lines in _blocks(decoded.text.replace("\x00", "")):
        started = DOCUMENT.match(lines[0])
        if started:
            documents += 1
            group = f"doc {(started.group(1) or '').strip() or documents}"
            first, lines = first + 1, lines[1:]
        if not lines:
            continue
        number += 1
        try:
            text, metadata = _sentence(lines, first)
        except Misfit as error:
            reading.refused.append(Refusal(f"#{number}", "malformed row", str(error)))
            continue
        if re.search("[\ud800-\udfff]", text):
            detail = f"line {first}: bytes that are not valid {decoded.encoding}"
            reading.refused.append(Refusal(f"#{number}", "undecodable row", detail))
            continue
        told = {"encoding": decoded.encoding, "shape": "tokens", **metadata}
        reading.pieces.append(Piece(text, f"#{number}", media_type="text/x-conll", group=group, metadata=told))
    if not reading.pieces and not reading.refused:
        raise Unreadable("empty", "the file holds no sentence" if data else "the file has 0 bytes")
    return reading


def looks_tagged(data: bytes) -> bool:
    """Whether a file begins like tagged sentences: nearly every line has a token and ends in a tag such as B-X or O."""
    head = data[:HEAD]
    if len(data) > HEAD:
        head = head[: head.rfind(b"\n") + 1]
    if b"\t" not in head and b" " not in head:
        return False
    try:
        text = decode(head, lenient=True).text
    except Unreadable:
        return False
    lines = [line for line in text.splitlines() if line.strip() and not DOCUMENT.match(line)]
    cells = [_cells(line) for line in lines]
    widths = {len(row) for row in cells}
    tagged = [row[-1] for row in cells if 2 <= len(row) <= 12 and _is_tag(row[-1])]
    return (
        len(lines) >= FEWEST and len(tagged) >= SURE * len(lines) and len(widths) <= 2
        and "O" in tagged and any(tag != "O" for tag in tagged)
    )  # fmt: skip


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the first line, lines) of each sentence; a line that starts a document stands first in its block."""
    block: list[str] = []
    first = 1
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if not line.strip() or DOCUMENT.match(line):
            if block:
                yield first, block
            block = [line] if line.strip() else []
            first = number
            continue
        first = first if block else number
        block.append(line)
    if block:
        yield first, block


def _sentence(lines: list[str], first: int) -> tuple[str, dict[str, Any]]:
    tokens, tags = [], []
    for number, line in enumerate(lines, first):
        cells = _cells(line)
        if len(cells) < 2:
            raise Misfit(f"line {number}", f"a token and a tag are needed, this is {line[:60]!r}")
        if not _is_tag(cells[-1]):
            raise Misfit(f"line {number}", f"{cells[-1][:40]!r} is no tag; tags look like O, B-NAME, I-NAME")
        tokens.append(cells[0])
        tags.append(cells[-1])
    return read_tags(tokens, tags)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("\t")] if "\t" in line.strip() else line.split()


def _is_tag(text: str) -> bool:
    found = TAG.fullmatch(text)
    return bool(found) and (found["label"] is not None or found["place"] in "OX") if found else False
