"""Questions and answers about a document, written by a model behind an OpenAI-compatible address, and checked.

Purpose: examples where humans wrote none, each tied to its source. A pair stays only if it is grounded: the sentence it
quotes stands in the passage, every figure of the answer stands there too, and the answer itself, or enough of its
n-grams, does. What is refused stays with its reason in the document's metadata. Pairs are marked `derived`, so they are
counted apart from human data, go where their document goes, and never into a test.
Cost: `observe` reckons what each document would cost at most, `conclude` takes documents in an order drawn from their
ids until `max_requests` or `max_cost` is reached; the rest is counted as left over. Nothing is sent before that.
Trade-off: the check finds what is not in the text; it cannot tell a dull question or a half-truth.
Not covered: documents longer than the model reads (cut them with `chunk` first).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier import tables
from metier.errors import UserError
from metier.prepare.changes import has_copies
from metier.prepare.config_texts import SynthesizeConfig
from metier.prepare.derived import kept_with, made, of_test
from metier.prepare.endpoint import Endpoint
from metier.prepare.flow import count
from metier.prepare.operation import Result, Settings, text_operation

OBSERVED = pa.schema([("draw", pa.string()), ("id", pa.string()), ("cost", pa.float64())])
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_UNIT = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_SKIPPED = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Pair:
    """A grounded pair; text[start:end] is the quoted sentence."""

    question: str
    answer: str
    start: int
    end: int


def observe(batch: pa.Table, settings: Settings) -> pa.Table:
    """What each document that may be asked about would cost at most."""
    config, seed = settings.config.synthesize, str(settings.seed)
    asked = [row for row in batch.to_pylist() if _may_ask(row)]
    rows = [{"draw": tables.digest("synthesize", seed, row["id"]), "id": row["id"], "cost": _cost(row, config)}
            for row in asked]  # fmt: skip
    return pa.Table.from_pylist(rows, OBSERVED)


def conclude(observed: Sequence[pa.Table], settings: Settings) -> frozenset[str]:
    """The ids of the documents that are asked about."""
    config = settings.config.synthesize
    rows = pa.concat_tables([OBSERVED.empty_table(), *observed]).sort_by("draw").to_pylist()
    taken, cost = [], 0.0
    for row in rows[: config.max_requests]:
        cost += row["cost"]
        if config.max_cost and cost > config.max_cost:
            break
        taken.append(row["id"])
    return frozenset(taken)


def note(counts: Mapping[str, int]) -> str:
    """For the funnel."""
    said = f"{count(counts.get('pairs', 0), 'pair')} from {count(counts.get('asked', 0), 'text')}"
    for name in ("refused", "left over", "unreadable"):
        if counts.get(name):
            said += f", {counts[name]:,} {name}"
    return said


@text_operation("synthesize", note, lambda config: bool(config.synthesize.endpoint), observe, conclude)
def synthesize(batch: pa.Table, settings: Settings, knowledge: Any) -> Result:
    """Add the pairs of each chosen document as rows behind it; the documents stay."""
    config = settings.config.synthesize
    endpoint = Endpoint(config)
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for row in batch.to_pylist():
        if not _may_ask(row) or row["id"] not in knowledge:
            counts["left over" if _may_ask(row) else "left alone"] += 1
            rows.append(row)
            continue
        pairs, refused = read(endpoint.ask(question(row, config)), row["text"], config)
        counts.update({"asked": 1, "pairs": len(pairs), "refused": len(refused), "unreadable": 0})
        counts["unreadable"] += any(reason == "unreadable" for reason, _ in refused)
        rows.append(_with_refused(kept_with(row), refused) if pairs or refused else row)
        rows += [made(row, "synthesize", number, pair.question, pair.answer, (pair.start, pair.end), model=config.model)
                 for number, pair in enumerate(pairs, 1)]  # fmt: skip
    counts.update(endpoint.spent)
    return Result(tables.table(rows, tables.DOCUMENTS), counts={name: n for name, n in counts.items() if n})


def question(row: Mapping[str, Any], config: SynthesizeConfig) -> list[dict[str, str]]:
    """The messages that ask about one document."""
    asked = _template(config.prompt, "zh" if row["language"] == "zh" else "en")
    return [{"role": "user", "content": asked.format(text=row["text"], number=config.per_document)}]


def read(answer: str, text: str, config: SynthesizeConfig) -> tuple[list[Pair], list[tuple[str, str]]]:
    """The grounded pairs of one answer, and (reason, question) of those that are refused."""
    found = _json(answer)
    if found is None:
        return [], [("unreadable", answer[:200])]
    pairs: list[Pair] = []
    refused: list[tuple[str, str]] = []
    for entry in found[: config.per_document]:
        checked = _grounded(entry, text, config.support)
        if isinstance(checked, str):
            refused.append((checked, str(entry.get("question", ""))[:200] if isinstance(entry, dict) else ""))
        elif any(_folded(checked.question) == _folded(pair.question) for pair in pairs):
            refused.append(("asked twice", checked.question))
        else:
            pairs.append(checked)
    return pairs, refused


def _grounded(entry: Any, text: str, support: float) -> Pair | str:
    """The pair, or why it is refused."""
    if not isinstance(entry, dict):
        return "not a pair"
    asked, answer, quote = (str(entry.get(name) or "").strip() for name in ("question", "answer", "quote"))
    if not asked or not answer:
        return "not a pair"
    place = find_span(quote, text)
    if place is None:
        return "the quoted sentence is not in the text"
    if set(_FIGURE.findall(_wide(answer))) - set(_FIGURE.findall(_wide(text))):
        return "a figure of the answer is not in the text"
    if find_span(answer, text) is None and overlap(answer, text[max(0, place[0] - 200) : place[1] + 200]) < support:
        return "the answer is not supported by the text"
    return Pair(asked, answer, *place)


def find_span(quote: str, text: str) -> tuple[int, int] | None:
    """Where a quotation stands in the text; width, case, punctuation and white space do not matter."""
    wanted = _folded(quote)
    if not wanted:
        return None
    letters, places = [], []
    for at, char in enumerate(text):
        for part in _folded(char):
            letters.append(part)
            places.append(at)
    at = "".join(letters).find(wanted)
    return (places[at], places[at + len(wanted) - 1] + 1) if at >= 0 else None


def overlap(answer: str, passage: str) -> float:
    """Share of the answer's n-grams (pairs of Han characters; single words) that the passage holds."""
    units = _UNIT.findall(_wide(answer))
    grams = [unit for unit in units if not _is_han(unit)]
    grams += [a + b for a, b in pairwise(units) if _is_han(a) and _is_han(b)]
    held = _UNIT.findall(_wide(passage))
    known = {*held, *(a + b for a, b in pairwise(held))}
    return sum(gram in known for gram in grams) / len(grams) if grams else 0.0


