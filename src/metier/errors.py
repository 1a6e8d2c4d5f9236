"""The one exception that a user ever sees.

Purpose: a mistake of the user (or of the machine: disk full, no network) is told in three parts: what is wrong, where,
and what to type next. The command line prints it without a traceback and exits 2.
Not covered: our own bugs. Those are assertions and ordinary exceptions, and they keep their traceback.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import shutil
from collections.abc import Iterable
from pathlib import Path
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


def of_system(error: OSError, place: str | Path = "") -> UserError | None:
    """A full disk, a missing permission and the like as a UserError; None for what may be a bug of ours.

    place: where it happened if the error itself does not say so.
    """
    where = str(error.filename or place)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = f" ({_free(Path(where or '.')) / 1e6:,.0f} MB free)"
        return UserError(f"the disk is full{free}", where, "free some space, or set METIER_STORE to a folder on a "
                         "larger disk, then run the same command again; finished stages are kept")  # fmt: skip
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(
            "no permission to read or write here", where,
            "change its permissions; METIER_STORE and METIER_RUNS name folders of your own to write to",
        )  # fmt: skip
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST):
        return UserError("a file stands where a folder is wanted, or a folder where a file is", where,
                         "name another path, or move what is there")  # fmt: skip
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ETIMEDOUT):
        return UserError(f"the system refuses: {error.strerror}", where, "check the path and the disk")
    return None


def _free(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


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
