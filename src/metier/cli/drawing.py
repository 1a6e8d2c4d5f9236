"""A look at training examples, drawn: in colour on a terminal, with brackets anywhere else, or as one HTML page.

Purpose: the eye finds a wrong mask in a second. Learned tokens are green on a terminal and ⟦so⟧ in plain text; where
something else than the token itself is learned (a tag, the word under a mask) it stands behind a bar: ⟦aspirin|B-drug⟧.
Long stretches that are only read are shortened in the middle, with the number of their tokens, and are whole in HTML.
Not covered: finding out what is learned (train/view.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metier.train.view import Passage, Piece, Sight, View


LEAST = 160  # characters of a stretch that is only read, before and after what is left out of it

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Training examples: {{ title }}</title>
<style>
body { font: 15px/1.6 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
mark { background: #c8f0d0; color: inherit; } mark small { color: #1a6b32; } del { color: #b02a37; }
.passage { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #ccc; padding-left: .8em; }
.name { color: #667; font-size: .85em; } td { padding-right: 1.5em; vertical-align: top; } .stop { color: #b02a37; }
</style></head><body>
<h1>Training examples: {{ title }}</h1>
<table>{% for name, value in sight.facts %}<tr><td>{{ name }}</td><td>{{ value }}</td></tr>{% endfor %}</table>
<p><mark>Marked</mark> tokens are learned; all others are only read. <del>Struck</del> ones are not even read.</p>
{% for line in sight.losses %}<p>{{ line }}</p>{% endfor %}
{% for problem in sight.problems %}<p class="stop">Training would stop: {{ problem }}</p>{% endfor %}
{% for view in sight.views %}<h2>{{ view.ids | join(", ") }}</h2>
{% if view.target %}<p>learned of the whole: <mark>{{ view.target }}</mark></p>{% endif %}
{% for passage in view.passages %}<div style="margin-left: {{ passage.depth * 2 }}em">
<div class="name">{{ passage.name }} {{ passage.tokens }} tokens, {{ passage.learned }} learned</div>
<div class="passage">{% for piece in passage.pieces %}{% if piece.learned is none %}{{ piece.text }}{% else -%}
<mark>{{ piece.text }}{% if piece.learned %} <small>{{ piece.learned }}</small>{% endif %}</mark>
{%- endif %}{% endfor %}</div></div>{% endfor %}
{% for piece in view.cut %}<div class="passage"><del>{{ piece.text }}</del></div>{% endfor %}
{% for note in view.notes %}<p>{{ note }}</p>{% endfor %}{% endfor %}
</body></html>
"""


def html(sight: Sight, title: str) -> str:
    """The whole page; needs no other file."""
    from jinja2 import Environment

    return Environment(autoescape=True).from_string(PAGE).render(sight=sight, title=title)


def draw(sight: Sight, stream: Any, colour: bool, whole: bool = False) -> None:
    """Write facts, examples and losses. colour: the stream is a terminal; whole: shorten nothing."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, soft_wrap=True, no_color=not colour, force_terminal=colour)
    for name, value in sight.facts:
        console.print(Text(f"  {name:<15} {value}"))
    for view in sight.views:
        console.print(Text(f"\n{', '.join(view.ids)}", style="bold"))
        for line in _lines(view, colour, whole):
            console.print(line)
    console.print()
    for text in sight.losses:
        console.print(Text(f"  {text}", style="yellow"))
    for problem in sight.problems:
        console.print(Text(f"  training would stop: {problem}", style="red"))


def _lines(view: View, colour: bool, whole: bool) -> Iterator[Any]:
    from rich.text import Text

    for passage in view.passages:
        indent = "  " * (passage.depth + 1)
        name = f"{passage.name}: " if passage.name else ""
        learned = f", {passage.learned:,} learned" if passage.learned or not view.target else ""
        yield Text(f"{indent}{name}{passage.tokens:,} tokens{learned}", style="dim")
        line = Text(indent)
        for piece in _few(passage, whole):
            line.append_text(_drawn(piece, colour))
        yield line
    if view.target:
        yield Text("  learned of the whole: ").append_text(_marked(view.target, "", colour))
    for piece in view.cut:
        yield Text(f"  not read ({piece.tokens:,} tokens): {piece.text if whole else _short(piece)}", style="red")
    for note in view.notes:
        yield Text(f"  {note}", style="yellow")


def _few(passage: Passage, whole: bool) -> Iterator[Piece]:
    for piece in passage.pieces:
        yield piece if whole or piece.learned is not None else replace(piece, text=_short(piece))


def _short(piece: Piece) -> str:
    """The text, without its middle where it is long."""
    text = piece.text
    return text if len(text) <= 3 * LEAST else f"{text[:LEAST]} … {piece.tokens:,} tokens in all … {text[-LEAST:]}"


def _drawn(piece: Piece, colour: bool) -> Any:
    from rich.text import Text

    return Text(piece.text) if piece.learned is None else _marked(piece.text, piece.learned, colour)


def _marked(text: str, learned: str, colour: bool) -> Any:
    from rich.text import Text

    label = f"|{learned}" if learned else ""
    return Text(text, style="black on green").append(label, style="green") if colour else Text(f"⟦{text}{label}⟧")
