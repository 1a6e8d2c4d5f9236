"""A small completions server for the tests: OpenAI's `/v1/completions` with `echo` and `logprobs`, by a real model.

The shape of the answers is what vLLM gives and lm_eval's `local-completions` reads. Greedy, no streaming: for tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any


class Completions:
    """Answers requests by a model of Transformers; `asked` keeps every request."""

    def __init__(self, folder: Path) -> None:
        import transformers

        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder).float().eval()
        self.asked: list[dict[str, Any]] = []
        self.lock = Lock()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request: a choice for each prompt, which may be text or tokens."""
        prompts = request["prompt"]
        if isinstance(prompts, str) or (prompts and isinstance(prompts[0], int)):
            prompts = [prompts]
        tokens = [self.tokenizer(one, add_special_tokens=False).input_ids if isinstance(one, str) else one
                  for one in prompts]  # fmt: skip
        with self.lock:
            self.asked.append(request)
            choices = [{"index": place, **self._choice(one, request)} for place, one in enumerate(tokens)]
        return {"object": "text_completion", "model": request["model"], "choices": choices}

    def _choice(self, prompt: list[int], request: dict[str, Any]) -> dict[str, Any]:
        import torch

        with torch.no_grad():
            made = self.model.generate(
                torch.tensor([prompt]), max_new_tokens=request["max_tokens"], do_sample=False,
                eos_token_id=self.tokenizer.eos_token_id, pad_token_id=self.tokenizer.pad_token_id,
            )[0].tolist()  # fmt: skip
            logits = self.model(torch.tensor([made])).logits[0, :-1].log_softmax(-1)
        told = made if request.get("echo") else made[len(prompt) :]
        text = self.tokenizer.decode(told, skip_special_tokens=True)
        for stop in request.get("stop") or ():
            text = text.partition(stop)[0] if not request.get("echo") else text
        choice: dict[str, Any] = {"text": text, "finish_reason": "length"}
        if request.get("logprobs"):
            best, first = logits.max(-1), len(made) - len(told)
            given = [None] + [float(logits[place, token]) for place, token in enumerate(made[1:])]
            top = [None] + [{str(int(token)): float(value)} for value, token in zip(*best, strict=True)]
            choice["logprobs"] = {"tokens": [str(one) for one in told], "token_logprobs": given[first:],
                                  "top_logprobs": top[first:]}  # fmt: skip
        return choice


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, Completions]]:
    """The address of a server that answers by the model in `folder`, and what it was asked."""
    answers = Completions(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)  # no tokenizer of its own: the client brings one

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answers.answer(request)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/completions", answers
    finally:
        server.shutdown()
        server.server_close()
