"""Word, Excel, PowerPoint and OpenDocument: what is drawn, hidden, noted or changed becomes text or a mark."""

from __future__ import annotations

import pytest

from metier.collect import frames, readers
from metier.collect.docx_lists import write_number
from metier.collect.numberformat import BUILTIN, general, shown
from metier.collect.reading import Options, Piece, Unreadable

from .office import A, C, P, S, chart, docx, flat, named, odf, pptx, relations, shape, xlsx
from .samples import paragraph


def one(parts: dict[str, str | bytes], name: str) -> Piece:
    """The one piece of a package; every key of its metadata is explained in the reader's account."""
    from metier.collect.accounts import ACCOUNTS, told

    data = named(parts)
    (piece,) = readers.read(data, name, Options(ocr=False)).pieces
    assert set(piece.metadata) <= told(ACCOUNTS[readers.choose(data, name)])
    return piece


def refused(parts: dict[str, str | bytes], name: str) -> str:
    with pytest.raises(Unreadable) as caught:
        readers.read(named(parts), name, Options())
    assert caught.value.detail
    return caught.value.reason


# -- Word --------------------------------------------------------------------------------------------------------------

LEVEL = ("<w:lvl w:ilvl='{}'><w:start w:val='{}'/><w:numFmt w:val='{}'/><w:lvlText w:val='{}'/></w:lvl>").format
NUMBERED = "<w:abstractNum w:abstractNumId='0'>{}</w:abstractNum>{}".format


def item(text: str, level: int = 0, number: str = "1") -> str:
    return (f"<w:p><w:pPr><w:numPr><w:ilvl w:val='{level}'/><w:numId w:val='{number}'/></w:numPr></w:pPr>"
            f"<w:r><w:t>{text}</w:t></w:r></w:p>")  # fmt: skip


def test_clauses_carry_the_numbers_that_word_draws() -> None:
    levels = (
        LEVEL(0, 1, "chineseCounting", "第%1条") + LEVEL(1, 1, "decimal", "%1.%2") + LEVEL(2, 1, "lowerLetter", "(%3)")
    )
    numbering = NUMBERED(levels, "<w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num>")
    body = (item("定义") + item("Fees", 1) + item("monthly", 2) + item("yearly", 2) + item("付款")
            + item("Term", 1) + paragraph("plain") + item("终止"))  # fmt: skip
    text = one(docx(body, numbering=numbering), "a.docx").text
    clauses = [
        "第一条 定义",
        "一.1 Fees",
        "(a) monthly",
        "(b) yearly",
        "第二条 付款",
        "二.1 Term",
        "plain",
        "第三条 终止",
    ]
    assert text.split("\n\n") == clauses


def test_numbers_by_style_restarted_lists_and_bullets() -> None:
    levels = LEVEL(0, 1, "decimal", "%1.") + LEVEL(1, 1, "bullet", "o")
    numbers = ("<w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num>"
               "<w:num w:numId='2'><w:abstractNumId w:val='0'/><w:lvlOverride w:ilvl='0'><w:startOverride w:val='1'/>"
               "</w:lvlOverride></w:num>")  # fmt: skip
    styles = flat("""
        <w:style w:type='paragraph' w:styleId='Clause'><w:pPr><w:numPr><w:numId w:val='1'/></w:numPr></w:pPr></w:style>
        <w:style w:type='paragraph' w:styleId='Sub'><w:basedOn w:val='Clause'/></w:style>""")
    styled = "<w:p><w:pPr><w:pStyle w:val='Sub'/></w:pPr><w:r><w:t>styled</w:t></w:r></w:p>"
    off = styled.replace("</w:pPr>", "<w:numPr><w:numId w:val='0'/></w:numPr></w:pPr>").replace("styled", "off")
    body = styled + item("own") + item("point", 1) + off + item("again", 0, "2") + item("and", 0, "2")
    text = one(docx(body, numbering=NUMBERED(levels, numbers), styles=styles), "a.docx").text
    assert text.split("\n\n") == ["1. styled", "2. own", "  - point", "off", "1. again", "2. and"]


