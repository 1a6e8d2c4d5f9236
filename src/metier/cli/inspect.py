"""`metier inspect`: what a data file is taken for and which of its rows are wrong; or what a recipe would train on."""

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
        paths: Annotated[list[str], typer.Argument(
            metavar="PATH...", help="Data files or folders; or one recipe, which may be followed by KEY=VALUE.",
        )],
        encoding: Annotated[str, typer.Option("--encoding", help="Encoding, if it is not found.")] = "",
        delimiter: Annotated[str, typer.Option("--delimiter", help="Separator of a table, if it is not found.")] = "",
        reader: Annotated[str, typer.Option("--reader", help="Reader by name, if the wrong one is chosen.")] = "",
        examples: Annotated[int, typer.Option("--examples", min=0, help="Examples to show.")] = 3,
        split: Annotated[str, typer.Option("--split", help="Of a recipe: train or validation.")] = "train",
        whole: Annotated[bool, typer.Option("--whole", help="Of a recipe: shorten nothing.")] = False,
        html: Annotated[Path | None, typer.Option("--html", help="Of a recipe: write a page instead.")] = None,
    ) -> None:  # fmt: skip
        """Say what data files are taken for, or show a recipe's examples as the model will be trained on them.

        Data files: examples, and every row that is wrong. A recipe: it is collected and prepared, learned tokens are
        marked, and what is cut is counted; nothing is trained. Exit code 2: unusable, or training would not start.
        """
        if _is_recipe(paths[0]):
            if not _show_recipe(paths[0], paths[1:], split, examples, whole, html):
                raise typer.Exit(UNUSABLE)
            return
        from metier.collect.inspection import inspect as look
        from metier.collect.reading import Options
        from metier.prepare.language import detect

        options = Options(encoding=encoding, delimiter=delimiter, reader=reader)
        found = look([Path(path) for path in paths], options, detect)
        for number, seen in enumerate(found):
            print(("\n" if number else "") + f"{seen.path} ({seen.size:,} bytes)")
            _show(seen, examples)
        if any(seen.unreadable for seen in found):
            raise typer.Exit(UNUSABLE)


def _is_recipe(name: str) -> bool:
    from metier.finding import shipped_names

    path = Path(name)
    is_file = path.suffix.lower() in (".yaml", ".yml")
    return is_file or (not path.exists() and name in shipped_names())


def _show_recipe(name: str, overrides: list[str], split: str, most: int, whole: bool, html: Path | None) -> bool:
    """Draw the examples of a recipe; whether training would start."""
    import sys

    from metier.cli import drawing
    from metier.cli.common import prepare
    from metier.errors import UserError
    from metier.run import look_at

    if split not in ("train", "validation"):
        raise UserError(f"no model is trained on the split '{split}'", "--split", "name train or validation")
    recipe, context = prepare(name, overrides, None, quiet=False)
    sight = look_at(recipe, context, split, most)
    if html is not None:
        html.write_text(drawing.html(sight, recipe.name), encoding="utf-8")
        print(html)
    else:
        drawing.draw(sight, sys.stdout, context.console.terminal and sys.stdout.isatty(), whole)
    return not sight.problems


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
