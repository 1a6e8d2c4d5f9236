"""Presidio's recognisers beside ours: types, weight, both languages, and no way to the net."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from metier.prepare.config import PrepareConfig
from metier.prepare.deidentify.documents import Worker, knowledge_of
from metier.prepare.deidentify.recognise.rule import WEAK

pytest.importorskip("presidio_analyzer")

from metier.prepare.deidentify import presidio

WALLET = (
    "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ"  # Bitcoin's address in Presidio's own documentation; its check digits hold
)


@pytest.fixture(autouse=True)
def no_net(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_findings_are_weak_and_of_our_kinds(language: str) -> None:
    text = f"wallet {WALLET}, host 10.23.4.5, mail jo@praxis.example"
    found = {
        (span.kind, text[span.start : span.end], span.rule, span.weight) for span in presidio.spans(text, language)
    }
    assert {("wallet", WALLET, "presidio", WEAK), ("ip", "10.23.4.5", "presidio", WEAK)} <= found
    assert "email" not in {kind for kind, *_ in found}  # ours is better, and Presidio's asks the net for domains


def test_ours_win_where_both_find_something() -> None:
    config = PrepareConfig.model_validate({"deidentify": {"policy": "mask", "names": {"presidio": True}}}).deidentify
    worker = Worker(config, knowledge_of(config))
    text = f"患者的网络地址10.23.4.5，钱包{WALLET}。"
    (more,) = worker.more([text], ["zh"])
    spans = worker.find(text, more)
    (address,) = [span for span in spans if text[span.start : span.end] == "10.23.4.5"]
    assert address.kind == "ip" and address.rule != "presidio"
    without = Worker(config.model_copy(update={"names": config.names.model_copy(update={"presidio": False})}),
                     knowledge_of(config))  # fmt: skip
    assert without.more([text], ["zh"]) == [[]]
