"""A look at held-out questions: the verdict first, both languages, and every answer as it was stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.train.models import build_writer
from typer.testing import CliRunner

from metier.cli import app
from metier.cli.asked import look
from metier.console import Console
from metier.errors import UserError
from metier.recipe import parse
from metier.run import default_context, run
from metier.tables import read


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over twelve questions in each language."""
    folder = tmp_path_factory.mktemp("answers")
    build_writer("llama", folder / "writer")
    rows: list[dict[str, Any]] = []
    for i in range(12):
        split = "test" if i % 2 else "train"
        rows.append(
            {
                "text": f"The fee of account {i} is {i} a month, and falls due on the first day.",
                "question": f"What is the fee of account {i}?",
                "answer": f"{i} a month",
                "split": split,
            }
        )
        rows.append({"text": f"第{i}号账户的管理费为每月{i}元，每月一日扣收。", "question": f"第{i}号账户管理费多少？",
                     "answer": f"{i}元", "split": split})  # fmt: skip
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = parse({
        "name": "asked", "task": {"name": "generate", "max_new_tokens": 4},
        "collect": {"workers": 1, "sources": [{"path": "rows.jsonl", "columns": {
            "text": "text", "pair": "question", "answer": "answer", "split": "split"}}]},
        "prepare": {"dedup": {"near": False}, "decontaminate": {"action": "off"}, "split": {"validation": 0}},
        "train": {"base_model": "writer", "method": "full", "max_steps": 1, "threads": 1},
        "evaluate": {"bootstrap": 200, "accept": ["rouge_l > base"]},
    })  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(recipe, default_context(folder, Console(quiet=True)))
    return folder


def test_both_languages_are_shown_as_they_were_stored(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    shown = look("asked", 2)
    assert [one.language for one in shown.asked] == ["en", "en", "zh", "zh"]
    told = json.loads(Path("runs/asked/results.json").read_text())
    assert shown.headline.startswith(told["verdict"]["decision"])
    assert dict(shown.figures)["tuned"] == told["models"]["tuned"]["rouge_l"]["value"]
    stored = read(Path("runs/asked/artifacts/predictions/predictions.parquet")).to_pylist()
    answers = {row["written"] for row in stored if row["model"] == "tuned"}
    for one in shown.asked:
        assert set(one.answers) == {"base", "tuned"} and one.answers["tuned"] in answers
        number = "".join(filter(str.isdigit, one.question))
        assert one.right in (f"{number} a month", f"{number}元") and int(number) % 2  # held out
    assert [one.question for one in look("asked", 1).asked] == [shown.asked[0].question, shown.asked[2].question]


def test_the_command_puts_the_verdict_first(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    lines = CliRunner().invoke(app, ["answers", "asked", "-n", "1"]).output.splitlines()
    assert lines[0].startswith(("REJECT", "CONDITIONAL", "SIGN OFF")) and lines[-1].endswith("report.html")
    assert sum(line.startswith("  tuned: ") for line in lines) == 2


def test_a_run_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no finished run"):
        look("nowhere")
