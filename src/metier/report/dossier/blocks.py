"""Blocks of evidence that sheets are made of, by name.

Purpose: each block is a function from the facts of a run to sentences and tables in one language; a sheet names the
blocks that answer its question. A block without evidence gives nothing, and the sheet says so.
Not covered: laying out (pages.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metier.report import checks, data, evidence, making, opening, slices
from metier.report.words import Words

Facts = Mapping[str, Any]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Grid:
    """A table: heads, then rows of as many strings."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Callable[[Facts, Words], list[str | Grid]]
BLOCKS: dict[str, Block] = {}


def _block(function: Block) -> Block:
    BLOCKS[function.__name__] = function
    return function


@_block
def purpose(facts: Facts, words: Words) -> list[str | Grid]:
    """The recipe's own description and the task."""
    results = facts["results"]
    kind = str((results.get("profile") or {}).get("kind") or (results.get("task") or {}).get("name"))
    classes = words.count((results.get("data") or {}).get("classes"))
    task = f"{words('card.use_task')}{words('colon')}{words.known('card.task', kind, kind).format(n=classes)}"
    description = (facts.get("recipe") or {}).get("description")
    return [*([str(description)] if description else []), task]


@_block
def versions(facts: Facts, words: Words) -> list[str | Grid]:
    """Packages, and the fingerprints that name this version."""
    m = making.making(facts, words)
    return [
        Grid([words("reproduce.stage"), words("reproduce.fingerprint")], m["fingerprints"]),
        Grid([words("reproduce.package"), words("reproduce.version")], m["packages"]),
    ]


@_block
def weights(facts: Facts, words: Words) -> list[str | Grid]:
    """Files of the tuned model with their SHA-256."""
    files = facts.get("model_files") or {}
    return [Grid([words("lineage.file"), "SHA-256"], sorted(files.items()))] if files else []


@_block
def base(facts: Facts, words: Words) -> list[str | Grid]:
    """The model that this one came from: a third party's part."""
    found = (facts.get("train") or {}).get("base") or {}
    rows = [(words(f"dossier.base_{name}"), str(found.get(name) or words("not_provided")))
            for name in ("model", "revision", "license", "sha256")]  # fmt: skip
    return [Grid([words("dossier.base"), words("settings.value")], rows)] if found else []


@_block
def machine(facts: Facts, words: Words) -> list[str | Grid]:
    """What it was trained on, what that cost, and what a request will."""
    m = making.making(facts, words)
    rows = [*m["machine"], (words("cost.total"), m["cost"]["total"]), *m["cost"]["training"], *m["cost"]["use"]]
    return [Grid([words("cost.facts"), words("settings.value")], rows), words("cost.use_note")]


@_block
def stages(facts: Facts, words: Words) -> list[str | Grid]:
    """The steps of development and the time of each."""
    rows = [(row["name"], row["seconds"]) for row in making.cost(facts, words)["stages"]]
    return [words("dossier.stages"), Grid([words("cost.stage"), words("cost.seconds")], rows)]


@_block
def training(facts: Facts, words: Words) -> list[str | Grid]:
    """How it learned: summary, and the settings as they were resolved."""
    m = making.making(facts, words)
    return [*m["summary"], Grid([words("settings.key"), words("settings.value")], m["settings"])]


@_block
def sources(facts: Facts, words: Words) -> list[str | Grid]:
    """What was read: files, kinds, languages, licences as the recipe names them."""
    collect, prepare = facts.get("collect") or {}, facts.get("prepare") or {}
    d = data.data(facts, words, show_texts=False)
    said: list[str | Grid] = []
    if collect.get("files") is not None:
        said.append(words("dossier.read", files=words.count(collect["files"]),
                          documents=words.count(collect.get("documents"))))  # fmt: skip
    for title, rows in (("data.types", d["types"]), ("data.languages", d["languages"])):
        if rows:
            said.append(Grid([words(title), words("dossier.count")], [(row["name"], row["n"]) for row in rows]))
    declared = (facts.get("recipe") or {}).get("collect", {}).get("sources") or []
    if declared:
        rows = [(str(one.get("path") or ""), str(one.get("license") or words("not_provided"))) for one in declared]
        said.append(Grid([words("dossier.source"), words("dossier.base_license")], rows))
    if prepare.get("groups"):
        said.append(words("dossier.groups", n=words.count(prepare["groups"])))
    return said


