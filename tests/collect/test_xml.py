"""XML: records become rows, articles become documents, filings keep their items and tables."""

from __future__ import annotations

from typing import Any

import pytest

from metier.collect import readers, sec
from metier.collect.reading import Options, Reading, Unreadable

from .samples import mirror


def read(data: str | bytes, name: str = "a.xml", **options: Any) -> Reading:
    return readers.read(data.encode() if isinstance(data, str) else data, name, Options(**options))


# -- records -----------------------------------------------------------------------------------------------------------

RECORDS = (
    "<?xml version='1.0'?><export><meta>2026</meta><cases>"
    "<case id='7'><text>The card is gone</text><label>card</label><party><name>Ann</name></party>"
    "<tag>a</tag><tag>b</tag></case>"
    "<case id='8'><text>Wrong <b>amount</b> charged</text><label>fee</label></case><case id='9'><label>x</label></case>"
    "</cases></export>"
)


def test_an_element_that_repeats_is_a_record() -> None:
    reading = read(RECORDS)
    assert [(piece.part, piece.text, piece.metadata["label"]) for piece in reading.pieces] == [
        ("#1", "The card is gone", "card"), ("#2", "Wrong amount charged", "fee")]  # fmt: skip
    assert reading.pieces[0].metadata["party.name"] == "Ann" and reading.pieces[0].metadata["tag"] == ["a", "b"]
    assert reading.pieces[0].metadata["@id"] == "7"
    assert [(item.part, item.reason) for item in reading.refused] == [("#3", "empty text")]
    assert read(RECORDS, columns={"text": "label"}).pieces[2].text == "x"


def test_records_may_have_a_shape() -> None:
    data = "<d>" + "".join(f"<qa><question>q{n}</question><answer>a{n}</answer></qa>" for n in range(3)) + "</d>"
    assert (
        read(data).pieces[1].metadata["question"] == "q1"
        and read(data).pieces[1].metadata["shape"] == "question-answer"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "gb2312", "big5", "utf-16", "iso-8859-1", "shift_jis"])
def test_encodings_declared_and_true(encoding: str) -> None:
    text = {"iso-8859-1": "für die Versicherung", "big5": "銀行帳戶與保險合約", "shift_jis": "保険契約について"}.get(
        encoding, "银行账户与保险合同")  # fmt: skip
    data = f'<?xml version="1.0" encoding="{encoding}"?><a><p>{text}</p></a>'.encode(encoding)
    assert read(data).pieces[0].text == text
    assert read(f'<?xml version="1.0" encoding="gb2312"?><a><p>{text}</p></a>'.encode()).pieces[0].text == text


def test_broken_xml_is_read_as_far_as_it_goes() -> None:
    reading = read("<a><p>first</p><p>second & third</p><q>cut off")
    assert "first" in reading.pieces[0].text and "cut off" in reading.pieces[0].text
    assert "broken" in reading.pieces[0].metadata["damage"] and reading.warnings
    for data, reason in (("<a/>", "empty"), ("not xml at all", "damaged"), ("", "empty")):
        try:
            refused = [item.reason for item in read(data).refused]
        except Unreadable as error:
            refused = [error.reason]
        assert refused == [reason]


# -- literature --------------------------------------------------------------------------------------------------------

PUBMED = """<?xml version="1.0"?><!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle//EN" "http://x/y.dtd">
<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID Version="1">101</PMID><Article><Journal><JournalIssue><PubDate>
<Year>2024</Year><Month>Mar</Month><Day>5</Day></PubDate></JournalIssue><Title>Journal of Trials</Title></Journal>
<ArticleTitle>Drug A lowers <i>pressure</i>.</ArticleTitle><Abstract><AbstractText Label="AIM">We ask.</AbstractText>
<AbstractText Label="RESULTS">It fell by 5 mm&#160;Hg.</AbstractText></Abstract><AuthorList><Author><LastName>Nobody
</LastName></Author></AuthorList><Language>eng</Language></Article><MeshHeadingList><MeshHeading><DescriptorName>
Hypertension</DescriptorName></MeshHeading></MeshHeadingList></MedlineCitation><PubmedData><ArticleIdList><ArticleId
IdType="doi">10.1/x</ArticleId></ArticleIdList></PubmedData></PubmedArticle><PubmedArticle><MedlineCitation><PMID>102
</PMID><Article><Journal><JournalIssue><PubDate><MedlineDate>2019 Jan-Feb</MedlineDate></PubDate></JournalIssue>
</Journal><ArticleTitle>Second.</ArticleTitle></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>"""


