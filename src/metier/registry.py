"""The doors: reader, operation, task, method, metric, floor, check, engine and tagger are found by name.

Purpose: a built-in and a plug-in of another package come through the same door, so that N tasks and M methods stay
N + M small files. A built-in module registers its object by decorator; another package names an entry point in the
group `metier.<kind>` and is asked only when a name is wanted that no built-in has, or when the names are listed.
Trade-off: names are strings, so "go to definition" does not follow them; `where()` tells the file instead.
Not covered: versions of plug-ins (`plugin` tells them, and they are part of the identity of the stage that uses one).
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from metier.errors import UserError, nearest

T = TypeVar("T")

# The modules that hold the built-ins of each door; imported when the door is first used.
BUILTINS: dict[str, tuple[str, ...]] = {
    "reader": ("metier.collect.readers",),
    "operation": ("metier.prepare.operations",),
    "task": ("metier.train.tasks",),
    "metric": ("metier.evaluate.metrics",),
    "floor": ("metier.evaluate.floors",),
    "check": ("metier.evaluate.checks.builtin",),
    "engine": ("metier.engines",),
    "tagger": ("metier.tagging",),
}
# Doors whose built-ins import torch: name -> module, so that a name can be checked without the second that costs.
LAZY: dict[str, dict[str, str]] = {
    "method": {name: f"metier.train.methods.{name}" for name in ("full", "lora", "frozen")},
}

_entries: dict[str, dict[str, Any]] = {kind: {} for kind in (*BUILTINS, *LAZY)}
_loaded: set[str] = set()


def register(kind: str, name: str) -> Callable[[T], T]:
    """Decorator: put a function or class behind the door `kind` under `name`.

    A second object under one name is a bug of the second package, and is refused.
    """
    assert kind in _entries, f"no such door: {kind}"

    def put(thing: T) -> T:
        known = _entries[kind].get(name)
        if known is not None and known is not thing:
            raise UserError(
                f"two plug-ins claim the {kind} '{name}'",
                where=f"{_source(known)} and {_source(thing)}",
                fix="uninstall one of them, or rename it",
            )
        _entries[kind][name] = thing
        return thing

    return put


def lookup(kind: str, name: str) -> Any:
    """The object called `name` behind the door `kind`; UserError with the nearest name if there is none.

    A package that claims the name of a built-in, or of another package, is refused.
    """
    _load_builtins(kind)
    if name not in _entries[kind] and name in LAZY.get(kind, {}):
        importlib.import_module(LAZY[kind][name])
    for point in _points(kind):
        if point.name == name:
            register(kind, name)(_load_point(kind, point))
    if name not in _entries[kind]:
        raise UserError(f"there is no {kind} called '{name}'", fix=nearest(name, names(kind)))
    return _entries[kind][name]


def names(kind: str) -> list[str]:
    """All names behind the door, built-ins and entry points, sorted."""
    _load_builtins(kind)
    return sorted({*_entries[kind], *LAZY.get(kind, {}), *(point.name for point in _points(kind))})


def where(kind: str, name: str) -> str:
    """File and line of a registered object, for people who want to read it."""
    return _source(lookup(kind, name))


def plugin(kind: str, name: str) -> str:
    """`distribution==version` of the package whose entry point brings `name`, "" for a built-in; loads nothing."""
    for point in _points(kind):
        if point.name == name and point.dist is not None:
            return f"{point.dist.name}=={point.dist.version}"
    return ""


def _load_builtins(kind: str) -> None:
    if kind not in _loaded:
        _loaded.add(kind)  # first: a built-in may look up another one while it is imported
        try:
            for module in BUILTINS.get(kind, ()):
                importlib.import_module(module)
        except BaseException:
            _loaded.discard(kind)
            raise


@functools.cache
def _points(kind: str) -> tuple[EntryPoint, ...]:
    """Entry points of the door; one that is listed twice (a package found by two paths) counts once."""
    return tuple(dict.fromkeys(entry_points(group=f"metier.{kind}")))


@functools.cache
def _load_point(kind: str, point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise UserError(
            f"the {kind} '{point.name}' of another package cannot be loaded: {error}",
            where=f"entry point {point.value}",
            fix="repair or uninstall that package",
        ) from error


def _source(thing: Any) -> str:
    try:
        return f"{inspect.getsourcefile(thing)}:{inspect.getsourcelines(thing)[1]}"
    except (TypeError, OSError):
        return repr(thing)
