"""Builds the quickstart's inbox: the messages in ``messages/*.jsonl``, delivered as the mess a bank really has.

Purpose: the example must exercise every reader (mail, mbox, CSV export, PDF, DOCX), the matching of labels to
items, and the clean-up of duplicates, without one line of anybody's real data. Bank, customers, addresses and
numbers are invented; telephone numbers come from the range that Ofcom keeps for drama, e-mail addresses from the
reserved example domains, postcodes from areas that do not exist.

Trade-off: the texts are written by hand and only the wrapping is drawn (from a fixed seed), so the example is small
but does not repeat itself, and a second run gives the same bytes. Identical bytes are promised for one version of
Python, reportlab and Pillow; another zlib may compress the same pages differently.

Not covered: languages other than English, Outlook .msg files, spreadsheets, hand-written scans, malicious input.

Usage: ``python tools/bank_example/build.py``
"""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import Message as Mail
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # so that the module below is found when a test imports this file, too

from bank_formats import Customer, Item, docx_letter, make_mail, pdf_letter, scan_pdf  # noqa: E402

OUT = HERE.parents[1] / "src" / "metier" / "recipes" / "quickstart" / "bank_messages"
SEED = 20260105
CUSTOMERS = 260
MOST_PER_CUSTOMER = 9
SHARES = {"pdf": 0.060, "docx": 0.050, "eml": 0.335, "mbox": 0.155}  # the export takes what is left
EXACT, NEAR, CONFLICTS = 25, 25, 4

FIRST = [
    "Agnes", "Aisha", "Alan", "Amir", "Ana", "Aoife", "Arthur", "Beatriz", "Bethan", "Callum", "Carys", "Chidi",
    "Claire", "Daniel", "Deepa", "Derek", "Edith", "Elif", "Emeka", "Esther", "Farah", "Fergus", "Fiona", "Gareth",
    "Giulia", "Grace", "Hamish", "Hannah", "Harriet", "Ines", "Ivan", "Jamal", "Jean", "Jonas", "José", "Joyce",
    "Kateryna", "Keith", "Kwame", "Leila", "Łukasz", "Maeve", "Malcolm", "Marek", "Mei", "Moira", "Nadia", "Niamh",
    "Nigel", "Noor", "Olga", "Owen", "Pauline", "Petra", "Priya", "Rashid", "Rhys", "Rosalind", "Ruth", "Sanjay",
    "Sinéad", "Stefan", "Suki", "Tariq", "Terence", "Thandiwe", "Tomasz", "Una", "Vera", "Wendy", "Winston",
    "Yasmin", "Zoë",
]  # fmt: skip
LAST = [
    "Abernethy", "Adeyemi", "Alder", "Ashworth", "Baptiste", "Bhatt", "Birtwhistle", "Brightwell", "Calloway",
    "Castellan", "Chaudhry", "Clegg", "Cottrell", "Dlamini", "Drummond", "Eastlake", "Ekwueme", "Fairweather",
    "Ferreira", "Fothergill", "Gallagher", "Garside", "Greaves", "Haddad", "Hallworth", "Hargreaves", "Horvath",
    "Iqbal", "Jankowski", "Jessop", "Kaur", "Kellaway", "Kowalczyk", "Lightfoot", "Lindqvist", "Llewellyn",
    "Lockwood", "MacAskill", "Mbeki", "Merriweather", "Moreau", "Müller", "Nakamura", "Nowak", "O'Hanlon",
    "Okonjo", "Ostrowski", "Pargeter", "Patel", "Penhaligon", "Quigley", "Rahman", "Rossi", "Sandhu", "Scholes",
    "Shepley", "Silva", "Tattersall", "Thackeray", "Treloar", "Tremblay", "Ullah", "Varga", "Wainwright", "Wójcik",
    "Yilmaz",
]  # fmt: skip
STREETS = [
    "Larkspur Rise", "Coble Row", "Old Ropewalk", "Saltmarsh Lane", "Tollbar Terrace", "Quay Hill",
    "Chandler's Yard", "Beacon Close", "Millrace Road", "Gorse Avenue", "Weir Street", "St Brannoc's Place",
]  # fmt: skip
TOWNS = [
    "Penmarrow", "Eskerby", "Whitholme", "Tarnwick", "Aldmouth", "Cressford", "Ravensey", "Lower Pell",
]  # fmt: skip
CITIES = [
    "Leeds", "Norwich", "Bristol", "Cardiff", "Dundee", "Exeter", "Hull", "Belfast", "Preston", "Lincoln",
    "Glasgow", "Derby", "Swansea", "York",
]  # fmt: skip
MERCHANTS = [
    "Fennimore's", "Oakleaf Outdoor", "Kettle & Loom", "Brambly Shoes", "Northgate Fuels", "Pixelbarn",
    "Tidewater Travel", "Quince Homewares", "Lumo Electricals", "Marigold Foods", "Stagecraft Tickets",
    "Harlequin Toys", "Velo Vault", "Gransden DIY", "Petal Post", "Wexcombe Furniture", "Snapdragon Books",
    "Roamer Hotels", "Byte Harbour", "Copperfield Optics",
]  # fmt: skip
HANDLERS = ["jtb", "m.osei", "RKELLY", "sw", "", "team2"]
CONFUSED = {
    "card_lost": "unknown_charge", "card_declined": "card_not_arrived", "card_not_arrived": "card_lost",
    "unknown_charge": "fee_complaint", "refund_missing": "transfer_pending", "transfer_pending": "refund_missing",
    "transfer_wrong_recipient": "unknown_charge", "fee_complaint": "unknown_charge", "login_problem": "change_details",
    "change_details": "login_problem", "loan_request": "repayment_trouble", "repayment_trouble": "loan_request",
    "close_account": "fee_complaint", "cash_machine": "card_declined",
}  # fmt: skip
OWN = ("name", "first", "account", "card4", "phone", "email", "address", "iban")  # placeholders of the customer
AHEAD = re.compile(  # a date after these words lies ahead of the message
    r"\b(until|till|by|before|deadline is|fl[iy]\w* on|booked|up on|ends on|lapse on|due on|as from)\s+$", re.IGNORECASE
)
SWAPS = {"please": "kindly", "the": "that", "and": "plus"}
SPECIAL = [  # the letters that a reader cannot read as text: file name, intent, text
    ("scan_0001.pdf", "change_details", "Please note that my surname is now that of my husband."),
    ("letter_broken.pdf", "loan_request", "I enquire whether you would lend me the cost of a new roof."),
    ("letter_protected.pdf", "close_account", "My son protects my letters. I wish to end my account with you."),
]


