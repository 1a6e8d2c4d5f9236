"""Samples of lm-evaluation-harness (`--log_samples`): one line for each document and filter.

Purpose: `samples_TASK_DATE.jsonl`, with what `results_DATE.json` beside it says of model, metrics and settings. Read
are the layouts of 0.4.x: lines or one JSON array, arguments as lists or by name, with and without hashes and filters.
A task with several filters scores every document several times; the metric's name then ends in the filter's
(`exact_match-strict`), except where there is one filter only.
Trade-off: which fields of a line are metrics is said by its `metrics` since 0.4.9; before that every number is one
that is no field of the layout.
Not covered: metrics of pairs of words (bleu, chrf, mcc, f1 of whole corpora), which no item has a value of: named, left
out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metier.artifact import hash_file
from metier.errors import UserError
from metier.harness.log import STAGE, Item, Log, Value, metric_name, number, simple, together
from metier.tables import digest, rejection

PROGRAM = "lm-evaluation-harness"
NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d{2}-\d{2}T[\d.:-]+)\.jsonl")
LAYOUT = frozenset({
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash", "task_name", "schema",
})  # fmt: skip
SIZED = ("word_perplexity", "byte_perplexity", "bits_per_byte")  # a log-likelihood and what it pays for
LOWER = (*SIZED, "perplexity", "brier_score", "ter", "wer", "cer", "mae", "mse", "rmse", "loss")
SETTINGS = ("chat_template_sha", "system_instruction_sha", "fewshot_as_multiturn", "lm_eval_version")
OF_RUN = ("limit", "gen_kwargs", "model_dtype")


def is_samples(path: Path, head: bytes) -> bool:
    """Whether the beginning of a file looks like samples."""
    return path.suffix == ".jsonl" or (head.lstrip().startswith(b"[") and b'"doc_id"' in head)


def read(path: Path) -> Log:
    """The samples of one task; UserError when the file holds none."""
    told = NAME.fullmatch(path.name)
    task = told["task"] if told else ""
    left_out: list[dict[str, str]] = []
    rows = [row for row in _rows(path, left_out) if _usable(row, path, left_out)]
    if not rows:
        raise UserError(
            "no line of this file is a sample of lm-evaluation-harness", str(path),
            "name a samples_TASK_DATE.jsonl, which lm_eval writes with --log_samples --output_path FOLDER",
        )  # fmt: skip
    results = _results(path, task, told["date"] if told else "")
    filters = dict.fromkeys(str(row.get("filter") or "none") for _, row in rows)
    unknown: dict[str, int] = {}
    documents: dict[tuple[str, ...], dict[str, list[Item]]] = {}
    for _, row in rows:
        name = str(row.get("filter") or "none") if len(filters) > 1 else ""
        keys = _keys(row)
        by_filter = documents.setdefault((keys["number"], keys.get("document", keys.get("hash", ""))), {})
        by_filter.setdefault(name, []).append(_item(row, name, keys, unknown))
    items = [_merged(found) for found in documents.values()]
    _tell_twins(items)
    notes = [] if results else [(
        f"No results_*.json beside {path.name}: model and settings are not known.",
        f"{path.name} 旁边没有 results_*.json：模型和设置未知。",
    )]  # fmt: skip
    notes += [(f"{path.name}: the metric {name} has no value for each document and is left out.",
               f"{path.name}：指标 {name} 没有逐条的数值，已略去。") for name in unknown]  # fmt: skip
    if repeated := sum(item.runs > 1 for item in items):
        notes.append((f"{path.name}: {repeated:,} documents were answered several times; the mean counts.",
                      f"{path.name}：有 {repeated:,} 条被多次作答，取平均值。"))  # fmt: skip
    return Log(
        PROGRAM, str(path), hash_file(path), task, str(results.get("model_name") or ""), items,
        _directions(items, results, task, filters), _settings(results, task), left_out, notes,
    )  # fmt: skip


def _rows(path: Path, left_out: list[dict[str, str]]) -> Iterator[tuple[str, Any]]:
    """Place and content of every line, or of every element of an array; lines that are no JSON are kept as left out."""
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        start = stream.read(1)
        stream.seek(0)
        if start == "[":  # before 0.4.3 the whole file was one array
            try:
                yield from ((f"{path.name}#{n + 1}", row) for n, row in enumerate(json.load(stream)))
            except ValueError as error:
                raise UserError("this array of samples is not complete JSON", str(path),
                                f"copy the file again ({error})") from error  # fmt: skip
            return
        for number_of, line in enumerate(stream, 1):
            if not line.strip():
                continue
            place = f"{path.name}#{number_of}"
            try:
                yield place, json.loads(line)
            except ValueError as error:
                left_out.append(rejection(place, STAGE, "unreadable_line", f"no complete JSON: {error}"))


def _usable(found: tuple[str, Any], path: Path, left_out: list[dict[str, str]]) -> bool:
    place, row = found
    if isinstance(row, dict) and "doc_id" in row and ({"filtered_resps", "resps"} & set(row)):
        return True
    left_out.append(rejection(place, STAGE, "no_sample", "not a sample: doc_id or the answers are missing"))
    return False


def _results(path: Path, task: str, date: str) -> dict[str, Any]:
    """The results beside the samples: of the same date, else the only ones there that know the task; {} without."""
    named = path.with_name(f"results_{date}.json")
    for candidate in [named] if named.is_file() else sorted(path.parent.glob("results*.json"))[-1:]:
        try:
            found = json.loads(candidate.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and (not task or task in found.get("results", {})):
            return found
    return {}


def _keys(row: Mapping[str, Any]) -> dict[str, str]:
    """What identifies a document, surest first: what stands in it, the harness's hash of that, its number."""
    keys = {}
    if row.get("doc"):
        keys["document"] = digest(json.dumps(row["doc"], sort_keys=True, ensure_ascii=False))
    if row.get("doc_hash"):
        keys["hash"] = str(row["doc_hash"])
    return {**keys, "number": str(row["doc_id"])}


