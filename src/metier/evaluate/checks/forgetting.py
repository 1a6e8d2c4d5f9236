"""Forgetting: what the base could do outside its field, and whether the tuned model still can.

Purpose: both are asked the same general things (general_answers.py), item by item, so every difference is paired. For
each kind one of four sentences: not worse by more than the margin, a little worse, worse by more than the margin, or
too few items to tell; a figure that cannot rule out harm is never told as "nothing forgotten".
Trade-off: the bundled texts are a few dozen a language, which shows forgetting that matters and not a per cent; for
more, name texts of your own. Not covered: skills that nobody listed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metier.errors import UserError
from metier.evaluate.checks import changed, general_answers
from metier.evaluate.checks.base import Asked, Figure, Findings, Table, Told, quote
from metier.evaluate.compare import Setting, compare, finish
from metier.evaluate.items import BITS, CLASSIFY, LIKELIHOODS, Items, objects
from metier.evaluate.resample import units
from metier.evaluate.wording import Both, hundred, number
from metier.registry import lookup, register
from metier.train.config import TaskConfig
from metier.train.tasks import profile
from metier.train.tasks.base import EXAMPLES

TITLE: Both = ("Forgetting", "遗忘")
KINDS: dict[str, Both] = {
    "bits_per_byte": ("general text (bits per byte)", "通用文本（每字节比特数）"),
    "cloze": ("sentences to complete", "补全句子"),
    "instructions": ("general instructions", "通用指令"),
    "topics": ("nearest text of the same topic", "同主题的最近文本"),
    "similar": ("another wording is nearer than other words", "同义句比字面相近的句子更近"),
}  # fmt: skip
LANGUAGES: dict[str, Both] = {"": ("all", "全部"), "en": ("English", "英文"), "zh": ("Chinese", "中文"),
                              "own": ("your texts", "您的文本")}  # fmt: skip
UNMOVED: Both = (
    "The base's weights were not changed (only a head beside them), so nothing can have been forgotten.",
    "基础模型的权重没有改变（只训练了旁边的输出层），不可能遗忘。",
)
SHOWN = 10  # forgotten instructions in the table


class Forgetting:
    """See `Check` for the members."""

    title = TITLE
    figures: Mapping[str, Any] = {
        f"{kind}{part}": "lower" if kind == "bits_per_byte" else "higher"
        for kind in KINDS for part in ("", "_en", "_zh", *(("_own",) if kind == "bits_per_byte" else ()))
    }  # fmt: skip

    def unfit(self, task: TaskConfig) -> Both | None:
        return None

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        config = asked.config.forgetting
        tuned = asked.tuned
        if tuned.task.rows == EXAMPLES:
            from metier.train.model import untouched

            own = own_texts(config.texts, asked.near, config.most, asked.seed)
            rows: list[dict[str, Any]] = []
            for name, one in (("tuned", tuned), ("base", untouched(tuned, asked.base))):
                rows += general_answers.written(one, name, own, config, asked.console)
        elif hasattr(tuned.module, "base") and not getattr(tuned.task, "joint", False):
            rows = []  # a head beside a base that did not move
        else:
            rows = [row for name, embed in _embedders(asked) for row in general_answers.embedded(embed, name)]
        return {"answers": pa.Table.from_pylist(rows, schema=general_answers.ANSWERS)}

    def judge(self, stored: Mapping[str, pa.Table], told: Told) -> Findings:
        answers = stored["answers"]
        if not answers.num_rows:
            return Findings(TITLE, said=[UNMOVED])
        found = [one for kind in KINDS for one in _compared(answers, kind, told)]
        whole = [one for one in found if not one.language]
        # One family for Holm's correction: the kinds, each over all languages.
        rows = finish([{**one.row, "metric": "forgetting"} for one in whole], told.setting.alpha)
        corrected = {one.kind: row["p_holm"] for one, row in zip(whole, rows, strict=True)}
        whole.sort(key=lambda one: -(one.loss / one.margin))
        figures = {f"{one.kind}{'_' if one.language else ''}{one.language}": one.figure for one in found}
        said = [one.sentence() for one in whole]
        warnings = [(f"Forgetting: {one.sentence()[0]}", f"遗忘：{one.sentence()[1]}")
                    for one in whole if one.state in ("worse", "much worse")]  # fmt: skip
        if profile(told.task).kind != BITS and told.config.forgetting.texts and "bits_per_byte" not in corrected:
            said.append(("Your texts were not used: an encoder gives text no likelihood.",
                         "未使用您的文本：编码器不给出文本的似然。"))  # fmt: skip
        return Findings(TITLE, figures, said, warnings, [_table(found, corrected), *_forgotten(answers)])


class _Compared:
    """One kind in one language ("": all): the figures of both models and the comparison, with the margin."""

    def __init__(self, kind: str, language: str, row: dict[str, Any], values: tuple[float, float], told: Told) -> None:
        config = told.config.forgetting
        self.kind, self.language, self.row = kind, language, row
        self.tuned, self.base = values
        self.bits = kind == "bits_per_byte"
        self.margin = config.margin_bits if self.bits else config.margin
        title = (f"{KINDS[kind][0]}: tuned minus base", f"{KINDS[kind][1]}：微调减基础")
        if language:
            title = (f"{title[0]} ({LANGUAGES[language][0]})", f"{title[1]}（{LANGUAGES[language][1]}）")
        better: Any = "lower" if self.bits else "higher"
        self.figure = Figure(title, row["difference"], row["low"], row["high"], row["n"], better, not self.bits)

    @property
    def loss(self) -> float:
        """How much worse the tuned model is."""
        return float(self.row["difference"]) * (1 if self.bits else -1)

    @property
    def limits(self) -> tuple[float, float] | None:
        """The interval of the loss."""
        low, high = self.row["low"], self.row["high"]
        if low is None:
            return None
        return (low, high) if self.bits else (-high, -low)

    @property
    def state(self) -> str:
        """same: not worse by more than the margin. worse: surely worse, perhaps within the margin. much worse: surely
        beyond it. unclear: neither can be said."""
        if self.limits is None:
            return "unclear"
        low, high = self.limits
        if low > self.margin:
            return "much worse"
        if high <= self.margin:
            return "same"
        return "worse" if low > 0 else "unclear"

    def sentence(self) -> Both:
        """What can be said."""
        name, show = KINDS[self.kind], number if self.bits else hundred
        loss, margin = show(abs(self.loss)), show(self.margin)
        unit: Both = (" bits per byte", " 比特/字节") if self.bits else (" of 100", "（每 100 项）")
        how: Both = ("worse", "差") if self.loss > 0 else ("better", "好")
        between: Both = ("", "")
        if self.limits is not None:
            low, high = (f"{'+' if end > 0 else '−' if end < 0 else ''}{show(abs(end))}" for end in self.limits)
            between = (f"; loss between {low} and {high}", f"；损失介于 {low} 与 {high} 之间")
        amount = (f"{how[0]} by {loss}{unit[0]}{between[0]}", f"{how[1]} {loss}{unit[1]}{between[1]}")
        if not self.loss:
            amount = (f"no difference{between[0]}", f"无差异{between[1]}")
        n = f"{self.row['n']:,}"
        begin: Both = (f"{name[0][0].upper()}{name[0][1:]} ({n} items)", f"{name[1]}（{n} 项）")
        end: Both = {
            "same": (f"not worse by more than the margin of {margin}", f"变差不超过允许的 {margin}"),
            "worse": (f"worse, but perhaps within the margin of {margin}", f"变差，但可能不超过允许的 {margin}"),
            "much worse": (f"worse by more than the margin of {margin}", f"变差超过允许的 {margin}"),
            "unclear": (f"too few items to say whether it is within the margin of {margin}",
                        f"样本太少，不能判断是否在允许的 {margin} 之内"),
        }[self.state]  # fmt: skip
        return f"{begin[0]}: {end[0]} ({amount[0]}).", f"{begin[1]}：{end[1]}（{amount[1]}）。"


def _compared(answers: pa.Table, kind: str, told: Told) -> list[_Compared]:
    """All languages together, then each."""
    of_kind = answers.filter(pc.equal(answers["kind"], kind))
    found = []
    languages = list(dict.fromkeys(of_kind["language"].to_pylist()))
    for language in ["", *languages] if languages else []:
        some = of_kind if not language else of_kind.filter(pc.equal(of_kind["language"], language))
        tuned, base = (_items(some.filter(pc.equal(some["model"], model)), kind) for model in ("tuned", "base"))
        setting = told.setting
        made = Setting(units([""] * len(tuned)), setting.alpha, setting.power, setting.resamples, setting.seed)
        metric = lookup("metric", "bits_per_byte" if kind == "bits_per_byte" else "accuracy")
        pair = changed.pair(metric, tuned, base, made)
        if pair is not None:
            values = pair.tuned_value, pair.other_value
            found.append(_Compared(kind, language, compare(pair, "base", made), values, told))
    return found


def _items(answers: pa.Table, kind: str) -> Items:
    """Answers as items of a metric: likelihoods of texts, or right and wrong."""
    if kind != "bits_per_byte":
        right = np.array(answers["right"].to_pylist(), dtype=np.int64)
        return Items(CLASSIFY, np.ones(len(right), dtype=np.int64), right, None, ("wrong", "right"))
    bits, sizes = (answers[name].to_numpy().astype(np.float64) for name in ("bits", "bytes"))
    texts = objects(["x" * int(size) for size in sizes])  # the metric reads nothing of them but their length
    return Items(BITS, texts, bits, more={LIKELIHOODS: bits, "bytes": sizes})


def _embedders(asked: Asked) -> list[tuple[str, Any]]:
    """(model, function from texts to vectors): of a retriever its own vectors, of others the mean of the last hidden
    states, pooled alike in both."""
    tuned, console = asked.tuned, asked.console
    if getattr(tuned.task, "joint", False):
        from metier.train.model import untouched

        prefix = tuned.task.config.embed.passage_prefix
        both = (("tuned", tuned), ("base", untouched(tuned, asked.base)))
        return [(name, lambda texts, one=one: one.vectors(texts, prefix, console)[0]) for name, one in both]
    import torch

    from metier.evaluate.probe import Embedder
    from metier.train.methods.frozen import embed

    base = Embedder(asked.base, tuned, console)

    def mean_states(network: Any, encoder: Any) -> Any:
        device = next(network.parameters()).device.type

        def of_texts(texts: Sequence[str]) -> Any:
            with torch.autocast(device, torch.bfloat16, enabled=tuned.bf16):
                return embed(network, encoder.encode(list(texts)), tuned.limit).double().numpy()

        return of_texts

    return [("tuned", mean_states(tuned.module, tuned.encoder)), ("base", mean_states(base.network, base.encoder))]


def own_texts(paths: Sequence[str], near: Path | None, most: int, seed: int) -> list[str]:
    """Paragraphs of the user's files, at most `most` of them, drawn from the seed and in their order."""
    found = [text for path in paths for text in _paragraphs((near or Path()) / Path(path).expanduser())]
    if len(found) <= most:
        return found
    picked = Random(f"{seed} general texts").sample(range(len(found)), most)
    return [found[place] for place in sorted(picked)]


