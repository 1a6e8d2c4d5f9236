"""`metier compare`: two logs of other evaluation programs, item by item."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metier.cli.run import REJECT_EXIT
from metier.cli.verdict import CONDITIONAL_EXIT


def add(app: typer.Typer) -> None:
    @app.command()
    def compare(
        base: Annotated[Path, typer.Argument(metavar="BASE", help="Log of the model before, or its folder.")],
        tuned: Annotated[Path, typer.Argument(metavar="TUNED", help="Log of the model after, or its folder.")],
        metric: Annotated[str, typer.Option("--metric", "-m", help="What decides; the first of both by default.")] = "",
        accept: Annotated[
            list[str] | None,
            typer.Option("--accept", help='A criterion, such as "acc > base + 0.01"; may be repeated.'),
        ] = None,
        slices: Annotated[
            list[str] | None, typer.Option("--slice", help="A field of the documents to look at in parts.")
        ] = None,
        group: Annotated[str, typer.Option(help="A field whose values are drawn together: a patient, a client.")] = "",
        task: Annotated[str, typer.Option("--task", help="Which task, where a folder holds several.")] = "",
        alpha: Annotated[float, typer.Option(help="Significance level.")] = 0.05,
        output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the comparison.")] = Path("comparison"),
    ) -> None:
        """Compare lm-evaluation-harness samples or Inspect logs of two models. Exit code: 0 SIGN OFF, 3 REJECT, 4
        CONDITIONAL."""
        import sys

        from metier.console import Console
        from metier.errors import UserError
        from metier.evaluate.config import EvaluateConfig
        from metier.harness.judge import compare_logs

        if not 0 < alpha < 0.5:
            raise UserError(f"{alpha:g} cannot be meant", "--alpha", "write 5 % as 0.05")
        looked = dict.fromkeys((*EvaluateConfig().slices, *(slices or ())))
        config = EvaluateConfig(accept=tuple(accept or ()), slices=tuple(looked), alpha=alpha)
        results = compare_logs(base, tuned, output, config, Console(sys.stdout), task, metric, group)
        for warning in results["warnings"]:
            print(f"  - {warning['text']}")
        print(f"figures: {output / 'results.json'}; items broken and mended: {output / 'cases.parquet'}")
        decision = results["verdict"]["decision"]
        if decision != "SIGN OFF":
            raise typer.Exit(REJECT_EXIT if decision == "REJECT" else CONDITIONAL_EXIT)
