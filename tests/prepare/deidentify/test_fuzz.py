"""Any text at all: nothing crashes, spans are in order and inside, and no pattern runs away."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.prepare.deidentify.recognise.find import find
from metier.prepare.deidentify.recognise.folding import fold
from metier.prepare.deidentify.replace.text import replace

# Pieces that patterns are made of, so that texts come near to them.
PIECES = st.sampled_from(
    [
        "138",
        "0013",
        "8000",
        "-",
        " ",
        "+86",
        "(",
        ")",
        "：",
        ":",
        "@",
        ".com",
        "x",
        "身份证",
        "电话",
        "张三",
        "先生",
        "市",
        "区",
        "路",
        "号",
        "Dr. ",
        "John ",
        "Smith",
        ", ",
        "St",
        "\n",
        "4111",
        "1111",
        "GB82",
        "WEST",
        "http://",
        "www.",
        "2024",
        "年",
        "5",
        "月",
        "1",
        "日",
        "岁",
        "93",
        "京A",
        "１",
        "９",
        "é",
        "\u200b",
        "🙂",
        "ID",
        "policy number ",
        "Name",
        "[PHONE]",
        "***",
        "某",
        "（2024）",
        "民初",
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=40).map("".join))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_spans_are_in_order_inside_and_the_rest_stays(text: str) -> None:
    assert len(fold(text)) == len(text)
    spans = find(text, ages_from=18, companies=True)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(left.end <= right.start for left, right in itertools.pairwise(spans))
    new, done = replace(text, spans, lambda kind: "placeholder", chinese=False)
    assert new.count("[") >= len(done)
    rebuilt, at, out = "", 0, 0  # the list of replacements gives the text back
    for item in done:
        rebuilt += new[out : out + item.start - at] + item.before
        out += item.start - at + len(item.after)
        at = item.end
    assert rebuilt + new[out:] == text


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.sampled_from(["mask", "placeholder"]), st.booleans())
def test_a_second_pass_finds_nothing_new_in_what_was_put_in(text: str, policy: str, chinese: bool) -> None:
    new, done = replace(text, find(text), lambda kind: policy, chinese)
    put = {item.after for item in done}
    again = find(new)
    assert not [span for span in again if new[span.start : span.end] in put]


HOSTILE = {
    "digits": "1" * 20_000,
    "digits and spaces": "1 " * 10_000,
    "at signs": "a@" * 10_000,
    "colons": ":" * 20_000,
    "schemes": "://" * 7_000,
    "capitals": "A" * 20_000,
    "names": "John Smith, " * 1_700,
    "hyphens": "1-" * 10_000,
    "han": "市" * 20_000,
    "address": "北京市朝阳区" * 3_000,
    "labels": "身份证号" * 5_000,
    "english labels": "policy number " * 7_000,
    "brackets": "(" * 20_000,
    "dots": "1." * 10_000,
    "streets": "12 Baker " * 2_300,
    "surnames": "张王李" * 7_000,
    "dates": "2024-01-" * 2_500,
    "titles": "Mr Mr " * 3_000,
    "hex": "ab:" * 7_000,
    "mixed": "１Ａ市@:" * 20_000,
    "word": "a.b" * 7_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_pattern_runs_away(name: str) -> None:
    """20 kB of the worst kind within seconds, and no more than a few times as long for twice as much."""
    text = HOSTILE[name]
    half, whole = _seconds(text[: len(text) // 2]), _seconds(text)
    assert whole < 4
    assert whole < 3.5 * half + 0.3


def _seconds(text: str) -> float:
    start = time.process_time()
    find(text)
    return time.process_time() - start
