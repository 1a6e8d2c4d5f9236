"""The report: one page for the person who signs, the same figures for programs, and a model card.

Purpose: files from one set of facts. report.html is complete in itself (no script, no network, English and Chinese),
results.json has every figure, README.md is a model card in Hugging Face form, dossier/ holds the other documents.
Trade-off: the page carries both languages in full, so it is twice as long as it need be and needs no script.
Not covered: judging. The verdict comes from the evaluation and is only told here. Equal facts give equal bytes: no
clock is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

import metier
from metier.console import Console
from metier.report import card, checks, costs, data, evidence, making, opening
from metier.report.config import ReportConfig
from metier.report.dossier import dossier
from metier.report.words import LANGUAGES, Words
from metier.tables import write_json

LANG = {"en": "en", "zh": "zh-Hans"}  # BCP 47, as `lang` attributes want it

DOCUMENTS = (
    ("dossier.card", "README.md"), ("dossier.data-card", "dossier/data-card.html"),
    ("dossier.annex-iv", "dossier/annex-iv.html"), ("dossier.gbt-45654", "dossier/gbt-45654.html"),
    ("dossier.lineage", "dossier/lineage.html"), ("dossier.lineage-csv", "dossier/lineage.csv"),
)  # fmt: skip


def report(config: ReportConfig, facts: dict[str, Any], out: Path, console: Console) -> dict[str, Any]:
    """Write report.html, results.json, README.md and dossier/ into `out`; returns {"decision", "files": {name: bytes}}.

    facts: what the other stages said of themselves, see `run.py`; missing parts are shown as "no data".
    """
    out.mkdir(parents=True, exist_ok=True)
    write_json(record(facts), out / "results.json")
    # newline="\n": the same bytes on every system.
    (out / "report.html").write_text(page(config, facts), encoding="utf-8", newline="\n")
    (out / "README.md").write_text(card.card(config, facts), encoding="utf-8", newline="\n")
    (out / "dossier").mkdir(exist_ok=True)
    sheets = dossier(config, facts)
    for name, text in sheets.items():
        (out / "dossier" / name).write_text(text, encoding="utf-8", newline="\n")
    written = ("report.html", "results.json", "README.md", *(f"dossier/{name}" for name in sheets))
    files = {name: (out / name).stat().st_size for name in written}
    decision = facts["results"]["verdict"]["decision"]
    console.say(f"  {decision}; report.html {files['report.html'] / 1024:,.0f} kB")  # the folder is still a partial one
    return {"decision": decision, "files": files}


def record(facts: Mapping[str, Any]) -> dict[str, Any]:
    """results.json of the run: the evaluation's figures, and where they come from and what they cost."""
    train, prepare = facts.get("train") or {}, facts.get("prepare") or {}
    results = dict(facts["results"])
    return {
        **results,
        "name": (facts.get("recipe") or {}).get("name"),
        "recipe": facts.get("recipe"),
        "fingerprints": facts.get("fingerprints"),
        "data": {
            **(results.get("data") or {}),
            "funnel": data.funnel(facts.get("collect") or {}, prepare),
            "splits": prepare.get("splits"),
            "split_by": prepare.get("split_by"),
            "labels": prepare.get("labels"),
            "languages": prepare.get("languages"),
            "duplicates": prepare.get("duplicates"),
            "conflicts": prepare.get("conflicts"),
            "deidentified": prepare.get("deidentified"),
            "leaks": prepare.get("leaks"),
            "rejected": _reasons(facts),
        },
        "training": train,
        "cost": {
            "seconds": facts.get("seconds") or {},
            "tokens": train.get("tokens"),
            "peak_memory_mb": train.get("peak_memory_mb"),
            "energy": train.get("energy"),
            "request": costs.requests(facts),
            "machine": facts.get("environment"),
        },
        "command": facts.get("command"),
    }


def page(config: ReportConfig, facts: Mapping[str, Any]) -> str:
    """report.html as text."""
    import jinja2

    folder = resources.files(__package__)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(cap=_capital, soft=_soft)
    template = environment.from_string(folder.joinpath("page.html.j2").read_text(encoding="utf-8"))
    style = folder.joinpath("style.css").read_text(encoding="utf-8")
    recipe = facts.get("recipe") or {}
    order = [config.language, *(code for code in LANGUAGES if code != config.language)]
    versions = [_version(code, facts, config.show_texts) for code in order]
    return template.render(
        first=config.language,
        title=config.title or recipe.get("name") or "Metier",
        description=recipe.get("description") or "",
        style=Markup(style),
        versions=versions,
        names=[(code, Words(code)("page.language"), LANG[code]) for code in LANGUAGES],
        show_texts=config.show_texts,
        documents=DOCUMENTS,
        version=metier.__version__,
    )


def _version(code: str, facts: Mapping[str, Any], show_texts: bool) -> dict[str, Any]:
    words = Words(code)
    return {
        "code": code,
        "lang": LANG[code],
        "t": words,
        "opening": opening.opening(facts, words, show_texts),
        "evidence": evidence.evidence(facts, words, show_texts),
        "checks": checks.checks(facts, words, show_texts),
        "data": data.data(facts, words, show_texts),
        "making": making.making(facts, words),
    }


def _capital(text: str) -> str:
    """The first letter large, the rest as it is (str.capitalize would lower it)."""
    return text[:1].upper() + text[1:]


def _soft(label: str) -> Markup:
    """A label that may break after an underscore or slash, so that long names do not push a table wide."""
    safe = str(escape(label))
    return Markup(safe.replace("_", "_<wbr>").replace("/", "/<wbr>"))


def _reasons(facts: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """stage -> reason -> rows."""
    counts: dict[str, dict[str, int]] = {}
    for row in facts.get("rejected") or ():
        stage = counts.setdefault(str(row.get("stage") or ""), {})
        stage[str(row.get("reason") or "")] = stage.get(str(row.get("reason") or ""), 0) + 1
    return counts
