"""XML: records as rows, PubMed and JATS articles as documents, anything else as its text. Nothing is ever fetched.

Purpose: exports of registers and literature come as XML. An element that repeats under one parent is a record, and a
record is a row like any other: its leaves are columns, its columns have usual names, its shape may be known. Articles
have a reader of their own (`literature.py`). Broken XML is read as far as it goes, and that is told.
Entities: a file may define short names for words, and no more; definitions that build on each other (a bomb) or that
would be fetched make the whole file refused. What a DTD would define is not loaded.
Trade-off: the tree is in memory, but for PubMed's files, which are read article by article.
Not covered: schemas, XSLT, mixed content in a record (its text is kept, its marks are not).
"""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import Any

from metier.collect import frames, literature, table
from metier.collect.accounts import Account, describes
from metier.collect.encoding import decode
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable
from metier.errors import need
from metier.registry import register

DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
CLAIM = re.compile(rb"""<\?xml[^>]{0,200}\bencoding\s*=\s*["']([\w.:-]+)["']""")
ENTITY = re.compile(r"""<!ENTITY\s+(%\s+)?(\S+)\s+(?:"([^"]*)"|'([^']*)'|(\w+))""")
LONGEST_ENTITY = 200  # characters that an entity may stand for; names of firms and phrases are shorter
MOST_ENTITIES = 2_000  # HTML's own names for characters, of which some files repeat the list, are 2,125
SUBSET = 1_000_000  # characters in which a document's own definitions are looked for
REPEATED = 0.6  # share of an element's children that must have one name to be its records
DEPTH = 4  # levels below the root at which records are looked for


