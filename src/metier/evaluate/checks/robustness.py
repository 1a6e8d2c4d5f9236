"""Robustness: the test texts as life changes them, asked again of the tuned model and of the base.

Purpose: by change, how much of the task's first metric is lost (paired with the same rows unchanged, cluster by group,
Holm over the changes), how many answers change, and whether the base loses less. A row that a change cannot alter is
counted and left out of it: "no loss" is never made of texts that stayed as they were.
Trade-off: at most `robustness.items` rows a change, so that the check costs about as much as the test set once or
twice. Not covered: attacks that search for the worst change; several changes at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from metier.evaluate.checks import changed, changes, general
from metier.evaluate.checks.alter import Around, alter
from metier.evaluate.checks.base import Asked, Figure, Findings, Table, Told, largest
from metier.evaluate.checks.changed import Answered, Changed
from metier.evaluate.compare import finish
from metier.evaluate.config_behaviour import CHANGES
from metier.evaluate.intervals import bootstrap_interval, proportions
from metier.evaluate.items import BITS, SPANS, TEXT
from metier.evaluate.metrics import Metric
from metier.evaluate.wording import Both, hundred, number
from metier.registry import lookup, register
from metier.train.config import TaskConfig
from metier.train.tasks import profile

NAMES: dict[str, Both] = {
    "typing": ("typing errors", "打字错误"), "ocr": ("recognition (OCR) errors", "识别（OCR）错误"),
    "upper_case": ("capital letters", "全部大写"), "lower_case": ("small letters", "全部小写"),
    "full_width": ("full-width characters", "全角字符"), "half_width": ("half-width characters", "半角字符"),
    "traditional": ("traditional characters", "繁体字"), "simplified": ("simplified characters", "简体字"),
    "instruction": ("the instruction in other words", "换一种说法的指令"),
    "options": ("options in another order", "调换选项顺序"),
    "long_context": ("much unrelated text around it", "前后有大量无关文字"),
}  # fmt: skip
TITLE: Both = ("Robustness", "稳健性")


class Robustness:
    """See `Check` for the members."""

    title = TITLE
    figures: Mapping[str, Any] = {"worst": "lower", "worst_changed": "lower"} | {
        name: "lower" for change in CHANGES for name in (change, f"{change}_changed")
    }

    def unfit(self, task: TaskConfig) -> Both | None:
        if profile(task).kind != BITS:
            return None
        return (
            "a model that goes on reading has no answer that could change; see the check `forgetting`",
            "继续预训练的模型没有会改变的答案；请看检查 forgetting",
        )

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        config = asked.config.robustness
        rows = asked.parts["test"].to_pylist()
        paragraphs = {language == "zh": [text for _, text in general.paragraphs(language)]
                      for language in general.LANGUAGES}  # fmt: skip
        around = Around(asked.task, config, rows, paragraphs)
        made: list[Changed] = []
        left: Counter[tuple[str, str]] = Counter()
        for change in config.changes:
            random = Random(f"{asked.seed} {change}")
            found = 0
            for place in random.sample(range(len(rows)), len(rows)):
                if found == config.items:
                    left[change, "not drawn"] += 1
                    continue
                one = alter(place, change, around, random)
                if isinstance(one, str):
                    left[change, one] += 1
                else:
                    found += 1
                    made.append(one)
        stored = changed.ask(asked, made)
        if profile(asked.task).kind == TEXT and "answers" in stored:
            stored["answers"] = _in_script_of_the_gold(stored["answers"], stored["rows"])
        return {**stored, "left": changed.counts(left)}

    def judge(self, stored: Mapping[str, pa.Table], told: Told) -> Findings:
        task = profile(told.task)
        metric: Metric = lookup("metric", task.primary)
        tuned, base = (changed.answered(stored, told, model) for model in ("tuned", "base"))
        if not tuned:
            none = ("no test text can be changed in any of these ways", "没有一条测试文本能做这些改变")
            return Findings(TITLE, missing=none, tables=[_left_out(stored["left"], {})])
        compared = {change: changed.compared(metric, one, told, change) for change, one in tuned.items()}
        rows = finish([row for row in compared.values() if row is not None], told.setting.alpha)
        losses = {row["against"]: _loss(row, metric) for row in rows}
        shares = {change: _share(one, told) for change, one in tuned.items()}
        found = {
            change: _Found(change, tuned[change], next((row for row in rows if row["against"] == change), None),
                           losses.get(change), shares[change], _extra(tuned[change], base.get(change), metric, told))
            for change in tuned
        }  # fmt: skip
        worst = sorted(found.values(), key=lambda one: -(one.loss.value or 0.0) if one.loss else 0.0)
        figures = _figures(losses, shares)
        said = [*_said(worst, metric, task.primary), *_what_it_means(task.kind)]
        return Findings(TITLE, figures, said, _warnings(worst),
                        [_table(worst, metric), _left_out(stored["left"], found)])  # fmt: skip


class _Found:
    """What is known of one change: its comparison, the loss, the share of changed answers, and how much more the tuned
    model loses than the base (value, low, high; None where the base was not asked)."""

    def __init__(
        self, change: str, one: Answered, row: dict[str, Any] | None, loss: Figure | None, share: Figure,
        extra: Figure | None,
    ) -> None:  # fmt: skip
        self.change, self.n, self.row, self.loss, self.share, self.extra = change, len(one), row, loss, share, extra

    @property
    def worse(self) -> bool:
        """The loss is no accident."""
        return self.row is not None and self.row["outcome"] == "worse"


def _loss(row: dict[str, Any], metric: Metric) -> Figure:
    """The comparison "changed minus unchanged" as a loss: positive where the change does harm."""
    sign = -1.0 if metric.better == "higher" else 1.0
    low, high = row["low"], row["high"]
    if low is not None and sign < 0:
        low, high = -high, -low
    name = NAMES[row["against"]]
    title = (f"{metric.title} lost by {name[0]}", f"{name[1]}使{metric.title_zh}变差的幅度")
    return Figure(title, sign * row["difference"] + 0.0, low, high, row["n"], "lower", metric.proportion)


def _share(one: Answered, told: Told) -> Figure:
    """Answers that change."""
    different = changed.differs(one.before, one.after, changed.edits_of(one.rows))
    if one.before.kind == SPANS:
        different &= ~_surrounded(one)
    hit = different.astype(np.float64)[:, None]
    setting = changed.setting_of(told, one.row)
    share, low, high = proportions(hit, np.ones_like(hit), setting.unit, setting.alpha)
    name = NAMES[one.rows["change"][0].as_py()]
    limits = [None if np.isnan(limit[0]) else float(limit[0]) for limit in (low, high)]
    title = (f"answers changed by {name[0]}", f"{name[1]}使答案改变的比例")
    return Figure(title, float(share[0]), limits[0], limits[1], len(one), "lower", True)


def _surrounded(one: Answered) -> np.ndarray:
    """(n,) of bool: in a longer text with spans of its own, those of the row's text alone are compared."""
    if one.rows["change"][0].as_py() != "long_context":
        return np.zeros(len(one), dtype=bool)
    same = []
    for before, after, edits in zip(one.before.predicted, one.after.predicted, changed.edits_of(one.rows), strict=True):
        start, end = len(edits[0].new), len(edits[0].new) + edits[1].start
        inside = {(a - start, b - start, code) for a, b, code in after if start <= a and b <= end}
        same.append(inside == set(before))
    return np.array(same, dtype=bool)


