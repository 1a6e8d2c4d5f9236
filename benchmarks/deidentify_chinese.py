"""Chinese documents with gold spans for the benchmark of de-identification: made from a seed, all people invented.

Invoices, clinical notes, judgments, contracts, bank letters and chat, in the typography of each: full-width digits,
numbers glued to words, spaces inside numbers, no space anywhere. In a template `{person}` is an identifier of that
kind, `{person#1}` the same one each time, and `{~amount}` a trap: it has the shape of an identifier and is none
(amounts, doses, laboratory values, order, batch and approval numbers, clauses).
The check digits are computed here, by the standards' own formulas, and not by the code that is measured.
"""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余杜"
    "叶程魏苏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史"
    "陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛超明霞秀英刚平鹏辉梅鑫波斌宇浩凯健俊帆帅旭宁龙林欢"
    "佳雪慧建国红玉兰桂珍志海文博子涵雨欣思远浩然梓萱晨曦可馨嘉怡"
)
# Region code -> where that is.
CITIES = {
    "110105": "北京市朝阳区",
    "310115": "上海市浦东新区",
    "440106": "广东省广州市天河区",
    "330106": "浙江省杭州市西湖区",
    "510107": "四川省成都市武侯区",
    "420111": "湖北省武汉市洪山区",
    "320106": "江苏省南京市鼓楼区",
    "610113": "陕西省西安市雁塔区",
    "370202": "山东省青岛市市南区",
    "410105": "河南省郑州市金水区",
    "210102": "辽宁省沈阳市和平区",
    "350203": "福建省厦门市思明区",
}
ROADS = (
    "建国路",
    "人民路",
    "解放大道",
    "中山北路",
    "文一西路",
    "科华北路",
    "长江路",
    "和平大街",
    "学院路",
    "新华街",
    "朝阳路",
)
ESTATES = ("阳光花园", "翠湖小区", "东方家园小区", "金地花园", "紫荆公寓")
AREA_CODES = ("010", "021", "020", "0571", "028", "027", "025", "029", "0532", "0371", "024", "0592")
PREFIXES = (
    "130",
    "131",
    "135",
    "138",
    "139",
    "150",
    "158",
    "159",
    "166",
    "173",
    "177",
    "180",
    "186",
    "189",
    "191",
    "199",
)
MAILS = ("qq.com", "163.com", "126.com", "sina.com.cn", "example.com", "hospital-demo.cn")
SIGNS = "京沪粤浙川鄂苏陕鲁豫辽闽"
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")

