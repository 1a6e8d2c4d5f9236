"""The doors: built-ins and other packages through the same one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metier import registry
from metier.artifact import Store
from metier.console import Console
from metier.errors import UserError
from metier.recipe import load
from metier.run import Context, identity, run
from small import process


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], None]]:
    """package(name, source, entry points): a distribution on the import path, as pip would leave it."""

    def install(name: str, source: str, points: str) -> None:
        folder = tmp_path / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(folder)
        registry._points.cache_clear()
        installed.append(name)

    installed: list[str] = []
    entries = {kind: dict(known) for kind, known in registry._entries.items()}
    yield install
    registry._points.cache_clear()
    registry._load_point.cache_clear()
    for kind, known in entries.items():
        registry._entries[kind] = known
    for name in installed:
        sys.modules.pop(name, None)


def test_built_ins_are_there() -> None:
    assert {"classify", "score"} <= set(registry.names("task"))
    assert registry.names("method") == ["frozen", "full", "lora", "qlora"]
    assert {"majority", "mean", "tfidf"} <= set(registry.names("floor"))
    assert {"accuracy", "macro_f1", "mae"} <= set(registry.names("metric"))
    assert registry.lookup("task", "classify").__name__ == "Classify"


def test_names_of_lazy_doors_are_those_their_modules_register() -> None:
    for kind, modules in registry.LAZY.items():
        for name, module in modules.items():
            importlib.import_module(module)
            assert registry._entries[kind][name].__module__ == module
        assert set(registry._entries[kind]) == set(modules)


def test_names_of_methods_cost_no_torch(tmp_path: Path) -> None:
    code = "import sys\nfrom metier import registry\nregistry.names('method')\nassert 'torch' not in sys.modules"
    assert process("schema", cwd=tmp_path, code=code).code == 0


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UserError) as told:
        registry.lookup("floor", "tfdif")
    assert told.value.what == "there is no floor called 'tfdif'" and told.value.fix == "did you mean 'tfidf'?"


def test_another_package_comes_through_the_same_door(package: Callable[[str, str, str], None]) -> None:
    package("other_floor", "def coin(*arguments):\n    return 'heads'\n", "[metier.floor]\ncoin = other_floor:coin\n")
    assert "coin" in registry.names("floor") and "other_floor" not in sys.modules  # asked only when wanted
    assert registry.lookup("floor", "coin")() == "heads"
    assert registry.lookup("floor", "coin") is registry.lookup("floor", "coin")
    assert registry.where("floor", "coin").endswith("other_floor.py:1")


def test_a_package_that_registers_by_itself_too(package: Callable[[str, str, str], None]) -> None:
    source = "from metier.registry import register\n@register('floor', 'twice')\ndef twice():\n    return 2\n"
    package("self_made", source, "[metier.floor]\ntwice = self_made:twice\n")
    assert registry.lookup("floor", "twice")() == 2


def test_the_version_of_a_package_is_told_and_a_built_in_has_none(package: Callable[[str, str, str], None]) -> None:
    package("other_floor", "def coin(*arguments):\n    return 'heads'\n", "[metier.floor]\ncoin = other_floor:coin\n")
    assert registry.plugin("floor", "coin") == "other_floor==1.0" and "other_floor" not in sys.modules
    assert registry.plugin("floor", "tfidf") == registry.plugin("floor", "nothing") == ""
    assert registry.plugin("reader", "coin") == ""  # another door


def test_the_package_stands_in_the_identity_of_the_stage_that_uses_it(
    package: Callable[[str, str, str], None], copied: Path
) -> None:
    recipe = load(copied / "recipe.yaml", ["prepare.operations=[trim]", "evaluate.floors=[majority, coin]"])
    plain = load(copied / "recipe.yaml")
    stages = Context(copied, Store(copied / ".metier/store"), copied / "runs", Console(quiet=True))
    run(plain, stages)
    assert stages.fresh == set()
    assert all("plugins" not in artifact.identity for artifact in stages.done.values())
    points = {"operation": "trim", "floor": "coin", "reader": "csv", "metric": "luck"}
    package("extra", "", "".join(f"[metier.{kind}]\n{name} = extra:{name}\n" for kind, name in points.items()))
    assert identity("prepare", recipe, stages)["plugins"] == ["extra==1.0"]
    assert identity("predictions", recipe, stages)["plugins"] == ["extra==1.0"]
    assert identity("collect", recipe, stages)["plugins"] == ["extra==1.0"]  # data.csv, and a reader called csv
    assert identity("evaluate", recipe, stages)["plugins"] == ["extra==1.0"]
    for stage in ("prepare", "train", "predictions"):
        assert "plugins" not in identity(stage, plain, stages)


@pytest.mark.parametrize("claimed", ["tfidf", "coin"])
def test_two_packages_with_one_name_are_refused(package: Callable[[str, str, str], None], claimed: str) -> None:
    package("one", "def it():\n    return 1\n", f"[metier.floor]\n{claimed} = one:it\n")
    package("two", "def it():\n    return 2\n", f"[metier.floor]\n{claimed} = two:it\n")
    with pytest.raises(UserError) as told:
        registry.lookup("floor", claimed)
    assert f"two plug-ins claim the floor '{claimed}'" in told.value.what and ".py:" in told.value.where


def test_a_broken_package_is_named(package: Callable[[str, str, str], None]) -> None:
    package("broken", "import nothing_like_that", "[metier.floor]\nbad = broken:it\n")
    with pytest.raises(UserError) as told:
        registry.lookup("floor", "bad")
    assert "nothing_like_that" in told.value.what and told.value.where == "entry point broken:it"
    assert registry.lookup("floor", "tfidf")  # the others still work


def test_a_door_whose_package_is_missing_says_so_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILTINS, "engine", ("metier.no_such_module",))
    registry._loaded.discard("engine")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            registry.names("engine")
    monkeypatch.undo()


def test_no_such_door_is_our_own_bug() -> None:
    with pytest.raises(AssertionError, match="no such door"):
        registry.register("window", "x")