@pytest.mark.parametrize(("value", "form", "text"), [
    (4, "lowerRoman", "iv"), (1999, "upperRoman", "MCMXCIX"), (28, "lowerLetter", "bb"), (10, "chineseCounting", "十"),
    (21, "chineseCounting", "二十一"), (105, "chineseCountingThousand", "一百零五"), 
    (10_020, "chineseCounting", "一万〇二十"),
    (12, "chineseLegalSimplified", "壹拾贰"), (3, "decimalEnclosedCircle", "③"), (7, "decimalZero", "07"),
    (2, "ideographTraditional", "乙"), (305, "ideographDigital", "三〇五"), (0, "chineseCounting", "〇"),
])  # fmt: skip
def test_numbers_as_they_are_written(value: int, form: str, text: str) -> None:
    assert write_number(value, form) == text


def test_equations_charts_boxes_symbols_and_hidden_styles() -> None:
    fraction = flat("""
        <w:p><m:oMath><m:r><m:t>x=</m:t></m:r><m:f><m:num><m:r><m:t>1</m:t></m:r></m:num>
        <m:den><m:rad><m:deg/><m:e><m:r><m:t>n</m:t></m:r></m:e></m:rad></m:den></m:f></m:oMath></w:p>""")
    drawn = "<w:p><w:r><w:drawing><c:chart r:id='c1'/></w:drawing></w:r></w:p>"
    inner = f"<w:pict><w:txbxContent>{paragraph('in a box')}</w:txbxContent></w:pict>"
    box = f"<w:p><w:r><w:t>before</w:t>{inner}</w:r></w:p>"
    tick = "<w:p><w:r><w:sym w:font='Wingdings' w:char='F0FE'/><w:t> agreed</w:t></w:r></w:p>"
    styles = "<w:style w:type='character' w:styleId='Ghost'><w:rPr><w:vanish/></w:rPr></w:style>"
    ghost = "<w:p><w:r><w:rPr><w:rStyle w:val='Ghost'/></w:rPr><w:t>unseen</w:t></w:r></w:p>"
    parts = docx(fraction + drawn + box + tick + ghost, styles=styles)
    parts["word/_rels/document.xml.rels"] = relations(("c1", "chart", "charts/chart1.xml"))
    north_south = [("North", "1.5"), ("South", "0.30000000000000004")]
    parts["word/charts/chart1.xml"] = chart(("2025", north_south), ("2026", [("North", "2")]))
    piece = one(parts, "a.docx")
    assert piece.text.split("\n\n") == [
        r"$x=\frac{1}{\sqrt{n}}$", "\t2025\t2026\nNorth\t1.5\t2\nSouth\t0.3", "before", "in a box", "☑ agreed",
        "[hidden: unseen]",
    ]  # fmt: skip
    assert piece.metadata == {"equations": 1, "charts": 1, "hidden_runs": 1}


