"""The forms in which the quickstart's messages arrive: mail, PDF, picture of a page, Word document.

Purpose: ``build.py`` decides who writes what and when; this module turns one message into bytes.
Trade-off: the Word files are the least that Word opens, written by hand, so that no library puts a time stamp or a
random number into them. Not covered: see ``build.py``.
"""

from __future__ import annotations

import html
import io
import random
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import charset as mail_charset
from email.header import Header
from email.message import Message as Mail
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfgen.canvas import Canvas

SERVICE = "service@harbourvale.example"
HISTORY = """

On {when} Harbour & Vale Customer Service wrote:
> Thank you for contacting us. We aim to answer within two working days.
> Please do not send card numbers or passwords by e-mail."""
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
KIND = "application/vnd.openxmlformats-"
DEFAULTS = (
    f'<Default Extension="rels" ContentType="{KIND}package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
)
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
CHANGE = 'w:author="D" w:date="2026-02-01T09:00:00Z"'
TRACKED = (
    '<w:p><w:r><w:t xml:space="preserve">I will ring </w:t></w:r>'
    f'<w:del w:id="1" {CHANGE}><w:r><w:delText>never again</w:delText></w:r></w:del>'
    f'<w:ins w:id="2" {CHANGE}><w:r><w:t>on Thursday</w:t></w:r></w:ins><w:r><w:t>.</w:t></w:r></w:p>'
)


@dataclass(frozen=True)
class Customer:
    """One invented customer, with everything a message may name."""

    number: str
    first: str
    last: str
    email: str
    phone: str
    address: str
    account: str
    card4: str
    iban: str

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"


@dataclass(frozen=True)
class Item:
    """One message of one customer, on its way by one channel. ``bare`` keeps the wrapping off (for duplicates)."""

    text: str
    subject: str
    intent: str
    customer: Customer
    sent: datetime
    channel: str = "csv"
    bare: bool = False


def _wrapped(item: Item, rng: random.Random) -> str:
    """A mail body: at times with a footer or with the bank's last mail below it."""
    draw = rng.random()
    if item.bare or draw > 0.26:
        return item.text
    if draw < 0.09:
        return item.text + HISTORY.format(when=f"{item.sent - timedelta(days=2):%d/%m/%Y}")
    return item.text + ("\n\nSent from my phone" if draw < 0.17 else f"\n\nCustomer no. {item.customer.number}")


def _text_part(text: str, subtype: str, charset: str, encoding: str) -> Mail:
    """One text part in the wanted character set; text that does not fit falls back to UTF-8."""
    try:
        raw = text.encode(charset)
    except UnicodeEncodeError:
        charset, raw = "utf-8", text.encode("utf-8")
    if encoding == "8bit":
        part = Mail()
        part["MIME-Version"], part["Content-Type"] = "1.0", f"text/{subtype}; charset={charset}"
        part["Content-Transfer-Encoding"] = "8bit"
        part.set_payload(raw.decode("ascii", "surrogateescape"))
        return part
    kind = mail_charset.Charset(charset)
    kind.body_encoding = mail_charset.QP if encoding == "quoted-printable" else mail_charset.BASE64
    return MIMEText(text, subtype, kind)  # type: ignore[arg-type]


def _html(text: str) -> str:
    paragraphs = "".join(f"<p>{html.escape(p).replace(chr(10), '<br>')}</p>\n" for p in text.split("\n\n"))
    style = "<style>p { font-family: Calibri, sans-serif; margin: 0 0 8pt }</style>"
    return f"<html><head>{style}</head>\n<body>\n{paragraphs}</body></html>\n"


def make_mail(item: Item, serial: int, rng: random.Random, attach: bool, shape: str = "") -> Mail:
    """One mail in one of the shapes that real mail programs send."""
    charset = rng.choice(["utf-8", "utf-8", "iso-8859-1", "windows-1252"])
    encoding = rng.choice(["quoted-printable", "quoted-printable", "base64", "8bit"])
    text = _wrapped(item, rng)
    if charset == "windows-1252" and not item.bare:
        text = text.replace("'", "’")
    shape = shape or rng.choices(["plain", "html", "both"], [55, 20, 25])[0]
    if attach and serial % 24 == 7:
        mail: Mail = _with_attachment(item, serial)
    elif shape == "both":
        mail = MIMEMultipart("alternative")
        mail.attach(_text_part(text, "plain", charset, encoding))
        mail.attach(_text_part(_html(text), "html", charset, encoding))
    else:
        mail = _text_part(_html(text) if shape == "html" else text, shape, charset, encoding)
    if mail.is_multipart():
        mail.set_boundary(f"=_part_{serial:05d}_hv")
    sender = Header(item.customer.name, _fitting(item.customer.name, charset)).encode()
    mail["From"] = f"{sender} <{item.customer.email}>"
    mail["To"] = SERVICE
    subject = item.subject or rng.choice(["", "Question", "hello", "my account", "Enquiry", "(no subject)"])
    mail["Subject"] = Header(subject, _fitting(subject, charset)).encode()
    mail["Date"] = format_datetime(item.sent).replace("-0000", "+0000")
    mail["Message-ID"] = f"<{serial:05d}.{item.sent:%Y%m%d%H%M}@{item.customer.email.split('@')[1]}>"
    return mail


