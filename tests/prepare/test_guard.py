"""Near texts that mean something else are never folded."""

import pytest

from metier.prepare.guard import facts


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("pay 100 to the account", "pay 900 to the account"),
        ("pay 100 of 200", "pay 200 of 100"),
        ("due on 3 May", "due on 3 June"),
        ("It was authorised", "It was unauthorised"),
        ("I did pay", "I did not pay"),
        ("I can pay", "I can't pay"),
        ("I can’t pay", "I can pay"),
        ("rate of 1.5", "rate of 15"),
        ("two cards", "three cards"),
        ("患者有发热", "患者无发热"),
        ("本合同有效", "本合同无效"),
        ("我收到了退款", "我没收到退款"),
        ("服药３天", "服药5天"),
        ("三个月", "五个月"),
        ("今天到账", "明天到账"),
    ],
)
def test_differs(one: str, two: str) -> None:
    assert facts(one) != facts(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Where is my card?", "where is my card"),
        ("I can’t pay", "I can't pay!"),
        ("我的卡在哪里？", "我的卡在哪里呢"),
        ("５６岁", "56岁"),
    ],
)
def test_agrees(one: str, two: str) -> None:
    assert facts(one) == facts(two)
