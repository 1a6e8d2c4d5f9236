"""Keep the documents that are most like a sample of the field: importance weights over hashed n-grams.

Purpose: of a large general pile, the part worth training on. Each text is a bag of n-grams (words 1 and 2; in Chinese
characters 1 to 3) hashed into buckets; its score is the mean log-ratio of their frequency in the target files and in
the documents, in nats per n-gram. `observe` counts the pile and draws a sample of documents, `conclude` takes from the
sample the score that the best `keep` reach, for each language apart, `apply` keeps those. Scores stay in the metadata.
Source: Xie et al. 2023 (DSIR). Ours differs in two ways: the mean and not the sum, or length would decide; and a limit
taken from a sample of fixed size, so that memory does not grow with the pile.
Trade-off: n-grams know no synonyms; a target file that is small or one-sided selects what is one-sided.
Not covered: quality, and balance between the parts of a field.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metier import tables
from metier.errors import UserError
from metier.prepare.config_texts import SelectConfig
from metier.prepare.flow import count
from metier.prepare.operation import Result, Settings, text_operation

Array = NDArray[Any]

BUCKETS = 10_000  # as in the paper
LONGEST = 200_000  # characters of one text that are looked at
OBSERVED = pa.schema([("draw", pa.int64()), ("id", pa.string()), ("language", pa.string()),
                      ("buckets", pa.list_(pa.int32())), ("counts", pa.list_(pa.int32()))])  # fmt: skip
POOL = -1  # the draw of the row that holds the counts of all documents
_TOKEN = re.compile(r"[\u3400-\u9fff\U00020000-\U000323af]|[^\W\d_\u3400-\u9fff]+|\d+")


@dataclass(frozen=True)
class Knowledge:
    """ratio: log-ratio of each bucket, float64 (BUCKETS,). limits: language -> the key from which a document stays."""

    ratio: Array
    limits: Mapping[str, float]


def features(text: str) -> Counter[int]:
    """Bucket -> how often its n-grams stand in the text. A figure is a figure, whichever it is."""
    found: Counter[str] = Counter()
    first = second = ""
    for token in _TOKEN.findall(text[:LONGEST]):
        token = "0" if token.isdecimal() else token.casefold()
        found[token] += 1
        if second:
            found[f"{second} {token}"] += 1
            if first and _han(first) and _han(second) and _han(token):
                found[f"{first} {second} {token}"] += 1
        first, second = second, token
    buckets: Counter[int] = Counter()
    for gram, number in found.items():
        buckets[_bucket(gram)] += number
    return buckets


def observe(batch: pa.Table, settings: Settings) -> pa.Table:
    """One row with the counts of the batch, and one for each document that may be in the sample."""
    pool: Counter[int] = Counter()
    drawn: list[tuple[int, str, str, Counter[int]]] = []
    for id, language, text in zip(*(batch[name].to_pylist() for name in ("id", "language", "text")), strict=True):
        found = features(text)
        pool.update(found)
        if found:
            drawn.append((_draw(id, "sample"), id, language, found))
    drawn = heapq.nsmallest(settings.config.select.sample, drawn, key=lambda entry: entry[:2])
    return _table([(POOL, "", "", pool), *drawn])


def conclude(observed: Sequence[pa.Table], settings: Settings) -> Knowledge:
    """The log-ratios, and for each language the key that the best share of its sample reaches."""
    config = settings.config.select
    table = pa.concat_tables([OBSERVED.empty_table(), *observed])
    pool = np.zeros(BUCKETS)
    sample: list[tuple[int, str, str, list[int], list[int]]] = []
    for columns in zip(*(table[name].to_pylist() for name in OBSERVED.names), strict=True):
        if columns[0] == POOL:
            np.add.at(pool, columns[3], columns[4])
        else:
            sample.append(columns)
    ratio = np.log(_smoothed(target_counts(tuple(config.target)))) - np.log(_smoothed(pool))
    keys: dict[str, list[float]] = {}
    for _, id, language, buckets, counts in heapq.nsmallest(config.sample, sample, key=lambda entry: entry[:2]):
        keys.setdefault(language, []).append(key(_score(ratio, buckets, counts), id, settings))
    return Knowledge(ratio, {language: _limit(found, config.keep) for language, found in sorted(keys.items())})


def key(score: float, id: str, settings: Settings) -> float:
    """What documents are ranked by: the score, with Gumbel noise if the recipe draws."""
    config = settings.config.select
    if config.method == "top":
        return score
    even = (_draw(id, f"gumbel {settings.seed}") + 0.5) / 2**63
    return float(score / config.temperature - np.log(-np.log(even)))


def note(counts: Mapping[str, int]) -> str:
    """For the funnel."""
    return f"{count(counts.get('kept', 0), 'text')} like the target, {counts.get('left', 0):,} less like it"


@text_operation("select", note, lambda config: bool(config.select.target), observe, conclude)
def select(batch: pa.Table, settings: Settings, knowledge: Any) -> Result:
    """Reject what is below the limit of its language (reason "not relevant"); the others get `relevance`."""
    config = settings.config.select
    rows, rejected = [], []
    for row in batch.to_pylist():
        found = features(row["text"])
        score = _score(knowledge.ratio, list(found), list(found.values())) if found else float("-inf")
        limit = knowledge.limits.get(row["language"], float("-inf"))
        if found and key(score, row["id"], settings) >= limit:
            metadata = json.loads(row["metadata"] or "{}") | {"relevance": round(score, 4)}
            rows.append({**row, "metadata": json.dumps(metadata, ensure_ascii=False)})
            continue
        detail = _detail(score, limit, row["language"], config) if found else "the text has neither letters nor figures"
        rejected.append(tables.rejection(row["source"], "prepare", "not relevant", detail, row["id"]))
    return Result(tables.table(rows, tables.DOCUMENTS), rejected, [], {"kept": len(rows), "left": len(rejected)})


@cache
def target_counts(paths: tuple[str, ...]) -> Array:
    """Counts of the target files' n-grams, float64 (BUCKETS,); read once in a process."""
    found: Counter[int] = Counter()
    for path in paths:
        for text in read_texts(Path(path)):
            found.update(features(text))
    if not found:
        raise UserError("the target files hold no text", "prepare.select.target", "name files with texts of the field")
    counts = np.zeros(BUCKETS)
    np.add.at(counts, list(found), list(found.values()))
    return counts


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a target file; UserError for a kind of file that holds none."""
    kind = path.suffix.lower()
    if kind in (".txt", ".md"):
        yield from re.split(r"\n\s*\n", path.read_text(encoding="utf-8-sig", errors="replace"))
    elif kind == ".jsonl":
        with path.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _text_of(line, f"{path}:{number}")
    elif kind == ".parquet":
        if "text" not in pq.read_schema(path).names:
            raise UserError("the file has no column `text`", str(path), "name the column with the texts `text`")
        yield from (text or "" for text in tables.read(path, ["text"])["text"].to_pylist())
    else:
        raise UserError("a target file is .txt, .md, .jsonl or .parquet", str(path), "convert it to one of these")


def _text_of(line: str, where: str) -> str:
    try:
        return str(json.loads(line)["text"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"this line is no JSON object with a key `text` ({error})", where, "mend the line") from None


def _table(entries: Sequence[tuple[int, str, str, Counter[int]]]) -> pa.Table:
    columns = [list(column) for column in zip(*entries, strict=True)]
    parts = [[sorted(found) for found in columns[3]], [[found[b] for b in sorted(found)] for found in columns[3]]]
    arrays = [pa.array(values, field.type) for values, field in zip([*columns[:3], *parts], OBSERVED, strict=True)]
    return pa.Table.from_arrays(arrays, schema=OBSERVED)


def _smoothed(counts: Array) -> Array:
    """Frequencies with one added to each bucket, so that none is zero."""
    return (counts + 1) / (counts.sum() + BUCKETS)


def _score(ratio: Array, buckets: Sequence[int], counts: Sequence[int]) -> float:
    """Mean log-ratio; rounded, so that the order of adding up cannot decide who stays."""
    return round(float(np.average(ratio[np.array(buckets)], weights=np.array(counts))), 9)


def _limit(keys: Sequence[float], share: float) -> float:
    """The smallest key of the best share, rounded to whole documents (one at least)."""
    return sorted(keys, reverse=True)[max(1, round(share * len(keys))) - 1]


def _detail(score: float, limit: float, language: str, config: SelectConfig) -> str:
    share = f"the best {config.keep:.0%} in {language or 'other languages'}"
    if config.method == "gumbel":
        return f"relevance {score:.3f}; not drawn among {share}"
    return f"relevance {score:.3f}, below {limit:.3f}, the limit of {share}"


def _han(token: str) -> bool:
    return "\u3400" <= token[0] <= "\u9fff" or token[0] >= "\U00020000"


@lru_cache(maxsize=1 << 18)
def _bucket(gram: str) -> int:
    return (
        int.from_bytes(hashlib.blake2b(gram.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") % BUCKETS
    )


def _draw(id: str, purpose: str) -> int:
    """63 bits that depend on the document and the purpose only."""
    return int.from_bytes(hashlib.blake2b(f"{purpose} {id}".encode(), digest_size=8).digest(), "big") >> 1
