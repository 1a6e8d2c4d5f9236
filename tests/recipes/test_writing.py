"""The recipes whose answers are texts: read from the mirror, and run small from end to end with a random base."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from metier.console import Console
from metier.finding import find_recipe
from metier.recipe import parse
from metier.run import default_context as context_of
from metier.run import run

NAMES = {
    "healthcare/question-summaries": ("generate", "health/meqsum"),
    "healthcare/visit-notes": ("generate", "health/mts-dialog"),
    "healthcare/questions": ("generate", "health/medquad"),
    "healthcare/consultation-zh": ("chat", "health/huatuo-zh"),
    "legal/statutes": ("pretrain", "legal/statutes-en.parquet"),
    "legal/statutes-zh": ("pretrain", "legal/statutes-zh.parquet"),
    "legal/examinations-zh": ("choose", "legal/disclaw-eval-zh"),
    "general/harmless": ("prefer", "general/hh-rlhf-harmless"),
    "general/base": ("pretrain", "general/wikipedia-en.parquet"),
    "quickstart/bank-documents": ("generate", "its pages come with the package"),
    "quickstart/bank-pages": ("pretrain", "its pages come with the package"),
}
N = 48


@pytest.fixture(scope="session")
def writer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random decoder of two layers with a tokenizer over bytes."""
    from tests.train.models import build_writer

    folder = tmp_path_factory.mktemp("base") / "tiny-writer"
    build_writer("qwen2", folder)
    return folder


def invented(task: str, chinese: bool) -> list[dict[str, Any]]:
    """Rows in the shape that the recipe's data has."""
    subjects = "银行 贷款 房租 税费 工资 股票 合同 保险" if chinese else "bank loan rent fee wage share deed card"
    rows: list[dict[str, Any]] = []
    for i in range(N):
        one, other = subjects.split()[i % 8], subjects.split()[(3 * i + 1) % 8]
        asked = f"请问{one}第{i}条怎么办？" if chinese else f"what of the {one} in case {i}?"
        answer = f"{one}与{other}按第{i % 5}条办理。" if chinese else f"the {one} follows the {other} by rule {i % 5}."
        split = "test" if i % 3 == 0 else "train"
        rows.append({
            "generate": {"text": asked, "answer": answer, "split": split},
            "chat": {"instruction": asked, "input": "", "output": answer, "split": split},
            "choose": {"question": asked, "A": answer, "B": f"{one}{i}", "C": f"{other}{i}", "answer": "ABC"[i % 3],
                       "split": split},
            "pretrain": {"text": f"{asked} {answer} " * 4, "split": split},
            "prefer": {"chosen": f"\n\nHuman: {asked}\n\nAssistant: {answer}",
                       "rejected": f"\n\nHuman: {asked}\n\nAssistant: no {other}.", "split": split},
        }[task])  # fmt: skip
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_recipes_that_write_run_small(name: str, writer_folder: Path, work: Path) -> None:
    recipe, _ = find_recipe(name)
    task = recipe.task.name
    assert task == NAMES[name][0]
    rows = invented(task, name.endswith("-zh"))
    Path("data.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    columns = {"generate": {"text": "text", "answer": "answer", "split": "split"}, "pretrain": {"text": "text",
               "split": "split"}}.get(task, {})  # fmt: skip
    sources: list[dict[str, Any]] = [{"path": "data.jsonl", "columns": columns}]
    small = recipe.model_dump(mode="json")
    if recipe.prepare.mix.general:
        general = [{"text": f"general words number {i}, of no field, told once and {i % 7} times."} for i in range(N)]
        Path("general.jsonl").write_text("".join(json.dumps(row) + "\n" for row in general), encoding="utf-8")
        sources.append({"path": "general.jsonl", "columns": {"text": "text"}})
        small["prepare"]["mix"] |= {"general": ["general.jsonl"], "general_share": 0.2}
    small["prepare"]["split"]["by"] = "column"
    small["prepare"]["dedup"]["remove_near"] = False  # the invented rows are much alike
    small["prepare"]["decontaminate"]["action"] = "off"
    small["collect"] |= {"sources": sources, "workers": 1}
    small["task"]["max_new_tokens"] = 8
    small["train"] |= {"base_model": str(writer_folder), "method": "full", "epochs": 1, "threads": 1}
    small["evaluate"] |= {"bootstrap": 200}
    done = run(parse(small), context_of(work, Console(quiet=True)))
    results = json.loads((done["evaluate"].path / "results.json").read_text(encoding="utf-8"))
    assert results["data"]["test"] == N // 3
    primary = results["primary"]
    assert results["models"]["tuned"][primary]["value"] is not None is not results["models"]["base"][primary]["value"]
    assert {reason["criterion"] for reason in results["verdict"]["reasons"]} == set(recipe.evaluate.accept)
    page = (done["report"].path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page and results["verdict"]["headline"].split("(")[0][:40] in page
    if recipe.prepare.mix.general:
        summary = done["prepare"].summary
        assert any("general text" in str(step["note"]) for step in summary["funnel"] if step["step"] == "mix")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "documents", "note"),
    [
        ("healthcare/question-summaries", 1000, "1,000 answers, 0 questions"),
        ("healthcare/visit-notes", 1501, "1,501 answers, 1,501 questions"),
        ("healthcare/questions", 15848, "15,848 answers, 0 questions"),
        ("healthcare/consultation-zh", 8658, "8,658 conversations with 8,658 answers to learn"),
        ("general/harmless", 2312, "2,"),
        ("legal/examinations-zh", 1614, "1,614 questions, of 4 options"),
    ],
)
def test_recipes_that_write_are_read_from_the_mirror(
    name: str, documents: int, note: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Path(os.environ.get("METIER_DATA_MIRROR") or Path(__file__).parents[3] / "shared" / "data")
    if not (mirror / NAMES[name][1]).exists():
        pytest.skip(f"METIER_DATA_MIRROR does not name {NAMES[name][1]}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METIER_DATA_MIRROR", str(mirror))
    recipe, base = find_recipe(name, overrides=["collect.workers=1", "prepare.dedup.near=false"])
    done = run(recipe, context_of(base, Console(quiet=True)), until="prepare")
    assert done["collect"].summary["documents"] == documents
    step = next(step for step in done["prepare"].summary["funnel"] if step["step"] == "task")
    assert step["note"].startswith(note), step
    assert done["prepare"].summary["splits"]["test"] > 50