TEMPLATES = {
    "invoice": """增值税电子普通发票
发票代码：{~invoice code}　发票号码：{~invoice number}
开票日期：{date}
购买方名称：示例科技有限公司
纳税人识别号：{company_id}
地址、电话：{address} {phone/landline}
开户行及账号：中国某银行某支行 {card}
货物名称：*办公用品*打印纸　规格型号：A4-80g　数量：{~count}　单价：{~price}　金额：{~amount}　税率：13%
价税合计（小写）：{~amount}
订单号：{~order}
收款人：{person}　复核：{person}　开票人：{person}
联系邮箱{email}，手机{phone}。""",
    "note": """入院记录
姓名：{person#1}　性别：{*sex}　年龄：{age}岁
住院号：{medical_record}　门诊号：{medical_record}
身份证号{national_id}，医保卡号：{insurance}
住址：{address}
联系人：{person}，联系电话{phone}
主诉：反复胸闷{~few}年，加重3天。
患者{person#1}于{date}入院。查体：体温36.{~few}℃，血压{~pressure}mmHg，心率{~pulse}次/分。
化验：白细胞{~cells}×10^9/L，血红蛋白{~count}g/L，肌酐{~creatinine}μmol/L，血小板{~count}×10^9/L。
处理：{*drug}{~dose} 口服 每日{~few}次；0.9%氯化钠注射液{~volume}静滴。批号：{~batch}，国药准字{~approval}。
主治医师：{person}""",
    "judgment": """民事判决书
{case_number}
原告：{person}，{*sex}，{birth_date}出生，汉族，住{address}，公民身份号码{national_id}。
被告：{person}，联系电话：{phone}。
委托诉讼代理人：{person}，某某律师事务所律师。
原告诉称，{date}，被告驾驶{plate}号小型轿车与原告发生碰撞。
依据《中华人民共和国民法典》第{~clause}条、第{~clause}条第{~few}款之规定，判决如下：
一、被告于本判决生效之日起10日内赔偿原告{~amount}；
二、驳回其他诉讼请求。案件受理费{~amount}。
审判长　{person}
审判员　{person}
书记员　{person}""",
    "contract": """借款合同
合同编号：{~contract}
甲方（出借人）：{person}
身份证号码：{national_id}
乙方：示例贸易有限公司
统一社会信用代码：{company_id}
法定代表人：{person}
住所地：{address}
第一条　借款金额{~amount}，年利率{~rate}，期限{~few}个月。
第二条　款项汇入户名：{person}，账号{card}。
第{~few}.2.1款　逾期按日加收{~rate}。
签订日期：{date}　联系方式：{phone}""",
    "letter": """尊敬的客户：您尾号{card/tail}的储蓄卡于{date}支出{~amount}，流水号{~long order}。
快递单号：{~parcel}，订单编号：{~order like a mobile}。如有疑问请致电{phone/landline}或发邮件至{email}，
登录IP：{ip}，软件版本{~version}。收货地址：{address}，收件人：{person}。""",
}
CHAT = (
    ("手机", "phone/plain"),
    ("身份证号", "national_id"),
    ("我电话", "phone"),
    ("邮箱", "email"),
    ("卡号", "card"),
    ("微信", "social"),
    ("QQ", "social/qq"),
    ("车牌", "plate"),
    ("税号", "company_id"),
)
_FIELD = re.compile(r"\{([~*]?)([^}#]+)(#\d)?\}")


@dataclass
class Document:
    """A text, its gold spans and traps as (start, end, kind), and (text, value) of what is glued to words."""

    text: str
    kind: str
    gold: list[tuple[int, int, str]] = field(default_factory=list)
    traps: list[tuple[int, int, str]] = field(default_factory=list)
    glued: list[tuple[str, str]] = field(default_factory=list)


