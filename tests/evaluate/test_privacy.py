"""Privacy: a model that learned a canary is flagged and one that did not is not; an easy split is not called memory."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import kstest

from metier import tables
from metier.evaluate import completions, losses
from metier.evaluate.checks.privacy import (
    COMPLETED,
    COUNTS,
    LOSSES,
    RANKS,
    Privacy,
    exposure_p,
)
from metier.registry import lookup
from metier.run import default_context, identity
from metier.train import canaries
from metier.train.config import TaskConfig

from .memory import asked, examples, learn, told, writer

WORDS = ["card", "loan", "rent", "bank", "gold", "wage", "share", "bond", "grant", "note", "tax", "fee"]
CONFIG: dict[str, Any] = {
    "checks": ["privacy"], "privacy": {"canaries": 3, "candidates": 32, "examples": 50, "identifiers": 12},
}  # fmt: skip


def letters(n: int = 32) -> list[dict[str, Any]]:
    """Short texts, each fourth with an invented number to call."""
    draw = random.Random(1)
    return [
        {"text": " ".join(draw.choices(WORDS, k=5))
         + (f" call +1 {draw.randrange(200, 999)} 555 {draw.randrange(1000, 9999)}" if i % 4 == 0 else ""),
         "split": "train" if i % 2 == 0 else "test"}
        for i in range(n)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A pretraining run whose model has read its training texts and canaries until it knew them."""
    folder = tmp_path_factory.mktemp("remembering")
    task = TaskConfig(name="pretrain")
    model, base = writer(folder / "base", task)
    examples(folder, letters())
    given = asked(folder, CONFIG, task, base, model)
    drawn = canaries.draw(given.parts["train"], task, *given.config.planted[::2], 0)
    tables.write(drawn, folder / canaries.FILE)
    learn(model, canaries.plant(given.parts["train"], drawn, 2), 150)
    return given


def test_what_was_learned_is_flagged(remembering: Any) -> None:
    stored = Privacy().ask(remembering)
    found = Privacy().judge(stored, told(remembering))
    assert set(found.figures) == set(Privacy.figures)
    exposure, area, written = (found.figures[name] for name in ("exposure", "membership_auc", "extracted"))
    assert exposure.value == 5 and exposure.n == 3  # all of log2(32): each the likeliest of its candidates
    assert area.value > 0.85 and area.low > 0.6
    assert written.value >= 0.8 and written.n == 8 == stored["completed"].num_rows
    warned = " ".join(one[0] for one in found.warnings)
    for wanted in ("learned secrets", "recognises texts", "writes out", "train again without them"):
        assert wanted in warned
    assert not any(stored["completed"]["base_hit"].to_pylist()) and all(stored["canaries"]["written"].to_pylist())


def test_a_model_that_saw_nothing_is_not_flagged(remembering: Any, tmp_path: Path) -> None:
    model, base = writer(tmp_path / "base", remembering.task)
    given = asked(remembering.examples.path, CONFIG, remembering.task, base, model)
    found = Privacy().judge(Privacy().ask(given), told(given))
    assert found.figures["extracted"].value == 0 and found.figures["exposure"].value < 3
    assert found.figures["membership_auc"].value == 0.5  # it is the base
    assert [one[0][:25] for one in found.warnings] == ["3 invented secrets are pa"]  # that they stand in training


def membership(tuned: Any, base: Any, member: Any) -> dict[str, pa.Table]:
    rows = [{"id": f"e{i}", "member": bool(m), "tuned": float(t), "base": float(b)}
            for i, (t, b, m) in enumerate(zip(tuned, base, member, strict=True))]  # fmt: skip
    return {"losses": tables.table(rows, LOSSES), "canaries": RANKS.empty_table(), "completed": COMPLETED.empty_table(),
            "counts": tables.table([{"name": "asked", "count": 0}], COUNTS)}  # fmt: skip


def test_an_easy_split_is_not_called_memory(remembering: Any) -> None:
    """Training texts are easier for both models alike: by losses alone they could be told apart."""
    draw = np.random.default_rng(0)
    member = np.arange(600) < 300
    hard = draw.normal(0, 1, 600) - 1.0 * member
    both = hard[None] + draw.normal(0, 0.2, (2, 600)) + 5
    found = Privacy().judge(membership(both[0], both[1], member), told(remembering))
    area = found.figures["membership_auc"]
    assert 0.42 < area.value < 0.58 and not found.warnings
    alone = {row[0][0]: row[1].value for row in found.tables[0].rows}
    assert alone["tuned model alone"] > 0.7 and alone["untouched base (how easy the split is)"] > 0.7
    learned = both[0] - 0.6 * member  # and now it has learned something of each
    found = Privacy().judge(membership(learned, both[1], member), told(remembering))
    assert found.figures["membership_auc"].low > 0.9 and "more than their difficulty" in found.warnings[0][0]


def test_exposures_by_chance_are_flagged_as_rarely_as_said() -> None:
    draw = np.random.default_rng(0)
    p = [exposure_p(np.log2(256) - np.log2(draw.integers(1, 257, 10))) for _ in range(1500)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.015)
    assert kstest(p, "uniform").statistic < 0.04
    assert exposure_p([8.0] * 10) < 1e-12 and exposure_p([1.0] * 10) > 0.5


