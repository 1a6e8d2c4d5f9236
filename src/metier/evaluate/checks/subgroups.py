"""Subgroups: whether every group that a column of the data names is served as well as all others together.

Purpose: for each group the first metric with its interval, and the gap to everybody else with a paired-resampling
interval and a permutation test (values change places between rows, or between groups of rows that share one value),
Holm over all groups of all columns. Beside it stand the standard differences of fairness research (Fairlearn): by how
much the share of texts that get a label, and the share of right ones among those that should get it, differ between
groups.
A group of fewer than `bias.least` rows gets no figure: it would mean nothing, and might tell of a single person.
Trade-off: "everybody else" and not "the best group", because the best of many groups is the best by chance.
Not covered: groups formed by two columns together; make a column of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metier.errors import need
from metier.evaluate.checks.base import Figure, Findings, Table, Told
from metier.evaluate.compare import holm
from metier.evaluate.intervals import MIN_GROUPS, bootstrap_interval, proportions
from metier.evaluate.items import CLASSIFY, Array, Items
from metier.evaluate.metrics import Metric, value
from metier.evaluate.metrics.base import Weighted
from metier.evaluate.resample import bootstrap, chunks
from metier.evaluate.wording import Both, hundred, number
from metier.registry import lookup
from metier.train.tasks import profile

BANDS, MOST_NUMBERS = 4, 12  # a column of more different numbers than MOST_NUMBERS is cut into BANDS of equal size
MOST_LABELS = 20  # most frequent labels whose shares are compared between groups
TITLE: Both = ("Subgroups", "子群体")


@dataclass(frozen=True)
class Group:
    """One group of one column. gap: how much worse it is served than everybody else; p: of "no gap"."""

    column: str
    name: str
    figure: Figure
    gap: Figure
    p: float | None
    base_gap: float | None


def judge(people: pa.Table, told: Told) -> Findings:
    """Figures `gap`, `parity` and `opportunity`; empty where the recipe names no column."""
    found: list[Group] = []
    tables: list[Table] = []
    said: list[Both] = []
    frames: list[tuple[str, list[dict[str, Any]]]] = []
    for column in dict.fromkeys(people["column"].to_pylist()):
        some = people.filter(pc.equal(people["column"], column))
        values = np.full(len(told.rows), "", dtype=object)
        values[some["row"].to_numpy()] = banded(some["value"].to_pylist())
        shown, small = _shown(values, told.config.bias.least)
        if small:
            said.append(_suppressed(column, small, told.config.bias.least))
        if len(shown) < 2:
            said.append((f"The column '{column}' has fewer than two groups that are large enough to compare.",
                         f"列“{column}”中足够大、可以比较的群体不到两个。"))  # fmt: skip
            continue
        found += _groups(column, values, shown, told)
        if profile(told.task).kind == CLASSIFY:
            frames.append((column, _disparities(values, shown, told)))
    corrected = _corrected(found)
    flagged = [one for one in found if (corrected[one.column, one.name] or 1.0) < told.setting.alpha
               and (one.gap.value or 0.0) > 0]  # fmt: skip
    flagged.sort(key=lambda one: -(one.gap.value or 0.0))
    if found:
        tables.append(_table(found, corrected))
    tables += [_labels(column, rows) for column, rows in frames if rows]
    told_first = [_worse(one, told) for one in flagged]
    if found and not flagged:
        told_first.append(
            ("No group is served worse than the others beyond chance.", "未见任何群体的结果差到超出偶然。")
        )
    warnings = [(f"Bias: {english}", f"偏见：{chinese}") for english, chinese in told_first[:3] if flagged]
    return Findings(TITLE, _figures(found, frames), [*told_first, *said], warnings, tables)


def banded(values: Sequence[str]) -> list[str]:
    """The values as groups: a column of many different numbers becomes four bands with about as many rows each."""
    numbers = np.array([_number(one) for one in values])
    known = numbers[~np.isnan(numbers)]
    if len(known) < len([one for one in values if one]) or len(set(known)) <= MOST_NUMBERS:
        return [str(one) for one in values]
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, BANDS + 1)))
    names = [f"{number(low)} – {number(high)}" for low, high in pairwise(cuts)]
    place = np.clip(np.searchsorted(cuts, numbers, side="left") - 1, 0, len(names) - 1)
    return ["" if np.isnan(one) else names[at] for one, at in zip(numbers, place, strict=True)]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _shown(values: Array, least: int) -> tuple[list[str], list[int]]:
    """Groups of enough rows, the largest first, and the sizes of the others; rows without a value are no group."""
    names, sizes = np.unique([one for one in values if one], return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    return ([str(names[at]) for at in order if sizes[at] >= least],
            [int(sizes[at]) for at in order if sizes[at] < least])  # fmt: skip


def _groups(column: str, values: Array, shown: Sequence[str], told: Told) -> list[Group]:
    """Every shown group against all rows with another value, small groups among them."""
    metric: Metric = lookup("metric", profile(told.task).primary)
    tuned, base = told.models["tuned"], told.models.get("base")
    if value(metric, tuned) is None:
        return []
    members = {name: values == name for name in shown}
    valued = values != ""
    over = metric.over(tuned)
    sign = 1.0 if metric.better == "higher" else -1.0

    def gaps(weights: Array) -> dict[str, Array]:
        return {
            name: sign * (over(weights * (valued & ~mask)) - over(weights * mask)) for name, mask in members.items()
        }

    one = np.ones((1, len(values)))
    points = {name: float(gap[0]) for name, gap in gaps(one).items()}
    bound: dict[tuple[str, str], Weighted] = {}
    for name, mask in members.items():
        bound["gap", name] = lambda weights, mask=mask: sign * (over(weights * (valued & ~mask)) - over(weights * mask))
        bound["inside", name] = lambda weights, mask=mask: over(weights * mask)
    drawn = bootstrap(bound, told.setting.unit, told.setting.resamples, told.setting.seed)
    p = _permuted(values, members, gaps, points, told)
    found = []
    for name, mask in members.items():
        gap = _gap(name, drawn["gap", name], points[name], mask, metric, told)
        figure = _figure(name, metric, tuned, mask, drawn["inside", name], told)
        other = None if base is None else _point(metric, base, mask, valued & ~mask)
        found.append(Group(column, name, figure, gap, p[name], other))
    return found


def _figure(name: str, metric: Metric, items: Items, mask: Array, drawn: Array, told: Told) -> Figure:
    """The metric within a group."""
    setting, n, title = told.setting, int(mask.sum()), (f"{metric.title}: {name}", f"{metric.title_zh}：{name}")
    if metric.proportion and metric.per_item is not None:
        success = (metric.per_item(items) * mask)[:, None]
        share, low, high = proportions(success, mask[:, None].astype(float), setting.unit, setting.alpha)
        limits = [None if np.isnan(limit[0]) else float(limit[0]) for limit in (low, high)]
        return Figure(title, float(share[0]), limits[0], limits[1], n, "higher", True)
    point = float(metric.over(items)(mask[None].astype(float))[0])
    if not np.isfinite(point):
        return Figure(title, None, n=n)
    better = "higher" if metric.better == "higher" else "lower"
    low_high = bootstrap_interval(drawn, point, setting.alpha, metric.low, metric.high) if _enough(mask, told) else None
    return Figure(title, point, *(low_high or (None, None)), n, better, metric.proportion)  # type: ignore[arg-type]


def _gap(name: str, drawn: Array, point: float, mask: Array, metric: Metric, told: Told) -> Figure:
    span = metric.high - metric.low
    title = (f"gap to everybody else: {name}", f"与其他人的差距：{name}")
    if not np.isfinite(point):
        return Figure(title, None, n=int(mask.sum()))
    limits = bootstrap_interval(drawn, point, told.setting.alpha, -span, span) if _enough(mask, told) else None
    low, high = limits or (None, None)
    return Figure(title, point, low, high, int(mask.sum()), "lower", metric.proportion)


def _enough(mask: Array, told: Told) -> bool:
    """Enough groups of rows for a cluster bootstrap."""
    return not told.setting.unit.clustered or len(np.unique(told.setting.unit.of[mask])) >= MIN_GROUPS


def _point(metric: Metric, items: Items, mask: Array, rest: Array) -> float | None:
    if value(metric, items) is None:
        return None
    inside, outside = metric.over(items)(np.stack([mask, rest]).astype(float))
    gap = (outside - inside) * (1.0 if metric.better == "higher" else -1.0)
    return float(gap) if np.isfinite(gap) else None


def _permuted(
    values: Array, members: Mapping[str, Array], gaps: Any, points: Mapping[str, float], told: Told
) -> dict[str, float | None]:
    """Two-sided p of each gap: how often values that were dealt out anew give as large a gap."""
    unit, n = told.setting.unit, len(values)
    codes = np.full(n, -1)
    for at, mask in enumerate(members.values()):
        codes[mask] = at
    codes[(values != "") & (codes < 0)] = len(members)  # small groups
    of, count = (unit.of, unit.count) if _shared(codes, unit) else (np.arange(n), n)
    first = np.full(count, -1)
    first[of] = codes
    dealt = np.flatnonzero(first >= 0)
    random = np.random.default_rng([told.setting.seed, 4])
    extreme, most = dict.fromkeys(members, 0), told.setting.resamples
    metric: Metric = lookup("metric", profile(told.task).primary)
    over = metric.over(told.models["tuned"])
    for size in chunks(n, most):
        tables = np.tile(first, (size, 1))
        tables[:, dealt] = random.permuted(tables[:, dealt], axis=1)
        rows = tables[:, of]
        for at, name in enumerate(members):
            inside = (rows == at).astype(float)
            outside = ((rows >= 0) & (rows != at)).astype(float)
            difference = np.abs(over(outside) - over(inside))
            extreme[name] += int((~(difference < abs(points[name]) - 1e-12)).sum())
    return {name: (extreme[name] + 1) / (most + 1) if np.isfinite(points[name]) else None for name in members}


def _shared(codes: Array, unit: Any) -> bool:
    """Whether all rows of a unit have one value, as those of a patient have."""
    if not unit.clustered:
        return False
    first = np.full(unit.count, -2)
    first[unit.of] = codes
    return bool((first[unit.of] == codes).all())


def _corrected(found: Sequence[Group]) -> dict[tuple[str, str], float | None]:
    tested = [one for one in found if one.p is not None]
    corrected = holm([one.p for one in tested if one.p is not None])
    done: dict[tuple[str, str], float | None] = {(one.column, one.name): None for one in found}
    done.update({(one.column, one.name): p for one, p in zip(tested, corrected, strict=True)})
    return done


def _disparities(values: Array, shown: Sequence[str], told: Told) -> list[dict[str, Any]]:
    """For the most frequent labels: by how much groups differ in how often they get it, and in how often those that
    should get it do (Fairlearn's demographic parity and equal opportunity), with the extreme groups."""
    fair: Any = need("fairlearn.metrics", "fairness")
    items = told.models["tuned"]
    some = np.isin(values, list(shown))
    gold, given, groups = items.gold[some], items.predicted[some], values[some].astype(str)
    codes, sizes = np.unique(np.concatenate([gold, given]), return_counts=True)
    rows = []
    for code in codes[np.argsort(-sizes, kind="stable")][:MOST_LABELS]:
        frame = fair.MetricFrame(
            metrics={"rate": fair.selection_rate, "hit": fair.true_positive_rate},
            y_true=(gold == code).astype(int), y_pred=(given == code).astype(int), sensitive_features=groups,
        )  # fmt: skip
        rates = frame.by_group["rate"]
        asked = all((gold[groups == name] == code).sum() >= told.config.bias.least for name in shown)
        rows.append({"label": items.classes[code], "parity": float(frame.difference()["rate"]),
                     "opportunity": float(frame.difference()["hit"]) if asked else None,
                     "most": str(rates.idxmax()), "least": str(rates.idxmin()), "n": int(some.sum())})  # fmt: skip
    return sorted(rows, key=lambda row: -row["parity"])


def _figures(found: Sequence[Group], frames: Sequence[tuple[str, list[dict[str, Any]]]]) -> dict[str, Figure]:
    figures = {}
    known = [one.gap for one in found if one.gap.value is not None]
    if known:
        figures["gap"] = max(known, key=lambda one: one.value or 0.0)
    titles: dict[str, Both] = {
        "parity": ("largest difference in how often a label is given", "各群体得到某标签比例的最大差异"),
        "opportunity": ("largest difference in how often a label is found", "各群体某标签被找出比例的最大差异"),
    }
    for name, title in titles.items():
        rows = [row for _, some in frames for row in some if row[name] is not None]
        if rows:
            worst = max(rows, key=lambda row: row[name])
            figures[name] = Figure(title, worst[name], n=worst["n"], percent=True)
    return figures


def _worse(one: Group, told: Told) -> Both:
    metric: Metric = lookup("metric", profile(told.task).primary)
    show = hundred if metric.proportion else number
    gap, unit = show(one.gap.value or 0.0), ((" points", " 个百分点") if metric.proportion else ("", ""))
    between: Both = ("", "")
    if one.gap.low is not None and one.gap.high is not None:
        between = (f" (between {show(one.gap.low)} and {show(one.gap.high)})",
                   f"（介于 {show(one.gap.low)} 与 {show(one.gap.high)} 之间）")  # fmt: skip
    own, name = show(one.figure.value or 0.0), f"'{one.name}' ({one.column})"
    return (
        f"The group {name} is served worse than everybody else: {metric.title} {own}, worse by "
        f"{gap}{unit[0]}{between[0]}.",
        f"群体“{one.name}”（{one.column}）的结果比其他人差：{metric.title_zh} {own}，差 {gap}{unit[1]}{between[1]}。",
    )


def _suppressed(column: str, small: Sequence[int], least: int) -> Both:
    return (f"Of the column '{column}', {len(small)} groups with {sum(small)} rows in all have fewer than {least} rows "
            "and get no figures of their own.",
            f"列“{column}”中有 {len(small)} 个群体（共 {sum(small)} 行）不足 {least} 行，不单独给出数字。")  # fmt: skip


def _table(found: Sequence[Group], corrected: Mapping[tuple[str, str], float | None]) -> Table:
    heads: list[Both] = [("Column", "列"), ("Group", "群体"), ("Figure", "结果"), ("Worse than everybody else by",
                         "比其他人差"), ("The base's gap", "基础模型的差距"), ("p (Holm)", "p（Holm）")]  # fmt: skip
    order = sorted(found, key=lambda one: -(one.gap.value or 0.0))
    return Table(("Every group against everybody else", "各群体与其他人比较"), heads,
                 [[one.column, one.name, one.figure, one.gap, one.base_gap, corrected[one.column, one.name]]
                  for one in order])  # fmt: skip


def _labels(column: str, rows: Sequence[dict[str, Any]]) -> Table:
    heads: list[Both] = [
        ("Label", "标签"), ("Given most often to", "最常给予"), ("Least often to", "最少给予"),
        ("Difference (demographic parity)", "差异（人口统计均等）"),
        ("Difference among texts with it (equal opportunity)", "应得者中的差异（机会均等）"),
    ]  # fmt: skip
    cells = [[row["label"], row["most"], row["least"], row["parity"], row["opportunity"]] for row in rows]
    return Table((f"Who gets which label: {column}", f"谁得到哪种标签：{column}"), heads, cells)
