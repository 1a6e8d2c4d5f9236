"""Reject texts that are broken, repeat themselves or say nothing; every rejection names rule, value and limit.

Purpose: one look at each text by the rules of `quality_rules.py`, with the limits for its language; the first rule that
a text breaks is the reason, all of them stand in the detail. A recipe changes a limit or switches a rule off.
Trade-off: rules see shapes and not sense; the limits are loose, so that a short note, a table or a list of clauses
stays, and what reads well but is wrong stays too.
Not covered: scores by a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from metier.prepare.config_texts import QualityConfig
from metier.prepare.flow import count
from metier.prepare.operation import Result, Settings, text_operation
from metier.prepare.quality_rules import BUILT_IN, HAN_LETTERS, Rule, Text
from metier.tables import rejection


def broken(text: str, config: QualityConfig) -> list[tuple[Rule, float, float]]:
    """(rule, value, limit) of every rule that the text breaks."""
    han = sum(1 for char in text if "\u3400" <= char <= "\u9fff" or char >= "\U00020000")
    latin = sum(1 for char in text if char.isalpha() and char < "\u0250")
    chinese = han * HAN_LETTERS > latin
    letters = han * HAN_LETTERS if chinese else latin
    seen = Text(text, chinese)
    found = []
    for rule in BUILT_IN:
        limit = limit_of(rule, config, chinese)
        if limit is None or letters < rule.from_letters:
            continue
        value = rule.measure(seen)
        if value < limit if rule.least else value > limit:
            found.append((rule, value, limit))
    return found


def limit_of(rule: Rule, config: QualityConfig, chinese: bool) -> float | None:
    """The limit that holds for a language; None where the rule is switched off."""
    own = config.rules.get(rule.name)
    if own is False:
        return None
    if isinstance(own, dict):
        own = own.get("zh" if chinese else "en")
    return float(own) if own is not None else (rule.zh if chinese else rule.en)


def note(counts: Mapping[str, int]) -> str:
    """For the funnel."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in ranked if number)
    return f"{count(sum(counts.values()), 'text')} of low quality" + (f": {shown}" if shown else "")


@text_operation("quality", note, lambda config: config.quality.enabled)
def quality(batch: pa.Table, settings: Settings, knowledge: Any) -> Result:
    """Reject what breaks a rule (reason "quality: <rule>"); nothing is changed."""
    result = Result(batch)
    counts: Counter[str] = Counter()
    stays = []
    for id, source, text in zip(*(batch[name].to_pylist() for name in ("id", "source", "text")), strict=True):
        found = broken(text, settings.config.quality)
        stays.append(not found)
        if found:
            name = found[0][0].name
            counts[name] += 1
            detail = "; ".join(f"{rule.name} {value:.3g}, {'less' if rule.least else 'more'} than {limit:.3g}"
                               for rule, value, limit in found)  # fmt: skip
            result.rejected.append(rejection(source, "prepare", f"quality: {name.replace('_', ' ')}", detail, id))
    result.batch, result.counts = batch.filter(pa.array(stays, pa.bool_())), dict(counts)
    return result
