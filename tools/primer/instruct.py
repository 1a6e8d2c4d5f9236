"""Questions about general text and their answers, made by patterns: what the instructed base is tuned on.

Purpose: from each document a passage of a few sentences, and questions whose answers stand in it: who, when, where,
what, how much (three of these at most), title, gap, the sentence with a word, the last one, a shorter version, a
continuation. No model takes part, and no sentence but those of the text and our own wordings (`questions.yaml`), so the
examples have the text's licence.
Trade-off: answers are short and copied; that is the form that so small a model can learn. What `continue` and `begin`
want is not in the passage: they are few, and teach the form alone.
Which questions and wordings a document gets is drawn from a hash of its id.
Not covered: conversations of several turns; questions over several documents.

    python tools/primer/instruct.py EXAMPLES.parquet out.jsonl --documents 4000
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from metier.prepare.sentences import sentences
from metier.tables import digest

LONGEST = {"en": 600, "zh": 220}  # characters of a passage: 130 tokens or so, so that a question is read beside it
SHORTEST = {"en": 120, "zh": 40}
HEADING = {"en": 30, "zh": 12}  # characters; so short a sentence on a line of its own is a heading, and ends a passage
ANSWER = {"en": 160, "zh": 60}  # characters of an answer at most
MOST = 5  # questions about one passage
GAP = "____"
RARE = ("continue", "begin")  # not in the passage
_TERM = {
    "en": re.compile(r"\b[A-Z][a-z]{3,}(?: [A-Z][a-z]{2,})?\b|\b[a-z]{7,}\b"),
    "zh": re.compile(r"《[^《》]{2,12}》|[\u4e00-\u9fff]{2,4}(?=[、的和与與在])"),
}


def of_document(row: Mapping[str, Any], language: str) -> Iterator[dict[str, str]]:
    """Examples of one document: id, text, question, answer, kind, language; at most MOST, drawn by its id."""
    text, title = _body(row["text"])
    passage = _passage(text, sentences(text), language)
    if passage is None:
        return
    told, following = passage
    found = {one for one in _all(row["id"], title, told, following, language) if 0 < len(one[2]) <= ANSWER[language]}
    kinds: Counter[str] = Counter()
    for kind, question, answer in sorted(
        found, key=lambda one: (one[0] in _table()["en"]["whole"], digest(row["id"], *one))
    ):
        limit = MOST if kind in _table()["en"]["whole"] else MOST - 2
        if kinds[kind] or kinds.total() >= limit or (kind in RARE and not _one_in(8, row["id"], kind)):
            continue
        kinds[kind] += 1
        shown = title if kind == "begin" else (" " if language == "en" else "").join(told)
        yield {"id": f"{row['id']}-{kind}-{digest(question)[:6]}", "text": shown, "question": question,
               "answer": answer, "kind": kind, "language": language, "document": row["id"]}  # fmt: skip


def _all(id: str, title: str, told: list[str], following: str, language: str) -> Iterator[tuple[str, str, str]]:
    """Everything that can be asked: kind, question, answer."""
    wordings = _table()[language]["whole"]

    def ask(kind: str, **parts: str) -> str:
        options = wordings[kind]
        return str(options[int(digest(id, kind), 16) % len(options)]).format(**parts)

    if title:
        yield "title", ask("title"), title
        yield "begin", ask("begin"), told[0]
    yield "shorten", ask("shorten"), told[0]
    yield "last", ask("last"), told[-1]
    if following:
        yield "continue", ask("continue"), following
    whole = "\n".join(told)
    for sentence in told[1:]:
        terms = [hit.group() for hit in _TERM[language].finditer(sentence) if whole.count(hit.group()) == 1]
        if terms:
            term = terms[int(digest(id, sentence), 16) % len(terms)]
            yield "names", ask("names", term=term), sentence
            yield "gap", ask("gap", gapped=sentence.replace(term, GAP)), term
    for kind, (pattern, options) in _patterns(language).items():
        for sentence in told:
            if hit := pattern.search(sentence):
                parts = {name: _inside(part) for name, part in hit.groupdict().items() if name != "answer"}
                wording = options[int(digest(id, kind, sentence), 16) % len(options)]
                yield kind, wording.format(**parts), hit["answer"].strip()


def _body(text: str) -> tuple[str, str]:
    """The text below its first line, and that line as the title where it looks like one."""
    first, _, rest = text.strip().partition("\n")
    title = first.strip("# ").strip()
    return (rest.strip(), title) if rest.strip() and 1 < len(title) <= 60 else (text.strip(), "")


def _passage(text: str, spans: list[tuple[int, int]], language: str) -> tuple[list[str], str] | None:
    """The first sentences as far as they fit, and the one after them; None where there are fewer than two."""
    told: list[str] = []
    length = 0
    for start, end in spans:
        sentence = " ".join(text[start:end].split())
        alone = text[:start].rstrip(" ")[-1:] in ("\n", "") and text[end : end + 1] in ("\n", "")
        if alone and len(sentence) <= HEADING[language]:
            following = ""
            break
        if length + len(sentence) > LONGEST[language] or "\n" in text[start:end].strip():
            following = sentence if length + len(sentence) <= 2 * LONGEST[language] else ""
            break
        told.append(sentence)
        length += len(sentence)
    else:
        following = ""
    return (told, following) if len(told) > 1 and length >= SHORTEST[language] else None


def _inside(part: str) -> str:
    """A stretch of a sentence as it stands within a question."""
    part = " ".join(part.split())
    return part[0].lower() + part[1:] if part.split(" ")[0] in ("The", "A", "An", "It", "He", "She", "They") else part


def _one_in(n: int, *parts: str) -> bool:
    return int(digest("rare", *parts), 16) % n == 0


@cache
def _table() -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(Path(__file__).with_name("questions.yaml").read_text(encoding="utf-8")))


@cache
def _patterns(language: str) -> dict[str, tuple[re.Pattern[str], list[str]]]:
    return {
        name: (re.compile(" ".join(str(one["find"]).split("\n")).replace("| ", "|")), list(one["ask"]))
        for name, one in _table()[language]["patterns"].items()
    }


def write(examples: Path, out: Path, documents: int, split: str = "train") -> Counter[str]:
    """Write the examples of up to `documents` documents of each language as JSON lines; returns counts by kind."""
    from metier.tables import read

    table = read(examples, columns=["id", "text", "split", "source"])
    rows = [row for row in table.to_pylist() if row["split"] == split and "wikipedia" in row["source"]]
    rows.sort(key=lambda row: digest("instruct", row["id"]))
    used: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    with out.open("w", encoding="utf-8") as stream:
        for row in rows:
            language = "zh" if "-zh" in row["source"] else "en"
            if used[language] >= documents:
                continue
            found = list(of_document(row, language))
            used[language] += bool(found)
            for one in found:
                stream.write(json.dumps(one, ensure_ascii=False) + "\n")
                kinds[f"{language} {one['kind']}"] += 1
    return kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, default=4000, help="of each language")
    parser.add_argument("--split", default="train")
    given = parser.parse_args()
    for kind, count in sorted(write(given.examples, given.out, given.documents, given.split).items()):
        print(f"{kind}\t{count:,}")


if __name__ == "__main__":
    main()