def _item(row: Mapping[str, Any], filter_name: str, keys: dict[str, str], unknown: dict[str, int]) -> Item:
    document = row.get("doc")
    asked, choices = _asked(row.get("arguments"))
    names = row.get("metrics") if isinstance(row.get("metrics"), list) else [name for name in row if name not in LAYOUT]
    values = {}
    for name in names or ():
        found = _value(name, row.get(name))
        if found is not None:
            values[metric_name(name, filter_name)] = found
        elif name in row:
            unknown[name] = unknown.get(name, 0) + 1
    if not asked:
        asked = json.dumps(document, ensure_ascii=False)
    return Item(keys, asked, _target(row.get("target"), choices), _answer(row, choices), values,
                simple(document) if isinstance(document, dict) else {})  # fmt: skip


def _value(name: str, given: Any) -> Value | None:
    if isinstance(given, list | tuple):
        if name in SIZED and len(given) == 2 and None not in (both := (number(given[0]), number(given[1]))):
            return Value(both[0], both[1])  # type: ignore[arg-type]
        return None
    found = number(given)
    return None if found is None else Value(found)


def _asked(arguments: Any) -> tuple[str, list[str]]:
    """The prompt, and what was weighed against each other after it; arguments by name or in lists."""
    calls = list(arguments.values()) if isinstance(arguments, dict) else list(arguments or ())
    calls = [list(call.values()) if isinstance(call, dict) else call for call in calls]
    calls = [call for call in calls if isinstance(call, list | tuple) and call]
    if not calls:
        return "", []
    choices = [call[1].strip() for call in calls if len(call) > 1 and isinstance(call[1], str)]
    return str(calls[0][0]), choices if len(calls) > 1 else []


def _target(target: Any, choices: list[str]) -> str:
    """The right answer in words: of a choice by its place where that is a number."""
    if choices and (place := number(target)) is not None and place.is_integer() and 0 <= place < len(choices):
        return choices[int(place)]
    return target if isinstance(target, str) else json.dumps(target, ensure_ascii=False)


def _answer(row: Mapping[str, Any], choices: list[str]) -> str:
    """What was answered: the likeliest choice, the words, or the log-likelihood."""
    given = row.get("filtered_resps", row.get("resps"))
    if choices and isinstance(given, list) and len(given) >= len(choices):
        likely = [number(one[0] if isinstance(one, list) and one else one) for one in given[: len(choices)]]
        if None not in likely:
            return choices[max(range(len(likely)), key=lambda place: likely[place] or 0.0)]
    while isinstance(given, list) and len(given) == 1:
        given = given[0]
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _merged(by_filter: dict[str, list[Item]]) -> Item:
    """One document from the lines of all filters: the values of all, the words of the first."""
    found = [together(items) for items in by_filter.values()]
    return Item(found[0].keys, found[0].text, found[0].target, found[0].answer,
                {name: value for item in found for name, value in item.values.items()}, found[0].about,
                max(item.runs for item in found))  # fmt: skip


def _tell_twins(items: list[Item]) -> None:
    """Documents with the same content are told apart by their order."""
    for key in ("document", "hash"):
        seen: dict[str, int] = {}
        for item in items:
            if key in item.keys:
                seen[item.keys[key]] = times = seen.get(item.keys[key], 0) + 1
                if times > 1:
                    item.keys[key] += f"#{times}"


def _directions(
    items: list[Item], results: Mapping[str, Any], task: str, filters: Mapping[str, None]
) -> dict[str, str]:
    """What the results say, else what is known of the name; nothing of other names."""
    said = (results.get("higher_is_better") or {}).get(task) or {}
    found = {name: "lower" for name in LOWER} | {"acc": "higher", "acc_norm": "higher", "exact_match": "higher"}
    found |= {name: "higher" if better else "lower" for name, better in said.items() if better is not None}
    every = {metric_name(name, one): better for name, better in found.items() for one in ("", *filters)}
    there = dict.fromkeys(name for item in items for name in item.values)
    return {name: every[name] for name in there if name in every}


def _settings(results: Mapping[str, Any], task: str) -> dict[str, str]:
    """What two logs should share for their figures to mean the same."""
    told = {name: results.get(name) for name in SETTINGS} | {
        name: (results.get("config") or {}).get(name) for name in OF_RUN
    }
    told |= {"num_fewshot": (results.get("n-shot") or {}).get(task),
             "version": (results.get("versions") or {}).get(task)}  # fmt: skip
    return {name: json.dumps(value) for name, value in told.items()} if results else {}
