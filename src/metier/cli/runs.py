"""`metier runs`: what has been run here."""

from __future__ import annotations

import os
from pathlib import Path

import typer


def add(app: typer.Typer) -> None:
    @app.command()
    def runs() -> None:
        """List finished runs with verdict and main figure."""
        import sys

        from metier.console import Console
        from metier.runs import all_runs

        root = Path(os.environ.get("METIER_RUNS") or "runs")
        rows = [
            [
                run["name"],
                run["decision"],
                f"{run['metric']} {run['value']:.3f}" if run["value"] is not None else "",
                run["created"],
            ]
            for run in all_runs(root, Console())
        ]
        if not rows:
            print(f"no runs in {root.absolute()}")
            return
        Console(sys.stdout).table(["run", "verdict", "figure", "finished"], rows)
