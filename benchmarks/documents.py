"""Documents to text: every public file ends as text or as a reason, and how close the text is to the known one.

Purpose: the claim behind "any document in, nothing lost". 126 files in 20 formats are read; for the 80 whose text is
known, the token F1 of Metier stands beside that of the libraries that one would use otherwise, in the same run on the
same files. One table a format, one on how everything ended.

How it is scored: multiset F1 over tokens. A token is a Latin word or number, or one Han character, after NFKC and case
folding; the marks of Markdown, of tables and of LaTeX are taken out of the truth and of every contestant's text in the
same way. Order does not count, so reading order has its own column: the share of five-token runs of the truth that
stand in the text.
Truth: CUAD's published texts of its contracts, with the running headers and page numbers of every page in them (Metier
takes those out unless told to keep them: both are shown); the article benchmark's bodies; docling's published Markdown
of its own fixtures (docling itself would have 1.0 there by definition, its mistakes included); SROIE's transcripts.
Not covered: layout. The two annual reports have questions but no text in their folder, and count as files only.

    METIER_DATA_MIRROR=folder python benchmarks/documents.py [--only pdf] [--details] [--no-ocr] [--without xberg]
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import html
import json
import os
import re
import statistics
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from metier.collect import readers
from metier.collect.reading import Options, Unreadable

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
TOKEN = re.compile(rf"[{HAN}]|[^\W_{HAN}]+")
NEWS, RECEIPTS = "news html.gz", "scanned receipt jpg"
RUN = 5  # tokens of a run, for the order


def plain(text: str) -> str:
    """Text without the marks of Markdown, tables and LaTeX; what stands between the marks stays."""
    text = re.sub(
        r"<!--.*?-->|<br\s*/?>|</?(?:b|i|u|s|sub|sup|p|div|span|table|tr|td|th)\b[^>]*>", " ", text, flags=re.S
    )
    text = re.sub(r"!\[([^\]]*)\]\((?:[^()]|\([^()]*\))*\)", r" \1 ", text)
    text = re.sub(r"(?<!\\)\[([^\[\]]*)\]\((?:[^()\s]|\([^()]*\))*\)", r"\1", text)
    text = html.unescape(text)
    text = re.sub(r"\\([\\_*#`~\[\](){}<>|.!+\-$&%])", r"\1", text)
    text = re.sub(r"^```.*$", " ", text, flags=re.M)
    text = re.sub(r"\\(?:begin|end)\{[^}]*\}(?:\{[lcr| ]*\})?|\\[A-Za-z]+", " ", text)
    return unicodedata.normalize("NFKC", text).casefold()


def tokens(text: str) -> list[str]:
    """Latin words and numbers, Han characters one by one."""
    return TOKEN.findall(plain(text))


def f1(found: list[str], truth: list[str]) -> float:
    """Harmonic mean of multiset precision and recall, 0 to 1."""
    common = sum((Counter(found) & Counter(truth)).values())
    return 2 * common / (len(found) + len(truth)) if found or truth else 1.0


def order(found: list[str], truth: list[str]) -> float:
    """Share of the truth's runs of five tokens that stand in the text, 0 to 1."""
    runs = [Counter(zip(*(words[at:] for at in range(RUN)), strict=False)) for words in (found, truth)]
    return sum((runs[0] & runs[1]).values()) / max(1, sum(runs[1].values()))


def metier(data: bytes, name: str) -> str:
    """All pieces of our own reading."""
    return "\n\n".join(piece.text for piece in readers.read(data, name, OPTIONS[0]).pieces)


def metier_whole(data: bytes, name: str) -> str:
    """As `metier`, with running headers, footers and page numbers left where they stand."""
    options = replace(OPTIONS[0], keep_running=True)
    return "\n\n".join(piece.text for piece in readers.read(data, name, options).pieces)


def xberg(data: bytes, name: str) -> str:
    """xberg with its defaults for digital files; its optical recognition would download models."""
    import xberg as library

    return _xberg(library, data, name, "plain")


def xberg_markdown(data: bytes, name: str) -> str:
    """xberg, written as Markdown."""
    import xberg as library

    return _xberg(library, data, name, "markdown")


def _xberg(library: Any, data: bytes, name: str, form: str) -> str:
    config = library.ExtractionConfig(disable_ocr=True, use_cache=False, output_format=form)
    given = library.ExtractInput(kind="bytes", bytes=data, filename=name)
    return "\n\n".join(found.content for found in asyncio.run(library.extract(given, config)).results)


def trafilatura(data: bytes, name: str) -> str:
    """trafilatura as its documentation calls it, readers' comments left out."""
    import trafilatura as library

    return library.extract(data, include_comments=False, include_tables=True) or ""


def pypdfium2(data: bytes, name: str) -> str:
    """pdfium's text, page after page."""
    import pypdfium2 as library

    document = library.PdfDocument(data)
    return "\n\n".join(page.get_textpage().get_text_bounded() for page in document)


def rapidocr(data: bytes, name: str) -> str:
    """RapidOCR's lines in its own order."""
    from rapidocr import RapidOCR

    if not ENGINES:
        ENGINES.append(RapidOCR(params={"Global.log_level": "error"}))
    return "\n".join(ENGINES[0](data).txts or ())


