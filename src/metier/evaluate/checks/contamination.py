"""The check `contamination`: whether the test set was seen before, by the tuned model in training or by its base.

Purpose: a figure on texts that were learned is no figure. Against the training split the final examples are compared as
`prepare.decontaminate` does: passages word for word, and near duplicates; this also holds where the data brought its
own split. Against the base the order of the rows is asked (row_order.py), and that of the options of a question
(option_order.py).
Trade-off: the comparison is made again here rather than read from prepare, so that what is judged is what was trained
on. Not covered: paraphrases and translations; a base that met single rows and not the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from metier import tables
from metier.evaluate import option_order, row_order
from metier.evaluate.checks.base import Asked, Figure, Findings, Table, Told, quote
from metier.evaluate.intervals import finite, proportions
from metier.evaluate.items import BITS, CHOICE, SCORE, TEXT, right
from metier.evaluate.wording import Both, hundred, number
from metier.prepare.config import DecontaminateConfig, DedupConfig
from metier.prepare.minhash import near_pairs
from metier.prepare.overlaps import scan
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.tasks.base import profile, strings

OVERLAPS = pa.schema([("id", pa.string()), ("kind", pa.string()), ("share", pa.float64()), ("passage", pa.string()),
                      ("other_id", pa.string())])  # fmt: skip
ORDER = pa.schema([("stretch", pa.int32()), ("rows", pa.int32()), ("gain", pa.float64())])
OPTIONS = pa.schema([("id", pa.string()), ("orders", pa.int32()), ("wins", pa.int32()), ("gain", pa.float64())])
LEFT = pa.schema([("reason", pa.string()), ("rows", pa.int64())])
STATE = pa.schema([("state", pa.string())])
LISTED, LONGEST = 20, 300  # shared passages in the report, characters of each
SEEN = 0.01  # of the order test, below which the base counts as contaminated: one false alarm in a hundred runs
TIE = 1e-4  # nats: float32 sums of a thousand tokens are no more exact
FEWEST_QUESTIONS = 10  # below which the test over orders of options is not made
FEWEST = 5  # stretches below which their order says nothing


class Contamination:
    """See the module."""

    title: Both = ("Contamination: was the test set seen before?", "污染：测试集此前是否被见过")
    figures: Mapping[str, Literal["higher", "lower"]] = {"passages": "lower", "near": "lower", "order_p": "higher",
                                                         "options_p": "higher", "options_preferred": "lower",
                                                         "options_gain": "lower"}  # fmt: skip

    def unfit(self, task: TaskConfig) -> Both | None:
        return None

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        order, state = _order(asked)
        options, left = _options(asked)
        return {
            "options": tables.table(options, OPTIONS),
            "left": tables.table([{"reason": name, "rows": rows} for name, rows in sorted(left.items())], LEFT),
            "overlaps": tables.table(_overlaps(asked), OVERLAPS),
            "order": tables.table(order, ORDER),
            "state": tables.table([{"state": state}], STATE),
        }

    def judge(self, stored: Mapping[str, pa.Table], told: Told) -> Findings:
        rows = stored["overlaps"].to_pylist()
        figures = {kind: _share(kind, rows, told) for kind in ("passages", "near")}
        said: list[Both] = [_shared_words(figures)]
        warnings: list[Both] = []
        if any(figure.value for figure in figures.values()):
            warnings.append((
                f"{_touched(rows):,} of {told.rows.num_rows:,} test examples share a passage or are nearly equal to a "
                "training example: figures on them tell memory, not skill.",
                f"{told.rows.num_rows:,} 个测试样本中有 {_touched(rows):,} 个与训练样本共有段落或几乎相同："
                "这些样本上的数值反映的是记忆而非能力。",
            ))  # fmt: skip
        shown = [_clean(rows, told), _listed(rows)] if rows else []
        figure, sentence, seen = _order_words(stored["order"], stored["state"]["state"][0].as_py())
        warnings += [sentence] if seen else []
        found = {**figures, "order_p": figure}
        said.append(sentence)
        if profile(told.task).kind == CHOICE and "options" in stored:
            of_options, sentence, seen = _option_words(stored["options"], stored["left"])
            found |= of_options
            said.append(sentence)
            warnings += [sentence] if seen else []
            shown.append(_left_out(stored["left"]))
        return Findings(self.title, found, said, warnings, [table for table in shown if table])


register("check", "contamination")(Contamination())


def _overlaps(asked: Asked) -> list[dict[str, Any]]:
    """For each test example what it shares with the training split: its longest passage, its nearest text."""
    settings = asked.examples.identity.get("config", {}).get("prepare", {})
    shared = DecontaminateConfig.model_validate(_fields(settings.get("decontaminate", {}), DecontaminateConfig))
    alike = DedupConfig.model_validate(_fields(settings.get("dedup", {}), DedupConfig))
    train, test = asked.parts["train"], asked.parts["test"]
    names, ids = strings(train["id"]), strings(test["id"])
    found, _ = scan(_whole(test), _whole(train), shared.words, shared.characters, shared.common)
    rows = [{"id": ids[place], "kind": "passages", "share": one.share, "passage": one.passage[:LONGEST],
             "other_id": names[one.other]} for place, one in sorted(found.items())]  # fmt: skip
    texts = [*_compared(train), *_compared(test)]
    pairs, similarity = near_pairs(texts, alike.threshold, alike.permutations).all_pairs()
    best: dict[int, tuple[float, int]] = {}
    for (one, other), value in zip(pairs.tolist(), similarity.tolist(), strict=True):
        if one < len(names) <= other:
            best[other] = max(best.get(other, (0.0, 0)), (value, -one))
    rows += [{"id": ids[place - len(names)], "kind": "near", "share": value, "passage": texts[-other][:LONGEST],
              "other_id": names[-other]} for place, (value, other) in sorted(best.items())]  # fmt: skip
    return rows


def _order(asked: Asked) -> tuple[list[dict[str, Any]], str]:
    """Gains of the rows' own order under the base, and why there are none ("" if there are)."""
    from transformers import AutoConfig

    from metier.train import language
    from metier.train.network import load_tokenizer, loaded

    config = loaded(AutoConfig, asked.base, "model")
    if config.is_encoder_decoder or not language.writes(config):
        return [], "no likelihood"
    rows = row_order.in_order(tables.read(asked.examples.path / "examples.parquet"))
    if rows.num_rows and (name := row_order.why_not(rows)):
        return [], name
    settings, random = asked.config.contamination, np.random.default_rng([asked.seed, 29])
    found = row_order.stretches(rows, settings, random)
    if len(found) < FEWEST:
        return [], "too few" if rows.num_rows else "no order"
    network = language.load(asked.base, None, 0)
    network.to(next(asked.tuned.module.parameters()).device)
    texts = _whole(rows)
    gained = row_order.gains(network, load_tokenizer(asked.base), [[texts[row] for row in some] for some in found],
                             settings, random, asked.console)  # fmt: skip
    return [{"stretch": place, "rows": len(some), "gain": float(gain)}
            for place, (some, gain) in enumerate(zip(found, gained, strict=True))], ""  # fmt: skip


