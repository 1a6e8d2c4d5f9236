"""The one exception that a user ever sees.

Purpose: a mistake of the user (or of the machine: disk full, no network) is told in three parts: what is wrong, where,
and what to type next. The command line prints it without a traceback and exits 2.
Not covered: our own bugs. Those are assertions and ordinary exceptions, and they keep their traceback.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class UserError(Exception):
    """Something that the reader of the message can put right.

    what: one sentence, no full stop needed. where: file, row, key or field. fix: what to do or to type next.
    """

    def __init__(self, what: str, where: str = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  do:    {self.fix}")
        return "\n".join(lines)


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause such as "did you mean 'epochs'?" or, if nothing is near, the list of what is known."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "nothing is known here"


def need(module: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra of Metier brings it.

    Used inside the function that needs a heavy or optional package, so that `import metier` stays light.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise
        raise UserError(
            f"the package '{error.name}' is not installed",
            where=f"needed for the part of Metier called '{extra}'",
            fix=f'pip install "metier[{extra}]"',
        ) from None