@_block
def cleaning(facts: Facts, words: Words) -> list[str | Grid]:
    """The funnel: what each step left and took, and every reason for leaving something out."""
    steps = data.funnel(facts.get("collect") or {}, facts.get("prepare") or {})
    rows = [(words.known("step", step["step"]), words.count(step["rows"]), words.count(step["removed"]))
            for step in steps]  # fmt: skip
    said: list[str | Grid] = [Grid([words("card.step"), words("card.left"), words("card.removed")], rows)]
    reasons = data.reasons(facts.get("rejected") or (), words, show_texts=False)
    if reasons:
        said.append(Grid([words("dossier.reason"), words("cost.stage"), words("dossier.count")],
                         [(row["reason"], row["stage"], row["n"]) for row in reasons]))  # fmt: skip
    return said


@_block
def splits(facts: Facts, words: Words) -> list[str | Grid]:
    """How data for training and for testing were kept apart, and what still connects them."""
    prepare = facts.get("prepare") or {}
    counts = prepare.get("splits") or {}
    said: list[str | Grid] = [Grid([words(f"split.{name}") for name in SPLITS],
                                   [[words.count(counts.get(name)) for name in SPLITS]])]  # fmt: skip
    how = words.known("split_by", str(prepare.get("split_by") or ""), " ").strip()
    leaks = data.leaks(prepare.get("leaks") or {}, words) if prepare.get("leaks") else None
    said += [how] if how else []
    if leaks and leaks["rows"]:
        said.append(Grid([words("leaks.shared"), *leaks["heads"]],
                         [(row["name"], *row["cells"]) for row in leaks["rows"]]))  # fmt: skip
    return said


@_block
def labelling(facts: Facts, words: Words) -> list[str | Grid]:
    """Labels and how often each stands in each split; texts that contradict each other."""
    prepare = facts.get("prepare") or {}
    rows = [(row["label"], row["train"], row["validation"], row["test"]) for row in data.labels(prepare, words)]
    said: list[str | Grid] = []
    if rows:
        said.append(Grid([words("data.label"), *(words(f"split.{name}") for name in SPLITS)], rows))
    if prepare.get("conflicts") is not None:
        said.append(words("dossier.conflicts", n=words.count(prepare["conflicts"])))
    return said


@_block
def persons(facts: Facts, words: Words) -> list[str | Grid]:
    """Personal data: what was found and replaced."""
    found = (facts.get("prepare") or {}).get("deidentified")
    if not found:
        return [words("dossier.not_deidentified")]
    d = data.deidentified(found, words)
    heads = [words("deid.kind"), *(words(f"deid.{where}") for where in ("texts", "elsewhere", "kept"))]
    return [Grid(heads, [(row["name"], *row["cells"]) for row in d["rows"]])]


@_block
def accuracy(facts: Facts, words: Words) -> list[str | Grid]:
    """Every figure of every model with its interval."""
    table = evidence.scores(facts["results"], words)
    rows = [[row["name"], *(_cell(cell, words) for cell in row["cells"])] for row in table["rows"]]
    n = words.count((facts["results"].get("data") or {}).get("test"))
    return [Grid([words("scores.model"), *(head["name"] for head in table["heads"])], rows), f"n = {n}"]


@_block
def metrics(facts: Facts, words: Words) -> list[str | Grid]:
    """What each figure means."""
    heads = evidence.scores(facts["results"], words)["heads"]
    return [Grid([words("dossier.metric"), words("dossier.meaning")], [(head["name"], head["what"]) for head in heads])]


