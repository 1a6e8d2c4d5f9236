"""Web sites: breadth first from start pages and sitemaps, as politely as robots.txt asks, each page fetched once.

Purpose: pages become objects in the cache and rows in a record, and the stage reads them like files; its identity is
their addresses and bytes. Running it again fetches nothing; `refresh` asks every page whether it changed (ETag,
Last-Modified). A run that was stopped goes on where it was. Every page that was refused by its site, by robots.txt or
by the net has a reason in the rejected table; links that the recipe leaves out are counted.
Trade-off: one request at a time, so a large crawl takes long and no site suffers.
Not covered: pages that a script draws; logins; what a site changed unless `refresh` asks.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from metier import tables
from metier.artifact import canonical
from metier.collect.accounts import Account, describes
from metier.collect.places import cache, pages
from metier.collect.places.config import WebConfig
from metier.collect.places.found import Found, Item
from metier.collect.places.frontier import Frontier, Page
from metier.collect.places.http import Answer, Client
from metier.console import Console, Meter
from metier.errors import UserError, need

AGENT = "metier"  # the name that robots.txt may address
ROBOTS_BYTES = 500 * 1024  # RFC 9309, section 2.5
ROBOTS_MOVES = 5  # RFC 9309, section 2.3.1.2
LONGEST_DELAY = 60.0  # seconds; a Crawl-delay beyond that is taken as a minute
MOST_SITEMAPS = 1_000
HTML = ("text/html", "application/xhtml+xml", "")
PASSING = ("timed out", "unreachable", "robots.txt unreachable", "HTTP 429", "HTTP 500", "HTTP 502", "HTTP 503",
           "HTTP 504")  # fmt: skip
MANNERS = ("delay_seconds", "timeout_seconds", "retries", "backoff_seconds", "contact")  # how it asks, not for what


@describes(
    "web",
    Account(
        title="Web sites",
        takes=("http://", "https://"),
        kept=("one file a page; pages of all formats above go to their readers",
              "the address is the document's source; the charset of the header is believed where the bytes agree"),
        counted={"warnings": "links to other hosts, links that the recipe leaves out, addresses beyond `max_pages`"},
        refused={
            "robots.txt": "the site asks programs not to fetch the page",
            "robots.txt unreachable": "a site whose robots.txt cannot be had is not fetched (RFC 9309)",
            "HTTP 404": "or any other status but 200; 429, 500, 502, 503 and 504 after several tries",
            "timed out": "no answer within `timeout_seconds`, or a page that drips",
            "unreachable": "no connection, or one that broke",
            "redirect": "it leads to another host, to itself or to no web page",
            "too large": "larger than `collect.max_file_bytes`",
            "unsupported format": "a media type outside `web.types`; the body is not fetched",
            "too many sitemaps": "more than a thousand sitemap files",
            "damaged": "a body that cannot be unpacked, or a sitemap that is none",
        },
        lost=("what a script would draw", "what stands behind a login"),
        libraries=("urllib3", "protego", "lxml"),
        extra="web",
        kind="place",
    ),
)  # fmt: skip
def fetch(config: WebConfig, refresh: bool, limit: int, console: Console) -> Found:
    """The pages of a crawl: out of the cache if it was finished before, else from the net.

    limit: bytes of one page. UserError: no page at all could be had.
    """
    asked = {name: value for name, value in config.model_dump(mode="json").items() if name not in MANNERS}
    folder = cache.folder("crawls", tables.digest(canonical(asked)))
    done, path = folder / "crawl.sqlite", folder / ("refresh.sqlite" if refresh else "crawl.sqlite")
    where = ", ".join((config.start or config.sitemap)[:3])
    with cache.disk_errors(folder), cache.alone(folder):
        with contextlib.closing(Frontier(path)) as frontier:
            if refresh or not frontier.finished:
                cache.need_network("this web site", where)
                with contextlib.closing(Frontier(done)) as before:
                    crawl = _Crawl(config, frontier, before if refresh and before.finished else None, limit)
                    crawl.run(where, console)
            if not frontier.count("state = 'done' and kind = 'page'"):
                raise _nothing(frontier, where)
            if not frontier.finished:
                frontier.finish()
                frontier.write_record(folder / "pages.jsonl")
            found = _found(config, frontier)
        if refresh:
            os.replace(path, done)
    return found


class _Crawl:
    """One walk over the addresses of a frontier; `before` is the last finished one, for what did not change."""

    def __init__(self, config: WebConfig, frontier: Frontier, before: Frontier | None, limit: int) -> None:
        self.config, self.frontier, self.before = config, frontier, before
        self.client = Client(config, limit)
        self.protego = need("protego", "web")
        named = [*config.start, *(address for address in config.sitemap if address != "robots")]
        self.hosts = {pages.host(pages.normal(address)) for address in named} | {host.lower() for host in config.hosts}
        self.last: dict[str, float] = {}
        self.rules: dict[str, Any] = {}

    def run(self, where: str, console: Console) -> None:
        """Until no address waits or `max_pages` were asked for."""
        with self.frontier.whole():
            for address in self.config.sitemap:
                if address != "robots":
                    self.frontier.add(pages.normal(address), "sitemap", 0)
            for address in self.config.start:
                self.frontier.add(pages.normal(address), "page", 0)
        try:
            if "robots" in self.config.sitemap:
                self._sitemaps_of_robots()
            with console.progress(f"fetching {where}", total=None, unit="pages") as meter:
                meter.advance(self._asked("page"))
                self._walk(meter)
        finally:
            self.client.close()

    def _walk(self, meter: Meter) -> None:
        while (page := self.frontier.next()) is not None:
            if page.kind == "page" and self._asked("page") >= self.config.max_pages:
                return
            if page.kind == "sitemap" and self._asked("sitemap") >= MOST_SITEMAPS:
                self.frontier.settle(page, "refused", reason="too many sitemaps", detail=f"more than {MOST_SITEMAPS:,}")
                continue
            self._visit(page)
            meter.advance(page.kind == "page", f"{self.frontier.count('state = ' + repr('waiting'))} waiting")

    def _asked(self, kind: str) -> int:
        return self.frontier.count(f"kind = '{kind}' and state in ('done', 'refused', 'moved')")

    def _sitemaps_of_robots(self) -> None:
        for start in self.config.start:
            rules = self._rules(pages.normal(start))
            for address in list(rules.sitemaps) if rules else ():
                if target := pages.normal(address, start):
                    self.frontier.add(target, "sitemap", 0)

    def _visit(self, page: Page) -> None:
        """Ask for one address; its outcome and the addresses it leads to are written down together."""
        rules = self._rules(page.address)
        if rules is None:
            self._refuse(
                page, "robots.txt unreachable", "a site whose robots.txt cannot be had is not fetched (RFC 9309)"
            )
            return
        if not rules.can_fetch(page.address, AGENT):
            self._refuse(page, "robots.txt", "the site asks programs not to fetch this page")
            return
        delay = max(self.config.delay_seconds, min(rules.crawl_delay(AGENT) or 0.0, LONGEST_DELAY))
        old = self.before.find(page.address) if self.before else None
        if old and (old.state != "done" or not cache.whole(old.sha256)):
            old = None
        answer = self._ask(page.address, delay, _unless_changed(old), self._readable(page))
        if answer.status == 304 and old:
            data = cache.object_path(old.sha256).read_bytes()
            told = {"ETag": old.etag, "Last-Modified": old.modified}
            answer = Answer(200, data, old.media_type, old.charset, headers=told)
        with self.frontier.whole():
            if answer.location:
                self._moved(page, answer)
            elif answer.problem:
                self._refuse(page, answer.problem, answer.detail, answer.status)
            elif answer.status != 200:
                self._refuse(page, f"HTTP {answer.status}", "a redirect that does not say where to", answer.status)
            elif page.kind == "sitemap":
                self._read_sitemap(page, answer)
            else:
                self._keep(page, answer)

    def _readable(self, page: Page) -> Callable[[str], bool]:
        return lambda kind: page.kind == "sitemap" or kind.startswith(self.config.types)

    def _keep(self, page: Page, answer: Answer) -> None:
        sha256, _ = cache.keep(answer.body)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        self.frontier.settle(
            page, "done", sha256=sha256, size=len(answer.body), status=answer.status, media_type=answer.media_type,
            charset=pages.charset(answer.charset), etag=headers.get("etag", ""),
            modified=headers.get("last-modified", ""),
        )  # fmt: skip
        if answer.media_type in HTML and page.depth < self.config.depth:
            for target in pages.links(answer.body, pages.charset(answer.charset), page.address):
                self._add(target, page.depth + 1)

    def _add(self, address: str, depth: int) -> None:
        if pages.host(address) not in self.hosts:
            self.frontier.skip(address, depth, "other host")
        elif not pages.wanted(address, self.config.allow, self.config.deny):
            self.frontier.skip(address, depth, "not allowed")
        else:
            self.frontier.add(address, "page", depth)

    def _moved(self, page: Page, answer: Answer) -> None:
        target = pages.normal(answer.location, page.address)
        host = pages.host(target)
        if target and host not in self.hosts and any(pages.same_site(host, known) for known in self.hosts):
            self.hosts.add(host)
        if not target:
            self._refuse(page, "redirect", f"it leads to {answer.location[:200]}, which is no web page", answer.status)
        elif target == page.address:
            self._refuse(page, "redirect", "it leads to itself", answer.status)
        elif host not in self.hosts:
            self._refuse(
                page, "redirect", f"it leads to {target}; add {host} to `web.hosts` if you want it", answer.status
            )
        else:
            self.frontier.settle(page, "moved", detail=target, status=answer.status)
            if page.kind == "sitemap":
                self.frontier.add(target, "sitemap", 0)
            else:
                self._add(target, page.depth)

    def _read_sitemap(self, page: Page, answer: Answer) -> None:
        try:
            found, further = pages.sitemap(answer.body)
        except (ValueError, SyntaxError) as error:  # lxml's XMLSyntaxError is a SyntaxError
            self._refuse(page, "damaged", f"not readable as a sitemap: {error}", answer.status)
            return
        self.frontier.settle(page, "done", size=len(answer.body), status=answer.status, media_type=answer.media_type)
        for address in found:
            if target := pages.normal(address, page.address):
                self._add(target, 0)
        for address in further:
            if (target := pages.normal(address, page.address)) and pages.host(target) in self.hosts:
                self.frontier.add(target, "sitemap", 0)

    def _refuse(self, page: Page, reason: str, detail: str, status: int = 0) -> None:
        self.frontier.settle(page, "refused", reason=reason, detail=detail, status=status)

    def _rules(self, address: str) -> Any:
        """The robots.txt of the address's host; None when the host does not answer, which forbids everything."""
        host = pages.host(address)
        if host not in self.rules:
            known = self.frontier.robots(host)
            if known is None:
                known = self._ask_robots(address)
                self.frontier.keep_robots(host, *known)
            self.rules[host] = self.protego.Protego.parse(known[1]) if known[0] else None
        return self.rules[host]

    def _ask_robots(self, address: str) -> tuple[bool, str]:
        target = f"{address.partition('://')[0]}://{pages.host(address)}/robots.txt"
        for _ in range(ROBOTS_MOVES + 1):
            answer = self._ask(target, 0.0, {}, lambda kind: True)
            if not answer.location or not (target := pages.normal(answer.location, target)):
                break
        if answer.status == 200 and not answer.problem:
            return True, answer.body[:ROBOTS_BYTES].decode("utf-8", "replace")
        return 300 <= answer.status < 500 and answer.status != 429, ""  # no rules: everything is allowed

    def _ask(self, address: str, delay: float, headers: Mapping[str, str], wanted: Callable[[str], bool]) -> Answer:
        host = pages.host(address)
        wait = self.last.get(host, float("-inf")) + delay - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        try:
            return self.client.get(address, headers, wanted)
        finally:
            self.last[host] = time.monotonic()


