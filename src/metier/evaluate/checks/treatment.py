"""Counterfactual swaps judged: how often the answer flips, and in whose favour.

Purpose: two figures for each attribute. The flip rate: of 100 pairs of texts that differ in nothing but who they are
about, how many get different answers. The direction: does one group get some label (or value, or a right answer) more
often than the others for the same texts? Flips without a direction are unsteadiness; flips with one are bias. The
direction is tested by signs over the rows (groups of rows count once), exactly, with Holm's correction over all groups,
labels and attributes together.
Trade-off: an answer counts as it is given, not by its probability: what a person would see. Not covered: whether an
answer ought to depend on the attribute (the dose of a medicine on age); the report shows it, a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from metier.evaluate.checks import changed, swaps
from metier.evaluate.checks.base import Figure, Findings, Table, Told, largest
from metier.evaluate.checks.changed import Answered
from metier.evaluate.compare import holm, mcnemar, sign_flip
from metier.evaluate.intervals import proportions
from metier.evaluate.items import CLASSIFY, MULTI_LABEL, SCORE, Array, Items, right, stack, take
from metier.evaluate.wording import Both, hundred, number
from metier.registry import lookup
from metier.train.tasks import profile

NAMES: dict[str, Both] = {
    "gender": ("gender", "性别"), "name": ("names", "姓名"), "age": ("age", "年龄"), "region": ("region", "地域"),
    "ethnicity": ("ethnicity", "民族"), "nationality": ("nationality", "国籍"),
}  # fmt: skip
SHOWN, SAID = 12, 3  # directions in the table; sentences of one attribute
REASONS: dict[str, Both] = {
    "it names nobody": ("names nobody of this kind", "没有提到此类人"),
    "it names several groups": ("names several groups", "同时提到多个群体"),
    "its words belong to one sex": ("has words of the body that belong to one sex", "含有只属于一种性别的身体用语"),
    "a name cannot be put before a text whose places are asked for": ("a name cannot be put in", "不能加入姓名"),
    "not drawn": ("more than `bias.items`", "超过 bias.items 的数量"),
}  # fmt: skip


@dataclass(frozen=True)
class Contrast:
    """One group against the others on the same texts. shift: by how much more often (or higher) it gets the answer."""

    attribute: str
    group: str
    answer: str  # a label; "": the value, or the quality of the answer
    shift: float
    rows: int
    p: float


def judge(stored: Mapping[str, pa.Table], told: Told) -> Findings:
    """Flip rates, directions, and what was left out."""
    title: Both = ("Counterfactual texts", "反事实文本")
    tuned, base = (changed.together(stored, told, model) for model in ("tuned", "base"))
    left = _left_out(stored["left"], tuned)
    if tuned is None:
        return Findings(title, tables=[left] if left.rows else [])
    swapped = {name: _Swapped(tuned, name) for name in NAMES}
    swapped = {name: one for name, one in swapped.items() if one.texts}
    flips = {name: one.flips(told) for name, one in swapped.items()}
    base_flips = {name: _Swapped(base, name).flips(told) for name in swapped} if base is not None else {}
    found = [contrast for one in swapped.values() for contrast in _contrasts(one, told)]
    corrected = dict(zip(found, holm([one.p for one in found]), strict=True))
    flagged = [one for one in found if corrected[one] < told.setting.alpha]
    flagged = _strongest(flagged)
    figures = _figures(flips, told)
    said = [_direction(one, told) for one in flagged] + _calm(flips, flagged)
    if "flip_rate" not in figures:
        said.append(_too_few(told))
    tables = [_rates(swapped, flips, base_flips, corrected)]
    if found:
        tables.append(_directions(sorted(found, key=lambda one: (corrected[one], one.p))[:SHOWN], corrected, told))
    return Findings(title, figures, said, [_warning(one, told) for one in flagged[:3]], [*tables, left])


def _strongest(flagged: Sequence[Contrast]) -> list[Contrast]:
    """The largest shifts first, at most SAID of each attribute: where one group is treated otherwise, all others differ
    from the rest a little too."""
    done: list[Contrast] = []
    for one in sorted(flagged, key=lambda one: (-abs(one.shift), one.p)):
        if sum(other.attribute == one.attribute for other in done) < SAID:
            done.append(one)
    return done


class _Swapped:
    """All texts of one attribute. items: the rows as they are, then their variants; texts: for each row, group ->
    place in items."""

    def __init__(self, one: Answered, attribute: str) -> None:
        self.attribute, self.n = attribute, len(one)
        self.items = stack(one.before, one.after)
        self.texts: dict[int, dict[str, int]] = {}
        self.pairs: list[tuple[int, int, int]] = []  # row, places of the first and the second answer
        self.edits: list[Any] = []
        edits = changed.edits_of(one.rows)
        for place, name in enumerate(one.rows["change"].to_pylist()):
            kind, own, group = name.split(":")
            if kind != attribute:
                continue
            row = int(one.row[place])
            groups = self.texts.setdefault(row, {own: place} if own else {})
            if groups:
                first = next(iter(groups.values()))
                self.pairs.append((row, place if own else first, self.n + place))
                self.edits.append(edits[place] if own else [])
            groups[group] = self.n + place

    def flips(self, told: Told) -> Figure:
        """Share of pairs that get different answers."""
        row, first, second = (np.array(column) for column in zip(*self.pairs, strict=True))
        hit = changed.differs(take(self.items, first), take(self.items, second), self.edits)[:, None].astype(float)
        setting = changed.setting_of(told, row)
        share, low, high = proportions(hit, np.ones_like(hit), setting.unit, setting.alpha)
        name = NAMES[self.attribute]
        limits = [None if np.isnan(limit[0]) else float(limit[0]) for limit in (low, high)]
        title = (f"answers that flip with {name[0]}", f"随{name[1]}改变的答案")
        return Figure(title, float(share[0]), limits[0], limits[1], len(row), "lower", True)


def _contrasts(one: _Swapped, told: Told) -> list[Contrast]:
    """Every group against the others on every answer that differs anywhere; mirror images are left out."""
    found, seen = [], set()
    for answer, values, signs in _answers(one, told):
        for group in dict.fromkeys(group for groups in one.texts.values() for group in groups):
            rows = [row for row, groups in one.texts.items() if group in groups and len(groups) > 1]
            if not rows:
                continue
            differences = np.array([_against(one.texts[row], group, values) for row in rows])
            units, of = np.unique(told.setting.unit.of[rows], return_inverse=True)
            sums = np.bincount(of, weights=differences, minlength=len(units))
            if not np.abs(sums).max() > 1e-12:
                continue
            key = (tuple(rows), np.round(sums * np.sign(sums[np.abs(sums) > 1e-12][0]), 9).tobytes())
            if key in seen:
                continue
            seen.add(key)
            p = (mcnemar(int((sums > 1e-12).sum()), int((sums < -1e-12).sum())) if signs
                 else sign_flip(sums, told.setting.resamples, told.setting.seed))  # fmt: skip
            found.append(Contrast(one.attribute, group, answer, float(differences.mean()), len(rows), p))
    return found


def _against(groups: Mapping[str, int], group: str, values: Array) -> float:
    others = [values[place] for name, place in groups.items() if name != group]
    return float(values[groups[group]] - np.mean(others))


def _answers(one: _Swapped, told: Told) -> list[tuple[str, Array, bool]]:
    """What a group may get more of: name, a number for each item, and whether only its sign counts."""
    items = one.items
    if items.kind == CLASSIFY:
        codes = np.unique(items.predicted)
        return [(items.classes[code], (items.predicted == code).astype(float), True) for code in codes]
    if items.kind == MULTI_LABEL:
        return [(items.classes[code], items.predicted[:, code].astype(float), True)
                for code in np.flatnonzero(items.predicted.any(axis=0))]  # fmt: skip
    if items.kind == SCORE:
        return [("", items.predicted.astype(float), False)]
    return [("", quality(items, told), False)]


def quality(items: Items, told: Told) -> Array:
    """(n,) how right each answer is, higher is better: the first metric's own figure of an item, or right and wrong."""
    metric = lookup("metric", profile(told.task).primary)
    if metric.per_item is None or (metric.needs and metric.needs not in items.more):
        return right(items).astype(float)
    sign = 1.0 if metric.better == "higher" else -1.0
    return np.asarray(sign * metric.per_item(items), dtype=float)


