"""Sheets and the lineage page as files: HTML in both languages, the data card as Markdown.

Purpose: from facts to {file name: text}. Equal facts give equal bytes: no clock is read.
Trade-off: all pages share the report's style sheet, so that they print alike.
Not covered: PDF (`metier pdf` prints these pages).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import yaml
from markupsafe import Markup

import metier
from metier.errors import UserError, nearest
from metier.report import lineage
from metier.report.config import ReportConfig
from metier.report.dossier.blocks import BLOCKS, Grid
from metier.report.words import LANGUAGES, Words

LANG = {"en": "en", "zh": "zh-Hans"}
SHOWN_FILES = 200  # rows of the lineage page; the table beside it has all


@functools.cache
def sheets() -> dict[str, Any]:
    """sheets.yaml."""
    text = resources.files(__package__).joinpath("sheets.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)  # type: ignore[no-any-return]


def field_names() -> list[str]:
    """Codes of everything that only a person can supply, sorted."""
    return sorted({name for sheet in sheets().values() for section in sheet["sections"] for name in section["fields"]})


def check_provided(provided: Mapping[str, str]) -> None:
    """UserError for a field that no sheet has."""
    for name in provided:
        if name not in field_names():
            raise UserError(f"no sheet has a field '{name}'", "report.provided", nearest(name, field_names()))


def dossier(config: ReportConfig, facts: Mapping[str, Any]) -> dict[str, str]:
    """Every file of the dossier by name."""
    check_provided(config.provided)
    order = [config.language, *(code for code in LANGUAGES if code != config.language)]
    found = {}
    for name in sheets():
        versions = [_sheet(name, code, config, facts) for code in order]
        found[f"{name}.html"] = _page(config, facts, versions)
        if name == "data-card":  # it travels with the data, where Markdown is read
            found[f"{name}.md"] = _markdown(versions)
    rows = facts.get("lineage") or []
    found["lineage.csv"] = lineage.as_csv(rows)
    found["lineage.html"] = _page(config, facts, [_lineage(code, facts, rows) for code in order])
    return found


def _sheet(name: str, code: str, config: ReportConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """One sheet in one language: sections of parts and fields."""
    words, sheet = Words(code), sheets()[name]
    sections = []
    for section in sheet["sections"]:
        parts = [part for block in section["evidence"] for part in BLOCKS[block](facts, words)]
        fields = [
            {"code": field, "name": title[code], "text": config.provided.get(field, "")}
            for field, title in section["fields"].items()
        ]
        if section["evidence"] and not parts:
            parts = [words("dossier.no_evidence")]
        sections.append({"head": section["head"][code], "parts": _marked(parts), "fields": fields})
    return {**_shared(code, words), "title": sheet["title"][code], "about": sheet["about"][code], "law": sheet["law"],
            "sections": sections, "open": sum(not f["text"] for s in sections for f in s["fields"])}  # fmt: skip


def _lineage(code: str, facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The chain of results, then the files."""
    words = Words(code)
    chain = [(words.known("stage", stage), value) for stage, value in (facts.get("fingerprints") or {}).items()]
    chain += [(name, digest) for name, digest in sorted((facts.get("model_files") or {}).items())]
    heads = [words(f"lineage.{name}") if name not in lineage.SPLITS else words(f"split.{name}")
             for name in lineage.COLUMNS]  # fmt: skip
    table = [[_short(name, row[name], words) for name in lineage.COLUMNS] for row in rows[:SHOWN_FILES]]
    said = [words("lineage.files", n=words.count(len(rows)), idle=words.count(sum(
        not any(row[split] for split in lineage.SPLITS) for row in rows)))]  # fmt: skip
    if len(rows) > SHOWN_FILES:
        said.append(words("lineage.more", n=words.count(SHOWN_FILES)))
    sections = [
        {"head": words("lineage.chain"), "fields": [],
         "parts": _marked([words("reproduce.fingerprints_note"),
                           Grid([words("lineage.result"), words("lineage.name")], chain)])},
        {"head": words("lineage.head"), "fields": [], "parts": _marked([*said, Grid(heads, table)])},
    ]  # fmt: skip
    return {**_shared(code, words), "title": words("lineage.title"), "about": words("lineage.about"), "law": "",
            "sections": sections, "open": 0}  # fmt: skip


def _short(name: str, value: Any, words: Words) -> str:
    """A cell; of a hash its beginning, as the table beside the page has it whole."""
    if name == "sha256":
        return f"{value[:12]}…" if value else ""
    return value if isinstance(value, str) else words.count(value)


def _shared(code: str, words: Words) -> dict[str, Any]:
    return {"code": code, "lang": LANG[code], "t": words}


def _marked(parts: Sequence[str | Grid]) -> list[dict[str, Any]]:
    return [{"grid": part, "text": ""} if isinstance(part, Grid) else {"grid": None, "text": part} for part in parts]


def _page(config: ReportConfig, facts: Mapping[str, Any], versions: Sequence[Mapping[str, Any]]) -> str:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    here, above = resources.files(__package__), resources.files("metier.report")
    template = environment.from_string(here.joinpath("sheet.html.j2").read_text(encoding="utf-8"))
    name = config.title or (facts.get("recipe") or {}).get("name") or "Metier"
    return template.render(
        first=config.language, versions=versions, name=name, version=metier.__version__,
        style=Markup(above.joinpath("style.css").read_text(encoding="utf-8")),
        names=[(code, Words(code)("page.language"), LANG[code]) for code in LANGUAGES],
    )  # fmt: skip


def _markdown(versions: Sequence[Mapping[str, Any]]) -> str:
    """The first language, the other one folded."""
    first, *others = (_markdown_body(version) for version in versions)
    folded = "".join(
        f"\n<details>\n<summary>{version['t']('card.other')}</summary>\n\n{body}\n</details>\n"
        for version, body in zip(versions[1:], others, strict=True)
    )
    return f"# {versions[0]['title']}\n\n{first}{folded}"


def _markdown_body(version: Mapping[str, Any]) -> str:
    lines = [version["about"], ""]
    for section in version["sections"]:
        lines += [f"## {section['head']}", ""]
        for part in section["parts"]:
            lines += [*(_markdown_table(part["grid"]) if part["grid"] else [_inline(part["text"])]), ""]
        for field in section["fields"]:
            lines.append(f"- {field['name']}: {_inline(field['text']) or version['t']('not_provided')}")
        lines += [""] if section["fields"] else []
    return "\n".join(lines)


def _markdown_table(grid: Grid) -> list[str]:
    rows = [grid.heads, ["---"] * len(grid.heads), *grid.rows]
    return ["| " + " | ".join(_inline(str(cell)) for cell in row) + " |" for row in rows]


def _inline(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "\\|")