def _fitting(text: str, charset: str) -> str:
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return "utf-8"
    return "us-ascii" if text.isascii() else charset


def _with_attachment(item: Item, serial: int) -> MIMEMultipart:
    """A mail that says nothing itself: the message is in the attached PDF, DOCX or text file."""
    mail = MIMEMultipart("mixed")
    mail.attach(_text_part("Please see my letter attached.\n", "plain", "utf-8", "quoted-printable"))
    kind = ["pdf", "docx", "txt"][serial // 24 % 3]
    if kind == "pdf":
        part: Mail = MIMEApplication(pdf_letter(item, 11), "pdf")
    elif kind == "docx":
        part = MIMEApplication(docx_letter(item, ""), "vnd.openxmlformats-officedocument.wordprocessingml.document")
    else:
        part = _text_part(item.text, "plain", "utf-8", "base64")
    part.add_header("Content-Disposition", "attachment", filename=f"letter.{kind}")
    mail.attach(part)
    return mail


def pdf_letter(item: Item, size: int, password: str = "") -> bytes:
    """A typed letter; ``size`` is the size of the type, so a large one runs to a second page."""
    buffer = io.BytesIO()
    lock = StandardEncryption(password, strength=128) if password else None
    canvas = Canvas(buffer, pagesize=A4, invariant=1, pageCompression=1, encrypt=lock)
    canvas.setTitle("Letter")
    top = [item.customer.name, *item.customer.address.split(", "), "", "Harbour & Vale Bank, Customer Service", ""]
    lines = [*top, f"{item.sent.day} {item.sent:%B %Y}", ""] + ([item.subject, ""] if item.subject else [])
    for paragraph in item.text.split("\n"):
        lines += simpleSplit(paragraph, "Helvetica", size, A4[0] - 140) or [""]
    y = 0.0
    for number, line in enumerate(lines):
        if y < 70:
            if number:
                canvas.showPage()
            canvas.setFont("Helvetica", size)
            y = A4[1] - 70
        canvas.drawString(70, y, line.encode("cp1252", "replace").decode("cp1252"))
        y -= size * 1.5
    canvas.save()
    return buffer.getvalue()


def scan_pdf(item: Item) -> bytes:
    """A page that is only a picture: slightly turned, without any text layer."""
    page = Image.new("L", (850, 1200), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(22)
    lines = [item.customer.name, f"{item.sent:%d.%m.%Y}", "", *simpleSplit(item.text, "Helvetica", 20, 620)]
    for row, line in enumerate(lines):
        draw.text((90, 120 + 40 * row), line, fill=30, font=font)
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1, pageCompression=1)
    canvas.drawImage(ImageReader(page.rotate(0.8, fillcolor=255).point(lambda v: 255 * (v > 150))), 0, 0, *A4)
    canvas.save()
    return buffer.getvalue()


def _paragraph(text: str) -> str:
    return f'<w:p><w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def docx_letter(item: Item, extra: str) -> bytes:
    """A minimal Word document; ``extra`` adds a tracked change, a table or a header."""
    day = f"{item.sent.day} {item.sent:%B %Y}"
    lines = [item.customer.name, item.customer.address, day, item.subject, *item.text.split("\n")]
    body = "".join(_paragraph(line) for line in lines if line)
    if extra == "tracked":
        body += TRACKED
    if extra == "table":
        cells = [["Account", item.customer.account], ["Telephone", item.customer.phone]]
        columns = ["".join(f"<w:tc>{_paragraph(cell)}</w:tc>" for cell in row) for row in cells]
        rows = "".join(f"<w:tr>{row}</w:tr>" for row in columns)
        body += f"<w:tbl><w:tblPr/><w:tblGrid><w:gridCol/><w:gridCol/></w:tblGrid>{rows}</w:tbl><w:p/>"
    parts = {"document": "main", "header1": "header"} if extra == "header" else {"document": "main"}
    types = {"main": "document.main", "header": "header"}
    overrides = "".join(
        f'<Override PartName="/word/{part}.xml" ContentType="{KIND}officedocument.wordprocessingml.{types[role]}+xml"/>'
        for part, role in parts.items()
    )
    files = {
        "[Content_Types].xml": f'{XML}<Types xmlns="{PACKAGE}/content-types">{DEFAULTS}{overrides}</Types>',
        "_rels/.rels": _relation("officeDocument", "word/document.xml"),
    }
    if extra == "header":
        body += '<w:sectPr><w:headerReference w:type="default" r:id="rId1"/></w:sectPr>'
        files["word/header1.xml"] = f"{XML}<w:hdr {W}>{_paragraph('Private and confidential')}</w:hdr>"
        files["word/_rels/document.xml.rels"] = _relation("header", "header1.xml")
    files["word/document.xml"] = f'{XML}<w:document {W} xmlns:r="{REL}"><w:body>{body}</w:body></w:document>'
    return _zipped(files)


def _relation(role: str, target: str) -> str:
    one = f'<Relationship Id="rId1" Type="{REL}/{role}" Target="{target}"/>'
    return f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{one}</Relationships>'


def _zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2026, 1, 2, 9, 0, 0))
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 0
            archive.writestr(info, content)
    return buffer.getvalue()
