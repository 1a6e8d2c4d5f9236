"""The sentences of the verdict, in English and Chinese, for a reader who does not program.

Shares are told of 100 texts, with the interval in brackets; differences as "more" and "fewer". One sentence is made
twice, from the same figures, so the two languages cannot disagree.
Not covered: layout; the report decides where a sentence stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metier.evaluate.criteria import Criterion
from metier.registry import lookup, names

Both = tuple[str, str]  # English, Chinese

MODELS: dict[str, Both] = {
    "tuned": ("the tuned model", "微调模型"),
    "base": ("the untouched base model", "未微调的基础模型"),
    "zero_shot": ("the base model without training (zero-shot)", "未经训练的基础模型（零样本）"),
    "majority": ("always giving the most frequent answer", "总是给出最常见答案的做法"),
    "mean": ("always giving the mean value", "总是给出平均值的做法"),
    "tfidf": ("the word-counting model (tfidf)", "词频模型（tfidf）"),
    "dictionary": ("the dictionary of known entities (dictionary)", "已知实体词典（dictionary）"),
    "lead": ("taking the first three sentences (lead)", "直接取前三句的做法（lead）"),
    "nearest": ("copying the answer to the nearest training question (nearest)", "照抄最相近训练问题的答案（nearest）"),
    "ngram": ("the n-gram model (ngram)", "n 元语言模型（ngram）"),
    "longer": ("preferring the longer answer (longer)", "总是选较长回答的做法（longer）"),
    "majority_letter": (
        "always giving the most frequent letter (majority_letter)",
        "总是选最常见字母的做法（majority_letter）",
    ),
    "longest_option": ("always choosing the longest option (longest_option)", "总是选最长选项的做法（longest_option）"),
    "bm25": ("the search by shared words (bm25)", "按共同词语的检索（bm25）"),
    "linear_tagger": ("the linear tagger (linear_tagger)", "线性标注器（linear_tagger）"),
    "best_sentence": (
        "giving the sentence nearest to the question (best_sentence)",
        "给出与问题最接近的句子的做法（best_sentence）",
    ),
    "no_answer": ('always saying "no answer"', "总是回答“没有答案”的做法"),
}
# Figures that are counts of 100 cases, as a sentence.
SHARES: dict[str, Both] = {
    "preference_accuracy": ("Of 100 pairs the tuned model prefers the right answer in {}",
                            "每 100 对回答中，微调模型选对 {} 对"),
    "preference_by_token": ("Of 100 pairs the tuned model prefers the right answer in {}, length taken out",
                            "每 100 对回答中，去除长度影响后微调模型选对 {} 对"),
    "preference_equal_length": ("Of 100 pairs of equal length the tuned model prefers the right answer in {}",
                                "每 100 对长度相当的回答中，微调模型选对 {} 对"),
    "exact_match": ("Of 100 answers of the tuned model {} are the right words",
                    "微调模型的每 100 条回答中，{} 条用词完全正确"),
    "acc": ("Of 100 questions the tuned model answers {} right", "每 100 道题中，微调模型答对 {} 道"),
    "acc_norm": ("Of 100 questions the tuned model answers {} right, length of the choices taken out",
                 "每 100 道题中，去除选项长度影响后微调模型答对 {} 道"),
    "finished": ("Of 100 answers of the tuned model {} end by themselves", "微调模型的每 100 条回答中，{} 条自行结束"),
    "empty": ("Of 100 answers of the tuned model {} are empty", "微调模型的每 100 条回答中，{} 条为空"),
    "number_match": ("Of 100 answers with numbers the tuned model has all numbers right in {}",
                     "每 100 条应含数值的回答中，微调模型有 {} 条数值全部正确"),
    "number_unparsable": ("Of 100 answers that should hold a number {} of the tuned model's hold none",
                          "每 100 条应含数值的回答中，微调模型有 {} 条没有给出数值"),
    "choice_accuracy": ("Of 100 questions, each in every order of its options, the tuned model answers {} rightly",
                        "每 100 道选择题（各种选项顺序平均），微调模型答对 {} 道"),
    "choice_consistent": ("Of 100 questions the tuned model answers {} rightly in every order of the options",
                          "每 100 道选择题中，微调模型有 {} 道在任何选项顺序下都答对"),
    "choice_published": ("Of 100 questions with their options in the data's order the tuned model answers {} rightly",
                         "每 100 道选择题按原有选项顺序提问，微调模型答对 {} 道"),
    "choice_unparsable": ("Of 100 answers of the tuned model {} name no option",
                          "微调模型的每 100 条回答中，{} 条没有指明选项"),
    "choice_likelihood": ("Of 100 questions the tuned model finds the right option the likeliest in {}",
                          "每 100 道选择题中，微调模型认为正确选项最可能的有 {} 道"),
    "choice_likelihood_per_byte": ("Of 100 questions the tuned model finds the right option the likeliest a byte in {}",
                                   "每 100 道选择题中，微调模型认为正确选项按字节最可能的有 {} 道"),
}  # fmt: skip
MET: dict[str, Both] = {
    "yes": ("Met.", "达到。"),
    "unclear": ("Not certain: this test set is too small to be sure.", "不能确定：测试集太小，无法下结论。"),
    "no": ("Not met.", "未达到。"),
}


def model_name(model: str) -> Both:
    """A model's name within a sentence; `base * 1.01` is a multiple of its figure."""
    model, times, factor = model.partition(" * ")
    if times:
        english, chinese = model_name(model)
        return f"{english} times {factor}", f"{chinese}的 {factor} 倍"
    return MODELS.get(model, (f"the model '{model}'", f"模型“{model}”"))


