"""Web pages: the article without its navigation; everything visible where there is no article.

Purpose: trafilatura finds the main text of a page with navigation. Filings, forms and exports have none, and there it
drops headings and table cells; so it is asked only where the page shows signs of a site around the text, and its result
is doubted when hardly anything came out. `metadata["extraction"]` tells which. Nothing is fetched, no script runs.
Not covered: text that only a script would draw.
"""

from __future__ import annotations

import re
from typing import Any

from metier.collect.accounts import Account, describes
from metier.collect.docx_lists import write_number
from metier.collect.encoding import decode, known
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.errors import need
from metier.registry import register

LITTLE = 0.25  # share of the visible text below which an article is doubted ...
SHORT = 200  # ... when it is also shorter than this (characters); the shortest in the article benchmark has 372
MUCH = 1.5  # an article longer than this times the visible text (table marks make it longer) holds hidden text
LINKS = (
    0.1  # share of the visible text inside links from which a page has navigation; the benchmark's have 0.12 or more
)
_BLOCK_TAGS = """address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure
footer form h1 h2 h3 h4 h5 h6 header hr legend li main nav ol option p pre section summary table tbody tfoot thead title
tr ul"""
BLOCKS = frozenset(_BLOCK_TAGS.split())
PARTED = frozenset(["p", "table", "ul", "ol", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "section"])
LINE, PARAGRAPH = "\x1e", "\x1f"  # stand for a new line and a blank line until all are merged
ROW, RULE = re.compile(r"^\|.*\|$", re.M), re.compile(r"^\|(?:\s*:?-{3,}:?\s*\|)+(?:\n|$)", re.M)
FORMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}  # type of an ordered list
HIDDEN = frozenset(["script", "style", "noscript", "template", "head", "svg", "iframe", "object", "select", "textarea"])
SITE = re.compile(r"\b(nav|navbar|menu|footer|sidebar|cookie|breadcrumb|导航|页脚)", re.I)


