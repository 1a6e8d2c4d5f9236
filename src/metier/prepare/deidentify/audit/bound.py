"""From a person's answers to an upper bound for the share of documents that still hold an identifier.

Purpose: exact, and valid for a stratified sample. Within strata documents are drawn without replacement and each is
read whole; the number with a leftover is then less spread than a binomial with the mean share (Hoeffding 1956), so the
Clopper-Pearson bound of the pooled counts holds for a sample in proportion. What rounding takes from proportion is
given back by the factor max(weight / share of the sample), which is 1 for a perfect one.
With no leftover found the bound is 1 - alpha ** (1 / n), about 3 / n (the rule of three) at 95 %.
Trade-off: one-sided and conservative; a small sample gives a large bound, never a wrong one.
Not covered: what the person overlooked; have some sheets read twice.
Source: Clopper and Pearson 1934; Hoeffding, On the distribution of the number of successes in independent trials, 1956.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from metier.errors import need


def clopper_pearson(hits: int, drawn: int, confidence: float) -> float:
    """One-sided upper bound of a share; hits of drawn, 1.0 where nothing was drawn or all were hits."""
    if drawn == 0 or hits >= drawn:
        return 1.0
    beta = need("scipy.stats", "evaluate").beta
    return float(beta.ppf(confidence, hits + 1, drawn - hits))


def rule_of_three(drawn: int, confidence: float) -> float:
    """The exact bound with no hit, without any library: what clopper_pearson(0, drawn, confidence) gives."""
    return 1.0 - (1.0 - confidence) ** (1.0 / drawn) if drawn else 1.0


def stratified(strata: Mapping[str, tuple[int, int, int]], confidence: float) -> float:
    """Upper bound over strata, name -> (documents, drawn, drawn with a leftover); every stratum must have been
    drawn."""
    total = sum(size for size, _, _ in strata.values())
    drawn = sum(count for _, count, _ in strata.values())
    hits = sum(found for _, _, found in strata.values())
    if total == 0 or any(size > 0 and count == 0 for size, count, _ in strata.values()):
        return 1.0
    if all(size == count for size, count, _ in strata.values()):  # everything was read: no chance is left
        return hits / total
    factor = max(size / total / (count / drawn) for size, count, _ in strata.values() if size)
    bound = rule_of_three(drawn, confidence) if hits == 0 else clopper_pearson(hits, drawn, confidence)
    return min(1.0, factor * bound)


def needed(max_residual: float, confidence: float) -> int:
    """Documents to read if none of them will have a leftover."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - max_residual))
