"""Charts and diagrams of Office files: the numbers and words that stand behind the picture.

Purpose: a chart keeps its values as text in its part, and a diagram its labels; both are read as a table and as lines,
so that a report does not lose the figures it talks about.
Not covered: pictures, colours and positions; charts that only a newer program knows (`chartex`) keep their words only.
"""

from __future__ import annotations

from typing import Any

from metier.collect.package import Package, child, get, inside, local, rows, words


def chart(package: Package, name: str) -> str:
    """Title, then a table with one column a series and one row a category."""
    root = package.xml(name)
    plot = next(inside(root, "plotArea"), None)
    title = next(inside(root, "title"), None)
    heading = words(title).strip() if title is not None else ""
    if plot is None:
        return "\n".join(part for part in (heading, words(root).strip()) if part)
    categories: dict[int, str] = {}
    columns: list[tuple[str, dict[int, str]]] = []
    for series in inside(plot, "ser"):
        for key in ("cat", "xVal"):
            if (found := child(series, key)) is not None:
                categories |= _points(found)
        label = child(series, "tx")
        value = next((item for key in ("val", "yVal") if (item := child(series, key)) is not None), None)
        if value is not None:
            columns.append(("".join(_points(label).values()) if label is not None else "", _points(value)))
    count = 1 + max((max(values, default=-1) for values in (categories, *(v for _, v in columns))), default=-1)
    table = [["", *(label for label, _ in columns)]]
    table += [[categories.get(at, ""), *(values.get(at, "") for _, values in columns)] for at in range(count)]
    return "\n".join(part for part in (heading, rows(table)) if part)


def diagram(package: Package, name: str) -> str:
    """The labels of a SmartArt diagram, a line each."""
    lines = [words(point).strip() for point in inside(package.xml(name), "pt")]
    return "\n".join(line for line in lines if line)


def _points(element: Any) -> dict[int, str]:
    """Cached values of a reference or a literal: index -> text; a name without an index counts as the first."""
    found: dict[int, str] = {}
    levels = list(inside(element, "lvl")) or [element]
    for level in reversed(levels):  # the outermost level of a category stands last
        for point in inside(level, "pt"):
            index = get(point, "idx")
            if index.isdigit():
                value = _number(words(point, "v"))
                found[int(index)] = f"{found[int(index)]} {value}" if int(index) in found else value
    if not found and (text := words(element, "v") or words(element)):
        found[0] = text
    return found


def _number(text: str) -> str:
    """A stored number without the noise of binary fractions: 0.30000000000000004 is 0.3."""
    try:
        return f"{float(text):.12g}" if "." in text or "E" in text.upper() else text
    except ValueError:
        return text


def related(package: Package, relations: dict[str, tuple[str, str]], element: Any) -> list[str]:
    """Texts of the chart or diagram that an element of a drawing refers to."""
    found = []
    for item in element.iter():
        tag = local(item)
        key = get(item, "id") if tag == "chart" else get(item, "dm") if tag == "relIds" else ""
        kind, target = relations.get(key, ("", ""))
        if target in package and kind in ("chart", "chartEx"):
            found.append(chart(package, target))
        elif target in package and kind == "diagramData":
            found.append(diagram(package, target))
    return [text for text in found if text]
