"""Names of people by what stands beside them: a title, a label, a greeting, or a first name that is known as one.

Purpose: the names that patterns can find with few mistakes. Chinese: a surname after 患者, 联系人： or before 先生;
English:
`Dr John Smith`, `Patient: ...`, `Dear Anna`, a known first name before a capitalised word. A name found once is looked
for in the whole document by `people`.
Trade-off: a name that stands alone in a sentence is not found by rules; that is what a tagger and the dictionaries of
the source system are for, and the audit tells how much is left.
Not covered: names written in one case without a title, nicknames, names of other scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from metier.prepare.deidentify.recognise.rule import CONTEXT, SHAPE, Span
from metier.prepare.deidentify.recognise.words import lists, parts, words

_TITLES = "|".join(lists("names")["titles"])
_PART = (
    r"[A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĖĘĚĞĢĪİĶŁĻŃŅŇŐŒŘŚŞŠŢŤŪŮŰŲŹŻŽ](?:[A-Za-z\u00c0-\u024f'’]{0,30}[a-zß-öø-ÿA-Z\u0100"
    r"-\u017f])?(?:-[A-Z][A-Za-z\u00c0-\u024f'’]{0,30})?"
)
_FULL = rf"{_PART}(?:[ ](?:[A-Z]\.|{_PART}|(?:van|von|de|der|den|da|di|del|la|le|el|al|bin|ibn|dos)(?=[ ]))){{0,4}}"
_CAPITAL = re.compile("[A-Z][a-zA-Z]*")
_TITLED = re.compile(rf"(?:{_TITLES})\.?[ ]{{1,2}}(?P<v>(?:[A-Z]\.[ ]?){{0,2}}{_FULL})")
_LABEL_ENGLISH = re.compile(rf"(?<![a-z])(?:{'|'.join(lists('names')['labels'])})(?:[ ]?\([^()\n]{{0,20}}\))?[ ]?$")
_OPENING = re.compile(rf"(?:Dear|Hi|Hello|Hey|I am|I'm|This is|Called)[ \n]{{1,4}}(?P<v>{_FULL})(?![\w@])")
_SAID = re.compile(rf"(?:name is|igned by)[ ]{{1,2}}(?P<v>{_FULL})(?![\w@])")
_CLOSING = re.compile(
    r"(?:[Rr]egards|[Ss]incerely|[Bb]est|[Bb]est wishes|[Tt]hanks|[Tt]hank you|[Cc]heers|[Yy]ours truly|[Ff]aithfully|"
    r"[Cc]ordially|[Rr]espectfully)(?: yours)?,?[ ]*$"
)
_SIGNED = re.compile(rf"[ \n]{{1,5}}(?:(?:{_TITLES})\.?[ ])?(?P<v>{_FULL})[ ]*(?=\n|$)")
_TRANSCRIPT = re.compile(
    rf"[\[(]?\d{{1,2}}:\d{{2}}(?::\d{{2}})?(?:[ ]?[AaPp][Mm])?[\])]?[ ](?P<v>{_FULL})(?=[ ]?(?:\([^()\n]{{1,40}}\))?:)"
)
_SURE_LABEL = re.compile("name|contact|attn|attention|signed|author|next of kin|holder|insured|dear")
_GREETING = "name after a greeting"
_BY_WORD: dict[str, tuple[tuple[re.Pattern[str], str, int], ...]] = {
    **{word: ((_TITLED, "name after a title", SHAPE),) for word in _TITLES.split("|")},
    "Dear": ((_OPENING, "name after Dear", CONTEXT),),
    **{word: ((_OPENING, _GREETING, CONTEXT),) for word in ("Hi", "Hello", "Hey", "I", "This", "Called")},
}
_SPEAKER = re.compile(rf"[> ]{{0,3}}(?:[\[(][^\])\n]{{1,30}}[\])][ ]?)?(?P<v>{_FULL})(?=[ ]?(?:\([^()\n]{{1,40}}\))?:)")
_PLAIN_NAME = re.compile(
    rf"""(?P<v>(?P<first>[A-Z][a-z]+)(?:[ ][A-Z]\.?)?[ ](?:(?:van|von|de|der|di|del|la)[ ])?{_PART}(?:-{_PART})?)
         (?![a-z])""",
    re.VERBOSE,
)
_INVERTED = re.compile(rf"(?P<v>(?P<last>{_PART}),[ ](?P<first>[A-Z][a-z]+)(?:[ ][A-Z]\.?)?)(?![a-z])")
_ENDINGS = frozenset({"s", "m", "re", "ve", "ll", "d", "t"})
_INITIAL = re.compile("[A-Z][.]")
_AFTER_COLON = re.compile(rf"[ ]{{0,6}}(?:(?:{_TITLES})\.?[ ])?(?P<v>(?:[A-Z]\.[ ]?){{0,2}}{_FULL})")
# Capitalised words that follow a label or title without being a name.
_NO_NAME = frozenset(words("no_names_en"))

# What speaks or signs without being a person.
_CALLED = frozenset(words("speakers_en"))

# Chinese. A role or label, then the name; a colon makes it sure.
_ROLES = "|".join(lists("names")["roles_zh"])
_AFTER_NAMES = "|".join(lists("names")["titles_zh"])
# A character that ends a name of two: what a sentence goes on with.
_GOES_ON = frozenset("因于的在与和诉主入等是来患男女现被向称说到已有将及对自，。、；：（）经从由未无为不也就都"
                     "又再很并且或但而把让给叫请要想可能会应该能去住"
                     "做用系此该其之以至今前后上下中间内外先女医护老师同总您你我他她它们个这那年月日时分岁体既"
                     "否曾当即起得着过了吗呢吧啊电话手机签章姓与身出复"
                     "性别职务")  # fmt: skip
# Surnames that are also everyday words; before a title they count only with a given name between.
_UNSURE = frozenset(
    "和向于时应成常方高安白路明水文何温平强全都计单位来关原保连谈官乐商银元满华从连党解车花查房边古简管游阳习项任席段施费"
)
_SOME = frozenset("种个些项类方时次位名年月日地处段一人事")


@cache
def _chinese_patterns() -> tuple[re.Pattern[str], ...]:
    single = "".join(word for word in words("surnames_zh") if len(word) == 1)
    double = "|".join(word for word in words("surnames_zh") if len(word) == 2)
    surname = f"(?:{double}|[{single}])"
    masked = r"[某XxＸ×*＊]{1,2}[甲乙丙丁]?"
    name = rf"(?P<surname>{surname})(?:{masked}|(?P<given>[\u4e00-\u9fff](?:·?[\u4e00-\u9fff])?))"
    roles = re.compile(
        rf"(?:{_ROLES})(?P<glue>(?:姓名|签名|签字|[(][^()\n]{{0,12}}[)]|[)])?(?P<colon>[ ]{{0,8}}[: ][ "
        rf"]{{0,8}})?(?:为|是|叫)?){name}"
    )
    titles = re.compile(f"(?:{_AFTER_NAMES})")
    anonymous = re.compile(rf"(?P<v>(?:{double}|[{single}])某{{1,2}}[甲乙丙丁\d]?)")
    minority = re.compile(
        rf"(?:{_ROLES})[ ]{{0,2}}:[ ]{{0,4}}(?P<v>[\u4e00-\u9fff]{{1,6}}·[\u4e00-\u9fff]{{1,8}}(?"
        rf":·[\u4e00-\u9fff]{{1,8}})?)"
    )
    return roles, titles, anonymous, minority


@cache
def first_names() -> frozenset[str]:
    """Known first names that are no other word."""
    return frozenset(words("given_en")) - frozenset(parts("given_en")["also_words"])


def chinese(view: str) -> Iterator[Span]:
    """Names after a role and before a title; 张某某 wherever it stands."""
    roles, titles, anonymous, minority = _chinese_patterns()
    for found in roles.finditer(view):
        start, end = found.start("surname"), found.end()
        if found["given"]:
            given = _given_end(view, found.start("given"), bool(found["colon"]))
            if given is None:
                continue
            end = given
            if not found["colon"] and found["surname"] in _UNSURE:
                continue
        yield Span(start, end, "person", "name after a role", SHAPE)
    for found in titles.finditer(view):
        name = _before_title(view, found.start())
        if name is not None:
            yield Span(name, found.start(), "person", "name before a title", CONTEXT)
    if "某" in view:
        for found in anonymous.finditer(view):
            if found["v"][0] in _UNSURE or view[found.end() : found.end() + 1] in _SOME:
                continue  # 适应某种
            yield Span(*found.span("v"), "person", "name with 某", CONTEXT)
    if "·" in view:
        for found in minority.finditer(view):
            yield Span(*found.span("v"), "person", "name with a dot", SHAPE)


def _given_end(view: str, start: int, sure: bool) -> int | None:
    """Where the given name ends: one or two characters, by what follows. sure: a colon or a space stands before it."""
    run = start
    while run < len(view) and run - start < 3 and "\u4e00" <= view[run] <= "\u9fff":
        run += 1
    if sure and run - start <= 2:  # the whole word
        return run
    if view[start] in _GOES_ON and not sure:
        return None
    if run - start < 2 or view[start + 1] in _GOES_ON:
        return start + 1
    return start + 2


def _before_title(view: str, title: int) -> int | None:
    """Where the name before a title begins: surname and up to two characters if a border stands before them, else the
    surname alone."""
    surnames = _surnames()
    for size in (4, 3, 2):
        start = title - size
        name = view[max(0, start) : title]
        surname = 2 if name[:2] in surnames else 1
        border = start <= 0 or not "\u4e00" <= view[start - 1] <= "\u9fff" or view[start - 1] in _GOES_ON
        if start < 0 or not border or name[:surname] not in surnames or not 1 <= size - surname <= 2:
            continue
        if name[0] not in _UNSURE and not any(
            char in _GOES_ON or not "\u4e00" <= char <= "\u9fff" for char in name[surname:]
        ):
            return start
    if title >= 2 and view[title - 2 : title] in surnames:
        return title - 2
    last = view[title - 1] if title else ""
    if last in surnames and last not in _UNSURE and view[title - 2 : title] != "主任":
        return title - 1
    return None


@cache
def _surnames() -> frozenset[str]:
    return frozenset(words("surnames_zh"))


def english(view: str) -> Iterator[Span]:
    """Titles, labels with a colon, greetings, speakers, and known first names before a capitalised word."""
    for word in _CAPITAL.finditer(view):
        start = word.start()
        if start and view[start - 1].isalpha() and view[start - 1].isascii():
            continue
        for pattern, rule, weight in _BY_WORD.get(word.group(), ()):
            found = pattern.match(view, start)
            if found and (rule != _GREETING or found["v"].split()[0] in first_names()):
                yield from _trimmed(view, found, rule, weight)
        if word.group() in first_names():
            found = _PLAIN_NAME.match(view, start)
            if found:
                yield from _trimmed(view, found, "known first name", CONTEXT)
        elif view[word.end() : word.end() + 1] == ",":
            found = _INVERTED.match(view, start)
            if found and found["first"] in first_names():
                yield from _trimmed(view, found, "family name, first name", CONTEXT)
    for colon in re.finditer(":", view):
        label = view[max(0, colon.start() - 40) : colon.start()].rpartition("\n")[2].lower()
        name = _AFTER_COLON.match(view, colon.end())
        labelled = _LABEL_ENGLISH.search(label) if name else None
        for span in _trimmed(view, name, "name after a label", SHAPE) if name and labelled else ():
            if _known(view[span.start : span.end]) or (labelled and _SURE_LABEL.search(labelled.group())):
                yield span
    if "ame is" in view or "igned by" in view:
        for found in _SAID.finditer(view):
            yield from _trimmed(view, found, "name that is said", CONTEXT)
    yield from _by_line(view)


def _known(name: str) -> bool:
    """Several words, or one that is a name: after `Patient:` also an answer begins with a capital."""
    return " " in name or name in words("given_en") or name in words("family_en")


def _by_line(view: str) -> Iterator[Span]:
    """Who speaks in a transcript, and who signs a letter."""
    start = 0
    while start >= 0:
        turn = _TRANSCRIPT.match(view, start)
        if turn and turn["v"].split()[0].lower() not in _CALLED:
            yield from _trimmed(view, turn, "name before a turn", CONTEXT)
        speaker = _SPEAKER.match(view, start)
        if speaker and speaker["v"].split()[0] in words("given_en"):
            yield from _trimmed(view, speaker, "speaker", CONTEXT)
        end = view.find("\n", start)
        closing = _CLOSING.search(view, max(start, end - 30), end) if end >= 0 else None
        signed = _SIGNED.match(view, end) if closing else None
        if signed and signed["v"].split()[0].lower() not in _CALLED:
            yield from _trimmed(view, signed, "name under a letter", CONTEXT)
        start = end + 1 if end >= 0 else -1


def _trimmed(view: str, found: re.Match[str], rule: str, weight: int) -> Iterator[Span]:
    """The name without the words that ran into it; nothing if it begins with one."""
    start, end = found.span("v")
    kept = 0
    for word in re.finditer(r"[^ ]+", view[start:end]):
        plain, apostrophe, ending = word.group().replace("’", "'").partition("'")
        if plain.strip(".,").lower() in _NO_NAME and not _INITIAL.fullmatch(word.group()):
            break
        kept = word.end()
        if apostrophe and ending in _ENDINGS:  # John's, and no more of the name after it
            kept = word.start() + len(plain)
            break
    if kept > 1:
        yield Span(start, start + kept, "person", rule, weight)
