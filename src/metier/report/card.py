"""The model card: README.md in the form that the Hugging Face Hub reads, verdict first.

Purpose: YAML front matter (language, tags, base model, metrics with their intervals) and the sections that an auditor
asks for, in both languages. What only a human can say stands as "Not provided"; no quoted text enters the card, since
a model travels further than its report.
Source of the form: huggingface/hub-docs, modelcard.md (model-index, pipeline_tag, library_name).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from metier.report import evidence, making, opening
from metier.report.config import ReportConfig
from metier.report.data import funnel, long_texts
from metier.report.words import LANGUAGES, Words


def card(config: ReportConfig, facts: Mapping[str, Any]) -> str:
    """README.md as text: front matter, the card in the report's language, then the other language folded."""
    first = Words(config.language)
    other = Words(next(code for code in LANGUAGES if code != config.language))
    title = config.title or (facts.get("recipe") or {}).get("name") or "model"
    front = yaml.safe_dump(front_matter(facts), sort_keys=False, allow_unicode=True, width=100)
    return (
        f"---\n{front}---\n\n# {_inline(title)}\n\n{_body(facts, first)}\n"
        f"<details>\n<summary>{other('card.other')}</summary>\n\n{_body(facts, other)}\n</details>\n"
    )


def front_matter(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the Hub's index reads. Licence is left out: Metier cannot know it."""
    results, recipe = facts["results"], facts.get("recipe") or {}
    languages = [code for code in ("en", "zh") if _language_count(facts, code)]
    base = str(
        (facts.get("train") or {}).get("base", {}).get("model") or recipe.get("train", {}).get("base_model") or ""
    )
    task = results.get("task") or {}
    pipeline = str((results.get("profile") or {}).get("pipeline") or "text-classification")
    kind = "text-scoring" if task.get("name") == "score" else pipeline
    name = str(recipe.get("name") or "model")
    front: dict[str, Any] = {
        **({"language": languages} if languages else {}),
        "library_name": "transformers",
        "pipeline_tag": pipeline,
        **({"base_model": base} if re.fullmatch(r"[\w.-]+/[\w.-]+", base) else {}),
        "tags": ["metier", kind, *(["multi-label"] if task.get("multi_label") else [])],
    }
    metrics = _metrics(results)
    if metrics:
        dataset = {"name": f"{name} (test split)", "type": name, "split": "test"}
        result = {"task": {"type": pipeline}, "dataset": dataset, "metrics": metrics}
        front["model-index"] = [{"name": name, "results": [result]}]
    return front


def _metrics(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    tuned = results["models"].get("tuned", {})
    words = Words("en")
    found = []
    for metric in evidence.METRICS:
        figure = tuned.get(metric)
        if isinstance(figure, Mapping) and figure.get("value") is not None:
            args = {"low": figure.get("low"), "high": figure.get("high"), "confidence": 0.95, "n": figure.get("n")}
            found.append({"type": metric, "name": words.metric(metric), "value": figure["value"], "args": args})
    return found


def _body(facts: Mapping[str, Any], words: Words) -> str:
    parts = [
        _verdict(facts, words),
        _use(facts, words),
        _data(facts, words),
        _training(facts, words),
        _evaluation(facts, words),
        _breaks(facts, words),
        _limits(facts, words),
        _environment(facts, words),
        _reproduce(facts, words),
    ]
    return "\n".join(f"## {head}\n\n{text.strip()}\n" for head, text in parts)


def _verdict(facts: Mapping[str, Any], words: Words) -> tuple[str, str]:
    o = opening.opening(facts, words, show_texts=False)
    lines = [f"> {_inline(text)}" for text in o["warnings"]]
    text = "\n>\n".join(lines) + ("\n\n" if lines else "")
    text += f"**{o['badge']}.** {_inline(o['headline'])}\n\n"
    text += "".join(f"- **{row['word']}**: {_inline(row['text'])} (`{row['criterion']}`)\n" for row in o["reasons"])
    return words("card.verdict"), f"{text}\n{o['source']}"


def _use(facts: Mapping[str, Any], words: Words) -> tuple[str, str]:
    results = facts["results"]
    task = results.get("task") or {}
    kind = str((results.get("profile") or {}).get("kind") or task.get("name"))
    description = (facts.get("recipe") or {}).get("description") or words("not_provided")
    missing = words("not_provided")
    classes = words.count((results.get("data") or {}).get("classes"))
    return words("card.use"), (
        f"{_inline(description)}\n\n"
        f"- {words('card.use_task')}: {words.known('card.task', kind, kind).format(n=classes)}\n"
        f"- {words('card.use_out')}: {missing}\n- {words('card.use_people')}: {missing}\n"
        f"- {words('card.license')}: {missing}\n- {words('card.contact')}: {missing}"
    )


def _data(facts: Mapping[str, Any], words: Words) -> tuple[str, str]:
    collect, prepare = facts.get("collect") or {}, facts.get("prepare") or {}
    rows = [
        [words.known("step", step["step"]), words.count(step["rows"]), words.count(step["removed"])]
        for step in funnel(collect, prepare)
    ]
    counts = prepare.get("splits") or {}
    split = " · ".join(
        f"{words(f'split.{name}')} {words.count(counts.get(name))}" for name in ("train", "validation", "test")
    )
    duplicates = prepare.get("duplicates") or {}
    text = _table([words("card.step"), words("card.left"), words("card.removed")], rows)
    text += f"\n{split}. {words.known('split_by', str(prepare.get('split_by') or ''), ' ')}\n\n"
    text += words(
        "data.duplicates", exact=words.count(duplicates.get("exact")), near=words.count(duplicates.get("near"))
    )
    return words("card.data"), text


def _training(facts: Mapping[str, Any], words: Words) -> tuple[str, str]:
    m = making.making(facts, words)
    rows = [[f"`{name}`", value] for name, value in m["settings"]]
    said = "\n".join(_inline(line) for line in m["summary"])
    return words("card.training"), f"{said}\n\n{_table([words('settings.key'), words('settings.value')], rows)}"


def _evaluation(facts: Mapping[str, Any], words: Words) -> tuple[str, str]:
    results = facts["results"]
    table = evidence.scores(results, words)
    rows = [
        [
            row["name"],
            *(
                f"{cell['value']} {words('brackets', inner=cell['interval']).strip()}"
                if cell["interval"]
                else cell["value"]
                for cell in row["cells"]
            ),
        ]
        for row in table["rows"]
    ]
    text = _table([words("scores.model"), *(head["name"] for head in table["heads"])], rows)
    lines = [f"- {row['sentence']}" for row in opening.opponents(results, words)]
    return words("card.evaluation"), f"{text}\nn = {words.count(results.get('data', {}).get('test'))}\n\n" + "\n".join(
        lines
    )


def _breaks(facts: Mapping[str, Any], words: Words) -> tuple[str, str]:
    b = opening.breaks(facts, words, show_texts=False)
    if not b["known"]:
        return words("card.breaks"), words("breaks.unknown")
    sentence = words(
        "breaks.sentence_score" if b["score"] else "breaks.sentence",
        broken=b["broken"],
        mended=b["mended"],
        opponent=b["opponent"],
    )
    tuned = facts["results"]["models"].get("tuned", {})
    classes = evidence.classes(tuned, facts["results"], words)["first"][:3]
    if classes:
        named = ", ".join(f"{_inline(row['label'])} (F1 {row['f1']['value']})" for row in classes)
        sentence += "\n\n" + words("card.weak", classes=named)
    confusion = evidence.confusion(tuned, words)
    if confusion and confusion["top"]:
        pairs = ", ".join(
            f"{_inline(row['gold'])} → {_inline(row['predicted'])} ({row['n']})" for row in confusion["top"][:3]
        )
        sentence += "\n\n" + words("card.confused", pairs=pairs)
    return words("card.breaks"), sentence


def _limits(facts: Mapping[str, Any], words: Words) -> tuple[str, str]:
    lines = [words("card.limit_data")]
    counts = (facts.get("prepare") or {}).get("languages") or {}
    if counts:
        named = ", ".join(
            f"{words.known('language', code or 'unknown', code)} {words.count(n)}" for code, n in sorted(counts.items())
        )
        lines.append(words("card.limit_languages", languages=named))
    lines += long_texts(facts.get("train") or {}, words)
    lines += opening.warnings(facts["results"], words)
    lines.append(f"{words('card.limit_bias')}: {words('not_provided')}")
    return words("card.limits"), "\n".join(f"- {_inline(line)}" for line in lines)


def _environment(facts: Mapping[str, Any], words: Words) -> tuple[str, str]:
    m = making.making(facts, words)
    lines = [f"- {name}: {value}" for name, value in m["machine"]]
    rows = [(words("cost.total"), m["cost"]["total"]), *m["cost"]["training"], *m["cost"]["use"]]
    lines += [f"- {name}: {_inline(value)}" for name, value in rows]
    lines.append("- " + ", ".join(f"{name} {value}" for name, value in m["packages"]))
    return words("card.environment"), "\n".join(lines)


def _reproduce(facts: Mapping[str, Any], words: Words) -> tuple[str, str]:
    rows = [[name, f"`{value}`"] for name, value in making.making(facts, words)["fingerprints"]]
    table = _table([words("reproduce.stage"), words("reproduce.fingerprint")], rows)
    return words("card.reproduce"), f"```sh\n{facts.get('command') or ''}\n```\n\n{table}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(_inline(str(cell)) for cell in line) + " |\n" for line in lines)


def _inline(text: str) -> str:
    """Text that cannot start markup: HTML, pipes and line breaks are defused."""
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "\\|")


def _language_count(facts: Mapping[str, Any], code: str) -> int:
    counts = (facts.get("prepare") or {}).get("languages") or {}
    return counts.get(code, 0) + counts.get("mixed", 0)
