"""The check `fluency`: whether an answer is well-formed, whatever it says.

Purpose: two views. How surprising a frozen model finds the answer, in bits a byte, against the band in which the right
answers lie: far above is broken language, far below is empty phrases. And defects that can be seen: empty, unfinished,
repeating itself, mixed scripts, wrong encoding, signs of the chat template.
Trade-off: the reference is never the tuned model, since a model finds its own broken answers fluent; by default it is
the untouched base, which is as good a judge of language as it is a model.
Not covered: style and tone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from metier.errors import UserError
from metier.evaluate.checks import defects
from metier.evaluate.checks.base import Asked, Figure, Findings, Table, Told, quote
from metier.evaluate.checks.means import mean
from metier.evaluate.items import TEXT
from metier.evaluate.wording import Both
from metier.registry import lookup, register
from metier.train.config import TaskConfig
from metier.train.tasks import profile
from metier.train.tasks.base import strings

DEFECTS: dict[str, tuple[Both, Callable[[str, str, bool], bool]]] = {
    "empty": (("Empty", "空白"), lambda text, gold, ended: not text.strip()),
    "unfinished": (
        ("Ends within a sentence", "句子未完"),
        lambda text, gold, ended: not ended or defects.unfinished(text),
    ),
    "repetition": (
        ("Repeats itself", "自我重复"),
        lambda text, gold, ended: defects.repetition(text) > defects.REPEATED,
    ),
    "mixed": (("Mixes scripts", "文字混杂"), lambda text, gold, ended: defects.mixed(text, gold) > defects.MIXED),
    "mojibake": (("Wrong encoding", "乱码"), lambda text, gold, ended: defects.mojibake(text)),
    "leaked": (("Signs of the template", "泄露模板标记"), lambda text, gold, ended: defects.leaked(text)),
}
ANSWERS = pa.schema([("id", pa.string()), ("model", pa.string()), ("text", pa.string()), ("gold", pa.string()),
                     ("finished", pa.bool_()), ("bits", pa.float64()), ("bytes", pa.float64())])  # fmt: skip
SHOWN = 10


class Fluency:
    """Answers as language."""

    title: Both = ("Fluency", "流畅性")
    figures: Mapping[str, Literal["higher", "lower"]] = {
        "outside_band": "lower", "defects": "lower", "defects_more": "lower", **{name: "lower" for name in DEFECTS},  # type: ignore[dict-item]
    }  # fmt: skip

    def unfit(self, task: TaskConfig) -> Both | None:
        if profile(task).kind != TEXT:
            return (
                "only written answers have a language of their own; this task writes none",
                "只有写出的回答才谈得上语言，而本任务不写回答",
            )
        return None

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        test = asked.parts["test"]
        gold = strings(test["answer"])
        answers: dict[str, tuple[list[str], list[bool]]] = {"gold": (gold, [True] * len(gold))}
        for name in ("tuned", "base") if asked.config.base else ("tuned",):
            kept = asked.stored(name)
            answers[name] = ([text or "" for text in kept["written"].to_pylist()],
                             [ended is not False for ended in kept["finished"].to_pylist()])  # fmt: skip
        measure = _reference(asked)
        rows: list[dict[str, Any]] = []
        for name, (texts, ended) in answers.items():
            bits, size = measure(texts)
            rows += [{"id": i, "model": name, "text": text, "gold": right, "finished": end, "bits": spent,
                      "bytes": paid}
                     for i, text, right, end, spent, paid in
                     zip(strings(test["id"]), texts, gold, ended, bits, size, strict=True)]  # fmt: skip
        return {"answers": pa.Table.from_pylist(rows, ANSWERS)}

    def judge(self, stored: Mapping[str, pa.Table], told: Told) -> Findings:
        by_model: dict[str, list[dict[str, Any]]] = {}
        for row in stored["answers"].to_pylist():
            by_model.setdefault(row["model"], []).append(row)
        groups = dict(zip(strings(told.rows["id"]), strings(told.rows["group"]), strict=True))
        band = usual(by_model["gold"], told.config.fluency.band)
        seen = {name: [defects_of(row) for row in rows] for name, rows in by_model.items()}
        mine = by_model["tuned"]

        def figure(title: Both, values: Sequence[float], low: float = 0.0) -> Figure:
            found = mean(values, [groups.get(row["id"], "") for row in mine], told.setting, low, 1.0)
            return Figure(title, found.value, found.low, found.high, found.n, "lower", True)

        figures = {"defects": figure(("Answers with a defect", "有缺陷的回答"), [bool(x) for x in seen["tuned"]])}
        figures |= {name: figure(title, [name in x for x in seen["tuned"]]) for name, (title, _) in DEFECTS.items()}
        if "base" in seen:
            more = [bool(a) - bool(b) for a, b in zip(seen["tuned"], seen["base"], strict=True)]
            title = ("Answers with a defect: tuned minus base", "有缺陷的回答：微调减基础")
            figures["defects_more"] = figure(title, more, -1.0)
        if band is not None:
            outside = [float("nan") if (rate := _rate(row)) is None else not band[0] <= rate <= band[1] for row in mine]
            figures["outside_band"] = figure(
                ("Answers outside the band of the right ones", "落在参考答案区间之外的回答"), outside
            )
        return Findings(self.title, figures, _said(figures, band, told.config.fluency.band), _warn(figures),
                        [_table(by_model, seen), _worst(mine, seen["tuned"])])  # fmt: skip


register("check", "fluency")(Fluency())


def defects_of(row: Mapping[str, Any]) -> set[str]:
    """Names of the defects of one answer; an empty one has no other."""
    found = {name for name, (_, shows) in DEFECTS.items() if shows(row["text"], row["gold"], row["finished"])}
    return {"empty"} if "empty" in found else found


def usual(rows: Sequence[Mapping[str, Any]], share: float) -> tuple[float, float] | None:
    """Bits a byte between which the middle `share` of the right answers lies; None of fewer than 20."""
    rates = [rate for row in rows if (rate := _rate(row)) is not None]
    if len(rates) < 20:
        return None
    low, high = np.quantile(rates, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def _reference(asked: Asked) -> Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]]:
    """texts -> (bits, bytes), each (n,), NaN of empty texts, under the frozen reference."""
    from metier.train import bases
    from metier.train.model import untouched

    named = asked.config.fluency.reference
    base = bases.resolve(named, "", asked.near) if named else asked.base
    model = untouched(asked.tuned, base)
    if model.module.config.is_encoder_decoder:
        raise UserError(
            "an encoder-decoder model gives no likelihood of a text by itself", "evaluate.fluency.reference",
            "name a causal model",
        )  # fmt: skip
    task = lookup("task", "pretrain")(TaskConfig(name="pretrain"), {})
    model = replace(model, task=task)

    def measure(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        bits, size = np.full(len(texts), np.nan), np.full(len(texts), np.nan)
        known = [index for index, text in enumerate(texts) if text.strip()]
        if known:
            decoded, _ = model.predict(pa.table({"text": [texts[k] for k in known]}), asked.console)
            bits[known], size[known] = decoded.bits, decoded.bytes
        return bits, size

    return measure


def _rate(row: Mapping[str, Any]) -> float | None:
    bits, size = row["bits"], row["bytes"]
    return bits / size if bits is not None and size and np.isfinite(bits) else None


def _table(by_model: Mapping[str, Sequence[Mapping[str, Any]]], seen: Mapping[str, Sequence[set[str]]]) -> Table:
    titles: dict[str, Both] = {"tuned": ("Tuned model", "微调模型"), "base": ("Base model", "基础模型"),
                               "gold": ("Right answers", "参考答案")}  # fmt: skip
    rows: list[list[Any]] = []
    for name, title in titles.items():
        if name not in by_model:
            continue
        paid = [row for row in by_model[name] if _rate(row) is not None]
        rate = sum(row["bits"] for row in paid) / sum(row["bytes"] for row in paid) if paid else None
        rows.append([title, rate, *(sum(defect in found for found in seen[name]) for defect in DEFECTS)])
    heads: list[Both] = [
        ("Answers of", "回答来自"),
        ("Bits a byte", "每字节比特数"),
        *(title for title, _ in DEFECTS.values()),
    ]
    return Table(("Surprise and defects", "意外程度与缺陷"), heads, rows)


def _worst(rows: Sequence[Mapping[str, Any]], seen: Sequence[set[str]]) -> Table:
    order = sorted((k for k in range(len(rows)) if seen[k]), key=lambda k: (-len(seen[k]), k))[:SHOWN]
    return Table(("Answers with defects", "有缺陷的回答"), [("Item", "样本"), ("Defects", "缺陷"), ("Answer", "回答")],
                 [[rows[k]["id"], (", ".join(DEFECTS[n][0][0] for n in sorted(seen[k])),
                                   "、".join(DEFECTS[n][0][1] for n in sorted(seen[k]))), quote(rows[k]["text"][:400])]
                  for k in order])  # fmt: skip


def _said(figures: Mapping[str, Figure], band: tuple[float, float] | None, share: float) -> list[Both]:
    found: list[Both] = []
    if band is None:
        found.append(
            (
                "There are fewer than 20 right answers to compare the language with.",
                "可供比较语言的参考答案不足 20 条。",
            )
        )
    else:
        low, high = band
        found.append((
            f"The middle {share:.0%} of the right answers need {low:.2f} to {high:.2f} bits a byte under the "
            "reference; above is broken language, below are empty phrases.",
            f"在参照模型下，居中 {share:.0%} 的参考答案每字节需 {low:.2f} 至 {high:.2f} 比特；"
            "高于此为语句不通，低于此为空话套话。",
        ))  # fmt: skip
    return found


def _warn(figures: Mapping[str, Figure]) -> list[Both]:
    more = figures.get("defects_more")
    if more is None or more.low is None or more.low <= 0:
        return []
    return [("The tuned model writes more answers with defects (empty, unfinished, repeating) than the base.",
             "与基础模型相比，微调模型写出了更多有缺陷的回答（空白、未完、重复）。")]  # fmt: skip