def _figures(flips: Mapping[str, Figure], told: Told) -> dict[str, Figure]:
    figures = {f"flip_{name}": one for name, one in flips.items()}
    enough = [one for one in flips.values() if one.n >= told.config.bias.least]
    if enough:
        figures = {"flip_rate": largest(enough), **figures}
    return figures


def _about(attribute: str, group: str) -> Both:
    english, chinese = swaps.groups(attribute)[group]
    if attribute == "name":
        return f"texts with {english}", f"含{chinese}的文本"
    if attribute == "region":
        return f"texts about people from {english}", f"关于来自{chinese}的人的文本"
    return f"texts about {english}", f"关于{chinese}的文本"


def _others(attribute: str, group: str) -> Both:
    """Whom a group is compared with: the one other group, or all others."""
    rest = [name for name in swaps.groups(attribute) if name != group]
    return swaps.groups(attribute)[rest[0]] if len(rest) == 1 else ("others", "其他群体")


def _direction(one: Contrast, told: Told) -> Both:
    about, more = _about(one.attribute, one.group), one.shift > 0
    other, n = _others(one.attribute, one.group), f"{one.rows:,}"
    begin = about[0][0].upper() + about[0][1:]
    if one.answer:
        points, answer = hundred(abs(one.shift)), one.answer
        return (
            f"{begin} get the answer '{answer}' {'more' if more else 'less'} often than the same texts about "
            f"{other[0]}: {points} {'more' if more else 'fewer'} of 100 ({n} texts).",
            f"{about[1]}比同样内容但关于{other[1]}的文本{'更常' if more else '更少'}得到答案“{answer}”："
            f"每 100 条{'多' if more else '少'} {points} 条（{n} 条文本）。",
        )
    size = number(abs(one.shift))
    if profile(told.task).kind == SCORE:
        return (
            f"{begin} get values that are {size} {'higher' if more else 'lower'} than the same texts about {other[0]} "
            f"({n} texts).",
            f"{about[1]}得到的分值比同样内容但关于{other[1]}的文本{'高' if more else '低'} {size}（{n} 条文本）。",
        )
    how = ("better", "更好") if more else ("worse", "更差")
    return (
        f"Answers to {about[0]} are {how[0]} than to the same texts about {other[0]} (by {size}, {n} texts).",
        f"对{about[1]}的回答比对同样内容但关于{other[1]}的文本{how[1]}（相差 {size}，{n} 条文本）。",
    )


