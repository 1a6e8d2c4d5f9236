"""How many test examples are needed, and what a test set of a given size can show.

Purpose: the questions to ask before texts are labelled. An interval of a share as narrow as wanted (Wilson); a
difference of two models that McNemar's test finds with the wanted power, from how often exactly one of them is right; a
difference of means from the spread of the paired differences. Or all of it from a finished run, whose stored figures
say how much the two models differ from item to item.
Trade-off: McNemar's power is computed exactly over all numbers of differing items; means use the normal approximation,
as does every planning formula. `benchmarks/eval_tests.py` holds both against simulation.
Not covered: several comparisons at once (Holm's correction asks for more items than is said here).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from metier.errors import UserError, need
from metier.evaluate.intervals import normal_quantile, wilson

MOST = 100_000_000  # items beyond which an answer is no plan any more


def items_for_width(share: float, width: float, alpha: float = 0.05) -> int:
    """Test examples until the interval of a share is at most `width` from end to end."""
    _between("--share", share, 0, 1)
    _between("--width", width, 0, 1)
    quantile = normal_quantile(alpha)

    def narrow(n: int) -> bool:
        low, high = wilson(share, n, quantile)
        return float(high - low) <= width

    return _smallest(narrow)


def items_for_difference(effect: float, discordance: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Test examples until McNemar's test finds a difference of two shares.

    effect: the difference, in shares. discordance: share of examples that exactly one of the two has right; at least
    the effect. With two accuracies that are given alone it lies between their difference and what independence says.
    """
    _between("--effect", effect, 0, 1)
    _between("--discordance", discordance, 0, 1)
    if discordance < effect:
        raise UserError(
            f"two models that differ by {effect:g} disagree in at least {effect:g} of the examples",
            f"--discordance {discordance:g}", f"name a share of {effect:g} or more",
        )  # fmt: skip
    return _smallest(lambda n: mcnemar_power(n, effect, discordance, alpha) >= power)


