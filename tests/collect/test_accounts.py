"""Each reader's account says what its code does: no reason, extension or key that nobody was told about."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from metier import registry
from metier.collect import accounts, readers
from metier.collect.accounts import ACCOUNTS, ANY, Account, describes
from metier.collect.reading import Options

from .samples import docx, message, paragraph, pdf

COLLECT = Path(accounts.__file__).parent
READERS = [name for name in registry.names("reader") if registry.lookup("reader", name).__module__.startswith("metier")]
GENERAL = ("stage", "inputs", "workers", "readers")  # their reasons belong to no format


def reasons(module: str) -> set[str]:
    """Every literal that a module hands to Unreadable or Refusal as the reason."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((COLLECT / f"{module}.py").read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        place = {"Unreadable": 0, "Refusal": 1}.get(node.func.id)
        if place is not None and len(node.args) > place:
            given = ast.walk(node.args[place])
            found |= {item.value for item in given if isinstance(item, ast.Constant) and isinstance(item.value, str)}
    return found


def below(module: str) -> set[str]:
    """The module and the modules of this stage that it imports at its top, other readers and shared code alike."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in found or not (COLLECT / f"{name}.py").is_file():
            continue
        found.add(name)
        for node in ast.parse((COLLECT / f"{name}.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("metier.collect"):
                names = [alias.name for alias in node.names] if node.module == "metier.collect" else []
                waiting += names or [str(node.module).rsplit(".", 1)[-1]]
    return found


@pytest.mark.parametrize("name", READERS)
def test_every_reader_gives_an_account(name: str) -> None:
    account = ACCOUNTS[name]
    assert account.takes and account.kept and account.refused
    for phrase in (*account.kept, *account.marked.values(), *account.counted.values(), *account.refused.values()):
        assert phrase.strip() and not phrase.endswith("."), "half sentences: they stand in a table"


@pytest.mark.parametrize("name", sorted(ACCOUNTS))
def test_every_reason_is_told(name: str) -> None:
    account = ACCOUNTS[name]
    module = registry.lookup("reader", name).__module__ if account.kind != "place" else ""
    if not module:
        pytest.skip("places are tested with their modules")
    own = reasons(module.rsplit(".", 1)[-1])
    assert own <= {*account.refused}, "a reason that the account does not name"
    possible = set().union(*(reasons(item) for item in below(module.rsplit(".", 1)[-1])))
    source = inspect.getsource(importlib.import_module(module))
    told = {reason for reason in account.refused if reason not in possible and f'"{reason}"' not in source}
    assert not told, "the account names a reason that the code cannot give"


@pytest.mark.parametrize("module", GENERAL)
def test_general_reasons_are_told(module: str) -> None:
    assert reasons(module) <= {*ANY}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"plain"),
        ("a.html", b"<p>caf\xe9 and more words, so that a damaged byte is a small share of the page</p>"),
        ("a.pdf", pdf([["Title"], []])),
        ("a.docx", docx(paragraph("one") + "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>")),
        ("a.eml", bytes(message("subject", "body", ("a.txt", b"attached"), message_id="<1@example.org>"))),
    ],
)
def test_every_key_of_the_metadata_is_told(name: str, data: bytes) -> None:
    account = ACCOUNTS[readers.choose(data, name)]
    for piece in readers.read(data, name, Options(ocr=False)).pieces:
        assert piece.metadata and set(piece.metadata) <= accounts.told(account)


def test_extensions_come_from_the_accounts() -> None:
    assert {suffix: name for name, account in ACCOUNTS.items() if account.kind != "place"
                                  for suffix in account.takes} == readers.EXTENSIONS  # fmt: skip
    assert readers.EXTENSIONS["md"] == "text" and readers.EXTENSIONS["docx"] == "docx"


def test_two_readers_cannot_claim_one_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "ACCOUNTS", {**ACCOUNTS})
    describes("other", Account(title="Other", takes=("md",), kept=("all",)))(lambda: None)
    with pytest.raises(AssertionError, match="claimed by text and other"):
        accounts.extensions()
