"""Which reader a file goes to: by its first bytes, then by its extension; never by trust alone.

Purpose: a PDF called .txt is read as a PDF, an error page called .pdf as HTML, and a picture is refused by its name
rather than decoded as text. Importing this module puts the built-in readers behind the door `reader`; a plug-in reader
is used for the extension it is named after (`xlsx`), or where a source says `reader: name`.
Compressed files are opened here; archives have a reader. Not covered: RAR, 7z, Outlook's PST.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from dataclasses import replace

from metier import registry
from metier.collect import (  # noqa: F401  (each registers itself)
    archive,
    conll,
    docx,
    epub,
    html,
    ics,
    image,
    mail,
    msg,
    odf,
    office97,
    packed,
    pdf,
    pptx,
    rtf,
    sec,
    table,
    text,
    tfrecord,
    xlsx,
    xmldata,
)
from metier.collect.accounts import extensions
from metier.collect.encoding import decode
from metier.collect.reading import MAX_DEPTH, Options, Reading, Unreadable

EXTENSIONS = extensions()  # of all modules imported above; a reader claims its own in its account
MAGIC = (
    (b"PAR1", "table"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"), (b"{\\rtf", "rtf"), (b"\x89PNG\r\n", "png"),
    (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"), (b"II*\x00", "tiff"), (b"MM\x00*", "tiff"), (b"7z\xbc\xaf", "7z"),
    (b"Rar!\x1a\x07", "rar"), (b"%!PS", "postscript"), (b"SQLite format 3\x00", "sqlite"), (b"\x7fELF", "program"),
    (b"RIFF", "riff"), (b"OggS", "ogg"),
    (b"ID3", "mp3"), (b"wOFF", "font"),
)  # fmt: skip
READ = {"table": "table", "rtf": "rtf", "png": "image", "jpeg": "image", "gif": "image", "tiff": "image",
        "bmp": "image"}  # fmt: skip  # kinds of MAGIC that a reader of ours takes
# A zip package goes to the reader whose part it holds, or whose media type it names.
PACKAGES = (
    (r"word/document\d*\.xml", "docx"), (r"xl/workbook\d*\.xml", "xlsx"), (r"ppt/presentation\d*\.xml", "pptx"),
    (r"xl/workbook\.bin", "office97"), (r"application/epub\+zip", "epub"),
    (r"application/(vnd\.oasis\.opendocument|vnd\.sun\.xml|x-vnd\.oasis)", "odf"),
)  # fmt: skip
PACKAGED = {reader for _, reader in PACKAGES}
HINTS = {
    "doc": "save it as .docx", "ppt": "save it as .pptx", "xls": "save it as .xlsx",
    "wps": "save it as .docx", "et": "save it as .csv", "fodt": "save it as .odt", "fods": "save it as .ods",
    "pst": "export the mails as .mbox or .eml", "7z": "unpack it", "rar": "unpack it", "heic": "save it as .jpg",
}  # fmt: skip
TYPES = {"application/pdf": "pdf", "text/html": "html", "text/plain": "txt", "text/csv": "txt", "message/rfc822": "eml",
         docx.MEDIA: "docx", xlsx.MEDIA: "xlsx", pptx.MEDIA: "pptx", "application/rtf": "rtf", "text/rtf": "rtf",
         "application/msword": "doc", "application/vnd.ms-excel": "xls", "application/vnd.ms-powerpoint": "ppt",
         "application/epub+zip": "epub", "image/png": "png", "image/jpeg": "jpg", "image/tiff": "tiff",
         "text/calendar": "ics", "application/zip": "zip", "application/x-tar": "tar"}  # fmt: skip
OUTLOOK = "__properties_version1.0".encode("utf-16-le")  # a stream that only Outlook's messages have
PACKED = tuple(packed.SUFFIXES)
BINARY = (*table.BINARY, b"ORC", b"\xff\xff\xff\xff")  # tables that native code reads
OWN = (
    "text",
    "table",
    "tfrecord",
)  # readers of our own code over Arrow and the standard library: they need no process of their own


def read(data: bytes, name: str, options: Options) -> Reading:
    """Read one file of any format. Unreadable when it gives nothing at all; UserError for a mistake in the recipe."""
    kind = "" if options.reader else packed.suffix(data)
    if kind:
        return _unpacked(data, name, kind, options)
    reader = options.reader or choose(data, name, tabular=bool(options.columns))
    return registry.lookup("reader", reader)(data, name, options)


def read_attachment(data: bytes, name: str, media_type: str, options: Options) -> Reading:
    """An attachment: as `read`, but a table is taken as its text, and a missing extension comes from the MIME type."""
    if not data:
        raise Unreadable("empty", "the attachment has 0 bytes")
    if not extension(name) and media_type in TYPES:
        name = f"{name}.{TYPES[media_type]}"
    if not packed.suffix(data) and choose(data, name) == "table" and not data.startswith(table.BINARY):
        return registry.lookup("reader", "text")(data, name, options)
    return read(data, name, options)


def choose(data: bytes, name: str, tabular: bool = False) -> str:
    """Name of the reader. tabular: columns were mapped, so text of an unknown kind is a table.

    Raises Unreadable("unsupported format" or "encrypted") with the extension and what to do.
    """
    suffix = extension(name)
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(data, suffix)
    if archive.is_tar(data):
        return "archive"
    if (data[:4] == b"RIFF" and data[8:12] == b"WEBP") or (data[:2] == b"BM" and data[6:10] == bytes(4)):
        return "image"
    for magic, kind in MAGIC:
        if data.startswith(magic):
            return _magic(kind, data, suffix)
    if tfrecord.looks(data):  # their names end in anything: "train.tfrecord-00000-of-00008"
        return "tfrecord"
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypisom", b"ftypmp42"):
        raise _unsupported(suffix or "heic")
    if suffix in ("", "txt", "nc", "html", "htm", "xhtml", "xml") and sec.is_filing(data):
        return "sec"
    looks = _looks(data)
    if looks == "html" and suffix not in ("csv", "tsv", "jsonl", "json", "eml", "mbox"):
        return "html"
    known = EXTENSIONS.get(suffix, "")
    if not tabular and suffix in ("", "txt", "tsv", "tab") and (found := _columns(data)):
        return found
    if tabular and known in ("", "text"):
        known = "table"
    if known:
        return known
    if suffix and suffix in registry.names("reader"):
        return suffix
    if suffix:
        raise _unsupported(suffix)
    return looks or _plain(data)


def extension(name: str) -> str:
    """Lower-case extension without its dot; "" for none and for tails that are none ("v1.2", "Amendment No. 3")."""
    found = re.search(r"\.([A-Za-z][A-Za-z0-9_]{0,9}|7z)$", name)
    return found.group(1).lower() if found else ""


def _looks(data: bytes) -> str:
    """html or mail by the first lines, "" for neither."""
    head = data[:4096]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "ignore").encode("utf-8")
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    start = re.sub(rb"^(?:<\?xml[^>]*\?>|<!--.*?-->|\s)*", b"", head, flags=re.S)
    if re.match(rb"<(?:!doctype\s+html|html|head|body)[\s>]", start, re.I):
        return "html"
    if head.startswith(b"<?xml"):
        return "xml"
    lines = head.split(b"\n")
    if head.startswith(b"From ") and len(lines) > 1 and mail.HEADER.match(lines[1]):
        return "mail"
    names = {line.split(b":")[0].strip().lower() for line in lines[:40] if mail.HEADER.match(line)}
    usual = {
        b"from",
        b"to",
        b"subject",
        b"date",
        b"received",
        b"message-id",
        b"mime-version",
        b"return-path",
        b"content-type",
    }
    if lines and mail.HEADER.match(lines[0]) and len(names & usual) >= 2:
        return "mail"
    return ""


def _columns(data: bytes) -> str:
    """conll or table for a text whose lines show it: a tag at every line's end, or an object of JSON in every line."""
    if conll.looks_tagged(data):
        return "conll"
    lines = data[:65536].split(b"\n")[:4]
    whole = [line.strip() for line in (lines[:-1] if len(data) > 65536 else lines) if line.strip()]
    return "table" if len(whole) > 1 and all(map(_is_object, whole)) else ""


