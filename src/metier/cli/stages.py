"""`metier collect`, `prepare`, `train`, `evaluate`, `report`: one stage and what it needs.

Each takes a recipe; `collect` also takes a bare file, folder or glob and `--output`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metier.cli.common import Overrides, Quiet, RecipeArgument, TaskOption, prepare

HELP = {
    "collect": "Read documents: documents.parquet and rejected.parquet.",
    "prepare": "Collect, then clean, deduplicate and split: examples.parquet.",
    "train": "Everything up to the tuned model.",
    "evaluate": "Everything up to results.json.",
    "report": "Everything; the same as `metier run`, without the verdict's exit code.",
}
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Copy the stage's files into this folder.")]


def add(app: typer.Typer) -> None:
    """One command for each stage."""
    for stage in HELP:
        _add(app, stage)


def _add(app: typer.Typer, stage: str) -> None:
    @app.command(name=stage, help=HELP[stage])
    def command(
        recipe: RecipeArgument, overrides: Overrides = None, task: TaskOption = None,
        output: Output = None, quiet: Quiet = False,
    ) -> None:  # fmt: skip
        from metier.run import run

        if stage == "collect" and _is_data(recipe):
            found, context = _bare(recipe, overrides, quiet)
            done = _collect_only(found, context)
        else:
            found, context = prepare(recipe, overrides, task, quiet)
            done = run(found, context, until=stage)
        _hand_over(done[stage].path, output)


def _is_data(name: str) -> bool:
    from metier.finding import shipped_names

    return Path(name).suffix.lower() not in (".yaml", ".yml") and name not in shipped_names()


def _bare(path: str, overrides: list[str] | None, quiet: bool):  # type: ignore[no-untyped-def]
    from metier import recipe as recipes
    from metier.console import Console
    from metier.run import command_line, default_context

    data = recipes.override({"collect": {"sources": [{"path": path}]}}, overrides or [])
    return recipes.parse(data, "command line"), default_context(Path.cwd(), Console(quiet=quiet), command_line())


def _collect_only(recipe, context):  # type: ignore[no-untyped-def]
    """Collecting needs no task, so a bare path is not checked for one."""
    from metier.run import run_stage

    run_stage("collect", recipe, context)
    return context.done


def _hand_over(path: Path, output: Path | None) -> None:
    import shutil

    if output is None:
        print(path)
        return
    output.mkdir(parents=True, exist_ok=True)
    shutil.copytree(path, output, dirs_exist_ok=True)
    print(output)
