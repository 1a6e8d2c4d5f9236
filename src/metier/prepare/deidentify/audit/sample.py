"""Draw documents for a person to read: by language, kind of source, and how much was found in them.

Purpose: leftovers are not spread evenly. A letter in another language, a new form, a text in which nothing was found at
all: each gets its part of the sample. Allocation is in proportion, at least one a stratum; strata too small for that
are joined with their neighbour. The draw follows from a seed and the ids, so it can be repeated.
Not covered: weighing strata by suspicion, which the bound would have to know of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from metier.tables import digest


@dataclass(frozen=True)
class Item:
    """One document of the output. found: replacements in it."""

    id: str
    text: str
    source: str
    language: str
    found: int

    @property
    def stratum(self) -> str:
        """language/kind of source/density."""
        suffix = PurePosixPath(self.source.partition("#")[0].partition("!")[0]).suffix.lower().lstrip(".") or "other"
        density = 1000 * self.found / max(1, len(self.text))
        level = "none" if self.found == 0 else "some" if density < 10 else "dense"  # 10 of 1,000 characters: a form
        return f"{self.language or 'unknown'}/{suffix}/{level}"


def draw(items: Sequence[Item], wanted: int, seed: int) -> tuple[dict[str, list[Item]], dict[str, int]]:
    """(stratum -> what was drawn, stratum -> its size); all documents if there are no more than are wanted."""
    strata: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        strata[item.stratum].append(item)
    strata = _joined(strata, max(1, len(items) // max(1, wanted)))
    share = allocate({name: len(members) for name, members in strata.items()}, wanted)
    drawn = {
        name: sorted(members, key=lambda item: digest(str(seed), item.id, item.source))[: share[name]]
        for name, members in sorted(strata.items())
    }
    return drawn, {name: len(members) for name, members in sorted(strata.items())}


def allocate(sizes: Mapping[str, int], wanted: int) -> dict[str, int]:
    """In proportion, rounded by largest remainders, at least one each and at most all of a stratum."""
    total = sum(sizes.values())
    if wanted >= total:
        return dict(sizes)
    exact = {name: wanted * size / total for name, size in sizes.items()}
    given = {name: max(1, int(value)) for name, value in exact.items()}
    for name in sorted(sizes, key=lambda name: (int(exact[name]) - exact[name], name)):
        if sum(given.values()) >= wanted:
            break
        if given[name] < sizes[name] and exact[name] >= 1:
            given[name] += 1
    return given


def _joined(strata: Mapping[str, list[Item]], smallest: int) -> dict[str, list[Item]]:
    """Strata with fewer than `smallest` documents joined, first within language and density, then all of them."""
    out: dict[str, list[Item]] = defaultdict(list)
    for name, members in strata.items():
        language, _, level = name.split("/")
        out[name if len(members) >= smallest else f"{language}/other/{level}"] += members
    again: dict[str, list[Item]] = defaultdict(list)
    for name, members in out.items():
        again[name if len(members) >= smallest else "rest"] += members
    return dict(again)