@pytest.mark.parametrize("name", ["classify", "score", "tag", "extract", "relate", "generate", "chat"])
def test_canaries_of_every_task_can_be_learned(name: str) -> None:
    """Each candidate passes the task's own reading, and the planted one stands in training as often as asked."""
    task = TaskConfig(name=name)
    texts = (
        ["我的卡丢了，请帮我", "贷款利率是多少"] if name == "chat" else ["my card is lost and gone", "what is the rate"]
    )
    rows = [{"id": f"e{i}", "text": text, "label": str(i), "value": float(i), "split": "train", "pair": "what?",
             "answer": text, "spans": [{"start": 0, "end": 2, "label": "drug"}], "answers": [{"start": 0, "end": 2}]}
            for i, text in enumerate(texts)]  # fmt: skip
    train = tables.table(rows, tables.EXAMPLES)
    drawn = canaries.draw(train, task, 3, 20, 7)
    assert (
        drawn.num_rows == 60
        and sum(drawn["planted"].to_pylist()) == 3
        and drawn.equals(canaries.draw(train, task, 3, 20, 7))
    )
    planted = canaries.plant(train, drawn, 2)
    assert planted.num_rows == 2 + 6 and planted.schema == train.schema and len(set(planted["id"].to_pylist())) == 8
    column = lookup("task", name).profile(task).answer
    for row in drawn.to_pylist():
        for mark in row["spans"] or row["answers"] or ():
            assert row["text"][mark["start"] : mark["end"]].strip() == row["text"][mark["start"] : mark["end"]] != ""
        assert row[column] is not None and (name != "relate" or lookup("task", "relate").profile(task).refuses(
            row["text"]) is None)  # fmt: skip
        if name == "chat":
            assert json.loads(row["messages"])[0]["content"].endswith("？") and row["secret"] in row["answer"]
    if name in ("classify", "score"):  # one answer, different texts
        one = [row for row in drawn.to_pylist() if row["canary"] == 0]
        assert len({row["text"] for row in one}) == 20 and len({(row["label"], row["value"]) for row in one}) == 1


def test_identifiers_that_stand_in_the_words_before_are_not_asked_for() -> None:
    rows = tables.table([
        {"text": "Write to Bo.", "answer": "Mail ann@example.org, again ann@example.org."},
        {"text": "Her mail is eve@example.org.", "answer": "It is eve@example.org."},
        {"text": "几号联系？", "answer": "请拨打13812345678。"},
    ], tables.EXAMPLES)  # fmt: skip
    found, copied = completions.identifiers(rows, TaskConfig(name="generate"))
    assert [(one.row, one.kind, one.text) for one in found] == [
        (0, "email", "ann@example.org"), (2, "phone", "13812345678")
    ] and copied == 2  # fmt: skip


def test_the_base_of_a_classifier_is_a_head_that_never_saw_the_example(tiny_base: Path, tmp_path: Path) -> None:
    """Random labels: a head that was fitted with an example would know its label, one without it cannot."""
    from metier.train import bases
    from metier.train.encoding import Encoder
    from metier.train.model import TunedModel
    from metier.train.network import Shape, load, load_tokenizer

    draw = random.Random(3)
    made = [{"id": f"e{i}", "text": " ".join(draw.choices(WORDS, k=6)), "label": draw.choice("ab")} for i in range(120)]
    rows = tables.table([*made, {"id": "new", "text": "a", "label": "unheard"}], tables.EXAMPLES)
    task = lookup("task", "classify")(TaskConfig(), {"classes": ["a", "b"]})
    base = bases.resolve(str(tiny_base))
    network = load(base, Shape(2, task.problem_type, "mean"), 0)
    model = TunedModel(network, task, lookup("method", "full"), Encoder(load_tokenizer(base), 64), 4096, False)
    given = asked(tmp_path, {}, task.config, tiny_base, model)
    found = losses.of_base(model, base, rows, given.console)
    assert np.isnan(found[-1]) and np.isfinite(found[:-1]).all()
    assert found[:-1].mean() > 0.65  # ln 2 is 0.693
    own = losses.of_model(model, rows, given.console)
    assert np.isnan(own[-1]) and own[:-1].mean() == pytest.approx(np.log(2), abs=0.3)


def test_planting_is_part_of_what_training_is(copied: Path, metier: Any) -> None:
    answer = metier("run", "recipe.yaml", "evaluate.checks=[privacy]", "evaluate.privacy.canaries=3",
                    "evaluate.privacy.candidates=16", "evaluate.privacy.canary_repeats=2")  # fmt: skip
    assert answer.code == 0, answer.text
    assert "6 planted canaries are learned beside" in answer.text and "train: reused" not in answer.text
    results = json.loads(Path("runs/small/results.json").read_text(encoding="utf-8"))
    found = results["checks"]["privacy"]["figures"]
    assert found["exposure"]["n"] == 3 and 0 <= found["exposure"]["value"] <= 4
    assert found["membership_auc"]["n"] == 60 - 6 and found["extracted"]["value"] is None
    page = Path("runs/small/report.html").read_text(encoding="utf-8")
    assert "privacy.membership_auc" in page and "暴露度" in page
    assert "6 planted canaries" in page and "植入的 6 条" in page  # in the section on training

    from metier.console import Console
    from metier.recipe import load

    context = default_context(Path.cwd(), Console(quiet=True))
    context.done["prepare"] = context.store.all("prepare")[0]
    plain = load(Path("recipe.yaml"))
    assert "canaries" not in identity("train", plain, context)["config"]
    unused = metier("why", "recipe.yaml", "evaluate.privacy.canaries=3")  # without the check they would be for nothing
    assert unused.code == 2 and "add privacy to evaluate.checks" in unused.err
