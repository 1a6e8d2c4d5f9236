"""Whether a causal base has seen the rows of a data set in the order in which it was published.

Purpose: the exchangeability test of Oren et al. 2023. If a model never saw a data set, no order of its rows is likelier
to it than another; if it read the file, the file's own order is. Stretches of neighbouring rows are compared with
shuffled ones, and a one-sided t-test over the stretches gives the p-value, which is right whatever else the model knows
of the field.
Trade-off: it only sees contamination by the file as it is; rows that were met one by one, or paraphrased, leave no
order behind. It says nothing where the order itself tells something (sorted by label, numbered, by group): `why_not`
looks for that and refuses.
Not covered: encoders and encoder-decoders, which give a text no likelihood.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metier.console import Console
from metier.evaluate.config_evidence import ContaminationConfig
from metier.evaluate.items import Array
from metier.evaluate.wording import Both
from metier.prepare.shards import sortable
from metier.train.sharing import Example
from metier.train.tasks.base import strings

ALIKE = 3.0  # standard deviations above chance by which neighbours may agree before rows count as sorted
MONOTONE = 0.5  # rank correlation of a number in the texts with their place above which rows count as numbered
_NUMBER = re.compile(r"\d+")

NO_LIKELIHOOD: Both = (
    "Whether the base has seen the rows in their order was not asked: it is no causal model, so it gives texts no "
    "likelihood.",
    "未检验基础模型是否按原有顺序见过这些数据：它不是因果语言模型，无法给出文本的似然。",
)
NO_ORDER: Both = (
    "Whether the base has seen the rows in their order was not asked: the texts are no rows of one file.",
    "未检验基础模型是否按原有顺序见过这些数据：这些文本并非同一文件中的各行。",
)
SORTED: dict[str, Both] = {
    "label": ("sorted by label", "按标签排序"),
    "group": ("sorted by group", "按分组排序"),
    "number": ("numbered", "带有编号"),
}


def in_order(table: pa.Table) -> pa.Table:
    """Rows that stood in a file with others, each once, in the order of the files."""
    sources = strings(table["source"])
    rows = [row for row, source in enumerate(sources) if "#" in source]
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(sources[row], row)
    order = sorted(first.values(), key=lambda row: sortable(sources[row]))
    return table.take(pa.array(order, pa.int64()))


def why_not(rows: pa.Table) -> str:
    """Name of what the order of the rows tells by itself (a key of SORTED); "" for nothing that is seen."""
    for name in ("label", "group"):
        if _agreement(strings(rows[name])) > ALIKE:
            return name
    numbers = [(place, int(found[0][-9:])) for place, text in enumerate(strings(rows["text"]))
               for found in (_NUMBER.findall(text)[:1], _NUMBER.findall(text)[-1:]) if found]  # fmt: skip
    if len(numbers) > 20:
        place, value = (np.argsort(np.argsort(column)) for column in np.array(numbers).T)
        if abs(float(np.corrcoef(place, value)[0, 1])) > MONOTONE:
            return "number"
    return ""


def stretches(rows: pa.Table, settings: ContaminationConfig, random: Any) -> list[list[int]]:
    """Neighbouring rows of one file, each row in one stretch at most, each stretch with a test row, in order."""
    files = [source.partition("#")[0] for source in strings(rows["source"])]
    tested = [split == "test" for split in strings(rows["split"])]
    found: list[list[int]] = []
    row = 0
    while row < len(files):
        end = row
        while end < len(files) and end - row < settings.rows and files[end] == files[row]:
            end += 1
        if end - row >= min(3, settings.rows) and any(tested[row:end]):
            found.append([*range(row, end)])
        row = end
    chosen = np.sort(random.permutation(len(found))[: settings.shards])
    return [found[index] for index in chosen]


def gains(
    network: Any, tokenizer: Any, texts: Sequence[Sequence[str]], settings: ContaminationConfig, random: Any,
    console: Console,
) -> Array:  # fmt: skip
    """(stretches,) nats by which each stretch is likelier in its own order than on average in shuffled ones.

    network: a LanguageNetwork. texts: those of each stretch, in order; a row is read as far as its share of `tokens`.
    """
    from metier.train.loop import predict
    from metier.train.tasks.pretrain import start_token

    first, inputs, owner = start_token(tokenizer), [], []
    own = int(getattr(network.config.get_text_config(), "max_position_embeddings", 0) or settings.tokens)
    room = min(settings.tokens, own) - 1
    for number, some in enumerate(texts):
        most = max(4, room // len(some))
        ids = [found[:most] for found in
               tokenizer([f"{text}\n\n" for text in some], add_special_tokens=False)["input_ids"]]  # fmt: skip
        for order in [range(len(ids)), *(_shuffled(len(ids), random) for _ in range(settings.permutations))]:
            row = np.array([first, *(token for place in order for token in ids[place])], np.int64)
            inputs.append((Example(row, np.append(0, np.ones(len(row) - 1)).astype(np.float32)),))
            owner.append(number)
    with console.progress("asking the base about the order of rows", len(inputs), "orders") as meter:
        lengths = [len(family[0]) for family in inputs]
        nats = predict(network, inputs, lengths, [1] * len(inputs), 4 * max(lengths, default=1), meter).numpy()[:, 0]
    table = nats.astype(np.float64).reshape(len(texts), 1 + settings.permutations)
    return np.asarray(table[:, 1:].mean(axis=1) - table[:, 0])


def order_p(gained: Array) -> float:
    """One-sided p of "no order is likelier than another" (a t-test over stretches)."""
    from metier.errors import need

    if np.ptp(gained) == 0:
        return 1.0
    return float(need("scipy.stats", "evaluate").ttest_1samp(gained, 0.0, alternative="greater").pvalue)


def _shuffled(n: int, random: Any) -> list[int]:
    """Any order but the given one."""
    while True:
        order = [int(place) for place in random.permutation(n)]
        if order != [*range(n)]:
            return order


def _agreement(names: Sequence[str]) -> float:
    """By how many standard deviations more neighbours agree than in a random order; 0 where all or none could.

    The number of equal neighbours in a random order has the mean below and about Poisson's variance.
    """
    _, counts = np.unique(np.array([name for name in names if name] or [""]), return_counts=True)
    n = int(counts.sum())
    if len(counts) < 2 or n < len(names) or n < 20:
        return 0.0
    expected = float((counts * (counts - 1)).sum()) / n
    equal = sum(one == other for one, other in itertools.pairwise(names))
    return (equal - expected) / max(expected * (1 - expected / n), 1.0) ** 0.5
