"""Mail that is partly broken loses its broken part only, and the loss is told."""

from __future__ import annotations

import pytest

from metier.collect import mail
from metier.collect.reading import Options

GOOD = b"From a@example.com Mon Jan  5 10:00:00 2026\nFrom: a@example.com\nSubject: card\n\nmy card is gone\n\n"


def test_text_before_the_first_message_is_refused_and_told():
    reading = mail.read(
        b"From a@example.com Mon Jan  5 09:00:00 2026\nno header here\n\n" + GOOD, "box.mbox", Options()
    )
    assert [piece.title for piece in reading.pieces] == ["card"]
    assert [(refusal.part, refusal.reason) for refusal in reading.refused] == [("#0", "damaged")]


def test_a_whole_mailbox_refuses_nothing():
    reading = mail.read(GOOD + GOOD, "box.mbox", Options())
    assert len(reading.pieces) == 2 and not reading.refused


def test_one_odd_message_does_not_cost_the_mailbox(monkeypatch):
    real, seen = mail._message, []

    def odd(*arguments):
        seen.append(1)
        if len(seen) == 1:
            raise RuntimeError("odd")
        return real(*arguments)

    monkeypatch.setattr(mail, "_message", odd)
    reading = mail.read(GOOD + GOOD, "box.mbox", Options())
    assert len(reading.pieces) == 1
    assert [(refusal.part, refusal.reason) for refusal in reading.refused] == [("#1", "reader failed")]


@pytest.mark.parametrize("attachments", [True, False])
def test_a_mail_with_only_an_unreadable_attachment_tells_both(attachments):
    data = (
        b"From: a@example.com\nMIME-Version: 1.0\nContent-Type: application/pdf; name=scan.pdf\n"
        b"Content-Disposition: attachment; filename=scan.pdf\n\nnot a pdf\n"
    )
    reading = mail.read(data, "one.eml", Options(attachments=attachments))
    assert not reading.pieces
    assert len(reading.refused) == 2
    assert reading.refused[0].part.endswith("scan.pdf") and reading.refused[1].reason == "empty"