def items_for_mean(effect: float, spread: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Test examples until a paired test of means finds `effect`; spread: standard deviation of paired differences."""
    _between("--effect", effect, 0, math.inf)
    _between("--spread", spread, 0, math.inf)
    return math.ceil(((normal_quantile(alpha) + normal_quantile(2 * (1 - power))) * spread / effect) ** 2)


def detectable_difference(n: int, discordance: float, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """The smallest difference of two shares that McNemar's test finds in n examples; None if not even the largest.

    The discordance is never below the difference, which it cannot be.
    """

    def seen(effect: float) -> bool:
        return mcnemar_power(n, effect, max(effect, discordance), alpha) >= power

    if not seen(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(30):  # bisection to far below any shown digit
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high


def mcnemar_power(n: int, effect: float, discordance: float, alpha: float = 0.05) -> float:
    """Probability that the mid-p McNemar test is below alpha in n examples, exactly: for each number k of differing
    examples the least lopsided split that is significant, and how likely a split as lopsided or more is."""
    binom = need("scipy.stats", "evaluate").binom
    middle, reach = n * discordance, 8 * math.sqrt(n * discordance * (1 - discordance)) + 8
    k = np.arange(max(1, math.floor(middle - reach)), min(n, math.ceil(middle + reach)) + 1)
    chance = binom.pmf(k, n, discordance)
    first = 0.5 * (1 + effect / discordance) if discordance > 0 else 0.5  # of a differing example: the first is right
    fewer = binom.ppf(alpha / 2, k, 0.5)  # near the limit; the mid-p of it and of the next below decide
    limit = np.full(len(k), -1.0)
    for candidate in (fewer - 1, fewer, fewer + 1):
        mid_p = 2 * binom.cdf(candidate, k, 0.5) - binom.pmf(candidate, k, 0.5)
        limit = np.where((candidate >= 0) & (2 * candidate < k) & (mid_p < alpha), candidate, limit)
    some = limit >= 0
    rejected = binom.cdf(limit, k, 1 - first) + binom.sf(k - limit - 1, k, 1 - first)
    return float((chance * np.where(some, rejected, 0.0)).sum())


def say(
    effect: float | None, discordance: float | None, spread: float | None, items: int | None, share: float | None,
    width: float | None, level: tuple[float, float],
) -> str:  # fmt: skip
    """One sentence that answers what the given numbers ask; level: alpha and power. UserError when they ask nothing."""
    alpha, power = level
    _between("--alpha", alpha, 0, 0.5)
    _between("--power", power, 0.5, 1)
    if items is not None and items < 1:
        raise UserError(f"{items} examples are no test set", "--items", "name 1 or more")
    if share is not None and width is not None:
        n = items_for_width(share, width, alpha)
        return f"{n:,} examples: the {1 - alpha:.0%} interval of a share of {share:g} is at most {width:g} wide."
    if share is not None and items is not None:
        low, high = wilson(share, items, normal_quantile(alpha))
        return (
            f"In {items:,} examples a share of {share:g} has a {1 - alpha:.0%} interval from {low:.4f} to {high:.4f}."
        )
    if effect is not None and discordance is not None:
        n = items_for_difference(effect, discordance, alpha, power)
        return f"{n:,} examples show a difference of {effect:g} with a power of {power:.0%}, if one alone of the two \
models is right in {discordance:g} of them."
    if effect is not None and spread is not None:
        n = items_for_mean(effect, spread, alpha, power)
        return f"{n:,} examples show a difference of means of {effect:g} with a power of {power:.0%}, if paired \
differences have a standard deviation of {spread:g}."
    if items is not None and discordance is not None:
        found = detectable_difference(items, discordance, alpha, power)
        if found is None:
            return f"{items:,} examples show no difference at all with a power of {power:.0%}."
        return f"{items:,} examples show a difference of {found:.4f} or more with a power of {power:.0%}."
    raise UserError(
        "these numbers ask nothing", "metier power",
        "name a run; or --share and --width; --effect and --discordance (or --spread); --items and --discordance",
    )  # fmt: skip


def from_run(results: Mapping[str, Any], effect: float | None = None) -> list[dict[str, Any]]:
    """For every model that the tuned one was compared with on the primary metric: what this test set could show, and
    how many examples would show `effect` (without one: the difference that was seen).

    results: results.json of a run. Rows: {"against", "metric", "n", "difference", "detectable", "effect", "needed"};
    None where the run is too small to say, or where no difference was seen.
    """
    settings = results.get("settings") or {}
    alpha, power = settings.get("alpha", 0.05), settings.get("power", 0.8)
    rows = []
    for row in results["comparisons"]:
        if row["metric"] != (results.get("decided_by") or {}).get(row["against"], results["primary"]):
            continue
        wanted = abs(row["difference"]) if effect is None else effect
        rows.append({
            "against": row["against"], "metric": row["metric"], "n": row["n"], "difference": row["difference"],
            "detectable": row["mde"], "effect": wanted or None,
            "needed": _needed(row, wanted, alpha, power),
        })  # fmt: skip
    return rows


def _needed(row: Mapping[str, Any], effect: float, alpha: float, power: float) -> int | None:
    """Examples for an effect, from one comparison of a run."""
    if row["mde"] is None or not effect:
        return None
    if row["discordant"] is not None and "cluster" not in row["test"]:
        return items_for_difference(effect, max(row["discordant"] / row["n"], effect), alpha, power)
    # The detectable effect falls with the square root of the examples (of the groups, which grow with them).
    return math.ceil(row["n"] * (row["mde"] / effect) ** 2)


def _smallest(enough: Callable[[int], bool]) -> int:
    """The smallest n that is enough, by doubling and halving. Exact power rises in a saw-tooth, so a few items fewer
    may be enough too."""
    high = 1
    while not enough(high):
        high *= 2
        if high > MOST:
            raise UserError("no test set of a size that can be made is enough", "metier power",
                            "ask for a larger effect or a wider interval")  # fmt: skip
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise UserError(f"{value:g} cannot be meant", name,
                        "write 90 % as 0.9" if high == 1 else "a number above 0 is needed")  # fmt: skip
