"""Builds the documents of two invented banks, English and Chinese, and the questions about them.

Purpose: a field of its own for the quick start: product terms, fees and procedures that no model can have read, twenty
pages in each language, six questions a page whose answers the page gives. `en.md` and `zh.md` are the source: pages
with their questions below them. Out come the pages as files, and one table of questions, each with its page; the last
two questions of every page are held out.
Trade-off: the table repeats a page for each of its questions, which is how data of this kind usually comes.
Not covered: layout; `tools/bank_example` has PDF, Word and mail.

Usage: ``python tools/bank_documents/build.py``
"""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "src" / "metier" / "recipes" / "quickstart" / "bank_documents"
HELD_OUT = 2  # questions of a page
COLUMNS = ("id", "document", "language", "split", "text", "question", "answer")


def pages(language: str) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """(name, text, questions with answers) of each page of a language."""
    found = []
    parts = re.split(r"^# ", (HERE / f"{language}.md").read_text(encoding="utf-8"), flags=re.M)[1:]
    for number, part in enumerate(parts, 1):
        body, _, asked = part.partition("\nQ: ")
        pairs = re.findall(r"^(.+)\nA: (.+)$", asked.replace("Q: ", ""), flags=re.M)
        found.append((f"{language}-{number:02}", "# " + body.strip() + "\n", pairs))
    return found


def build(out: Path = OUT) -> int:
    """Write pages and table into `out`; returns the number of questions."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    rows = []
    for language in ("en", "zh"):
        for name, text, pairs in pages(language):
            (out / f"{name}.md").write_text(text, encoding="utf-8", newline="\n")
            for place, (question, answer) in enumerate(pairs, 1):
                split = "test" if place > len(pairs) - HELD_OUT else "train"
                rows.append((f"{name}-{place}", name, language, split, text.lstrip("# "), question, answer))
    with (out / "questions.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([COLUMNS, *rows])
    return len(rows)


if __name__ == "__main__":
    print(f"{build()} questions in {OUT}")