def test_merged_cells_stand_in_every_place_unless_long() -> None:
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text) if text else '<w:p/>'}</w:tc>"

    wide, start, on = "<w:gridSpan w:val='2'/>", "<w:vMerge w:val='restart'/>", "<w:vMerge/>"
    rows = [
        cell("Region") + cell("Sales", wide), cell("East", start) + cell("1") + cell("2"),
        cell("", on) + cell("3") + cell("4"), cell("x" * 90, wide) + cell("5"),
    ]  # fmt: skip
    text = one(docx("<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in rows) + "</w:tbl>"), "a.docx").text
    assert text.split("\n") == ["Region\tSales\tSales", "East\t1\t2", "East\t3\t4", "x" * 90 + "\t\t5"]


def test_a_document_inside_a_document_is_read() -> None:
    parts = docx(paragraph("outer") + "<w:altChunk r:id='a1'/><w:altChunk r:id='a2'/>")
    parts["word/_rels/document.xml.rels"] = relations(("a1", "aFChunk", "part.html"), ("a2", "aFChunk", "gone.html"))
    parts["word/part.html"] = "<html><body><p>inner words</p></body></html>"
    reading = readers.read(named(parts), "a.docx", Options())
    assert reading.pieces[0].text == "outer\n\ninner words" and reading.pieces[0].metadata["embedded_documents"] == 1
    assert [(item.part, item.reason) for item in reading.refused] == [("!word/gone.html", "damaged")]


# -- Excel -------------------------------------------------------------------------------------------------------------


def test_sheets_as_they_are_seen() -> None:
    styles = flat("""
        <numFmts><numFmt numFmtId='164' formatCode='yyyy&quot;年&quot;m&quot;月&quot;d&quot;日&quot;'/></numFmts>
        <cellXfs><xf numFmtId='0'/><xf numFmtId='164'/><xf numFmtId='10'/><xf numFmtId='4'/></cellXfs>""")
    strings = (
        "<si><t>日期</t></si><si><r><t>rich </t></r><r><t>text</t></r><rPh sb='0' eb='1'><t>reading</t></rPh></si>"
    )
    first = ("<row r='1'><c r='B1' t='s'><v>0</v></c><c r='D1' t='s'><v>1</v></c></row>"
             "<row r='2'><c r='B2' s='1'><v>45356</v></c><c r='D2' s='2'><v>0.12345</v></c></row>"
             "<row r='5' hidden='1'><c r='B5' s='3'><v>1234567.891</v></c><c r='D5'><f>SUM(D1:D2)</f></c>"
             "<c r='E5' t='b'><v>1</v></c></row>")  # fmt: skip
    book = xlsx(("数据", "", first), ("Notes", "veryHidden", "<row><c t='inlineStr'><is><t>secret</t></is></c></row>"),
                strings=strings, styles=styles)  # fmt: skip
    piece = one(book, "a.xlsx")
    assert piece.text == ("# 数据\n\n日期\trich text\n2024年3月5日\t12.35%\n\n1,234,567.89\t=SUM(D1:D2)\tTRUE\n\n"
                          "# Notes [hidden sheet]\n\nsecret")  # fmt: skip
    assert piece.metadata == {"sheets": 2, "hidden_sheets": 1, "hidden_rows": 1, "formulas_without_value": 1,
                              "rounded_numbers": 2}  # fmt: skip


def test_comments_charts_and_headers_of_a_sheet() -> None:
    sheet = flat("""
        <sheetData><row r='1'><c r='A1'><v>7</v></c></row></sheetData>
        <headerFooter><oddHeader>&amp;L&amp;"Arial"Draft&amp;RPage &amp;P</oddHeader></headerFooter>""")
    book = xlsx(("S", "", sheet))
    book["xl/worksheets/_rels/sheet1.xml.rels"] = relations(("c", "comments", "../comments1.xml"),
                                                            ("d", "drawing", "../drawings/drawing1.xml"))  # fmt: skip
    book["xl/comments1.xml"] = flat(f"""
        <comments xmlns='{S}'><authors><author>Li</author></authors><commentList><comment ref='A1' authorId='0'>
        <text><r><t>why seven?</t></r></text></comment></commentList></comments>""")
    frame = "<graphicFrame><c:chart r:id='x'/></graphicFrame>"
    book["xl/drawings/drawing1.xml"] = f"<d xmlns:c='{C}' xmlns:r='r'>{frame}</d>"
    book["xl/drawings/_rels/drawing1.xml.rels"] = relations(("x", "chart", "../charts/chart1.xml"))
    book["xl/charts/chart1.xml"] = chart(("sum", [("a", "1")]))
    piece = one(book, "a.xlsx")
    assert piece.text == "# S\n\n7\n\n\tsum\na\t1\n\n[comment] A1, Li: why seven?\n\n[header]\nDraft\nPage"
    assert piece.metadata == {"sheets": 1, "comments": 1, "charts": 1}


def test_one_text_named_by_a_million_cells_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from metier.collect import xlsx as module

    monkeypatch.setattr(module, "MAX_TEXT", 10_000)
    row = "<row>" + "<c t='s'><v>0</v></c>" * 20 + "</row>"
    assert refused(xlsx(("S", "", row), strings=f"<si><t>{'x' * 1000}</t></si>"), "a.xlsx") == "too large"
    assert refused(xlsx(("S", "", "<row><c/></row>")), "a.xlsx") == "empty"
    assert refused(xlsx(("S", "", "<row><c></row>")), "a.xlsx") == "damaged"


def test_a_cell_at_the_far_edge_costs_no_memory() -> None:
    row = "<row r='1048576'><c r='A1048576'><v>1</v></c><c r='XFD1048576'><v>2</v></c></row>"
    assert one(xlsx(("S", "", row)), "a.xlsx").text == "# S\n\n1\t2"


@pytest.mark.parametrize(("value", "code", "text"), [
    (45356.5, "yyyy-mm-dd hh:mm", "2024-03-05 12:00"), (45356, "d-mmm-yy", "5-Mar-24"), (1.5, "[h]:mm", "36:00"),
    (0.75, "h:mm AM/PM", "6:00 PM"), (59, "yyyy-mm-dd", "1900-02-28"), (61, "yyyy-mm-dd", "1900-03-01"),
    (1234.5, "#,##0.00", "1,234.50"), (-1234.5, "#,##0;(#,##0)", "(1,235)"), (0.256, "0%", "26%"),
    (12, "000000", "000012"), (1234.5, "[$¥-804]#,##0.00", "¥1,234.50"), (0, '0;-0;"-"', "-"),
    (1e6, '0.0,,"m"', "1.0m"), (12345, "0.00E+00", "1.23E+04"), (0.5, "General", "0.5"), (3, "@", "3"),
    (45356, "aaaa", "星期二"), (-5, "yyyy", "-5"), (2.5, "0.##", "2.5"), (2, "0.##", "2"),
    (45356.999999, "h:mm:ss", "0:00:00"), (1234567, "#,##0_);\\(#,##0\\)", "1,234,567"),
])  # fmt: skip
def test_numbers_as_they_are_shown(value: float, code: str, text: str) -> None:
    assert shown(value, code)[0] == text


def test_every_built_in_format_writes_something() -> None:
    for code in BUILTIN.values():
        for value in (0, 1, -1, 0.1, 45356.25, 1e-9, 1e300, -1e300):
            assert shown(value, code)[0].strip()
    assert [general(value) for value in (0.1 + 0.2, 3.0, 1e21, -2.5, 1e-7)] == ["0.3", "3", "1E+21", "-2.5", "1E-7"]
    assert shown(1.005, "0.00") == ("1.01", True) and shown(1.5, "0.00") == ("1.50", False)


# -- PowerPoint --------------------------------------------------------------------------------------------------------


def test_slides_notes_comments_and_what_is_hidden() -> None:
    cell = "<a:tc><p:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></p:txBody></a:tc>".format
    table = f"<p:graphicFrame><a:tbl><a:tr>{cell('a')}{cell('b')}</a:tr></a:tbl></p:graphicFrame>"
    point = "<a:p><a:pPr><a:buAutoNum type='arabicPeriod'/></a:pPr><a:r><a:t>{}</a:t></a:r></a:p>".format
    listed = f"<p:sp><p:txBody>{point('x')}{point('y')}</p:txBody></p:sp>"
    first = shape("body text") + shape("风险", "title") + shape("7", "sldNum") + f"<p:grpSp>{table}</p:grpSp>" + listed
    slides = pptx(first, shape("kept back"), hidden=(2,))
    slides["ppt/slides/_rels/slide1.xml.rels"] = relations(("n", "notesSlide", "../notes/n1.xml"),
                                                           ("c", "comments", "../comments/c1.xml"))  # fmt: skip
    space = f"xmlns:a='{A}' xmlns:p='{P}'"
    slides["ppt/notes/n1.xml"] = f"<p:notes {space}>{shape('say this', 'body')}{shape('1', 'sldNum')}</p:notes>"
    slides["ppt/comments/c1.xml"] = f"<p:cmLst {space}><p:cm authorId='0'><p:text>sure?</p:text></p:cm></p:cmLst>"
    slides["ppt/commentAuthors.xml"] = f"<p:cmAuthorLst {space}><p:cmAuthor id='0' name='Wang'/></p:cmAuthorLst>"
    piece = one(slides, "a.pptx")
    assert piece.text.split("\n\n") == [
        "风险", "body text", "a\tb", "1. x\n2. y", "[notes]\nsay this", "[comment] Wang: sure?", "[hidden slide]",
        "kept back",
    ]  # fmt: skip
    assert piece.title == "风险"
    assert piece.metadata == {"slides": 2, "hidden_slides": 1, "notes": 1, "comments": 1, "tables": 1,
                              "running_lines_removed": 1}  # fmt: skip
    assert refused(pptx("", ""), "a.pptx") == "empty"


# -- OpenDocument ------------------------------------------------------------------------------------------------------


def test_opendocument_text_with_its_changes_notes_and_lists() -> None:
    changes = flat("""
        <text:tracked-changes><text:changed-region text:id='c1'>
        <text:deletion><text:p>old price</text:p></text:deletion></text:changed-region>
        <text:changed-region text:id='c2'><text:insertion/></text:changed-region>
        </text:tracked-changes>""")
    note = flat("""
        <text:note text:note-class='footnote'><text:note-citation>1</text:note-citation>
        <text:note-body><text:p>small print</text:p></text:note-body></text:note>""")
    listed = flat("""
        <text:list text:style-name='L'><text:list-item><text:p>one</text:p>
        <text:list><text:list-item><text:p>inner</text:p></text:list-item></text:list></text:list-item>
        <text:list-item><text:p>two</text:p></text:list-item></text:list>""")
    styles = flat("""
        <text:list-style style:name='L'>
        <text:list-level-style-number text:level='1' style:num-format='1' style:num-suffix='.'/>
        <text:list-level-style-bullet text:level='2'/></text:list-style>""")
    paid = f"<text:p>Pay <text:change text:change-id='c1'/>new<text:s text:c='2'/>price{note}</text:p>"
    ghost = "<text:p><text:hidden-text text:string-value='ghost'/></text:p>"
    content = f"{changes}<text:h>Title</text:h>{paid}{listed}{ghost}"
    piece = one(odf("text", content, automatic=styles), "a.odt")
    assert piece.text.split("\n\n") == [
        "Title", "Pay [deleted: old price]new  price", "1. one\n  - inner\n2. two", "[hidden: ghost]",
        "[footnote]\nsmall print",
    ]  # fmt: skip
    assert (
        piece.metadata == {"deletions": 1, "insertions": 1, "footnotes": 1, "hidden_runs": 1} and piece.title == "Title"
    )


def test_opendocument_sheets_and_slides() -> None:
    hide = "<style:style style:name='H'><style:table-properties table:display='false'/></style:style>"
    cell = "<table:table-cell{}><text:p>{}</text:p></table:table-cell>".format
    empty = flat("""
        <table:table-row table:number-rows-repeated='1048000'>
        <table:table-cell table:number-columns-repeated='16384'/></table:table-row>""")
    row = "<table:table-row>{}</table:table-row>".format
    twice = cell(" table:number-columns-repeated='2'", "x")
    sheet = f"<table:table table:name='A'>{row(cell('', '5%') + twice)}{empty}</table:table>"
    sheet += f"<table:table table:name='B' table:style-name='H'>{row(cell('', 'secret'))}</table:table>"
    piece = one(odf("spreadsheet", sheet, automatic=hide), "a.ods")
    assert piece.text == "# A\n\n5%\tx\tx\n\n# B [hidden sheet]\n\nsecret"
    assert piece.metadata == {"sheets": 2, "hidden_sheets": 1}
    frame = "<draw:frame{}><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>".format
    title, notes = frame(" presentation:class='title'", "Head"), frame("", "say")
    page = f"<draw:page>{frame('', 'body')}{title}<presentation:notes>{notes}</presentation:notes></draw:page>"
    piece = one(odf("presentation", page), "a.odp")
    assert piece.text == "Head\n\nbody\n\n[notes]\nsay" and piece.metadata == {"slides": 1, "notes": 1}


# -- what is wrong with packages ---------------------------------------------------------------------------------------

MAIN = {
    "a.docx": "word/document.xml",
    "a.xlsx": "xl/workbook.xml",
    "a.pptx": "ppt/presentation.xml",
    "a.odt": "content.xml",
}


@pytest.mark.parametrize("name", MAIN)
def test_bombs_entities_and_missing_parts(name: str) -> None:
    kind = {"mimetype": "application/vnd.oasis.opendocument.text"} if name == "a.odt" else {}
    assert refused({**kind, MAIN[name]: b"<a>" + b" " * 30_000_000 + b"</a>"}, name) == "too large"
    assert refused({**kind, MAIN[name]: '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'}, name) == "damaged"
    assert refused({**kind, MAIN[name]: "<a><b></a>"}, name) == "damaged"
    assert refused({"other.txt": "x"}, name) == "damaged"


def test_a_workbook_is_a_table_where_somebody_says_so() -> None:
    from metier.collect.table import read as rows_of

    def row(number: int, *cells: str) -> str:
        written = "".join(f"<c t='inlineStr' r='{'ABC'[at]}{number}'><is><t>{text}</t></is></c>"
                          for at, text in enumerate(cells) if text)  # fmt: skip
        return f"<row r='{number}'>{written}</row>"

    sheet = row(1, "问题", "答案") + row(2, "利率多少？", "3.5%") + row(4, "", "无") + row(5, "费用？", "免费", "more")
    book = named(xlsx(("secret", "hidden", row(1, "x")), ("数据", "", sheet)))
    reading = rows_of(book, "a.xlsx", Options(columns={"text": "问题", "answer": "答案"}))
    found = [(one.part, one.text, one.metadata.get("answer"), one.metadata.get("3")) for one in reading.pieces]
    assert found == [("#1", "利率多少？", "3.5%", None), ("#3", "费用？", "免费", "more")]
    assert [(refusal.part, refusal.reason) for refusal in reading.refused] == [("#2", "empty text")]
    assert "line 4" in reading.refused[0].detail
    with pytest.raises(Unreadable) as error:
        rows_of(named(xlsx(("S", "hidden", row(1, "x")))), "a.xlsx", Options())
    assert error.value.reason == "empty"


def test_of_several_sheets_one_is_the_table_and_the_others_are_told() -> None:
    """One sheet is the table; what stands in others is told, and columns of one name stay apart."""

    def cells(*texts: str) -> str:
        return "<row>" + "".join(f"<c t='inlineStr'><is><t>{text}</t></is></c>" for text in texts) + "</row>"

    rows = cells("question", "note", "note") + cells("利率是多少？", "a", "b") + cells("fees?", "", "c")
    book = named(xlsx(("empty", "", ""), ("数据", "", rows), ("old", "hidden", cells("x") + cells("y")),
                              ("more", "", cells("z"))))  # fmt: skip
    frame = frames.load(book, "a.xlsx", Options())
    assert frame.columns == ["question", "note", "note.2"]
    assert [dict(row.cells) for row in frame.rows] == [
        {"question": "利率是多少？", "note": "a", "note.2": "b"}, {"question": "fees?", "note": None, "note.2": "c"},
    ]  # fmt: skip
    assert len(frame.warnings) == 2
    assert "hidden sheet 'old' with 2 rows" in frame.warnings[0] and "'more' with 1 rows" in frame.warnings[1]
