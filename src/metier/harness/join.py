"""Two logs of one task as items that both models answered, and what of either could not be compared.

Purpose: a comparison is paired, so only items with the deciding metric in both logs count; each of the others is kept
with its reason. Items are the same if their content is (lm-evaluation-harness: the document; Inspect: the id, with the
same input), so order, limits and shuffling do not matter.
Trade-off: a model that fails on hard items loses them from the comparison, which flatters it: whoever reads the figures
is told how many there are.
Not covered: items whose document was changed between the two evaluations; they are different items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metier.errors import UserError, nearest
from metier.harness.log import STAGE, Item, Log
from metier.tables import rejection

Both = tuple[str, str]  # a sentence in English and Chinese
MODELS = ("base", "tuned")
FREE = ("lm_eval_version",)  # settings that may differ where it is said


@dataclass(frozen=True)
class Joined:
    """pairs: the base's and the tuned model's answers to the same item, in the order of the base's log. primary: the
    metric that decides. metrics: those that every pair has, the primary first."""

    pairs: list[tuple[Item, Item]]
    primary: str
    metrics: list[str]
    left_out: list[dict[str, str]]
    notes: list[Both]


def join(base: Log, tuned: Log, metric: str = "") -> Joined:
    """Lay two logs side by side. metric: the one that decides; by default the first that both have."""
    _check(base, tuned)
    common = [name for name in base.metrics if name in tuned.metrics]
    if not common:
        raise UserError(
            f"the two logs have no metric in common: {', '.join(base.metrics) or 'none'} and "
            f"{', '.join(tuned.metrics) or 'none'}", tuned.path, "evaluate both models with the same task and filters",
        )  # fmt: skip
    if metric and metric not in common:
        raise UserError(f"there is no metric '{metric}' in both logs", "--metric", nearest(metric, common))
    primary = metric or common[0]
    left_out = [{**row, "source": f"{name}/{row['source']}"} for name, log in zip(MODELS, (base, tuned), strict=True)
                for row in log.left_out]  # fmt: skip
    pairs = []
    for first, second in _matched(base, tuned, left_out):
        reason, detail = _unlike(first, second, primary)
        if reason:
            left_out.append(rejection(_name(first), STAGE, reason, detail))
        else:
            pairs.append((first, second))
    if not pairs:
        raise UserError(
            f"no item can be compared: of {len(base.items):,} and {len(tuned.items):,} none is in both logs with the "
            f"same question, answer and a value of {primary}", tuned.path, _help(base, tuned),
        )  # fmt: skip
    whole = [name for name in common if all(name in first.values and name in second.values for first, second in pairs)]
    metrics = [primary, *(name for name in whole if name != primary)]
    return Joined(pairs, primary, metrics, left_out, _notes(base, tuned, pairs, set(common) - set(metrics), left_out))


def _check(base: Log, tuned: Log) -> None:
    """UserError where two files cannot be meant to be compared."""
    if base.sha256 == tuned.sha256:
        raise UserError("both files hold the same bytes: one log is compared with itself", tuned.path,
                        "name the log of the other model")  # fmt: skip
    if base.program != tuned.program:
        raise UserError(f"one log is of {base.program}, the other of {tuned.program}", tuned.path,
                        "evaluate both models with the same program")  # fmt: skip
    if base.task and tuned.task and base.task != tuned.task:
        raise UserError(f"these are two different tasks: '{base.task}' and '{tuned.task}'", tuned.path,
                        "name logs of one task")  # fmt: skip


def _matched(base: Log, tuned: Log, left_out: list[dict[str, str]]) -> list[tuple[Item, Item]]:
    """The items that both have, by the surest key that every item of both has."""
    key = next(key for key in ("document", "hash", "id", "number")
               if all(key in item.keys for item in (*base.items, *tuned.items)))  # fmt: skip
    others = {item.keys[key]: item for item in tuned.items}
    there = {item.keys[key] for item in base.items}
    found = []
    for item in base.items:
        if item.keys[key] in others:
            found.append((item, others[item.keys[key]]))
        else:
            left_out.append(rejection(_name(item), STAGE, "only_in_base", "the tuned model's log has no score of it"))
    left_out += [rejection(_name(item), STAGE, "only_in_tuned", "the base's log has no score of it")
                 for item in tuned.items if item.keys[key] not in there]  # fmt: skip
    return found


def _unlike(first: Item, second: Item, primary: str) -> tuple[str, str]:
    """Why two answers are not to the same item, or cannot be compared; "" where they can."""
    if first.keys.get("input") != second.keys.get("input"):
        return "different_input", "the same id stands for another question"
    if first.target != second.target:
        return "different_target", f"right is '{first.target[:80]}' in one log, '{second.target[:80]}' in the other"
    for name, item in zip(MODELS, (first, second), strict=True):
        if primary not in item.values:
            return "no_value", f"{primary} has no value in the log of {name}"
    if (first.values[primary].size is None) != (second.values[primary].size is None):
        return "no_value", f"{primary} is a number in one log, and a log-likelihood in the other"
    return "", ""


def _name(item: Item) -> str:
    return f"item {item.keys.get('id') or item.keys.get('number')}"


def _help(base: Log, tuned: Log) -> str:
    shown = [f"{log.path}: '{log.items[0].text[:60]}'" for log in (base, tuned) if log.items]
    return f"are these logs of the same data? The first items are {' and '.join(shown)}"


def _notes(
    base: Log, tuned: Log, pairs: Sequence[tuple[Item, Item]], partial: set[str], left_out: list[dict[str, str]]
) -> list[Both]:
    """What a reader must know before believing the figures."""
    said = [*base.notes, *tuned.notes]
    if left_out:
        counts: dict[str, int] = {}
        for row in left_out:
            counts[row["reason"]] = counts.get(row["reason"], 0) + 1
        listed = ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items()))
        said.append((
            f"{len(left_out):,} answers or items are left out of both models' figures ({listed}); rejected.parquet "
            "names each. If they are the hard ones, this flatters the model that failed on them.",
            f"有 {len(left_out):,} 条回答或题目未计入两个模型的结果（{listed}），逐条记录在 rejected.parquet 中。"
            "如果它们恰好较难，就会高估在这些题上失败的模型。",
        ))  # fmt: skip
    said += [(f"{name} is left out: it has no value for some items.", f"{name} 已略去：部分题目没有数值。")
             for name in sorted(partial)]  # fmt: skip
    if prompts := sum(first.text != second.text for first, second in pairs):
        said.append((
            f"{prompts:,} of {len(pairs):,} prompts differ between the two logs (a chat template, other examples): the "
            "difference is that of model and prompt together.",
            f"两份记录中 {len(pairs):,} 条提示有 {prompts:,} 条不同（对话模板或示例不同）：差异来自模型和提示两者。",
        ))  # fmt: skip
    differing = [name for name in base.settings if name in tuned.settings and name not in FREE
                 and base.settings[name] != tuned.settings[name]]  # fmt: skip
    for name in differing:
        was, now = base.settings[name][:80], tuned.settings[name][:80]
        said.append((f"The setting {name} differs: {was} for the base, {now} for the tuned model.",
                     f"设置 {name} 不同：基础模型为 {was}，微调模型为 {now}。"))  # fmt: skip
    return said