def _unless_changed(old: Page | None) -> dict[str, str]:
    if old is None:
        return {}
    return {name: value for name, value in (("If-None-Match", old.etag), ("If-Modified-Since", old.modified)) if value}


def _found(config: WebConfig, frontier: Frontier) -> Found:
    """Pages in the order of their addresses, then what was refused."""
    found = Found()
    for page in frontier.pages("state in ('done', 'refused') order by address"):
        name = pages.shown(page.address)
        if page.state == "refused":
            found.items.append(Item(name, problem=page.reason, detail=page.detail))
        elif page.kind == "page":
            file_name = pages.read_as(page.address, page.media_type)
            if path := cache.whole(page.sha256):
                found.items.append(Item(name, path, page.sha256, read_as=file_name, declared=page.charset))
            else:
                found.items.append(Item(name, problem="unreadable", detail="no longer in the cache; `refresh: true`"))
    if left := frontier.count("state = 'waiting'"):
        found.warnings.append(
            f"stopped at web.max_pages = {config.max_pages:,}; {left:,} known addresses were not asked for"
        )
    for reason, told in (("other host", "lead to other hosts"), ("not allowed", "are not allowed by the recipe")):
        skipped = frontier.pages("state = 'skipped' and reason = ? order by address", reason)
        if skipped:
            found.warnings.append(f"{len(skipped):,} links {told} and were not followed (such as {skipped[0].address})")
    if passing := sum(item.problem in PASSING for item in found.items):
        found.warnings.append(f"{passing:,} pages failed for a reason that may pass; `refresh: true` asks again")
    return found


def _nothing(frontier: Frontier, where: str) -> UserError:
    """Nothing came; the record is emptied so that the next run asks again."""
    refused = frontier.pages("state = 'refused' order by position")
    moved = frontier.pages("state = 'moved' order by position")
    first = next(iter(refused or moved), None)
    reason = f": {first.reason}, {first.detail}" if first else ""
    with frontier.whole():
        for table in ("pages", "robots"):
            frontier.base.execute(f"delete from {table}")
    return UserError(
        f"no page could be fetched{reason}", first.address if first else where, "mend the address, or wait"
    )