def _iban(rng: random.Random) -> str:
    """An IBAN with the right check digits at a bank code that does not exist."""
    body = "HVBK" + "".join(rng.choice("0123456789") for _ in range(14))
    digits = "".join(str(int(c, 36)) for c in body + "GB00")
    whole = f"GB{98 - int(digits) % 97:02d}{body}"
    return " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))


def make_customers(rng: random.Random, count: int) -> list[Customer]:
    """Draws ``count`` customers with different names, numbers and telephones."""
    names = rng.sample([(first, last) for first in FIRST for last in LAST], count)
    phones, numbers = rng.sample(range(1000), count), sorted(rng.sample(range(10001, 10999), count))
    fold = str.maketrans("éëóüŁł", "eeouLl")
    customers = []
    for (first, last), tail, number in zip(names, phones, numbers, strict=True):
        local = f"{first}.{last}" if rng.random() < 0.6 else f"{first[0]}{last}{rng.randint(1, 88)}"
        phone = rng.choice(["07700 900{:03d}", "07700900{:03d}", "+44 7700 900{:03d}"]).format(tail)
        postcode = f"Q{rng.choice('XZJ')}{rng.randint(1, 9)} {rng.randint(1, 9)}{''.join(rng.sample('ABDEFGHJ', 2))}"
        customers.append(
            Customer(
                number=f"C{number}", first=first, last=last, phone=phone, iban=_iban(rng),
                email=local.translate(fold).replace("'", "").lower() + rng.choice(["@example.com", "@example.org"]),
                address=f"{rng.randint(1, 140)} {rng.choice(STREETS)}, {rng.choice(TOWNS)}, {postcode}",
                account=f"{rng.randint(10_000_000, 99_999_999)}", card4=f"{rng.randint(0, 9999):04d}",
            )
        )  # fmt: skip
    return customers


