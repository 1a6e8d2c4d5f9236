"""A first recipe for data that somebody points at.

Purpose: look at a file or folder, guess task and columns, and say what was seen and guessed in comments, so that the
person corrects a draft instead of facing an empty page. `metier run data.csv --task classify` uses the same draft.
Not covered: deciding for the user. A guess that cannot be made is a UserError that names the columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.errors import UserError, nearest
from metier.recipe import write_word
from metier.registry import names

TABLES = {".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet", ".pq"}
# What a task learns from, as the comment behind it says.
_MEANS = {
    "classify": "a label a text", "score": "a number a text", "tag": "marked entities in a text",
    "relate": "a label for two marked stretches of a text", "extract": "questions whose answers stand in a text",
    "embed": "a query and the passage that answers it",
    "generate": "an answer to a text or a question", "chat": "the answers in a conversation",
    "choose": "questions with options and the right one", "pretrain": "texts to read on",
    "prefer": "the better of two answers",
}  # fmt: skip
# Shape of a table (collect/shapes.py) -> tasks that learn from it, the one to guess first.
_READ_BY = {
    "messages": ("chat", "generate"), "sharegpt": ("chat", "generate"), "alpaca": ("generate", "chat"),
    "prompt-completion": ("generate", "chat", "embed"), "question-answer": ("generate", "chat", "embed"),
    "preference": ("prefer",), "choice": ("choose", "generate", "chat"),
    "tokens": ("tag",), "spans": ("tag",), "squad": ("extract", "generate"),
}  # fmt: skip
_LABELLED = ("classify", "relate")
_WRITING = ("generate", "choose", "chat", "prefer", "pretrain")  # need a base that writes
_SMALL_BASE = "Qwen/Qwen2.5-0.5B"  # Apache-2.0, English and Chinese, trains on a processor in hours
FEW = 20  # distinct numbers up to which a numeric column is still taken for labels


@dataclass(frozen=True)
class Draft:
    """A recipe as plain data, and what was seen while making it."""

    data: dict[str, Any]
    seen: list[str]


def draft(
    path: Path | str, task: str | None = None, from_folder: Path | None = None, columns: Mapping[str, str] | None = None
) -> Draft:
    """Look at `path`; the recipe's paths are written relative to `from_folder` (default: as given).

    path: a file or folder; as text also an address such as s3://bucket/data.csv, which is fetched into the cache.

    columns: role -> column name where the user has said so; the rest is guessed.
    """
    address = path if isinstance(path, str) and "://" in path else ""
    path = Path(path)
    if not address and not path.exists():
        raise UserError("there is no such file or folder", str(path.absolute()), "check the path")
    if task is not None and task not in (known := names("task")):
        raise UserError(f"there is no task called '{task}'", "--task", nearest(task, known))
    if address:
        return _remote(address, task, columns or {})
    shown = _relative(path, from_folder)
    if path.is_dir():
        return _folder(path, _names(path), shown, task, columns or {})
    return _table(path, shown, task, columns or {})


def write_recipe(
    path: Path | str, task: str | None, output: Path | None, force: bool, columns: Mapping[str, str] | None = None
) -> Path:
    """Write a commented recipe; returns its path. UserError when the file is there and `force` is not given."""
    target = output or Path(f"{_name(Path(path))}.yaml")
    if target.exists() and not force:
        raise UserError("this recipe is already there", str(target), "name another file with -o, or use --force")
    made = draft(path, task, target.parent, columns)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render(made), encoding="utf-8")
    except FileNotFoundError:
        raise UserError("the recipe cannot be written there", str(target), "name another folder with -o") from None
    return target


def render(made: Draft) -> str:
    """The draft as YAML with comments for the person who goes on."""
    data, source = made.data, made.data["collect"]["sources"][0]
    lines = ["# Written by `metier new` after looking at the data. What it saw:"]
    lines += [f"#   {_one_line(line)}" for line in made.seen]
    lines += ["# `metier show THIS` prints every key with its default.", "", f"name: {write_word(data['name'])}",
              f"task: {data['task']:<20} # {_MEANS.get(data['task'], 'see `metier show`')}", "seed: 0", "",
              "collect:", "  sources:", f"    - path: {write_word(source['path'])}"]  # fmt: skip
    if "columns" in source:
        lines.append("      columns:                # role: column name")
        lines += [f"        {role}: {write_word(column)}" for role, column in source["columns"].items()]
        if "group" not in source["columns"]:
            lines.append("        # group: customer_no    # patient, client or matter: never in train and test both")
    if source.get("label_from"):
        lines.append("      label_from: folder      # the name of a file's folder is its label")
    train = {"base_model": "minilm", "method": "full", **data.get("train", {})}
    lines += ["", "prepare:", "  split:", "    test: 0.2", "    validation: 0.1", "", "train:",
              f"  base_model: {train['base_model']:<13} # `metier bases`; or a folder, or a Hub id",
              f"  method: {train['method']:<17} # full, lora" + ("" if data["task"] in _WRITING else ", frozen"), "",
              "evaluate:",
              "  # Written before the run; decides SIGN OFF, CONDITIONAL or REJECT.", "  accept:"]  # fmt: skip
    lines += [f"    - {write_word(criterion)}" for criterion in data["evaluate"]["accept"]]
    return "\n".join(lines) + "\n"


def _table(path: Path, shown: str, task: str | None, columns: Mapping[str, str]) -> Draft:
    from metier.collect.reading import Unreadable
    from metier.collect.roles import guess
    from metier.collect.table import peek

    if path.suffix.lower() not in TABLES and task in ("tag", "pretrain"):  # CoNLL files; texts of any kind
        return Draft(_recipe(path, {"path": shown}, task), [f"{path.name}: taken as a whole for the task {task}"])
    if path.suffix.lower() not in TABLES:
        raise UserError(
            f"a recipe cannot be guessed for a single {path.suffix or 'nameless'} file", str(path),
            "name a table (CSV, TSV, JSONL, Parquet) with a text and a label column, or a folder of files",
        )  # fmt: skip
    try:
        preview = peek(path, columns)
    except Unreadable as error:
        raise UserError(
            f"this table cannot be read ({error.reason}): {error.detail}", str(path),
            "mend the file, or save it again as CSV with a line of column names",
        ) from None  # fmt: skip
    if not preview.rows:
        raise UserError("this table has no rows", str(path), "add one row for each text, below the column names")
    said = preview.roles if columns else {}
    roles = guess(preview.columns, preview.rows, preview.headerless, said)
    if said.keys() & {"label", "value"}:  # the answer that was named, and no other
        roles = {role: name for role, name in roles.items() if role in said or role not in ("label", "value")}
    if "text" not in columns and (shaped := _by_shape(path, shown, preview, task, columns)):
        return shaped
    if task in _WRITING or task in ("tag", "extract", "embed"):
        return _by_columns(path, shown, preview, roles, task, columns)
    kind = task or ("score" if "label" not in roles and "value" in roles else "classify")
    answer = "value" if kind == "score" else "label"
    if answer not in roles and (other := {"value": "label", "label": "value"}[answer]) in roles:
        roles[answer] = roles.pop(other)
    for role in ("text", answer):
        if role not in roles:
            raise UserError(
                f"no column looks like the {role}", f"{path}, columns: {', '.join(preview.columns)}",
                f"say which: metier new {path.name} --text COLUMN --label COLUMN; or metier run {path.name} "
                f"'collect.sources.0.columns={{text: COLUMN, {answer}: COLUMN}}'",
            )  # fmt: skip
    roles = {role: column for role, column in roles.items() if role not in {"label", "value"} - {answer}}
    seen = [_rows_of(path, preview)]
    if taken := [f"{role} = '{column}'" for role, column in roles.items() if role not in said]:
        seen.append(f"columns guessed: {', '.join(taken)}")
    if preview.encoding:
        seen.append(
            f"encoding {preview.encoding}" + (f", delimiter {preview.delimiter!r}" if preview.delimiter else "")
        )
    answers = [row.get(roles[answer]) for row in preview.rows]
    distinct = sorted({str(value) for value in answers if value not in (None, "")})
    if kind == "classify":
        seen.append(f"{len(distinct)} labels in the first {len(answers)} rows: {', '.join(distinct[:8])}")
        if len(distinct) > FEW and all(_number(value) for value in distinct):
            seen.append("the labels are many different numbers: perhaps the task is score")
    return Draft(_recipe(path, {"path": shown, "columns": roles}, kind), seen)


def _by_shape(path: Path, shown: str, preview: Any, task: str | None, columns: Mapping[str, str]) -> Draft | None:
    """The draft for a table whose columns say by themselves what it holds; None for any other."""
    from metier.collect.shapes import recognise

    answered = task is None and _labelled(preview, columns)
    shape = recognise(preview.columns, preview.rows, answered)
    read_by = _READ_BY.get(shape.name, ()) if shape else ()
    known = [name for name in read_by if name in names("task")]
    if shape is None or not known or (task is not None and task not in known):
        return None
    own = ", ".join(f"{field} = '{column}'" for field, column in shape.columns.items())
    seen = [_rows_of(path, preview), f"taken for '{shape.name}' ({own})"]
    if task is None and len(known) > 1:
        seen.append(f"the task could also be {', '.join(known[1:])}")
    source: dict[str, Any] = {"path": shown} | ({"columns": dict(columns)} if columns else {})
    if recognise(preview.columns, preview.rows, answered or _labelled(preview, {})) is None:
        asked, answer = shape.columns.values()  # without names, the table would be taken for texts with labels
        source["columns"] = {"text": asked, "answer": answer, **columns}
    return Draft(_recipe(path, source, task or known[0]), seen)


def _labelled(preview: Any, columns: Mapping[str, str]) -> bool:
    """Whether a text and a label (or a value) have been found by their names."""
    return "text" in preview.roles and bool({"label", "value"} & {*preview.roles, *columns})


def _by_columns(
    path: Path, shown: str, preview: Any, roles: Mapping[str, str], task: str, columns: Mapping[str, str]
) -> Draft:
    """The draft for a task whose data has no shape of its own: named columns, or one column of texts."""
    wanted = {
        "pretrain": ("text",), "generate": ("text", "answer"), "chat": ("text", "answer"), "embed": ("text", "pair"),
    }.get(task, ())  # fmt: skip
    usual = {
        plain: name for name in reversed(preview.columns) if (plain := name.strip().lower()) in ("answer", "summary")
    }
    chosen = {**{role: name for role, name in roles.items() if role not in ("label", "value")}, **columns}
    if "answer" in wanted and "answer" not in chosen and usual:
        chosen["answer"] = next(iter(usual.values()))
    if not wanted or any(role not in chosen for role in wanted):
        raise UserError(
            f"this table has nothing that the task {task} learns from ({_MEANS[task]})",
            f"{path}, columns: {', '.join(preview.columns)}",
            "see docs/guide/dataset-shapes.md for the shapes that are recognised" + (
                f", or say which columns: metier new {path.name} --task {task} --text COLUMN --label COLUMN"
                if wanted else ""),
        )  # fmt: skip
    seen = [_rows_of(path, preview), "columns: " + ", ".join(f"{role} = '{name}'" for role, name in chosen.items())]
    return Draft(_recipe(path, {"path": shown, "columns": chosen}, task), seen)


def _rows_of(path: Path, preview: Any) -> str:
    number = preview.n_rows if preview.n_rows is not None else "many"
    return f"{path.name}: {number} rows, columns {', '.join(preview.columns)}"


def _remote(address: str, task: str | None, columns: Mapping[str, str]) -> Draft:
    """As `_table` or `_folder` for what an address names."""
    import shutil
    import tempfile

    from metier.collect.config import CollectConfig
    from metier.collect.inputs import find_inputs
    from metier.console import Console

    files = find_inputs(CollectConfig(sources=(address,)), Path.cwd(), Console()).files  # type: ignore[arg-type]
    if len(files) > 1 or files[0].problem:
        return _folder(Path(address), [file.name for file in files], address, task, columns)
    with tempfile.TemporaryDirectory() as folder:  # a look at a table goes by the extension, which no object has
        named = shutil.copyfile(files[0].path, Path(folder) / files[0].name)
        return _table(named, address, task, columns)


def _names(path: Path) -> list[str]:
    """Files below a folder, up to 5,000, as POSIX paths."""
    found = sorted(item for item in path.rglob("*") if item.is_file() and not _hidden(item, path))[:5000]
    return [item.relative_to(path).as_posix() for item in found]


def _folder(path: Path, names: Sequence[str], shown: str, task: str | None, columns: Mapping[str, str]) -> Draft:
    kind = task or "classify"
    kinds: dict[str, int] = {}
    folders = set()
    for name in map(Path, names):
        kinds[name.suffix.lower() or "(none)"] = kinds.get(name.suffix.lower() or "(none)", 0) + 1
        if name.parent != Path():
            folders.add(name.parent.name)
    if not kinds:
        raise UserError("the folder is empty", str(path), "name a folder with documents")
    seen = [
        f"{path.name}: " + ", ".join(f"{n} {suffix}" for suffix, n in sorted(kinds.items(), key=lambda x: -x[1])[:8])
    ]
    source: dict[str, Any] = {"path": shown} | ({"columns": dict(columns)} if columns else {})
    if kind in _LABELLED and not set(kinds) & TABLES and len(folders) > 1:
        source["label_from"] = "folder"
        seen.append(f"{len(folders)} folders, taken for labels")
    return Draft(_recipe(path, source, kind), seen)


def _recipe(path: Path, source: dict[str, Any], task: str) -> dict[str, Any]:
    accept = ["spearman > tfidf", "mae < base"] if task == "score" else ["accuracy > tfidf", "accuracy > base"]
    if task not in ("classify", "score"):
        accept = list(_profile(task).accept)
    data = {"name": _name(path), "task": task, "collect": {"sources": [source]}, "evaluate": {"accept": accept}}
    if task in _WRITING:
        whole = task == "pretrain"
        data["train"] = {"base_model": _SMALL_BASE if whole else f"{_SMALL_BASE}-Instruct",
                         "method": "full" if whole else "lora"}  # fmt: skip
    return data


def _profile(task: str) -> Any:
    from metier.registry import lookup
    from metier.train.config import TaskConfig

    return lookup("task", task).profile(TaskConfig(name=task))


def _name(path: Path) -> str:
    return re.sub(r"[^\w.-]+", "-", path.resolve().stem).strip("-.") or "run"


def _relative(path: Path, folder: Path | None) -> str:
    import os

    return Path(os.path.relpath(path, folder)).as_posix() if folder is not None else path.as_posix()


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _one_line(text: str) -> str:
    """Text of the data inside a comment: a line break in it would end the comment."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
