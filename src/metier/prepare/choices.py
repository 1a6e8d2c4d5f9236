"""Questions with options: question, options and the right one, out of each row as the operations left it.

Purpose: `pair` is the question, `text` what is read with it (often nothing), `options` the options in the order of the
data and `answer` the words of the right one. They are cut out of the repaired text (fields.py). A row whose options are
gone, or have become equal, leaves with its reason.
Not covered: layouts of files (collect/choices.py), how options are shown to a model (train/tasks/choose.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from metier.lettering import LETTERS, listed
from metier.prepare.answers import ASSISTANT, MOVED, NO_ANSWER, USER, Refused, Turn
from metier.prepare.fields import BETWEEN, parts
from metier.prepare.flow import Flow, Row, count

MOST_OF_ONE = 0.5  # share of right answers at one letter from which the order of the options tells something


def choices(flow: Flow) -> str:
    """Fill `text`, `pair`, `options` and `answer` of every row."""
    letters: Counter[int] = Counter()

    def leaves(row: Row) -> Refused | None:
        found = read_choice(row.metadata, row.text)
        if isinstance(found, Refused):
            return found
        letters[found["options"].index(found["answer"])] += 1
        row.pair = found["pair"]
        row.become(found.pop("text"), found)
        return None

    flow.reject(leaves)
    place, most = letters.most_common(1)[0] if letters else (0, 0)
    if most > MOST_OF_ONE * letters.total() and letters.total() > 20:
        flow.warn(f"{most:,} of {letters.total():,} right options are option {LETTERS[place]}; the order of the "
                  "options tells the answer, so judge by figures over all rotations")  # fmt: skip
    sizes = sorted({len(row.columns["options"]) for row in flow.rows})
    return f"{count(len(flow.rows), 'question')}, of {' or '.join(map(str, sizes))} options"


def read_choice(metadata: Mapping[str, Any], text: str) -> dict[str, Any] | Refused:
    """{"text", "pair", "options", "answer"} of one row, or why it has none."""
    if "options" not in metadata or "correct" not in metadata:
        return Refused("no options", "the row has no options with a right one among them")
    found = parts(text, metadata)
    if found is None:
        return Refused(MOVED, "an operation changed the text, and not the places of its fields")
    options = [found.get(f"options.{place}", "").strip() for place in range(len(metadata["options"]))]
    if not all(options):
        return Refused("option lost", f"nothing is left of option {LETTERS[options.index('')]} after repair")
    if len(set(options)) < len(options):
        return Refused("equal options", "two options have become the same by repair or de-identification")
    asked = found.get("question", "").strip()
    if not asked:
        return Refused(NO_ANSWER, "nothing is left of the question after repair")
    return {"text": found.get("context", ""), "pair": asked, "options": options,
            "answer": options[int(metadata["correct"])]}  # fmt: skip


def as_turns(metadata: Mapping[str, Any], text: str) -> list[Turn] | Refused:
    """A question with its options and the letter of the right one, for tasks that know questions and answers only."""
    found = read_choice(metadata, text)
    if isinstance(found, Refused):
        return found
    asked = BETWEEN.join(part for part in (found["text"], listed(found["pair"], found["options"])) if part)
    letter = LETTERS[found["options"].index(found["answer"])]
    return [{"role": USER, "content": asked}, {"role": ASSISTANT, "content": letter}]
