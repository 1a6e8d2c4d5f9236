"""`metier pdf`: the report and the dossier on paper."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from metier.cli.common import Quiet

Language = Annotated[str, typer.Option("--language", help="en or zh; left out: the language that the report opens in.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the files; left out: pdf/ in the run.")]


def add(app: typer.Typer) -> None:
    @app.command()
    def pdf(
        run: Annotated[str, typer.Argument(help="Name of a run, or its folder.")],
        language: Language = "", output: Output = None, quiet: Quiet = False,
    ) -> None:  # fmt: skip
        """Print a run's report and dossier as PDF, with signature blocks."""
        from metier.console import Console
        from metier.errors import UserError
        from metier.printing import print_run
        from metier.report.words import LANGUAGES

        if language and language not in LANGUAGES:
            raise UserError(f"there is no language '{language}' in the report", "--language", "write en or zh")
        folder = Path(run)
        if not folder.is_dir():
            folder = Path(os.environ.get("METIER_RUNS") or "runs") / run
        console = Console(quiet=quiet)
        files = print_run(folder, language, output or folder / "pdf", console)
        console.say(f"{len(files)} files in {files[-1].parent}; {files[-1].name} holds all pages")