def test_pubmed() -> None:
    first, second = read(PUBMED).pieces
    assert first.text == "Drug A lowers pressure.\n\nAIM: We ask.\n\nRESULTS: It fell by 5 mm Hg."
    assert (first.part, first.time, first.language, first.title) == (
        "#1",
        "2024-03-05",
        "en",
        "Drug A lowers pressure.",
    )
    assert first.metadata == {
        "pmid": "101", "doi": "10.1/x", "journal": "Journal of Trials", "year": "2024", "keywords": ["Hypertension"],
        "authors": 1, "encoding": "utf-8"}  # fmt: skip
    assert (second.metadata["pmid"], second.metadata["year"], second.time) == ("102", "2019", "2019")


JATS = """<!DOCTYPE article PUBLIC "-//NLM//DTD JATS" "JATS.dtd">
<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="research-article" xml:lang="en"><front><journal-meta>
<journal-title-group><journal-title>Open Medicine</journal-title></journal-title-group></journal-meta><article-meta>
<article-id pub-id-type="pmid">201</article-id><article-id pub-id-type="doi">10.1/y</article-id><title-group>
<article-title>On dosing</article-title></title-group><contrib-group><contrib><name><surname>Secret</surname></name>
</contrib></contrib-group><pub-date pub-type="epub"><day>3</day><month>2</month><year>2023</year></pub-date>
<permissions><license xlink:href="https://creativecommons.org/licenses/by/4.0/"><p>Open</p></license></permissions>
<abstract><sec><title>Background</title><p>Why we did it.</p></sec></abstract><kwd-group><kwd>dose</kwd></kwd-group>
</article-meta></front><body><sec><title>Methods</title><p>We gave 5&#8201;mg <xref>[1]</xref>.</p>
<sec><title>Details</title><p>In water &alpha;.</p></sec><table-wrap><label>Table 1</label><caption>
<p>Doses</p></caption>
<table><tr><th>Day</th><th>mg</th></tr><tr><td>1</td><td>5</td></tr></table></table-wrap></sec></body>
<back><ref-list><ref><p>Someone 1999</p></ref></ref-list>
<fn-group><fn><p>A note.</p></fn></fn-group></back></article>"""


def test_jats() -> None:
    (piece,) = read(JATS, "a.nxml").pieces
    assert piece.text == (
        "On dosing\n\n# Background\n\nWhy we did it.\n\n# Methods\n\nWe gave 5 mg [1].\n\n## Details\n\nIn water α.\n\n"
        "Table 1\n\nDoses\n\nDay\tmg\n1\t5\n\nA note."
    )
    assert "Secret" not in piece.text and "Someone" not in piece.text
    assert (piece.title, piece.time, piece.language) == ("On dosing", "2023-02-03", "en")
    assert piece.license == "https://creativecommons.org/licenses/by/4.0/"
    known = {key: piece.metadata[key] for key in ("pmid", "doi", "journal", "year", "authors", "references", "tables")}
    assert known == {"pmid": "201", "doi": "10.1/y", "journal": "Open Medicine", "year": "2023", "authors": 1,
                     "references": 1, "tables": 1}  # fmt: skip


# -- filings -----------------------------------------------------------------------------------------------------------