@_block
def comparison(facts: Facts, words: Words) -> list[str | Grid]:
    """Better, same or worse than what, in sentences."""
    return [row["sentence"] for row in opening.opponents(facts["results"], words)]


@_block
def groups(facts: Facts, words: Words) -> list[str | Grid]:
    """Accuracy for parts of the test set and for groups of persons, where they were measured."""
    found = slices.slices(facts["results"], words)
    said: list[str | Grid] = []
    if found:
        rows = [(f"{row['column']}{words('colon')}{row['value']}", row["metric"], _cell(row["tuned"], words),
                 _cell(row["other"], words), row["n"]) for row in (*found["first"], *found["rest"])]  # fmt: skip
        heads = [words("slices.caption"), words("dossier.metric"), words.model("tuned", facts["results"]["models"]),
                 found["opponent"], "n"]  # fmt: skip
        said += [*found["looked"], Grid(heads, rows)]
    return [*said, *_checks(facts, words, ("bias",))]


@_block
def robustness(facts: Facts, words: Words) -> list[str | Grid]:
    """Answers to changed texts."""
    return _checks(facts, words, ("robustness",))


@_block
def privacy(facts: Facts, words: Words) -> list[str | Grid]:
    """Whether it repeats or betrays what it was trained on."""
    return _checks(facts, words, ("privacy", "contamination"))


@_block
def other_checks(facts: Facts, words: Words) -> list[str | Grid]:
    """Every other check of the run."""
    named = ("bias", "robustness", "privacy", "contamination")
    found = facts["results"].get("checks") or {}
    return _checks(facts, words, tuple(name for name in found if name not in named))


@_block
def breaks(facts: Facts, words: Words) -> list[str | Grid]:
    """What tuning breaks, the weakest classes."""
    b = opening.breaks(facts, words, show_texts=False)
    if not b["known"]:
        return [words("breaks.unknown")]
    key = "breaks.sentence_score" if b["score"] else "breaks.sentence"
    return [words(key, broken=b["broken"], mended=b["mended"], opponent=b["opponent"])]


@_block
def limits(facts: Facts, words: Words) -> list[str | Grid]:
    """Warnings of the evaluation, and what was not tested."""
    return [words("card.limit_data"), *data.long_texts(facts.get("train") or {}, words),
            *opening.warnings(facts["results"], words)]  # fmt: skip


@_block
def verdict(facts: Facts, words: Words) -> list[str | Grid]:
    """The decision, criterion by criterion, and where the criteria came from."""
    o = opening.opening(facts, words, show_texts=False)
    rows = [(row["criterion"], row["word"], row["text"]) for row in o["reasons"]]
    return [f"{o['badge']}{words('colon')}{o['headline']}", o["source"],
            Grid([words("criteria.head"), words("dossier.met"), words("dossier.meaning")], rows)]  # fmt: skip


@_block
def reproduction(facts: Facts, words: Words) -> list[str | Grid]:
    """The command that makes everything again."""
    return [words("reproduce.how"), str(facts.get("command") or "")]


def _checks(facts: Facts, words: Words, names: Sequence[str]) -> list[str | Grid]:
    said: list[str | Grid] = []
    for block in checks.checks(facts, words, show_texts=False):
        if block["name"] not in names:
            continue
        missing = words("checks.missing", reason=block["missing"]) if block["missing"] else ""
        said.append(f"{block['title']}{words('colon')}{missing or ' '.join(block['said'])}")
        if block["figures"]:
            said.append(Grid([words("checks.figure"), words("checks.value"), words("checks.better")],
                             [(one["name"], " ".join((one["text"], one["of"])).strip(), one["better"])
                              for one in block["figures"]]))  # fmt: skip
    return said


def _cell(cell: Mapping[str, str], words: Words) -> str:
    return cell["value"] + (words("brackets", inner=cell["interval"]) if cell["interval"] else "")
