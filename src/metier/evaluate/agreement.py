"""Krippendorff's alpha: how far several judges agree beyond chance.

Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability": nominal data, any number of judges, with gaps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence


def alpha(ratings: Sequence[Sequence[Hashable | None]]) -> float | None:
    """ratings: one row a judge, one column an item, None for a gap. In [-1, 1]: 1 is full agreement, 0 that of chance.

    None where fewer than two judges rated a same item, or where all of them always said the same one thing, which is
    no evidence that they would agree on anything else.
    """
    pairs: Counter[tuple[Hashable, Hashable]] = Counter()
    for column in zip(*ratings, strict=True):
        said = [value for value in column if value is not None]
        if len(said) < 2:
            continue
        counts = Counter(said)
        for one, n in counts.items():
            for other, m in counts.items():
                pairs[one, other] += (n * (m - (one == other))) / (len(said) - 1)  # type: ignore[assignment]
    totals: Counter[Hashable] = Counter()
    for (one, _), n in pairs.items():
        totals[one] += n
    n = sum(totals.values())
    expected = sum(totals[one] * totals[other] for one in totals for other in totals if one != other)
    if n < 2 or not expected:
        return None
    observed = sum(count for (one, other), count in pairs.items() if one != other)
    return 1 - (n - 1) * observed / expected
