from __future__ import annotations

import pytest

from metier.errors import UserError
from metier.train.encoding import Encoder, limit, special_tokens
from metier.train.network import load_tokenizer


@pytest.fixture
def tokenizer(base):
    return load_tokenizer(base("bert"))


def test_special_tokens_are_found(tokenizer):
    assert special_tokens(tokenizer) == ([2], [3])


def test_short_texts_are_one_window(tokenizer):
    encoded = Encoder(tokenizer, 16).encode(["lost my card", "", "我的卡丢了"])
    assert [len(item.windows) for item in encoded.items] == [1, 1, 1]
    assert encoded.items[1].windows == ((2, 3),)
    assert (encoded.windowed, encoded.cut, encoded.cut_tokens) == (0, 0, 0)
    assert encoded.tokens == sum(encoded.lengths())


def test_windows_overlap_and_lose_nothing(tokenizer):
    words = " ".join(["card", "bank", "lost", "late"] * 10)
    encoded = Encoder(tokenizer, 12, "window", 8, overlap=2).encode([words])
    ids = tokenizer(words, add_special_tokens=False)["input_ids"]
    bodies = [window[1:-1] for window in encoded.items[0].windows]
    rebuilt = list(bodies[0])
    for body in bodies[1:]:
        assert list(body[:2]) == rebuilt[-2:]
        rebuilt += body[2:]
    assert rebuilt == ids
    assert all(len(window) <= 12 for window in encoded.items[0].windows)
    assert (encoded.windowed, encoded.cut) == (1, 0)


@pytest.mark.parametrize(("rule", "windows", "lost"), [("cut", 1, 30), ("window", 3, 10)])
def test_what_does_not_fit_is_counted(tokenizer, rule, windows, lost):
    encoded = Encoder(tokenizer, 12, rule, 3, overlap=0).encode([" ".join(["card"] * 40)])
    assert (len(encoded.items[0].windows), encoded.cut, encoded.cut_tokens) == (windows, 1, lost)


def test_limit_is_the_models_and_a_larger_wish_is_refused(base, tokenizer):
    config = type("Config", (), {"max_position_embeddings": 80, "pad_token_id": 1, "model_type": "roberta"})()
    assert limit(config, tokenizer, None) == 78
    assert limit(config, tokenizer, 20) == 20
    with pytest.raises(UserError, match="at most 78"):
        limit(config, tokenizer, 79)
