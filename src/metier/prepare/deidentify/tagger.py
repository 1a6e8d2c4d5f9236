"""The hook for names that a trained tagger finds: text in, spans out, loaded when first used.

Purpose: `prepare` knows nothing of models. Behind the door `tagger` stands a `TaggerDoor`; the built-in `metier`
loads a run that was trained with the task `tag`, other packages may bring theirs.
Trade-off: one model a process, on the processor that the process has; slow beside rules, and asked only where the
recipe names a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from metier.prepare.deidentify.recognise.rule import CONTEXT, Span
from metier.registry import lookup

Tagger = Callable[[Sequence[str]], list[list[tuple[int, int, str]]]]
"""Texts -> for each its (start, end, label), offsets in characters."""


@dataclass(frozen=True)
class TaggerDoor:
    """load: the name of a model -> a Tagger. identity: the name -> what changes when its answers may change."""

    load: Callable[[str], Tagger]
    identity: Callable[[str], str]


# What labels of usual data sets are called, in small letters -> our kind. Others count as what they are, if that is a
# kind.
LABELS = {
    "person": "person",
    "per": "person",
    "name": "person",
    "patient": "person",
    "doctor": "person",
    "姓名": "person",
    "nr": "person",
    "address": "address",
    "street_address": "address",
    "loc": "address",
    "location": "address",
    "地址": "address",
    "organization": "organisation",
    "organisation": "organisation",
    "org": "organisation",
    "company": "organisation",
    "phone_number": "phone",
    "date_time": "date",
    "date": "date",
}


def spans(model: str, texts: Sequence[str], kinds: frozenset[str]) -> list[list[Span]]:
    """What the tagger finds in each text, as findings of the kinds that are asked for."""
    found = _loaded(model)(texts)
    return [
        [Span(start, end, kind, "tagger", CONTEXT - 1) for start, end, label in one
         if (kind := LABELS.get(label.lower(), label.lower())) in kinds and start < end]
        for one in found
    ]  # fmt: skip


def identity(model: str) -> str:
    """What the identity of a prepared set says of the model, whatever its path."""
    door, name = _door(model)
    return str(door.identity(name))


@cache
def _loaded(model: str) -> Tagger:
    door, name = _door(model)
    tagger: Tagger = door.load(name)
    return tagger


def _door(model: str) -> tuple[Any, str]:
    """`other:name` asks the tagger `other`; a bare name is a run or a model folder of ours."""
    door, colon, name = model.partition(":")
    return (lookup("tagger", door), name) if colon and door.isidentifier() else (lookup("tagger", "metier"), model)
