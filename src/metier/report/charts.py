"""Small pictures as SVG text: intervals, bars, a heat map, a reliability diagram, a learning curve.

Purpose: pictures that need no script and no package, take their colours and fonts from the page (so that dark theme,
print and Chinese text simply work), and say in words what they show. Colour never speaks alone: outcomes differ in
shape too. Coordinates are px of a 360 px wide drawing, so that text keeps its size on a phone.
Not covered: interaction, and any chart that the report does not need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from markupsafe import Markup

WIDTH = 360.0


def nice_ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers (1, 2, 2.5, 5 times a power of ten) within [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) + 0.0 for i in range(first, math.floor(high / step + 1e-9) + 1)]


def interval_dot(
    row: Mapping[str, Any],
    limit: float,
    title: str,
    ticks: Sequence[tuple[float, str]] = (),
    ends: tuple[str, str] | None = None,
) -> Markup:
    """One opponent's difference on the common axis [-limit, limit], better to the right.

    row: "value", "low", "high" (already turned so that more is better; may be None) and "outcome". What lies beyond
    the axis is drawn as an arrow at its end. `ticks` (value, text) are lettered below; `ends` names the two directions.
    """
    top, middle, foot = (16.0 if ends else 0.0), 14.0, (18.0 if any(text for _, text in ticks) else 2.0)
    y, height = top + middle, top + 2 * middle + foot
    left, right = 12.0, WIDTH - 12.0

    def x(value: float) -> float:
        return left + (right - left) * (min(max(value, -limit), limit) + limit) / (2 * limit)

    parts = [f'<rect class="c-worse-side" x="{left}" y="{_n(top)}" width="{_n(x(0) - left)}" height="{2 * middle}"/>']
    parts += [
        f'<line class="c-grid" x1="{_n(x(t))}" x2="{_n(x(t))}" y1="{_n(top)}" y2="{_n(top + 2 * middle)}"/>'
        for t, _ in ticks
    ]
    parts.append(f'<line class="c-zero" x1="{_n(x(0))}" x2="{_n(x(0))}" y1="{_n(top)}" y2="{_n(top + 2 * middle)}"/>')
    if ends:
        parts.append(_text(left, 11, f"\u2190 {ends[0]}", "start") + _text(right, 11, f"{ends[1]} \u2192", "end"))
    parts += [_text(x(t), height - 4, text, "middle") for t, text in ticks if text]
    value, low, high, kind = row.get("value"), row.get("low"), row.get("high"), row.get("outcome", "same")
    if value is not None and abs(value) > limit:
        side, tip = (1, right) if value > 0 else (-1, left)
        parts.append(f'<path class="c-{kind} c-line" d="M{_n(tip - side * 40)} {_n(y)}H{_n(tip - side * 8)}"/>')
        parts.append(f'<path class="c-{kind}" d="M{_n(tip)} {_n(y)}l{-side * 12} -7v14z"/>')
    elif value is not None:
        if low is not None and high is not None:
            a, b = _n(x(low)), _n(x(high))
            ends_of_bar = f"M{a} {_n(y - 4)}v8M{b} {_n(y - 4)}v8"
            parts.append(f'<path class="c-{kind} c-line" d="M{a} {_n(y)}H{b}{ends_of_bar}"/>')
        parts.append(_mark(x(value), y, kind))
    return _svg(WIDTH, height, title, "".join(parts), "chart small")


def stacked(parts: Sequence[tuple[str, float, str]], title: str, height: float = 26.0, stretch: bool = False) -> Markup:
    """One bar cut into parts (class suffix, amount, text inside if it fits); widths are shares of the sum.

    stretch: fill whatever width the page gives (only for bars without letters, which would be distorted).
    """
    total = sum(amount for _, amount, _ in parts) or 1.0
    drawn, at = [], 0.0
    for kind, amount, text in parts:
        width = WIDTH * amount / total
        if width > 0:
            drawn.append(
                f'<rect class="s-{kind}" x="{_n(at)}" y="0" width="{_n(max(width - 1.5, 0.8))}" height="{_n(height)}"/>'
            )
            if len(text) * 7.5 < width - 6:
                drawn.append(_text(at + width / 2, height / 2 + 4.5, text, "middle", f"on-{kind}"))
        at += width
    return _svg(WIDTH, height, title, "".join(drawn), "stretch" if stretch else "chart small", stretch)


def bar(figure: Mapping[str, Any], title: str) -> Markup:
    """A share in [0, 1] as a bar with its interval as a whisker; an empty track when there is no data."""
    width, height = 120.0, 14.0
    parts = [f'<rect class="b-track" x="0" y="3" width="{width}" height="8"/>']
    value, low, high = figure.get("value"), figure.get("low"), figure.get("high")
    if value is not None:
        parts.append(f'<rect class="b-fill" x="0" y="3" width="{_n(width * min(max(value, 0), 1))}" height="8"/>')
        if low is not None and high is not None:
            a, b = width * max(low, 0), width * min(high, 1)
            parts.append(f'<path class="b-whisker" d="M{_n(a)} 7H{_n(b)}M{_n(a)} 4v6M{_n(b)} 4v6"/>')
    return _svg(width, height, title, "".join(parts), "bar")


def heat_map(labels: Sequence[str], counts: Sequence[Sequence[int]], title: str, compact: bool = False) -> Markup:
    """Gold (rows) by predicted (columns). Shade: share of the row; right answers and mistakes have their own hue.

    Columns carry the row's number, so that long names stand once. `compact` leaves names and counts away.
    """
    size = len(labels)
    cell = max(5.0, min(9.0, 540 / max(size, 1))) if compact else 30.0
    left = 22.0 if compact else 14.0 + 7.2 * min(max((_cells(label) for label in labels), default=1), 24) + 24
    top = 16.0 if compact else 22.0
    parts: list[str] = []
    for i, label in enumerate(labels):
        y = top + i * cell
        if not compact:
            parts.append(_text(left - 8, y + cell / 2 + 4, f"{_clip(label, 24)}  {i + 1}", "end"))
            parts.append(_text(left + (i + 0.5) * cell, top - 7, str(i + 1), "middle"))
        elif (i + 1) % 10 == 0:
            parts.append(
                _text(left - 4, y + cell, str(i + 1), "end")
                + _text(left + (i + 0.5) * cell, top - 4, str(i + 1), "middle")
            )
    parts.append(
        f'<rect class="h-frame" x="{_n(left)}" y="{_n(top)}" width="{_n(size * cell)}" height="{_n(size * cell)}"/>'
    )
    for i, row in enumerate(counts):
        total = sum(row) or 1
        for j, count in enumerate(row):
            if count:
                parts.append(_heat_cell(left + j * cell, top + i * cell, cell, count, count / total, i == j, compact))
    return _svg(left + size * cell + 4, top + size * cell + 4, title, "".join(parts), "chart fixed")


def reliability(bins: Sequence[Mapping[str, Any]], title: str, axes: tuple[str, str]) -> Markup:
    """Confidence (x) against share right (y) for each bin, dot area by n, with the diagonal of an honest model."""
    left, top, side, foot = 62.0, 10.0, 240.0, 40.0
    biggest = max((b["n"] or 0 for b in bins), default=1) or 1
    parts = _grid(
        left,
        top,
        side,
        side,
        [(t, f"{t:.0%}") for t in (0, 0.25, 0.5, 0.75, 1.0)],
        [(t, f"{t:.0%}") for t in (0, 0.25, 0.5, 0.75, 1.0)],
        (0, 1),
        (0, 1),
    )
    parts.append(f'<line class="c-dash" x1="{left}" y1="{top + side}" x2="{left + side}" y2="{top}"/>')
    points = [
        (left + side * b["confidence"], top + side * (1 - b["accuracy"]), b)
        for b in bins
        if b.get("n") and b.get("accuracy") is not None and b.get("confidence") is not None
    ]
    if len(points) > 1:
        parts.append('<polyline class="l-second" points="' + " ".join(f"{_n(a)},{_n(b)}" for a, b, _ in points) + '"/>')
    for a, b, row in points:
        radius = _n(2.5 + 8.5 * math.sqrt(row["n"] / biggest))
        dot = f'<circle class="c-better" cx="{_n(a)}" cy="{_n(b)}" r="{radius}">'
        parts.append(f"{dot}<title>n = {row['n']}</title></circle>")
    parts.append(_text(left + side / 2, top + side + 34, axes[0], "middle"))
    parts.append(
        f'<g transform="rotate(-90 12 {_n(top + side / 2)})">{_text(12, top + side / 2, axes[1], "middle")}</g>'
    )
    return _svg(WIDTH, top + side + foot, title, "".join(parts), "chart")


def risk_coverage(
    points: Sequence[Sequence[float]], title: str, axes: tuple[str, str], mark: tuple[float, str] | None = None
) -> Markup:
    """Share answered (x) against the error among the answers (y); mark: (share answered, words) of the threshold."""
    left, top, width, height = 56.0, 24.0, WIDTH - 80.0, 150.0
    high = max(max((y for _, y in points), default=0.0) * 1.08, 0.01)
    ys = [(t, f"{100 * t:g}%") for t in nice_ticks(0, high)]
    parts = _grid(left, top, width, height, [(t, f"{t:.0%}") for t in (0, 0.25, 0.5, 0.75, 1.0)], ys, (0, 1), (0, high))
    line = " ".join(f"{_n(left + width * x)},{_n(top + height * (1 - y / high))}" for x, y in points)
    parts.append(f'<polyline class="l-first" points="{line}"/>')
    if mark:
        x = left + width * mark[0]
        anchor = "end" if mark[0] > 0.6 else "start"
        parts.append(f'<line class="c-best" x1="{_n(x)}" x2="{_n(x)}" y1="{_n(top - 6)}" y2="{_n(top + height)}"/>')
        parts.append(_text(x + (-5 if anchor == "end" else 5), top - 8, mark[1], anchor, "strong"))
    parts.append(_text(left + width / 2, top + height + 34, axes[0], "middle"))
    parts.append(
        f'<g transform="rotate(-90 12 {_n(top + height / 2)})">{_text(12, top + height / 2, axes[1], "middle")}</g>'
    )
    return _svg(WIDTH, top + height + 42, title, "".join(parts), "chart")


def curve(
    series: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
    title: str,
    axis: str,
    best: tuple[float, str] | None = None,
) -> Markup:
    """Lines over epochs. series: (class suffix, name, points (x, y)); best: (epoch, words) as an upright mark."""
    left, top, width, height = 48.0, 24.0, WIDTH - 60.0, 160.0
    points = [point for _, _, line in series for point in line]
    if not points:
        return Markup("")
    x_low, x_high = 0.0, max(max(x for x, _ in points), best[0] if best else 0.0, 1e-9)
    y_low, y_high = min(y for _, y in points), max(y for _, y in points)
    pad = (y_high - y_low) * 0.08 or abs(y_high) * 0.1 or 0.1
    y_low, y_high = (0.0 if 0 <= y_low < (y_high - y_low) * 0.5 else y_low - pad), y_high + pad

    def place(x: float, y: float) -> tuple[float, float]:
        return left + width * (x - x_low) / (x_high - x_low), top + height * (1 - (y - y_low) / (y_high - y_low))

    y_ticks = nice_ticks(y_low, y_high)
    parts = _grid(
        left,
        top,
        width,
        height,
        [(t, f"{t:g}") for t in nice_ticks(x_low, x_high, 6)],
        [(t, f"{t:g}") for t in y_ticks],
        (x_low, x_high),
        (y_low, y_high),
    )
    if best:
        x, _ = place(best[0], y_low)
        anchor = "end" if x > left + width * 0.6 else "start"
        parts.append(f'<line class="c-best" x1="{_n(x)}" x2="{_n(x)}" y1="{_n(top - 6)}" y2="{_n(top + height)}"/>')
        parts.append(_text(x + (-5 if anchor == "end" else 5), top - 8, best[1], anchor, "strong"))
    for kind, _, line in series:
        line = _thin(line)
        parts.append(
            f'<polyline class="l-{kind}" points="' + " ".join("{},{}".format(*map(_n, place(*p))) for p in line) + '"/>'
        )
        if len(line) <= 30:
            parts += ['<circle class="d-{}" cx="{}" cy="{}" r="3"/>'.format(kind, *map(_n, place(*p))) for p in line]
    parts.append(_text(left + width / 2, top + height + 34, axis, "middle"))
    return _svg(WIDTH, top + height + 42, title, "".join(parts), "chart")


def _grid(
    left: float,
    top: float,
    width: float,
    height: float,
    xs: Sequence[tuple[float, str]],
    ys: Sequence[tuple[float, str]],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> list[str]:
    parts = []
    for value, text in ys:
        y = top + height * (1 - (value - y_range[0]) / (y_range[1] - y_range[0]))
        parts.append(f'<line class="c-grid" x1="{_n(left)}" x2="{_n(left + width)}" y1="{_n(y)}" y2="{_n(y)}"/>')
        parts.append(_text(left - 6, y + 4, text, "end"))
    for value, text in xs:
        x = left + width * (value - x_range[0]) / (x_range[1] - x_range[0])
        parts.append(
            f'<line class="c-grid" x1="{_n(x)}" x2="{_n(x)}" y1="{_n(top + height)}" y2="{_n(top + height + 4)}"/>'
        )
        parts.append(_text(x, top + height + 17, text, "middle"))
    return parts


def _mark(x: float, y: float, kind: str) -> str:
    """better: disc; same: hollow ring; worse: diamond. Told apart without colour."""
    if kind == "worse":
        return f'<path class="c-worse" d="M{_n(x)} {_n(y - 8)}l8 8l-8 8l-8 -8z"/>'
    return f'<circle class="c-{kind}" cx="{_n(x)}" cy="{_n(y)}" r="6.5"/>'


def _heat_cell(x: float, y: float, cell: float, count: int, share: float, right: bool, compact: bool) -> str:
    # A single mistake must still be seen, so shades start at 0.12; past 0.55 the ground is dark enough for white text.
    shade, gap = round(0.12 + 0.88 * share, 2), 0.0 if compact else 1.0
    kind = "right" if right else "wrong"
    side = _n(cell - gap)
    box = f'<rect class="h-{kind}" x="{_n(x)}" y="{_n(y)}" width="{side}" height="{side}" fill-opacity="{shade}"/>'
    if compact:
        return box
    return box + _text(x + cell / 2, y + cell / 2 + 4, str(count), "middle", "h-on" if shade > 0.55 else "h-off")


def _thin(line: Sequence[tuple[float, float]], most: int = 300) -> Sequence[tuple[float, float]]:
    if len(line) <= most:
        return line
    step = (len(line) - 1) / (most - 1)
    return [line[round(i * step)] for i in range(most)]


def _svg(width: float, height: float, title: str, body: str, kind: str, stretch: bool = False) -> Markup:
    words = escape(title, quote=True)
    head, _, rest = words.partition(": ")
    aspect = ' preserveAspectRatio="none"' if stretch else ""
    return Markup(
        f'<svg class="{kind}" role="img" aria-label="{words}" viewBox="0 0 {_n(width)} {_n(height)}" '
        f'width="{_n(width)}" height="{_n(height)}"{aspect}>'
        f"<title>{head}</title><desc>{rest or head}</desc>{body}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def _n(value: float) -> str:
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def _cells(text: str) -> int:
    """Width in half-width characters: a Chinese character takes two."""
    return sum(2 if ord(character) > 0x2E7F else 1 for character in text)


def _clip(text: str, most: int) -> str:
    """Cut to so many half-width characters, with an ellipsis."""
    if _cells(text) <= most:
        return text
    kept, width = [], 0
    for character in text:
        width += 2 if ord(character) > 0x2E7F else 1
        if width > most - 1:
            break
        kept.append(character)
    return "".join(kept) + "\u2026"
