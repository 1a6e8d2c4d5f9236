"""Small files made on the spot, so that every format is tested without fixtures on disk."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path

import pytest

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def pdf(pages: Sequence[Sequence[str]], password: str = "") -> bytes:
    """A PDF with one string a line; an empty page has no text layer."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    stream = io.BytesIO()
    canvas = Canvas(stream, encrypt=StandardEncryption(password, ownerPassword="o") if password else None)
    for lines in pages:
        if not lines:
            canvas.rect(50, 50, 400, 600, fill=1)
        for number, line in enumerate(lines):
            canvas.drawString(72, 800 - 16 * number, line)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def docx(body: str, **parts: str) -> bytes:
    """A .docx with the given WordprocessingML as its body; parts: header1="<w:p>...</w:p>", comments=..."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml", "<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>"
        )
        archive.writestr("word/document.xml", f"<w:document xmlns:w='{W}'><w:body>{body}</w:body></w:document>")
        for name, text in parts.items():
            archive.writestr(f"word/{name}.xml", f"<w:root xmlns:w='{W}'>{text}</w:root>")
    return stream.getvalue()


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t xml:space='preserve'>{text}</w:t></w:r></w:p>"


def message(subject: str, body: str, *attachments: tuple[str, bytes], message_id: str = "") -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, "a@example.org", "b@example.org"
    mail["Date"] = "Fri, 02 Jan 2026 21:46:00 +0100"
    if message_id:
        mail["Message-ID"] = message_id
    mail.set_content(body)
    for name, data in attachments:
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return mail


def mirror() -> Path:
    """The folder of public data, or a skip that says what is missing."""
    root = Path(os.environ.get("METIER_DATA_MIRROR") or Path(__file__).parents[3] / "shared" / "data")
    if not (root / "documents" / "INDEX.csv").is_file():
        pytest.skip(f"needs documents/INDEX.csv below METIER_DATA_MIRROR (looked in {root})")
    return root