def _options(asked: Asked) -> tuple[list[dict[str, Any]], Counter[str]]:
    """How often the published order of options is the likelier one under the base, by question; what was left out."""
    from transformers import AutoConfig

    from metier.train import language
    from metier.train.network import load_tokenizer, loaded

    config = loaded(AutoConfig, asked.base, "model")
    rows = asked.parts["test"]
    if profile(asked.task).kind != CHOICE or config.is_encoder_decoder or not language.writes(config):
        return [], Counter()
    settings = asked.config.contamination
    found, left = option_order.questions(rows, settings, np.random.default_rng([asked.seed, 31]))
    if not found:
        return [], left
    network = language.load(asked.base, None, 0)
    network.to(next(asked.tuned.module.parameters()).device)
    gained = option_order.gains(network, load_tokenizer(asked.base), rows, found, settings, asked.console)
    ids = strings(rows["id"])
    return [{"id": ids[one.row], "orders": len(ahead), "wins": int((ahead > TIE).sum()), "gain": float(ahead.mean())}
            for one, ahead in zip(found, gained, strict=True)], left  # fmt: skip


def _fields(given: Mapping[str, Any], section: Any) -> dict[str, Any]:
    """What an identity tells of a section: it lacks paths, and may be of another version."""
    return {name: value for name, value in given.items() if name in section.model_fields and name != "semantic"}