class Maker:
    """Values of every field, from one seeded source."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def digits(self, count: int) -> str:
        """So many digits, the first not 0."""
        return str(self.draw.randint(1, 9)) + "".join(str(self.draw.randint(0, 9)) for _ in range(count - 1))

    def day(self, low: int, high: int) -> datetime.date:
        """Any day of these years."""
        return datetime.date(low, 1, 1) + datetime.timedelta(days=self.draw.randrange((high - low + 1) * 365))

    def person(self) -> str:
        """Surname and one or two characters."""
        return self.draw.choice(SURNAMES) + "".join(self.draw.choice(GIVEN) for _ in range(self.draw.choice((1, 2, 2))))

    def date(self) -> str:
        """A day in one of the usual forms."""
        day = self.day(2015, 2024)
        form = self.draw.choice(
            ("{0}年{1}月{2}日", "{0}-{1:02d}-{2:02d}", "{0}/{1}/{2}", "{0}.{1:02d}.{2:02d}", "{0}年{1:02d}月{2:02d}日")
        )
        return form.format(day.year, day.month, day.day)

    def birth_date(self) -> str:
        """As judgments write it."""
        day = self.day(1950, 2000)
        return f"{day.year}年{day.month}月{day.day}日"

    def national_id(self) -> str:
        """GB 11643: region, date of birth, serial, MOD 11-2."""
        body = (
            self.draw.choice(list(CITIES))
            + self.day(1940, 2015).strftime("%Y%m%d")
            + f"{self.draw.randrange(1, 999):03d}"
        )
        total = sum(int(char) * (2 ** (17 - place) % 11) for place, char in enumerate(body))
        return body + "10X98765432"[total % 11]

    def company_id(self) -> str:
        """GB 32100: 17 characters and MOD 31."""
        letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
        body = "91" + self.draw.choice(list(CITIES)) + "".join(self.draw.choice(letters) for _ in range(9))
        total = sum(letters.index(char) * (3**place % 31) for place, char in enumerate(body))
        return body + letters[(31 - total % 31) % 31]

    def card(self) -> str:
        """A UnionPay number, Luhn."""
        body = self.draw.choice(("622202", "621661", "622848", "621700", "623058", "621226"))
        body += "".join(str(self.draw.randint(0, 9)) for _ in range(self.draw.choice((9, 12))))
        doubled = [int(char) * (2 if place % 2 == 0 else 1) for place, char in enumerate(reversed(body))]
        return body + str((10 - sum(value // 10 + value % 10 for value in doubled) % 10) % 10)

    def plain_mobile(self) -> str:
        """Eleven digits."""
        return self.draw.choice(PREFIXES) + "".join(str(self.draw.randint(0, 9)) for _ in range(8))

    def phone(self) -> str:
        """A mobile number, sometimes in groups, with +86, or full-width."""
        number = self.plain_mobile()
        grouped = f"{number[:3]} {number[3:7]} {number[7:]}"
        if self.draw.random() < 0.7:
            return number
        forms = (grouped, grouped.replace(" ", "-"), "+86 " + number, "+86" + number, number.translate(FULL_WIDTH))
        return self.draw.choice(forms)

    def landline(self) -> str:
        """Area code and seven or eight digits."""
        return f"{self.draw.choice(AREA_CODES)}-{self.draw.randint(2, 8)}{self.digits(self.draw.choice((6, 7, 7)))}"

    def email(self) -> str:
        """A local part of letters and digits."""
        local = self.draw.choice(("zhang", "li_wei", "wang.fang", "chen", "liuyang", "zhao88"))
        return f"{local}{self.draw.randint(1, 9999)}@{self.draw.choice(MAILS)}"

    def plate(self) -> str:
        """Old plates and those of new energy."""
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
        head = self.draw.choice(SIGNS) + self.draw.choice(letters[:12])
        if self.draw.random() < 0.3:
            return head + "D" + self.digits(5)
        one = self.draw.choice(letters)
        return head + self.draw.choice((self.digits(5), one + self.digits(4), self.digits(3) + one + self.digits(1)))

    def address(self) -> str:
        """District, road, number and often house and room."""
        draw = self.draw
        house = f"{draw.randint(1, 20)}号楼{draw.randint(101, 2204)}室"
        estate = f"{draw.choice(ESTATES)}{draw.randint(1, 30)}栋{draw.randint(1, 4)}单元{draw.randint(101, 1804)}"
        tail = draw.choice(("", house, estate))
        return f"{draw.choice(list(CITIES.values()))}{draw.choice(ROADS)}{draw.randint(1, 998)}号{tail}"

    def case_number(self) -> str:
        """A case number in one of its forms."""
        court = self.draw.choice(("京01", "沪0115", "粤0106", "浙01", "川01", "鲁02"))
        kind = self.draw.choice(("民初", "民终", "刑初", "行初", "执", "破申", "民申"))
        return f"（{self.draw.randint(2015, 2024)}）{court}{kind}{self.draw.randint(1, 29999)}号"

    def amount(self) -> str:
        """Money."""
        value = self.draw.uniform(10, 9_000_000)
        forms = (
            f"{value:,.2f}元",
            f"{value:.2f}元",
            f"人民币{int(value)}元",
            f"￥{value:,.2f}",
            f"{value / 10000:.2f}万元",
        )
        return self.draw.choice(forms)

    def ip(self) -> str:
        """IPv4."""
        return ".".join(str(self.draw.randint(11, 220)) for _ in range(4))

    def one(self, name: str) -> str:
        """The value of a field of the templates."""
        draw = self.draw
        others: dict[str, Callable[[], str]] = {
            "phone/landline": self.landline,
            "phone/plain": self.plain_mobile,
            "card/tail": lambda: self.digits(4),
            "age": lambda: str(draw.randint(1, 99)),
            "insurance": lambda: self.digits(9),
            "social": lambda: "wx_" + self.digits(6),
            "medical_record": lambda: draw.choice(("ZY", "MZ", "", "", "B")) + self.digits(draw.choice((6, 8, 10))),
            "social/qq": lambda: self.digits(9),
            "sex": lambda: draw.choice("男女"),
            "drug": lambda: draw.choice(("阿司匹林肠溶片", "二甲双胍片", "氨氯地平片")),
            "invoice code": lambda: self.digits(12),
            "invoice number": lambda: self.digits(8),
            "batch": lambda: self.digits(8),
            "approval": lambda: "H" + self.digits(8),
            "order": lambda: self.digits(draw.choice((11, 16, 18))),
            "long order": lambda: self.digits(16),
            "order like a mobile": self.plain_mobile,
            "parcel": lambda: "SF" + self.digits(13),
            "contract": lambda: f"HT{draw.randint(2015, 2024)}{self.digits(7)}",
            "few": lambda: str(draw.randint(2, 9)),
            "count": lambda: str(draw.randint(90, 350)),
            "price": lambda: f"{draw.uniform(1, 999):.2f}",
            "pressure": lambda: f"{draw.randint(100, 180)}/{draw.randint(60, 110)}",
            "pulse": lambda: str(draw.randint(55, 120)),
            "cells": lambda: f"{draw.uniform(3, 15):.1f}",
            "creatinine": lambda: f"{draw.uniform(40, 200):.1f}",
            "dose": lambda: draw.choice(("100mg", "0.5g", "5mg")),
            "volume": lambda: draw.choice(("100ml", "250ml", "500ml")),
            "clause": lambda: str(draw.randint(100, 1260)),
            "rate": lambda: f"{draw.uniform(0.05, 15):.2f}%",
            "version": lambda: f"{draw.randint(1, 9)}.{draw.randint(0, 20)}.{draw.randint(0, 9)}",
        }
        made = others[name]() if name in others else getattr(self, name)()
        return str(made)


def render(make: Maker, kind: str, template: str) -> Document:
    """A template as a text with its spans."""
    document, same, at = Document("", kind), {}, 0
    for found in _FIELD.finditer(template):
        document.text += template[at : found.start()]
        at = found.end()
        sort, name, number = found.groups()
        value = same.get((name, number)) if number else None
        value = value or make.one(name)
        same[name, number] = value
        span = (len(document.text), len(document.text) + len(value), name.partition("/")[0])
        if sort == "~":
            document.traps.append(span)
        elif not sort and not (name == "age" and int(value) < 90):
            document.gold.append(span)
        document.text += value
    document.text += template[at:]
    return document


def chat(make: Maker) -> Document:
    """Short messages where everything is glued together."""
    lines = list(CHAT)
    make.draw.shuffle(lines)
    ends = [make.draw.choice(("，", "。", "、", "哦", "谢谢", "\n")) for _ in range(make.draw.randint(2, 5))]
    template = "".join(f"{label}{{{name}}}{end}" for (label, name), end in zip(lines, ends, strict=False))
    document = render(
        make, "chat", template + "转了{~amount}，房间{~count}" + make.draw.choice(("，明天见", "，收到回复"))
    )
    for (start, stop, _), (label, _), end in zip(document.gold, lines, ends, strict=False):
        value = document.text[start:stop]
        document.glued.append((label + value + end, value))
    return document


def documents(count: int, seed: int = 20240501) -> list[Document]:
    """The same documents for the same numbers."""
    make, kinds = Maker(seed), [*TEMPLATES, "chat"]
    chosen = [kinds[number % len(kinds)] for number in range(count)]
    return [chat(make) if kind == "chat" else render(make, kind, TEMPLATES[kind]) for kind in chosen]
