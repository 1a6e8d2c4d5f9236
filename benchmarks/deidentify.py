"""De-identification against gold spans, beside Presidio: recall, precision and speed, class by class.

    METIER_DATA_MIRROR=... python benchmarks/deidentify.py [--only english,contextual,chinese,cluener,speed]

Criterion. A gold span is found (overlap) if findings of an accepted kind cover at least half of its characters, and
found exactly (strict) if one finding has the same borders. A finding is right if gold spans that accept its kind
cover at least half of it. Pattern classes are those that a pattern can tell without knowing the world: numbers,
codes, addresses of the network, dates with day and month. Names, places, organisations, professions and street
addresses of any country are printed, but not counted among them; neither are bare years and weekdays, which point to
nobody.
Presidio runs with its default recognisers on a blank spaCy pipeline, as anybody without a download has it.
The Chinese set is generated (deidentify_chinese.py): invoices, notes, judgments, contracts and chat with traps.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deidentify_chinese import Document, documents

from metier.prepare.deidentify.recognise.find import find

Found = list[tuple[int, int, str]]
Finder = Callable[[str], Found]

# Gold type -> kinds that name it. The second table: which of Presidio's types do.
ACCEPTED: dict[str, set[str]] = {
    "CREDIT_CARD": {"card"}, "EMAIL_ADDRESS": {"email"}, "IBAN_CODE": {"iban"}, "US_SSN": {"national_id"},
    "IP_ADDRESS": {"ip"}, "DOMAIN_NAME": {"url"}, "PHONE_NUMBER": {"phone"}, "DATE_TIME": {"date", "birth_date"},
    "US_DRIVER_LICENSE": {"driving_licence"}, "ZIP_CODE": {"postcode", "address"}, "PERSON": {"person"}, "AGE": {"age"},
    "STREET_ADDRESS": {"address", "postcode"}, "ADDRESS": {"address", "postcode"},
}  # fmt: skip
PRESIDIO = {
    "CREDIT_CARD": "card",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "US_SSN": "national_id",
    "US_ITIN": "national_id",
    "IP_ADDRESS": "ip",
    "URL": "url",
    "PHONE_NUMBER": "phone",
    "DATE_TIME": "date",
    "US_DRIVER_LICENSE": "driving_licence",
    "PERSON": "person",
    "MAC_ADDRESS": "mac",
    "US_BANK_NUMBER": "account",
    "UK_NHS": "national_id",
    "CRYPTO": "wallet",
    "US_PASSPORT": "passport",
    "MEDICAL_LICENSE": "licence",
}
PATTERN = (
    "CREDIT_CARD",
    "EMAIL_ADDRESS",
    "IBAN_CODE",
    "US_SSN",
    "IP_ADDRESS",
    "DOMAIN_NAME",
    "PHONE_NUMBER",
    "DATE_TIME",
    "US_DRIVER_LICENSE",
)
KINDS = {kind for name in PATTERN for kind in ACCEPTED[name]}
SETS = (
    ("synth_dataset_v2 (looked at while the rules were written)", "data/synth_dataset_v2.json"),
    ("generated_large (not looked at while the rules were written)", "tests/data/generated_large.json"),
    ("generated_small (not looked at while the rules were written)", "tests/data/generated_small.json"),
)
_BARE = re.compile(r"(?:19|20)\d\d|[A-Za-z]+day", re.IGNORECASE)


@dataclass
class Score:
    """Counts of one class."""

    gold: int = 0
    found: int = 0
    exact: int = 0
    predicted: int = 0
    right: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def mirror() -> Path:
    """The folder with the public data."""
    if not os.environ.get("METIER_DATA_MIRROR"):
        sys.exit("set METIER_DATA_MIRROR to the folder that holds deid/presidio-research")
    return Path(os.environ["METIER_DATA_MIRROR"]) / "deid"


def metier(text: str) -> Found:
    """Our own rules with their defaults."""
    return [(span.start, span.end, span.kind) for span in find(text)]


THERE = find_spec("presidio_analyzer") is not None  # a peer that is not installed has a dash in its column


def peer(found: int, gold: int) -> str:
    """The peer's share, for a cell."""
    return f"{found / gold:.3f}" if THERE else "–"


@cache
def _analyzer(language: str) -> Any:
    from metier.prepare.deidentify.presidio import analyzer

    return analyzer(language, everything=True)


def presidio(text: str, language: str = "en") -> Found:
    """Presidio's default recognisers; of findings over each other the surest, then the longest. [] without Presidio."""
    if not THERE:
        return []
    results = _analyzer(language).analyze(text=text, language=language)
    kept: Found = []
    for item in sorted(results, key=lambda item: (-item.score, item.start - item.end)):
        if all(item.end <= start or item.start >= end for start, end, _ in kept):
            kept.append((item.start, item.end, PRESIDIO.get(item.entity_type, item.entity_type.lower())))
    return sorted(kept)


