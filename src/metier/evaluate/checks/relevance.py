"""The check `relevance`: whether an answer belongs to its question, or would do for any.

Purpose: each answer meets its own question and the question of another test row. A measure of fit that prefers its own
question in half of the cases says "irrelevant"; the share of answers that fit their own question better is the area
under the ROC curve within pairs, free of units and of the answer's length. Three measures of fit: how much less the
frozen base is surprised by the answer after the question (the difference of two questions' pointwise mutual
information), shared rare words (BM25), and, where an embedder is named, similarity of meaning less the echo: the part
of the answer that only repeats the question.
Trade-off: a question of another row is drawn once, from the recipe's seed, and never one with the same text or group.
Not covered: whether a relevant answer is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from metier.evaluate import written
from metier.evaluate.checks.base import Asked, Figure, Findings, Table, Told
from metier.evaluate.checks.means import mean
from metier.evaluate.items import TEXT
from metier.evaluate.metrics.texts import overlap
from metier.evaluate.wording import Both
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.tasks import profile
from metier.train.tasks.base import strings

MODELS: dict[str, Both] = {"tuned": ("Tuned model", "微调模型"), "base": ("Base model", "基础模型"),
                           "gold": ("Right answers", "参考答案")}  # fmt: skip
MEASURES: dict[str, Both] = {
    "likelihood": ("Explained by the question (base's likelihood)", "由问题可以预料（基础模型的似然）"),
    "words": ("Shared rare words (BM25)", "共同的稀有词（BM25）"),
    "meaning": ("Similar meaning, echo taken out (embeddings)", "语义相近，去除复述（向量）"),
}
CHANCE = 0.5
SCORES = pa.schema([("id", pa.string()), ("model", pa.string()), ("measure", pa.string()), ("own", pa.float64()),
                    ("other", pa.float64())])  # fmt: skip


class Relevance:
    """Answers against their own and other questions."""

    title: Both = ("Relevance", "相关性")
    figures: Mapping[str, Literal["higher", "lower"]] = {
        **{name: "higher" for name in MEASURES}, **{f"{name}_gain": "higher" for name in MEASURES},  # type: ignore[dict-item]
    }  # fmt: skip

    def unfit(self, task: TaskConfig) -> Both | None:
        if profile(task).kind != TEXT:
            return (
                "only written answers can miss their question; this task writes none",
                "只有写出的回答才会答非所问，而本任务不写回答",
            )
        return None

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        from metier.train.model import untouched

        test = asked.parts["test"]
        order = np.random.default_rng([asked.seed, 12]).permutation(test.num_rows)[: asked.config.relevance.items]
        rows = test.take(pa.array(np.sort(order)))
        questions = strings(written.asked(rows, TEXT)["text"])
        others = another(questions, strings(rows["group"]), asked.seed)
        kept = np.flatnonzero(others >= 0)
        rows, own = rows.take(pa.array(kept)), [questions[k] for k in kept]
        strange, foreign = test.take(pa.array(np.sort(order)[others[kept]])), [questions[others[k]] for k in kept]
        place = pa.array(np.sort(order)[kept])
        answers = {"gold": strings(rows["answer"])}
        for name in ("tuned", "base") if asked.config.base else ("tuned",):
            answers[name] = [text or "" for text in asked.stored(name)["written"].take(place).to_pylist()]
        frozen = untouched(asked.tuned, asked.base)
        found: list[dict[str, Any]] = []
        for name, given in answers.items():
            measured = {
                "likelihood": [-_rate(frozen, side, given, asked.console) for side in (rows, strange)],
                "words": [_words(own, given), _words(foreign, given)],
            }
            if asked.config.relevance.embedder:
                measured["meaning"] = _meanings(asked, given, own, foreign)
            for measure, (mine, theirs) in measured.items():
                found += [{"id": i, "model": name, "measure": measure, "own": a, "other": b}
                          for i, a, b in zip(strings(rows["id"]), mine, theirs, strict=True)]  # fmt: skip
        return {"scores": pa.Table.from_pylist(found, SCORES)}

    def judge(self, stored: Mapping[str, pa.Table], told: Told) -> Findings:
        wins: dict[tuple[str, str], dict[str, float]] = {}
        for row in stored["scores"].to_pylist():
            won = 1.0 if row["own"] > row["other"] else 0.5 if row["own"] == row["other"] else 0.0
            blind = not np.isfinite([row["own"], row["other"]]).all()  # an empty answer fits no question
            wins.setdefault((row["measure"], row["model"]), {})[row["id"]] = 0.0 if blind else won
        if not wins:
            return Findings(self.title, missing=("the test rows all ask the same", "测试样本的问题都相同"))
        groups = dict(zip(strings(told.rows["id"]), strings(told.rows["group"]), strict=True))
        figures: dict[str, Figure] = {}
        rows, said = [], []
        for measure in MEASURES:
            if (measure, "tuned") not in wins:
                continue
            cells: list[Any] = [MEASURES[measure]]
            for model in MODELS:
                by_item = wins.get((measure, model))
                cells.append(None if by_item is None else _figure(MODELS[model], by_item, groups, told))
            rows.append(cells)
            mine = figures[measure] = _figure(MEASURES[measure], wins[measure, "tuned"], groups, told)
            if (measure, "base") in wins:
                gain = {i: won - wins[measure, "base"][i] for i, won in wins[measure, "tuned"].items()}
                title = (f"{MEASURES[measure][0]}: tuned minus base", f"{MEASURES[measure][1]}：微调减基础")
                figures[f"{measure}_gain"] = _figure(title, gain, groups, told, -1.0)
            if mine.low is not None and mine.low <= CHANCE:
                said.append((f"{MEASURES[measure][0]}: not shown to be better than answers to any question.",
                             f"{MEASURES[measure][1]}：尚不能证明优于对任意问题的回答。"))  # fmt: skip
        seen, total = len(next(iter(wins.values()))), told.rows.num_rows
        said.append((f"{seen} of {total} test items were compared; the others were not drawn, or ask like all others.",
                     f"比较了 {total} 个测试样本中的 {seen} 个；其余的没有抽中，或没有不同的问题可比。"))  # fmt: skip
        heads: list[Both] = [("Measure", "度量"), *MODELS.values()]
        note = ("Of 100 answers so many fit their own question better than another one; 50 is what chance gives.",
                "每 100 个回答中，与自己的问题比与其他问题更相符的个数；50 即为随机水平。")  # fmt: skip
        return Findings(
            self.title,
            figures,
            [note, *said],
            (),
            [Table(("Fit to the own question", "与自身问题的契合"), heads, rows)],
        )


register("check", "relevance")(Relevance())


def another(questions: Sequence[str], groups: Sequence[str], seed: int) -> np.ndarray:
    """(n,) for each row one with another text and another group, drawn from the seed; -1 where there is none."""
    n, random = len(questions), np.random.default_rng([seed, 13])
    found = np.full(n, -1)
    for row in range(n):
        for candidate in (*random.integers(0, n, 20).tolist(), *random.permutation(n).tolist()):
            apart = not groups[row] or groups[row] != groups[candidate]
            if questions[candidate] != questions[row] and apart:
                found[row] = candidate
                break
    return found


def _figure(
    title: Both, by_item: Mapping[str, float], groups: Mapping[str, str], told: Told, low: float = 0.0
) -> Figure:
    found = mean(list(by_item.values()), [groups.get(item, "") for item in by_item], told.setting, low, 1.0)
    return Figure(title, found.value, found.low, found.high, found.n, "higher", True)


def _rate(model: Any, rows: pa.Table, answers: Sequence[str], console: Any) -> np.ndarray:
    """(n,) bits for each byte of the answers, NaN for empty ones."""
    known = [index for index, text in enumerate(answers) if text.strip()]
    rates = np.full(len(answers), np.nan)
    if known:
        bits, size = model.task.measure(model, rows.take(pa.array(known)), [answers[k] for k in known], console)
        rates[known] = bits / np.maximum(size, 1)
    return rates


def _words(questions: Sequence[str], answers: Sequence[str]) -> np.ndarray:
    """(n,) BM25 scores of each answer as a passage for its question."""
    from metier.train.bm25 import Index

    index = Index(answers)
    blocks = np.concatenate(list(index.scores(questions))) if questions else np.zeros((0, 0))
    return np.where([bool(text.strip()) for text in answers], np.diagonal(blocks), np.nan)


def _meanings(asked: Asked, answers: Sequence[str], *sides: Sequence[str]) -> list[np.ndarray]:
    """For each side of questions (n,): cosine with the answers less the share that repeats the question."""
    from metier.train import bases
    from metier.train.embedding import embedder

    embed = embedder(bases.resolve(asked.config.relevance.embedder, "", asked.near))
    empty = np.array([not text.strip() for text in answers])
    vectors = _unit(np.asarray(embed([text or " " for text in answers])))
    found = []
    for questions in sides:
        near = (vectors * _unit(np.asarray(embed(questions)))).sum(1)
        echo = np.array([overlap(answer, question) for answer, question in zip(answers, questions, strict=True)])
        found.append(np.where(empty, np.nan, near - echo))
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