@register("reader", "xml")
@describes(
    "xml",
    Account(
        title="XML",
        kind="container",
        takes=("xml", "nxml"),
        kept=(
            "records (an element that repeats): each as one document, its leaves as columns",
            "PubMed and JATS articles: title, abstract and sections, tables as text, captions, notes",
            "any other XML: all its text",
        ),
        marked={"headings of sections": "as `# heading`, deeper ones with more marks"},
        counted={
            "every other column": "under its path (`party.name`, `@id`)",
            "pmid, pmcid, doi, journal, year, article_type, keywords": "of an article",
            "authors, references, figures, tables, formulas": "how many an article has; they are not in its text",
            "encoding": "which encoding was found or declared",
            "damage": "where broken XML was mended by leaving something out; also a warning",
        },
        refused={
            "empty": "no text in it",
            "empty text": "a record without text",
            "undecodable": "no encoding gives plausible text",
            "undecodable row": "a record with bytes that do not decode",
            "damaged": "so broken that nothing can be read",
            "malformed row": "a record that does not fit the shape of the others",
            "no text column": "records, none of whose parts looks like the text",
            "unsafe XML": "entities that build on each other or would be fetched",
        },
        lost=("names and addresses of authors", "reference lists", "comments and processing instructions"),
        libraries=("lxml",),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """Rows, articles or one text. Unreadable: empty, undecodable, damaged, unsafe XML, no text column."""
    need("lxml", "documents")
    claim = CLAIM.search(data[:1024])
    decoded = decode(
        data, options.encoding, options.declared or (claim.group(1).decode() if claim else ""), lenient=True
    )
    text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", decoded.text)
    reading = Reading()
    if decoded.damaged:
        text = re.sub("[\udc80-\udcff]", "", text)
        reading.warnings.append(f"{name}: {decoded.damaged} bytes are not valid {decoded.encoding} and were left out")
    if not text.strip():
        raise Unreadable("empty", "the file holds no text" if data else "the file has 0 bytes")
    names = safe_entities(text)
    body = DECLARATION.sub("", text, count=1).encode("utf-8", "backslashreplace")
    articles = literature.pubmed(body, names) if "<PubmedArticle" in text else None
    if articles is None:
        root, damage = parse(body)
        if damage:
            reading.warnings.append(f"{name}: {damage}")
        articles = literature.jats(root, names)
        found = _other(root, names, name, options) if articles is None else Reading(articles)
        for piece in found.pieces if damage else []:
            piece.metadata["damage"] = damage
    else:
        found = Reading(articles)
    reading.extend(found)
    for piece in reading.pieces:
        piece.metadata["encoding"] = decoded.encoding
    if not reading.pieces and not reading.refused:
        raise Unreadable("empty", "no element of the file holds text")
    return reading


def safe_entities(text: str) -> dict[str, str]:
    """The entities that a document defines itself, name -> text. Unreadable("unsafe XML") if they can do harm."""
    start = re.search(r"<!DOCTYPE[^\[>]{0,2000}\[", text[:SUBSET])
    if not start:
        return {}
    found: dict[str, str] = {}
    for parameter, entity, double, single, external in ENTITY.findall(text[start.end() : start.end() + SUBSET]):
        value = double or single
        if external or parameter:
            raise Unreadable("unsafe XML", f"the entity '{entity[:40]}' would be fetched or builds other definitions; "
                             "nothing of the file was read")  # fmt: skip
        if re.search(r"&(?!#)|%", value) or len(value) > LONGEST_ENTITY or len(found) >= MOST_ENTITIES:
            raise Unreadable("unsafe XML", f"the entity '{entity[:40]}' builds on others or is too long, as in an "
                             "entity bomb; nothing of the file was read")  # fmt: skip
        found[entity] = html.unescape(value)
    return found


def parse(body: bytes) -> tuple[Any, str]:
    """(root, what was broken). Entities stay what they are, nothing is loaded. Unreadable: damaged."""
    from lxml import etree

    settings = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": True,
                "remove_comments": True, "remove_pis": True, "encoding": "utf-8"}  # fmt: skip
    try:
        return etree.fromstring(body, etree.XMLParser(**settings)), ""
    except (etree.XMLSyntaxError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else "broken"
    try:
        root = etree.fromstring(body, etree.XMLParser(**settings, recover=True))
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None or not any(text.strip() for text in root.itertext()):
        raise Unreadable("damaged", f"not readable as XML: {first[:200]}")
    return root, f"the XML is broken and was read as far as it goes: {first[:200]}"


def _other(root: Any, names: dict[str, str], name: str, options: Options) -> Reading:
    """Records where there are some with a text among them, else all text."""
    records = _records(root)
    if records:
        rows = [frames.Row(number, _cells(record, names)) for number, record in enumerate(records, 1)]
        frame = frames.Frame("xml", frames.ordered_names(row.cells for row in rows), rows)
        try:
            understood = table.understand(frame, options.columns, name)
        except Unreadable:
            if options.columns:
                raise
        else:
            found = Reading(warnings=[f"{name}: {len(rows):,} records called '{literature.tag(records[0])}'",
                                      *(f"{name}: {text}" for text in understood.warnings)])  # fmt: skip
            for part in table.pieces(frame, understood):
                found.extend(part)
            return found
    text = literature.flowing(root, names)
    if not text:
        return Reading(refused=[Refusal("", "empty", "no element of the file holds text")])
    title = next((literature.plain(item, names) for item in root.iter("{*}title")), "")
    return Reading([Piece(text, title=title, media_type="application/xml")])


def _records(root: Any) -> list[Any]:
    """The children that repeat: of the root, or of the one big element that it wraps."""
    element = root
    for _ in range(DEPTH):
        children = [child for child in element if isinstance(child.tag, str)]
        if not children:
            return []
        kind, count = Counter(child.tag for child in children).most_common(1)[0]
        if count >= 2 and count >= REPEATED * len(children):
            found = [child for child in children if child.tag == kind]
            return found if sum(1 for child in found if len(child) or child.attrib) >= REPEATED * len(found) else []
        element = max(children, key=len)
    return []


def _cells(record: Any, names: dict[str, str]) -> dict[str, Any]:
    """The leaves of a record by their path below it; a leaf that repeats becomes a list."""
    cells: dict[str, Any] = {}

    def put(path: str, value: str) -> None:
        if path not in cells:
            cells[path] = value
        elif isinstance(cells[path], list):
            cells[path].append(value)
        else:
            cells[path] = [cells[path], value]

    stack = [(record, "")]
    while stack:
        element, path = stack.pop()
        for key, value in element.attrib.items():
            put(f"{path}.@{literature.local(key)}" if path else f"@{literature.local(key)}", value)
        children = [child for child in element if isinstance(child.tag, str)]
        mixed = bool((element.text or "").strip()) or any((child.tail or "").strip() for child in element)
        if not children or mixed:
            text = literature.plain(element, names)
            if text and path:
                put(path, text)
            elif text:
                put("text", text)
            continue
        stack += [(child, f"{path}.{literature.tag(child)}" if path else literature.tag(child))
                  for child in reversed(children)]  # fmt: skip
    return cells