def _whole(rows: pa.Table) -> list[str]:
    """Of each example what may leak; as `Row.whole` in prepare/flow.py."""
    columns = [strings(rows[name]) for name in ("pair", "text", "answer", "chosen", "rejected")]
    return ["\n".join(filter(None, parts)) if any(parts[2:]) else parts[1] for parts in zip(*columns, strict=True)]


def _compared(rows: pa.Table) -> list[str]:
    """Of each example what is nearly equal in a duplicate; as `Row.compared`."""
    columns = [strings(rows[name]) for name in ("pair", "text", "answer", "chosen", "rejected")]
    return ["\n".join(filter(None, parts)) for parts in zip(*columns, strict=True)]


def _share(kind: str, rows: list[dict[str, Any]], told: Told) -> Figure:
    """Share of the test examples with a find of this kind."""
    there = {row["id"] for row in rows if row["kind"] == kind}
    hit = np.array([[id in there] for id in strings(told.rows["id"])], dtype=float)
    share, low, high = proportions(hit, np.ones_like(hit), told.setting.unit, told.config.alpha)
    titles: dict[str, Both] = {
        "passages": ("Test examples that share a passage with a training example", "与训练样本共有段落的测试样本"),
        "near": ("Test examples that are nearly equal to a training example", "与训练样本几乎相同的测试样本"),
    }
    return Figure(titles[kind], float(share[0]), finite(low[0]), finite(high[0]), len(hit), percent=True)


def _touched(rows: list[dict[str, Any]]) -> int:
    return len({row["id"] for row in rows})


def _shared_words(figures: Mapping[str, Figure]) -> Both:
    passages, near = (hundred(figures[name].value or 0.0) for name in ("passages", "near"))
    return (
        f"Of 100 test examples {passages} share a passage with a training example, and {near} are nearly equal to one.",
        f"每 100 个测试样本中，{passages} 个与训练样本共有段落，{near} 个与某个训练样本几乎相同。",
    )


def _clean(rows: list[dict[str, Any]], told: Told) -> Table | None:
    """Right answers of every model on the test examples with and without such a find."""
    seen = {row["id"] for row in rows}
    mask = np.array([id in seen for id in strings(told.rows["id"])])
    kinds = [one for one in told.models.values() if one.kind not in (SCORE, TEXT, BITS)]
    if not kinds or not mask.any() or mask.all():
        return None
    cells: list[list[Any]] = []
    for name, items in told.models.items():
        correct = np.asarray(right(items), dtype=float)
        parts = [Figure(("right answers", "答对比例"), float(correct[some].mean()), n=int(some.sum()), percent=True,
                        better="higher") for some in (mask, ~mask)]  # fmt: skip
        cells.append([name, *parts])
    heads: list[Both] = [("Model", "模型"), ("Right where seen", "见过的样本"), ("Right elsewhere", "其余样本")]
    return Table(("Right answers with and without what was seen", "见过与未见过的样本上的答对比例"), heads, cells)


def _listed(rows: list[dict[str, Any]]) -> Table:
    heads: list[Both] = [("Test example", "测试样本"), ("Shared", "共有内容"), ("Share", "比例"),
                         ("Training example", "训练样本")]  # fmt: skip
    found = sorted(rows, key=lambda row: (-row["share"], row["id"]))[:LISTED]
    cells = [[row["id"], quote(row["passage"]), float(round(row["share"], 3)), row["other_id"]] for row in found]
    return Table(("What is shared", "共有的内容"), heads, cells)


def _order_words(table: pa.Table, state: str) -> tuple[Figure, Both, bool]:
    """The figure of the order test, its sentence, and whether the base is found to have seen the rows."""
    title: Both = (
        "p-value of: the base has not read these rows in their order",
        "“基础模型未按原序读过这些数据”的 p 值",
    )
    if state:
        return Figure(title, None, better="higher"), _unasked(state), False
    gained = table["gain"].to_numpy()
    p = row_order.order_p(gained)
    seen = p < SEEN
    gain, n = number(float(gained.mean())), len(gained)
    verdict: Both = ("The base has very likely read this data set." if seen else "No sign that the base has read it.",
                     "基础模型很可能读过该数据集。" if seen else "没有迹象表明基础模型读过该数据集。")  # fmt: skip
    return Figure(title, p, n=n, better="higher"), (
        f"To the base, {n} stretches of neighbouring rows are likelier in their own order than shuffled by {gain} nats "
        f"on average (p = {number(p)}). {verdict[0]}",
        f"对基础模型而言，{n} 段相邻数据按原有顺序比打乱后的似然平均高 {gain} 奈特（p = {number(p)}）。{verdict[1]}",
    ), seen  # fmt: skip