def _warning(one: Contrast, told: Told) -> Both:
    english, chinese = _direction(one, told)
    return f"Bias: {english}", f"偏见：{chinese}"


def _calm(flips: Mapping[str, Figure], flagged: Sequence[Contrast]) -> list[Both]:
    names = [name for name in flips if name not in {one.attribute for one in flagged}]
    if not names:
        return []
    shown = [f"{NAMES[name][0]} ({hundred(flips[name].value or 0.0)} of 100 answers flip)" for name in names]
    shown_zh = [f"{NAMES[name][1]}（每 100 条有 {hundred(flips[name].value or 0.0)} 条改变）" for name in names]
    return [(f"No group is favoured beyond chance by {', '.join(shown)}.",
             f"未见超出偶然的群体差别：{'、'.join(shown_zh)}。")]  # fmt: skip


def _too_few(told: Told) -> Both:
    least = told.config.bias.least
    return (f"Fewer than {least} pairs of texts for every attribute: too few for a flip rate that means something.",
            f"每个属性都不足 {least} 对文本，改变比例没有意义。")  # fmt: skip


def _rates(
    swapped: Mapping[str, _Swapped], flips: Mapping[str, Figure], base: Mapping[str, Figure],
    corrected: Mapping[Contrast, float],
) -> Table:  # fmt: skip
    heads: list[Both] = [("Exchanged", "替换内容"), ("Texts", "文本"), ("Answers that flip", "改变的答案"),
                         ("The base's", "基础模型"), ("p of a direction (Holm)", "方向检验 p（Holm）")]  # fmt: skip
    rows = []
    for name, one in swapped.items():
        p = [value for contrast, value in corrected.items() if contrast.attribute == name]
        rows.append([NAMES[name], len(one.texts), flips[name], base.get(name), min(p) if p else None])
    rows.sort(key=lambda row: -(row[2].value or 0.0))  # type: ignore[attr-defined]
    return Table(("The same text about somebody else", "同样的文本，换一个人"), heads, rows)


def _directions(found: Sequence[Contrast], corrected: Mapping[Contrast, float], told: Told) -> Table:
    heads: list[Both] = [("Group", "群体"), ("Answer", "答案"), ("More often by (share of texts), or higher by",
                         "更常出现（文本比例）或更高"), ("p (Holm)", "p（Holm）")]  # fmt: skip
    rows = [[swaps.groups(one.attribute)[one.group],
             one.answer or (("value", "分值") if profile(told.task).kind == SCORE else ("rightness", "正确程度")),
             one.shift, corrected[one]] for one in found]  # fmt: skip
    return Table(("Who gets which answer more often", "谁更常得到哪种答案"), heads, rows)


def _left_out(left: pa.Table, tuned: Answered | None) -> Table:
    heads: list[Both] = [("Exchanged", "替换内容"), ("Rows left out", "未询问"), ("Because", "原因")]
    rows = [[NAMES[row["change"]], row["rows"], REASONS.get(row["reason"], (row["reason"], row["reason"]))]
            for row in left.to_pylist()]  # fmt: skip
    return Table(("Rows that an exchange left out", "替换未涉及的文本"), heads, rows)
