"""What training took and what a request will: time, tokens, memory, energy and price, as rows of a name and a value.

Purpose: the same rows for the page, the model card and the technical documentation. Time, tokens, memory and energy are
measured, or there is the reason why not; an estimate is called one. The price follows from the measured time and the
price of an hour of the machine, which a person states.
Not covered: what people, storage and idle machines cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metier.report.words import Words

Facts = Mapping[str, Any]
HOUR, THOUSAND = 3600.0, 1000


def requests(facts: Facts) -> dict[str, Any]:
    """What was measured while the test set was asked, and what follows for a thousand requests; for results.json.

    seconds, read and written (tokens) are those of one request on average; None: not measured, or no price is given.
    """
    found = (facts.get("predictions") or {}).get("cost") or {"missing": "earlier"}
    if found.get("missing") or not found["requests"]:
        return {"missing": found.get("missing") or "earlier"}
    count, seconds = found["requests"], found["seconds"] / found["requests"]
    stated = (facts.get("recipe") or {}).get("report") or {}
    rate = stated.get("machine_price_per_hour")
    joules = found["energy"]["joules"]
    return {
        "requests": count, "seconds": seconds, "per_hour": HOUR / seconds if seconds else None,
        **{name: None if found[name] is None else found[name] / count for name in ("read", "written")},
        "peak_memory_mb": found["peak_memory_mb"], "device": found["device"], "energy": found["energy"],
        "joules_of_1000": None if joules is None else joules / count * THOUSAND,
        "price_of_1000": None if rate is None else seconds * THOUSAND * rate / HOUR,
        "machine_price_per_hour": rate, "currency": stated.get("currency") or None,
    }  # fmt: skip


def training(facts: Facts, words: Words) -> list[tuple[str, str]]:
    """Tokens, steps, memory and energy of training."""
    train = facts.get("train") or {}
    return [
        (words("cost.tokens"), words.count(train.get("tokens"))),
        (words("cost.steps"), words.count(train.get("steps"))),
        (words("cost.memory"), memory(train.get("peak_memory_mb"), words)),
        (words("cost.energy"), energy(train.get("energy") or {}, words)),
    ]


def use(facts: Facts, words: Words) -> list[tuple[str, str]]:
    """A request's time, tokens, memory, energy and price; one row that says why where that was not measured."""
    found = requests(facts)
    if found.get("missing"):
        return [(words("cost.use"), words("not_measured", reason=words(f"cost.{found['missing']}")))]
    rows = [
        (words("cost.requests"), words.count(found["requests"])),
        (words("cost.each"), short(found["seconds"], words)),
        (words("cost.per_hour"), words.count(None if found["per_hour"] is None else round(found["per_hour"]))),
        (words("cost.read"), words.plain(found["read"])),
    ]
    if found["written"] is not None:
        rows.append((words("cost.written"), words.plain(found["written"])))
    share = found["requests"] / THOUSAND
    return [
        *rows,
        (words("cost.use_memory"), memory(found["peak_memory_mb"], words)),
        (words("cost.use_energy"), energy(found["energy"], words, share)),
        (words("cost.price"), price(found, words)),
    ]


def price(found: Mapping[str, Any], words: Words) -> str:
    """The price of a thousand requests with the hour's price that it follows from."""
    if found["price_of_1000"] is None:
        return words("cost.no_price")
    rate, currency = found["machine_price_per_hour"], found["currency"]
    return words("cost.price_value", price=f"{found['price_of_1000']:.3g}", rate=f"{rate:g}", currency=currency)


def memory(megabytes: float | None, words: Words) -> str:
    """Peak memory, or that it was not measured."""
    if megabytes is None:
        return words("not_measured", reason=words("cost.no_memory"))
    return f"{megabytes:,.0f} MB"


def energy(found: Mapping[str, Any], words: Words, share: float = 1.0) -> str:
    """What was measured or estimated, part by part, divided by `share`, and why parts are missing."""
    parts = found.get("parts") or []
    if not parts:
        return words("not_measured", reason=words("energy.earlier"))
    told = []
    for part in parts:
        if part["joules"] is None:
            reason = words(f"energy.{part['problem']}", detail=part["detail"])
            told.append(words("energy.part", part=words(f"energy.{part['part']}"),
                              value=words("not_measured", reason=reason)))  # fmt: skip
            continue
        of = words("list").join(part["of"]) or "?"
        told.append(words(f"energy.{part['source']}", value=joules(part["joules"] / share, words), of=of))
    if len(parts) > 1 and found.get("joules") is not None:
        told.insert(0, words("energy.sum", value=joules(found["joules"] / share, words)))
    return words("semicolon").join(told)


def joules(value: float, words: Words) -> str:
    """Energy in the unit that a person would use."""
    for unit, size in (("kWh", 3.6e6), ("Wh", 3.6e3)):
        if value >= size:
            return f"{words.plain(value / size)} {unit}"
    return f"{words.plain(value)} J"


def short(seconds: float, words: Words) -> str:
    """A duration that may be a few milliseconds."""
    return words.seconds(seconds) if seconds >= 1 else words("unit.milliseconds", number=f"{seconds * 1000:.3g}")