def _spoken_date(day: datetime, rng: random.Random, after_the: bool) -> str:
    ending = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}.get(day.day, "th")
    if after_the:
        return f"{day.day}{ending} of {day:%B}"
    return rng.choice([f"{day.day} {day:%B}", f"{day.day}{ending} {day:%B}", f"{day.day} {day:%b}", f"{day:%d/%m/%Y}"])


def fill(text: str, customer: Customer, sent: datetime, rng: random.Random) -> str:
    """Puts the customer's data into the placeholders; one amount, shop and city for a whole message."""
    amount = f"£{rng.choice([18, 45, 60, 120, 240, 375, 620, 1150, 2400]) + rng.randint(-9, 60):,}"
    values = {
        "amount": amount + (f".{rng.randint(1, 99):02d}" if rng.random() < 0.5 else ""),
        "merchant": rng.choice(MERCHANTS), "city": rng.choice(CITIES),
        **{key: getattr(customer, key) for key in OWN},
    }  # fmt: skip
    past, future = sent - timedelta(days=rng.randint(4, 24)), sent + timedelta(days=rng.randint(5, 30))

    def value(match: re.Match[str]) -> str:
        if match[1] != "date":
            return str(values[match[1]])
        before = text[: match.start()]
        ahead = AHEAD.search(before)
        now = re.search(r"\bnow( it's)? $", before, re.IGNORECASE)
        return _spoken_date(future if ahead else sent if now else past, rng, bool(re.search(r"\bthe $", before)))

    return re.sub(r"\{(\w+)\}", value, text).replace("££", "£")


