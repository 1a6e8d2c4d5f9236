"""Splits by several keys and by time: what hangs together stays together, the newest is tested."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.errors import UserError
from metier.prepare.split_time import place_by_time
from metier.prepare.times import read_time

from .conftest import document


def text(number: int) -> str:
    return " ".join(f"{(number * 7919 + k * 104729) % 99991:05d}"[::-1] for k in range(6))


def notes(number: int, **columns: Any) -> list[dict[str, Any]]:
    """Documents without near duplicates; `columns` are functions of the number, put into the metadata but for time."""
    rows = []
    for i in range(number):
        row = document(
            i, f"note {text(i)}", f"label{i % 2}", **({"group": f"p{i}"} if "patients" not in columns else {})
        )
        cells = {name: value(i) for name, value in columns.items() if name != "time"}
        row["metadata"] = row["metadata"][:-1] + "".join(f', "{k}": "{v}"' for k, v in cells.items()) + "}"
        row["time"] = columns["time"](i) if "time" in columns else ""
        rows.append(row)
    return rows


def test_a_household_stays_together_although_its_patients_are_groups_of_their_own(stage: Any) -> None:
    rows = notes(120, household=lambda i: f"h{i // 4}", doctor=lambda i: f"d{i // 40}" if i % 40 < 2 else "")
    done = stage(rows, {"split": {"groups": ["household"]}})
    assert done.summary["split_by"] == "group"
    side = {row["source"]: row["split"] for row in done.examples}
    for household in range(30):
        assert len({side[f"data.csv#{i}"] for i in range(4 * household, 4 * household + 4)}) == 1
    assert done.summary["leaks"]["pairs"]["train/test"]["groups by household"] == 0
    assert done.summary["splits"] == {"train": 84, "validation": 12, "test": 24}
    both = stage(rows, {"split": {"groups": ["household", "doctor"]}})
    side = {row["source"]: row["split"] for row in both.examples}
    for start in (0, 40, 80):  # two patients of one doctor tie their households
        assert len({side[f"data.csv#{i}"] for i in range(start, start + 4)}) == 1


def test_keys_tie_from_row_to_row(stage: Any) -> None:
    rows = notes(60, a=lambda i: f"a{i // 2}" if i < 20 else "", b=lambda i: f"b{(i + 1) // 2}" if i < 20 else "nan")
    done = stage(rows, {"split": {"groups": ["a", "b"]}})
    side = {row["source"]: row["split"] for row in done.examples}
    assert len({side[f"data.csv#{i}"] for i in range(20)}) == 1


def test_a_key_that_is_the_only_group_becomes_the_group(stage: Any) -> None:
    rows = notes(40, patients=lambda i: i, household=lambda i: f"h{i // 4}")
    done = stage(rows, {"split": {"groups": ["household"]}})
    assert done.summary["split_by"] == "group"
    assert {row["group"] for row in done.examples} == {f"household=h{i}" for i in range(10)}


def test_a_key_that_no_row_has(stage: Any) -> None:
    with pytest.raises(UserError, match="no document has the column 'houshold'") as error:
        stage(notes(20, household=lambda i: f"h{i}"), {"split": {"groups": ["houshold"]}})
    assert "household" in error.value.fix


def by_time(stage: Any, rows: list[dict[str, Any]], **more: Any) -> Any:
    return stage(rows, {"split": {"by": "time", **more}})


def test_the_newest_are_tested(stage: Any) -> None:
    days = [f"2024-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(100)]
    order = random.Random(0).sample(range(100), 100)
    done = by_time(stage, notes(100, time=lambda i: days[order[i]]))
    assert done.summary["split_by"] == "time"
    assert done.summary["splits"] == {"train": 70, "validation": 10, "test": 20}
    times = {split: [days[order[int(row["source"][9:])]] for row in done.examples if row["split"] == split]
             for split in ("train", "validation", "test")}  # fmt: skip
    assert max(times["train"]) < min(times["validation"]) <= max(times["validation"]) < min(times["test"])


def test_a_patient_with_old_and_new_notes_is_tested_whole_and_told(stage: Any) -> None:
    rows = notes(100, time=lambda i: f"2024-{1 + i // 28:02d}-{1 + i % 28:02d}")
    for old, new in ((3, 95), (40, 96)):
        rows[old]["group"] = rows[new]["group"]
    done = by_time(stage, rows)
    side = {row["source"]: row["split"] for row in done.examples}
    assert side["data.csv#3"] == side["data.csv#40"] == "test"
    assert any("2 examples in test and validation are older" in warning for warning in done.summary["warnings"])
    assert done.summary["leaks"]["pairs"]["train/test"] == {"groups": 0, "clusters": 0, "near pairs": 0, "passages": 0}


def test_rows_without_a_time(stage: Any) -> None:
    rows = notes(60, time=lambda i: "" if i % 10 == 0 else f"2024-01-{1 + i // 2}")
    done = by_time(stage, rows)
    assert {row["split"] for row in done.examples if int(row["source"][9:]) % 10 == 0} == {"train"}
    assert any("6 examples without a time" in warning for warning in done.summary["warnings"])
    assert by_time(stage, rows, without_time="reject").reasons() == {"no time": 6}
    with pytest.raises(UserError, match="no document has a time"):
        by_time(stage, notes(20, time=lambda i: "soon"))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2024-03-05T10:00:00+08:00", "2024-03-05T02:00:00"),
        ("2024/3/5", "2024-03-05T00:00:00"),
        ("２０２４年３月５日 10:30", "2024-03-05T10:30:00"),
        ("5 March 2024", "2024-03-05T00:00:00"),
        ("March 5, 2024", "2024-03-05T00:00:00"),
        ("20240305", "2024-03-05T00:00:00"),
        ("2024", "2024-01-01T00:00:00"),
        ("Tue, 05 Mar 2024 10:00:00 +0800", "2024-03-05T02:00:00"),
        ("05/03/2024", ""),
        ("2024-13-01", ""),
        ("soon", ""),
    ],
)
def test_times(written: str, read: str) -> None:
    assert read_time(written) == read


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["", "2020", "2021", "2022", "2023"]), min_size=1, max_size=4), min_size=1,
                max_size=12))  # fmt: skip
def test_train_is_older_than_whatever_is_tested(unions: list[list[str]]) -> None:
    times = [time for union in unions for time in union]
    starts = [sum(map(len, unions[:i])) for i in range(len(unions))]
    places = [list(range(start, start + len(union))) for start, union in zip(starts, unions, strict=True)]
    splits = place_by_time(places, times, {"test": 0.2, "validation": 0.1, "train": 0.7})
    newest = {name: [max(union) for union, split in zip(unions, splits, strict=True) if split == name]
              for name in ("train", "validation", "test")}  # fmt: skip
    assert max(newest["train"], default="") < min(newest["test"], default="9")
    assert max(newest["train"], default="") < min(newest["validation"], default="9")
    assert max(newest["validation"], default="") < min(newest["test"], default="9")
    if len({max(union) for union in unions} - {""}) > 1:
        assert newest["test"] and newest["train"]
