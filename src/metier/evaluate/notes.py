"""Warnings of the stage: what a reader must know before believing a figure. One sentence each, English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metier.evaluate.choosing import OPTIONS
from metier.evaluate.choosing import UNREAD as UNREAD_CHOICES
from metier.evaluate.intervals import MIN_GROUPS, MIN_ITEMS
from metier.evaluate.items import (
    ANSWERS,
    BITS,
    CHOICE,
    CLASSIFY,
    FINISHED,
    HIDDEN,
    LIKELIHOODS,
    MULTI_LABEL,
    NUMBERS,
    PREFERENCE,
    RANKING,
    SCORE,
    SPANS,
    TEXT,
    TEXTS,
    WRITTEN,
    Items,
)
from metier.evaluate.metrics.bits import sizes
from metier.evaluate.metrics.numbers import DUE, UNREAD
from metier.evaluate.resample import Units
from metier.evaluate.wording import Both, model_name

NO_TEST: Both = (
    "There are no test examples, so nothing can be said about the model.",
    "没有测试样本，因此无法评价该模型。",
)
SOME = 0.1  # share of the answers from which their being cut is told
FEW_PASSAGES = 1000  # below so many, recall at 100 is a tenth or more of the corpus
RARE = 5  # gold items below which a class's own figures say almost nothing


def split(found: Mapping[str, Items], unit: Units, known: int) -> list[Both]:
    """What the test split cannot support. known: number of classes known in training."""
    one = found["tuned"]
    said = few(len(one), unit)
    if one.kind == SPANS:
        return said + _types(one, known)
    if one.kind == ANSWERS:
        return said + _answers(one)
    if one.kind in WRITTEN:
        return said + _written(found)
    if one.kind == RANKING:
        return said + _corpus(one)
    return said + (_values(one) if one.kind == SCORE else _labels(one, known))


def few(n: int, unit: Units) -> list[Both]:
    """What so few examples, or so few groups of them, cannot support."""
    said: list[Both] = []
    if n < MIN_ITEMS:
        said.append((
            f"The test split has only {n} examples; below {MIN_ITEMS} most figures have no interval, no claim is safe.",
            f"测试集只有 {n} 条样本；少于 {MIN_ITEMS} 条时多数指标没有区间，任何结论都不可靠。",
        ))  # fmt: skip
    if unit.clustered:
        said.append((
            f"The {n} test examples come from {unit.count} groups; intervals and tests count groups, not examples.",
            f"{n} 条测试样本来自 {unit.count} 个组；区间和检验按组而不是按条计算。",
        ))  # fmt: skip
        if unit.count < MIN_GROUPS:
            said.append((
                f"There are fewer than {MIN_GROUPS} groups, too few for most intervals.",
                f"组数少于 {MIN_GROUPS}，多数区间无法计算。",
            ))  # fmt: skip
    return said


def repeated(rows: pa.Table) -> list[Both]:
    """How many test examples ask what another one asks: its text, the short one beside it, two answers to choose from.

    Case and white space do not matter.
    """
    asked = [pc.fill_null(rows.column(name), "") for name in ("text", "pair", "chosen", "rejected")]
    joined = pc.utf8_trim_whitespace(pc.utf8_lower(pc.binary_join_element_wise(*asked, "\x1f")))
    again = len(rows) - pc.count_distinct(pc.replace_substring_regex(joined, r"\s+", " ")).as_py()
    if not again:
        return []
    return [(
        f"{again} of {len(rows)} test examples repeat another one; they are no further witnesses, so intervals are "
        "narrower than they should be.",
        f"{len(rows)} 条测试样本中有 {again} 条与其他样本重复；它们不是新的证据，区间因此偏窄。",
    )]  # fmt: skip


def unanswered(found: Mapping[str, Items]) -> list[Both]:
    """How often the tuned model or the base gave no answer at all, where one was due."""
    said: list[Both] = []
    for name in ("tuned", "base"):
        one = found.get(name)
        if one is not None and one.kind == CHOICE and UNREAD_CHOICES in one.more:
            said += _unread(name, one)
        if one is None or one.kind not in (CLASSIFY, TEXT) or (one.kind == TEXT and TEXTS not in one.more):
            continue
        blank = "" in one.classes and one.predicted == one.classes.index("")
        empty = int(np.sum(blank)) if one.kind == CLASSIFY else sum(not text.strip() for text in one.predicted)
        english, chinese = model_name(name)
        if empty:
            said.append((f"{empty} of {len(one)} answers of {english} are empty; they count as wrong.",
                         f"{chinese}的 {len(one)} 条回答中有 {empty} 条为空，均按错误计算。"))  # fmt: skip
    return said


def _unread(name: str, one: Items) -> list[Both]:
    """How many answers to questions with options name none of them."""
    sizes = np.array([len(own) for own in one.more[OPTIONS]])
    unread, asked = round(float((one.more[UNREAD_CHOICES] * sizes).sum())), int(sizes.sum())
    english, chinese = model_name(name)
    if not unread:
        return []
    return [(f"{unread} of {asked} answers of {english} name no option (each question is asked in every rotation "
             "of its options); they count as wrong.",
             f"{chinese}的 {asked} 条回答（每题按选项的每种轮换各问一次）中有 {unread} 条没有指明选项，"
             "均按错误计算。")]  # fmt: skip


def numbers(found: Mapping[str, Items], asked: bool) -> list[Both]:
    """Over how many gold answers the figures of numbers are, and how many answers lack one. asked: a criterion names
    such a figure."""
    one = found["tuned"]
    if not asked or one.kind != TEXT:
        return []
    due = int(one.more[DUE].sum()) if NUMBERS in one.more else 0
    said: list[Both] = []
    if due < len(one):
        said.append((f"{len(one) - due} of {len(one)} right answers hold no number; the figures of numbers are over "
                     "the others.",
                     f"{len(one)} 条标准答案中有 {len(one) - due} 条不含数值；数值指标只针对其余样本。"))  # fmt: skip
    for name in ("tuned", "base"):
        unread = int(found[name].more[UNREAD].sum()) if name in found and NUMBERS in found[name].more else 0
        english, chinese = model_name(name)
        if unread:
            said.append((f"{unread} of {due} answers of {english} hold no number where one is asked for; they count as "
                         "wrong.",
                         f"{due} 条应有数值的回答中，{chinese}有 {unread} 条没有给出数值，均按错误计算。"))  # fmt: skip
    return said


def models(found: Mapping[str, Items], values: Mapping[tuple[str, str], float | None]) -> list[Both]:
    """Models without probabilities, and models that give one answer to everything."""
    said = []
    for name, one in found.items():
        english, chinese = model_name(name)
        if one.kind in (CLASSIFY, MULTI_LABEL) and one.probabilities is None:
            said.append((f"There are no probabilities for {english}, so its calibration is not known.",
                         f"{chinese}没有给出概率，因此无法得知其校准情况。"))  # fmt: skip
        given = [found.answer for found in one.predicted] if one.kind == ANSWERS else one.predicted
        same = (
            one.kind not in (BITS, PREFERENCE)
            and len(one) > 1
            and all(bool(np.all(answer == given[0])) for answer in given)
        )
        if name in ("tuned", "base") and same:
            said.append((f"One and the same answer is given to every text by {english}.",
                         f"{chinese}对所有文本给出同一个答案。"))  # fmt: skip
    return said


def _values(one: Items) -> list[Both]:
    if len(one) > 1 and float(np.ptp(one.gold)) == 0:
        return [("All test examples have the same value, so a rank correlation does not exist.",
                 "所有测试样本的数值相同，因此不存在等级相关。")]  # fmt: skip
    return []


def _written(found: Mapping[str, Items]) -> list[Both]:
    """What a reader must know of texts that models wrote, or did not read whole."""
    said: list[Both] = []
    for name in ("tuned", "base"):
        one = found.get(name)
        if one is None:
            continue
        english, chinese = model_name(name)
        cut = int((~one.more[FINISHED]).sum()) if FINISHED in one.more else 0
        if cut > SOME * len(one):
            said.append((
                f"{cut} of {len(one)} answers of {english} were ended by the limit of their length "
                "(task.max_new_tokens), not by the model.",
                f"{chinese}的 {len(one)} 条回答中有 {cut} 条因长度上限（task.max_new_tokens）而中止，并非自行结束。",
            ))  # fmt: skip
        if HIDDEN in one.more:
            if name == "tuned":
                share = one.more["bytes"].sum() / sizes(one).sum()
                said.append((
                    f"Of the bytes of the test texts {share:.0%} are hidden and foreseen from both sides; bits are of "
                    "these, and no measure beside those of a model that writes.",
                    f"测试文本 {share:.0%} 的字节被遮盖并由两侧上下文预测；比特数只针对这一部分，"
                    "不能与生成式模型的比特数相比。",
                ))  # fmt: skip
        elif LIKELIHOODS in one.more and one.kind in (TEXT, BITS):
            paid, whole = one.more["bytes"].sum(), sizes(one).sum()
            if paid < (1 - SOME / 10) * whole:
                said.append((
                    f"{english[:1].upper() + english[1:]} read {paid / whole:.0%} of the bytes of the test texts; its "
                    "bits are of that part.",
                    f"{chinese}只读取了测试文本 {paid / whole:.0%} 的字节；其比特数只针对这一部分。",
                ))  # fmt: skip
    return said


def _corpus(one: Items) -> list[Both]:
    """In how few passages is looked for."""
    if len(one.classes) < FEW_PASSAGES:
        return [(f"Only {len(one.classes)} passages are ranked; among more of them the figures would be lower.",
                 f"只对 {len(one.classes)} 个段落排序；段落更多时指标会更低。")]  # fmt: skip
    return []


def _types(one: Items, known: int) -> list[Both]:
    """What the test split cannot say about types of spans. known: number of types known in training."""
    gold = np.bincount([span[2] for spans in one.gold for span in spans], minlength=len(one.classes))
    if not gold.sum():
        return [("No test text holds any entity.", "没有任何测试文本含有实体。")]
    said: list[Both] = []
    if gold[known:].sum():
        names = ", ".join(f"'{one.classes[known + i]}'" for i in np.flatnonzero(gold[known:])[:5])
        said.append(
            (
                f"{int(gold[known:].sum())} entities of the test split are of a type that training never saw "
                f"({names}); no model can find them.",
                f"测试集中有 {int(gold[known:].sum())} 个实体的类型在训练中从未出现（{names}）；任何模型都找不到它们。",
            )
        )
    absent, rare = int((gold[:known] == 0).sum()), int(((gold[:known] > 0) & (gold[:known] < RARE)).sum())
    if absent:
        said.append(
            (
                f"{absent} of {known} types have no entity in the test split, so nothing is known about them.",
                f"{known} 个类型中有 {absent} 个在测试集中没有实体，无法得知其表现。",
            )
        )
    if rare:
        said.append(
            (
                f"{rare} of {known} types have fewer than {RARE} entities in the test split; trust their "
                "intervals only.",
                f"{known} 个类型中有 {rare} 个在测试集中的实体少于 {RARE} 个；请看区间，不要看单个数字。",
            )
        )
    return said


def _answers(one: Items) -> list[Both]:
    """What the test split cannot say about questions with an answer, or about those without one."""
    answered = sum(bool(gold) for gold in one.gold)
    if not answered:
        return [("No test question has an answer in its text.", "没有任何测试问题在文本中有答案。")]
    if 0 < len(one) - answered < RARE:
        return [(f"Only {len(one) - answered} test questions have no answer; little is known about how often the model "
                 "invents one.",
                 f"只有 {len(one) - answered} 个测试问题没有答案；模型凭空作答的频率几乎无从得知。")]  # fmt: skip
    return []


def _labels(one: Items, known: int) -> list[Both]:
    said: list[Both] = []
    gold = np.bincount(one.gold, minlength=len(one.classes)) if one.kind == CLASSIFY else one.gold.sum(axis=0)
    present = int((gold > 0).sum())
    if present == 1 and one.kind == CLASSIFY:
        said.append(("All test examples have one and the same label; the figures say nothing about the others.",
                     "所有测试样本都是同一个标签；这些数字不能说明其他标签的情况。"))  # fmt: skip
    unseen = gold[known:]
    if unseen.sum():
        names = ", ".join(f"'{one.classes[known + i]}'" for i in np.flatnonzero(unseen)[:5])
        items = int(unseen.sum()) if one.kind == CLASSIFY else int((one.gold[:, known:]).any(axis=1).sum())
        said.append((
            f"{items} test examples carry a label that training never saw ({names}); answers there count as wrong.",
            f"{items} 条测试样本的标签在训练中从未出现（{names}）；对它们的任何回答都算错。",
        ))  # fmt: skip
    absent = int((gold[:known] == 0).sum())
    if absent:
        said.append((f"{absent} of {known} labels have no test example, so nothing is known about them.",
                     f"{known} 个标签中有 {absent} 个没有测试样本，无法得知其表现。"))  # fmt: skip
    rare = int(((gold[:known] > 0) & (gold[:known] < RARE)).sum())
    if rare:
        said.append((f"{rare} of {known} labels have fewer than {RARE} test examples; trust their intervals only.",
                     f"{known} 个标签中有 {rare} 个的测试样本少于 {RARE} 条；请看区间，不要看单个数字。"))  # fmt: skip
    if one.kind == MULTI_LABEL and not one.gold.any():
        said.append(("No test example has any label.", "没有任何测试样本带有标签。"))
    return said
