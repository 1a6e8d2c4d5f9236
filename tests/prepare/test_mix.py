"""Weights, caps and general text: counted, seeded, and in training only."""

import json
from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from metier.prepare.config import MixConfig

from .conftest import document
from .test_ties_and_time import text


def rows(**sources: int) -> list[dict[str, Any]]:
    found = []
    for offset, (name, number) in enumerate(sources.items()):
        found += [document(0, f"{name} {text(1000 * offset + i)}", f"label{i % 2}", source=f"{name}/a.csv#{i}")
                  for i in range(number)]  # fmt: skip
    return found


def used(done: Any, split: str = "train") -> Counter[str]:
    return Counter(row["source"].split("/")[0] for row in done.examples if row["split"] == split)


def test_without_a_mixture_nothing_changes(stage: Any) -> None:
    done = stage(rows(letters=100, notes=50))
    assert done.summary["funnel"][-1] == {"step": "mix", "rows": 150, "removed": 0, "note": "as they are"}


def test_weights_repeat_and_thin_out_training_rows_only(stage: Any) -> None:
    given = rows(letters=200, notes=100)
    plain = stage(given)
    done = stage(given, {"mix": {"weights": {"letters/*": 0.5, "notes/*": 3}}})
    before, after = used(plain), used(done)
    assert after["notes"] == 3 * before["notes"]
    assert before["letters"] * 0.35 < after["letters"] < before["letters"] * 0.65
    assert used(done, "test") == used(plain, "test") and used(done, "validation") == used(plain, "validation")
    assert done.reasons() == {"mixed out": before["letters"] - after["letters"]}
    assert len({row["id"] for row in done.examples}) == len(done.examples)
    copies = [row for row in done.examples if "+" in row["id"]]
    assert len(copies) == 2 * before["notes"] and all(row["document_ids"] == [] for row in copies)
    texts = {row["id"]: row["text"] for row in done.examples}
    assert all(row["text"] == texts[row["id"].split("+")[0]] and row["split"] == "train" for row in copies)


def test_the_draw_follows_the_seed_and_not_the_order(stage: Any) -> None:
    given, config = rows(letters=120), {"mix": {"weights": {"letters/*": 0.5}}}
    first, turned = stage(given, config), stage(given[::-1], config)
    assert first.examples == turned.examples
    kept = [{row["text"] for row in stage(given, {**config, "split": {"validation": 0}}, seed=seed).examples
             if row["split"] == "train"} for seed in (1, 2)]  # fmt: skip
    assert kept[0] != kept[1]


def test_caps(stage: Any) -> None:
    done = stage(rows(letters=200, notes=40), {"mix": {"weights": {"notes/*": 2}, "caps": {"letters/*": 30, "*": 50}}})
    assert used(done)["letters"] == 30 and used(done)["notes"] == 50


def test_general_text_is_trained_on_by_its_share_and_never_tested(stage: Any) -> None:
    given = rows(field=100, general=300)
    done = stage(given, {"mix": {"general": ["general/*"], "general_share": 0.25}})
    assert used(done, "test").keys() == used(done, "validation").keys() == {"field"}
    counts = used(done)
    assert counts["general"] == round(counts["field"] / 3)
    assert "general text" in done.summary["funnel"][-1]["note"]
    every = stage(given, {"mix": {"general": ["general/*"]}})
    assert used(every)["general"] == 300
    held = stage(given, {"mix": {"general": ["general/*"], "general_share": 0.25, "general_test": 0.1}})
    assert used(held, "test")["general"] == 30 and used(held, "validation")["general"] == 0
    assert used(held)["general"] == round(used(held)["field"] / 3)
    few = stage(rows(field=100, general=4), {"mix": {"general": ["general/*"], "general_share": 0.5}})
    assert used(few)["general"] == 4
    assert any("there are only 4 rows" in warning for warning in few.summary["warnings"])


def test_settings_that_make_no_sense() -> None:
    for wrong in ({"weights": {"a": -1}}, {"caps": {"a": 0}}, {"general_share": 1}):
        with pytest.raises(ValidationError):
            MixConfig.model_validate(wrong)


def test_copies_keep_everything_that_is_learned(stage: Any) -> None:
    """A row that is repeated is the same row: its query, and the passages that do not answer it."""
    given = [document(n, f"passage {text(n)}", source=f"{'notes' if n % 2 else 'letters'}/a.csv#{n}")
             | {"metadata": json.dumps({"pair": f"query {n}?", "negatives": [f"wrong {n}", "worse"]})}
             for n in range(60)]  # fmt: skip
    done = stage(given, {"mix": {"weights": {"notes/*": 2}}, "dedup": {"near": False}}, {"name": "embed"})
    own = {row["id"]: (row["pair"], row["negatives"]) for row in done.examples}
    copies = [row for row in done.examples if "+" in row["id"]]
    assert copies and all((row["pair"], row["negatives"]) == own[row["id"].split("+")[0]] for row in copies)
    assert all(negatives and len(negatives) == 2 for _, negatives in own.values())