ENGINES: list[Any] = []
OPTIONS = [Options()]
CONTESTANTS: dict[str, tuple[Callable[[bytes, str], str], str]] = {
    "Metier": (metier, "."),
    "Metier, running lines kept": (metier_whole, r"\.pdf$"),
    "xberg": (xberg, r"\.(?!jpg)"),
    "xberg Markdown": (xberg_markdown, r"\.(?!jpg)"),
    "trafilatura": (trafilatura, r"\.html?(\.gz)?$"),
    "pypdfium2": (pypdfium2, r"\.pdf$"),
    "RapidOCR": (rapidocr, r"\.jpg$"),
}  # which files each one takes


def load(root: Path) -> list[dict[str, str]]:
    """The rows of INDEX.csv."""
    with (root / "INDEX.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def truth(root: Path, row: dict[str, str]) -> str | None:
    """The known text of a file; None if there is none that can be compared."""
    if not row["ground_truth"] or row["kind"] == "sec pdf":
        return None
    path = root / row["ground_truth"]
    if row["kind"] == NEWS:
        return str(json.loads(path.read_text(encoding="utf-8"))[path_key(row["path"])]["articleBody"])
    text = path.read_text(encoding="utf-8", errors="replace")
    if row["kind"] == RECEIPTS:  # eight coordinates, then the text
        return "\n".join(line.split(",", 8)[8] for line in text.splitlines() if line.count(",") >= 8)
    return text


def path_key(path: str) -> str:
    """Key of an article in its truth file."""
    return Path(path).name.split(".")[0]


def ending(data: bytes, name: str) -> str:
    """ "text", or the reason why there is none."""
    try:
        found = readers.read(data, name, OPTIONS[0])
    except Unreadable as error:
        return error.reason
    return "text" if any(piece.text.strip() for piece in found.pieces) else "EMPTY WITHOUT A REASON"


def main() -> None:
    """Read everything, score what can be scored, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="a regular expression on the path or kind")
    parser.add_argument("--details", action="store_true", help="one line a file")
    parser.add_argument("--no-ocr", action="store_true", help="without optical recognition")
    parser.add_argument("--without", action="append", default=[], help="a contestant to leave out")
    arguments = parser.parse_args()
    if "METIER_DATA_MIRROR" not in os.environ:
        sys.exit("set METIER_DATA_MIRROR to the folder that holds documents/INDEX.csv")
    root = Path(os.environ["METIER_DATA_MIRROR"]) / "documents"
    if arguments.no_ocr:
        OPTIONS[0] = Options(ocr=False)
    chosen = {name: value for name, value in CONTESTANTS.items() if name not in arguments.without
              and not (arguments.no_ocr and name == "RapidOCR")}  # fmt: skip
    endings: dict[str, Counter[str]] = defaultdict(Counter)
    scores: dict[str, list[dict[str, tuple[float, float, float]]]] = defaultdict(list)
    for row in load(root):
        if not re.search(arguments.only, f"{row['path']} {row['kind']}", re.I):
            continue
        path = root / row["path"]
        data, known = path.read_bytes(), truth(root, row)
        endings[row["kind"]][ending(data, path.name)] += 1
        if known is None:
            continue
        scores[row["kind"]].append(score(data, path.name, known, chosen))
        if arguments.details:
            told = ", ".join(f"{name} {value[0]:.3f}/{value[1]:.2f}" for name, value in scores[row["kind"]][-1].items())
            print(f"{row['kind']:14} {path.name[:50]:50} {told}", file=sys.stderr)
    show(endings, scores, list(chosen))


def score(data: bytes, name: str, known: str, chosen: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """Contestant -> (token F1, order, seconds) on one file; a contestant that fails has 0."""
    import gzip

    expected, found = tokens(known), {}
    for who, (read, takes) in chosen.items():
        if not re.search(takes, name, re.I):
            continue
        ours = who.startswith("Metier")
        given = gzip.decompress(data) if name.endswith(".gz") and not ours else data
        start = time.perf_counter()
        try:
            text = read(given, name if ours else name.removesuffix(".gz"))
        except Exception as error:  # the contestants' own classes differ; it counts as no text
            print(f"{who} on {name}: {type(error).__name__}: {error}", file=sys.stderr)
            text = ""
        seconds = time.perf_counter() - start
        words = tokens(text)
        found[who] = f1(words, expected), order(words, expected), seconds
    return found


def show(endings: dict[str, Counter[str]], scores: dict[str, Any], names: list[str]) -> None:
    """The three tables, as Markdown."""
    for at, heading in ((0, "Token F1, mean"), (1, "Order: share of five-token runs kept, mean"), (2, "Seconds, sum")):
        print(f"\n## {heading}\n\n| format | files | {' | '.join(names)} |\n| --- | ---: |{' ---: |' * len(names)}")
        for kind, rows in sorted(scores.items()):
            cells = []
            for name in names:
                values = [row[name][at] for row in rows if name in row]
                value = (sum(values) if at == 2 else statistics.mean(values)) if values else None
                cells.append("" if value is None else f"{value:.2f}" if at == 2 else f"{value:.4f}")
            print(f"| {kind} | {len(rows)} | {' | '.join(cells)} |")
    print("\n## How all files end\n\n| format | files | text | refused, with the reason |\n| --- | ---: | ---: | --- |")
    for kind, counts in sorted(endings.items()):
        refused = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()) if reason != "text")
        print(f"| {kind} | {counts.total()} | {counts['text']} | {refused} |")
    total = sum((counts for counts in endings.values()), Counter())
    print(f"| **all** | {total.total()} | {total['text']} | {total.total() - total['text']} |")


if __name__ == "__main__":
    main()
