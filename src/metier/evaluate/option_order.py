"""Whether a causal base has seen the options of test questions in the order in which they were published.

Purpose: the test of row_order.py for one question at a time: whoever never saw a question has no reason to find its
options likelier in one order than in another. Each question with its options in the published order is compared with
other orders of the same options; how many of these it beats is, if orders are exchangeable, any number from none to all
with equal chance. The sum over the questions has an exact distribution, and p is its upper tail.
Trade-off: where the order itself tells something the test would flag anybody, so questions with sorted options (by
number, alphabet or length) and options that refer to others ("all of the above", 以上都对) are left out and counted,
and the other orders are drawn from those that are not sorted either. It needs three options or more.
Not covered: a base that met the question without its options; encoders and encoder-decoders.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from metier.console import Console
from metier.evaluate.config_evidence import ContaminationConfig
from metier.evaluate.items import Array
from metier.evaluate.wording import Both
from metier.lettering import listed
from metier.train.sharing import Example

OTHERS = re.compile(
    r"\b(?:all|none|both|neither|any|each|either) of (?:the|these|them|those)\b|\bthe above\b"
    r"|\b[A-J] (?:and|or|&) [A-J]\b|以上|上述|[A-J]\s*[和与、]\s*[A-J]|都对|都不|都正确|均正确|均不|全部正确|①|②",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
REASONS: dict[str, Both] = {
    "two": ("fewer than three options", "选项少于三个"),
    "refers": ("options that refer to others", "选项引用其他选项"),
    "sorted": ("options that are sorted", "选项已排序"),
    "repeated": ("the same options as another question", "选项与另一题相同"),
    "not drawn": ("more than `contamination.questions`", "超过 contamination.questions 的数量"),
}


@dataclass(frozen=True)
class Asked:
    """A question in its published order and in others. row: of the test split."""

    row: int
    orders: list[list[int]]  # the published one first


def questions(rows: pa.Table, settings: ContaminationConfig, random: Any) -> tuple[list[Asked], Counter[str]]:
    """The test questions whose options can be compared, and how many were left out for which reason."""
    left: Counter[str] = Counter()
    found: list[Asked] = []
    options = rows["options"].to_pylist() if "options" in rows.column_names else []
    often = Counter(tuple(sorted(own or ())) for own in options)
    for row in random.permutation(len(options)).tolist():
        own = options[row] or []
        reason = why_not(own, often[tuple(sorted(own))])
        orders = [] if reason else _orders(own, settings.permutations, random)
        reason = reason or ("" if orders else "sorted") or ("not drawn" if len(found) == settings.questions else "")
        if reason:
            left[reason] += bool(own)
        else:
            found.append(Asked(row, [[*range(len(own))], *orders]))
    return sorted(found, key=lambda one: one.row), left


def why_not(options: Sequence[str], often: int = 1) -> str:
    """A key of REASONS where the order of the options tells something by itself; "" where nothing is seen."""
    if len(options) < 3:
        return "two"
    if any(OTHERS.search(option) for option in options):
        return "refers"
    if often > 1:
        return "repeated"
    return "sorted" if _sorted(options) else ""


def gains(
    network: Any,
    tokenizer: Any,
    rows: pa.Table,
    found: Sequence[Asked],
    settings: ContaminationConfig,
    console: Console,
) -> list[Array]:
    """For each question (m,) nats by which the published order is likelier than each of m others.

    network: a LanguageNetwork. A question that is longer than `tokens` loses its beginning, not its options.
    """
    from metier.train.loop import predict
    from metier.train.tasks.pretrain import start_token

    first = start_token(tokenizer)
    own = int(getattr(network.config.get_text_config(), "max_position_embeddings", 0) or settings.tokens)
    room = min(settings.tokens, own) - 1
    inputs: list[tuple[Example, ...]] = []
    for one in found:
        row = rows.slice(one.row, 1).to_pylist()[0]
        asked = "\n\n".join(part for part in (row["text"], row["pair"]) if part)
        for order in one.orders:
            text = listed(asked, [row["options"][place] for place in order])
            ids = np.array([first, *tokenizer(text, add_special_tokens=False)["input_ids"][-room:]], np.int64)
            inputs.append((Example(ids, np.append(0, np.ones(len(ids) - 1)).astype(np.float32)),))
    with console.progress("asking the base about the order of options", len(inputs), "orders") as meter:
        lengths = [len(family[0]) for family in inputs]
        nats = predict(network, inputs, lengths, [1] * len(inputs), 4 * max(lengths, default=1), meter).numpy()[:, 0]
    ends = np.cumsum([len(one.orders) for one in found])[:-1]
    return [part[1:].astype(np.float64) - float(part[0]) for part in np.split(nats, ends)]


def exact_p(wins: Sequence[int], orders: Sequence[int]) -> float:
    """P(as many wins or more) where question i beats any number from 0 to orders[i] of others with equal chance."""
    chance = np.ones(1)
    for most in orders:
        chance = np.convolve(chance, np.full(most + 1, 1 / (most + 1)))
    return float(min(1.0, chance[sum(wins) :].sum()))


def _orders(options: Sequence[str], most: int, random: Any) -> list[list[int]]:
    """Different orders that are neither the published one nor sorted, at most so many."""
    size, published = len(options), tuple(range(len(options)))
    if math.factorial(size) <= 120:  # five options: try all
        every = [order for order in itertools.permutations(published) if order != published]
        found = [every[place] for place in random.permutation(len(every))]
    else:
        drawn = {tuple(int(place) for place in random.permutation(size)) for _ in range(4 * most)}
        found = sorted(drawn - {published})
        found = [found[place] for place in random.permutation(len(found))]
    fair = [order for order in found if not _sorted([options[place] for place in order])]
    return [[*order] for order in fair[:most]]


def _sorted(options: Sequence[str]) -> bool:
    """Whether the options rise or fall by their numbers, by the alphabet or by length."""
    numbers = [_NUMBER.findall(option.replace(",", "")) for option in options]
    keys: list[list[Any]] = [[option.casefold() for option in options], [len(option) for option in options]]
    if all(numbers):
        keys.append([float(some[0]) for some in numbers])
    return any(_monotone(key) for key in keys)


def _monotone(key: Sequence[Any]) -> bool:
    """Rising or falling throughout; not where all are equal."""
    if len(set(key)) == 1:
        return False
    steps = [*itertools.pairwise(key)]
    return all(a <= b for a, b in steps) or all(a >= b for a, b in steps)
