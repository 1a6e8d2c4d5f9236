"""`metier inspect`: what a data file is taken for, and which of its rows are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from metier.collect.inspection import Inspection

UNUSABLE = 2
WIDTH = 300  # characters of an example


def add(app: typer.Typer) -> None:
    @app.command()
    def inspect(
        paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Data files or folders.")],
        encoding: Annotated[str, typer.Option("--encoding", help="Encoding, if it is not found.")] = "",
        delimiter: Annotated[str, typer.Option("--delimiter", help="Separator of a table, if it is not found.")] = "",
        reader: Annotated[str, typer.Option("--reader", help="Reader by name, if the wrong one is chosen.")] = "",
        examples: Annotated[int, typer.Option("--examples", min=0, help="Examples to show.")] = 3,
    ) -> None:
        """Say what data files are taken for, show examples, and list every row that is wrong. Exit code 2: unusable."""
        from metier.collect.inspection import inspect as look
        from metier.collect.reading import Options
        from metier.prepare.language import detect

        options = Options(encoding=encoding, delimiter=delimiter, reader=reader)
        found = look(paths, options, detect)
        for number, seen in enumerate(found):
            print(("\n" if number else "") + f"{seen.path} ({seen.size:,} bytes)")
            _show(seen, examples)
        if any(seen.unreadable for seen in found):
            raise typer.Exit(UNUSABLE)


def _show(seen: Inspection, examples: int) -> None:
    from metier.collect.inspection import facts

    if seen.unreadable:
        print(f"  unusable: {seen.unreadable}" + (f": {seen.hint}" if seen.hint else ""))
    for name, value in facts(seen) if seen.documents else []:
        print(f"  {name:<15} {value}")
    for warning in seen.warnings:
        print(f"  warning: {warning}")
    for piece in seen.examples[:examples]:
        text = " ".join(piece.text[: 2 * WIDTH].split())
        print(f"  {piece.part or 'text':<8} {text[:WIDTH]}{' ...' if len(text) > WIDTH else ''}")
    if seen.refused:
        print(f"  {len(seen.refused):,} refused:")
    for refusal in seen.refused:
        print(f"    {refusal.part}: {refusal.reason}: {refusal.detail}")
