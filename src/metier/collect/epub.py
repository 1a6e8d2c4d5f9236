"""Electronic books (.epub): the chapters in the order of the book's spine.

Purpose: a book is a zip of web pages and a list that says in which order they are read; each page is taken whole, by
the walk of the web page reader. Contents pages that only lead elsewhere are left out and counted.
Trade-off: notes stay where their page stands in the spine. Not covered: pictures of pages, sound, protected books.
"""

from __future__ import annotations

import posixpath
from typing import Any
from urllib.parse import unquote

from metier.collect import html
from metier.collect.accounts import Account, describes
from metier.collect.package import Package, get, inside, local, opened, words
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable
from metier.registry import register

PAGES = ("application/xhtml+xml", "text/html", "application/xml", "text/xml", "application/x-dtbook+xml")


@register("reader", "epub")
@describes(
    "epub",
    Account(
        title="Electronic books",
        takes=("epub",),
        kept=("every page of the spine in order, with lists and tables", "the title"),
        counted={
            "chapters": "pages that were read",
            "navigation": "pages of contents that were left out",
            "author, published": "from the book's description",
            "pictures": "seen, not read",
        },
        refused={
            "empty": "no page has text",
            "encrypted": "its pages are protected",
            "damaged": "not a package, no list of pages, or a page that is missing (the others are read)",
            "unsupported format": "a page of the spine that is a picture (the others are read)",
            "undecodable": "a page that no encoding fits (the others are read)",
            "too large": "a part would unpack beyond the limits (a zip bomb)",
        },
        lost=("text in pictures",),
        libraries=("lxml",),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document, the whole book. Unreadable: empty, encrypted, damaged, too large."""
    with opened(data, "EPUB", options) as package:
        return _book(package)


def _book(package: Package) -> Reading:
    main = ""
    if "META-INF/container.xml" in package:
        found = inside(package.xml("META-INF/container.xml"), "rootfile")
        main = next((path for item in found if (path := get(item, "full-path")) in package), "")
    main = main or next(iter(package.matching(r".*\.opf")), "")
    if not main:
        raise Unreadable("damaged", "the book names no list of its pages")
    root, folder = package.xml(main), posixpath.dirname(main)
    items = {get(item, "id"): item for item in inside(root, "item")}
    locked = _locked(package)
    reading, texts, counts = Reading(), [], {"chapters": 0, "navigation": 0}
    for entry in inside(root, "itemref"):
        item = items.get(get(entry, "idref"))
        if item is None:
            reading.refused.append(Refusal(f"#{get(entry, 'idref')}", "damaged", "the spine names a page that the book "
                                           "does not list"))  # fmt: skip
            continue
        path = posixpath.normpath(posixpath.join(folder, unquote(get(item, "href"))))
        if path in locked:
            raise Unreadable("encrypted", "the pages of the book are protected")
        if "nav" in get(item, "properties").split():
            counts["navigation"] += 1
            continue
        text = _page(package, path, get(item, "media-type"), reading)
        counts["chapters"] += bool(text)
        texts.append(text)
    text = "\n\n".join(text for text in texts if text)
    if not text:
        if reading.refused:
            first = reading.refused[0]
            raise Unreadable(first.reason, f"no page can be read: {first.detail}")
        raise Unreadable("empty", "no page of the book has text (only pictures?)")
    said = {local(item): words(item, local(item)).strip() for item in root.iter() if local(item) in
            ("title", "creator", "language", "date")}  # fmt: skip
    metadata: dict[str, Any] = {key: count for key, count in counts.items() if count}
    metadata |= {key: said[name] for key, name in (("author", "creator"), ("published", "date")) if said.get(name)}
    if pictures := sum(get(item, "media-type").startswith("image/") for item in items.values()):
        metadata["pictures"] = pictures
    reading.pieces.append(Piece(text, title=said.get("title", ""), media_type="application/epub+zip",
                                language=said.get("language", ""), metadata=metadata))  # fmt: skip
    return reading


def _locked(package: Package) -> set[str]:
    """Parts that are encrypted (fonts often are, which takes nothing from the text)."""
    if "META-INF/encryption.xml" not in package:
        return set()
    return {unquote(get(item, "URI")) for item in inside(package.xml("META-INF/encryption.xml"), "CipherReference")}


def _page(package: Package, path: str, media: str, reading: Reading) -> str:
    part = f"#{path}"
    if path not in package:
        reading.refused.append(Refusal(part, "damaged", "the page is not in the book"))
        return ""
    if media not in PAGES:
        reading.refused.append(Refusal(part, "unsupported format", f"a page of the kind {media or 'unknown'}"))
        return ""
    try:
        decoded = html.decode_html(package.read(path))[0]
    except Unreadable as error:
        if error.reason == "too large":
            raise
        reading.refused.append(Refusal(part, error.reason, error.detail))
        return ""
    tree = html.parse(decoded)
    return html.visible(tree) if tree is not None else ""
