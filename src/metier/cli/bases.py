"""`metier bases`: which base models are at hand."""

from __future__ import annotations

import typer


def add(app: typer.Typer) -> None:
    @app.command()
    def bases() -> None:
        """List the base models that come as packages, and whether they are installed and intact."""
        from metier.errors import UserError
        from metier.train.bases import INSTALLED, resolve

        for name, base in INSTALLED.items():
            try:
                state = f"ready, sha256 {resolve(name).sha256[:16]}..."
            except UserError as error:
                state = f"{error.what}: {error.fix}"
            print(f"{name}\t{base.model}\t{base.license}\t{base.note}\t{state}")
        print("any folder with config.json and safetensors, and any Hub id, can be named too", flush=True)
