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
                found = resolve(name)
                size = sum(file.stat().st_size for file in found.path.rglob("*") if file.is_file())
                state = f"{size / 1e6:.0f} MB, ready, sha256 {found.sha256[:16]}..."
            except UserError as error:
                state = f"{error.what}: {error.fix}"
            print(f"{name}\t{base.model}\t{base.license}\t{base.note}\t{state}")
        print("any folder with config.json and safetensors, and any Hub id, can be named too", flush=True)
