"""The check `judge`: other models say which of two answers is better.

Purpose: accuracy, relevance and fluency as a reader would judge them. Every pair is shown in both orders; a judge that
changes its mind with the order has said "tie" (and is counted). Several judges decide by majority, with Krippendorff's
alpha beside it. Prompt, reply, order and the model that the server names are stored, so that figures can be replayed.
Trade-off: pairs, not marks: marks of one model drift from run to run, preferences less (Zheng et al. 2023 on judges).
Known bias is measured, not removed: how often the order, and how often the longer answer, decided.
Not covered: telling whether a judge is right; a sample judged by people is still needed where much depends on it.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import yaml

from metier.errors import UserError
from metier.evaluate import written
from metier.evaluate.agreement import alpha
from metier.evaluate.checks import endpoint
from metier.evaluate.checks.base import Asked, Figure, Findings, Table, Told, quote
from metier.evaluate.checks.means import Mean, mean
from metier.evaluate.config_writing import JudgeConfig, JudgeModel
from metier.evaluate.items import TEXT
from metier.evaluate.wording import Both, model_name
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.tasks import profile
from metier.train.tasks.base import strings
from metier.train.tasks.bio import WIDE

QUALITIES: dict[str, Both] = {
    "accuracy": ("Accuracy", "准确性"), "relevance": ("Relevance", "相关性"), "fluency": ("Fluency", "流畅性"),
}  # fmt: skip
REPLIES = pa.schema(
    [
        (name, pa.string())
        for name in ("id", "judge", "quality", "order", "prompt", "reply", "server_model", "error", "said")
    ]
    + [("seconds", pa.float64()), ("cut", pa.int64()), ("tuned_longer", pa.bool_())]
)
ORDERS = ("tuned first", "tuned second")
JOURNAL = "judge-replies.jsonl"


class Judge:
    """Pairs of answers before other models."""

    title: Both = ("Judged by other models", "由其他模型评判")
    figures: Mapping[str, Literal["higher", "lower"]] = {
        **{f"{quality}_wins": "higher" for quality in QUALITIES},  # type: ignore[dict-item]
        "agreement": "higher", "flips": "lower", "unclear": "lower", "longer_wins": "lower",
    }  # fmt: skip

    def unfit(self, task: TaskConfig) -> Both | None:
        if profile(task).kind != TEXT:
            return (
                "judges compare written answers; this task writes none",
                "评判模型比较的是写出的回答，而本任务不写回答",
            )
        return None

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        config = asked.config.judge
        if not config.judges:
            raise UserError("no judge is named", "evaluate.judge.judges", "name at least one: {url: ..., model: ...}")
        for judge in config.judges:
            refuse_family(
                judge, asked.train.base_model, str((asked.trained.summary.get("base") or {}).get("model", ""))
            )
        pairs = list(_pairs(asked, config))
        journal = _Journal(asked.folder)
        rows: list[dict[str, Any]] = []
        wanted = len(config.judges) * len(config.qualities) * 2 * len(pairs)
        with asked.console.progress("asking the judges", wanted, "questions") as meter:
            for judge in config.judges:
                work = [(quality, order, pair) for quality in config.qualities for order in ORDERS for pair in pairs]
                ask = functools.partial(_ask, judge, config, journal)
                with ThreadPoolExecutor(config.at_once) as pool:
                    for row in pool.map(ask, work):
                        rows.append(row)
                        meter.advance(1)
        return {"replies": pa.Table.from_pylist(rows, REPLIES)}

    def judge(self, stored: Mapping[str, pa.Table], told: Told) -> Findings:
        rows = stored["replies"].to_pylist()
        other = _other(told.config.judge.against)
        groups = dict(zip(strings(told.rows["id"]), strings(told.rows["group"]), strict=True))
        decided = settle(rows)
        figures: dict[str, Figure] = {}
        said: list[Both] = []
        for quality in dict.fromkeys(str(row["quality"]) for row in rows):
            by_item = majority({key: value for key, value in decided.items() if key[1] == quality})
            worth = {"tuned": 1.0, "tie": 0.5, "other": 0.0, None: float("nan")}
            values = [worth[verdict] for verdict in by_item.values()]
            found = mean(values, [groups.get(item, "") for item in by_item], told.setting, 0.0, 1.0, centre=0.5)
            title = QUALITIES[quality]
            figures[f"{quality}_wins"] = Figure(
                (f"{title[0]}: wins, ties counted half", f"{title[1]}：胜率（平局计一半）"),
                found.value, found.low, found.high, found.n, "higher", True,
            )  # fmt: skip
            said.append(_sentence(title, found, Counter(by_item.values()), other, told.setting.alpha))
        figures |= _trust(rows, decided)
        said.append(_shown(rows, told.rows.num_rows))
        tables = [Table(("Each judge", "各评判模型"), _HEADS, _by_judge(rows, decided)), _examples(rows)]
        return Findings(self.title, figures, said, _doubts(figures), tables)


register("check", "judge")(Judge())


def refuse_family(judge: JudgeModel, *candidates: str) -> None:
    """UserError where a judge is of the candidate's own family."""
    own = {family(name) for name in candidates if name} - {""}
    if (judge.family.lower() or family(judge.model)) in own:
        raise UserError(
            f"the judge '{judge.model}' is of the same family as the candidate, and models prefer their own kind",
            "evaluate.judge.judges", "name a judge of another family, or its true `family` if the name misleads",
        )  # fmt: skip


