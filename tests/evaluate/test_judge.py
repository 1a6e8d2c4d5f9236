"""Judges: a real HTTP endpoint with planted opinions; both orders, nonsense, timeouts, families, a crash half-way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from metier import tables
from metier.console import Console
from metier.errors import UserError
from metier.evaluate.agreement import alpha
from metier.evaluate.checks import judge as judging
from metier.evaluate.checks.base import Asked, Told
from metier.evaluate.checks.judge import Judge, family, read_reply, refuse_family, settle
from metier.evaluate.compare import Setting
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.config_writing import JudgeModel
from metier.evaluate.predict import PREDICTIONS
from metier.evaluate.resample import units
from metier.train.config import TaskConfig, TrainConfig

from .conftest import artifact

N = 40
TASK = TaskConfig(name="generate")


class Court(ThreadingHTTPServer):
    """An endpoint; `opinion(first answer, second answer, prompt)` is what it replies."""

    def __init__(self, opinion: Callable[[str, str, str], str]) -> None:
        self.opinion, self.asked, self.status = opinion, 0, 200
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Court

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += 1
        if self.server.status != 200 or self.path != "/v1/chat/completions":
            self.send_error(self.server.status if self.server.status != 200 else 404)
            return
        prompt = body["messages"][-1]["content"]
        marks = ("回答 A：\n", "\n\n回答 B：\n") if "回答 A：" in prompt else ("Answer A:\n", "\n\nAnswer B:\n")
        first, second = prompt.partition(marks[0])[2].split(marks[1])
        said = self.server.opinion(first, second, prompt)
        told = json.dumps({"model": f"{body['model']}-really", "choices": [{"message": {"content": said}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: Any) -> None:
        pass


def longer(first: str, second: str, prompt: str) -> str:
    better = "A" if len(first) > len(second) else "B" if len(second) > len(first) else "tie"
    return f'Surely: {{"better": "{better}", "reason": "it says more"}}'


@pytest.fixture
def court() -> Iterator[Callable[[Callable[[str, str, str], str]], Court]]:
    open_: list[Court] = []

    def opened(opinion: Callable[[str, str, str], str]) -> Court:
        open_.append(Court(opinion))
        return open_[-1]

    yield opened
    for one in open_:
        one.shutdown()
        one.server_close()


def asked(folder: Path, judges: list[dict[str, Any]], **more: Any) -> Asked:
    """A run in which the tuned model says one word more than the base in three of four answers, and the same in one."""
    rows = [{"id": f"e{i}", "source": f"s#{i}", "split": "test",
             "text": f"第{i}项费用是多少？" if i % 2 else f"fee {i}?",
             "answer": f"费用为{i}元。" if i % 2 else f"the fee is {i}."} for i in range(N)]  # fmt: skip
    tables.write(tables.table(rows, tables.EXAMPLES), folder / "examples.parquet")
    given = [{"model": name, "id": f"e{i}", "written": f"fee {i}" + " more" * (name == "tuned" and i % 4 > 0)}
             for name in ("base", "tuned") for i in reversed(range(N))]  # fmt: skip
    tables.write(tables.table(given, PREDICTIONS), folder / "predictions.parquet")
    config = EvaluateConfig.model_validate({"bootstrap": 200, "judge": {"judges": judges, "attempts": 1, **more}})
    trained = replace(artifact(folder, "train"), summary={"base": {"model": "Qwen/Qwen2.5-0.5B"}})
    return Asked(config, TASK, TrainConfig(base_model="Qwen/Qwen2.5-0.5B"), 0, artifact(folder, "prepare"), trained,
                 Console(quiet=True), None, artifact(folder, "predictions"), folder)  # fmt: skip


def told(run: Asked) -> Told:
    rows = run.parts["test"]
    setting = Setting(units([""] * len(rows)), 0.05, 0.8, 200, 0)
    return Told(run.config, run.task, 0, rows, {}, (), setting)


def test_both_orders_are_asked_and_the_better_model_wins(tmp_path: Path, court: Any) -> None:
    server = court(longer)
    run = asked(tmp_path, [{"url": server.url, "model": "llama-judge"}])
    replies = Judge().ask(run)["replies"]
    assert len(replies) == 3 * 2 * N and server.asked == 3 * 2 * (N - N // 4)  # equal answers need no judge
    found = Judge().judge({"replies": replies}, told(run))
    for quality in ("accuracy", "relevance", "fluency"):
        figure = found.figures[f"{quality}_wins"]
        assert figure.value == pytest.approx(0.75 + 0.125) and figure.low is not None and figure.low > 0.5
    assert found.figures["flips"].value == 0 and found.figures["longer_wins"].value == 1
    assert found.figures["agreement"].value is None  # one judge agrees with nobody
    assert "better than the untouched base model: 30 better, 10 tied, 0 worse" in found.said[0][0]
    assert found.said[-1][0] == f"The judges saw {N} of {N} test items."
    prompts = [row["prompt"] for row in replies.to_pylist() if row["id"] in ("e1", "e2")]
    assert any("准确性" in prompt for prompt in prompts) and any("Quality: accuracy" in prompt for prompt in prompts)
    assert {row["server_model"] for row in replies.to_pylist()} == {"llama-judge-really", ""}


def test_a_judge_that_always_takes_the_first_says_tie_and_is_told_of(tmp_path: Path, court: Any) -> None:
    server = court(lambda *_: '{"better": "A"}')
    run = asked(tmp_path, [{"url": server.url, "model": "biased"}], qualities=["fluency"])
    found = Judge().judge(Judge().ask(run), told(run))
    assert found.figures["fluency_wins"].value == 0.5 and found.figures["flips"].value == 0.75
    assert "no clear difference" in found.said[0][0] and any(
        "order of the answers" in text for text, _ in found.warnings
    )


def test_nonsense_and_silence_are_counted_not_scored(tmp_path: Path, court: Any) -> None:
    server = court(
        lambda first, second, prompt: "I like both." if "fee 1 " in prompt else longer(first, second, prompt)
    )
    run = asked(tmp_path, [{"url": server.url, "model": "rambling"}], qualities=["accuracy"])
    replies = Judge().ask(run)["replies"]
    found = Judge().judge({"replies": replies}, told(run))
    assert found.figures["accuracy_wins"].n == N - 1 and found.figures["unclear"].value == pytest.approx(2 / (2 * N))
    server.status = 503
    (tmp_path / judging.JOURNAL).unlink()
    silent = Judge().ask(run)["replies"]
    assert {row["said"] for row in silent.to_pylist() if row["prompt"]} == {""}
    assert all("503" in row["error"] for row in silent.to_pylist() if row["prompt"])
    found = Judge().judge({"replies": silent}, told(run))
    assert found.figures["accuracy_wins"].n == N // 4 and found.warnings


def test_what_is_not_shown_to_the_judges_is_told(tmp_path: Path, court: Any) -> None:
    run = asked(tmp_path, [{"url": court(longer).url, "model": "llama"}], items=4, qualities=["accuracy"])
    replies = Judge().ask(run)["replies"].to_pylist()
    replies[0]["cut"] = 12
    said = Judge().judge({"replies": pa.Table.from_pylist(replies, judging.REPLIES)}, told(run)).said[-1]
    assert (
        said[0].startswith(f"The judges saw 4 of {N} test items; in 1 of 8 questions")
        and "8 次提问中有 1 次" in said[1]
    )


def test_a_refused_key_and_a_slow_judge(tmp_path: Path, court: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = court(longer)
    server.status = 401
    with pytest.raises(UserError, match="the judge refuses: HTTP 401"):
        Judge().ask(asked(tmp_path, [{"url": server.url, "model": "llama"}]))
    with pytest.raises(UserError, match="the judge's key is missing"):
        Judge().ask(asked(tmp_path, [{"url": server.url, "model": "llama", "key_variable": "NO_SUCH_KEY"}]))
    event = threading.Event()
    slow = court(lambda *_: str(event.wait(5)))
    run = asked(tmp_path, [{"url": slow.url, "model": "llama"}], items=1, qualities=["accuracy"], seconds=0.2)
    errors = [row["error"] for row in Judge().ask(run)["replies"].to_pylist() if row["prompt"]]
    event.set()
    assert all("timed out" in error for error in errors)
    with pytest.raises(UserError, match="no judge is named"):
        Judge().ask(asked(tmp_path, []))


def test_a_crash_loses_no_reply(tmp_path: Path, court: Any) -> None:
    server = court(longer)
    run = asked(tmp_path, [{"url": server.url, "model": "llama"}], qualities=["accuracy"], at_once=1)
    first = Judge().ask(run)["replies"].to_pylist()
    journal = tmp_path / judging.JOURNAL
    lines = journal.read_text(encoding="utf-8").splitlines()
    journal.write_text("\n".join(lines[:20]) + "\n" + lines[20][:30], encoding="utf-8")  # cut in the middle of a line
    before = server.asked
    again = Judge().ask(run)["replies"].to_pylist()
    assert server.asked - before == len(lines) - 20
    drop = lambda rows: [{k: v for k, v in row.items() if k != "seconds"} for row in rows]  # noqa: E731
    assert drop(again) == drop(first)


def test_two_judges_decide_together(tmp_path: Path, court: Any) -> None:
    one, other = court(longer), court(lambda first, second, prompt: longer(second, first, prompt))
    run = asked(
        tmp_path, [{"url": one.url, "model": "for"}, {"url": other.url, "model": "against"}], qualities=["accuracy"]
    )
    found = Judge().judge(Judge().ask(run), told(run))
    assert found.figures["accuracy_wins"].value == 0.5
    agreement = found.figures["agreement"].value
    assert agreement is not None and agreement < 0 and any("hardly agree" in text for text, _ in found.warnings)
    assert len(found.tables[0].rows) == 2


def test_a_judge_of_the_own_family_is_refused() -> None:
    for name in ("qwen2.5-72b-instruct", "Qwen/Qwen3-8B"):
        with pytest.raises(UserError, match="same family"):
            refuse_family(JudgeModel(url="", model=name), "Qwen/Qwen2.5-0.5B")
    refuse_family(JudgeModel(url="", model="meta-llama/Llama-3.1-8B"), "Qwen/Qwen2.5-0.5B")
    with pytest.raises(UserError, match="same family"):
        refuse_family(JudgeModel(url="", model="our-own", family="Qwen"), "Qwen/Qwen2.5-0.5B")
    assert family("models/") == "models" and family("7b") == ""


@pytest.mark.parametrize(("text", "letter"), [
    ('{"better": "A", "reason": ""}', "A"), ('```json\n{"better":"b"}\n```', "B"), ('{"better": "tie"}', "tie"),
    ("B", "B"), ("tie", "tie"), ('{"better": "C"}', ""), ("A is better than B", ""),
    ("", ""), ('{"better": "Answer"}', ""),
])  # fmt: skip
def test_replies_are_read_strictly(text: str, letter: str) -> None:
    assert read_reply(text) == letter


def test_settling() -> None:
    def row(order: str, said: str) -> dict[str, str]:
        return {"judge": "j", "quality": "q", "id": "i", "order": order, "said": said}

    cases = [("tuned", "tuned", "tuned"), ("tuned", "other", "tie"), ("tie", "tuned", "tie"), ("", "tuned", None)]
    for *said, wanted in cases:
        assert settle([row("a", said[0]), row("b", said[1])]) == {("j", "q", "i"): wanted}


def test_alpha_against_the_published_example_and_its_limits() -> None:
    # Krippendorff 2011, section C (nominal data, four observers, twelve units, gaps): 0.743.
    table = ["1 2 3 3 2 1 4 1 2 * * *", "1 2 3 3 2 2 4 1 2 5 * 3", "* 3 3 3 2 3 4 2 2 5 1 *", "1 2 3 3 2 4 4 1 2 5 1 *"]
    ratings = [[None if sign == "*" else sign for sign in row.split()] for row in table]
    assert alpha(ratings) == pytest.approx(0.743, abs=0.001)
    assert (
        alpha([["a", "b"], ["a", "b"]]) == 1 and alpha([["a", "a"], ["a", "a"]]) is None and alpha([["a", "b"]]) is None
    )
    random = np.random.default_rng(0)
    by_chance = alpha([list(random.integers(0, 3, 4000)) for _ in range(2)])
    assert by_chance is not None and abs(by_chance) < 0.05


def test_it_says_where_it_does_not_apply() -> None:
    reason = Judge().unfit(TaskConfig(name="classify"))
    assert reason is not None and "writes none" in reason[0] and Judge().unfit(TASK) is None


def test_figures_stay_the_same_from_stored_replies(tmp_path: Path, court: Any) -> None:
    run = asked(tmp_path, [{"url": court(longer).url, "model": "llama"}], qualities=["accuracy"])
    replies = Judge().ask(run)["replies"]
    tables.write(replies, tmp_path / "replies.parquet")
    again = tables.read(tmp_path / "replies.parquet")
    assert Judge().judge({"replies": again}, told(run)) == Judge().judge({"replies": replies}, told(run))
