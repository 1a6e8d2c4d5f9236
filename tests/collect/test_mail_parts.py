"""Parts of mails: threads, quotations, signatures, invitations; marked by default and taken out on demand."""

from __future__ import annotations

from email.message import EmailMessage
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.collect import quotes, readers
from metier.collect.reading import Options, Piece, Reading

from .samples import message


def read(mail: EmailMessage | bytes, name: str = "a.eml", **options: Any) -> Reading:
    return readers.read(mail if isinstance(mail, bytes) else bytes(mail), name, Options(**options))


def marked(piece: Piece) -> list[tuple[str, str]]:
    return [(mark["kind"], piece.text[mark["start"] : mark["end"]]) for mark in piece.metadata.get("marked", [])]


BODIES = {
    "angle marks": (
        "I agree.\n\n> Shall we pay?\n>\n> Ann\n\nToday, please.", [("quoted", "> Shall we pay?\n>\n> Ann")]),
    "wrote": (
        "Yes.\n\nOn Fri, 5 Jan 2024 at 10:00, Ann Bell <ann@example.org>\nwrote:\n\n> Pay?\n",
        [("quoted", "On Fri, 5 Jan 2024 at 10:00, Ann Bell <ann@example.org>\nwrote:\n\n> Pay?")],
    ),
    "original": (
        "Done.\n\n-----Original Message-----\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: Pay\n\nPay?",
        [("quoted", "-----Original Message-----\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: Pay\n\nPay?")],
    ),
    "headers alone": (
        "Done.\n\nFrom: Ann\nSent: Monday\nTo: Bob\n\nPay?", [("quoted", "From: Ann\nSent: Monday\nTo: Bob\n\nPay?")]),
    "forwarded": (
        "FYI\n\n---------- Forwarded message ---------\nFrom: Ann\n\nThe terms.",
        [("forwarded", "---------- Forwarded message ---------\nFrom: Ann\n\nThe terms.")],
    ),
    "signature": ("Please call.\n\n-- \nBob Hill\nClaims", [("signature", "-- \nBob Hill\nClaims")]),
    "closing": ("Please call.\n\nKind regards,\nBob Hill\nTel. 1", [("signature", "Kind regards,\nBob Hill\nTel. 1")]),
    "phone": ("ok\n\nSent from my iPhone", [("signature", "Sent from my iPhone")]),
    "disclaimer": (
        "See below.\n\nThis e-mail is confidential and may be\nprivileged.",
        [("disclaimer", "This e-mail is confidential and may be\nprivileged.")],
    ),
    "写道": (
        "可以。\n\n张三 <zhang@example.cn> 于2024年1月5日周五 10:00写道：\n> 能退款吗？",
        [("quoted", "张三 <zhang@example.cn> 于2024年1月5日周五 10:00写道：\n> 能退款吗？")],
    ),
    "在…写道": (
        "可以。\n\n在 2024-01-05 10:00:00，\"张三\" <zhang@example.cn> 写道：\n能退款吗？",
        [("quoted", "在 2024-01-05 10:00:00，\"张三\" <zhang@example.cn> 写道：\n能退款吗？")],
    ),
    "原始邮件": (
        "已处理。\n\n------------------ 原始邮件 ------------------\n发件人: \"李四\"\n主题: 投诉\n\n卡被吞了",
        [("quoted", "------------------ 原始邮件 ------------------\n发件人: \"李四\"\n主题: 投诉\n\n卡被吞了")],
    ),
    "发件人": (
        "已处理。\n\n发件人： 李四\n发送时间： 2024年1月5日\n收件人： 客服\n主题： 投诉\n\n卡被吞了",
        [("quoted", "发件人： 李四\n发送时间： 2024年1月5日\n收件人： 客服\n主题： 投诉\n\n卡被吞了")],
    ),
    "转发": ("请看。\n\n-----转发邮件信息-----\n合同条款", [("forwarded", "-----转发邮件信息-----\n合同条款")]),
    "此致": ("请退款。\n\n此致\n敬礼！\n\n张三\n2024年1月5日", [("signature", "此致\n敬礼！\n\n张三\n2024年1月5日")]),
    "手机": ("好的\n\n发自我的iPhone", [("signature", "发自我的iPhone")]),
    "保密": ("见附件。\n\n本邮件及其附件含有保密信息，仅限收件人使用。",
             [("disclaimer", "本邮件及其附件含有保密信息，仅限收件人使用。")]),
}  # fmt: skip
PLAIN = [
    "On Monday we wrote:\nnothing at all", "From: the bank\nis where the letter came", "Thanks\n" + "a long line " * 20,
    "Regards", "此致是一个词", "5 > 3 is true", "Subject: x\nTo: y",
    "Best regards to your family, and a long text follows that says what the matter is.\nMore.\n" * 12,
    "他写道：这不对", "-- a dash --", "日期：2024年\n时间：上午\n地点：银行",
]  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_quotations_and_signatures_are_marked_and_the_text_stays(name: str) -> None:
    body, expected = BODIES[name]
    piece = read(message("Subject line", body)).pieces[0]
    assert piece.text == f"Subject line\n\n{body.strip()}"
    assert marked(piece) == expected