def _is_object(line: bytes) -> bool:
    if not (line.startswith(b"{") and line.endswith(b"}")):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _plain(data: bytes) -> str:
    """A file without extension: text if it decodes as such."""
    if data:
        try:
            text.clean(decode(data[:65536].rsplit(b"\n", 1)[0]))
        except Unreadable:
            raise _unsupported("") from None
    return "text"


def _zip(data: bytes, suffix: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            kind = ""
            if "mimetype" in names:
                with archive.open("mimetype") as stream:  # not read(): it may claim gigabytes
                    kind = stream.read(100).decode("ascii", "replace").strip()
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, RuntimeError, NotImplementedError):
        names, kind = [], ""
    for pattern, reader in PACKAGES:
        if re.match(pattern, kind) or any(re.fullmatch(pattern, name) for name in names):
            return reader
    if EXTENSIONS.get(suffix) in PACKAGED:
        return EXTENSIONS[suffix]  # which will say what is wrong with it
    if suffix in registry.names("reader") and suffix not in EXTENSIONS:
        return suffix
    if suffix in ("", *EXTENSIONS):  # whatever it is called, it is an archive
        return "archive"
    raise _unsupported(suffix)


def _magic(kind: str, data: bytes, suffix: str) -> str:
    if kind in READ:
        return READ[kind]
    if kind == "ole" and "EncryptedPackage".encode("utf-16-le") in data:
        raise Unreadable(
            "encrypted", f"a password-protected Office file (.{suffix or 'docx'}); save a copy without one"
        )
    if kind == "ole" and OUTLOOK in data:
        return "msg"
    if kind == "ole" and office97.recognise(data):
        return "office97"
    if suffix and suffix in registry.names("reader") and suffix not in EXTENSIONS:
        return suffix
    if kind == "ole":
        raise _unsupported(suffix if suffix not in ("", *EXTENSIONS) else "doc")
    raise _unsupported(suffix if suffix and suffix not in EXTENSIONS else kind)


def _unsupported(suffix: str) -> Unreadable:
    named = f".{suffix}" if suffix else "no extension, and the content is not text"
    hint = HINTS.get(suffix, "convert it, or name a reader for it" if suffix else "name a reader for it")
    return Unreadable("unsupported format", f"{named}: {hint}")


def _unpacked(data: bytes, name: str, kind: str, options: Options) -> Reading:
    """What a compressed file holds, which may be compressed again."""
    if options.depth > MAX_DEPTH:
        raise Unreadable("nested too deep", f"more than {MAX_DEPTH} containers inside each other")
    inside, rest = packed.unpack(data, options.max_bytes)
    options.budget.spend(len(inside))
    reading = read(inside, packed.unpacked_name(name, kind), replace(options, depth=options.depth + 1))
    if rest:
        reading.warnings.append(f"{name}: {rest:,} bytes after the end of the {kind} file were passed over")
    return reading
