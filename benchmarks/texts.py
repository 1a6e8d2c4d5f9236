"""Operations on texts in Chinese and English: `python benchmarks/texts.py [--only correct] [--small]`.

Each operation meets a set of its own in both languages, made by breaking real texts in known ways (METIER_DATA_MIRROR
names the folder of public data) and, for sentences, labelled by hand (`texts_data/sentences.yaml`). Printed: precision
and recall of what the operation takes out, changes or cuts. The claim: Chinese is at most 3 points of F1 behind.
`--only sentences` also asks spaCy's rule-based sentenciser where it is installed, `--only language` lingua.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from metier import tables
from metier.prepare import confusions
from metier.prepare.boilerplate import boilerplate
from metier.prepare.config import PrepareConfig
from metier.prepare.correct import correct
from metier.prepare.language import detect
from metier.prepare.operation import Result, Settings, TextOperation
from metier.prepare.quality import broken
from metier.prepare.sentences import sentences
from metier.train.config import TaskConfig

HERE = Path(__file__).parent
LANGUAGES = ("en", "zh")
SOURCES = {"en": ("legal/statutes-en", "general/wikipedia-en"), "zh": ("legal/statutes-zh", "general/wikipedia-zh")}


@dataclass(frozen=True)
class Score:
    """What an operation found (true, all it found, all there was)."""

    operation: str
    language: str
    right: int
    found: int
    there: int

    @property
    def precision(self) -> float:
        return self.right / max(1, self.found)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.there)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, self.found + self.there)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--only", choices=sorted(BENCHMARKS))
    given.add_argument("--small", action="store_true", help="a tenth of everything")
    arguments = given.parse_args()
    print("| operation | language | things | precision | recall | F1 | zh - en | seconds |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in [arguments.only] if arguments.only else BENCHMARKS:
        start = time.monotonic()
        scores = BENCHMARKS[name](arguments.small)
        spent = time.monotonic() - start
        for score in scores:
            other = next(s for s in scores if s.operation == score.operation and s.language == "en")
            behind = f"{100 * (score.f1 - other.f1):+.1f}" if score.language == "zh" else ""
            print(f"| {score.operation} | {score.language} | {score.there:,} | {100 * score.precision:.1f} | "
                  f"{100 * score.recall:.1f} | {100 * score.f1:.1f} | {behind} | {spent:.0f} |")  # fmt: skip


def real_texts(language: str, count: int, length: int = 1500, sources: Sequence[str] = ()) -> list[str]:
    """So many passages of real texts, cut at a line or sentence; the same every time."""
    found: list[str] = []
    wanted = sources or SOURCES[language]
    for name in wanted:
        file = pq.ParquetFile(Path(os.environ["METIER_DATA_MIRROR"]) / f"{name}.parquet")
        mine: list[str] = []
        for batch in file.iter_batches(500, columns=["text"]):
            for text in batch["text"].to_pylist():
                if not (language == "en" and re.search(r"[~•\\^]", text)):  # scanned laws, with errors of their own
                    mine += re.findall(rf"(?s).{{40,{length}}}(?:[.。]\s|\n|$)", text[:12000])[:4]
            if len(mine) >= 4 * count:
                break
        random.Random(name).shuffle(mine)
        found += mine[: count // len(wanted)]
    return found


def run(operation: TextOperation, texts: Sequence[str], places: Sequence[str], config: Any) -> Result:
    """The operation over the texts as one batch."""
    given = Settings(PrepareConfig.model_validate(config), TaskConfig(), 0)
    rows = [{"id": str(n), "text": text, "source": place, "metadata": "{}"}
            for n, (text, place) in enumerate(zip(texts, places, strict=True))]  # fmt: skip
    batch = tables.table(rows, tables.DOCUMENTS)
    assert operation.observe is not None and operation.conclude is not None
    return operation.apply(batch, given, operation.conclude([operation.observe(batch, given)], given))


# Language: short pieces of real texts, and lines in other languages that look like one of the two.
def language(small: bool) -> list[Score]:
    scores = []
    other = yaml.safe_load((HERE / "texts_data" / "other_languages.yaml").read_text(encoding="utf-8"))
    for name, finder in _detectors().items():
        count = 60 if small else 600
        labelled = [(piece, said) for said in LANGUAGES for piece in _pieces(said, count)]
        labelled += [(line, "") for line in other]
        found = [(finder(text), said) for text, said in labelled]
        for said in LANGUAGES:
            right = sum(a == b == said for a, b in found)
            named, there = sum(a == said for a, _ in found), sum(b == said for _, b in found)
            scores += [Score(f"language, {name}", said, right, named, there)]
    return scores


def _detectors() -> dict[str, Callable[[str], str]]:
    from metier.prepare.languages import detect_with_lingua

    installed = importlib.util.find_spec("lingua") is not None
    return {"script": detect} | ({"lingua": detect_with_lingua} if installed else {})


def _pieces(said: str, count: int) -> list[str]:
    """Single lines and sentences with at least eight letters."""
    draw = random.Random(said)
    found = []
    for text in real_texts(said, count):
        spans = [span for span in sentences(text) if sum(map(str.isalpha, text[slice(*span)])) >= 8]
        if spans:
            found.append(text[slice(*draw.choice(spans))])
    return found


# Quality: real passages, and the same broken in one way each.
def quality(small: bool) -> list[Score]:
    scores = []
    for said in LANGUAGES:
        texts = real_texts(said, 80 if small else 800, 900)
        half = len(texts) // 2
        draw = random.Random(0)
        ways = list(_ways(said))
        labelled = [(text, False) for text in texts[:half]]
        labelled += [(ways[n % len(ways)](text, draw), True) for n, text in enumerate(texts[half:])]
        config = PrepareConfig().quality
        found = [(bool(broken(text, config)), bad) for text, bad in labelled]
        scores.append(Score("quality", said, sum(a and b for a, b in found), sum(a for a, _ in found),
                            sum(b for _, b in found)))  # fmt: skip
    return scores


def _ways(said: str) -> Iterator[Callable[[str, random.Random], str]]:
    """Ways to break a text, the same in both languages where there is an equivalent."""
    zh = said == "zh"
    menu = "首页\n产品中心\n联系我们\n" if zh else "Home\nOur products\nContact us\n"
    yield lambda text, draw: (menu * 30) + text[:200]
    yield lambda text, draw: text[:120] * 12
    yield lambda text, draw: "\n".join([text[:60].replace("\n", " ")] * 8 + [text[:100]])
    yield lambda text, draw: "".join("\ufffd" if draw.random() < 0.08 else char for char in text)
    yield lambda text, draw: "".join(draw.choice("▓▒░◊¤§►◄") if draw.random() < 0.4 else char for char in text)
    yield lambda text, draw: text[:300] + ("……查看全文" if zh else "... Read more")
    yield lambda text, draw: ("此处输入文字。" if zh else "Lorem ipsum dolor sit amet. ") + text[:200]
    yield lambda text, draw: "".join(f"<div><span class='c'>{part}</span></div>" for part in re.findall(".{9}", text))
    yield lambda text, draw: " ".join(f"https://example.org/{draw.randrange(10**9)}" for _ in range(20)) + text[:100]
    yield lambda text, draw: re.sub(r"[^\w ]", "", text.replace("\n", ""))[: 600 if zh else 1500]
    yield _nonsense_zh if zh else _nonsense_en
    yield (lambda text, draw: text.encode("utf-8").decode("gb18030", "ignore")) if zh else (
        lambda text, draw: text.replace("e", "é").encode("utf-8").decode("cp1252", "ignore"))  # fmt: skip


def _nonsense_zh(text: str, draw: random.Random) -> str:
    return "".join(chr(draw.randrange(0x4E00, 0x9FA0)) if "\u3400" <= char <= "\u9fff" else char for char in text)


def _nonsense_en(text: str, draw: random.Random) -> str:
    return re.sub("[a-z]", lambda match: draw.choice("bcdfghjklmnpqrstvwxz"), text)


# Boilerplate: real passages under letterheads and above disclaimers, with a date, a telephone number and a form.
def boilerplate_lines(small: bool) -> list[Score]:
    scores = []
    frames = yaml.safe_load((HERE / "texts_data" / "frames.yaml").read_text(encoding="utf-8"))
    for said in LANGUAGES:
        each = 12 if small else 60
        texts = real_texts(said, each * len(frames[said]), 500)
        draw = random.Random(0)
        made: list[tuple[str, str, set[str]]] = []  # source, text, lines that are boilerplate
        for number, frame in enumerate(frames[said]):
            for n, text in enumerate(texts[number * each : (number + 1) * each]):
                body = text.strip().split("\n")
                top, bottom = (part if draw.random() < 0.8 else [] for part in (frame["top"], frame["bottom"]))
                figures = [line.format(n + 10) for line in frame["figures"]]
                lines = [*top, *figures[:1], *body, *frame["form"], *body[-1:], *figures[1:], *bottom]
                made.append((f"origin{number}/{n}.txt", "\n".join(lines), {*top, *bottom}))
        places = [place for place, _, _ in made]
        result = run(boilerplate, [text for _, text, _ in made], places, {"boilerplate": {"enabled": True}})
        taken = [(int(entry["id"]), entry["before"].strip()) for entry in result.changes]
        right = sum(line in made[n][2] for n, line in taken)
        scores.append(Score("boilerplate", said, right, len(taken), sum(len(lines) for _, _, lines in made)))
    return scores


# Sentences (chunk): labelled by hand.
def sentence_ends(small: bool) -> list[Score]:
    data = yaml.safe_load((HERE / "texts_data" / "sentences.yaml").read_text(encoding="utf-8"))
    scores = []
    for name, cut in _cutters().items():
        for said in LANGUAGES:
            right = found = there = 0
            for labelled in data[said]:
                text, ends = "", set()
                for sentence in labelled:
                    text += sentence
                    ends.add(len(text.rstrip()))
                    text += " " if said == "en" and not sentence.endswith("\n") else ""
                mine = cut(text, said)
                right, found, there = right + len(mine & ends), found + len(mine), there + len(ends)
            scores.append(Score(f"sentences, {name}", said, right, found, there))
    return scores


def _cutters() -> dict[str, Callable[[str, str], set[int]]]:
    cutters: dict[str, Callable[[str, str], set[int]]] = {
        "ours": lambda text, said: {end for _, end in sentences(text)}
    }
    if importlib.util.find_spec("spacy") is not None:
        import spacy

        pipes = {}
        for said in LANGUAGES:
            pipes[said] = spacy.blank(said)
            pipes[said].add_pipe("sentencizer")
        cutters["spaCy sentencizer"] = lambda text, said: {
            span.start_char + len(span.text.rstrip()) for span in pipes[said](text).sents if span.text.strip()
        }
    return cutters


# Correct: laws with one error in a hundred places where one can be made.
def corrections(small: bool) -> list[Score]:
    scores = []
    for said in LANGUAGES:
        texts = real_texts(said, 300 if small else 3000, 1500, SOURCES[said][:1])
        draw = random.Random(0)
        made = [(_noisy_zh if said == "zh" else _noisy_en)(text, draw) for text in texts]
        places = [f"laws/{n}.txt" for n in range(len(made))]
        result = run(correct, [text for text, _ in made], places, {"correct": {"enabled": True}})
        right = sum(made[int(entry["id"])][1].get(entry["start"]) == (entry["before"], entry["after"])
                    for entry in result.changes)  # fmt: skip
        scores.append(Score("correct", said, right, len(result.changes), sum(len(errors) for _, errors in made)))
    return scores


Errors = dict[int, tuple[str, str]]  # place in the broken text -> what stands there, what stood there


def _noisy_en(text: str, draw: random.Random) -> tuple[str, Errors]:
    parts: list[str] = []
    errors: Errors = {}
    length = last = 0
    for match in re.finditer("[A-Za-z]+", text):
        word = match.group()
        wrong = _slip(word, draw) if len(word) >= 5 and word.islower() and draw.random() < 0.01 else word
        parts += [text[last : match.start()], wrong]
        length += match.start() - last
        if wrong != word:
            errors[length] = wrong, word
        length, last = length + len(wrong), match.end()
    return "".join([*parts, text[last:]]), errors


def _slip(word: str, draw: random.Random) -> str:
    """One error of scanning or typing, of five kinds."""
    at = draw.randrange(1, len(word) - 1)
    kind = draw.choice(["scan", "swap", "drop", "double", "beside"])
    if kind == "scan":
        return draw.choice(list(confusions.look_alikes(word)) or [word])
    if kind == "swap":
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == "drop":
        return word[:at] + word[at + 1 :]
    if kind == "double":
        return word[:at] + word[at] + word[at:]
    rows = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    row = next(row for row in rows if word[at] in row)
    place = row.index(word[at])
    return word[:at] + row[place - 1 if place else place + 1] + word[at + 1 :]


def _noisy_zh(text: str, draw: random.Random) -> tuple[str, Errors]:
    chars, errors = list(text), {}
    for at, char in enumerate(text):
        others = confusions.han_alike(char)
        if others and draw.random() < 0.01:
            chars[at] = draw.choice(others)
            errors[at] = chars[at], char
    return "".join(chars), errors


BENCHMARKS: dict[str, Callable[[bool], list[Score]]] = {
    "language": language, "quality": quality, "boilerplate": boilerplate_lines, "sentences": sentence_ends,
    "correct": corrections,
}  # fmt: skip

if __name__ == "__main__":
    if "METIER_DATA_MIRROR" not in os.environ:
        sys.exit("METIER_DATA_MIRROR names no folder with public data (general/ and legal/ are needed)")
    main()