@pytest.mark.parametrize("body", PLAIN)
def test_what_only_looks_like_it_is_not_marked(body: str) -> None:
    assert [mark for mark in quotes.marks(body) if mark.kind != "quoted" or ">" not in body] == []


@pytest.mark.parametrize("name", BODIES)
def test_they_are_taken_out_on_demand_and_counted(name: str) -> None:
    body, expected = BODIES[name]
    piece = read(message("Subject line", body), quoted="remove", signatures="remove").pieces[0]
    for kind, text in expected:
        assert (text in piece.text) == (kind == "forwarded")
    gone = sum(len(text) for kind, text in expected if kind != "forwarded")
    assert piece.metadata.get("characters_removed", 0) >= gone
    assert piece.text.startswith("Subject line\n\n")
    assert not [mark for mark in piece.metadata.get("marked", []) if mark["kind"] != "forwarded"]


def test_a_reply_between_quotations_stays() -> None:
    body = "> one?\n\nYes.\n\n> two?\n\nNo.\n"
    assert read(message("s", body), quoted="remove").pieces[0].text == "s\n\nYes.\n\nNo."


def test_the_marks_of_a_page_are_found_in_its_text() -> None:
    mail = EmailMessage()
    mail["Subject"] = "s"
    mail.set_content(
        "<div>See my answer.</div><div class='gmail_signature'>Bob<br>Claims</div><div class='gmail_quote'>Ann said:"
        "<blockquote type='cite'><p>first  line</p><p>second</p></blockquote></div><p>And <b>this</b>.</p>",
        subtype="html",
    )
    piece = read(mail).pieces[0]
    assert piece.text == "s\n\nSee my answer.\nBob\nClaims\nAnn said:\n\nfirst line\n\nsecond\n\nAnd this."
    assert marked(piece) == [("signature", "Bob\nClaims"), ("quoted", "Ann said:\n\nfirst line\n\nsecond")]
    piece = read(mail, quoted="remove", signatures="remove").pieces[0]
    assert piece.text == "s\n\nSee my answer.\n\nAnd this."


@given(st.text(alphabet="> -\nOnwrote:写道：发件人 此致5@x", max_size=200))
def test_marks_are_in_order_and_never_overlap(body: str) -> None:
    found = quotes.marks(body)
    assert all(0 <= mark.start < mark.end <= len(body) for mark in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    kept = quotes.without(body, found, ("quoted", "forwarded", "signature", "disclaimer"))
    assert len(kept) <= len(body)


# -- threads -----------------------------------------------------------------------------------------------------------


def test_threads_by_references_and_by_parents_alone() -> None:
    def one(number: int, parent: int = 0, references: str = "") -> bytes:
        mail = message(f"s{number}", f"body {number}", message_id=f"<{number}@x>")
        if parent:
            mail["In-Reply-To"] = f"<{parent}@x>"
        if references:
            mail["References"] = references
        return b"From a@x Fri Jan  2 21:46:00 2026\n" + bytes(mail) + b"\n"

    box = one(1) + one(2, 1) + one(3, 2) + one(4, 3, "<1@x> <2@x> <3@x>") + one(5) + one(6, 5)
    pieces = read(box, "a.mbox", thread_groups=True).pieces
    assert [piece.metadata["thread"] for piece in pieces] == ["1@x", "1@x", "1@x", "1@x", "5@x", "5@x"]
    assert [piece.group for piece in pieces] == [piece.metadata["thread"] for piece in pieces]
    assert read(box, "a.mbox").pieces[1].group == "" and pieces[3].metadata["in_reply_to"] == "3@x"


# -- calendars ---------------------------------------------------------------------------------------------------------

ICS = (
    "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:Hearing\\, second day\r\nDTSTART;TZID=Asia/Shanghai:"
    '20260105T090000\r\nDTEND:20260105T103000Z\r\nORGANIZER;CN="Li Si":mailto:li@example.cn\r\nATTENDEE;CN=Ann:MAILTO:'
    "ann@example.org\r\nDESCRIPTION:Please bring the\\ncontract of\r\n  2024.\r\nBEGIN:VALARM\r\nDESCRIPTION:beep\r\n"
    "END:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
EVENT = (
    "summary: Hearing, second day\nstart: 2026-01-05 09:00 (Asia/Shanghai)\nend: 2026-01-05 10:30 UTC\n"
    "organizer: Li Si <li@example.cn>\nattendee: Ann <ann@example.org>\n"
    "description: Please bring the\ncontract of 2024."
)


def test_a_calendar_alone_and_in_an_invitation() -> None:
    piece = readers.read(ICS.encode(), "a.ics", Options()).pieces[0]
    assert piece.text == EVENT and piece.title == "Hearing, second day"
    mail = message("Invitation", "You are invited.")
    mail.add_alternative(ICS, subtype="calendar")
    assert read(mail).pieces[0].text == f"Invitation\n\nYou are invited.\n\n[attachment: invitation.ics]\n{EVENT}"
