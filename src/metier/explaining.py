"""Why a tuned model answers as it does, for any text: words, training examples, and how faithful that is.

Purpose: what `metier explain` does, importable. The texts are read as the model's run read them.
Trade-off: training examples are shown from the run's own prepared set, so a bare model folder has words alone.
Not covered: files (`metier predict` has them); embed and prefer.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metier.console import Console
from metier.errors import UserError, need
from metier.evaluate.checks.explanation import Explanation, as_examples
from metier.evaluate.config_evidence import ExplanationConfig
from metier.prediction import find_model, repaired
from metier.tables import EXAMPLES, read, table

LISTED = 3  # training examples of each kind
SHOWN = 12  # words in the table, the heaviest first

WORDS = {
    "en": {
        "answer": "answer", "word": "word", "weight": "weight", "attention": "attention", "why": "why",
        "text": "training text", "gold": "its answer", "value": "value", "nearest": "nearest training examples",
        "influence": "pushed the answer most", "none": "there is no answer to explain in this text",
        "sum": "the weights miss the difference of all words by {missed}",
        "faith": "faithfulness {gain} (0: as good as random words, 1: the most)",
        "unsaid": "faithfulness cannot be said of so short a text",
        "alone": "no training examples: the run's prepared set is not beside the model",
    },
    "zh": {
        "answer": "回答", "word": "词", "weight": "权重", "attention": "注意力", "why": "理由", "text": "训练文本",
        "gold": "其答案", "value": "数值", "nearest": "最近的训练样本", "influence": "对该回答推动最大的训练样本",
        "none": "这段文本没有可以解释的回答", "sum": "权重之和与全部词语造成的差值相差 {missed}",
        "faith": "可信度 {gain}（0 为随机水平，1 为最高）", "unsaid": "文本太短，无法给出可信度",
        "alone": "没有训练样本：模型旁边没有该次运行的已准备数据",
    },
}  # fmt: skip


def explain_to(
    name: str, texts: list[str], question: str = "", layer: int | None = -1, head: int | None = None,
    as_json: bool = False, language: str = "en",
) -> None:  # fmt: skip
    """Print what the model's answer to each text rests on.

    layer, head: whose attention stands beside the weights, counted from 0 or from the end; None: the mean of all.
    question: what is asked of every text, where the model reads two.
    """
    if not texts:
        raise UserError("there is nothing to explain", "command line", 'metier explain NAME "a text"')
    if language not in WORDS:
        raise UserError(f"there are no sentences in '{language}'", "--language", "en or zh")
    need("captum", "explain")
    from metier.evaluate.explain.text import explain
    from metier.evaluate.explain.training import Training
    from metier.train.model import load

    console, folder = Console(quiet=as_json), find_model(name)
    model = load(folder)
    if (reason := Explanation().unfit(model.task.config)) is not None:
        raise UserError(f"this model cannot be explained: {reason[0]}", str(folder), "see docs/guide/explanations.md")
    settings, rows = ExplanationConfig(), _rows(repaired(texts, folder), question, model.task.config.name)
    learned = _learned((str(folder.parent), name), settings.training)
    known = Training(model, learned, console) if learned is not None else None
    told = []
    for place in range(rows.num_rows):
        random = np.random.default_rng([place, 31])
        found = explain(model, rows.slice(place, 1), settings, random, known, (layer, head), LISTED)
        others = as_examples(found, learned, model.task.config) if found is not None and learned is not None else []
        told.append(_facts(found, others))
    if as_json:
        Console(sys.stdout).say(json.dumps(told, ensure_ascii=False, indent=2))
        return
    for facts in told:
        _show(facts, learned is not None, WORDS[language])


def _rows(texts: list[str], question: str, task: str) -> pa.Table:
    """Rows as prepare makes them, without answers."""
    rows: list[dict[str, Any]] = [{"id": f"text {place + 1}", "text": text, "pair": question}
                                  for place, text in enumerate(texts)]  # fmt: skip
    if task == "chat":
        rows = [row | {"messages": json.dumps([{"role": "user", "content": row["text"]}])} for row in rows]
    made = table(rows, EXAMPLES)
    return made.drop_columns(["answer"]) if task in ("generate", "chat") else made


def _learned(places: tuple[str, ...], most: int) -> pa.Table | None:
    """Training examples of the run that the model belongs to, evenly drawn; None where they are not there."""
    from metier.deidentification import find_prepared

    examples = None
    for place in places:
        with contextlib.suppress(UserError, OSError):
            examples = read(find_prepared(place) / "examples.parquet")
            break
    if examples is None:
        return None
    train = examples.filter(pc.equal(examples["split"], "train"))
    if not train.num_rows:
        return None
    return train.take(pa.array(np.unique(np.linspace(0, train.num_rows - 1, most).astype(int))))


def _facts(found: Any, others: list[dict[str, Any]]) -> dict[str, Any]:
    """Plain values of one explanation; {} where there is no answer."""
    if found is None:
        return {}
    words = [
        {"field": word.field, "word": found.texts[word.field][word.start : word.end], "start": word.start,
         "end": word.end, "weight": round(float(weight), 6), "attention": round(float(seen), 6)}
        for word, weight, seen in zip(found.words, found.weights, found.attention, strict=True)
    ]  # fmt: skip
    listed = {kind: [{"id": one["other_id"], "text": one["text"], "answer": one["answer"],
                      "value": round(one["value"], 6)} for one in others if one["kind"] == kind]
              for kind in ("nearest", "influence")}  # fmt: skip
    return {
        "answer": found.answer, "texts": found.texts, "words": words, **listed,
        "output": found.found.full, "output_without_words": found.found.empty, "steps": found.found.steps,
        "completeness_miss": round(found.found.error, 6),
        "faithfulness": None if found.faith is None else round(float(found.faith.gain), 6),
    }  # fmt: skip


def _show(facts: dict[str, Any], trained: bool, words: dict[str, str]) -> None:
    screen = Console(sys.stdout)
    if not facts:
        screen.say(words["none"])
        return
    screen.say(f"{words['answer']}: {facts['answer']}")
    heaviest = sorted(facts["words"], key=lambda one: -abs(one["weight"]))[:SHOWN]
    screen.table([words["word"], words["weight"], words["attention"]],
                 [[one["word"], f"{one['weight']:+.3f}", f"{one['attention']:.3f}"] for one in heaviest])  # fmt: skip
    screen.say(words["sum"].format(missed=f"{facts['completeness_miss']:.1%}"))
    gain = facts["faithfulness"]
    screen.say(words["unsaid"] if gain is None else words["faith"].format(gain=f"{gain:.2f}"))
    if not trained:
        screen.say(words["alone"])
    for kind in ("nearest", "influence"):
        if facts[kind]:
            screen.table([words["text"], words["gold"], words["value"]],
                         [[_short(one["text"]), _short(one["answer"]), f"{one['value']:.3g}"] for one in facts[kind]],
                         title=words[kind])  # fmt: skip


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