REPORT = "".join(
    f"<p>Item {item}. {title}</p>" for item, title in (("1", "Business"), ("1A", "Risk Factors"), ("7", "Discussion"))
) + "".join(
    f"<p>Item {item}. {title}</p><p>{text * 20}</p>"
    for item, title, text in (
        ("1", "Business", "We lend. "),
        ("1A", "Risk Factors", "Rates may fall. "),
        ("7", "Discussion", "Sales rose. "),
    )
)
SUBMISSION = f"""<SEC-DOCUMENT>0000000001-24-000001.txt : 20240105
<SEC-HEADER>
ACCESSION NUMBER:		0000000001-24-000001
CONFORMED SUBMISSION TYPE:	10-K
FILED AS OF DATE:		20240105
	COMPANY CONFORMED NAME:			EXAMPLE BANK CORP
	CENTRAL INDEX KEY:			0000000001
</SEC-HEADER>
<DOCUMENT>
<TYPE>10-K
<SEQUENCE>1
<FILENAME>report.htm
<DESCRIPTION>ANNUAL REPORT
<TEXT>
<html xmlns:ix="http://www.xbrl.org/2013/inlineXBRL"><body><div style="display:none"><ix:header><ix:hidden>
<ix:nonNumeric name="x">hidden fact</ix:nonNumeric>
<ix:nonFraction name="y">7</ix:nonFraction></ix:hidden></ix:header></div>
{REPORT}
<table><tr><td>Revenue</td><td>$</td><td><ix:nonFraction name="r">1,000</ix:nonFraction></td></tr></table></body></html>
</TEXT>
</DOCUMENT>
<DOCUMENT>
<TYPE>EX-99
<FILENAME>letter.txt
<TEXT>
<PAGE>
Dear holder,
<TABLE><CAPTION>
Year      Net income
<S>       <C>
2023      1,000
</TABLE>
</TEXT>
</DOCUMENT>
<DOCUMENT>
<TYPE>GRAPHIC
<FILENAME>logo.jpg
<TEXT>
begin 644 logo.jpg
M_]C_X
end
</TEXT>
</DOCUMENT>
"""


def test_a_submission_is_taken_apart() -> None:
    reading = read(SUBMISSION, "0000000001-24-000001.txt")
    report, letter = reading.pieces
    assert (report.part, report.group, report.time) == ("!report.htm", "cik 1", "2024-01-05")
    assert "hidden fact" not in report.text and report.metadata["xbrl_hidden"] == 2
    assert "Revenue\t$\t1,000" in report.text
    assert report.metadata["company"] == "EXAMPLE BANK CORP" and report.metadata["form"] == "10-K"
    items = report.metadata["items"]
    assert [(item["item"], item["title"]) for item in items] == [
        ("1", "Business"), ("1A", "Risk Factors"), ("7", "Discussion")]  # fmt: skip
    assert all("Rates may fall" in report.text[item["start"] : item["end"]] for item in items if item["item"] == "1A")
    assert letter.text == "Dear holder,\n\nYear\tNet income\n\n2023\t1,000"
    assert [(item.part, item.reason) for item in reading.refused] == [("!logo.jpg", "unsupported format")]


def test_a_submission_without_documents_and_one_cut_off() -> None:
    with pytest.raises(Unreadable, match="no document"):
        read("<SEC-DOCUMENT>x\n<SEC-HEADER>\n</SEC-HEADER>\n", "a.txt")
    assert len(read(SUBMISSION[: SUBMISSION.index("begin 644")], "a.txt").pieces) == 2


@pytest.mark.realdata
def test_a_real_filing_keeps_lines_and_items() -> None:
    path = mirror() / "documents" / "sec_html" / "0000928385-01-500187.html"
    data = path.read_bytes()
    assert sec.is_filing(data)
    (piece,) = read(data, path.name).pieces
    assert "For the fiscal year ended\tDecember 31, 2000" in piece.text
    numbers = [item["item"] for item in piece.metadata["items"]]
    assert {"3", "4", "5", "19"} <= set(numbers)
    longest = max(piece.metadata["items"], key=lambda item: item["end"] - item["start"])
    assert longest["end"] - longest["start"] > 50_000