def family(model: str) -> str:
    """The letters that a model's name begins with: Qwen/Qwen2.5-0.5B -> qwen."""
    found = re.match(r"[A-Za-z]+", model.rstrip("/").rpartition("/")[2])
    return found[0].lower() if found else ""


def read_reply(text: str) -> str:
    """ "A", "B", "tie", or "" where the reply says none of them; what surrounds the JSON does not matter."""
    found = re.search(r'"better"\s*:\s*"?\s*(A|B|tie)\b', text, re.IGNORECASE)
    said = found[1] if found else (text.strip() if text.strip().upper() in ("A", "B", "TIE") else "")
    return {"A": "A", "B": "B", "TIE": "tie"}.get(said.upper(), "")


def settle(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str], str | None]:
    """(judge, quality, item) -> "tuned", "other" or "tie"; two orders that disagree are a tie; None without sense."""
    both: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        both.setdefault((row["judge"], row["quality"], row["id"]), []).append(row["said"])
    return {key: None if "" in said else said[0] if len(set(said)) == 1 else "tie" for key, said in both.items()}


def majority(decided: Mapping[tuple[str, str, str], str | None]) -> dict[str, str | None]:
    """item -> what more judges said than its opposite, a tie where neither; None where no judge made sense."""
    votes: dict[str, list[str | None]] = {}
    for (_, _, item), said in decided.items():
        votes.setdefault(item, []).append(said)
    found: dict[str, str | None] = {}
    for item, cast in votes.items():
        lead = cast.count("tuned") - cast.count("other")
        found[item] = None if not any(cast) else "tuned" if lead > 0 else "other" if lead < 0 else "tie"
    return found


@functools.cache
def prompts() -> dict[str, dict[str, str]]:
    """judge_prompts.yaml."""
    text = resources.files(__package__).joinpath("judge_prompts.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)  # type: ignore[no-any-return]


class _Journal:
    """Replies as they come, so that a crash loses none of them."""

    def __init__(self, folder: Path | None) -> None:
        self.path = folder / JOURNAL if folder else None
        self.known: dict[str, dict[str, Any]] = {}
        if self.path and self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                except ValueError:  # the line that the crash cut off
                    continue
                self.known[row["key"]] = row["row"]

    def keep(self, key: str, row: dict[str, Any]) -> None:
        if self.path:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"key": key, "row": row}, ensure_ascii=False) + "\n")


def _pairs(asked: Asked, config: JudgeConfig) -> Iterator[dict[str, Any]]:
    """What is compared: id, question, gold answer, both answers."""
    test = asked.parts["test"]
    gold = strings(test["answer"])
    tuned = asked.stored("tuned")["written"].to_pylist()
    other = gold if config.against == "gold" else asked.stored(config.against)["written"].to_pylist()
    if any(text is None for text in other):
        raise UserError(f"'{config.against}' writes no answers", "evaluate.judge.against", "name a model that does")
    questions = strings(written.asked(test, TEXT)["text"])
    chosen = np.sort(np.random.default_rng([asked.seed, 11]).permutation(test.num_rows)[: config.items])
    for index in chosen:
        yield {"id": test["id"][int(index)].as_py(), "question": questions[index], "gold": gold[index],
               "tuned": tuned[index], "other": other[index]}  # fmt: skip


