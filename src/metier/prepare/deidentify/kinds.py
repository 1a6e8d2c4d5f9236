"""The kinds of identifier that are told apart, and what stands in their place.

A kind is one word in settings, counts and the list of changes. The English name is the placeholder in Latin text, the
Chinese one in Chinese text. Source of the list: the 18 identifiers of the HIPAA Safe Harbor rule (45 CFR
164.514(b)(2)), GB/T 35273-2020 annex A, and what courts, banks and hospitals write beside them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """name: the word in settings. english, chinese: the placeholder without its brackets."""

    name: str
    english: str
    chinese: str


_TABLE = (
    ("person", "PERSON", "姓名"),
    ("organisation", "ORGANISATION", "机构"),
    ("phone", "PHONE", "电话"),
    ("email", "EMAIL", "邮箱"),
    ("url", "URL", "网址"),
    ("ip", "IP", "网络地址"),
    ("mac", "MAC", "设备地址"),
    ("address", "ADDRESS", "地址"),
    ("postcode", "POSTCODE", "邮编"),
    ("date", "DATE", "日期"),
    ("birth_date", "BIRTH DATE", "出生日期"),
    ("age", "AGE", "年龄"),
    ("national_id", "NATIONAL ID", "证件号"),
    ("tax_id", "TAX ID", "税号"),
    ("passport", "PASSPORT", "护照号"),
    ("permit", "PERMIT", "通行证号"),
    ("driving_licence", "DRIVING LICENCE", "驾驶证号"),
    ("licence", "LICENCE", "执业证号"),
    ("plate", "PLATE", "车牌"),
    ("card", "CARD", "银行卡号"),
    ("iban", "IBAN", "国际账号"),
    ("account", "ACCOUNT", "账号"),
    ("company_id", "COMPANY ID", "机构代码"),
    ("case_number", "CASE NUMBER", "案号"),
    ("medical_record", "MEDICAL RECORD", "病历号"),
    ("insurance", "INSURANCE NUMBER", "保险号"),
    ("person_number", "PERSON NUMBER", "人员编号"),
    ("social", "SOCIAL ACCOUNT", "社交账号"),
    ("wallet", "WALLET", "钱包地址"),
)
KINDS: dict[str, Kind] = {row[0]: Kind(*row) for row in _TABLE}
