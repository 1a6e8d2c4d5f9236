"""Train, validation and test, so that nothing that belongs together stands on both sides.

What belongs together: the rows of a duplicate cluster, and with `by: group` or `time` the rows of a patient, client,
matter or household (`ties.py`). A union is what is connected by any of these; a row with none is a union of its own.
With `by: time` the newest unions are the test set (`split_time.py`). Otherwise unions are placed, largest first,
where they lower the chi-square distance between wished and reached counts of every label (and of all rows) most; ties
are broken by a hash of seed and union, so the result depends on the seed and not on the order of the rows. Then
labels are mended: each has a training example, and a test example too if it stands in two unions. Scores are
stratified by quantiles.
The result is checked, and a leak raises: `check_no_leaks`.
Trade-off: greedy, not optimal; a union larger than a split's share bends the shares, and this is told.
Source: the greedy rule follows iterative stratification (Sechidis et al. 2011) and scikit-learn's
StratifiedGroupKFold.
General text for replay (`prepare.mix.general`) is trained on, but for the share `mix.general_test`, which is tested.
Not covered: cross-validation folds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from metier.errors import UserError
from metier.prepare.flow import SPLITS, TEST, TRAIN, VALIDATION, Flow, Row, count, some
from metier.prepare.minhash import join, root
from metier.prepare.split_time import older_than_cut, place_by_time, read_times
from metier.prepare.ties import Tie, shared, ties_of
from metier.registry import register
from metier.tables import digest

_ALL = "\0all"  # counted beside the labels, so that rounding within labels does not add up


@dataclass
class Union:
    """Rows that stay together: places in the list of rows, and how often each label stands in it."""

    key: str  # smallest id of its rows
    rows: list[int]
    strata: Counter[str]
    split: str = ""


@register("operation", "split")
def split(flow: Flow) -> str:
    """Fill `split` of every row; may reject rows whose label cannot reach train (reason "label not in train")."""
    settings = flow.config.split
    times = read_times(flow) if flow.split_by == "time" else []
    ties = ties_of(flow)
    if flow.official:
        _validation_from_train(flow, ties)
    else:
        shares = {TRAIN: 1 - settings.test - settings.validation, VALIDATION: settings.validation, TEST: settings.test}
        unions = make_unions(flow.rows, _strata(flow), ties if flow.split_by != "stratified" else ())
        general: list[Union] = []
        free: list[Union] = []
        for union in unions:
            (general if any(is_general(flow, flow.rows[row]) for row in union.rows) else free).append(union)
        labelled = flow.profile.answer != "value"
        if flow.split_by == "time":
            _by_time(flow, free, times, shares)
        else:
            place(free, shares, flow.seed)
            _mend(free, labelled)
        held = flow.config.mix.general_test
        if general and held:
            place(general, {TRAIN: 1 - held, TEST: held}, flow.seed)
        else:
            for union in general:
                union.split = TRAIN
        _enough(flow, unions)
        _apply(flow.rows, unions)
        if labelled:
            _unseen(flow)
        ties = ties_of(flow)
    sizes = Counter(row.split for row in flow.rows)
    if settings.validation and not sizes[VALIDATION]:
        flow.warn("there are too few examples for a validation split; training cannot stop early")
    check_no_leaks(flow.rows, flow.split_by, ties)
    return ", ".join(f"{name} {sizes[name]:,}" for name in SPLITS)


def is_general(flow: Flow, row: Row) -> bool:
    """Whether the row comes from a source of general text."""
    return any(fnmatch(row.source.partition("#")[0], pattern) for pattern in flow.config.mix.general)


def make_unions(
    rows: Sequence[Row], strata: Sequence[Iterable[str]], ties: Sequence[Sequence[Tie]] = ()
) -> list[Union]:
    """Connected components of the rows over shared clusters and, where given, shared keys."""
    parent = list(range(len(rows)))
    first: dict[Tie, int] = {}
    for index, row in enumerate(rows):
        join(parent, first.setdefault(("\0cluster", row.cluster or row.id), index), index)
        for tie in ties[index] if ties else ():
            join(parent, first.setdefault(tie, index), index)
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(rows)):
        members[root(parent, index)].append(index)
    return [Union(min(rows[i].id for i in places), places, Counter(name for i in places for name in strata[i]))
            for places in members.values()]  # fmt: skip


def place(unions: list[Union], shares: dict[str, float], seed: int) -> None:
    """Give every union a split. Cost of putting u rows where h of w wished ones are: u * (2 * (h - w) + u) / w."""
    splits = [name for name in SPLITS if shares.get(name, 0) > 0]
    totals: Counter[str] = Counter()
    for union in unions:
        totals.update(union.strata)
        totals[_ALL] += len(union.rows)
    have = {name: Counter[str]() for name in splits}
    for union in sorted(unions, key=lambda union: (-len(union.rows), digest(str(seed), union.key))):
        parts = [*union.strata.items(), (_ALL, len(union.rows))]
        costs = []
        for name in splits:
            reached, share = have[name], shares[name]
            cost = sum(u * (2 * (reached[label] - share * totals[label]) + u) / (share * totals[label])
                       for label, u in parts)  # fmt: skip
            costs.append((round(cost, 9), splits.index(name), name))
        union.split = min(costs)[2]
        have[union.split].update(dict(parts))


def _by_time(flow: Flow, unions: list[Union], times: Sequence[str], shares: dict[str, float]) -> None:
    for union, name in zip(unions, place_by_time([union.rows for union in unions], times, shares), strict=True):
        union.split = name
    newest = {row: max(times[other] for other in union.rows) for union in unions for row in union.rows}
    split_of = {row: union.split for union in unions for row in union.rows}
    rows = sorted(newest)
    older = older_than_cut([split_of[row] for row in rows], [times[row] for row in rows], [newest[row] for row in rows])
    if older:
        flow.warn(f"{count(older, 'example')} in test and validation are older than the cut: they are tied to newer "
                  "ones by a group or as duplicates")  # fmt: skip


def _mend(unions: list[Union], labelled: bool) -> None:
    """Every label gets a training example, and a test example if it stands in two unions; test is never emptied."""
    have: dict[str, Counter[str]] = {name: Counter() for name in SPLITS}
    holders: dict[str, list[Union]] = defaultdict(list)
    for union in sorted(unions, key=lambda union: (len(union.rows), union.key)):
        have[union.split].update(union.strata)
        for label in union.strata:
            holders[label].append(union)
    number = Counter(union.split for union in unions)

    def move(union: Union, to: str) -> None:
        have[union.split].subtract(union.strata)
        have[to].update(union.strata)
        number[union.split] -= 1
        number[to] += 1
        union.split = to

    def spare(union: Union) -> bool:  # train keeps every label of it
        return union.split != TRAIN or all(have[TRAIN][label] > n for label, n in union.strata.items())

    def fits(union: Union) -> bool:  # no giant into test for the sake of one label
        return len(union.rows) <= max(1, sum(len(other.rows) for other in unions) // 10)

    for label in sorted(holders) if labelled else ():
        if have[TRAIN][label] <= 0:
            for union in sorted(holders[label], key=lambda union: union.split != VALIDATION):
                if union.split == VALIDATION or number[TEST] > 1:
                    move(union, TRAIN)
                    break
    for label in sorted(holders) if labelled else ():
        if have[TEST][label] <= 0 and len(holders[label]) > 1:
            for union in sorted(holders[label], key=lambda union: union.split != VALIDATION):
                if spare(union) and fits(union):
                    move(union, TEST)
                    break
    if number[TEST] == 0:
        for union in sorted(unions, key=lambda union: (len(union.rows), union.key)):
            if number[union.split] > 1 and (spare(union) or not labelled):
                move(union, TEST)
                break


def _enough(flow: Flow, unions: list[Union]) -> None:
    """Train and test hold something; otherwise say how few independent parts there are. A giant union is told."""
    total = len(flow.rows)
    largest = max(unions, key=lambda union: (len(union.rows), union.key))
    kind = "duplicate clusters" if flow.split_by == "stratified" else "groups and duplicate clusters"
    reached = {union.split for union in unions}
    if TEST not in reached or TRAIN not in reached:
        raise UserError(
            f"{count(total, 'example')} cannot be split into train and test: they form only {len(unions):,} "
            f"independent {kind}, the largest with {count(len(largest.rows), 'example')}", "prepare, step split",
            "add examples of more groups, choose prepare.split.by=stratified, or raise prepare.dedup.threshold"
            if flow.split_by == "group" else "add examples that are no near duplicates of each other",
        )  # fmt: skip
    if len(largest.rows) > 0.5 * total and total > 3:
        flow.warn(f"{count(len(largest.rows), 'example')} of {total:,} hang together through {kind} and stay on one "
                  "side, so the shares of the split are not what the recipe asks")  # fmt: skip


def _unseen(flow: Flow) -> None:
    """Own split: a label outside train that train never saw leaves; a label that cannot be tested is told."""
    train = {name for row in flow.rows if row.split == TRAIN for name in row.strata}

    def leaves(row: Row) -> tuple[str, str] | None:
        missing = sorted(set(row.strata) - train)
        return (
            ("label not in train", f"all examples of {some(missing)} hang together outside train") if missing else None
        )

    removed = flow.reject(leaves)
    if removed:
        flow.warn(f"{count(removed, 'example')} left out: the label stands in one union only, which is not in train")
    tested = {name for row in flow.rows if row.split == TEST for name in row.strata}
    untested = sorted(train - tested - {""})
    if untested:
        flow.warn(f"{count(len(untested), 'label')} cannot be tested, all examples hang together: {some(untested)}")
    if len(train) < 2 <= flow.profile.kinds_of_answer:
        raise UserError(
            f"train holds only one label, {some(train)}; the others hang together outside it", "prepare, step split",
            "add examples of each label from more than one group",
        )  # fmt: skip
    if not any(row.split == TEST for row in flow.rows):
        raise UserError("no test example is left whose label stands in train", "prepare, step split",
                        "add examples of each label from more than one group")  # fmt: skip


def _validation_from_train(flow: Flow, ties: Sequence[Sequence[Tie]]) -> None:
    """Official split without validation: take a share of train, by the rules of our own split."""
    share = flow.config.split.validation
    sizes = Counter(row.split for row in flow.rows)
    for name in (TRAIN, TEST):
        if not sizes[name]:
            raise UserError(
                f"the official {name} split holds no usable example", "prepare, step split",
                "see rejected.parquet for where they went, or choose prepare.split.by=stratified",
            )  # fmt: skip
    if not share or sizes[VALIDATION]:
        return
    strata = _strata(flow)
    places = [index for index, row in enumerate(flow.rows) if row.split == TRAIN]
    rows = [flow.rows[index] for index in places]
    unions = make_unions(rows, [strata[index] for index in places], [ties[index] for index in places])
    place(unions, {TRAIN: 1 - share, VALIDATION: share}, flow.seed)
    train = Counter(name for union in unions if union.split == TRAIN for name in union.strata)
    for union in sorted(unions, key=lambda union: (len(union.rows), union.key)):
        if union.split == VALIDATION and any(not train[name] for name in union.strata):
            union.split = TRAIN
            train.update(union.strata)
    if all(union.split == VALIDATION for union in unions):  # one union only, as a rule
        for union in unions:
            union.split = TRAIN
    _apply(rows, unions)


def check_no_leaks(rows: Sequence[Row], split_by: str, ties: Sequence[Sequence[Tie]] = ()) -> None:
    """Raise AssertionError if anything that belongs together stands on two sides. Runs after every split.

    Own split: clusters, and keys with `by: group` or `time`. Official: equal texts anywhere, which `leaks` removed.
    """
    sides: dict[Tie, set[str]] = defaultdict(set)
    for row in rows:
        if row.split not in SPLITS:
            raise AssertionError(f"row {row.id} has the split {row.split!r}")
        sides["text", row.key or row.id].add(row.split)
        if split_by != "column":
            sides["cluster", row.cluster or row.id].add(row.split)
    if split_by in ("group", "time"):
        sides |= shared(rows, ties)
    for (kind, name), splits in sides.items():
        if len(splits) > 1:
            raise AssertionError(f"{kind} {name} stands in {', '.join(sorted(splits))}")


def _strata(flow: Flow) -> list[list[str]]:
    """Labels of each row; for scores, the tenth (fewer for few rows) of the distribution that it falls into."""
    if flow.profile.answer != "value":
        return [row.strata for row in flow.rows]
    bins = max(1, min(10, len(flow.rows) // 20))
    order = sorted(range(len(flow.rows)), key=lambda index: (flow.rows[index].value or 0.0, flow.rows[index].id))
    strata = [[""]] * len(flow.rows)
    for place_in_order, index in enumerate(order):
        strata[index] = [f"tenth {place_in_order * bins // len(order)}"]
    return strata


def _apply(rows: Sequence[Row], unions: Iterable[Union]) -> None:
    for union in unions:
        for index in union.rows:
            rows[index].split = union.split
