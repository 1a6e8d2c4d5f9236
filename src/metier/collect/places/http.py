"""One polite request: a name of our own, limits on time and size, tries again only after what may pass.

Purpose: the crawler asks for one address and gets an answer or a reason that can be counted. Redirects are handed back,
not followed, since the address they lead to has its own robots.txt. A body is read only when its header says that it is
of a kind and a size that is wanted.
Not covered: cookies, logins, forms, scripts.
"""

from __future__ import annotations

import email.message
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import metier
from metier.collect.places.config import WebConfig
from metier.errors import need

PASSING_CODES = (429, 500, 502, 503, 504)
LONGEST_PAUSE = 60.0  # seconds that a Retry-After may ask for
DRIP = 10  # times the time limit after which a page that comes in drops is given up
BLOCK = 1 << 16


@dataclass(frozen=True)
class Answer:
    """What a server said. problem: "" or a reason code with a sentence in detail; body is b"" then."""

    status: int = 0
    body: bytes = b""
    media_type: str = ""
    charset: str = ""
    location: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    detail: str = ""


class Client:
    """Asks servers. limit: bytes of one body. pause: called with seconds to wait (a test's clock, or time.sleep)."""

    def __init__(self, config: WebConfig, limit: int, pause: Callable[[float], None] = time.sleep) -> None:
        self.config, self.limit, self.pause = config, limit, pause
        self.library = need("urllib3", "web")
        contact = f" (+{config.contact})" if config.contact else ""
        self.headers = {"User-Agent": f"Metier/{metier.__version__}{contact}", "Accept-Encoding": "gzip, deflate",
                        "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}  # fmt: skip
        self._pools: dict[str, Any] = {}

    def get(self, address: str, headers: Mapping[str, str], wanted: Callable[[str], bool]) -> Answer:
        """The answer of one server, after as many tries as the recipe allows. wanted: tells media types to read."""
        wait = self.config.backoff_seconds
        for attempt in range(self.config.retries + 1):
            answer = self._once(address, headers, wanted)
            passing = answer.status in PASSING_CODES or answer.problem in ("unreachable", "timed out")
            if not passing or attempt == self.config.retries:
                return answer
            asked = _seconds(answer.headers.get("Retry-After", ""))
            self.pause(min(asked, LONGEST_PAUSE) if asked is not None else wait)
            wait *= 2
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.clear()

    def _once(self, address: str, headers: Mapping[str, str], wanted: Callable[[str], bool]) -> Answer:
        errors = self.library.exceptions
        seconds = self.config.timeout_seconds
        try:
            reply = self._pool(address).request(
                "GET", address, headers={**self.headers, **headers}, redirect=False, retries=False,
                preload_content=False, timeout=self.library.Timeout(connect=seconds, read=seconds),
            )  # fmt: skip
        except (errors.TimeoutError, TimeoutError):
            return Answer(problem="timed out", detail=f"no answer within {seconds:.0f} s")
        except (errors.HTTPError, OSError, ValueError) as error:
            return Answer(problem="unreachable", detail=_plain(error))
        try:
            return self._read(reply, wanted)
        except (errors.TimeoutError, TimeoutError):
            return Answer(problem="timed out", detail=f"the body did not go on within {seconds:.0f} s")
        except errors.DecodeError as error:
            return Answer(problem="damaged", detail=f"the packed body cannot be unpacked: {_plain(error)}")
        except (errors.HTTPError, OSError) as error:
            return Answer(problem="unreachable", detail=f"the connection broke: {_plain(error)}")
        finally:
            reply.close()

    def _read(self, reply: Any, wanted: Callable[[str], bool]) -> Answer:
        told = email.message.Message()
        told["Content-Type"] = reply.headers.get("Content-Type", "")
        kind = told.get_content_type() if reply.headers.get("Content-Type") else ""
        charset = str(told.get_content_charset() or "")
        base: dict[str, Any] = {"status": reply.status, "media_type": kind, "charset": charset,
                                "headers": dict(reply.headers.items())}  # fmt: skip
        if 300 <= reply.status < 400:
            return Answer(**base, location=reply.headers.get("Location", ""))
        if reply.status != 200:
            return Answer(**base, problem=f"HTTP {reply.status}", detail=f"the server answered {reply.status}")
        if kind and not wanted(kind):
            return Answer(**base, problem="unsupported format", detail=f"{kind} is not in `web.types`")
        size = reply.headers.get("Content-Length", "")
        too_large = Answer(
            **base, problem="too large", detail=f"more than {self.limit:,} bytes (collect.max_file_bytes)"
        )
        if size.isdigit() and int(size) > self.limit:
            return too_large
        parts, total, end = [], 0, time.monotonic() + DRIP * self.config.timeout_seconds
        for block in reply.stream(BLOCK, decode_content=True):
            total += len(block)
            if total > self.limit:
                return too_large
            if time.monotonic() > end:
                return Answer(
                    problem="timed out", detail=f"still coming after {DRIP * self.config.timeout_seconds:.0f} s"
                )
            parts.append(block)
        return Answer(**base, body=b"".join(parts))

    def _pool(self, address: str) -> Any:
        """Connections to a host, through the proxy that the environment names for it."""
        parts = urllib.parse.urlsplit(address)
        bypass = urllib.request.proxy_bypass(parts.hostname or "")
        proxy = "" if bypass else urllib.request.getproxies().get(parts.scheme, "")
        if proxy not in self._pools:
            self._pools[proxy] = self.library.ProxyManager(proxy) if proxy else self.library.PoolManager()
        return self._pools[proxy]


def _seconds(text: str) -> float | None:
    return float(text) if text.strip().isdigit() else None


def _plain(error: BaseException) -> str:
    """The reason inside urllib3's wrapping, without object addresses."""
    inner = getattr(error, "reason", None)
    text = str(inner if isinstance(inner, BaseException) else error)
    return text.rpartition(">: ")[2].strip()[:200] or type(error).__name__
