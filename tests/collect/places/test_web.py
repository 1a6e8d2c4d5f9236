"""Crawling a server on this machine: what is asked for, what is refused, and what happens after a kill."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collect.places.conftest import Page, Site

import metier
from metier.collect.config import CollectConfig
from metier.collect.places import pages
from metier.collect.stage import find_inputs
from metier.console import Console
from metier.errors import UserError

pytest.importorskip("urllib3")
pytest.importorskip("protego")
FAST = {"delay_seconds": 0, "backoff_seconds": 0.01, "timeout_seconds": 5}


def html(body: str, title: str = "A page") -> str:
    return f"<html><head><title>{title}</title></head><body><p>{body}</p></body></html>"


def link(*targets: str) -> str:
    return " ".join(f'<a href="{target}">to {target}</a>' for target in targets)


def crawl(base: Path, refresh: bool = False, **web: Any) -> Any:
    config = CollectConfig(sources=[{"web": {**FAST, **web}, "refresh": refresh}])
    return find_inputs(config, base)


def problems(inputs: Any, site: Site) -> dict[str, str]:
    return {item.name.removeprefix(site.address): item.problem for item in inputs.files if item.problem}


def good(inputs: Any, site: Site) -> list[str]:
    return [item.name.removeprefix(site.address) for item in inputs.files if not item.problem]


def test_pages_become_documents_named_by_their_addresses(site: Site, run: Any) -> None:
    site.add(
        "/", html("The ward is on the third floor." + link("/a.html", "/b?x=1#part", "mailto:x@y", "javascript:0"))
    )
    site.add("/a.html", html("水泵在三号病房。" + link("/", "/a.html")))
    site.add("/b?x=1", html("A page by query."))
    _, documents, rejected = run(sources=[{"web": {"start": f"{site.address}/", **FAST}}])
    assert {d["source"].removeprefix(site.address): d["media_type"] for d in documents} == {
        "/": "text/html", "/a.html": "text/html", "/b?x=1": "text/html",
    }  # fmt: skip
    assert any("水泵在三号病房。" in d["text"] and d["title"] == "A page" for d in documents)
    assert rejected == [] and site.asked == ["/robots.txt", "/", "/a.html", "/b?x=1"]


def test_nothing_is_fetched_twice_but_on_demand(site: Site, inbox: Path, cache: Path) -> None:
    site.add("/", html("one" + link("/a")), headers={"ETag": '"1"'})
    site.add("/a", html("two"), headers={"ETag": '"a"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})
    first = crawl(inbox, start=f"{site.address}/")
    site.asked.clear()
    assert crawl(inbox, start=f"{site.address}/", delay_seconds=1, contact="me@example.org") == first and not site.asked
    site.headers.clear()
    assert crawl(inbox, refresh=True, start=f"{site.address}/") == first
    assert [headers.get("If-None-Match") for headers in site.headers] == [None, '"1"', '"a"']
    assert site.headers[2]["If-Modified-Since"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    site.add("/a", html("changed"), headers={"ETag": '"b"'})
    second = crawl(inbox, refresh=True, start=f"{site.address}/")
    assert second.files[0] == first.files[0] and second.files[1].sha256 != first.files[1].sha256
    assert crawl(inbox, start=f"{site.address}/") == second
    told = [json.loads(line) for line in next(cache.rglob("pages.jsonl")).read_text().splitlines()]
    assert [entry["sha256"] for entry in told] == [item.sha256 for item in second.files]
    assert all(entry["time"].startswith("20") and entry["size"] for entry in told)


def test_robots_txt_is_obeyed_and_its_sitemaps_are_read(site: Site, inbox: Path) -> None:
    ours = "User-agent: metier\nDisallow: /ours\nAllow: /\n"
    rules = f"User-agent: *\nDisallow: /private/\n\n{ours}\nSitemap: {site.address}/map.xml\n"
    site.add("/robots.txt", rules, "text/plain")
    site.add("/", html("start" + link("/private/x", "/ours", "/free")))
    for path in ("/private/x", "/ours", "/free", "/mapped"):
        site.add(path, html(path))
    site.add("/map.xml", f"<urlset><url><loc>{site.address}/mapped</loc></url></urlset>", "application/xml")
    inputs = crawl(inbox, start=f"{site.address}/", sitemap="robots", contact="https://example.org/about")
    assert good(inputs, site) == ["/", "/free", "/mapped", "/private/x"]
    assert problems(inputs, site) == {"/ours": "robots.txt"} and "/ours" not in site.asked
    agent = site.headers[0]["User-Agent"]
    assert agent == f"Metier/{metier.__version__} (+https://example.org/about)"


def test_a_site_whose_robots_txt_fails_is_left_alone(site: Site, inbox: Path) -> None:
    site.add("/", html("start"))
    site.add("/robots.txt", status=503)
    with pytest.raises(UserError, match=r"robots\.txt unreachable"):
        crawl(inbox, start=f"{site.address}/", retries=1)
    assert site.asked == ["/robots.txt", "/robots.txt"]
    site.pages["/robots.txt"] = Page(b"no such thing", status=404)
    assert good(crawl(inbox, start=f"{site.address}/", retries=1), site) == ["/"]


def test_sitemaps_of_every_shape(site: Site, inbox: Path) -> None:
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    site.add("/index.xml", f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e "boom">]><sitemapindex xmlns="{space}">'
             f"<sitemap><loc>{site.address}/one.xml.gz</loc></sitemap>"
             f"<sitemap><loc> {site.address}/two.txt\n</loc></sitemap>"
             f"<sitemap><loc>{site.address}/bad.xml</loc></sitemap></sitemapindex>", "application/xml")  # fmt: skip
    one = f'<urlset xmlns="{space}"><url><loc>{site.address}/a?x=1&amp;y=2</loc></url></urlset>'
    site.add("/one.xml.gz", gzip.compress(one.encode()), "application/gzip")
    site.add("/two.txt", f"{site.address}/b\nhttps://elsewhere.example/c\n", "text/plain")
    site.add("/bad.xml", "<html><body>no map</body></html>", "application/xml")
    site.add("/a?x=1&y=2", html("a"))
    site.add("/b", html("b" + link("/not-asked")))
    inputs = crawl(inbox, sitemap=f"{site.address}/index.xml", depth=0)
    assert good(inputs, site) == ["/a?x=1&y=2", "/b"]
    assert problems(inputs, site) == {"/bad.xml": "damaged"}
    assert any("1 links lead to other hosts" in text for text in inputs.warnings)


def test_depth_hosts_globs_and_the_number_of_pages(site: Site, other_site: Site, inbox: Path) -> None:
    other_site.add("/far", html("far away"))
    site.add("/", html("start" + link("/news/1", "/news/2", "/shop/1", "/news/old.html", f"{other_site.address}/far")))
    for path in ("/news/1", "/news/2", "/shop/1", "/news/old.html", "/news/deep"):
        site.add(path, html(path + (link("/news/deep") if path == "/news/2" else "")))
    start = f"{site.address}/"
    inputs = crawl(inbox, start=start, allow=["/", "/news/*"], deny="*/old*", depth=1)
    assert good(inputs, site) == ["/", "/news/1", "/news/2"]
    assert {text.split(" (")[0] for text in inputs.warnings} == {
        "1 links lead to other hosts and were not followed",
        "2 links are not allowed by the recipe and were not followed",
    }
    assert not other_site.asked
    assert len(crawl(inbox, start=start, depth=2).files) == 6
    host = other_site.address.removeprefix("http://")
    assert f"{other_site.address}/far" in [item.name for item in crawl(inbox, start=start, hosts=host, depth=1).files]
    few = crawl(inbox, start=start, max_pages=2)
    assert good(few, site) == ["/", "/news/1"]
    assert "stopped at web.max_pages = 2; 3 known addresses were not asked for" in few.warnings[0]


def test_redirects_are_followed_where_the_recipe_allows(site: Site, other_site: Site, inbox: Path) -> None:
    site.add("/", html("start" + link("/old", "/loop", "/away", "/nowhere", "/self")))
    for path, target in (("/old", "/new"), ("/loop", "/loop2"), ("/loop2", "/loop"), ("/self", "/self"),
                         ("/away", f"{other_site.address}/x"), ("/nowhere", "ftp://x/y")):  # fmt: skip
        site.add(path, status=301, headers={"Location": target})
    site.add("/new", html("new place"))
    inputs = crawl(inbox, start=f"{site.address}/")
    assert good(inputs, site) == ["/", "/new"]
    assert problems(inputs, site) == {"/away": "redirect", "/nowhere": "redirect", "/self": "redirect"}
    assert not other_site.asked


def test_what_servers_say_no_with(site: Site, inbox: Path, run: Any) -> None:
    late = Page(html("came at last").encode(), times=2, then=None)
    site.add(
        "/", html("start" + link("/404", "/500", "/late", "/gone", "/slow", "/picture", "/big", "/empty", "/bad.gz"))
    )
    site.add("/404", "no", status=404)
    site.add("/500", "no", status=500)
    site.pages["/late"] = Page(status=503, headers={"Retry-After": "0"}, times=2, then=late)
    late.then, late.times = None, 0
    site.add("/gone", status=0)
    site.add("/slow", html("zzz"), slow=1.5)
    site.add("/picture", b"\x89PNG", "image/png")
    site.add("/big", "x" * 5000, "text/plain")
    site.add("/empty", "")
    site.add("/bad.gz", b"no gzip", headers={"Content-Encoding": "gzip"})
    web = {"start": f"{site.address}/", **FAST, "timeout_seconds": 0.5, "retries": 2}
    _, documents, rejected = run(sources=[{"web": web}], max_file_bytes=4000)
    reasons = {row["source"].removeprefix(site.address): row["reason"] for row in rejected}
    assert reasons == {
        "/404": "HTTP 404", "/500": "HTTP 500", "/gone": "unreachable", "/slow": "timed out", "/big": "too large",
        "/picture": "unsupported format", "/empty": "empty", "/bad.gz": "damaged",
    }  # fmt: skip
    assert [site.asked.count(path) for path in ("/404", "/500", "/gone", "/slow", "/late")] == [1, 3, 3, 3, 3]
    assert sorted(d["source"].removeprefix(site.address) for d in documents) == ["/", "/late"]


def test_files_go_to_their_readers_and_charsets_are_believed(site: Site, run: Any) -> None:
    from tests.collect.samples import docx, pdf

    body = "<p>贷款利率上调，客户要求退款。转账没有到账，请问原因。</p>"
    site.add("/", html("start of all" + link("/letter", "/report", "/gbk", "/meta", "/notes", "/rows")))
    site.add("/letter", docx("<w:p><w:r><w:t>Dear reader</w:t></w:r></w:p>"),
             "application/vnd.openxmlformats-officedocument.wordprocessingml.document")  # fmt: skip
    site.add("/report", pdf([["A page of the yearly report"]]), "application/pdf")
    site.add("/gbk", f"<html><body>{body}</body></html>".encode("gbk"), "text/html; charset=GB2312")
    site.add("/meta", f'<html><head><meta charset="gbk"></head><body>{body}</body></html>'.encode("gbk"), "text/html")
    site.add("/notes", "plain notes", "text/plain")
    site.add("/rows", "text,label\nhello,a\n", "text/csv")
    _, documents, rejected = run(sources=[{"web": {"start": f"{site.address}/", **FAST}}])
    texts = {d["source"].removeprefix(site.address): d["text"] for d in documents}
    assert rejected == []
    assert texts["/letter"] == "Dear reader" and "yearly report" in texts["/report"] and texts["/rows#1"] == "hello"
    assert "客户要求退款" in texts["/gbk"] and "客户要求退款" in texts["/meta"] and texts["/notes"] == "plain notes"


def test_one_host_is_asked_slowly(site: Site, inbox: Path) -> None:
    site.add("/robots.txt", "User-agent: *\nCrawl-delay: 0.3\n", "text/plain")
    site.add("/", html("start" + link("/a", "/b")))
    site.add("/a", html("a"))
    site.add("/b", html("b"))
    start = time.monotonic()
    crawl(inbox, start=f"{site.address}/")
    assert time.monotonic() - start >= 0.9


SCRIPT = """
import sys
from pathlib import Path
from metier.collect.config import CollectConfig
from metier.collect.stage import find_inputs
web = {"start": sys.argv[1], "delay_seconds": 0.1}
find_inputs(CollectConfig(sources=[{"web": web}]), Path.cwd())
"""


def test_a_killed_crawl_goes_on_where_it_was(site: Site, inbox: Path) -> None:
    site.add("/", html("start" + link(*(f"/{n}" for n in range(20)))))
    for n in range(20):
        site.add(f"/{n}", html(f"page number {n}"))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, f"{site.address}/"], env=os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)})  # fmt: skip
    end = time.monotonic() + 60
    while len(site.asked) < 6 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = list(site.asked)
    assert 6 <= len(before) < 20
    inputs = crawl(inbox, start=f"{site.address}/")
    assert len(good(inputs, site)) == 21
    again = [path for path in site.asked[len(before) :] if path in before]
    assert len(again) <= 1  # the page that was on its way


def test_a_second_process_does_not_crawl_the_same(site: Site, inbox: Path, cache: Path) -> None:
    from metier.collect.places.cache import alone

    site.add("/", html("start"))
    crawl(inbox, start=f"{site.address}/")
    folder = next((cache / "crawls").glob("*/"))
    with alone(folder), pytest.raises(UserError, match="another process is fetching"):
        crawl(inbox, start=f"{site.address}/")


def test_offline_reads_what_is_there_and_fetches_nothing(
    site: Site, inbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.add("/", html("start"))
    monkeypatch.setenv("METIER_OFFLINE", "1")
    with pytest.raises(UserError, match="METIER_OFFLINE forbids"):
        crawl(inbox, start=f"{site.address}/")
    assert site.asked == []
    monkeypatch.delenv("METIER_OFFLINE")
    config = CollectConfig(sources=[{"web": {"start": f"{site.address}/", **FAST}}])
    first = find_inputs(config, inbox, Console())
    assert "1 pages" in capsys.readouterr().err
    monkeypatch.setenv("METIER_OFFLINE", "1")
    assert find_inputs(config, inbox) == first


def test_a_proxy_of_the_environment_is_used(
    site: Site, other_site: Site, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_site.add("http://records.example/", html("seen through the proxy"))
    other_site.add("http://records.example/robots.txt", status=404)
    monkeypatch.setenv("http_proxy", other_site.address)
    inputs = crawl(inbox, start="http://records.example/")
    assert [item.name for item in inputs.files] == ["http://records.example/"]


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("HTTP://Example.ORG:80/a/../b#x", "http://example.org/b"),
        ("https://example.org", "https://example.org/"),
        ("https://例子.中国/路 径", "https://xn--fsqu00a.xn--fiqs8s/%E8%B7%AF%20%E5%BE%84"),
        ("https://example.org/a?utm_source=x&b=1&fbclid=2", "https://example.org/a?b=1"),
        ("//example.org/x", "http://example.org/x"),
        ("?page=2", "http://base.example/folder/?page=2"),
        ("ftp://example.org/", ""), ("mailto:a@b", ""), ("http://user:pw@example.org/", ""), ("http://[bad", ""),
        ("https://example.org/%E6%96%B0", "https://example.org/%E6%96%B0"),
    ],
)  # fmt: skip
def test_one_spelling_for_one_address(given_: str, expected: str) -> None:
    assert pages.normal(given_, "http://base.example/folder/") == expected


def test_addresses_are_shown_as_people_read_them() -> None:
    assert pages.shown("https://example.org/%E6%96%B0%E9%97%BB") == "https://example.org/新闻"
    assert pages.shown("https://example.org/a%20b") == "https://example.org/a%20b"
    assert pages.shown("https://example.org/%FF") == "https://example.org/%FF"


def test_links_of_a_page_in_its_own_encoding() -> None:
    data = '<base href="/x/"><a href="b?q=退款">b</a><a href="b?q=退款">b</a><iframe src="c">'.encode("gbk")
    found = pages.links(data, "gbk", "http://example.org/a")
    assert found == ["http://example.org/x/b?q=%CD%CB%BF%EE", "http://example.org/x/c"]


@given(st.text(max_size=60))
def test_normal_is_its_own_spelling(text: str) -> None:
    once = pages.normal(text, "https://example.org/a/b")
    assert once == "" or pages.normal(once) == once


@given(st.binary(max_size=200))
def test_any_bytes_as_page_or_sitemap(data: bytes) -> None:
    assert isinstance(pages.links(data, "", "http://example.org/"), list)
    try:
        pages.sitemap(data)
    except (ValueError, SyntaxError):
        return
