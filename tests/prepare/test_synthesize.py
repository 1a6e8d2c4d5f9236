"""Pairs of a model are cached, checked against the text, paid for within limits, and never made from test documents.

The model is a server on this machine that answers over real HTTP; what it says is decided by each test.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from metier.errors import UserError
from metier.prepare import synthesize as module
from metier.prepare.config_texts import SynthesizeConfig
from metier.prepare.endpoint import Endpoint
from metier.prepare.operation import Result, Settings
from metier.prepare.synthesize import find_span, overlap, synthesize

from .texts import documents, operate, settings

EN = (
    "The borrower repays the loan within 30 days. The lender charges a fee of $1,500 for each notice. "
    "No set-off is allowed."
)
ZH = "借款人应当在三十日内归还贷款。贷款人每次催告收取手续费500元。不得抵销。"
GOOD = [{"question": "When is the loan repaid?", "answer": "within 30 days",
         "quote": "The borrower repays the loan within 30 days."}]  # fmt: skip
Reply = Callable[[dict[str, Any], int], tuple[int, Any]]


class Server(ThreadingHTTPServer):
    """Counts what it is asked; `reply(body, number of the request)` gives status and answer."""

    reply: Reply
    bodies: list[dict[str, Any]]
    keys: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.server.keys.append(self.headers.get("Authorization"))
        assert self.path == "/v1/chat/completions"
        status, said = self.server.reply(body, len(self.server.bodies))
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/v1/chat/completions")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Silence."""


