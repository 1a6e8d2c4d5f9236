"""De-identification from the command line: a quick look at a text or file, the audit of a run, and the way back.

Purpose: what `metier deidentify` does, importable. The rules are those of the prepare stage; nothing is written but
what is asked for.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

from metier.artifact import RECORD
from metier.console import Console
from metier.errors import UserError
from metier.prepare.deidentify.config import DeidentifyConfig

CONTEXT = 12  # characters of a long finding that the table shows


def look(what: str, policy: str, key_file: str, output: Path | None) -> str:
    """The texts without what was found ("" if they were written), after a table of the findings was printed."""
    from metier.prepare.deidentify.documents import Worker, knowledge_of
    from metier.prepare.deidentify.replace.days import Shift, shift_of
    from metier.prepare.deidentify.replace.people import full_names
    from metier.prepare.deidentify.replace.surrogate import Surrogates
    from metier.prepare.deidentify.replace.text import is_chinese, replace
    from metier.recipe import parse

    prepare = {"deidentify": {"policy": policy, "key_file": key_file}}
    config: DeidentifyConfig = parse(
        {"collect": {"sources": ["-"]}, "prepare": prepare}, "command line"
    ).prepare.deidentify
    worker = Worker(config, knowledge_of(config))
    texts, screen = _texts(what), Console(sys.stdout)
    out, rows, counts = [], [], Counter[str]()
    for source, text in texts:
        spans = worker.find(text)
        key = worker.knowledge.key
        names = full_names([text[span.start : span.end] for span in spans if span.kind == "person"])
        surrogates = Surrogates(key, Shift(shift_of(key, source)), config.ages_from, names) if key else None
        new, done = replace(text, spans, config.policy_of, is_chinese(text, ""), surrogates)
        out.append(new)
        counts.update(item.kind for item in done)
        rows += [[source, str(item.start), item.kind, item.before[:CONTEXT], item.after, item.rule] for item in done]
    if output is not None:
        output.write_text("\n".join(out) + "\n", encoding="utf-8")
        screen.say(f"{sum(counts.values()):,} findings in {len(texts):,} texts; the result is in {output}")
    if rows:
        screen.table(["source", "at", "kind", "found", "replaced by", "rule"], rows[:200])
    if len(rows) > 200:
        screen.say(
            f"... and {len(rows) - 200:,} more: "
            + ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
        )
    if not rows:
        screen.say("nothing was found; that is no proof that nothing is there")
    return "" if output else "\n\n".join(out) + "\n"


def reverse(what: str, vault: Path, output: Path | None) -> str:
    """A text or file with the surrogates of a vault turned back; "" if it was written."""
    from metier.prepare.deidentify.vault import reverse as turn_back

    path = Path(what)
    text = path.read_text(encoding="utf-8") if _is_file(path) else what
    new, number = turn_back(text, vault)
    if output is not None:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(new)
    Console().say(f"{number} surrogates turned back")
    return "" if output else new + "\n"


def sheet(run: str, sample: int, output: Path, seed: int) -> None:
    """Draw a sheet from a run or a prepare artifact."""
    from metier.prepare.deidentify.audit.bound import needed
    from metier.prepare.deidentify.audit.run import draw_sheet

    plan = draw_sheet(find_prepared(run), output, sample, seed)
    drawn = sum(len(stratum["drawn"]) for stratum in plan["strata"].values())
    screen = Console(sys.stdout)
    screen.table(
        ["stratum", "documents", "to read"],
        [[name, stratum["documents"], len(stratum["drawn"])] for name, stratum in plan["strata"].items()],
    )
    screen.say(
        f"{drawn} of {plan['documents']:,} documents are in {output}; read them, fill in `missed`, then: metier "
        f"deidentify audit --answers {output}"
    )
    screen.say(
        f"to show at most 1 % with 95 % confidence, {needed(0.01, 0.95)} documents without a leftover are enough"
    )


def judgement(answers: Path, output: Path | None, confidence: float) -> None:
    """Turn answers into audit.json beside them."""
    from metier.prepare.deidentify.audit.run import judge, summary
    from metier.tables import write_json

    found = judge(answers, confidence)
    path = output or answers.with_name("audit.json")
    write_json(found, path)
    Console(sys.stdout).say(f"{summary(found)}\n{path}")


def find_prepared(name: str) -> Path:
    """The prepare artifact of a run, or the folder itself."""
    runs = Path(os.environ.get("METIER_RUNS") or "runs")
    for path in (Path(name), Path(name) / "artifacts" / "prepare", runs / name / "artifacts" / "prepare"):
        if (path / RECORD).is_file():
            return path
        if path.with_suffix(".path.txt").is_file():  # where links cannot be made, a file names the folder
            return Path(path.with_suffix(".path.txt").read_text(encoding="utf-8").strip())
    raise UserError(f"there is no prepared set called '{name}'", str(runs.absolute()),
                    "name a run, or the folder that `metier prepare RECIPE` printed")  # fmt: skip


def _texts(what: str) -> list[tuple[str, str]]:
    """(source, text) of a file or folder, of standard input (`-`), or the text itself."""
    if what == "-":
        return [("standard input", sys.stdin.read())]
    path = Path(what)
    if not _is_file(path) and not (len(what) < 200 and path.is_dir()):
        return [("text", what)]
    from metier.prediction import collect_texts

    sources, texts, _ = collect_texts(path, Console(quiet=True))
    return list(zip(sources, texts, strict=True))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text that is too long for a path
        return False
