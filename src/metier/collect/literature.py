"""Articles of the literature in XML: PubMed records, and JATS as PubMed Central and publishers write it.

Purpose: an article becomes its title, abstract and sections in reading order, with headings, tables as lines of cells
and captions where they stand. What identifies it goes into the metadata; who wrote it does not go anywhere, because
names of authors are no knowledge of the field. References are counted and left out.
Not covered: formulas beyond their text, supplementary files.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator, Mapping
from html.entities import html5
from typing import Any

from metier.collect.reading import Piece

MONTHS = {name: number for number, name in enumerate(
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}  # fmt: skip
_SKIPPED_TAGS = """ref-list contrib-group aff author-notes permissions supplementary-material journal-meta object-id"""
SKIPPED = frozenset(_SKIPPED_TAGS.split())
_BLOCK_TAGS = """p title sec abstract list list-item table-wrap fig caption disp-formula disp-quote boxed-text fn
def-list def-item tr table statement verse-group ack app back body note record item"""
BLOCKS = frozenset(_BLOCK_TAGS.split())
ROWS, CELLS = frozenset(["tr", "row"]), frozenset(["td", "th", "entry"])
COUNTED = {"authors": ".//{*}contrib", "references": ".//{*}ref", "figures": ".//{*}fig",
           "tables": ".//{*}table-wrap", "formulas": ".//{*}disp-formula"}  # fmt: skip
LANGUAGES = {"eng": "en", "en": "en", "chi": "zh", "zho": "zh", "zh": "zh"}


def tag(element: Any) -> str:
    """An element's name without its namespace; "" for what is no element."""
    return local(element.tag) if isinstance(element.tag, str) else ""


def local(name: str) -> str:
    """A name without its namespace."""
    return name.rsplit("}", 1)[-1]


def plain(element: Any, names: Mapping[str, str]) -> str:
    """All text below an element as one line."""
    return " ".join("".join(_texts(element, names)).split())


def _texts(element: Any, names: Mapping[str, str]) -> Iterator[str]:
    """Text in document order, without recursion; entities as what they stand for."""
    stack: list[Any] = [element]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
            continue
        if not isinstance(item.tag, str):  # an entity that was not resolved
            yield _entity(item, names)
        else:
            if item.text:
                yield item.text
            for child in reversed(item):
                if child.tail:
                    stack.append(child.tail)
                stack.append(child)


def _entity(item: Any, names: Mapping[str, str]) -> str:
    name = getattr(item, "name", "") or ""
    return names.get(name) or (html.unescape(f"&{name};") if f"{name};" in html5 else f"&{name};" if name
                               else "")  # fmt: skip


def flowing(element: Any, names: Mapping[str, str], depth: int = 0) -> str:
    """Running text: a line a block, a blank line between blocks, tabs between cells, `#` before headings."""
    out: list[str] = []
    stack: list[tuple[str, Any, int]] = [("open", element, depth)]
    while stack:
        step, item, level = stack.pop()
        if step == "text":
            out.append(re.sub(r"\s+", " ", item))
            continue
        kind = tag(item)
        if step == "close":
            out.append("\t" if kind in CELLS else "\n" if kind in ROWS else "\n\n" if kind in BLOCKS else "")
            continue
        if item.tail and item is not element:
            stack.append(("text", item.tail, level))
        if not isinstance(item.tag, str):
            out.append(_entity(item, names))
            continue
        if kind in SKIPPED:
            continue
        parent = item.getparent()
        if kind == "title" and parent is not None and tag(parent) in ("sec", "abstract", "ack", "app"):
            out.append("\n\n" + "#" * min(max(level, 1), 6) + " ")
        elif kind in BLOCKS and kind not in ROWS:
            out.append("\n\n" if kind != "caption" else "")
        elif not kind or (kind not in CELLS and kind not in ROWS and _is_record(item)):
            out.append("\n")
        stack.append(("close", item, level))
        stack.extend(("open", child, level + (kind == "sec")) for child in reversed(item))
        if item.text:
            stack.append(("text", item.text, level))
    return _tidy("".join(out))


def _is_record(item: Any) -> bool:
    """Whether an element of unknown kind only wraps others, so that its text is not part of a sentence."""
    return len(item) > 0 and not (item.text or "").strip()


def _tidy(text: str) -> str:
    lines = [re.sub(r" *\t *", "\t", re.sub(r" {2,}", " ", line)).strip(" ").rstrip("\t") for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def articles_of(body: bytes, tag: str) -> Iterator[Any]:
    """The elements called `tag`, one at a time, each forgotten when the next one is asked for."""
    from lxml import etree

    steps = etree.iterparse(io.BytesIO(body), tag=tag, resolve_entities=False, no_network=True, load_dtd=False,
                            huge_tree=True, remove_comments=True, remove_pis=True, recover=True)  # fmt: skip
    for _, element in steps:
        yield element
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]


# -- PubMed ------------------------------------------------------------------------------------------------------------


def pubmed(body: bytes, names: Mapping[str, str]) -> list[Piece] | None:
    """The articles of a PubMed file; None when there is none."""
    found = [piece for number, element in enumerate(articles_of(body, "PubmedArticle"), 1)
             if (piece := _pubmed_article(element, names, number)) is not None]  # fmt: skip
    for piece in found if len(found) == 1 else []:
        piece.part = ""
    return found or None