def _ask(
    judge: JudgeModel, config: JudgeConfig, journal: _Journal, work: tuple[str, str, dict[str, Any]]
) -> dict[str, Any]:
    quality, order, pair = work
    key = json.dumps([judge.url, judge.model, quality, order, pair["id"]])
    if key in journal.known:
        return journal.known[key]
    messages, cut = _messages(quality, order, pair, config.characters)
    row = {"id": pair["id"], "judge": judge.model, "quality": quality, "order": order, "cut": cut,
           "prompt": json.dumps(messages, ensure_ascii=False),
           "tuned_longer": len(pair["tuned"]) > len(pair["other"])}  # fmt: skip
    if pair["tuned"].strip() == pair["other"].strip():
        return {**row, "reply": "", "server_model": "", "error": "", "said": "tie", "seconds": 0.0, "prompt": ""}
    told = endpoint.ask(judge.url, judge.model, judge.key_variable, messages, config.seconds, config.attempts)
    letter = read_reply(told.text)
    first = order == ORDERS[0]
    said = {"A": "tuned" if first else "other", "B": "other" if first else "tuned", "tie": "tie", "": ""}[letter]
    row |= {"reply": told.text, "server_model": told.model, "error": told.error, "said": said, "seconds": told.seconds}
    if not told.error:
        journal.keep(key, row)
    return row


def _messages(quality: str, order: str, pair: Mapping[str, Any], most: int) -> tuple[list[dict[str, str]], int]:
    """The conversation, in the question's language, and how many characters were left out of it."""
    wide = len(re.findall(f"[{WIDE}]", pair["question"] + pair["gold"]))
    words = prompts()["zh" if wide * 4 > len(pair["question"] + pair["gold"]) else "en"]
    texts = {name: str(pair[name]) for name in ("question", "gold", "tuned", "other")}
    cut = sum(max(0, len(text) - most) for text in texts.values())
    texts = {name: text[:most] for name, text in texts.items()}
    a, b = (texts["tuned"], texts["other"]) if order == ORDERS[0] else (texts["other"], texts["tuned"])
    parts = [words[quality], words["question"].format(question=texts["question"])]
    if quality == "accuracy":
        parts.append(words["reference"].format(gold=texts["gold"]))
    parts.append(words["answers"].format(a=a, b=b))
    return [{"role": "system", "content": words["system"]}, {"role": "user", "content": "\n\n".join(parts)}], cut


def _trust(rows: Sequence[Mapping[str, Any]], decided: Mapping[tuple[str, str, str], str | None]) -> dict[str, Figure]:
    """How far the judges themselves can be trusted."""
    orders: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row["said"]:
            orders.setdefault((row["judge"], row["quality"], row["id"]), []).append(row["said"])
    whole = [said for said in orders.values() if len(said) == 2]
    flips = sum(set(said) == {"tuned", "other"} for said in whole)
    longer = [row["tuned_longer"] == (row["said"] == "tuned") for row in rows if row["said"] in ("tuned", "other")]
    judges = list(dict.fromkeys(row["judge"] for row in rows))
    items = list(dict.fromkeys((quality, item) for _, quality, item in decided))
    agreed = alpha([[decided.get((judge, *item)) for item in items] for judge in judges])
    unclear = sum(not row["said"] for row in rows)
    return {
        "agreement": Figure(("Agreement of judges (Krippendorff's alpha)", "评判模型的一致性（Krippendorff α）"),
                            agreed, n=len(items), better="higher"),
        "flips": Figure(("Verdicts that turn with the order of the answers", "随回答顺序而反转的评判"),
                        flips / len(whole) if whole else None, n=len(whole), percent=True),
        "unclear": Figure(("Questions without a usable reply", "没有得到可用回复的提问"),
                          unclear / len(rows) if rows else None, n=len(rows), percent=True),
        "longer_wins": Figure(("Decisions for the longer answer", "判较长回答胜出的比例"),
                              sum(longer) / len(longer) if longer else None, n=len(longer), percent=True),
    }  # fmt: skip


