"""The shape of the code, as CONTRIBUTING asks: short files and functions, layers that do not look up, docstrings.

Limits are checked where they can be counted; what they are for cannot be. A file that must break one says so here.
"""

from __future__ import annotations

import ast
import functools
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import metier

PACKAGE = Path(metier.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
NAMES = [path.relative_to(PACKAGE).as_posix() for path in FILES]
FILE_LINES, FUNCTION_LINES, PARAMETERS = 400, 80, 10  # aim for 60 lines and 7 parameters
UPPER = (
    "cli",
    "report",
    "studio",
    "serve",
    "run",
    "runs",
    "drafting",
    "checking",
    "finding",
    "printing",
    "prediction",
    "explaining",
    "harness",
    "inspection",
    "tuning",
)  # what stages may not know
STAGES = ("collect", "prepare", "train", "evaluate")
LOWEST = ("errors", "config", "tables", "registry", "console", "artifact")


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@functools.cache
def imports(path: Path, top_only: bool = False) -> set[str]:
    """Full names of what a file imports; with `top_only` only what importing the file itself imports."""
    module = tree(path)
    found = set()
    nodes = module.body if top_only else ast.walk(module)
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


def ours(path: Path) -> set[str]:
    """First part below `metier` of everything of this package that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("metier.")}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_files_and_functions_are_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= FILE_LINES, f"{len(lines)} lines; tables belong into data files, the rest into two modules"
    for function in functions(path):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= FUNCTION_LINES, f"{function.name}: {length} lines"
        given = function.args
        count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)
        # The signatures of other libraries are theirs: functions that Transformers or autograd call.
        if path.name != "attention.py":
            assert count <= PARAMETERS, f"{function.name}: {count} parameters"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_module_says_what_it_is(path: Path) -> None:
    module = tree(path)
    if not module.body:
        assert path.name == "__init__.py"
        return
    text = ast.get_docstring(module)
    assert text and text.splitlines()[0].rstrip().endswith((".", ":")), "the first line of the docstring is a sentence"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_public_functions_say_what_they_do(path: Path) -> None:
    bare = [node.name for node in tree(path).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            and not ast.get_docstring(node)]  # fmt: skip
    if path.parent.name == "cli":
        bare = [name for name in bare if name != "add"]  # the command's own docstring is its help
    assert bare == []


@pytest.mark.parametrize("stage", STAGES)
def test_stages_know_nothing_of_what_calls_them(stage: str) -> None:
    for path in (PACKAGE / stage).rglob("*.py"):
        assert not ours(path) & set(UPPER), path.name


def test_collect_knows_no_later_stage_and_train_no_evaluation() -> None:
    for path in (PACKAGE / "collect").rglob("*.py"):
        assert not ours(path) & {"prepare", "train", "evaluate"}, path.name
    for path in (PACKAGE / "prepare").rglob("*.py"):
        known = {name for name in imports(path) if name.startswith(("metier.train", "metier.evaluate"))}
        assert all(name.startswith("metier.train.config") for name in known), (path.name, known)
    for path in (PACKAGE / "train").rglob("*.py"):
        assert not ours(path) & {"collect", "prepare", "evaluate"}, path.name


def test_the_lowest_modules_know_only_each_other() -> None:
    for name in LOWEST:
        assert ours(PACKAGE / f"{name}.py") <= set(LOWEST), name


@pytest.mark.parametrize("engine", ["daft", "ray"])
def test_training_knows_no_data_engine(engine: str) -> None:
    for path in (PACKAGE / "train").rglob("*.py"):
        assert not [name for name in imports(path) if name.split(".")[0] == engine], path.name


def test_configuration_is_light() -> None:
    """The recipe must load in milliseconds: nothing but pydantic and the standard library above a section."""
    heavy = {"torch", "transformers", "numpy", "pyarrow", "sklearn", "scipy", "peft", "accelerate"}
    for path in [*PACKAGE.glob("*/config.py"), PACKAGE / "config.py", PACKAGE / "recipe.py", PACKAGE / "errors.py",
                 PACKAGE / "console.py", PACKAGE / "registry.py", *(PACKAGE / "cli").glob("*.py")]:  # fmt: skip
        assert not {name.split(".")[0] for name in imports(path, top_only=True)} & heavy, path.name


def test_nothing_prints_but_the_commands() -> None:
    for path in FILES:
        if path.parent.name == "cli" or path.name == "console.py":
            continue
        calls = [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Call)
                 and isinstance(node.func, ast.Name) and node.func.id == "print"]  # fmt: skip
        assert not calls, f"{path.name}:{calls}: use the console that is handed over"


def test_no_work_is_left_as_a_note() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "X" * 3)
    for path in FILES:
        with path.open("rb") as stream:
            for token in tokenize.tokenize(stream.readline):
                if token.type == tokenize.COMMENT:
                    assert not any(word in token.string for word in words), f"{path.name}:{token.start[0]}"


# What other code may build on; a change here is a change for them, and belongs into the changelog.
PUBLIC = {
    "errors": {"UserError", "nearest", "need", "of_system"},
    "config": {"Section", "execution", "is_execution"},
    "tables": {"ANSWERS", "DOCUMENTS", "EXAMPLES", "GROUP_BYTES", "GROUP_ROWS", "REJECTED", "SPANS", "Spool", "Writer",
               "digest", "read", "rejection", "table", "write", "write_json"},
    "registry": {"BUILTINS", "LAZY", "T", "lookup", "names", "plugin", "register", "where"},
    "console": {"Console", "Meter", "PLAIN_SECONDS", "quiet_libraries", "seconds"},
    "artifact": {"Artifact", "RECORD", "RECORDED", "Store", "canonical", "environment", "fingerprint", "hash_file"},
    "recipe": {"Recipe", "dump", "load", "override", "parse", "read_word", "read_yaml", "schema", "write_word"},
    "run": {"Context", "OPTIONAL", "ORDER", "PARENTS", "TITLES", "UNREAD_TASK_FIELDS", "VERSIONS",
            "command_line", "default_context", "earlier_criteria", "identity", "look_at", "run", "run_stage", "settled",
            "why"},
    "checking": {"check", "check_labels"},
    "finding": {"find_recipe", "shipped_names"},
    "runs": {"all_runs", "check_view", "facts", "moved", "write_view"},
    "tuning": {"STATES", "Search", "tune"},
    "drafting": {"Draft", "FEW", "TABLES", "draft", "render", "write_recipe"},
    "prediction": {"SUFFIXES", "collect_texts", "find_model", "predict_to", "repaired"},
    "explaining": {"LISTED", "SHOWN", "WORDS", "explain_to"},
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names(name: str) -> None:
    found = set()
    for node in tree(PACKAGE / f"{name}.py").body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(target.id for target in targets if isinstance(target, ast.Name))
    assert {word for word in found if not word.startswith("_")} == PUBLIC[name]


@pytest.mark.parametrize(
    ("schema", "columns"),
    [
        ("DOCUMENTS", "id text source media_type language title group time license metadata"),
        (
            "EXAMPLES",
            "id document_ids source language group cluster split text label labels value pair negatives spans answers "
            "answer options messages tools chosen rejected",
        ),
        ("REJECTED", "id source stage reason detail"),
    ],
)
def test_columns_of_the_tables(schema: str, columns: str) -> None:
    from metier import tables

    assert getattr(tables, schema).names == columns.split()