def covered(start: int, end: int, spans: Iterable[tuple[int, int]]) -> float:
    """Share of start..end that the spans, which do not overlap each other, lie on."""
    return sum(max(0, min(end, right) - max(start, left)) for left, right in spans) / max(1, end - start)


def english(path: Path, finder: Finder) -> dict[str, Score]:
    """Scores per gold type, and under "*" those of all pattern classes."""
    scores: dict[str, Score] = defaultdict(Score)
    for item in json.loads(path.read_text(encoding="utf-8")):
        text, found = item["full_text"], finder(item["full_text"])
        gold = [(span["start_position"], span["end_position"], span["entity_type"]) for span in item["spans"]]
        for start, end, name in gold:
            if name == "DATE_TIME" and _BARE.fullmatch(text[start:end]):
                name = "DATE_TIME, year or weekday"
            fitting = [(a, b) for a, b, kind in found if kind in ACCEPTED.get(name, ())]
            hit = covered(start, end, fitting) >= 0.5
            for score in (scores[name], *([scores["*"]] if name in PATTERN else [])):
                score.gold, score.found = score.gold + 1, score.found + hit
                score.exact += (start, end) in fitting
                if not hit:
                    score.missed.append(
                        text[max(0, start - 40) : start] + "⟦" + text[start:end] + "⟧" + text[end : end + 20]
                    )
        for start, end, kind in found:
            if kind not in KINDS:
                continue
            right = covered(start, end, [(a, b) for a, b, name in gold if kind in ACCEPTED.get(name, ())]) >= 0.5
            scores["*"].predicted, scores["*"].right = scores["*"].predicted + 1, scores["*"].right + right
            if not right:
                scores["*"].wrong.append(
                    f"{kind}: " + text[max(0, start - 40) : start] + "⟦" + text[start:end] + "⟧" + text[end : end + 20]
                )
    return scores


def print_english(show: int) -> None:
    """The three sets of presidio-research."""
    for title, name in SETS:
        path = mirror() / "presidio-research" / name
        ours, theirs = english(path, metier), english(path, presidio)
        print(f"\n### presidio-research, {title}\n")
        print(
            "| class | gold | recall (overlap) | recall (strict) | Presidio, overlap | Presidio, strict |\n| --- "
            "| ---: | ---: | ---: | ---: | ---: |"
        )
        order = sorted(ours, key=lambda key: (key != "*", key not in PATTERN, -ours[key].gold))
        for key in order:
            if key != "*" and key not in ACCEPTED:
                continue
            a, b = ours[key], theirs[key]
            label = "**all pattern classes**" if key == "*" else key if key in PATTERN else f"{key} (no pattern class)"
            print(
                f"| {label} | {a.gold} | {a.found / a.gold:.3f} | {a.exact / a.gold:.3f} | {peer(b.found, a.gold)} "
                f"| {peer(b.exact, a.gold)} |"
            )
        for who, score in (("Metier", ours["*"]), *([("Presidio", theirs["*"])] if THERE else [])):
            print(
                f"\n{who}: precision over the pattern classes {score.right / max(1, score.predicted):.3f} "
                f"({score.right} of {score.predicted})."
            )
        for key in order[:1] if show else []:
            print(
                "\n".join(
                    ["missed:", *map(repr, ours[key].missed[:show]), "wrong:", *map(repr, ours[key].wrong[:show])]
                )
            )


# Tag of contextual-anonymizer -> kinds that name it.
TAGS: dict[str, set[str]] = {
    "EMAIL": {"email"}, "PHONE": {"phone"}, "DATE": {"date", "birth_date"}, "ADDRESS": {"address"}, "NAME": {"person"},
    "DOCTOR": {"person"}, "ACCOUNT": {"account", "person_number", "card", "iban", "medical_record", "insurance"},
    "POLICY_NUMBER": {"insurance"}, "CLAIM_ID": {"insurance"}, "CASE_NUMBER": {"case_number"}, "PESEL": {"national_id"},
    "NIP": {"tax_id"}, "LINK": {"url"}, "USERNAME": {"person", "social"},
}  # fmt: skip


def originals(item: dict[str, str]) -> list[tuple[int, int, str]]:
    """Where the tags of the masked text stand in the original, by the plain text between them; [] if it was
    reworded."""
    parts = re.split(r"\[([A-Z_]+?)(?:_\d+)?\]", item["anonymized_context"])
    pattern = "".join(re.escape(part) if place % 2 == 0 else "(.+?)" for place, part in enumerate(parts))
    found = re.fullmatch(pattern, item["context"], re.S)
    return [(*found.span(place + 1), tag) for place, tag in enumerate(parts[1::2])] if found else []


