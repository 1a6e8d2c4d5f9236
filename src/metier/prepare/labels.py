"""Labels that can be learned and tested: rare ones out, one alone is an error, look-alikes are told.

Purpose: after duplicates are folded, `prepare.min_examples_per_label` decides which labels stay. In an official split
the test set stays comparable: a label that only the test set knows is kept and told; one that train knows too rarely
leaves everywhere, because the recipe asked for it.
Several labels a text: only the rare label is taken off the text; the text leaves with its last label.
Not covered: merging look-alike labels; that is the owner's decision.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict

from metier.errors import UserError
from metier.prepare.flow import TEST, Flow, Row, count, some
from metier.registry import register


@register("operation", "labels")
def labels(flow: Flow) -> str:
    """Reject rare labels (reason "rare label"); UserError when nothing is left to tell apart."""
    if not flow.profile.kinds_of_answer:
        return _values(flow)
    counts = Counter(name for row in flow.rows for name in row.strata if name)
    learned = {name for row in flow.rows if row.split != TEST for name in row.strata}
    only_test = set(counts) - learned if flow.official else set()
    least = flow.config.min_examples_per_label
    rare = {name for name, number in counts.items() if number < least and name not in only_test}
    if flow.profile.answer == "spans":
        rare = _rare_types(flow, rare, least)
    lost = sum(1 for row in flow.rows if row.split == TEST and rare & set(row.strata))
    flow.reject(lambda row: _leaves(row, rare, counts, least))
    if rare:
        flow.warn(f"{count(len(rare), 'label')} with fewer than {least} examples left out: {some(sorted(rare))}"
                  + (f"; the official test set loses {count(lost, 'text')}" if lost else ""))  # fmt: skip
    if only_test:
        flow.warn(f"{count(len(only_test), 'label')} of the official test set never in train: "
                  f"{some(sorted(only_test))}; every model will be counted wrong there")  # fmt: skip
    _look_alikes(flow, counts)
    left = sorted(set(counts) - rare)
    if flow.rows and len(left) < flow.profile.kinds_of_answer:
        raise UserError(
            f"there is only one label left: {some(left)}" if left else "no label is left",
            "prepare, step labels" + (f"; {count(len(rare), 'label')} had too few examples" if rare else ""),
            f"give examples of at least {'two labels' if flow.profile.kinds_of_answer > 1 else 'one label'}"
            + (", or lower prepare.min_examples_per_label" if rare else ""),
        )  # fmt: skip
    return f"{count(len(left), 'label')}" + (f", {len(rare):,} too rare" if rare else "")


def _leaves(row: Row, rare: set[str], counts: Counter[str], least: int) -> tuple[str, str] | None:
    gone = sorted(rare & set(row.strata))
    if not gone:
        return None
    if row.labels is not None:
        row.labels = [name for name in row.labels if name not in rare]
        if row.labels:
            return None
    return "rare label", f"'{gone[0]}' has {count(counts[gone[0]], 'example')}, fewer than {least}"


def _rare_types(flow: Flow, rare: set[str], least: int) -> set[str]:
    """Rare types of spans stay and are told: taking them off a text would teach that its entities are none."""
    if rare:
        flow.warn(f"{count(len(rare), 'type')} of spans in fewer than {least} texts: {some(sorted(rare))}; they can "
                  "hardly be learned")  # fmt: skip
    return set()


def _look_alikes(flow: Flow, counts: Counter[str]) -> None:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(counts):
        alike[re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold())].append(name)
    for names in alike.values():
        if len(names) > 1:
            shown = ", ".join(f"{name!r} ({counts[name]:,})" for name in names)
            flow.warn(f"labels that differ only in case, width or space are {len(names)} labels: {shown}")


def _values(flow: Flow) -> str:
    if flow.profile.answer == "pair":
        return "no labels"
    values = {row.value for row in flow.rows}
    if len(values) == 1 and flow.profile.answer == "value":
        raise UserError(
            f"every text has the same value, {next(iter(values))}", "prepare, step labels",
            "check the column with the role `value`; there is nothing to learn from a constant",
        )  # fmt: skip
    return f"{len(values):,} different values"
