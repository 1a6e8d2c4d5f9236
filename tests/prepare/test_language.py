"""The script rule on texts of the field, short ones above all."""

import pytest

from metier.prepare.language import declared, detect


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I lost my card", "en"),
        ("ok", "en"),
        ("Café closed, résumé attached, please advise us on the next steps", "en"),
        ("患者男性，56岁，因胸痛入院", "zh"),
        ("银行卡丢了", "zh"),
        ("请查收附件 PDF", "zh"),
        ("BP 120/80，无发热", "zh"),
        ("患者服用 metformin 与 aspirin each morning", "mixed"),
        ("my card 被吞了", "mixed"),
        ("カードを紛失しました", ""),
        ("카드를 잃어버렸어요", ""),
        ("Я потерял карту", ""),
        ("Dziękuję, proszę o zwrot pieniędzy, był błąd", ""),
        ("12345 !!", ""),
        ("", ""),
    ],
)
def test_detect(text: str, language: str) -> None:
    assert detect(text) == language


@pytest.mark.parametrize(
    ("name", "code"),
    [("Chinese", "zh"), ("zh-CN", "zh"), ("zh_TW", "zh"), ("中文", "zh"), ("EN", "en"), ("en-US", "en"),
     ("English", "en"),
     ("de", "de"), ("", ""), ("nan", "")],
)  # fmt: skip
def test_declared(name: str, code: str) -> None:
    assert declared(name) == code