def contextual(finder: Finder) -> tuple[dict[str, list[int]], int, int]:
    """Tag -> [gold, found]; pairs used, pairs left out. Values that are written as a tag stay out as well."""
    data = json.loads((mirror() / "contextual-anonymizer/synthetic_data.json").read_text(encoding="utf-8"))["data"]
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    used = 0
    for item in data:
        gold = originals(item)
        used += bool(gold)
        found = finder(item["context"]) if gold else []
        for start, end, tag in gold:
            value = item["context"][start:end]
            if tag not in TAGS or "[" in value or (tag == "DATE" and not re.search(r"\d", value)):
                continue
            counts[tag][0] += 1
            counts[tag][1] += covered(start, end, [(a, b) for a, b, kind in found if kind in TAGS[tag]]) >= 0.5
    return counts, used, len(data) - used


def print_contextual() -> None:
    """Recall per class; the set has no spans, so precision is not defined."""
    ours, used, left = contextual(metier)
    theirs, _, _ = contextual(presidio)
    print(
        f"\n### contextual-anonymizer\n\n{used} pairs; {left} were reworded by their authors and cannot be aligned. "
        f"Dates with a digit only.\n"
    )
    print("| class | values | recall | Presidio |\n| --- | ---: | ---: | ---: |")
    for tag, (gold, found) in sorted(ours.items(), key=lambda row: -row[1][0]):
        print(f"| {tag} | {gold} | {found / gold:.3f} | {peer(theirs[tag][1], gold)} |")


CHECKED = ("national_id", "company_id", "card")  # kinds of the Chinese set that have a check digit


def chinese(finder: Finder, made: list[Document]) -> dict[str, Score]:
    """Scores per kind of the generated set, "*" over all, "trap" for what must stay."""
    scores: dict[str, Score] = defaultdict(Score)
    for document in made:
        found = finder(document.text)
        for start, end, kind in document.gold:
            hit = covered(start, end, [(a, b) for a, b, name in found if name == kind or (kind, name) in SAME]) >= 0.99
            for key in (kind, "*"):
                scores[key].gold, scores[key].found = scores[key].gold + 1, scores[key].found + hit
            if not hit:
                scores[kind].missed.append(document.text[max(0, start - 20) : end + 10])
        for start, end, kind in found:
            right = covered(start, end, [(a, b) for a, b, _ in document.gold]) >= 0.5
            for key in (kind, "*"):
                scores[key].predicted, scores[key].right = scores[key].predicted + 1, scores[key].right + right
            if not right:
                scores[kind].wrong.append(
                    document.text[max(0, start - 20) : start]
                    + "⟦"
                    + document.text[start:end]
                    + "⟧"
                    + document.text[end : end + 10]
                )
        for start, end, name in document.traps:
            hit = any(a < end and start < b for a, b, _ in found)
            for key in (f"trap: {name}", "traps"):
                scores[key].gold, scores[key].found = scores[key].gold + 1, scores[key].found + hit
    return scores


SAME = {("birth_date", "date"), ("date", "birth_date"), ("account", "card"), ("card", "account")}


def print_chinese(count: int, show: int) -> None:
    """Recall and precision per kind, and how many traps were touched."""
    made = documents(count)
    ours, theirs = chinese(metier, made), chinese(lambda text: presidio(text, "zh"), made)
    print(f"\n### Chinese, generated ({count} documents, {sum(len(d.text) for d in made):,} characters)\n")
    print("| kind | gold | recall (whole span) | precision | Presidio, recall |\n| --- | ---: | ---: | ---: | ---: |")
    for key in sorted(
        (key for key in ours if ours[key].gold and not key.startswith("trap")),
        key=lambda key: (key != "*", -ours[key].gold),
    ):
        a, b = ours[key], theirs[key]
        precision = f"{a.right / a.predicted:.3f}" if a.predicted else "-"
        print(
            f"| {'**all**' if key == '*' else key} | {a.gold} | {a.found / a.gold:.3f} | {precision} "
            f"| {peer(b.found, a.gold)} |"
        )
    glued = [text for document in made for text in document.glued]
    missed = [text for text, value in glued if value not in [text[a:b] for a, b, _ in metier(text)]]
    checked = [sum(getattr(ours[kind], name) for kind in CHECKED) for name in ("found", "gold")]
    print(f"\nIdentifiers with a check digit: {checked[0]} of {checked[1]} ({checked[0] / checked[1]:.4f}). "
          f"Glued to words: {len(glued) - len(missed)} of {len(glued)} found, {len(missed)} missed.")  # fmt: skip
    print("\n| trap | standing | touched by Metier | by Presidio |\n| --- | ---: | ---: | ---: |")
    for key in sorted(key for key in ours if key.startswith("trap: ")):
        print(f"| {key[6:]} | {ours[key].gold} | {ours[key].found} | {theirs[key].found if THERE else '–'} |")
    for key in ours if show else []:
        print(key, *map(repr, [*ours[key].missed[:show], "wrong:", *ours[key].wrong[:show]]), sep="\n   ")


