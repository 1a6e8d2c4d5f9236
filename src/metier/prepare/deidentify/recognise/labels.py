"""Words that say what the number beside them is: 住院号, policy number, Fax; and words that say it is none.

Purpose: many identifiers have no shape of their own, and only their label tells them; others (eleven digits) have the
shape of a telephone number and are an order's. The words before a number are read backwards from it, over at most
48 characters and one line end, so that no text is searched for labels but where a number stands.
Trade-off: a label that this list does not know is not read. The list is data; a longer one costs little.
Not covered: labels in a table's head, a column away from their number; `names.columns` of the recipe is for those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

WINDOW = 48  # characters before a number that are read for its label
_SIGNS = " :=#-.\"'([|+>\n"  # between a label and its number
AFTER = 24  # characters after it, for `655 437 108 office`

ENGLISH: dict[str, str] = {
    "passport": r"passport",
    "driving_licence": r"driv(?:er|ing)(?:'?s)?'?\s*(?:licen[cs]e|permit)|\bdl|licen[cs]e(?= no| number|\s*#)",
    "national_id": r"social security|\bssn|\bss\s*#|\bitin|national (?:id|identity|identification)(?: card)?"
                   r"|identity card|"
                   r"\bid card|\bnhs|\bnino|national insurance|\bpesel|\bbsn|\bnric|\baadhaar|citizen id"
                   r"|personal (?:id|code)|"
                   r"identification",
    "tax_id": r"\bvat|tax(?:payer)?(?: identification| id| reg\w*)?|\btin|\bein|\bnip|\butr|steuer\w*|\bust-?id\w*"
              r"|\bnif|"
              r"\bsiren|\bsiret",
    "medical_record": r"\bmrn|medical record|patient(?: id| no| number|\s*#)|chart|hospital (?:no|number|id)"
                      r"|encounter|accession|"
                      r"admission (?:no|number|id)|visit (?:no|number|id)|health (?:card|record)|\bphn|\bchi",
    "insurance": r"(?:policy|insurance|claim)(?: with| under)?(?=\s*(?:no\b|num|id\b|#|:|\(|is\b))"
                 r"|member(?:ship)?(?: id| no| number|\s*#)|subscriber(?: id| no| number)?|"
                 r"medicare|medicaid|beneficiary|health plan|group (?:id|no|number)|\bmbi|\bhicn",
    "card": r"(?:credit|debit|bank|payment|visa|master|amex|american express|maestro|discover)[ -]?card|"
            r"\bcard(?: no| number| ending(?: in| with)?)?|\bcc\b|\bcvv2?|\bcvc|\bpan",
    "account": r"account|\bacct|\ba/c|sort code|routing|\baba|\brtn|\biban|\bswift|\bbic\b|loan (?:no|number|id)",
    "person_number": r"(?:employee|staff|student|pupil|badge|personnel|customer|client|user|member|candidate|applicant|"
                     r"matriculation|enrol?lment|roll|subscription)(?: id| no| number| code|\s*#)|\bid(?=\s*(?:[:#]"
                     r"|is\b|no\b|num))",
    "licence": r"\bnpi|\bdea|\bgmc|bar (?:no|number)|registration (?:no|number)|licen[cs]e|certificate (?:no|number)",
    "plate": r"(?:licen[cs]e|number|registration|vehicle) plate|plate(?: no| number)|vehicle reg\w*|\bvin|chassis",
    "case_number": r"(?:case|docket|cause|matter|court file)(?=\s*(?:no\b|number|id\b|#|:))",
    "postcode": r"\bzip(?: ?code)?|post(?:al)? ?code",
    "social": r"user ?name|\blogin|\bhandle|skype|telegram|whatsapp|wechat|\bqq|screen name|discord|snapchat|\bline id",
    "permit": r"residence permit|travel permit|\bvisa (?:no|number)|work permit|green card|\balien",
    "phone": r"phone|\btel\b|telephone|mobile|\bmob\b|\bcell\w*|\bfax|\bcall\b|calling|\bdial|\bring\b|\btext\b"
             r"|\bsms\b|whatsapp|"
             r"reach(?:ed)?|contact|hotline|messag\w+|answer(?:ing)?|pager|desk|\bph\b|home|office|work|direct"
             r"|extension|"
             r"(?:my|your|his|her|their|our|new|old|current|registered)(?: new)? number",
}  # fmt: skip
CHINESE: dict[str, str] = {
    "passport": r"护照",
    "permit": r"(?:通行证|回乡证|台胞证|居住证|居留许可证?|签证|返乡证|往来\w{2,6}证|港澳证)",
    "driving_licence": r"驾驶证|驾照|档案编?号",
    "licence": r"执业证书?|资格证书?|医师证|律师证|执业医师\w{0,4}证",
    "national_id": r"身份证(?:件)?|公民身份|身份号码|证件|社会保障号码?|军官证|户口簿|社保号码?",
    "tax_id": r"纳税人识别|税号|税务登记证?",
    "company_id": r"统一社会信用代码|信用代码|组织机构代码|营业执照|注册号",
    "medical_record": r"住院|门诊|病案|病历|就诊卡?|登记|检查|影像|超声|病理|放射|ID|诊疗卡|急诊|患者编|病人编"
                      r"|体检编?|标本",
    "insurance": r"医保卡?|社保卡?|医疗保险|社会保障卡?|保单|参保|保险单|理赔|保险合同|农合|新农合|医疗证|个人编",
    "card": r"银行卡|信用卡|借记卡|储蓄卡|卡号|尾号",
    "account": r"账户?|帐户?|开户|公积金|存折|支付宝账?号?|贷款编?|对公账户",
    "person_number": r"工号|学号|员工编?|职工编?|警号|客户编?|会员编?|客户号|用户编?号?|学籍|准考证|教师编",
    "plate": r"车牌|号牌|车架|发动机|车辆识别代?",
    "case_number": r"案",
    "postcode": r"邮编|邮政编码|邮码",
    "social": r"QQ|qq|Qq|微信|WeChat|wechat|Wechat|微博|抖音|VX|vx|Vx|WX|wx|钉钉|旺旺",
    "phone": r"手机|电话|联系方式|座机|传真|热线|联系|致电|拨打|来电|短信|电联|号码|咨询|预约|加微|手机微信同|宅电"
             r"|固话|小灵通|tel|TEL|Tel|"
             r"mobile|Mobile|MOBILE|phone|Phone|PHONE|fax|Fax|FAX|☎|📞|📱",
}  # fmt: skip
# What is no identifier of a person although it has the shape of one; in these the guarded rules stay silent.
NOT_ENGLISH = (r"\border|invoice|tracking|ticket|reference|\bref\b|serial|batch|\blot\b|\bpart\b|model|version"
               r"|\bisbn|\bissn|"
               r"\bdoi\b|pmid|\bpmc|\bnct|\bsku\b|item|article|barcode|\bean\b|\bupc\b|receipt|transaction|section"
               r"|clause|"
               r"chapter|page|\bport\b|build|release|quantity|amount|total|figure|table|catalog\w*|dose|\bno\. of"
               r"|population|"
               r"arxiv|firmware|revision|\brev\b|\bgb/t|\biso|standard")  # fmt: skip
NOT_CHINESE = (r"订单|流水|交易|单据|发票|票据|批次|序列|快递|运单|物流|批号|单号|货号|型号|版本|条码|批准文号"
               r"|国药准字|注册证|文号|凭证|报关|"
               r"箱号|合同|编码|商品|产品|期号|标准|票号|税率|金额|合计|总计|价税|数量|设备|仪器|试剂|房产证|产权证"
               r"|专利|刊号|书号")  # fmt: skip

_GLUE_ENGLISH = (r"(?:\s*(?:\bno\b\.?|number|\bnum\b|\bid\b|\bcode\b|card|#|\(\w{1,12}\.?\)|№|ending|\bin\b))*\s*"
                 r"(?:\bis\b|\bwas\b|\bare\b|\bas\b|\bto\b|=|:|-|\#|>|\bat\b|\bon\b|\bof\b"
                 r"|\|)*\s*[\"'(\[]?\s*\+?")  # fmt: skip
_GLUE_CHINESE = (r"(?:\s*(?:号码|号牌|编号|代码|号|账号|帐号|码|卡|证|信息|[(][^()\n]{0,8}[)]))*\s*"
                 r"(?:分别为|变更为|[:=|为是至到]|\s)*\s*[\"'(\[“]?\s*\+?")  # fmt: skip


def _either(table: dict[str, str]) -> str:
    return "|".join(f"(?P<{kind}>{words})" for kind, words in table.items())


def _borders(pattern: str) -> str:
    """`\\b` as the tables write it, but between Latin letters only: a word may stand right beside Han and digits."""
    return re.sub(r"\\b(?=\(?[a-z])", "(?<![a-z])", pattern).replace(r"\b", "(?![a-z])")


_EN = re.compile(_borders(f"(?<![a-z])(?:{_either(ENGLISH)}){_GLUE_ENGLISH}$"))


def _first(*texts: str) -> str:
    """A quick look: one of the characters that stand in the words, before all of them are tried."""
    return f"(?=[{''.join(sorted({char for text in texts for char in text if char.isalpha() or ord(char) > 0x2000}))}])"


_ZH = re.compile(f"{_first(*CHINESE.values())}(?:{_either(CHINESE)}){_GLUE_CHINESE}$")
_NOT_EN = re.compile(_borders(f"(?<![a-z])(?:{NOT_ENGLISH})s?{_GLUE_ENGLISH}$"))
_NOT_ZH = re.compile(f"{_first(NOT_CHINESE)}(?:{NOT_CHINESE}){_GLUE_CHINESE}$")
_NEAR_EN = re.compile(
    r"(?<![a-z])(?:phone|telephone|tel(?![a-z])|mobile|cell|fax|call|dial|reach|messag|answering|text(?:ed"
    r"|ing)? (?:me|us|him|her)|sms|"
    r"whatsapp)[^\n.;!?]*$"
)
_AFTER_EN = re.compile(r"[ \\,(/-]{0,3}(?:office|fax|mobile|cell|home|work|desk|phone|ext\b|direct)")
_AFTER_ZH = re.compile(r"[ (/-]{0,2}(?:微信同号|手机|电话|同微信|办公|宅|传真)")
# A question for a number, and the turn that answers it: "your account number? [10:19] Customer: Yes, it's 987654321".
_ASKED = re.compile(_borders(f"(?<![a-z])(?:{_either(ENGLISH)})(?:[ ](?:number|id|no\\.?))?[^\n?]{{0,40}}\\?"))
_ANSWER = re.compile(
    r"(?:^|[ :,.])(?:yes|sure|ok(?:ay)?|of course)?[ ,.!]{0,3}(?:it'?s|it is|that'?s|here it is)[ :]{0,3}$"
)
_HAN = re.compile("[\u4e00-\u9fff]")


@dataclass(eq=False)
class Surrounding:
    """What the words beside one number say; computed when first asked for.

    view: the folded text. start: where the number begins.
    """

    view: str
    start: int

    @cached_property
    def window(self) -> str:
        """What stands before the number on its line, or on the line above if it begins one; "" if nothing there can be
        a label, as between the numbers of a table."""
        window = self.view[max(0, self.start - WINDOW) : self.start]
        lines = window.split("\n")
        window = "\n".join(lines[-2:]) if len(lines) > 1 and not lines[-1].strip() else lines[-1]
        words = window.rstrip(_SIGNS)
        return window if words and not words[-1].isdigit() else ""

    @cached_property
    def kind(self) -> str:
        """The kind that the label names, "" without one."""
        window = self.window
        found = _ZH.search(window) if _HAN.search(window) else None
        lower = window.lower() if window else ""
        found = found or (_EN.search(lower) if lower else None)
        if found is None and lower and _ANSWER.search(lower):
            before = self.view[max(0, self.start - 160) : self.start].rpartition("\n")[0].lower()
            asked = list(_ASKED.finditer(before))
            found = asked[-1] if asked else None
        kind = found.lastgroup or "" if found else ""
        return "" if kind in ("phone", "licence") and self.other else kind  # an order number, the number of a part

    @cached_property
    def other(self) -> bool:
        """Whether the label says that it is an order, a part, an amount or the like."""
        return bool(self.window and (_NOT_ZH.search(self.window) or _NOT_EN.search(self.window.lower())))

    def phone(self, end: int) -> bool:
        """Whether the sentence speaks of calling, or the word after the number does. end: of the number."""
        if self.kind:
            return self.kind == "phone"
        tail = self.view[end : end + AFTER]
        if _AFTER_EN.match(tail.lower()) or _AFTER_ZH.match(tail):
            return True
        digits = sum(char.isdigit() for char in self.view[self.start : end])
        return digits >= 7 and bool(_NEAR_EN.search(self.window.lower())) and not self.other
