"""A recipe by what a user types: a file, the name of a shipped one, or a bare file of data.

Purpose: one place that says which of the three is meant, so that every command understands the same words. The order: a
file that exists, a shipped recipe, data for which a recipe is drafted.
Not covered: reading the recipe (recipe.py), guessing columns and task (drafting.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from metier import recipe as recipes
from metier.console import Console
from metier.errors import UserError, nearest
from metier.recipe import Recipe


def find_recipe(
    name: str, task: str | None = None, overrides: Sequence[str] = (), console: Console | None = None
) -> tuple[Recipe, Path]:
    """A recipe file, a shipped recipe by name, or a bare data file: (recipe, folder its paths start from).

    console: told what was guessed about a bare data file.
    """
    if not name:
        raise UserError("no recipe and no data were named", "command line", "metier run data.csv --task classify")
    path = Path(name)
    if task is not None and (path.suffix.lower() in (".yaml", ".yml") or (_shipped(name) and not path.exists())):
        raise UserError("--task is for a bare data file; a recipe says its task itself", name,
                        f"write task={task} instead of --task {task}")  # fmt: skip
    if path.suffix.lower() in (".yaml", ".yml") and (path.is_file() or not _shipped(name)):
        return recipes.load(path, overrides), path.parent
    shipped = _shipped(name)
    if shipped and not path.exists():
        data = recipes.override(recipes.read_yaml(shipped), overrides)
        data.setdefault("name", name.removesuffix(".yaml").replace("/", "-"))
        return recipes.parse(data, str(shipped)), shipped.parent
    if path.exists() or "://" in name:
        from metier.drafting import draft

        key = "collect.sources.0.columns"
        said = recipes.override({"collect": {"sources": [{}]}}, [o for o in overrides if o.startswith(key)])
        columns = said["collect"]["sources"][0].get("columns")
        columns = {role: str(name) for role, name in columns.items()} if isinstance(columns, dict) else None
        made = draft(name, task, columns=columns)
        if console is not None and (guessed := [line for line in made.seen if "guessed: " in line]):
            console.say(f"{path.name}: {guessed[0]}")
        return recipes.parse(recipes.override(made.data, overrides), f"recipe made for {path}"), Path.cwd()
    raise UserError(
        f"there is no recipe and no data called '{name}'", str(path.absolute()),
        f"check the path; or a shipped recipe: {nearest(name, shipped_names())}",
    )  # fmt: skip


def shipped_names() -> list[str]:
    """Names of the recipes in the package, such as `finance/customer-service`."""
    root = Path(__file__).parent / "recipes"
    return sorted(str(path.relative_to(root).with_suffix("").as_posix()) for path in root.glob("*/*.yaml"))


def _shipped(name: str) -> Path | None:
    path = Path(__file__).parent / "recipes" / f"{name.removesuffix('.yaml')}.yaml"
    return path if name and not os.path.isabs(name) and ".." not in Path(name).parts and path.is_file() else None