def print_cluener() -> None:
    """Names and addresses in Chinese news sentences, which have neither labels nor numbers: what rules cannot do."""
    counts: dict[str, list[int]] = {"name": [0, 0], "address": [0, 0]}
    found_persons = right = 0
    for item in _objects((mirror() / "cluener-zh/dev.json").read_text(encoding="utf-8")):
        found = metier(item["text"])
        gold = {
            name: [(a, b + 1) for places in item["label"].get(name, {}).values() for a, b in places] for name in counts
        }
        for name, kind in (("name", "person"), ("address", "address")):
            for start, end in gold[name]:
                counts[name][0] += 1
                counts[name][1] += covered(start, end, [(a, b) for a, b, other in found if other == kind]) >= 0.5
        persons = [(a, b) for a, b, kind in found if kind == "person"]
        found_persons += len(persons)
        right += sum(covered(a, b, gold["name"]) >= 0.5 for a, b in persons)
    print("\n### CLUENER, names alone in news (dev)\n\n| type | gold | recall |\n| --- | ---: | ---: |")
    for name, (gold_count, hits) in counts.items():
        print(f"| {name} | {gold_count} | {hits / gold_count:.3f} |")
    print(f"\nOf {found_persons} persons found, {right} are in the gold names.")


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects one after the other, over several lines each."""
    decoder, place = json.JSONDecoder(), 0
    while (place := text.find("{", place)) >= 0:
        item, place = decoder.raw_decode(text, place)
        yield item


def speed() -> None:
    """Megabytes of UTF-8 a second, one process, on the three kinds of text."""
    data = json.loads((mirror() / "contextual-anonymizer/synthetic_data.json").read_text(encoding="utf-8"))["data"]
    sets = {
        "English, dense (contextual-anonymizer)": ([item["context"] for item in data[:1000]], "en"),
        "Chinese, dense (generated)": ([document.text for document in documents(500)], "zh"),
    }
    for name, language in (("wikipedia-en", "en"), ("wikipedia-zh", "zh")):
        texts = _prose(mirror().parent / "general" / f"{name}.parquet")
        if texts:
            sets[f"{name}, articles"] = (texts, language)
    print("\n### Speed\n\n| texts | MB | Metier, MB/s | Presidio, MB/s | times |\n| --- | ---: | ---: | ---: | ---: |")
    for name, (texts, language) in sets.items():
        size = sum(len(text.encode()) for text in texts) / 1e6
        metier(texts[0]), presidio(texts[0], language)
        ours = _seconds(metier, texts)
        part = texts[: max(1, len(texts) // 10)]
        theirs = (
            _seconds(lambda text, language=language: presidio(text, language), part)
            * size
            * 1e6
            / sum(len(text.encode()) for text in part)
        )
        beside = f"{size / theirs:.3f} | {theirs / ours:.0f}" if THERE else "– | –"
        print(f"| {name} | {size:.2f} | {size / ours:.2f} | {beside} |")


def _prose(path: Path) -> list[str]:
    """About 2 MB of articles."""
    import pyarrow.parquet as pq

    texts: list[str] = []
    for batch in pq.ParquetFile(path).iter_batches(200) if path.exists() else []:
        texts += [text for text in batch.column("text").to_pylist() if text]
        if sum(map(len, texts)) > 1_000_000:
            break
    return texts


def _seconds(finder: Finder, texts: list[str]) -> float:
    start = time.perf_counter()
    for text in texts:
        finder(text)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="english,contextual,chinese,cluener,speed")
    parser.add_argument("--documents", type=int, default=2000, help="documents of the Chinese set")
    parser.add_argument("--show", type=int, default=0, help="so many misses and false findings of each class")
    given = parser.parse_args()
    wanted = Counter(given.only.split(","))
    parts = {"english": lambda: print_english(given.show), "contextual": print_contextual,
             "chinese": lambda: print_chinese(given.documents, given.show), "cluener": print_cluener,
             "speed": speed}  # fmt: skip
    for name, part in parts.items():
        if wanted[name]:
            part()


if __name__ == "__main__":
    main()