def _extra(tuned: Answered, base: Answered | None, metric: Metric, told: Told) -> Figure | None:
    """How much more the tuned model loses than the base on the same changed rows, with a paired interval."""
    if base is None:
        return None
    setting = changed.setting_of(told, tuned.row)
    pairs = [changed.pair(metric, one.before, one.after, setting) for one in (tuned, base)]
    first, second = pairs
    if first is None or second is None:
        return None
    sign = 1.0 if metric.better == "higher" else -1.0
    point = sign * (first.tuned_value - first.other_value - second.tuned_value + second.other_value)
    drawn = sign * (first.differences - second.differences)
    span = 2 * (metric.high - metric.low)
    low, high = bootstrap_interval(drawn, point, setting.alpha, -span, span) or (None, None)
    return Figure(
        ("loss beyond the base's", "比基础模型多损失"), point, low, high, len(tuned), "lower", metric.proportion
    )


def _figures(losses: Mapping[str, Figure], shares: Mapping[str, Figure]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for name, found in (("worst", losses), ("worst_changed", shares)):
        known = [one for one in found.values() if one.value is not None]
        if known:
            figures[name] = largest(known)
    return figures | dict(losses) | {f"{change}_changed": one for change, one in shares.items()}


def _said(worst: list[_Found], metric: Metric, primary: str) -> list[Both]:
    said: list[Both] = []
    for one in worst:
        if one.worse and one.loss is not None:
            name, loss, share = NAMES[one.change], _amount(one.loss, metric), hundred(one.share.value or 0.0)
            said.append((
                f"With {name[0]} the tuned model loses {loss[0]}; {share} of 100 answers change ({one.n:,} texts).",
                f"遇到{name[1]}时，微调模型{loss[1]}；每 100 条答案中有 {share} 条改变（{one.n:,} 条文本）。",
            ))  # fmt: skip
        if one.extra is not None and one.extra.low is not None and one.extra.low > 0:
            name = NAMES[one.change]
            said.append((f"The base loses less by {name[0]}: tuning has made the model more sensitive to it.",
                         f"{name[1]}对基础模型的影响更小：微调使模型对此更敏感。"))  # fmt: skip
    calm = [one for one in worst if not one.worse]
    if calm:
        names = [NAMES[one.change] for one in calm]
        seen = [one.row["mde"] for one in calm if one.row is not None and one.row["mde"] is not None]
        least: Both = ("", "")
        if seen:
            shown = hundred(max(seen)) + " points" if metric.proportion else number(max(seen))
            shown_zh = hundred(max(seen)) + " 个百分点" if metric.proportion else number(max(seen))
            least = (f" (a loss of {shown} would have been seen)", f"（若损失达到 {shown_zh}，本可看出）")
        said.append((f"No loss can be told from chance by {', '.join(name[0] for name in names)}{least[0]}.",
                     f"未见超出偶然的损失：{'、'.join(name[1] for name in names)}{least[1]}。"))  # fmt: skip
    return said


def _amount(loss: Figure, metric: Metric) -> Both:
    show = hundred if metric.proportion else number
    value = show(abs(loss.value or 0.0))
    between: Both = ("", "")
    if loss.low is not None and loss.high is not None:
        between = (
            f" (between {show(loss.low)} and {show(loss.high)})",
            f"（介于 {show(loss.low)} 与 {show(loss.high)} 之间）",
        )
    if metric.proportion:
        return (
            f"{value} points of {metric.title}{between[0]}",
            f"的{metric.title_zh}变差 {value} 个百分点{between[1]}",
        )
    return (f"{value} of {metric.title}{between[0]}", f"的{metric.title_zh}变差 {value}{between[1]}")


def _what_it_means(kind: str) -> list[Both]:
    if kind != TEXT:
        return []
    return [("A written answer counts as changed when it shares less than half of its words with the one before.",
             "书面回答与改变前的回答共有词语不到一半时，才算改变。")]  # fmt: skip


def _warnings(worst: list[_Found]) -> list[Both]:
    """On the first page: the worst change, where it is no accident and more than one answer in ten changes."""
    bad = [one for one in worst if one.worse and (one.share.value or 0.0) > 0.1]
    if not bad:
        return []
    name = NAMES[bad[0].change]
    return [(f"Robustness: {name[0]} change {hundred(bad[0].share.value or 0.0)} of 100 answers.",
             f"稳健性：{name[1]}使每 100 条答案中的 {hundred(bad[0].share.value or 0.0)} 条改变。")]  # fmt: skip


def _table(worst: list[_Found], metric: Metric) -> Table:
    heads: list[Both] = [
        ("Change", "改变"), (f"Loss of {metric.title}", f"{metric.title_zh}的损失"), ("p (Holm)", "p（Holm）"),
        ("Answers that change", "改变的答案"), ("Loss beyond the base's", "比基础模型多损失"),
    ]  # fmt: skip
    rows = [[NAMES[one.change], one.loss, one.row["p_holm"] if one.row else None, one.share, one.extra]
            for one in worst]  # fmt: skip
    return Table(("What a change of the text does, the worst first", "文本改变的影响（最差在前）"), heads, rows)


REASONS: dict[str, Both] = {
    "there is nothing in it to change": ("nothing in it to change", "没有可改变之处"),
    "it has no instruction": ("no instruction", "没有指令"),
    "it has no options whose letter is the answer": ("no options", "没有选项"),
    "there is no other text to put it among": ("no other text to put it among", "没有其他文本可用"),
    "for this task a longer text is another question": ("a longer text is another question",
                                                        "对此任务而言，更长的文本就是另一个问题"),
    "not drawn": ("more than `robustness.items`", "超过 robustness.items 的数量"),
}  # fmt: skip


def _left_out(left: pa.Table, found: Mapping[str, _Found]) -> Table:
    heads: list[Both] = [("Change", "改变"), ("Rows asked", "已询问"), ("Rows left out", "未询问"), ("Because", "原因")]
    rows = [[NAMES[row["change"]], found[row["change"]].n if row["change"] in found else 0, row["rows"],
             REASONS.get(row["reason"], (row["reason"], row["reason"]))] for row in left.to_pylist()]  # fmt: skip
    return Table(("Rows that a change left out", "每种改变未涉及的文本"), heads, rows)


def _in_script_of_the_gold(answers: pa.Table, rows: pa.Table) -> pa.Table:
    """Answers to texts in the other script, in that of the right answer."""
    n = rows.num_rows
    scripts = [change in ("traditional", "simplified") for change in rows["change"].to_pylist()]
    golds = rows["answer"].to_pylist()
    written = [changes.to_script_of(text, golds[place % n] or "") if text and scripts[place % n] else text
               for place, text in enumerate(answers["written"].to_pylist())]  # fmt: skip
    at = answers.schema.get_field_index("written")
    return answers.set_column(at, "written", pa.array(written, pa.string()))


register("check", "robustness")(Robustness())
