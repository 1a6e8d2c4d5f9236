"""Addresses, links and sitemaps: the parts of crawling that need no network.

Purpose: one spelling for one address, the links of a page, the addresses of a sitemap. Everything here is handed bytes
and may be hostile: parsing resolves no entities and loads nothing.
Not covered: links that a script makes; forms.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
import urllib.parse
import zlib
from collections.abc import Iterable

from metier.collect.encoding import known
from metier.collect.html import decode_html
from metier.collect.reading import Unreadable
from metier.errors import need

MOST_LINKS = 10_000  # of one page; more is a trap
SITEMAP_BYTES = 50 * 1024 * 1024  # unpacked; the limit of sitemaps.org
TRACKING = re.compile(r"^(utm_\w+|gclid|fbclid|msclkid|spm|mc_[ce]id)$")
SAFE = "!$%&'()*+,/:;=?@[]~-._"
EXTENSIONS = {
    "text/html": "html", "application/xhtml+xml": "html", "application/pdf": "pdf", "text/plain": "txt",
    "text/markdown": "md", "text/csv": "csv", "text/tab-separated-values": "tsv", "application/json": "json",
    "application/x-ndjson": "jsonl", "application/rtf": "rtf", "text/rtf": "rtf", "message/rfc822": "eml",
    "application/msword": "doc", "application/vnd.ms-excel": "xls", "application/epub+zip": "epub",
    "application/xml": "xml", "text/xml": "xml",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt",
}  # fmt: skip


def normal(address: str, base: str = "", encoding: str = "utf-8") -> str:
    """The address absolute, in one spelling, without fragment and tracking; "" for what is no web page.

    encoding: of the page that names it; browsers write the query of a link in it.
    """
    try:
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(base, re.sub(r"[\t\r\n]", "", address.strip())))
        host, port = (parts.hostname or "").encode("idna").decode("ascii").lower(), parts.port
    except (ValueError, UnicodeError):
        return ""
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https") or not host or parts.username or parts.password:
        return ""
    if ":" in host:
        host = f"[{host}]"
    if port and port != {"http": 80, "https": 443}[scheme]:
        host = f"{host}:{port}"
    path = parts.path or "/"
    if "/." in path:
        tail = "/" if path.endswith(("/", "/.", "/..")) else ""
        path = posixpath.normpath(path).rstrip("/") + tail or "/"
    path = re.sub(r"^/+", "/", path)
    query = "&".join(pair for pair in parts.query.split("&") if pair and not TRACKING.match(pair.partition("=")[0]))
    path = urllib.parse.quote(path, SAFE, errors="replace")
    query = urllib.parse.quote(query.encode(encoding, "replace"), SAFE)
    return f"{scheme}://{host}{path}" + (f"?{query}" if query else "")


def host(address: str) -> str:
    """Host with port, as rate limits and robots.txt count them."""
    return urllib.parse.urlsplit(address).netloc


def same_site(one: str, other: str) -> bool:
    """Whether two hosts are one but for a leading `www.`."""
    return one.removeprefix("www.") == other.removeprefix("www.")


def shown(address: str) -> str:
    """The address as a person reads it: escapes of UTF-8 text decoded where that loses nothing."""
    text = urllib.parse.unquote(address, errors="strict") if "%" in address and _is_utf8(address) else address
    return text if text.isprintable() and " " not in text and normal(text) == address else address


def wanted(address: str, allow: Iterable[str], deny: Iterable[str]) -> bool:
    """Whether the recipe's globs let an address through."""
    allow = tuple(allow)
    return (not allow or _any(address, allow)) and not _any(address, deny)


def links(data: bytes, declared: str, address: str) -> list[str]:
    """The addresses that a page links to, in its order, each once."""
    lxml_html = need("lxml.html", "web")
    try:
        text, encoding, _ = decode_html(data, "", declared)
    except Unreadable:  # which the reader will say of this page
        return []
    if not text.strip():
        return []
    parser = lxml_html.HTMLParser(no_network=True, remove_comments=True, huge_tree=False)
    try:
        root = lxml_html.document_fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text), parser=parser)
    except (need("lxml.etree", "web").LxmlError, ValueError, AssertionError):
        return []
    base = next((normal(tag.get("href", ""), address) for tag in root.iter("base")), "") or address
    found: dict[str, None] = {}
    for tag, attribute in (("a", "href"), ("area", "href"), ("frame", "src"), ("iframe", "src")):
        for element in root.iter(tag):
            if (target := normal(element.get(attribute) or "", base, encoding)) and len(found) < MOST_LINKS:
                found[target] = None
    return list(found)


def sitemap(data: bytes) -> tuple[list[str], list[str]]:
    """(pages, further sitemaps) that a sitemap file names: XML, an index, plain lines, each also as .gz. ValueError."""
    if data.startswith(b"\x1f\x8b"):
        data = _unzipped(data)
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        lines = data.decode("utf-8", "replace").split()
        return [line for line in lines if re.match(r"https?://", line)], []
    etree = need("lxml.etree", "web")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True, huge_tree=False)
    root = etree.fromstring(data, parser=parser)
    if root is None:
        raise ValueError("no XML")
    pages: list[str] = []
    maps: list[str] = []
    for entry in root:
        place = next((child.text for child in entry if _local(child) == "loc" and child.text), "")
        if place and _local(entry) in ("url", "sitemap"):
            (pages if _local(entry) == "url" else maps).append(place.strip())
    if not pages and not maps and _local(root) not in ("urlset", "sitemapindex"):
        raise ValueError(f"the file is <{_local(root)}>, no sitemap")
    return pages, maps


def read_as(address: str, media_type: str) -> str:
    """A file name by which the reader is chosen: the media type's extension, else the address's own."""
    last = urllib.parse.unquote(urllib.parse.urlsplit(address).path).rpartition("/")[2]
    extension = EXTENSIONS.get(media_type, "")
    if extension == "txt" and re.search(r"\.(md|csv|tsv|jsonl|log|srt|vtt)$", last, re.I):
        extension = ""  # text/plain is what servers say of every text
    if not extension:
        return last or "page"
    return last if last.lower().endswith(f".{extension}") else f"{last or 'page'}.{extension}"


def charset(declared: str) -> str:
    """A charset that Python knows, or ""."""
    return declared if declared and known(declared) else ""


def _any(address: str, globs: Iterable[str]) -> bool:
    parts = urllib.parse.urlsplit(address)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return any(fnmatch.fnmatchcase(address if "://" in glob else path, glob) for glob in globs)


def _local(element: object) -> str:
    tag = getattr(element, "tag", "")
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _unzipped(data: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        text = stream.decompress(data, SITEMAP_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"not readable as .gz: {error}") from None
    if len(text) > SITEMAP_BYTES:
        raise ValueError(f"unpacks to more than {SITEMAP_BYTES:,} bytes")
    return text


def _is_utf8(address: str) -> bool:
    try:
        urllib.parse.unquote_to_bytes(address).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