def says(content: Any) -> dict[str, Any]:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return {"choices": [{"message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20}}  # fmt: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "METIER_OFFLINE", "METIER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    found = Server(("127.0.0.1", 0), Handler)
    found.reply, found.bodies, found.keys = lambda body, number: (200, says(GOOD)), [], []
    threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def on(server: Server, tmp_path: Path) -> Callable[..., Settings]:
    return lambda **more: settings(
        synthesize={"endpoint": server.url, "model": "fake", "cache": str(tmp_path / "answers"), **more}
    )


def metadata(result: Result) -> list[dict[str, Any]]:
    return [json.loads(text) for text in result.batch["metadata"].to_pylist()]


def test_a_grounded_pair_becomes_a_row(server: Server, on: Callable[..., Settings]) -> None:
    result = operate(synthesize, documents([EN], language="en"), on())
    parent, pair = result.batch.to_pylist()
    data = json.loads(pair["metadata"])
    assert data["question"] == GOOD[0]["question"] and data["answer"] == "within 30 days"
    assert EN[data["derived"]["start"] : data["derived"]["end"]] == "The borrower repays the loan within 30 days"
    assert data["derived"]["by"] == "synthesize" and data["derived"]["model"] == "fake"
    assert pair["group"] == parent["group"] == parent["id"] == data["derived"]["parent"] and parent["text"] == EN
    assert result.counts == {
        "asked": 1,
        "pairs": 1,
        "requests": 1,
        "tries": 1,
        "tokens read": 100,
        "tokens written": 20,
    }
    assert EN in server.bodies[0]["messages"][0]["content"] and server.bodies[0]["model"] == "fake"
    assert server.keys == [None]


def test_the_prompt_is_in_the_language_of_the_text_or_of_a_file(
    server: Server, on: Callable[..., Settings], tmp_path: Path
) -> None:
    operate(synthesize, documents([ZH], language="zh"), on())
    assert "请阅读" in server.bodies[0]["messages"][0]["content"]
    mine = tmp_path / "prompt.txt"
    mine.write_text("Ask {number} things about: {text}", encoding="utf-8")
    operate(synthesize, documents([ZH], language="zh"), on(prompt=str(mine), per_document=2))
    assert server.bodies[1]["messages"][0]["content"] == f"Ask 2 things about: {ZH}"
    mine.write_text("Ask {what}", encoding="utf-8")
    module._template.cache_clear()
    with pytest.raises(UserError, match="cannot be filled in"):
        operate(synthesize, documents([ZH], language="zh"), on(prompt=str(mine)))


@pytest.mark.parametrize(
    ("text", "entry", "reason"),
    [
        (EN, {"question": "Fee?", "answer": "$2,500", "quote": "The lender charges a fee of $1,500 for each notice."},
         "a figure of the answer is not in the text"),
        (EN, {"question": "Fee?", "answer": "$1,500", "quote": "The lender asks for money."},
         "the quoted sentence is not in the text"),
        (EN, {"question": "Why?", "answer": "because banks must protect depositors", "quote": "No set-off is allowed."},
         "the answer is not supported by the text"),
        (EN, {"question": "", "answer": "x", "quote": "y"}, "not a pair"), (EN, "words", "not a pair"),
        (ZH, {"question": "手续费？", "answer": "600元", "quote": "贷款人每次催告收取手续费500元。"},
         "a figure of the answer is not in the text"),
        (ZH, {"question": "为什么？", "answer": "银行需要保护存款人", "quote": "不得抵销。"},
         "the answer is not supported by the text"),
        (ZH, {"question": "多久？", "answer": "三十日内", "quote": "借款人必须还钱。"},
         "the quoted sentence is not in the text"),
    ],
)  # fmt: skip
def test_what_is_not_grounded_is_refused_with_its_reason(
    server: Server, on: Callable[..., Settings], text: str, entry: Any, reason: str
) -> None:
    server.reply = lambda body, number: (200, says([entry]))
    result = operate(synthesize, documents([text], language="zh" if text == ZH else "en"), on())
    assert len(result.batch) == 1 and result.counts["refused"] == 1
    assert metadata(result)[0]["refused"][0]["reason"] == reason
    assert "1 refused" in synthesize.note(result.counts)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        (EN, {"question": "Fee?", "answer": "The fee for each notice is $1,500.",
              "quote": "the lender charges a fee of $1,500 for each notice"}),
        (ZH, {"question": "手续费是多少？", "answer": "每次收取５００元手续费",
              "quote": "贷款人每次催告收取手续费500元"}),
    ],
)  # fmt: skip
def test_paraphrases_close_to_the_text_stay(server: Server, on: Callable[..., Settings], text: str, entry: Any) -> None:
    server.reply = lambda body, number: (200, says("Here you are:\n```json\n" + json.dumps([entry]) + "\n```"))
    assert operate(synthesize, documents([text]), on()).counts["pairs"] == 1


def test_answers_are_cached_and_offline_forbids_new_ones(
    server: Server, on: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = operate(synthesize, documents([EN]), on())
    monkeypatch.setenv("METIER_OFFLINE", "1")
    again = operate(synthesize, documents([EN]), on())
    assert again.batch.equals(first.batch) and again.counts["cached"] == 1 and len(server.bodies) == 1
    with pytest.raises(UserError, match="METIER_OFFLINE is set"):
        operate(synthesize, documents([ZH]), on())
    monkeypatch.delenv("METIER_OFFLINE")
    next((tmp_path / "answers").rglob("*.json")).write_text("{")  # damaged: asked again
    assert operate(synthesize, documents([EN]), on()).counts["requests"] == 1


def test_the_key_is_sent_and_kept_nowhere(
    server: Server, on: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METIER_API_KEY", "not-a-real-key")
    operate(synthesize, documents([EN]), on())
    assert server.keys == ["Bearer not-a-real-key"]
    assert all("not-a-real-key" not in path.read_text() for path in tmp_path.rglob("*.json"))
    server.reply = lambda body, number: (302, b"")
    with pytest.raises(UserError, match="302"):  # not followed: the key stays here
        operate(synthesize, documents([ZH]), on())


def test_limits_leave_the_rest_over_whatever_the_batches(server: Server, on: Callable[..., Settings]) -> None:
    table = documents([f"{EN} Clause {letter}." for letter in "abcdefgh"], language="en")
    result = operate(synthesize, table, on(max_requests=3))
    assert result.counts["asked"] == 3 and result.counts["left over"] == 5 and len(server.bodies) == 3
    assert "5 left over" in synthesize.note(result.counts)
    other = operate(synthesize, table, on(max_requests=3), size=2)
    assert other.batch.equals(result.batch) and len(server.bodies) == 3
    assert synthesize.observe is not None
    each = synthesize.observe(table, on(price=(2.0, 8.0)))["cost"].to_pylist()
    paid = operate(synthesize, table, on(price=(2.0, 8.0), max_cost=each[0] * 2.5))
    assert paid.counts["asked"] == 2 and paid.counts["left over"] == 6


def test_busy_servers_are_tried_again_and_mistakes_are_not(
    server: Server, on: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metier.prepare.endpoint.time.sleep", lambda seconds: None)
    answers = {1: (429, {}), 2: (503, {}), 3: (200, b"not json"), 4: (200, {"odd": 1}), 5: (200, says(GOOD))}
    server.reply = lambda body, number: answers[number]
    assert operate(synthesize, documents([EN]), on()).counts["tries"] == 5
    server.reply = lambda body, number: (500, {})
    with pytest.raises(UserError, match="no answer from the model's server: 500"):
        operate(synthesize, documents([ZH]), on(retries=2))
    assert len(server.bodies) == 8
    server.reply = lambda body, number: (401, {"error": "no key"})
    with pytest.raises(UserError, match="METIER_API_KEY"):
        operate(synthesize, documents([ZH]), on())
    assert len(server.bodies) == 9
    gone = SynthesizeConfig(endpoint="http://127.0.0.1:9/v1", model="m", retries=0, cache="nowhere")
    with pytest.raises(UserError, match="check that it runs"):
        Endpoint(gone).ask([{"role": "user", "content": "x"}])


def test_unreadable_answers_and_repeats(server: Server, on: Callable[..., Settings]) -> None:
    server.reply = lambda body, number: (200, says("I would rather not."))
    result = operate(synthesize, documents([EN]), on())
    assert result.counts["unreadable"] == 1 and metadata(result)[0]["refused"][0]["reason"] == "unreadable"
    server.reply = lambda body, number: (200, says({"pairs": [*GOOD, *GOOD]}))
    twice = operate(synthesize, documents([EN + " "]), on())
    assert twice.counts["pairs"] == 1 and metadata(twice)[0]["refused"][0]["reason"] == "asked twice"
    server.reply = lambda body, number: (200, says([]))
    assert len(operate(synthesize, documents([EN + "  "]), on()).batch) == 1


def test_test_documents_and_made_examples_are_never_asked_about(server: Server, on: Callable[..., Settings]) -> None:
    for data in ('{"split": "test"}', '{"split": "validation"}', '{"shape": "question-answer"}'):
        result = operate(synthesize, documents([EN], metadata=data), on())
        assert len(result.batch) == 1 and result.counts == {"left alone": 1}
    assert server.bodies == []


def test_spans_and_overlap() -> None:
    text = "他说：“贷款  ＡＢＣ 应当\n归还。”"
    start, end = find_span("贷款ABC应当归还", text) or (0, 0)
    assert text[start:end] == "贷款  ＡＢＣ 应当\n归还"
    assert find_span("", text) is None and find_span("抵押", text) is None
    assert overlap("归还贷款", "贷款应当归还") == pytest.approx(2 / 3) and overlap("。", text) == 0
    assert overlap("repay the loan", "the loan they repay") == 1


def test_config() -> None:
    for wrong in ({"endpoint": "localhost:8000", "model": "m"}, {"endpoint": "http://x"},
                  {"endpoint": "http://x", "model": "m", "max_cost": 1}):  # fmt: skip
        with pytest.raises(ValidationError):
            SynthesizeConfig.model_validate(wrong)
