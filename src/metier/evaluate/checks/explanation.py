"""The check `explanation`: which words and which training examples the answers rest on, and how faithful that is.

Purpose: over a sample of the test set it measures whether explanations are more than decoration (`faithfulness`); for
the surest errors it shows the words that raised the wrong answer and the training examples that pushed it.
Trade-off: minutes for a large model, since each explanation asks it some hundred times.
Not covered: see ../explain/.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from metier import tables
from metier.evaluate import load
from metier.evaluate.checks.base import Asked, Figure, Findings, Table, Told, marked, quote
from metier.evaluate.estimates import interval, mean
from metier.evaluate.items import BITS, SCORE, TEXT, Items, confidence, right
from metier.evaluate.metrics.bits import rates
from metier.evaluate.wording import Both, hundred, number
from metier.registry import register
from metier.tables import write, write_json
from metier.train.config import TaskConfig
from metier.train.tasks import profile
from metier.train.tasks.base import strings

WEIGHTS = pa.list_(pa.struct([("field", pa.string()), ("start", pa.int32()), ("end", pa.int32()),
                              ("weight", pa.float64()), ("attention", pa.float64())]))  # fmt: skip
EXPLAINED = pa.schema([
    ("id", pa.string()), ("group", pa.string()), ("sampled", pa.bool_()), ("error_rank", pa.int32()),  # 0: no error
    ("answer", pa.string()), ("texts", pa.string()), ("words", WEIGHTS), ("full", pa.float64()),
    ("empty", pa.float64()), ("missed", pa.float64()), ("steps", pa.int32()), ("deletion", pa.float64()),
    ("insertion", pa.float64()), ("random_deletion", pa.float64()), ("random_insertion", pa.float64()),
    ("gain", pa.float64()),
])  # fmt: skip
EXAMPLES = pa.schema([("id", pa.string()), ("kind", pa.string()), ("rank", pa.int32()), ("other_id", pa.string()),
                      ("text", pa.string()), ("answer", pa.string()), ("value", pa.float64())])  # fmt: skip
LONGEST = 600  # characters of a text in the report
TOP = 5  # words with the most attention that are named


class Explanation:
    """See the module."""

    title: Both = ("Explanation: what the answers rest on", "解释：回答依据什么")
    figures: Mapping[str, Literal["higher", "lower"]] = {"faithfulness": "higher"}

    def unfit(self, task: TaskConfig) -> Both | None:
        if profile(task).answer in ("label", "labels", "value", "spans", "answers", "answer", "text") and profile(
            task
        ).kind not in ("ranking", "preference"):
            return None
        return ("the answers of this task are comparisons of texts, which are not explained yet",
                "该任务的回答是文本之间的比较，目前还不能解释")  # fmt: skip

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        from metier.errors import need

        need("captum", "explain")
        from metier.evaluate.explain.text import explain
        from metier.evaluate.explain.training import Training

        settings, random = asked.config.explanation, np.random.default_rng([asked.seed, 31])
        test, train = asked.parts["test"], asked.parts["train"]
        errors = {place: rank + 1 for rank, place in enumerate(_errors(asked)[: settings.errors])}
        sampled = set(random.permutation(test.num_rows)[: settings.examples].tolist())
        learned = train.take(pa.array(np.sort(random.permutation(train.num_rows)[: settings.training])))
        known = Training(asked.tuned, learned, asked.console) if errors and learned.num_rows else None
        rows: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        chosen = sorted(sampled | errors.keys())
        with asked.console.progress("explaining answers", len(chosen), "texts") as meter:
            for place in chosen:
                row = test.slice(place, 1)
                found = explain(asked.tuned, row, settings, random, known if place in errors else None)
                meter.advance(1)
                if found is None:
                    continue
                told = {"id": strings(row["id"])[0], "group": strings(row["group"])[0], "sampled": place in sampled,
                        "error_rank": errors.get(place, 0)}  # fmt: skip
                rows.append(told | as_row(found))
                others += [told | one for one in as_examples(found, learned, asked.task)]
        return {
            "explained": tables.table(rows, EXPLAINED),
            "training": tables.table([{name: one[name] for name in EXAMPLES.names} for one in others], EXAMPLES),
        }

    def judge(self, stored: Mapping[str, pa.Table], told: Told) -> Findings:
        rows = stored["explained"].to_pylist()
        figure, said = _faithfulness([row for row in rows if row["sampled"]], told)
        errors = sorted((row for row in rows if row["error_rank"]), key=lambda row: row["error_rank"])
        shown = [_error_table(errors, told), _training_table(errors, stored["training"].to_pylist())] if errors else []
        warnings: list[Both] = []
        if figure.high is not None and figure.low is not None and figure.low <= 0:
            warnings.append((
                "The explanations of this model are not clearly better than random words: do not rely on them.",
                "该模型的解释并不明显好于随机挑选的词：请勿依赖。",
            ))  # fmt: skip
        return Findings(self.title, {"faithfulness": figure}, said, warnings, shown)


register("check", "explanation")(Explanation())


def as_row(found: Any) -> dict[str, Any]:
    """An `Explained` as columns of EXPLAINED."""
    import json

    faith, sums = found.faith, found.found
    areas = {} if faith is None else {**{name: float(getattr(faith, name)) for name in
             ("deletion", "insertion", "random_deletion", "random_insertion", "gain")}}  # fmt: skip
    words = [{"field": word.field, "start": word.start, "end": word.end, "weight": float(weight),
              "attention": float(seen)}
             for word, weight, seen in zip(found.words, found.weights, found.attention, strict=True)]  # fmt: skip
    return {"answer": found.answer, "texts": json.dumps(found.texts, ensure_ascii=False), "words": words,
            "full": sums.full, "empty": sums.empty, "missed": sums.error, "steps": sums.steps, **areas}  # fmt: skip


def as_examples(found: Any, learned: pa.Table, task: TaskConfig) -> list[dict[str, Any]]:
    """The training examples of an `Explained` as columns of EXAMPLES, without the id of the explained text."""
    out = []
    for kind, pairs in (("nearest", found.near), ("influence", found.pushed)):
        for rank, (place, value) in enumerate(pairs):
            row = learned.slice(place, 1).to_pylist()[0]
            out.append({"kind": kind, "rank": rank + 1, "other_id": row["id"], "text": row["text"][:LONGEST],
                        "answer": answer_of(row, task), "value": value})  # fmt: skip
    return out


def answer_of(row: Mapping[str, Any], task: TaskConfig) -> str:
    """The gold answer of an example in words."""
    value = row[profile(task).answer]
    if profile(task).answer in ("spans", "answers"):
        return "; ".join(row["text"][one["start"] : one["end"]] + (f" ({one['label']})" if "label" in one else "")
                         for one in value or ())  # fmt: skip
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None or profile(task).answer == "text" else str(value)[:LONGEST]


def _errors(asked: Asked) -> list[int]:
    """Test rows that the tuned model gets wrong, the surest (or furthest off) first."""
    test, kind = asked.parts["test"], profile(asked.task).kind
    with tempfile.TemporaryDirectory() as folder:
        write(asked.answer("tuned", test), Path(folder) / "predictions.parquet")
        write_json(asked.classes, Path(folder) / "classes.json")
        items: Items = load.items(Path(folder), "tuned", test, kind, load.classes(Path(folder)))
    badness = _badness(items)
    return [int(place) for place in np.argsort(-badness, kind="stable") if np.isfinite(badness[place])]


def _badness(items: Items) -> np.ndarray:
    """(n,) how bad each error is, -inf for none."""
    if items.kind == SCORE:
        return np.abs(np.asarray(items.gold, dtype=float) - items.predicted)
    if items.kind in (TEXT, BITS):
        surprise = rates(items) if "bits" in items.more else np.zeros(len(items))
        wrong = np.ones(len(items), dtype=bool) if items.kind == BITS else ~right(items)
        return np.where(wrong, np.nan_to_num(np.asarray(surprise, dtype=float)), -np.inf)
    sure = confidence(items)
    sure = np.zeros(len(items)) if sure is None else sure if sure.ndim == 1 else sure.mean(axis=1)
    return np.where(right(items), -np.inf, sure)


def _faithfulness(rows: list[dict[str, Any]], told: Told) -> tuple[Figure, list[Both]]:
    title: Both = ("Faithfulness of explanations (0: as good as random, 1: the most)",
                   "解释的可信度（0 为随机水平，1 为最高）")  # fmt: skip
    known = [row for row in rows if row["gain"] is not None]
    if not known:
        return Figure(title, None, better="higher"), [
            ("No answer of the sample could be explained.", "样本中没有可以解释的回答。")
        ]
    found = mean([row["gain"] for row in known])
    limits = interval(found, [row["group"] or "" for row in known], told.config.alpha, -1, 1)
    figure = Figure(title, found.value, *limits, len(known), "higher")
    missed = [row["missed"] for row in known]
    within = sum(one <= told.config.explanation.completeness for one in missed)
    areas = {name: number(float(np.mean([row[name] for row in known])))
             for name in ("deletion", "random_deletion", "insertion", "random_insertion")}  # fmt: skip
    return figure, [
        (
            f"When words are taken away in the order of their weights, the area under the output is "
            f"{areas['deletion']} (random order: {areas['random_deletion']}; less is better); when they are put back "
            f"in that order, {areas['insertion']} (random: {areas['random_insertion']}; more is better). "
            f"{len(known)} answers.",
            f"按权重顺序去掉词语时，输出曲线下面积为 {areas['deletion']}"
            f"（随机顺序 {areas['random_deletion']}，越小越好）；按该顺序放回时为 {areas['insertion']}"
            f"（随机 {areas['random_insertion']}，越大越好）。共 {len(known)} 条回答。",
        ),
        (
            f"The weights of the words add up to the difference that all words make, within "
            f"{hundred(told.config.explanation.completeness)} %, for {within} of {len(known)} answers (median miss "
            f"{hundred(float(np.median(missed)))} %).",
            f"{len(known)} 条回答中有 {within} 条，词语权重之和与全部词语造成的差值相差不超过 "
            f"{hundred(told.config.explanation.completeness)}%（中位偏差 {hundred(float(np.median(missed)))}%）。",
        ),
    ]


def _error_table(errors: list[dict[str, Any]], told: Told) -> Table:
    import json

    gold = {row["id"]: answer_of(row, told.task) for row in told.rows.to_pylist()}
    heads: list[Both] = [
        ("Text; underlined speaks for the answer, dotted against it", "文本；下划线支持该回答，点线反对"),
        ("Answer of the model", "模型的回答"), ("Right answer", "正确答案"),
        ("Most attended (last layer)", "注意力最高（末层）"),
        ("Faithfulness", "可信度"), ("Missed by the sum", "加和偏差"),
    ]  # fmt: skip
    cells = []
    for row in errors:
        texts = json.loads(row["texts"])
        field = "prompt" if "prompt" in texts else "text"
        words = [one for one in row["words"] if one["field"] == field and one["end"] <= LONGEST]
        looked = sorted(words, key=lambda one: -one["attention"])[:TOP]
        cells.append([
            marked(texts[field][:LONGEST], [(one["start"], one["end"], one["weight"]) for one in words]),
            quote(row["answer"][:LONGEST]), quote(gold.get(row["id"], "")),
            quote(" · ".join(texts[field][one["start"] : one["end"]] for one in looked)),
            None if row["gain"] is None else float(round(row["gain"], 3)), float(round(row["missed"], 4)),
        ])  # fmt: skip
    return Table(("The surest errors, and the words that they rest on", "把握最大的错误及其依据的词语"), heads, cells)


def _training_table(errors: list[dict[str, Any]], others: list[dict[str, Any]]) -> Table:
    kinds: dict[str, Both] = {"nearest": ("nearest in the model's space", "模型空间中最近"),
                              "influence": ("pushed the answer most", "对该回答推动最大")}  # fmt: skip
    heads: list[Both] = [("Error", "错误"), ("Why", "理由"), ("Training text", "训练文本"), ("Its answer", "其答案"),
                         ("Cosine or influence", "余弦或影响值")]  # fmt: skip
    place = {row["id"]: number + 1 for number, row in enumerate(errors)}
    cells = [[str(place[one["id"]]), kinds[one["kind"]], quote(one["text"]), quote(one["answer"]),
              float(f"{one['value']:.4g}")]
             for one in sorted((one for one in others if one["id"] in place),
                               key=lambda one: (place[one["id"]], one["kind"] != "nearest", one["rank"]))]  # fmt: skip
    return Table(("Training examples behind these errors", "这些错误背后的训练样本"), heads, cells)
