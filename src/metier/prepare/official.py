"""Who decides the split: the data's own column, groups, or labels. Resolves `prepare.split.by`.

Purpose: `auto` takes the data's own split if it has a usable one (it names a test set), else groups if there are any,
else labels. Rows without a mark in a data set with an official test split are training rows.
Trade-off: a column called split with other names (A/B, fold numbers) is not interpreted; it is told and passed over,
or refused where the recipe insists on `column`.
Not covered: cross-validation folds.
"""

from __future__ import annotations

from collections import Counter

from metier.errors import UserError
from metier.prepare.flow import SPLITS, TEST, TRAIN, VALIDATION, Flow, count, some
from metier.prepare.ties import ties_of
from metier.registry import register

_NAMES = {
    TRAIN: ("train", "training", "训练", "训练集", "訓練", "訓練集"),
    VALIDATION: ("validation", "valid", "val", "dev", "development", "验证", "验证集", "开发集", "驗證集"),
    TEST: ("test", "testing", "测试", "测试集", "測試集"),
}
SPLIT_OF = {name: split for split, names in _NAMES.items() for name in names}


@register("operation", "official")
def official(flow: Flow) -> str:
    """Set `flow.split_by`, and `split` of every row when the data brings it. Removes nothing."""
    wanted = flow.config.split.by
    marks = [str(row.metadata.get("split") or "").strip().casefold() for row in flow.rows]
    problem = _unusable(marks)
    if wanted == "column" and problem:
        raise UserError(f"the data brings no official split that can be used: {problem}", "prepare.split.by=column",
                        "map the column (collect.sources.0.columns.split=NAME), mark a source (collect.sources.1.split"
                        "=test), or choose prepare.split.by=auto")  # fmt: skip
    groups = len({tie for ties in ties_of(flow) for tie in ties})
    if wanted == "group" and not groups:
        raise UserError(
            "no document has a group", "prepare.split.by=group",
            "map the column, as in collect.sources.0.columns.group=NAME, or choose prepare.split.by=auto",
        )  # fmt: skip
    if wanted == "auto":
        wanted = "column" if not problem else "group" if groups else "stratified"
        if problem and any(marks):
            flow.warn(f"the column 'split' is not used: {problem}")
    flow.split_by = wanted
    if wanted == "column":
        for row, mark in zip(flow.rows, marks, strict=True):
            row.split = SPLIT_OF.get(mark, TRAIN)
        sizes = Counter(row.split for row in flow.rows)
        return "the data's own: " + ", ".join(f"{split} {sizes[split]:,}" for split in SPLITS)
    if flow.config.split.test == 0:
        raise UserError(
            "there would be no test split, so nothing could be judged", "prepare.split.test=0",
            "set a share such as prepare.split.test=0.2, or give a source of its own with split: test",
        )  # fmt: skip
    if wanted == "stratified" and groups:
        flow.warn(f"{count(groups, 'group')} may stand on both sides; prepare.split.by=group keeps them apart")
    if wanted == "time":
        return "our own, by time" + (f" ({groups:,} groups stay whole)" if groups else "")
    return f"our own, {'by group (' + format(groups, ',') + ')' if wanted == 'group' else 'by label'}"


def _unusable(marks: list[str]) -> str:
    """Why the marks make no split; "" when they do."""
    unknown = sorted({mark for mark in marks if mark and mark not in SPLIT_OF})
    found = {SPLIT_OF.get(mark, TRAIN) for mark in marks}
    if not any(marks):
        return "no row is marked"
    if unknown:
        return f"unknown names {some(unknown)} (known: train, validation, test and the like)"
    if TEST not in found:
        return "no row is marked test"
    if TRAIN not in found:
        return "no row is left for train"
    return ""