def load_items(rng: random.Random) -> list[Item]:
    """Reads all messages, in a drawn order, and gives each one to a customer and a day of 2026."""
    rows = [
        (path.stem, json.loads(line))
        for path in sorted((HERE / "messages").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    rng.shuffle(rows)
    customers = make_customers(rng, min(CUSTOMERS, len(rows)))
    writers, left = list(customers), {c.number: MOST_PER_CUSTOMER - 1 for c in customers}
    keen = {c.number: rng.random() ** 2 + 0.05 for c in customers}
    while len(writers) < len(rows):
        open_to = [c for c in customers if left[c.number]]
        chosen = rng.choices(open_to, [keen[c.number] for c in open_to])[0]
        left[chosen.number] -= 1
        writers.append(chosen)
    items = []
    for (intent, row), customer in zip(rows, writers, strict=True):
        sent = datetime(2026, 1, 2) + timedelta(days=rng.randrange(300), minutes=rng.randrange(1440))
        text = fill(row["text"], customer, sent, rng)
        items.append(Item(text, fill(row.get("subject", ""), customer, sent, rng), intent, customer, sent))
    return items


def assign_channels(items: list[Item], rng: random.Random) -> list[Item]:
    """Letters are drawn from the longer texts, the other channels from what is left."""
    quota = {channel: round(share * len(items)) for channel, share in SHARES.items()}
    order = sorted(range(len(items)), key=lambda i: (len(items[i].text.split()) < 30, rng.random()))
    rest = order[quota["pdf"] + quota["docx"] :]
    rng.shuffle(rest)
    order[quota["pdf"] + quota["docx"] :] = rest
    chosen, start = dict.fromkeys(range(len(items)), "csv"), 0
    for channel, size in quota.items():
        chosen.update(dict.fromkeys(order[start : start + size], channel))
        start += size
    return [replace(item, channel=chosen[i]) for i, item in enumerate(items)]


def _near_copy(text: str, name: str, kind: int) -> str:
    """The same text again with a greeting, a signature or a word changed."""
    if kind == 0:
        return f"Hello again,\n\n{text}"
    if kind == 1:
        return f"{text}\n\nRegards\n{name}"
    if kind == 2:
        return f"{text} I wrote this before."
    swapped = re.sub(r"\b(please|the|and)\b", lambda m: SWAPS[m[0]], text, count=1)
    return swapped if swapped != text else f"Hi, {text}"


def add_copies(items: list[Item], rng: random.Random) -> list[Item]:
    """Adds exact copies by another channel, near copies, and near copies that carry another label."""
    pool = [i for i, item in enumerate(items) if len(item.text.split()) > 12 and item.channel in ("csv", "eml", "mbox")]
    picked = rng.sample(pool, min(EXACT + NEAR + CONFLICTS, len(pool)))
    result = list(items)
    for rank, i in enumerate(picked):
        source = result[i] = replace(items[i], bare=True)
        other = {"csv": "eml", "eml": rng.choice(["mbox", "csv"]), "mbox": "csv"}[source.channel]
        later = source.sent + timedelta(days=rng.randint(1, 6), minutes=rng.randint(3, 400))
        copy = replace(source, channel=other, sent=later)
        if rank >= EXACT:
            copy = replace(copy, text=_near_copy(source.text, source.customer.name, rank % 4))
        elif other == "eml" and rank % 3 == 0:
            copy = replace(copy, subject=f"Fwd: {source.subject or 'my message'}")
        if rank >= EXACT + NEAR:
            copy = replace(copy, intent=CONFUSED.get(source.intent, source.intent))
        result.append(copy)
    return result


def _mbox_entry(mail: Mail, item: Item) -> bytes:
    """One message in mbox form: a line of the body that starts with "From " gets a ">" before it (headers never do)."""
    raw = re.sub(rb"^(>*From )", rb">\1", mail.as_bytes(), flags=re.MULTILINE)
    return f"From {item.customer.email} {item.sent:%a %b %d %H:%M:%S %Y}\n".encode() + raw.rstrip(b"\n") + b"\n\n"


def write_mail(inbox: Path, items: list[Item], rng: random.Random) -> list[tuple[str, Item]]:
    """Writes mail/<month>/*.eml and archive.mbox; returns what the register calls each of them."""
    listed, archive, marked = [], [], False
    for serial, item in enumerate(sorted(items, key=lambda i: i.sent), start=1):
        if item.channel == "mbox":
            if not marked and not item.bare and serial > 40:
                text = f"{item.text}\n\nFrom what I can see nobody has looked at it."
                marked, item = True, replace(item, text=text, bare=True)
                mail = make_mail(item, serial, rng, attach=False, shape="plain")
            else:
                mail = make_mail(item, serial, rng, attach=False)
            archive.append(_mbox_entry(mail, item))
            listed.append((str(mail["Message-ID"]), item))
            continue
        mail = make_mail(item, serial, rng, attach=not item.bare)
        slug = re.sub(r"[^A-Za-z0-9 ]+", "", item.subject)[:28].strip() if serial % 3 == 0 else ""
        path = inbox / "mail" / f"{item.sent:%Y-%m}" / f"{serial:04d}{' ' + slug if slug else ''}.eml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mail.as_bytes())
        listed.append((path.relative_to(inbox).as_posix(), item))
    (inbox / "archive.mbox").write_bytes(b"".join(archive))
    return listed


def write_letters(inbox: Path, items: list[Item]) -> list[tuple[str, Item]]:
    """Writes the letters, among them the scan, the broken file and the one with a password."""
    folder, listed = inbox / "letters", []
    folder.mkdir(parents=True)
    extras = {1: "tracked", 2: "table", 3: "header"}
    numbers = {"pdf": 0, "docx": 0}
    for item in sorted((i for i in items if i.channel in numbers), key=lambda i: i.sent):
        numbers[item.channel] += 1
        number = numbers[item.channel]
        size = 17 if len(item.text.split()) > 100 and number % 2 else 11
        data = docx_letter(item, extras.get(number, "")) if item.channel == "docx" else pdf_letter(item, size)
        path = folder / f"{'letter' if item.channel == 'pdf' else 'Letter to bank'}_{number:04d}.{item.channel}"
        path.write_bytes(data)
        listed.append((path.relative_to(inbox).as_posix(), item))
    for (name, intent, text), near in zip(SPECIAL, items, strict=False):
        item = replace(near, text=text, subject="", intent=intent)
        password = "harbour" if "protected" in name else ""
        whole = scan_pdf(item) if name.startswith("scan") else pdf_letter(item, 11, password)
        (folder / name).write_bytes(whole[: len(whole) // 2] if "broken" in name else whole)
        listed.append((f"letters/{name}", item))
    return listed


def write_export(inbox: Path, items: list[Item], rng: random.Random) -> int:
    """Writes the export of the case system (windows-1252, semicolons) with the gaps that such exports have."""
    rows = []
    for item in sorted((i for i in items if i.channel == "csv"), key=lambda i: i.sent):
        channel = rng.choice(["Web form", "Phone note", "Chat", "App", "Branch"])
        received, handler = f"{item.sent:%d/%m/%Y %H:%M}", rng.choice(HANDLERS)
        rows.append([received, item.customer.number, channel, item.text, item.intent, handler])
    unlabelled = next(i for i, item in enumerate(rows) if i > len(rows) // 2 and len(item[3].split()) > 12)
    rows[unlabelled][4] = ""
    for place, text in ((30, ""), (len(rows) // 3, "NaN"), (len(rows) - 20, "")):
        rows.insert(place, [*rows[place][:3], text, *rows[place][4:]])
    path = inbox / "export" / "crm_export.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="cp1252", errors="replace", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
        writer.writerow(["case_no", "received", "customer_no", "channel", "message", "intent", "handler"])
        writer.writerows([f"HV-26-{number:05d}", *row] for number, row in enumerate(rows, start=1))
    return len(rows)


def write_register(inbox: Path, listed: list[tuple[str, Item]]) -> tuple[int, int]:
    """Writes register.csv; leaves out two items and names one that is not there."""
    mails = [name for name, item in listed if name.startswith("mail/") and not item.bare]
    letters = [name for name, _ in listed if name.startswith("letters/letter_0")]
    left_out = set(mails[40:41] + letters[10:11])
    kept = sorted((pair for pair in listed if pair[0] not in left_out), key=lambda pair: pair[0])
    rows = [[name, item.customer.number, item.intent] for name, item in kept]
    rows.insert(len(rows) // 2, ["mail/2026-05/9999.eml", rows[0][1], rows[0][2]])
    with (inbox / "register.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
        writer.writerows([["item", "customer_no", "intent"], *rows])
    return len(rows), len(left_out)


def write_strays(inbox: Path) -> int:
    """Writes what lies about in every shared folder."""
    (inbox / "letters" / "notes.txt").write_bytes(b"")
    (inbox / "mail" / "~WRD0003.tmp").write_bytes(bytes(range(256)) * 4)
    (inbox / "letters" / "Thumbs.db").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + b"\xff" * 512)
    Image.new("RGB", (48, 48), (24, 64, 96)).save(inbox / "letters" / "logo.png")
    return 4


def build(out: Path) -> dict[str, int]:
    """Builds ``out/inbox`` anew and returns how many there are of each kind."""
    inbox, rng = out / "inbox", random.Random(SEED)
    shutil.rmtree(inbox, ignore_errors=True)
    inbox.mkdir(parents=True)
    written = assign_channels(load_items(rng), rng)
    items = add_copies(written, rng)
    listed = write_mail(inbox, [i for i in items if i.channel in ("eml", "mbox")], rng) + write_letters(inbox, items)
    rows = write_export(inbox, items, rng)
    register, left_out = write_register(inbox, listed)
    strays = write_strays(inbox)
    copies = len(items) - len(written)
    exact, near = min(EXACT, copies), min(NEAR, max(0, copies - EXACT))
    return {
        "written_messages": len(written), "customers": len({i.customer.number for i in items}),
        "intents": len({i.intent for i in items}), "exact_copies": exact, "near_copies": near,
        "conflicting_labels": copies - exact - near,
        "eml_files": sum(i.channel == "eml" for i in items), "mbox_messages": sum(i.channel == "mbox" for i in items),
        "export_rows": rows, "pdf_files": sum(i.channel == "pdf" for i in items) + len(SPECIAL),
        "unreadable_pdf_files": len(SPECIAL), "docx_files": sum(i.channel == "docx" for i in items),
        "register_rows": register, "items_not_in_register": left_out, "stray_files": strays,
        "bytes": sum(path.stat().st_size for path in inbox.rglob("*") if path.is_file()),
    }  # fmt: skip


if __name__ == "__main__":
    for kind, count in build(OUT).items():
        print(f"{kind:>22} {count:>9,}")