def _option_words(table: pa.Table, left: pa.Table) -> tuple[dict[str, Figure], Both, bool]:
    """The figures of the test over orders of options, its sentence, and whether the base is found to know them."""
    titles: dict[str, Both] = {
        "options_p": ("p-value of: the base has not read these options in their order",
                      "“基础模型未按原序读过这些选项”的 p 值"),
        "options_preferred": ("Comparisons in which the published order of options is the likelier one",
                              "原有选项顺序更可能的比较所占比例"),
        "options_gain": ("Nats by which the published order of options is likelier",
                         "原有选项顺序高出的对数似然（奈特）"),
    }  # fmt: skip
    better = Contamination.figures
    n, out = table.num_rows, sum(left["rows"].to_pylist())
    if n < FEWEST_QUESTIONS:
        sentence = (f"Whether the base has seen the options in their order was not asked: {n} questions have options "
                    f"whose order tells nothing by itself, and {FEWEST_QUESTIONS} are needed.",
                    f"未检验基础模型是否按原有顺序见过选项：选项顺序本身不含信息的题目只有 {n} 道，至少需要 "
                    f"{FEWEST_QUESTIONS} 道。")  # fmt: skip
        return {name: Figure(title, None, better=better[name]) for name, title in titles.items()}, sentence, False
    wins, orders = table["wins"].to_pylist(), table["orders"].to_pylist()
    p, share, gain = option_order.exact_p(wins, orders), sum(wins) / sum(orders), float(table["gain"].to_numpy().mean())
    values = {"options_p": p, "options_preferred": share, "options_gain": gain}
    figures = {name: Figure(titles[name], value, n=n, better=better[name], percent=name == "options_preferred")
               for name, value in values.items()}  # fmt: skip
    seen = p < SEEN
    verdict: Both = ("The base has very likely read these questions." if seen else
                     "No sign that the base has read them.",
                     "基础模型很可能读过这些题目。" if seen else "没有迹象表明基础模型读过这些题目。")  # fmt: skip
    return figures, (
        f"To the base, the published order of the options is likelier than another one in {hundred(share)} of 100 "
        f"comparisons over {n} questions (50 by chance; by {number(gain)} nats on average; exact p = {number(p)}). "
        f"{verdict[0]}" + (f" {out:,} questions were left out." if out else ""),
        f"对基础模型而言，{n} 道题的每 100 次比较中，原有选项顺序有 {hundred(share)} 次更可能（偶然水平为 50；平均高 "
        f"{number(gain)} 奈特；精确 p = {number(p)}）。{verdict[1]}"
        + (f"另有 {out:,} 道题未参与检验。" if out else ""),
    ), seen  # fmt: skip


def _left_out(left: pa.Table) -> Table | None:
    if not left.num_rows:
        return None
    heads: list[Both] = [("Questions left out of the test of options", "未参与选项检验的题目"), ("Because", "原因")]
    cells: list[list[Any]] = [[row["rows"], option_order.REASONS[row["reason"]]] for row in left.to_pylist()]
    return Table(
        ("Questions whose order of options tells something by itself", "选项顺序本身含有信息的题目"), heads, cells
    )


def _unasked(state: str) -> Both:
    if state == "no likelihood":
        return row_order.NO_LIKELIHOOD
    if state == "no order":
        return row_order.NO_ORDER
    if state in row_order.SORTED:
        english, chinese = row_order.SORTED[state]
        return (f"Whether the base has seen the rows in their order was not asked: they are {english}, so their order "
                "tells something by itself.",
                f"未检验基础模型是否按原有顺序见过这些数据：数据{chinese}，其顺序本身就含有信息。")  # fmt: skip
    return ("Whether the base has seen the rows in their order was not asked: there are too few neighbouring rows.",
            "未检验基础模型是否按原有顺序见过这些数据：相邻的数据太少。")  # fmt: skip