def absolute(metric: str, label: str, figure: dict[str, Any], several: bool = False, spans: bool = False) -> Both:
    """What the tuned model reaches on one metric, with its interval; several, spans: there may be many a text."""
    if figure["value"] is None:
        title = _title(metric, label)
        return (
            f"The tuned model's {title[0]} cannot be computed on this test set",
            f"在这个测试集上无法计算微调模型的{title[1]}",
        )
    value, low, high = figure["value"], figure["low"], figure["high"]
    if metric in ("accuracy", "recall", "precision"):
        v, between = hundred(value), _between(low, high, hundred)
        if spans and metric == "recall":
            return (
                f"Of 100 entities of the type '{label}' the tuned model finds {v}{between[0]}",
                f"每 100 个“{label}”类型的实体中，微调模型找出 {v} 个{between[1]}",
            )
        if spans and metric == "precision":
            return (
                f"Of 100 entities that the tuned model marks as '{label}', {v} are{between[0]}",
                f"微调模型标为“{label}”的每 100 个实体中，{v} 个正确{between[1]}",
            )
        if metric == "recall":
            return (
                f"Of 100 texts that belong to '{label}' the tuned model finds {v}{between[0]}",
                f"每 100 条属于“{label}”的文本中，微调模型找出 {v} 条{between[1]}",
            )
        if metric == "precision":
            return (
                f"Of 100 texts that the tuned model calls '{label}', {v} are{between[0]}",
                f"微调模型判为“{label}”的每 100 条文本中，{v} 条判对{between[1]}",
            )
        every = ("every label of ", "的全部标签") if several else ("", "")
        return (
            f"Of 100 texts the tuned model gets {every[0]}{v} right{between[0]}",
            f"每 100 条文本中，微调模型判对 {v} 条{every[1]}{between[1]}",
        )
    if metric in SHARES:
        v, between = hundred(value), _between(low, high, hundred)
        english, chinese = SHARES[metric]
        return f"{english.format(v)}{between[0]}", f"{chinese.format(v)}{between[1]}"
    if metric == "ece":
        v, between = hundred(value), _between(low, high, hundred)
        return (
            f"The tuned model's confidence is off from its share of right answers by {v} points on average{between[0]}",
            f"微调模型给出的把握与实际正确率平均相差 {v} 个百分点{between[1]}",
        )
    if metric == "answer_exact":
        v, between = hundred(value), _between(low, high, hundred)
        return (
            f"Of 100 questions the tuned model answers {v} exactly{between[0]}",
            f"每 100 个问题中，微调模型完全答对 {v} 个{between[1]}",
        )
    v, between = number(value), _between(low, high, number)
    if metric == "mae":
        return (
            f"The tuned model's answers are off by {v} on average{between[0]}",
            f"微调模型的答案平均偏差 {v}{between[1]}",
        )
    title = _title(metric, label)
    return f"The tuned model's {title[0]} is {v}{between[0]}", f"微调模型的{title[1]}为 {v}{between[1]}"


def relative(metric: str, label: str, model: str, row: dict[str, Any]) -> Both:
    """How the tuned model differs from another one; row: difference, low, high."""
    other, title = model_name(model), _title(metric, label)
    if row["difference"] is None:
        return (
            f"The {title[0]} of the tuned model and of {other[0]} cannot be compared on this test set",
            f"在这个测试集上无法比较微调模型与{other[1]}的{title[1]}",
        )
    limits = (row["low"], row["high"])
    if metric == "accuracy":
        span = _span(limits, lambda x: f"{hundred(abs(x))} {'more' if x >= 0 else 'fewer'}",
                     lambda x: f"{'多' if x >= 0 else '少'} {hundred(abs(x))} 条")  # fmt: skip
        d = row["difference"]
        if d == 0:
            return (
                f"The tuned model gets as many texts right as {other[0]}{span[0]}",
                f"微调模型与{other[1]}判对的文本一样多{span[1]}",
            )
        how = ("more", "多") if d > 0 else ("fewer", "少")
        return (
            f"Of 100 texts the tuned model gets {hundred(abs(d))} {how[0]} right than {other[0]}{span[0]}",
            f"每 100 条文本中，微调模型比{other[1]}{how[1]}判对 {hundred(abs(d))} 条{span[1]}",
        )
    span = _span(limits, lambda x: f"{number(abs(x))} {'higher' if x >= 0 else 'lower'}",
                 lambda x: f"{'高' if x >= 0 else '低'} {number(abs(x))}")  # fmt: skip
    d = row["difference"]
    if d == 0:
        return (
            f"The tuned model's {title[0]} equals that of {other[0]}{span[0]}",
            f"微调模型的{title[1]}与{other[1]}相同{span[1]}",
        )
    how = ("higher", "高") if d > 0 else ("lower", "低")
    return (
        f"The tuned model's {title[0]} is {number(abs(d))} {how[0]} than that of {other[0]}{span[0]}",
        f"微调模型的{title[1]}比{other[1]}{how[1]} {number(abs(d))}{span[1]}",
    )


