"""The built-in behind the door `tagger`: a run that was trained with the task `tag`, as a function of texts.

Purpose: stages below may ask for names without knowing models; this file knows both. See prepare/deidentify/tagger.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from metier.artifact import RECORD, hash_file
from metier.errors import UserError
from metier.prepare.deidentify.tagger import Tagger, TaggerDoor
from metier.registry import register
from metier.tables import digest


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
        return [[(span.start, span.end, span.label) for span in spans] for spans in decoded.spans]

    return tag


def identity(name: str) -> str:
    """The fingerprint of the training that made the model; of a model that travelled without it, the hash of its
    files."""
    from metier.prediction import find_model

    folder = find_model(name).resolve()
    for record in (folder / RECORD, folder.parent / RECORD):  # the model of a run lies within the training's artifact
        if record.is_file():
            return str(json.loads(record.read_text(encoding="utf-8"))["fingerprint"])
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest(*(f"{path.relative_to(folder).as_posix()} {hash_file(path)}" for path in files))


register("tagger", "metier")(TaggerDoor(load_tagger, identity))
