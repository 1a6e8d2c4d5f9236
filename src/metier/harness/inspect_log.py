"""Logs of Inspect (inspect_ai): one JSON file, or a zip archive (`.eval`) with a file for each sample and epoch.

Purpose: every score of every sample. Letters count as Inspect counts them: C 1, P a half, I and N 0; truth values and
yes/no likewise. A scorer is a metric by its name; where it gives several values (a dictionary, a list) each is one,
`scorer-key`. A sample that was asked in several epochs is one item with the mean of its values.
Trade-off: members of an archive are read one by one; a single JSON log is held in memory whole.
Not covered: scores that are words of one's own, reduced scores (Inspect's other reducers), attachments.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metier.artifact import hash_file
from metier.errors import UserError
from metier.harness.log import STAGE, Item, Log, Value, metric_name, number, simple, together
from metier.tables import digest, rejection

PROGRAM = "Inspect"
LETTERS = {"c": 1.0, "i": 0.0, "p": 0.5, "n": 0.0, "yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}
ZSTANDARD = 93  # the method of the zip standard that Inspect packs with since 0.3.2xx; zipfile lacks it before 3.14
SETTINGS = ("task_version", "task_args", "model_generate_config", "solver", "solver_args")


def is_log(path: Path, head: bytes) -> bool:
    """Whether the beginning of a file looks like a log."""
    return path.suffix == ".eval" or (head.startswith(b"PK") and path.suffix != ".json") or (
        head.lstrip().startswith(b"{") and b'"eval"' in head
    )  # fmt: skip


def read(path: Path) -> Log:
    """The samples of one log; UserError when it is none, or has no scored sample."""
    header, samples = _archive(path) if zipfile.is_zipfile(path) else _whole(path)
    told = header.get("eval")
    if not isinstance(told, dict) or "task" not in told:
        raise UserError("this is no log of Inspect: it does not name its task", str(path),
                        "name a .eval or .json file from Inspect's log folder")  # fmt: skip
    left_out: list[dict[str, str]] = []
    better: dict[str, str] = {}
    epochs: dict[str, list[Item]] = {}
    limited = 0
    for place, sample in samples:
        found = _item(place, sample, left_out, better)
        if found is not None:
            epochs.setdefault(found.keys["id"], []).append(found)
            limited += bool(sample.get("limit"))
    if not epochs:
        reasons = Counter(row["reason"] for row in left_out)
        raise UserError(f"no sample of this log has a score ({_listed(reasons) or 'it holds no samples'})", str(path),
                        "run `inspect score` on it, or evaluate with log_samples and look at the errors")  # fmt: skip
    items = [together(found) for found in epochs.values()]
    notes = []
    if header.get("status") not in (None, "success"):
        notes.append((f"{path.name}: the evaluation did not end well (status '{header.get('status')}').",
                      f"{path.name}：评测没有正常结束（状态“{header.get('status')}”）。"))  # fmt: skip
    if limited:
        notes.append((f"{path.name}: {limited:,} samples ended at a limit of messages, tokens or time; they are kept.",
                      f"{path.name}：有 {limited:,} 个样本因消息、词元或时间上限而结束，仍予保留。"))  # fmt: skip
    if (runs := max(item.runs for item in items)) > 1:
        notes.append((f"{path.name}: samples were asked in up to {runs} epochs; the mean counts.",
                      f"{path.name}：样本最多重复 {runs} 轮，取平均值。"))  # fmt: skip
    settings = {name: json.dumps(told.get(name), sort_keys=True) for name in SETTINGS}
    return Log(PROGRAM, str(path), hash_file(path), str(told["task"]), str(told.get("model") or ""), items, better,
               settings, left_out, notes)  # fmt: skip


def _whole(path: Path) -> tuple[dict[str, Any], Iterator[tuple[str, Any]]]:
    try:
        log = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError("this log is not complete JSON", str(path), f"copy it again ({error})") from error
    if not isinstance(log, dict):
        raise UserError("this is no log of Inspect", str(path), "name a .eval or .json file from its log folder")
    samples = log.pop("samples", None) or []
    return log, ((f"{path.name}#{n + 1}", sample) for n, sample in enumerate(samples))


def _archive(path: Path) -> tuple[dict[str, Any], Iterator[tuple[str, Any]]]:
    """header.json (of a log that was never finished: _journal/start.json), and the samples, one at a time."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    first = next((name for name in ("header.json", "_journal/start.json") if name in names), None)
    if first is None:
        raise UserError("this archive is no log of Inspect: it has no header.json", str(path), "name a .eval file")
    header = _member(path, first)
    if first != "header.json":
        header = {**header, "status": "started"}
    members = [name for name in names if name.startswith("samples/") and name.endswith(".json")]
    return header, ((f"{path.name}!{name}", _member(path, name)) for name in dict.fromkeys(members))