def _paragraphs(path: Path) -> list[str]:
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    readers = {".csv": pyarrow.csv.read_csv, ".jsonl": pyarrow.json.read_json, ".parquet": pyarrow.parquet.read_table}
    where = f"evaluate.forgetting.texts: {path}"
    data = path.read_bytes()
    if path.suffix.lower() not in readers:
        try:
            text = data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise UserError("this file is no text in UTF-8", where, "save it as UTF-8") from None
        texts = [part.strip() for part in text.split("\n\n")]
    else:
        try:
            table = readers[path.suffix.lower()](io.BytesIO(data))
        except pa.ArrowInvalid as error:
            raise UserError(f"this table cannot be read: {error}", where, "see whether it opens elsewhere") from None
        if "text" not in table.column_names:
            raise UserError("this table has no column `text`", where, f"its columns: {', '.join(table.column_names)}")
        texts = [str(cell or "").strip() for cell in table["text"].to_pylist()]
    texts = [text for text in texts if text]
    if not texts:
        raise UserError("this file holds no text", where, "bring paragraphs with an empty line between them")
    return texts


def _table(found: Sequence[_Compared], corrected: Mapping[str, float | None]) -> Table:
    heads: list[Both] = [("Asked", "内容"), ("Language", "语言"), ("Base", "基础模型"), ("Tuned", "微调模型"),
                         ("Tuned minus base", "微调减基础"), ("p (Holm)", "p（Holm）")]  # fmt: skip
    rows = []
    for one in found:
        shown = [Figure(one.figure.title, value, better=one.figure.better, percent=not one.bits)
                 for value in (one.base, one.tuned)]  # fmt: skip
        rows.append([KINDS[one.kind], LANGUAGES[one.language], *shown, one.figure,
                     None if one.language else corrected.get(one.kind)])  # fmt: skip
    return Table(("Outside the field, before and after", "专业之外，微调前后"), heads, rows)


def _forgotten(answers: pa.Table) -> list[Table]:
    """Instructions that the base answers rightly and the tuned model does not."""
    some = answers.filter(pc.equal(answers["kind"], "instructions")).to_pylist()
    by_model: dict[str, dict[int, dict[str, Any]]] = {"tuned": {}, "base": {}}
    for row in some:
        by_model[row["model"]][row["item"]] = row
    lost = [(row, by_model["tuned"][item]) for item, row in by_model["base"].items()
            if row["right"] and not by_model["tuned"][item]["right"]]  # fmt: skip
    if not lost:
        return []
    heads: list[Both] = [("Instruction", "指令"), ("Base", "基础模型"), ("Tuned", "微调模型")]
    rows = [[quote(before["asked"]), quote(before["written"]), quote(after["written"])] for before, after in lost]
    return [Table((f"Forgotten instructions ({len(lost)})", f"遗忘的指令（{len(lost)}）"), heads, rows[:SHOWN])]


register("check", "forgetting")(Forgetting())