def _json(answer: str) -> list[Any] | None:
    """The list of pairs in an answer, with or without words and fences around it."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"[\[{]", answer):
        try:
            found, _ = decoder.raw_decode(answer, match.start())
        except ValueError:
            continue
        if isinstance(found, dict):  # one pair, or a list under a name
            lists = [value for value in found.values() if isinstance(value, list)]
            return lists[0] if lists else [found]
        return list(found)
    return None


def _may_ask(row: Mapping[str, Any]) -> bool:
    """Not about test documents, ready examples, or made ones."""
    return bool(row["text"].strip()) and not has_copies(row["metadata"]) and not of_test(row)


def _cost(row: Mapping[str, Any], config: SynthesizeConfig) -> float:
    """At most: two tokens a Han character, one for two other characters, and the longest answer."""
    asked = question(row, config)[0]["content"]
    han = sum(1 for char in asked if _is_han(char))
    tokens = 2 * han + (len(asked) - han) / 2
    return (tokens * config.price[0] + config.max_tokens * config.price[1]) / 1e6


def _with_refused(row: dict[str, Any], refused: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The document with what was refused about it: reason and question."""
    metadata = json.loads(row["metadata"] or "{}")
    if refused:
        metadata["refused"] = [{"reason": reason, "question": asked} for reason, asked in refused]
    return {**row, "metadata": json.dumps(metadata, ensure_ascii=False)}


def _wide(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _folded(text: str) -> str:
    return _SKIPPED.sub("", _wide(text))


def _is_han(char: str) -> bool:
    return "\u3400" <= char[0] <= "\u9fff"


@cache
def _template(path: str, language: str) -> str:
    if path:
        text = Path(path).read_text(encoding="utf-8-sig")
        try:
            text.format(text="", number=1)
        except (KeyError, IndexError, ValueError) as error:
            raise UserError(f"the prompt cannot be filled in: {error}", path,
                            "use {text} and {number} only, and double every other brace") from None  # fmt: skip
        if "{text}" not in text:
            raise UserError("the prompt has no place for the text", path, "write {text} where it shall stand")
        return text
    import yaml

    return str(yaml.safe_load(Path(__file__).with_name("synthesize.yaml").read_text(encoding="utf-8"))[language])
