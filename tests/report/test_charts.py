"""Pictures are well-formed, say in words what they show, and do not lie about where things are."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from metier.report import charts

BETTER = {"value": 0.03, "low": 0.02, "high": 0.04, "outcome": "better"}


def parse(svg):
    return etree.fromstring(str(svg))


@pytest.mark.parametrize(
    "svg",
    [
        charts.interval_dot(BETTER, 0.05, "a: b <c>", [(0.0, "0")], ("worse", "better")),
        charts.interval_dot({**BETTER, "value": None}, 0.05, "nothing"),
        charts.interval_dot({**BETTER, "low": None}, 0.05, "no interval"),
        charts.stacked([("mended", 3, "3"), ("broken", 0, "0")], "t"),
        charts.stacked([("mended", 0, "")], "empty"),
        charts.bar({"value": None, "low": None, "high": None}, "no data"),
        charts.bar({"value": 1.2, "low": -1, "high": 3}, "beyond"),
        charts.heat_map(["<a>", "中文标签" * 20], [[3, 1], [0, 0]], "m"),
        charts.heat_map([str(i) for i in range(77)], [[1] * 77] * 77, "m", True),
        charts.reliability([{"low": 0, "high": 0.1, "n": 0, "confidence": None, "accuracy": None}], "r", ("x", "y")),
        charts.curve([("first", "loss", [(1.0, 2.0), (2.0, 1.0)])], "c", "epoch", (2.0, "kept")),
        charts.curve([("first", "loss", [(1.0, 2.0)])], "one point", "epoch"),
    ],
)
def test_every_picture_is_well_formed_and_described(svg):
    root = parse(svg)
    assert root.get("role") == "img" and root.get("aria-label")
    assert root.findtext("title") and root.findtext("desc")
    assert not re.search(r"nan|inf\b|None", str(svg).replace("desc", ""))


def marks(svg):
    return [float(node.get("cx")) for node in parse(svg).iter("circle")]


def test_better_is_right_of_the_middle_and_worse_is_another_shape():
    assert marks(charts.interval_dot(BETTER, 0.05, "t"))[0] > charts.WIDTH / 2
    worse = charts.interval_dot({"value": -0.03, "low": -0.04, "high": -0.02, "outcome": "worse"}, 0.05, "t")
    assert not marks(worse) and "c-worse" in worse


def test_beyond_the_axis_is_an_arrow_not_a_dot_at_the_wrong_place():
    assert not marks(charts.interval_dot({**BETTER, "value": 0.5}, 0.05, "t"))


def test_no_points_no_picture():
    assert charts.curve([], "c", "epoch") == ""


def test_long_curves_are_thinned_but_keep_their_ends():
    line = [(float(i), 1.0 / (i + 1)) for i in range(5000)]
    thin = charts._thin(line)
    assert len(thin) <= 300 and thin[0] == line[0] and thin[-1] == line[-1]


@settings(max_examples=60, deadline=None)
@example(0.0001, 200201.0)
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside(low, width):
    ticks = charts.nice_ticks(low, low + width)
    assert len(ticks) <= 12
    slack = 1e-6 * max(1, abs(low), width)  # of the axis; nobody sees less
    assert all(low - slack <= tick <= low + width + slack for tick in ticks)
