"""What is found and what is not, in texts that people write: every line is one claim."""

from __future__ import annotations

import pytest

from metier.prepare.deidentify.kinds import KINDS
from metier.prepare.deidentify.recognise.find import find
from metier.prepare.deidentify.recognise.folding import compact, fold
from metier.prepare.deidentify.recognise.scan import RULES

# text, what is found in it, its kind
FOUND = [
    ("手机13800138000", "13800138000", "phone"),
    ("身份证号11010519491231002X，", "11010519491231002X", "national_id"),
    ("邮箱zhang@x.com，谢谢", "zhang@x.com", "email"),
    ("电话：１３８００１３８０００。", "１３８００１３８０００", "phone"),
    ("打我138 0013 8000或", "138 0013 8000", "phone"),
    ("tel:+86-13800138000", "+86-13800138000", "phone"),
    ("拨打1 3 8 0 0 1 3 8 0 0 0", "1 3 8 0 0 1 3 8 0 0 0", "phone"),
    ("座机021-58881234转802", "021-58881234转802", "phone"),
    ("（010）62345678联系", "（010）62345678", "phone"),
    ("税号91350100M000100Y43开票", "91350100M000100Y43", "company_id"),
    ("卡号6222021234567890128谢谢", "6222021234567890128", "card"),
    ("尾号1234的卡", "1234", "card"),
    ("护照E12345678出境", "E12345678", "passport"),
    ("港澳通行证号C12345678。", "C12345678", "permit"),
    ("香港身份证A123456(3)", "A123456(3)", "national_id"),
    ("台湾身份证A123456789", "A123456789", "national_id"),
    ("驾驶京A12345小型客车", "京A12345", "plate"),
    ("新能源车沪AD12345号", "沪AD12345", "plate"),
    ("案号（2024）京01民初123号判决", "（2024）京01民初123号", "case_number"),
    ("住院号：ZY20240001", "ZY20240001", "medical_record"),
    ("病案号B0012345，", "B0012345", "medical_record"),
    ("医保卡号 123456789", "123456789", "insurance"),
    ("QQ880752524聊", "880752524", "social"),
    ("微信号zhang_san88，", "zhang_san88", "social"),
    ("工号A00123", "A00123", "person_number"),
    ("邮编：100020", "100020", "postcode"),
    ("2024年5月1日入院", "2024年5月1日", "date"),
    ("二〇二四年五月一日", "二〇二四年五月一日", "date"),
    ("1949年12月31日出生", "1949年12月31日", "birth_date"),
    ("出生日期：19491231", "19491231", "birth_date"),
    ("今年95岁，", "95", "age"),
    ("享年九十三岁", "九十三", "age"),
    ("家住北京市朝阳区建国路88号3号楼1201室，", "北京市朝阳区建国路88号3号楼1201室", "address"),
    ("住湖南省长沙县江背镇五美村三组12号。", "湖南省长沙县江背镇五美村三组12号", "address"),
    ("患者张三因腹痛入院", "张三", "person"),
    ("联系人：孙涵可，电话", "孙涵可", "person"),
    ("欧阳娜娜女士", "欧阳娜娜", "person"),
    ("与李医生谈话", "李", "person"),
    ("被害人王某某称", "王某某", "person"),
    ("审判长　谭可旭\n", "谭可旭", "person"),
    ("姓名：阿卜杜拉·买买提", "阿卜杜拉·买买提", "person"),
    ("SSN 536-22-1234.", "536-22-1234", "national_id"),
    ("ITIN: 912-70-1234", "912-70-1234", "national_id"),
    ("call 212-555-1234 now", "212-555-1234", "phone"),
    ("(602)272-9781x42", "(602)272-9781x42", "phone"),
    ("reach me on +41 (0)71 526 99 04", "+41 (0)71 526 99 04", "phone"),
    ("655 437 108 office", "655 437 108", "phone"),
    ("NHS 943 476 5919", "943 476 5919", "national_id"),
    ("NI no AB 12 34 56 C", "AB 12 34 56 C", "national_id"),
    ("sort code 12-34-56", "12-34-56", "account"),
    ("routing number 021000021", "021000021", "account"),
    ("MRN: 12345678", "12345678", "medical_record"),
    ("policy number ABC-123456", "ABC-123456", "insurance"),
    ("my driver's license number is F162823540116", "F162823540116", "driving_licence"),
    ("My ZIP code is 90010-170", "90010-170", "postcode"),
    ("Springfield, IL 62704", "62704", "postcode"),
    ("London NW1 6XE", "NW1 6XE", "postcode"),
    ("IBAN GB82 WEST 1234 5698 7654 32.", "GB82 WEST 1234 5698 7654 32", "iban"),
    ("VAT DE136695976", "DE136695976", "tax_id"),
    ("PESEL 44051401359", "44051401359", "national_id"),
    ("DNI 12345678Z", "12345678Z", "national_id"),
    ("codice RSSMRA85T10A562S", "RSSMRA85T10A562S", "national_id"),
    ("card 4111 1111 1111 1111 expires", "4111 1111 1111 1111", "card"),
    ("write to a.b+c@d-e.co.uk", "a.b+c@d-e.co.uk", "email"),
    ("see https://a.example/x?y=1).", "https://a.example/x?y=1", "url"),
    ("见https://例子.cn吧", "https://例子.cn", "url"),
    ("from 192.168.1.1", "192.168.1.1", "ip"),
    ("at fe80::1 today", "fe80::1", "ip"),
    ("MAC 00:1A:2B:3C:4D:5E", "00:1A:2B:3C:4D:5E", "mac"),
    ("send to bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "wallet"),
    ("born on 12/05/1985", "12/05/1985", "birth_date"),
    ("on March 5th, 2024", "March 5th, 2024", "date"),
    ("2018-02-24 12:45:18 saved", "2018-02-24 12:45:18", "date"),
    ("a 93-year-old man", "93", "age"),
    ("Dr. John A. Smith said", "John A. Smith", "person"),
    ("Patient: Mary Jones", "Mary Jones", "person"),
    ("Dear Anna,", "Anna", "person"),
    ("Best regards,\nXavier Okonkwo\n", "Xavier Okonkwo", "person"),
    ("[10:05 AM] Jess: hi", "Jess", "person"),
    ("lives at 12 Baker Street, London NW1 6XE", "12 Baker Street, London NW1 6XE", "address"),
    ("P.O. Box 123", "P.O. Box 123", "address"),
    ("PSC 3294, Box 9168\nAPO AA 61487", "PSC 3294, Box 9168\nAPO AA 61487", "address"),
    ("My username is mikeb.", "mikeb", "social"),
    ("your account number?\n[10:19 AM] Customer: Yes, it's 987654321.", "987654321", "account"),
]  # fmt: skip

# Texts in which nothing is an identifier.
NOTHING = [
    "阿莫西林0.5g 每日3次，血压120/80mmHg，白细胞10.5×10^9/L，血红蛋白130g/L，体温36.5℃",
    "订单号：15012345678，快递单号SF1234567890123，批号20240501，国药准字H20051234",
    "合同金额1,234,567.89元，人民币15000000元整，税率13%，第3条第2款",
    "发票代码：670781120308　发票号码：85443210",
    "患者56岁，反复胸闷3年，加重3天，治疗后好转",
    "应当向所在地的区、县人民政府登记；聘任校长；项目经理负责；适应某种场合",
    "主任医生查房，和医生讨论，向医生说明",
    "2019年至2023年，2020年净利润同比增长12.5%",
    "order number 4812345678901234, invoice 20240501-17, tracking 123456789012",
    "Type 1 may have more than 12 of 345 patients; section 10.2.24, version 1.2.3.4",
    "Take 5 mg 2 times daily for 10-14 days; BP 120/80; HbA1c 7.5 %; 1/2 tablet",
    "revenue of 1,006,989 in 2018 and (927) 929 in 2019, margin 10.3",
    "at 10:30:45 and 7 PM on Sunday in 1992, the Q1 2023 figures",
    "a 47 year old woman with a ratio of 3@0.5",
    "the tuckshop (1965-77), an exhibition of 500-1000 stands",
]
TITLES = [text[:28].replace("\n", " ") for text, _, _ in FOUND]


@pytest.mark.parametrize(("text", "value", "kind"), FOUND, ids=TITLES)
def test_found(text: str, value: str, kind: str) -> None:
    assert (value, kind) in [(text[span.start : span.end], span.kind) for span in find(text)]


@pytest.mark.parametrize("text", NOTHING, ids=[text[:20] for text in NOTHING])
def test_not_found(text: str) -> None:
    assert [(text[span.start : span.end], span.rule) for span in find(text)] == []


@pytest.mark.parametrize("glue", ["", "：", " ", "（"])
@pytest.mark.parametrize("label", ["手机", "联系电话", "tel", "我的号码"])
def test_numbers_may_be_glued_to_words_on_both_sides(label: str, glue: str) -> None:
    text = f"{label}{glue}13800138000谢谢"
    assert [text[span.start : span.end] for span in find(text)] == ["13800138000"]


def test_a_name_found_once_is_found_everywhere() -> None:
    text = "Patient: Maria Kovacs. Kovacs was seen; M. Kovacs left. KOVACS, Maria signed. 姓名：王小明。王小明好转。"
    found = [text[span.start : span.end] for span in find(text) if span.kind == "person"]
    assert found.count("王小明") == 2 and {"Maria Kovacs", "Kovacs", "M. Kovacs"} <= set(found)
    assert "Kovacs" not in [text[span.start : span.end] for span in find(text, repeat=False)]


def test_a_known_first_name_alone_is_no_finding() -> None:
    assert find("Robert had a good day. Will it rain in May?") == []


def test_organisations_only_when_asked_for() -> None:
    text = "购买方：北京示例科技有限公司；seller Acme Widgets Ltd."
    assert not [span for span in find(text) if span.kind == "organisation"]
    assert len([span for span in find(text, companies=True) if span.kind == "organisation"]) == 2


def test_ages_from_any_threshold() -> None:
    assert [span.kind for span in find("a 47 year old woman", ages_from=18)] == ["age"]


def test_placeholders_are_left_alone() -> None:
    assert find("Name: [PERSON], Tel: [PHONE] 电话：【电话】 联系人：【姓名】，ID ***") == []


def test_every_rule_names_a_kind_and_its_own_name_once() -> None:
    assert {rule.kind for rule in RULES} <= set(KINDS)
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_the_view_has_the_length_of_the_text() -> None:
    text = "１２３－Ａ：\u200b٣٤ 🙂 \U0001d7d8"
    assert len(fold(text)) == len(text) and fold(text).startswith("123-A:") and fold(text).endswith("0")
    assert compact(fold("４１１１ 1111-1111")) == "411111111111"