def _pubmed_article(element: Any, names: Mapping[str, str], number: int) -> Piece | None:
    def first(path: str) -> str:
        found = element.find(path)
        return plain(found, names) if found is not None else ""

    title = first(".//ArticleTitle")
    sections = []
    for part in element.iterfind(".//Abstract/AbstractText"):
        label, text = part.get("Label", ""), plain(part, names)
        sections.append(f"{label}: {text}" if label else text)
    text = "\n\n".join(section for section in (title, *sections) if section)
    if not text:
        return None
    ids = {item.get("IdType"): plain(item, names) for item in element.iterfind("./PubmedData/ArticleIdList/ArticleId")}
    date = element.find(".//Article/Journal/JournalIssue/PubDate")
    year, time = _date(date, names)
    metadata = {
        "pmid": first("./MedlineCitation/PMID"), "doi": ids.get("doi", ""), "pmcid": ids.get("pmc", ""),
        "journal": first(".//Journal/Title"), "year": year,
        "article_type": "; ".join(plain(item, names) for item in element.iterfind(".//PublicationType")),
        "keywords": [plain(item, names) for item in element.iterfind(".//MeshHeading/DescriptorName")],
        "authors": len(element.findall(".//AuthorList/Author")),
        "references": len(element.findall(".//ReferenceList/Reference")),
    }  # fmt: skip
    language = LANGUAGES.get(first(".//Article/Language"), "")
    return Piece(text, f"#{number}", title, "application/xml", language, time=time,
                 metadata={key: value for key, value in metadata.items() if value not in ("", [], 0)})  # fmt: skip


def _date(date: Any, names: Mapping[str, str]) -> tuple[str, str]:
    """(year, ISO date as far as it is known) of PubMed's or JATS's parts of a date."""
    if date is None:
        return "", ""
    parts = {tag(item).lower(): plain(item, names) for item in date}
    year = re.search(r"\d{4}", parts.get("year", "") or parts.get("medlinedate", ""))
    month = parts.get("month", "")
    number = int(month) if month.isdigit() else MONTHS.get(month[:3].lower(), 0)
    day = parts.get("day", "")
    time = year.group() if year else ""
    if time and 1 <= number <= 12:
        time += f"-{number:02d}" + (f"-{int(day):02d}" if day.isdigit() and 1 <= int(day) <= 31 else "")
    return (year.group() if year else ""), time


# -- JATS --------------------------------------------------------------------------------------------------------------


def jats(root: Any, names: Mapping[str, str]) -> list[Piece] | None:
    """The articles of a JATS file, or of a collection of them; None when it is something else."""
    found = [root] if tag(root) == "article" else [item for item in root.iter("{*}article") if _front(item) is not None]
    found = [item for item in found if _front(item) is not None]
    pieces = [
        _jats_article(item, names, f"#{number}" if len(found) > 1 else "") for number, item in enumerate(found, 1)
    ]
    kept = [piece for piece in pieces if piece is not None]
    return kept or None


def _front(article: Any) -> Any:
    return article.find("{*}front/{*}article-meta") if len(article) else None


def _jats_article(article: Any, names: Mapping[str, str], part: str) -> Piece | None:
    meta = _front(article)

    def first(path: str, below: Any = meta) -> str:
        found = below.find(path)
        return plain(found, names) if found is not None else ""

    title = first("{*}title-group/{*}article-title")
    abstracts = [flowing(item, names) for item in meta.iterfind("{*}abstract")]
    body = article.find("{*}body")
    back = [item for item in article.iterfind("{*}back/*") if tag(item) not in SKIPPED]
    rest = [flowing(item, names) for item in ([body] if body is not None else []) + back]
    text = "\n\n".join(item for item in (title, *abstracts, *rest) if item)
    if not text:
        return None
    ids = {item.get("pub-id-type"): plain(item, names) for item in meta.iterfind("{*}article-id")}
    dates = {item.get("pub-type") or item.get("date-type") or "": item for item in meta.iterfind("{*}pub-date")}
    year, time = _date(next((dates[kind] for kind in ("epub", "ppub", "pub", "collection") if kind in dates),
                            next(iter(dates.values()), None)), names)  # fmt: skip
    licensed = meta.find("{*}permissions/{*}license")
    language = _attribute(article, "lang")
    metadata = {
        "pmid": ids.get("pmid", ""), "pmcid": ids.get("pmc", "") or ids.get("pmcid", ""), "doi": ids.get("doi", ""),
        "journal": first("{*}front/{*}journal-meta//{*}journal-title", article), "year": year,
        "article_type": article.get("article-type", ""),
        "keywords": [plain(item, names) for item in meta.iterfind("{*}kwd-group/{*}kwd")],
        **{key: len(article.findall(path)) for key, path in COUNTED.items()},
    }  # fmt: skip
    return Piece(text, part, title, "application/jats+xml", LANGUAGES.get(language[:2].lower(), ""), time=time,
                 license=_attribute(licensed, "href") or (plain(licensed, names)[:200] if licensed is not None else ""),
                 metadata={key: value for key, value in metadata.items() if value not in ("", [], 0)})  # fmt: skip


def _attribute(element: Any, name: str) -> str:
    """An attribute whatever its namespace, "" where there is none."""
    if element is None:
        return ""
    return next((value for key, value in element.attrib.items() if local(key) == name), "")