_HEADS: Sequence[Both] = (("Judge", "评判模型"), ("Quality", "方面"), ("Better", "更好"), ("Tie", "平局"),
                          ("Worse", "更差"), ("No sense", "无效"), ("Named itself", "服务器所报名称"))  # fmt: skip


def _by_judge(rows: Sequence[Mapping[str, Any]], decided: Mapping[tuple[str, str, str], str | None]) -> list[list[Any]]:
    named = {row["judge"]: row["server_model"] for row in rows if row["server_model"]}
    counts: dict[tuple[str, str], Counter[str | None]] = {}
    for (judge, quality, _), said in decided.items():
        counts.setdefault((judge, quality), Counter())[said] += 1
    return [[judge, QUALITIES[quality], found["tuned"], found["tie"], found["other"], found[None], named.get(judge, "")]
            for (judge, quality), found in counts.items()]  # fmt: skip


def _examples(rows: Sequence[Mapping[str, Any]], most: int = 10) -> Table:
    """Replies for the other model, so that a reader sees why."""
    lost = [row for row in rows if row["said"] == "other"][:most]
    heads: list[Both] = [("Item", "样本"), ("Judge", "评判模型"), ("Quality", "方面"), ("Reply", "回复")]
    shown = [[row["id"], row["judge"], QUALITIES[row["quality"]], quote(row["reply"])] for row in lost]
    return Table(("Replies against the tuned model", "对微调模型不利的回复"), heads, shown)


def _shown(rows: Sequence[Mapping[str, Any]], total: int) -> Both:
    """How much of the test set the judges saw, and what was cut for them."""
    items, cut = len({row["id"] for row in rows}), sum(bool(row["cut"]) for row in rows)
    english, chinese = (
        f"The judges saw {items} of {total} test items",
        f"评判模型看到了 {total} 个测试样本中的 {items} 个",
    )
    if cut:
        english += f"; in {cut} of {len(rows)} questions to them a text was cut to evaluate.judge.characters"
        chinese += f"；{len(rows)} 次提问中有 {cut} 次的文本按 evaluate.judge.characters 截短"
    return f"{english}.", f"{chinese}。"


def _other(against: str) -> Both:
    return ("the right answer", "参考答案") if against == "gold" else model_name(against)


def _sentence(title: Both, found: Mean, counts: Mapping[str | None, int], other: Both, level: float) -> Both:
    wins, ties, losses = (counts.get(name, 0) for name in ("tuned", "tie", "other"))
    if found.value is None:
        return f"{title[0]}: no usable reply.", f"{title[1]}：没有可用的回复。"
    sure = found.p is not None and found.p < level
    english = ("better than" if found.value > 0.5 else "worse than") if sure else "no clear difference from"
    chinese = ("更好" if found.value > 0.5 else "更差") if sure else "无明显差别"
    p = "" if found.p is None else f"p = {found.p:.3f}"
    return (
        f"{title[0]}: {english} {other[0]}: {wins} better, {ties} tied, {losses} worse{p and ', '}{p}.",
        f"{title[1]}：与{other[1]}相比{chinese}：{wins} 胜，{ties} 平，{losses} 负{p and '，'}{p}。",
    )


def _doubts(figures: Mapping[str, Figure]) -> list[Both]:
    """Why the judges' word counts for little, where it does."""
    found: list[Both] = []
    unclear, flips, agreement = (figures[name].value for name in ("unclear", "flips", "agreement"))
    if unclear is not None and unclear > 0.05:
        found.append((f"{unclear:.0%} of the questions to the judges got no usable reply.",
                      f"向评判模型提出的问题中有 {unclear:.0%} 没有得到可用的回复。"))  # fmt: skip
    if flips is not None and flips > 0.2:
        found.append((f"In {flips:.0%} of the pairs the judges' verdict turned with the order of the answers.",
                      f"在 {flips:.0%} 的比较中，评判结果随回答顺序而反转。"))  # fmt: skip
    if agreement is not None and agreement < 0.4:
        found.append((f"The judges hardly agree with each other (alpha {agreement:.2f}).",
                      f"评判模型之间几乎没有一致性（α = {agreement:.2f}）。"))  # fmt: skip
    return found
