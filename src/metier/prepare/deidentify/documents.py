"""Documents without what points to a person, and an account of what was found.

Purpose: text, title, file name and metadata are searched with the same rules; each finding is replaced by the policy
of its kind, counted as `deidentified:<kind>`, and listed in the changes without its original. Before the first
document, names that stand beside their labels are gathered for each group (patient, client, matter), so that the note
of March knows whom the form of January named.
Trade-off: labels, values and splits are left as they are (they are what a model shall learn); so are ids, which are
hashes of the original text. The documents as collected still hold everything: they lie in the store of the run.
Not covered: pictures, and whatever `recognise` does not cover.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier.prepare.deidentify import dictionary, vault
from metier.prepare.deidentify.config import DeidentifyConfig
from metier.prepare.deidentify.operation import NAME
from metier.prepare.deidentify.recognise import people as known_people
from metier.prepare.deidentify.recognise.find import find
from metier.prepare.deidentify.recognise.folding import fold
from metier.prepare.deidentify.recognise.rule import CHECKED, SHAPE, Span
from metier.prepare.deidentify.replace import key as keys
from metier.prepare.deidentify.replace import people
from metier.prepare.deidentify.replace.days import Shift, shift_of
from metier.prepare.deidentify.replace.surrogate import Surrogates
from metier.prepare.deidentify.replace.text import Replacement, is_chinese, replace
from metier.prepare.fields import KEY, moved
from metier.prepare.operation import Result, Settings, with_texts

ROLES = frozenset({"label", "labels", "value", "split"})  # of the metadata: what a model shall learn, left alone
TURNS = ("messages", "prompt", "chosen", "rejected")  # lists of turns that `fields` point into
_NAMES = pa.schema([("group", pa.string()), ("name", pa.string())])


@dataclass(frozen=True)
class Knowledge:
    """What every batch needs to know: the key, the lists of the source system, and the names found in each group."""

    key: bytes = field(default=b"", repr=False)  # no traceback may show it
    names: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass
class _Account:
    """What came together over one batch."""

    counts: Counter[str] = field(default_factory=Counter)
    changes: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[dict[str, Any]] = field(default_factory=list)


def observe(batch: pa.Table, settings: Settings) -> pa.Table:
    """The names beside their labels, with the group that they belong to."""
    config = settings.config.deidentify
    rows: list[dict[str, str]] = []
    if config.names.repeat and config.names.context:
        for text, group in zip(batch["text"].to_pylist(), batch["group"].to_pylist(), strict=True):
            if group and text:
                found = find(text, ages_from=config.ages_from)
                names = {
                    text[span.start : span.end] for span in found if span.kind == "person" and span.weight >= SHAPE
                }
                rows += [{"group": group, "name": name} for name in sorted(names) if len(name) > 1 and "某" not in name]
    return pa.Table.from_pylist(rows, schema=_NAMES)


def knowledge_of(config: DeidentifyConfig, observed: Iterable[pa.Table] = ()) -> Knowledge:
    """What the settings name, and what was observed. UserError: no key, or no list."""
    groups: dict[str, set[str]] = {}
    for part in observed:
        for row in part.to_pylist():
            groups.setdefault(row["group"], set()).add(row["name"])
    names, numbers = dictionary.load(config.names.dictionary) if config.names.dictionary else ((), ())
    key = keys.load(config) if config.needs_key() else b""
    return Knowledge(key, names, numbers, {group: tuple(sorted(groups[group])) for group in sorted(groups)})


def apply(batch: pa.Table, settings: Settings, knowledge: Knowledge) -> Result:
    """Replace in text, title, source, metadata and group; no document leaves."""
    config = settings.config.deidentify
    worker = Worker(config, knowledge)
    account, rows = _Account(), batch.to_pylist()
    more = worker.more([row["text"] or "" for row in rows], [row["language"] or "" for row in rows])
    columns: dict[str, list[str]] = {name: [] for name in ("text", "title", "source", "group", "metadata")}
    for row, extra in zip(rows, more, strict=True):
        for name, value in worker.document(row, extra, account).items():
            columns[name].append(value)
    batch = with_texts(batch, columns.pop("text"))
    for name, values in columns.items():
        batch = batch.set_column(batch.schema.get_field_index(name), name, pa.array(values, pa.string()))
    if config.vault:
        vault.write(Path(config.vault), account.secrets)
    return Result(batch, changes=account.changes, counts=dict(account.counts))


class Worker:
    """Settings and knowledge made ready for many documents."""

    def __init__(self, config: DeidentifyConfig, knowledge: Knowledge) -> None:
        self.config, self.knowledge = config, knowledge
        self.lists = known_people.patterns(knowledge.names) + known_people.patterns(knowledge.numbers, "person_number")
        self.groups: dict[str, Any] = {}

    def more(self, texts: Sequence[str], languages: Sequence[str]) -> list[list[Span]]:
        """What models and other packages find in the texts."""
        found: list[list[Span]] = [[] for _ in texts]
        if self.config.names.model:
            from metier.prepare.deidentify import tagger

            kinds = frozenset({"person", "address"} | ({"organisation"} if self.config.organisations else set()))
            for spans, named in zip(found, tagger.spans(self.config.names.model, texts, kinds), strict=True):
                spans += named
        if self.config.names.presidio:
            from metier.prepare.deidentify import presidio

            for spans, text, language in zip(found, texts, languages, strict=True):
                spans += presidio.spans(text, language)
        return found

    def document(self, row: dict[str, Any], more: Sequence[Span], account: _Account) -> dict[str, str]:
        """The five columns of one document as they shall be."""
        text, language, group = row["text"] or "", row["language"] or "", row["group"] or ""
        own = self._own(row)
        spans = self.find(text, more, own, group)
        surrogates = self._surrogates(row, text, spans)
        new, done = self._replace(text, language, spans, surrogates)
        if self.config.names.repeat:  # who is named in the text may be named in the metadata without any cue
            own = [*own, *known_people.patterns({text[s.start : s.end] for s in spans if s.kind == "person"})]
        source = self._place("source", row, own, surrogates, account)
        result = {
            "text": new,
            "source": source,
            "title": self._place("title", row, own, surrogates, account),
            "group": self._place("group", row, own, surrogates, account),
            "metadata": _with_fields(row, self._metadata(row, own, surrogates, account), done),
        }
        if group and self.config.place("group") == "keep":
            account.counts["deidentify:group kept"] += 1
        if any(item.policy != "keep" for item in done):
            account.counts["deidentify:documents"] += 1
        for item in done:
            self._count("deidentified", item, account)
            if item.policy != "keep":
                account.changes.append(
                    {
                        "id": row["id"],
                        "source": source,
                        "step": NAME,
                        "start": item.start,
                        "end": item.end,
                        "before": item.before if item.kind in self.config.shown else "",
                        "after": item.after,
                        "reason": item.kind,
                    }
                )
        self._keep_secret(row, "text", done, account)
        return result

    def source(self, row: dict[str, Any]) -> str:
        """The source as this step would have written it, for a document that left before. row: without its text."""
        return self._place("source", row, self._own(row), self._surrogates(row, "", ()), _Account())

    def find(self, text: str, more: Sequence[Span] = (), own: Sequence[Any] = (), group: str = "") -> list[Span]:
        """All findings in one text. own: patterns of the document's own names."""
        config, view = self.config, fold(text)
        spans = [
            *more,
            *known_people.known(view, self.lists, "dictionary", CHECKED - 3),
            *known_people.known(view, own, "own name", CHECKED - 3),
        ]
        if group in self.knowledge.groups and config.names.repeat:
            if group not in self.groups:
                self.groups[group] = known_people.patterns(self.knowledge.groups[group])
            spans += known_people.known(view, self.groups[group], "name of the group")
        return find(text, spans, config.ages_from, config.names.context, config.organisations, config.names.repeat)

    def _own(self, row: dict[str, Any]) -> list[Any]:
        """Patterns for what the document's own fields name."""
        if not self.config.names.columns:
            return []
        fields = _fields(row)
        values = [str(fields[name]) for name in self.config.names.columns if fields.get(name)]
        numbers = [value for value in values if dictionary.is_number(value)]
        return known_people.patterns(set(values) - set(numbers)) + known_people.patterns(numbers, "person_number")

    def _surrogates(self, row: dict[str, Any], text: str, spans: Sequence[Span]) -> Surrogates | None:
        if not self.knowledge.key:
            return None
        subject = row["group"] or f"{row['source']}\0{row['id']}"
        shift = Shift(shift_of(self.knowledge.key, subject), day_first=self.config.day_first)
        known = people.full_names([text[span.start : span.end] for span in spans if span.kind == "person"])
        return Surrogates(self.knowledge.key, shift, self.config.ages_from, known)

    def _replace(
        self, text: str, language: str, spans: Sequence[Span], surrogates: Surrogates | None
    ) -> tuple[str, list[Replacement]]:
        return replace(text, spans, self.config.policy_of, is_chinese(text, language), surrogates)

    def _place(
        self, name: str, row: dict[str, Any], own: Sequence[Any], surrogates: Surrogates | None, account: _Account
    ) -> str:
        """A column other than the text, by its way."""
        value, way = row[name] or "", self.config.place(name)
        if not value or way == "keep":
            return value
        if way != "scan":
            account.counts[f"deidentify:{name} {way}"] += 1
        if way == "drop":
            return ""
        if way == "hash":
            made = keys.token(self.knowledge.key, name, value)
            self._keep_secret(row, name, [Replacement(0, len(value), name, "hash", "surrogate", value, made)], account)
            return made
        new, done = self._replace(
            value, row["language"] or "", self.find(value, (), own, row["group"] or ""), surrogates
        )
        for item in done:
            self._count(f"deidentified in {name}", item, account)
        self._keep_secret(row, name, done, account)
        return new

    def _metadata(
        self, row: dict[str, Any], own: Sequence[Any], surrogates: Surrogates | None, account: _Account
    ) -> str:
        """Every text in the JSON but what a model shall learn; names.columns become what their policy says as a
        whole."""
        raw, way = row["metadata"] or "", self.config.place("metadata")
        if not raw or way == "keep":
            return raw
        fields = _fields(row)
        if way == "drop":
            account.counts["deidentify:metadata drop"] += 1
            return json.dumps({name: value for name, value in fields.items() if name in ROLES}, ensure_ascii=False)
        new = {
            name: value if name in ROLES else self._within(name, value, row, own, surrogates, account)
            for name, value in fields.items()
        }
        return json.dumps(new, ensure_ascii=False)

    def _within(
        self,
        name: str,
        value: Any,
        row: dict[str, Any],
        own: Sequence[Any],
        surrogates: Surrogates | None,
        account: _Account,
    ) -> Any:
        if isinstance(value, dict):
            return {key: self._within(key, item, row, own, surrogates, account) for key, item in value.items()}
        if isinstance(value, list):
            return [self._within(name, item, row, own, surrogates, account) for item in value]
        whole = name in self.config.names.columns
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            return value
        text = str(value)
        if whole:
            spans = [
                Span(0, len(text), "person_number" if dictionary.is_number(text) else "person", "own name", CHECKED)
            ]
        else:
            spans = self.find(text if isinstance(value, str) else f"{name}: {text}", (), own, row["group"] or "")
            if not isinstance(value, str):  # a number is read with its name as a label
                spans = [
                    Span(0, len(text), span.kind, span.rule) for span in spans if span.end == len(f"{name}: {text}")
                ]
        new, done = self._replace(text, row["language"] or "", spans, surrogates)
        for item in done:
            self._count("deidentified in metadata", item, account)
        self._keep_secret(row, f"metadata.{name}", done, account)
        return new if done else value

    def _count(self, prefix: str, item: Replacement, account: _Account) -> None:
        account.counts[f"found and kept:{item.kind}" if item.policy == "keep" else f"{prefix}:{item.kind}"] += 1
        if item.policy == "placeholder" and self.config.policy_of(item.kind) == "surrogate":
            account.counts["deidentify:no surrogate"] += 1

    def _keep_secret(self, row: dict[str, Any], name: str, done: Sequence[Replacement], account: _Account) -> None:
        if self.config.vault:
            account.secrets += [
                {
                    "document": row["id"],
                    "field": name,
                    "kind": item.kind,
                    "policy": item.policy,
                    "after": item.after,
                    "before": item.before,
                }
                for item in done
                if item.policy != "keep"
            ]


def _with_fields(row: dict[str, Any], metadata: str, done: Sequence[Replacement]) -> str:
    """The new metadata with the places of the text's fields as they are now, and, where metadata are dropped, with
    the roles of the turns: without them the fields could not be read."""
    before = _fields(row)
    if not isinstance(before.get(KEY), list):
        return metadata
    changes = [(item.start, item.end, item.after) for item in done if item.policy != "keep"]
    told = {**json.loads(metadata or "{}"), KEY: moved(before[KEY], sorted(changes))}
    for name in TURNS:
        if isinstance(before.get(name), list) and name not in told:
            told[name] = [{key: turn[key] for key in ("role", "loss") if key in turn} for turn in before[name]]
    if "shape" in before:
        told["shape"] = before["shape"]
    return json.dumps(told, ensure_ascii=False)


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    try:
        fields = json.loads(row["metadata"] or "{}")
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
