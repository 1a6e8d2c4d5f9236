"""Write docs/reference/ from the program itself: the commands' help, the recipe's schema, the readers' accounts.

Purpose: a reference that cannot disagree with the code. `python docs/generate.py` writes the files,
`python docs/generate.py --check` exits 1 and names those that are out of date (a test calls it).
Trade-off: the pages are built from the commands' own objects and not from the printed help, whose line breaks depend on
the terminal and on the version of typer.
Not covered: the guide, which is written by hand.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from metier import registry
from metier.cli import app
from metier.collect.accounts import ACCOUNTS, ANY, Account
from metier.collect.places import hub, python, remote, saved, sql, tfds, web  # noqa: F401  (their accounts)
from metier.config import is_execution
from metier.recipe import Recipe

HERE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py; change the code, then run it again. -->"
BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", object: "anything"}

EXIT_CODES = (
    (0, "done"),
    (1, "a bug of Metier, with a traceback: please report it"),
    (2, "something that you can put right; the message says what, where, and what to do"),
    (3, "`metier run` only: the verdict is REJECT"),
    (130, "stopped with Ctrl-C; finished stages are kept"),
)
VARIABLES = (
    ("METIER_CHROMIUM", "the browser that `metier pdf` prints with; default: the first Chromium on the path"),
    ("METIER_STORE", "folder of the artifacts; default `.metier/store` in the working folder"),
    ("METIER_RUNS", "folder of the runs; default `runs` in the working folder"),
    ("METIER_DATA_MIRROR", "folder in which paths such as `mirror:finance/file.csv` are looked up"),
    ("METIER_CACHE", "folder for downloaded data files; default `~/.cache/metier`"),
    ("METIER_OFFLINE", "`1` forbids fetching documents, data files and answers of endpoints"),
    ("METIER_DEIDENTIFY_KEY", "key of consistent surrogates; another name: `prepare.deidentify.key_variable`"),
    ("METIER_API_KEY", "key for an endpoint; another name: `prepare.synthesize.key_variable`"),
    ("HF_HUB_OFFLINE", "`1` forbids fetching base models (a setting of huggingface_hub)"),
)


def pages() -> dict[str, str]:
    """File name -> text of every generated page."""
    return {"cli.md": command_page(), "recipe.md": recipe_page(), "formats.md": formats_page()}


def command_page() -> str:
    """All commands with their arguments and options."""
    group: Any = typer.main.get_command(app)
    lines = ["# Commands", "", NOTE, "", group.help, "",
             "Every command answers `--help`. `KEY=VALUE` overrides a key of the recipe, as in `train.epochs=5`;",
             "items of a list go by number, as in `collect.sources.0.path=other.csv`.", ""]  # fmt: skip
    for name, command in group.commands.items():
        lines += [f"## metier {name}", "", command.help, "", "```text", _usage(name, command), "```", ""]
        rows = [_parameter(item) for item in command.params if item.name != "help"]
        if rows:
            lines += ["| argument or option | meaning |", "| --- | --- |", *rows, ""]
    lines += ["## Exit codes", "", "| code | meaning |", "| --- | --- |"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES]
    lines += ["", "## Environment variables", "", "| variable | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES]
    return "\n".join(lines) + "\n"


def recipe_page() -> str:
    """All keys of a recipe, section by section."""
    lines = ["# Recipe: every key", "", NOTE, "",
             "A recipe is YAML. A key that is not listed here is an error. Keys marked *execution* change how or where",
             "a stage runs, never what comes out, so changing one of them makes nothing but the report run again.",
             "`metier schema` prints the same as JSON Schema for editors.", ""]  # fmt: skip
    return "\n".join(lines + _section(Recipe, "")).rstrip() + "\n"


def formats_page() -> str:
    """What every reader and place takes, keeps, marks, counts, refuses and leaves."""
    registry.names("reader")  # imports them all
    lines = ["# What we read and what we keep", "", NOTE, "",
             "A file goes to a reader by its first bytes, then by its extension. What a reader cannot take ends",
             "in `rejected.parquet` with a reason that is counted; nothing else is left out than the tables name.",
             ""]  # fmt: skip
    for kind, heading in (("format", "Formats"), ("container", "Containers and tables"), ("place", "Places")):
        found = sorted((item for item in ACCOUNTS.values() if item.kind == kind), key=lambda item: item.title.lower())
        lines += [f"## {heading}", ""] if found else []
        for account in found:
            lines += _account(account)
    lines += ["## Reasons that any file can end with", "", "| reason | when |", "| --- | --- |"]
    lines += [f"| {reason} | {_cell(when)} |" for reason, when in ANY.items()]
    return "\n".join(lines) + "\n"


def _account(account: Account) -> list[str]:
    """One reader: heading, a line on how it reads, and a table."""
    dot = "" if account.kind == "place" else "."
    told = [
        f"{'Place' if account.kind == 'place' else 'Reader'} `{account.name}`",
        ", ".join(f"`{dot}{item}`" for item in account.takes),
    ]
    told += ["through " + ", ".join(account.libraries)] if account.libraries else []
    told += [f"extra `{account.extra}`"] if account.extra else []
    rows = [("kept as text", "; ".join(account.kept))]
    rows += [(f"marked: {what}", how) for what, how in account.marked.items()]
    rows += [("counted: " + ", ".join(f"`{key}`" if " " not in key else key for key in keys.split(", ")), meaning)
             for keys, meaning in account.counted.items()]  # fmt: skip
    rows += [(f"refused: **{reason}**", when) for reason, when in account.refused.items()]
    rows += [("not read", "; ".join(account.lost))] if account.lost else []
    return [f"### {account.title}", "", "; ".join(told) + ".", "", "| | |", "| --- | --- |",
            *(f"| {left} | {_cell(right)} |" for left, right in rows), ""]  # fmt: skip


def _usage(name: str, command: Any) -> str:
    parts = [f"metier {name}"]
    for item in command.params:
        if item.param_type_name == "argument":
            shown = _metavar(item) + ("..." if item.nargs == -1 else "")
            parts.append(shown if item.required else f"[{shown}]")
    options = any(item.param_type_name == "option" and item.name != "help" for item in command.params)
    return " ".join([*parts, "[OPTIONS]"] if options else parts)


def _metavar(argument: Any) -> str:
    return (argument.metavar or argument.name.upper()).removesuffix("...").strip("[]")


def _parameter(item: Any) -> str:
    if item.param_type_name == "argument":
        name = _metavar(item)
        note = "" if item.required else " (optional)"
    else:
        name, note = ", ".join(item.opts), "" if item.is_flag else " (takes a value)"
    return f"| `{name}` | {_cell((item.help or '').rstrip('.'))}{note} |"


def _section(model: type[BaseModel], prefix: str) -> list[str]:
    """Heading, sentence and table of one section, then of the sections inside it."""
    title = f"`{prefix}`" if prefix else "Top level"
    lines = [f"## {title}", "", " ".join((model.__doc__ or "").split()), "",
             "| key | value | default | meaning |", "| --- | --- | --- | --- |"]  # fmt: skip
    inner: list[str] = []
    for name, field in model.model_fields.items():
        nested, many = _nested(field.annotation)
        place = f"{prefix}.{name}" if prefix else name
        if nested:
            inner += _section(nested, place + (".N" if many else ""))
        described = " ".join((field.description or "").split())
        if is_execution(field.json_schema_extra):
            described += " *(execution)*"
        if nested and not described:
            described = f"see `{place}` below"
        kind = f"{'list of sections' if many else 'section'}" if nested else _kind(field)
        lines.append(f"| `{name}` | {_cell(kind)} | {_cell(_default(field, bool(nested)))} | {_cell(described)} |")
    return [*lines, "", *inner]


def _nested(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section behind an annotation, and whether there may be several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for part in get_args(annotation):
        found, _ = _nested(part)
        if found:
            return found, get_origin(annotation) is tuple
    return None, False


def _kind(field: Any) -> str:
    bounds = [f"{sign} {getattr(item, name):g}" for item in field.metadata for name, sign in BOUNDS
              if getattr(item, name, None) is not None]  # fmt: skip
    return _words(field.annotation) + (f", {', '.join(bounds)}" if bounds else "")


def _words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "empty"
    if origin is Literal:
        return ", ".join(f"`{value}`" if value != "" else "empty" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(part) for part in inner)
    if origin is tuple:
        return f"list of {_words(inner[0])}"
    if origin is dict:
        return f"mapping of {_words(inner[0])} to {_words(inner[1])}"
    return WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: Any, nested: bool) -> str:
    if field.is_required():
        return "required"
    value = field.default if field.default is not PydanticUndefined else field.default_factory()
    if value is None or value == "" or value == () or value == {}:
        return "empty"
    if nested:
        return "its own defaults"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check compare them; returns the exit code."""
    stale = []
    for name, text in pages().items():
        path = HERE / name
        current = path.read_text(encoding="utf-8") if path.is_file() else ""
        if current == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    if "--check" in arguments and stale:
        print(f"out of date: {', '.join(stale)}; run: python docs/generate.py", file=sys.stderr)
        return 1
    print(f"{'written' if stale else 'up to date'}: {', '.join(stale or pages())}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
