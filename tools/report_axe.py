"""Is a report accessible? axe-core looks at real pages in headless Chromium: `python tools/report_axe.py PAGE...`.

Purpose: every page is opened in both languages, light and dark, at the width of a screen and of a phone, with all folds
open, and axe looks for breaches of WCAG 2 A and AA and of its best practices. Findings are printed by impact; the exit
code is 1 if one is serious or critical. axe-core is not part of this project: name its file by `--axe` or METIER_AXE
(`npm pack axe-core@4` brings axe.min.js). `--pictures FOLDER` keeps a picture of each view and a PDF to look at.
Trade-off: Chromium is driven through its DevTools protocol by a hundred lines of our own; a browser driver would bring
a browser. Not covered: what a program cannot see, such as whether a description is any use.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from metier.printing import find_printer
from metier.report.words import LANGUAGES

WIDTHS = {"wide": 1280, "phone": 390}
SCHEMES = ("light", "dark")
IMPACTS = ("critical", "serious", "moderate", "minor")
FAILING = IMPACTS[:2]
SECONDS = 120  # a busy machine; a page takes one
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
SHOW = "document.getElementById('pick-{code}').checked = true;"
OPEN = "document.querySelectorAll('details').forEach(one => one.open = true);"
ASK = f"axe.run(document, {{runOnly: {{type: 'tag', values: {json.dumps(RULES)}}}, resultTypes: ['violations']}})"
WIDER = "[document.documentElement.scrollWidth, window.innerWidth]"


class Browser:
    """Headless Chromium with one page, spoken to through its DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.last = socket, 0

    async def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command; RuntimeError when the browser refuses it."""
        self.last += 1
        await self.socket.send_json({"id": self.last, "method": method, "params": params})
        async with asyncio.timeout(SECONDS):
            while True:
                told = await self.socket.receive_json()
                if told.get("id") == self.last:
                    if "error" in told:
                        raise RuntimeError(f"{method}: {told['error']['message']}")
                    return dict(told["result"])

    async def value(self, expression: str) -> Any:
        """What an expression in the page comes to; promises are awaited."""
        told = await self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(str(told["exceptionDetails"])[:500])
        return told["result"].get("value")

    async def open(self, page: Path) -> None:
        """Load a file and wait until it is there."""
        await self("Page.navigate", url=page.resolve().as_uri())
        async with asyncio.timeout(SECONDS):
            while await self.value("document.readyState") != "complete" or await self.value("location.href") == "":
                await asyncio.sleep(0.05)

    async def look(self, width: int, scheme: str) -> None:
        """The size of the window and whether the reader likes it dark."""
        await self("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        await self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


async def start(profile: Path) -> asyncio.subprocess.Process:
    """Chromium, listening on a port that it writes into its profile."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # its sandbox refuses to run as root
    return await asyncio.create_subprocess_exec(
        find_printer(), "--headless", "--disable-gpu", "--disable-background-networking", "--remote-debugging-port=0",
        "--hide-scrollbars", f"--user-data-dir={profile}", *(["--no-sandbox"] if root else []), "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def address(profile: Path) -> str:
    """Where the first page of the started browser is spoken to."""
    file = profile / "DevToolsActivePort"
    async with asyncio.timeout(SECONDS), aiohttp.ClientSession() as session:
        while not file.is_file() or not file.read_text():
            await asyncio.sleep(0.1)
        port = file.read_text().split()[0]
        while True:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
            await asyncio.sleep(0.1)


async def findings(browser: Browser, page: Path, axe: str, pictures: Path | None) -> list[dict[str, Any]]:
    """What axe finds in every view of a page: {"impact", "rule", "help", "where", "view"}; a page wider than the window
    counts as serious."""
    found: list[dict[str, Any]] = []
    await browser.open(page)
    await browser.value(axe)
    for code, scheme, (name, width) in itertools.product(LANGUAGES, SCHEMES, WIDTHS.items()):
        view = f"{page.stem} {code} {scheme} {name}"
        await browser.look(width, scheme)
        await browser.value(SHOW.format(code=code) + OPEN)
        wide, window = await browser.value(WIDER)
        if wide > window:
            found.append({"impact": "serious", "rule": "width", "help": f"{wide} px in a window of {window} px",
                          "where": "html", "view": view})  # fmt: skip
        for rule in (await browser.value(ASK))["violations"]:
            same = {"rule": rule["id"], "help": rule["help"], "view": view}
            found += [{**same, "impact": node["impact"] or rule["impact"], "where": " ".join(map(str, node["target"]))}
                      for node in rule["nodes"]]  # fmt: skip
        if pictures is not None and scheme == "light":
            await picture(browser, pictures / f"{view.replace(' ', '-')}.png")
    if pictures is not None:
        made = await browser("Page.printToPDF", printBackground=True)
        (pictures / f"{page.stem}.pdf").write_bytes(base64.b64decode(made["data"]))
    return found


async def picture(browser: Browser, file: Path) -> None:
    """The whole page as PNG."""
    made = await browser("Page.captureScreenshot", captureBeyondViewport=True)
    file.write_bytes(base64.b64decode(made["data"]))


async def look_at(pages: list[Path], axe: str, pictures: Path | None) -> list[dict[str, Any]]:
    """The findings of all pages."""
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        profile = Path(temporary)
        process = await start(profile)
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(await address(profile), max_msg_size=0) as socket,
            ):
                browser = Browser(socket)
                for page in pages:
                    found += await findings(browser, page, axe, pictures)
        finally:
            process.terminate()
            await process.wait()
    return found


def told(found: list[dict[str, Any]]) -> list[str]:
    """Lines for people: by impact and rule, with the first places of each."""
    lines = []

    def key(one: dict[str, Any]) -> tuple[int, str, str]:
        return IMPACTS.index(one["impact"]), one["rule"], one["help"]

    for (place, rule, words), group in itertools.groupby(sorted(found, key=key), key):
        same = list(group)
        views = sorted({one["view"] for one in same})
        lines.append(f"{IMPACTS[place]}: {rule}: {words} ({len(same)} places in {len(views)} views, as {views[0]})")
        lines += [f"    {where}" for where in list(dict.fromkeys(one["where"] for one in same))[:5]]
    return lines


def main() -> int:
    """0: nothing serious, 1: something serious or critical."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path, help="report.html, pages of dossier/")
    parser.add_argument("--axe", type=Path, default=os.environ.get("METIER_AXE"), help="axe.min.js")
    parser.add_argument("--pictures", type=Path, help="keep a picture of every view in this folder")
    given = parser.parse_args()
    if given.axe is None or not Path(given.axe).is_file():
        parser.error("name axe.min.js by --axe or METIER_AXE; `npm pack axe-core@4` brings it")
    if missing := [str(page) for page in given.pages if not page.is_file()]:
        parser.error(f"there is no {', '.join(missing)}")
    if given.pictures:
        given.pictures.mkdir(parents=True, exist_ok=True)
    found = asyncio.run(look_at(given.pages, Path(given.axe).read_text(encoding="utf-8"), given.pictures))
    views = len(given.pages) * len(LANGUAGES) * len(SCHEMES) * len(WIDTHS)
    print("\n".join([*told(found), f"{len(given.pages)} pages, {views} views, {len(found)} findings"]))
    return int(any(one["impact"] in FAILING for one in found))


if __name__ == "__main__":
    sys.exit(main())