def _member(path: Path, name: str) -> Any:
    """A file of the archive as JSON; UserError when it is damaged."""
    import pyarrow as pa

    try:
        with zipfile.ZipFile(path) as archive:
            told = archive.getinfo(name)
            if told.compress_type != ZSTANDARD:
                return json.loads(archive.read(told))
        with path.open("rb") as stream:  # the local header: 26 bytes, lengths of name and extra field, both; then data
            stream.seek(told.header_offset + 26)
            lengths = stream.read(4)
            stream.seek(int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little"), 1)
            packed = stream.read(told.compress_size)
        with pa.input_stream(pa.BufferReader(packed), compression="zstd") as unpacked:
            return json.loads(unpacked.read())
    except (ValueError, OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError("a part of this log cannot be read", f"{path}!{name}", f"copy it again ({error})") from error


def _item(place: str, sample: Any, left_out: list[dict[str, str]], better: dict[str, str]) -> Item | None:
    if not isinstance(sample, dict) or "id" not in sample:
        left_out.append(rejection(place, STAGE, "no_sample", "not a sample: it has no id"))
        return None
    where = f"{place}: sample {sample['id']}, epoch {sample.get('epoch', 1)}"
    scores = sample.get("scores") or ({"score": sample["score"]} if sample.get("score") else {})
    values: dict[str, Value] = {}
    strange: list[str] = []
    for scorer, score in scores.items():
        for key, given in _parts(score.get("value") if isinstance(score, dict) else score):
            name = metric_name(scorer, key)
            found = _value(given)
            if found is None:
                strange.append(f"{name} = {json.dumps(given, ensure_ascii=False)[:40]}")
                continue
            values[name] = Value(found)
            if isinstance(given, bool | str):
                better[name] = "higher"
    if not values:
        error = sample.get("error")
        reason, detail = "unscored", "it has no score"
        if error:
            reason, detail = "error", str(error.get("message") if isinstance(error, dict) else error)[:300]
        elif strange:
            reason, detail = "unknown_value", "; ".join(strange)
        left_out.append(rejection(where, STAGE, reason, detail))
        return None
    answer = next((str(one["answer"]) for one in scores.values() if isinstance(one, dict) and one.get("answer")), "")
    asked = _words(sample.get("input"))
    target = sample.get("target")
    return Item(
        {"id": json.dumps(sample["id"], ensure_ascii=False), "input": digest(asked)}, asked,
        target if isinstance(target, str) else json.dumps(target, ensure_ascii=False), answer or _completion(sample),
        values, simple(sample.get("metadata") or {}),
    )  # fmt: skip


def _parts(value: Any) -> list[tuple[str, Any]]:
    """The single values of a score, with their names."""
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, list):
        return [(str(place), part) for place, part in enumerate(value)]
    return [("", value)]


def _value(given: Any) -> float | None:
    letter = LETTERS.get(given.strip().casefold()) if isinstance(given, str) else None
    return number(given) if letter is None else letter


def _words(asked: Any) -> str:
    """The input: a text, or messages whose words are joined."""
    if isinstance(asked, str):
        return asked
    said = []
    for message in asked if isinstance(asked, list) else ():
        content = message.get("content") if isinstance(message, dict) else message
        parts = content if isinstance(content, list) else [content]
        said += [str(part.get("text", "") if isinstance(part, dict) else part) for part in parts if part]
    return "\n".join(said)


def _completion(sample: Mapping[str, Any]) -> str:
    output = sample.get("output") or {}
    if output.get("completion"):
        return str(output["completion"])
    choices = output.get("choices") or []
    return _words([choices[0].get("message", {})]) if choices else ""


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in counts.items())