@register("reader", "html")
@describes(
    "html",
    Account(
        title="Web pages",
        takes=("html", "htm", "xhtml", "shtml"),
        kept=(
            "the article where navigation stands around it, else everything visible",
            "tables, lists and headings, each cell and item in its own place",
            "the title",
        ),
        counted={
            "encoding": "which encoding was found or named",
            "extraction": "`article` or `whole page`",
            "undecodable_bytes": "damaged bytes that were left out; also a warning",
        },
        refused={"empty": "no visible text", "undecodable": "no encoding gives plausible text"},
        lost=(
            "navigation, comments of readers and related links around an article",
            "text that a script would draw",
            "what the page hides",
        ),
        libraries=("trafilatura", "lxml"),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document with the main text. Unreadable: empty, undecodable."""
    text, encoding, damaged = decode_html(data, options.encoding, options.declared)
    if not text.strip():
        raise Unreadable("empty", "the file holds no text" if data else "the file has 0 bytes")
    body, title, how = extract(text)
    if not body:
        raise Unreadable("empty", "the page has no visible text")
    metadata: dict[str, Any] = {"encoding": encoding, "extraction": how}
    reading = Reading([Piece(text=body, title=title, media_type="text/html", metadata=metadata)])
    if damaged:
        metadata["undecodable_bytes"] = damaged
        reading.warnings.append(f"{name}: {damaged} bytes are not valid {encoding} and were left out")
    return reading


def decode_html(data: bytes, encoding: str = "", declared: str = "") -> tuple[str, str, int]:
    """Text, encoding and the number of damaged bytes that were left out (web pages are often slightly damaged)."""
    meta = re.search(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]+)""", data[:8192], re.I)
    claim = declared or (meta.group(1).decode("ascii", "ignore") if meta else "")
    try:
        decoded = decode(data, encoding, claim, lenient=True)
    except Unreadable:
        codec = known(encoding or claim)
        text = data.decode(codec, "surrogateescape") if codec else ""
        damaged = len(re.findall("[\udc80-\udcff]", text))
        if not text or damaged > 0.01 * len(text):
            raise
        return re.sub("[\udc80-\udcff]", "", text), codec, damaged
    return re.sub("[\udc80-\udcff]", "", decoded.text).replace("\x00", ""), decoded.encoding, decoded.damaged


def extract(text: str) -> tuple[str, str, str]:
    """(main text, title, "article" | "whole page")."""
    need("lxml", "documents")
    tree = parse(text)
    if tree is None:
        return "", "", "whole page"
    title = " ".join(str(tree.findtext(".//title") or "").split())
    whole = visible(tree)
    if not _has_navigation(tree, whole):
        return whole, title, "whole page"
    article, found_title = _article(text)
    if len(article) > MUCH * len(whole):  # it took in what the page hides
        return whole, title, "whole page"
    if not article or (len(article) < LITTLE * len(whole) and len(article) < SHORT):
        return whole, title, "whole page"
    return article, found_title or title, "article"


def _has_navigation(tree: Any, whole: str) -> bool:
    """Whether a site stands around the text: its elements, its class names, or a good share of links."""
    if next(tree.iter("nav", "footer", "aside"), None) is not None:
        return True
    named = sum(
        bool(SITE.search(f"{e.get('class') or ''} {e.get('id') or ''}")) for e in tree.iter("div", "ul", "table", "td")
    )
    linked = sum(len(" ".join("".join(link.itertext()).split())) for link in tree.iter("a"))
    return named >= 3 or (len(whole) > 500 and linked > LINKS * len(whole))


def parse(text: str) -> Any:
    """lxml tree of a page, or None; entities of a DTD are not expanded and nothing is fetched."""
    import lxml.etree
    import lxml.html

    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    parser = lxml.html.HTMLParser(no_network=True, remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        tree = lxml.html.document_fromstring(text, parser=parser)
    except (lxml.etree.LxmlError, ValueError, AssertionError):
        return None
    if any("depth" in entry.message for entry in parser.error_log):  # libxml2 drops what lies deeper, without an error
        flat = re.sub(r"</?(?:div|span|font|center|table|tbody|tr|td|b|i)\b[^>]*>", "<br>", text, flags=re.I)
        return lxml.html.document_fromstring(flat, parser=parser)
    return tree


def visible(tree: Any) -> str:
    """All text that a reader would see: a line a block, tabs between table cells, a dash or number before items."""
    parts: list[str] = []
    _walk(tree, parts)
    return re.sub(rf"[ \t\n\u00a0{LINE}{PARAGRAPH}]+", _gap, "".join(parts)).strip()


def _gap(match: re.Match[str]) -> str:
    """One run of white space and marks as what it means: a blank line, a new line, tabs between cells, or a space."""
    gap = match.group()
    if PARAGRAPH in gap or gap.count("\n") > 1:
        return "\n\n"
    if LINE in gap or "\n" in gap:
        return "\n"
    return "\t" * gap.count("\t") or " "


def _walk(root: Any, parts: list[str]) -> None:
    """Depth first without recursion, since pages may be nested deeper than Python's stack."""
    stack: list[tuple[str, Any]] = [("open", root)]
    numbers: dict[Any, int] = {}
    pre = 0
    while stack:
        step, item = stack.pop()
        if step == "text":
            parts.append(item if pre else re.sub(r"\s+", " ", item))
            continue
        tag = item.tag if isinstance(item.tag, str) else ""
        if step == "close":
            pre -= tag == "pre"
            parts.append(PARAGRAPH if tag in PARTED else LINE if tag in BLOCKS else "\t" if tag in ("td", "th") else "")
            continue
        if item.tail and item is not root:
            stack.append(("text", item.tail))
        style = (item.get("style") or "").replace(" ", "").lower() if tag else ""
        if not tag or (tag in HIDDEN and item is not root) or "display:none" in style or item.get("hidden") is not None:
            continue
        pre += tag == "pre"
        parts.append("\n" if tag == "br" else PARAGRAPH if tag in PARTED else LINE if tag in BLOCKS else "")
        parts.append(_label(item, numbers) if tag == "li" else "")
        stack.append(("close", item))
        stack.extend(("open", child) for child in reversed(item))
        if item.text:
            stack.append(("text", item.text))


def _label(item: Any, numbers: dict[Any, int]) -> str:
    """What stands before a list item: its number, or a dash for a bullet. numbers: the last one of each list."""
    parent = item.getparent()
    if parent is None or parent.tag != "ol":
        return "- "
    before = numbers.get(parent, _whole(parent.get("start"), 1) - 1)
    numbers[parent] = _whole(item.get("value"), before + 1)
    return f"{write_number(numbers[parent], FORMS.get(parent.get('type') or '1', 'decimal'))}. "


def _whole(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch(r"-?\d{1,9}", text.strip()) else default


def _article(text: str) -> tuple[str, str]:
    trafilatura = need("trafilatura", "documents")
    try:
        found = trafilatura.bare_extraction(
            text, include_comments=False, include_tables=True, include_images=False, include_links=False,
            favor_recall=False, with_metadata=False, deduplicate=False,
        )  # fmt: skip
    except (ValueError, TypeError, RecursionError, AttributeError):  # its heuristics trip over odd trees
        return "", ""
    if found is None:
        return "", ""
    return tabbed((found.text or "").strip()), (found.title or "").strip()


def tabbed(text: str) -> str:
    """The rows of Markdown tables with tabs instead, as everywhere else; the line below a head goes."""
    return ROW.sub(_row, RULE.sub("", text))


def _row(match: re.Match[str]) -> str:
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", match.group()[1:-1])]
    return "\t".join(cells).replace("\\|", "|").rstrip("\t")
