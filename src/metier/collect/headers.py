"""Headers of mails as text: encoded words, raw 8-bit bytes, file names of attachments.

Purpose: the standard library decodes headers with U+FFFD in silence, and real mails break every rule about headers;
here the raw value is decoded by what its bytes are. All are functions from a message of the standard library to text.
Not covered: addresses taken apart.
"""

from __future__ import annotations

import email
import email.utils
import re
from email.errors import MessageError
from email.header import decode_header
from email.message import Message

from metier.collect.encoding import decode, known
from metier.collect.reading import Unreadable


def payload(item: Message) -> bytes:
    """A part's bytes, with its transfer encoding undone as far as it can be."""
    data = item.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def charset(item: Message) -> str:
    """The charset that a part claims, "" for none."""
    try:
        return item.get_content_charset() or ""
    except (LookupError, ValueError, TypeError, AttributeError):
        return ""


def filename(item: Message) -> str:
    """The attachment's name as one safe line; RFC 2231, encoded words and raw 8-bit bytes are all met in the field."""
    for header, parameter in (("Content-Disposition", "filename"), ("Content-Type", "name")):
        single = Message()  # without the raw bytes, which the parser of parameters would replace
        single[header] = " ".join(_eight_bit(_raw(item, header)).split())
        try:
            value = single.get_param(parameter, header=header)
        except (LookupError, ValueError, TypeError, AttributeError, IndexError):
            continue
        if isinstance(value, tuple):
            value = _decoded(value[2].encode("latin-1", "replace"), value[0] or "")
        if value:
            return re.sub(r"[\x00-\x1f/\\!#]+", "_", _words(str(value))).strip()
    return ""


def parse(text: str) -> Message:
    """A block of headers as a message without a body."""
    return email.message_from_string(text)


def header(message: Message, name: str) -> str:
    """A header as one clean line. The raw value is decoded here: the stdlib's own decoding puts U+FFFD in silence."""
    return " ".join(_words(_raw(message, name)).split())


def _raw(message: Message, name: str) -> str:
    return next((str(raw) for key, raw in message.raw_items() if key.lower() == name.lower()), "")


def _words(text: str) -> str:
    """Encoded words and raw 8-bit bytes of a header as text."""
    text = _eight_bit(text)
    if not re.search(r"=\?[\w-]+(?:\*[\w-]+)?\?[bqBQ]\?", text):
        return text
    try:
        chunks = decode_header(text)
    except (ValueError, LookupError, MessageError):  # broken base64
        return text
    return "".join(chunk if isinstance(chunk, str) else _chunk(chunk, charset) for chunk, charset in chunks)


def _chunk(chunk: bytes, charset: str | None) -> str:
    if charset is None:  # plain text between encoded words, as decode_header hands it over
        return chunk.decode("raw-unicode-escape")
    return _decoded(chunk, charset)


def _eight_bit(text: str) -> str:
    """Bytes above 127 that a header holds unencoded (lone surrogates after parsing), decoded by detection."""
    if not re.search("[\ud800-\udfff]", text):
        return text
    return _decoded(text.encode("utf-8", "surrogateescape"), "")


def _decoded(data: bytes, charset: str) -> str:
    try:
        return decode(data, declared=charset).text
    except Unreadable:
        return data.decode(known(charset) or "ascii", "backslashreplace")


def time(value: str) -> str:
    """A Date header as ISO 8601, "" for none or nonsense."""
    try:
        return email.utils.parsedate_to_datetime(value).isoformat() if value else ""
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
