"""The built-in behind the door `tagger`: a run that was trained with the task `tag`, as a function of texts.

Purpose: stages below may ask for names without knowing models; this file knows both. See prepare/deidentify/tagger.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from metier.artifact import hash_file
from metier.errors import UserError
from metier.prepare.deidentify.tagger import Tagger, TaggerDoor
from metier.registry import register


def load_tagger(name: str) -> Tagger:
    """Load a run or a model folder. UserError: there is none, or it is of another task."""
    from metier.prediction import find_model
    from metier.train.model import load

    folder = find_model(name)
    model = load(folder)
    if not hasattr(model.task, "types"):
        raise UserError("this model does not tag", str(folder), "name a run that was trained with task.name=tag")

    def tag(texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
        decoded, _ = model.predict(list(texts))
        return [[_span(item) for item in spans] for spans in decoded.spans]  # type: ignore[attr-defined]

    return tag


def identity(name: str) -> str:
    """The fingerprint of the training that made the model; without one, the hash of what describes it."""
    from metier.prediction import find_model

    folder = find_model(name)
    record = folder / "artifact.json"
    if record.is_file():
        return str(json.loads(record.read_text(encoding="utf-8")).get("fingerprint") or hash_file(record))
    return hash_file(folder / "metier.json")


register("tagger", "metier")(TaggerDoor(load_tagger, identity))


def _span(item: Any) -> tuple[int, int, str]:
    if isinstance(item, dict):
        return int(item["start"]), int(item["end"]), str(item["label"])
    return int(item[0]), int(item[1]), str(item[2])
