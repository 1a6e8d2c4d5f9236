"""`metier verdict`: decision and sentence of a finished run, with an exit code for scripts."""

from __future__ import annotations

from typing import Annotated

import typer

from metier.cli.run import REJECT_EXIT

CONDITIONAL_EXIT = 4
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, or its folder.")]


def add(app: typer.Typer) -> None:
    @app.command()
    def verdict(
        run: RunArgument,
        language: Annotated[str, typer.Option("--language", "-l", help="en or zh.")] = "en",
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
    ) -> None:
        """Print the verdict of a run. Exit code: 0 SIGN OFF, 3 REJECT, 4 CONDITIONAL or criteria changed afterwards."""
        from metier.errors import UserError
        from metier.replay import find_run, results_of

        if language not in ("en", "zh"):
            raise UserError(f"there is no language '{language}'", "--language", "en or zh")
        said = results_of(find_run(run))["verdict"]
        end = "_zh" if language == "zh" else ""
        if not quiet:
            print(f"{said['decision']}: {said[f'headline{end}']}")
            for reason in said["reasons"]:
                print(f"  [{reason['met']}] {reason['criterion']}: {reason[f'text{end}']}")
        changed = bool((said.get("frozen") or {}).get("changed"))
        if said["decision"] == "REJECT":
            raise typer.Exit(REJECT_EXIT)
        if said["decision"] != "SIGN OFF" or changed:
            raise typer.Exit(CONDITIONAL_EXIT)
