"""Near duplicates and traps: `python benchmarks/near_duplicates.py`.

Of each generated document (near_generator.py) there is one duplicate and one trap. Pairs are found with MinHash at the
recipe's default threshold, and a pair counts as merged if the guard agrees. Recall: originals that are merged with
their duplicate. Precision: merged pairs that say the same. Aim: recall >= 0.94, precision >= 0.97, no trap merged.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from near_generator import DUPLICATES, TRAPS, Item, corpus

from metier.prepare.config import DedupConfig
from metier.prepare.guard import difference
from metier.prepare.minhash import near_pairs


@dataclass
class Score:
    """What became of the pairs of one corpus."""

    documents: int = 0
    near: int = 0
    merged: int = 0
    right: int = 0
    recalled: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    trapped: Counter[str] = field(default_factory=Counter)
    set: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    lost: list[tuple[str, Item, Item]] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.right / max(self.merged, 1)

    @property
    def recall(self) -> float:
        return sum(self.recalled.values()) / max(sum(self.asked.values()), 1)


def score(items: list[Item], threshold: float, permutations: int = 128) -> Score:
    """Merge what is near and what the guard lets through; compare with what is known."""
    start = time.perf_counter()
    pairs, _ = near_pairs([item.text for item in items], threshold, permutations).all_pairs()
    result = Score(len(items), len(pairs))
    for i, j in pairs.tolist():
        one, two = items[i], items[j]
        why = difference(one.text, two.text)
        if why:
            if one.base == two.base and not (one.trap or two.trap) and "original" in (one.kind, two.kind):
                result.lost.append((why, one, two))
            continue
        result.merged += 1
        same = one.base == two.base and not (one.trap or two.trap)
        result.right += same
        kinds = {one.kind, two.kind} - {"original"}
        if same:
            result.recalled.update(kinds)
        else:
            result.trapped.update(kinds & set(TRAPS) or {"another document"})
            result.lost.append(("WRONGLY MERGED", one, two))
    result.asked.update(item.kind for item in items if item.kind in DUPLICATES)
    result.set.update(item.kind for item in items if item.trap)
    result.seconds = time.perf_counter() - start
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--documents", type=int, default=2000, help="originals of each language (three texts each)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threshold", type=float, default=DedupConfig().threshold)
    parser.add_argument("--show", type=int, default=0, help="duplicates that were missed, in full")
    given = parser.parse_args()
    scores = {name: score(corpus(name, given.documents, given.seed), given.threshold) for name in ("en", "zh")}
    print(f"threshold {given.threshold}, seed {given.seed}\n")
    print("| | English | Chinese | aim |\n| --- | ---: | ---: | ---: |")
    rows = [("texts", [f"{s.documents:,}" for s in scores.values()], ""),
            ("near pairs found", [f"{s.near:,}" for s in scores.values()], ""),
            ("of these merged", [f"{s.merged:,}" for s in scores.values()], ""),
            ("pair precision", [f"{s.precision:.4f}" for s in scores.values()], ">= 0.97"),
            ("recall", [f"{s.recall:.4f}" for s in scores.values()], ">= 0.94")]  # fmt: skip
    rows += [(f"recall, {kind}", [f"{s.recalled[kind] / max(s.asked[kind], 1):.4f}" for s in scores.values()], "")
             for kind in DUPLICATES]  # fmt: skip
    rows += [(f"traps merged, {kind}", [f"{s.trapped[kind]} of {s.set[kind]}" for s in scores.values()], "0")
             for kind in TRAPS]  # fmt: skip
    rows += [("seconds", [f"{s.seconds:.1f}" for s in scores.values()], "")]
    for name, cells, aim in rows:
        print(f"| {name} | {' | '.join(cells)} | {aim} |")
    for language, result in scores.items():
        for why, one, two in result.lost[: given.show]:
            print(f"\n--- {language} {one.kind}/{two.kind}: {why}\n{one.text}\n---\n{two.text}")


if __name__ == "__main__":
    main()