def of_part(part: tuple[str, str], found: Mapping[str, Any], said: Both) -> Both:
    """A sentence about a part of the test set; found: its figure or difference, with `n`, or `minimum` if too few."""
    name = "=".join(part)
    if "minimum" in found:
        least = found["minimum"]
        return (f"Of {name} there are fewer than {least} test examples, so nothing is claimed of it",
                f"{name} 的测试样本少于 {least} 条，不作任何结论")  # fmt: skip
    return f"Within {name} ({found['n']} examples): {said[0]}", f"在 {name} 之内（{found['n']} 条）：{said[1]}"


def of_check(name: str, found: Mapping[str, Any]) -> Both:
    """What a check found; found: its figure, which brings its own title in both languages."""
    title = found.get("title") or {"en": name, "zh": name}
    if found["value"] is None:
        return f"{title['en']}: no result", f"{title['zh']}：没有结果"
    show = (lambda value: f"{hundred(value)} %") if found.get("percent") else number
    between = _between(found["low"], found["high"], show)
    return f"{title['en']}: {show(found['value'])}{between[0]}", f"{title['zh']}：{show(found['value'])}{between[1]}"


def demand(one: Criterion) -> Both:
    """What the criterion asks for."""
    strict = len(one.operator) == 1
    if one.model:
        other = model_name(one.other)
        if one.number == 0:
            word = ("better than", "优于") if strict else ("at least as good as", "不差于")
            return f"asked for: {word[0]} {other[0]}", f"要求：{word[1]}{other[1]}"
        shift, shift_zh = _margin(one)
        gain = (one.number > 0) == one.higher
        least = ("more than" if strict else "at least", "高于" if strict else "不低于")
        if gain:
            return f"asked for: better by {least[0]} {shift}", f"要求：优势{least[1]} {shift_zh}"
        most = ("less than" if strict else "at most", "小于" if strict else "不超过")
        return f"allowed: worse by {most[0]} {shift}", f"允许：差距{most[1]} {shift_zh}"
    figure = (
        hundred(one.number) if one.metric in ("accuracy", "recall", "precision", "ece", *SHARES) else number(one.number)
    )
    if one.higher:
        return (f"asked for: {'more than' if strict else 'at least'} {figure}",
                f"要求：{'高于' if strict else '不低于'} {figure}")  # fmt: skip
    return (f"allowed: {'less than' if strict else 'at most'} {figure}",
            f"允许：{'低于' if strict else '不超过'} {figure}")  # fmt: skip


def hundred(share: float) -> str:
    """A share as a count of 100: 0.9312 -> "93.1", 0.93 -> "93"; two more digits where one would hide the rest."""
    text = f"{100 * share:.1f}"
    if text in ("100.0", "0.0", "-0.0") and share not in (0, 1):
        text = f"{100 * share:.3f}"
    return text.rstrip("0").rstrip(".") or "0"


def number(value: float) -> str:
    """Three significant digits, without an exponent where it can be avoided."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if 0.1 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"


def _between(low: float | None, high: float | None, show: Any) -> Both:
    if low is None or high is None:
        return " (too few items for an interval)", "（样本太少，无法给出区间）"
    return f" (between {show(low)} and {show(high)})", f"（介于 {show(low)} 与 {show(high)} 之间）"


def _span(limits: tuple[float | None, float | None], english: Any, chinese: Any) -> Both:
    low, high = limits
    if low is None or high is None:
        return " (too few items for an interval)", "（样本太少，无法给出区间）"
    return f" (between {english(low)} and {english(high)})", f"（介于{chinese(low)}与{chinese(high)}之间）"


def _margin(one: Criterion) -> Both:
    if one.metric in ("accuracy", "recall", "precision"):
        return f"{hundred(abs(one.number))} of 100 texts", f"每 100 条 {hundred(abs(one.number))} 条"
    return number(abs(one.number)), number(abs(one.number))


def _title(metric: str, label: str) -> Both:
    if label:
        name = {"precision": "精确率", "recall": "召回率", "f1": "F1"}.get(metric, metric)
        return f"{metric} of '{label}'", f"“{label}”的{name}"
    if metric in names("metric"):
        found = lookup("metric", metric)
        return found.title, found.title_zh
    return metric, metric
