"""Small Office, OpenDocument and EPUB packages made on the spot, with only the parts that a test is about."""

from __future__ import annotations

import io
import zipfile

RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
C = "http://schemas.openxmlformats.org/drawingml/2006/chart"
M = "http://schemas.openxmlformats.org/officeDocument/2006/math"
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "urn:oasis:names:tc:opendocument:xmlns:"


def flat(text: str) -> str:
    """XML written over several lines, as one."""
    return "".join(line.strip() for line in text.split("\n"))


def named(parts: dict[str, str | bytes]) -> bytes:
    """A zip package of these parts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return stream.getvalue()


def relations(*items: tuple[str, str, str]) -> str:
    """(id, last word of the type, target) of each relationship."""
    rows = "".join(f"<Relationship Id='{i}' Type='{RELATIONS}/{kind}' Target='{target}'/>" for i, kind, target in items)
    return f"<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>{rows}</Relationships>"


def docx(body: str, **parts: str) -> dict[str, str | bytes]:
    """Parts of a Word document; extra parts as `styles="<w:style .../>"`."""
    space = f"xmlns:w='{W}' xmlns:m='{M}' xmlns:r='{RELATIONS}' xmlns:c='{C}' xmlns:v='urn:schemas-microsoft-com:vml'"
    found: dict[str, str | bytes] = {"word/document.xml": f"<w:document {space}><w:body>{body}</w:body></w:document>"}
    for name, text in parts.items():
        found[f"word/{name}.xml"] = f"<w:root {space}>{text}</w:root>"
    return found


def chart(*series: tuple[str, list[tuple[str, str]]]) -> str:
    """A chart part: (name, [(category, value), ...]) of each series."""

    def points(values: list[str]) -> str:
        return "".join(f"<c:pt idx='{at}'><c:v>{value}</c:v></c:pt>" for at, value in enumerate(values))

    written = "".join(
        f"<c:ser><c:tx><c:strRef><c:strCache>{points([name])}</c:strCache></c:strRef></c:tx>"
        f"<c:cat><c:strRef><c:strCache>{points([key for key, _ in values])}</c:strCache></c:strRef></c:cat>"
        f"<c:val><c:numRef><c:numCache>{points([value for _, value in values])}</c:numCache></c:numRef></c:val></c:ser>"
        for name, values in series
    )
    return f"<c:chartSpace xmlns:c='{C}'><c:chart><c:plotArea>{written}</c:plotArea></c:chart></c:chartSpace>"


def xlsx(*sheets: tuple[str, str, str], strings: str = "", styles: str = "") -> dict[str, str | bytes]:
    """Parts of a workbook: (name, state, rows as XML) of each sheet."""
    listed = "".join(f"<sheet name='{name}' sheetId='{at}' state='{state or 'visible'}' r:id='s{at}'/>"
                     for at, (name, state, _) in enumerate(sheets, 1))  # fmt: skip
    links = [(f"s{at}", "worksheet", f"worksheets/sheet{at}.xml") for at in range(1, len(sheets) + 1)]
    found: dict[str, str | bytes] = {
        "xl/workbook.xml": f"<workbook xmlns='{S}' xmlns:r='{RELATIONS}'><sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(*links, ("t", "sharedStrings", "sharedStrings.xml"),
                                                ("y", "styles", "styles.xml")),
        "xl/sharedStrings.xml": f"<sst xmlns='{S}'>{strings}</sst>",
        "xl/styles.xml": f"<styleSheet xmlns='{S}'>{styles}</styleSheet>",
    }  # fmt: skip
    for at, (_, _, rows) in enumerate(sheets, 1):
        inner = rows if "sheetData" in rows else f"<sheetData>{rows}</sheetData>"
        found[f"xl/worksheets/sheet{at}.xml"] = f"<worksheet xmlns='{S}'>{inner}</worksheet>"
    return found


def shape(text: str, kind: str = "") -> str:
    """A text box of a slide; kind: of its placeholder."""
    holder = f"<p:nvPr><p:ph type='{kind}'/></p:nvPr>" if kind else "<p:nvPr/>"
    lines = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f"<p:sp><p:nvSpPr>{holder}</p:nvSpPr><p:txBody>{lines}</p:txBody></p:sp>"


def pptx(*slides: str, hidden: tuple[int, ...] = ()) -> dict[str, str | bytes]:
    """Parts of a presentation: the shapes of each slide."""
    space = f"xmlns:a='{A}' xmlns:p='{P}' xmlns:r='{RELATIONS}' xmlns:c='{C}'"
    listed = "".join(f"<p:sldId id='{255 + at}' r:id='r{at}'/>" for at in range(1, len(slides) + 1))
    found: dict[str, str | bytes] = {
        "ppt/presentation.xml": f"<p:presentation {space}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            *((f"r{at}", "slide", f"slides/slide{at}.xml") for at in range(1, len(slides) + 1))),
    }  # fmt: skip
    for at, shapes in enumerate(slides, 1):
        show = " show='0'" if at in hidden else ""
        tree = f"<p:cSld><p:spTree>{shapes}</p:spTree></p:cSld>"
        found[f"ppt/slides/slide{at}.xml"] = f"<p:sld {space}{show}>{tree}</p:sld>"
    return found


def odf(kind: str, content: str, styles: str = "", automatic: str = "") -> dict[str, str | bytes]:
    """Parts of an OpenDocument file; kind: text, spreadsheet, presentation."""
    space = " ".join(f"xmlns:{key}='{OFFICE}{name}:1.0'" for key, name in {
        "office": "office", "text": "text", "table": "table", "draw": "drawing", "style": "style",
        "presentation": "presentation"}.items())  # fmt: skip
    space += " xmlns:dc='http://purl.org/dc/elements/1.1/'"
    body = f"<office:body><office:{kind}>{content}</office:{kind}></office:body>"
    wrapped = f"<office:automatic-styles>{automatic}</office:automatic-styles>{body}"
    return {
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": f"<office:document-content {space}>{wrapped}</office:document-content>",
        "styles.xml": f"<office:document-styles {space}>{styles}</office:document-styles>",
    }
