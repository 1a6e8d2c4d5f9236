"""Each place's account names every reason that its code can give."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from metier.collect import places
from metier.collect.accounts import ACCOUNTS, ANY
from metier.collect.places import hub, python, remote, saved, sql, tfds, web  # noqa: F401  (their accounts)

FOLDER = Path(places.__file__).parent
MODULES = {
    "remote": ("remote",), "sql": ("sql",), "web": ("web", "http"), "dataset": ("hub",), "saved": ("saved",),
    "tfds": ("tfds",), "from_python": ("python",),
}  # fmt: skip


def reasons(module: str) -> set[str]:
    """Literals given as `problem=`, as the reason of a refusal, or to Unreadable."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [keyword.value for keyword in node.keywords if keyword.arg in ("problem", "reason")]
        given += node.args[1:2] if called in ("refuse", "_refuse") else node.args[:1] if called == "Unreadable" else []
        found |= {value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    return found


@pytest.mark.parametrize("name", MODULES)
def test_every_reason_is_told(name: str) -> None:
    account = ACCOUNTS[name]
    assert account.kind == "place" and account.kept and account.takes
    given = set().union(*map(reasons, MODULES[name]))
    assert (
        given and given <= {*account.refused, *ANY} if name not in ("sql", "dataset") else given <= {*account.refused}
    )
