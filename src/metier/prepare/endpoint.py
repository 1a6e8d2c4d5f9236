"""One question to an OpenAI-compatible address: cached on disk, tried again when the server is busy, never twice.

Purpose: answers of a model are slow, cost money and vary. Each is kept in a folder under the hash of everything that
was sent, so that a second run asks nothing and gives the same. The key comes from an environment variable and goes into
no file and no message. METIER_OFFLINE=1 forbids every request, to this machine too; what is cached is still read.
Trade-off: one request at a time; the server's own batching is not used.
Not covered: streaming, tools, other protocols.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metier.errors import UserError
from metier.prepare.config_texts import SynthesizeConfig
from metier.tables import digest

BUSY = (408, 409, 425, 429, 500, 502, 503, 504, 529)  # worth another try; everything else is a mistake of ours
LONGEST_PAUSE = 60.0  # seconds
ANSWER_BYTES = 8_000_000  # more is no answer


@dataclass
class Endpoint:
    """Where questions go, and what was spent there."""

    config: SynthesizeConfig
    first_pause: float = 1.0  # seconds; doubled with every try
    spent: dict[str, int] = field(default_factory=lambda: {"requests": 0, "cached": 0, "tokens read": 0,
                                                          "tokens written": 0, "tries": 0})  # fmt: skip

    def ask(self, messages: list[dict[str, str]]) -> str:
        """The text of the answer. UserError: offline, refused, no answer after all tries, or no sense in it."""
        body = {"model": self.config.model, "messages": messages, "max_tokens": self.config.max_tokens,
                "temperature": self.config.temperature}  # fmt: skip
        path = self._place(body)
        answer = _cached(path)
        if answer is None:
            answer = self._answer(body)
            _keep(path, answer)
            self.spent["requests"] += 1
            usage = answer.get("usage") or {}
            self.spent["tokens read"] += int(usage.get("prompt_tokens") or 0)
            self.spent["tokens written"] += int(usage.get("completion_tokens") or 0)
        else:
            self.spent["cached"] += 1
        return str(answer["choices"][0]["message"].get("content") or "")

    def _place(self, body: Mapping[str, Any]) -> Path:
        name = digest(self.config.endpoint, json.dumps(body, sort_keys=True, ensure_ascii=False))
        return Path(self.config.cache).expanduser() / name[:2] / f"{name}.json"

    def _answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if os.environ.get("METIER_OFFLINE", "") not in ("", "0"):
            raise UserError("METIER_OFFLINE is set, and this question is not in the cache", self.config.endpoint,
                            "unset METIER_OFFLINE, or switch prepare.synthesize off")  # fmt: skip
        last = ""
        for attempt in range(self.config.retries + 1):
            if attempt:
                time.sleep(min(LONGEST_PAUSE, self.first_pause * 2 ** (attempt - 1)) * random.uniform(0.8, 1.2))
            self.spent["tries"] += 1
            try:
                return _sensible(self._post(body))
            except urllib.error.HTTPError as error:
                last = f"{error.code} {error.reason}"
                if error.code not in BUSY:
                    said = error.read(500).decode("utf-8", "replace")
                    raise UserError(f"the model's server refuses: {last}", f"{self.config.endpoint}: {said}",
                                    _remedy(error.code, self.config)) from None  # fmt: skip
            except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
                last = str(error)
        raise UserError(f"no answer from the model's server: {last}", self.config.endpoint,
                        "check that it runs; then run the same command again, finished answers are kept")  # fmt: skip

    def _post(self, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.config.key_variable, ""):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(
            self.config.endpoint.rstrip("/") + "/chat/completions", json.dumps(body).encode("utf-8"), headers
        )
        # A redirect could carry the key to another host, so none is followed.
        opener = urllib.request.build_opener(_NoRedirect())
        with opener.open(request, timeout=self.config.timeout) as answer:
            return json.loads(answer.read(ANSWER_BYTES))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Turns every redirect into the error that it is here."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """None: do not follow."""
        return None


def _sensible(answer: Any) -> dict[str, Any]:
    """ValueError (worth another try) unless it is an answer in the shape of the protocol."""
    try:
        answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise ValueError("the answer is not in the shape of chat completions") from None
    return dict(answer)


def _remedy(code: int, config: SynthesizeConfig) -> str:
    if code in (401, 403):
        return f"put the key into the environment variable {config.key_variable}"
    return "check prepare.synthesize.endpoint and prepare.synthesize.model"


def _cached(path: Path) -> dict[str, Any] | None:
    try:
        return _sensible(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None  # a damaged file is asked again and written over


def _keep(path: Path, answer: Mapping[str, Any]) -> None:
    """Written beside and renamed, so that a crash leaves a whole answer or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(answer, stream, ensure_ascii=False)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
