"""One question to an endpoint that speaks OpenAI's chat completions, and its reply; stdlib only.

Purpose: a judge may be any server (vLLM, llama.cpp, a cloud). Temperature 0 and a fixed seed are asked for; whether the
server keeps to them is not ours to promise, so every reply is stored.
Not covered: streaming, tools, images.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from metier.errors import UserError

PAUSE = 2.0  # seconds before the second attempt; doubled for each further one
TOKENS = 300  # of a reply: a verdict and a short reason


@dataclass(frozen=True)
class Reply:
    """text: "" where nothing came. model: what the server says it is. error: why nothing came. seconds: of all
    attempts."""

    text: str
    model: str
    error: str
    seconds: float


def ask(
    url: str, model: str, key_variable: str, messages: Sequence[dict[str, str]], seconds: float, attempts: int
) -> Reply:
    """The reply to one conversation. A server that refuses the key or does not know the model is a UserError, since
    no further question would fare better; a timeout or a broken answer is a Reply with an error."""
    start, error = time.monotonic(), ""
    for attempt in range(attempts):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            told = _post(url, model, key_variable, messages, seconds)
            text = told["choices"][0]["message"]["content"]
            if not isinstance(text, str):
                raise TypeError("the content is no text")
            return Reply(text, str(told.get("model") or model), "", time.monotonic() - start)
        except urllib.error.HTTPError as found:
            if found.code in (400, 401, 403, 404):
                raise UserError(
                    f"the judge refuses: HTTP {found.code} {found.reason}",
                    f"{url}, model {model}",
                    "check evaluate.judge: url, model and the key in the variable named by key_variable",
                ) from found
            error = f"HTTP {found.code} {found.reason}"
        except (OSError, ValueError, KeyError, IndexError, TypeError) as found:
            error = f"{type(found).__name__}: {found}"[:200]
    return Reply("", model, error, time.monotonic() - start)


def _post(url: str, model: str, key_variable: str, messages: Sequence[dict[str, str]], seconds: float) -> dict:  # type: ignore[type-arg]
    headers = {"Content-Type": "application/json"}
    if key_variable:
        if key_variable not in os.environ:
            raise UserError("the judge's key is missing", f"environment variable {key_variable}", "set it")
        headers["Authorization"] = f"Bearer {os.environ[key_variable]}"
    body = {"model": model, "messages": list(messages), "temperature": 0, "seed": 0, "max_tokens": TOKENS}
    request = urllib.request.Request(f"{url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=seconds) as response:
        return json.loads(response.read())  # type: ignore[no-any-return]
