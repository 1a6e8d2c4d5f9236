"""A list of changes gives the new text and the old one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.prepare.changes import applied, change, undo


@given(st.data())
def test_what_was_changed_comes_back(data: st.DataObject) -> None:
    text = data.draw(st.text("ab中文 \n", max_size=30))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8, unique=True)))
    row = {"id": "1", "source": "s", "text": text}
    changes: list[Any] = [change(row, "x", start, end, data.draw(st.text("xy字", max_size=3)), "")
                          for start, end in zip(cuts[::2], cuts[1::2], strict=False)]  # fmt: skip
    assert undo(applied(text, changes), changes[::-1]) == text


def test_another_text_is_refused() -> None:
    row = {"id": "1", "source": "s", "text": "a cat"}
    with pytest.raises(ValueError, match="does not hold 'dog'"):
        undo("a cow", [change(row, "x", 2, 5, "dog", "")])
