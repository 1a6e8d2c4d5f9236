"""Chinese documents with gold spans for the benchmark of de-identification: made from a seed, all people invented.

Invoices, clinical notes, judgments, contracts, bank letters and chat, in the typography of each: full-width digits, numbers
glued to words, spaces inside numbers, no space anywhere. Traps have the shape of an identifier and are none: amounts, doses,
laboratory values, order, batch and approval numbers, clause numbers, dates' neighbours.
The check digits are computed here, by the standards' own formulas, and not by the code that is measured.
"""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass, field

Part = str | tuple[str, str]  # plain text, or (kind, value); a kind that begins with "trap " must stay

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余杜叶程魏苏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛超明霞秀英刚平鹏辉梅鑫波斌宇浩凯健俊帆帅旭宁龙林欢佳雪慧建国红玉兰桂珍志海文博子涵雨欣思远浩然梓萱晨曦可馨嘉怡"
CITIES = ("北京市朝阳区", "上海市浦东新区", "广东省广州市天河区", "浙江省杭州市西湖区", "四川省成都市武侯区", "湖北省武汉市洪山区", "江苏省南京市鼓楼区",
          "陕西省西安市雁塔区", "山东省青岛市市南区", "河南省郑州市金水区", "辽宁省沈阳市和平区", "福建省厦门市思明区")  # fmt: skip
REGIONS = (
    "110105",
    "310115",
    "440106",
    "330106",
    "510107",
    "420111",
    "320106",
    "610113",
    "370202",
    "410105",
    "210102",
    "350203",
)
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
    "滨海大道",
    "朝阳路",
)
ESTATES = ("阳光花园", "翠湖小区", "东方家园小区", "金地花园", "紫荆公寓")
AREA_CODES = ("010", "021", "020", "0571", "028", "027", "025", "029", "0532", "0371", "024", "0592")
PREFIXES = (
    "130",
    "131",
    "135",
    "136",
    "137",
    "138",
    "139",
    "150",
    "151",
    "158",
    "159",
    "166",
    "173",
    "177",
    "180",
    "186",
    "188",
    "189",
    "191",
    "199",
)
MAILS = ("qq.com", "163.com", "126.com", "sina.com.cn", "example.com", "hospital-demo.cn")
SIGNS = "京沪粤浙川鄂苏陕鲁豫辽闽"
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")


@dataclass
class Document:
    """A text, its gold spans and traps as (start, end, kind), and (text, value) of what is glued to words."""

    text: str
    kind: str
    gold: list[tuple[int, int, str]] = field(default_factory=list)
    traps: list[tuple[int, int, str]] = field(default_factory=list)
    glued: list[tuple[str, str]] = field(default_factory=list)


class Maker:
    """Values of every kind, from one seeded source."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def digits(self, count: int) -> str:
        """So many digits, the first not 0."""
        return str(self.draw.randint(1, 9)) + "".join(str(self.draw.randint(0, 9)) for _ in range(count - 1))

    def name(self) -> str:
        """Surname and one or two characters."""
        return self.draw.choice(SURNAMES) + "".join(self.draw.choice(GIVEN) for _ in range(self.draw.choice((1, 2, 2))))

    def day(self, low: int = 1940, high: int = 2024) -> datetime.date:
        """Any day of these years."""
        return datetime.date(low, 1, 1) + datetime.timedelta(days=self.draw.randrange((high - low + 1) * 365))

    def date(self, low: int = 2015, high: int = 2024) -> str:
        """A day in one of the usual forms."""
        day = self.day(low, high)
        return self.draw.choice((f"{day.year}年{day.month}月{day.day}日", f"{day.year}-{day.month:02d}-{day.day:02d}",
                                 f"{day.year}/{day.month}/{day.day}", f"{day.year}.{day.month:02d}.{day.day:02d}",
                                 f"{day.year}年{day.month:02d}月{day.day:02d}日"))  # fmt: skip

    def resident(self) -> str:
        """GB 11643: region, date of birth, serial, MOD 11-2."""
        body = (
            self.draw.choice(REGIONS) + self.day(1940, 2015).strftime("%Y%m%d") + f"{self.draw.randrange(1, 999):03d}"
        )
        total = sum(int(char) * (2 ** (17 - place) % 11) for place, char in enumerate(body))
        return body + "10X98765432"[total % 11]

    def credit(self) -> str:
        """GB 32100: 17 characters and MOD 31."""
        letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
        body = "91" + self.draw.choice(REGIONS) + "".join(self.draw.choice(letters) for _ in range(9))
        total = sum(letters.index(char) * (3**place % 31) for place, char in enumerate(body))
        return body + letters[(31 - total % 31) % 31]

    def card(self) -> str:
        """A UnionPay number, Luhn."""
        body = self.draw.choice(("622202", "621661", "622848", "621700", "623058", "621226"))
        body += "".join(str(self.draw.randint(0, 9)) for _ in range(self.draw.choice((9, 12))))
        doubled = [int(char) * (2 if place % 2 == 0 else 1) for place, char in enumerate(reversed(body))]
        return body + str((10 - sum(value // 10 + value % 10 for value in doubled) % 10) % 10)

    def mobile(self) -> str:
        """Eleven digits, sometimes in groups, with +86, or full-width."""
        number = self.draw.choice(PREFIXES) + "".join(str(self.draw.randint(0, 9)) for _ in range(8))
        grouped = f"{number[:3]} {number[3:7]} {number[7:]}"
        form = self.draw.random()
        if form < 0.7:
            return number
        return self.draw.choice(
            (grouped, grouped.replace(" ", "-"), "+86 " + number, "+86" + number, number.translate(FULL_WIDTH))
        )

    def landline(self) -> str:
        """Area code and seven or eight digits."""
        return f"{self.draw.choice(AREA_CODES)}-{self.digits(8).replace('1', '8', 1) if self.draw.random() < 0.8 else '8' + self.digits(6)}"

    def mail(self) -> str:
        """A local part of letters and digits."""
        return (
            self.draw.choice(("zhang", "li_wei", "wang.fang", "chen", "liuyang", "zhao88"))
            + str(self.draw.randint(1, 9999))
            + "@"
            + self.draw.choice(MAILS)
        )

    def plate(self) -> str:
        """Old plates and those of new energy."""
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
        head = self.draw.choice(SIGNS) + self.draw.choice(letters[:12])
        if self.draw.random() < 0.3:
            return head + "D" + self.digits(5)
        return head + self.draw.choice(
            (
                self.digits(5),
                self.draw.choice(letters) + self.digits(4),
                self.digits(3) + self.draw.choice(letters) + self.digits(1),
            )
        )

    def address(self) -> str:
        """District, road, number and often house and room."""
        tail = self.draw.choice(
            (
                "",
                f"{self.draw.randint(1, 20)}号楼{self.draw.randint(101, 2204)}室",
                f"{self.draw.choice(ESTATES)}{self.draw.randint(1, 30)}栋{self.draw.randint(1, 4)}单元{self.draw.randint(101, 1804)}",
            )
        )
        return f"{self.draw.choice(CITIES)}{self.draw.choice(ROADS)}{self.draw.randint(1, 998)}号{tail}"

    def case(self) -> str:
        """A case number in one of its forms."""
        court = self.draw.choice(("京01", "沪0115", "粤0106", "浙01", "川01", "鲁02"))
        kind = self.draw.choice(("民初", "民终", "刑初", "行初", "执", "破申", "民申"))
        return f"（{self.draw.randint(2015, 2024)}）{court}{kind}{self.draw.randint(1, 29999)}号"

    def amount(self) -> str:
        """Money."""
        value = self.draw.uniform(10, 9_000_000)
        return self.draw.choice(
            (
                f"{value:,.2f}元",
                f"{value:.2f}元",
                f"人民币{int(value)}元",
                f"￥{value:,.2f}",
                f"{value / 10000:.2f}万元",
            )
        )

    def record(self) -> str:
        """A hospital's number."""
        return self.draw.choice(("ZY", "MZ", "", "", "B")) + self.digits(self.draw.choice((6, 8, 10)))


def build(kind: str, parts: list[Part]) -> Document:
    """Parts as a text with its spans."""
    document, text = Document("", kind), ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        name, value = part
        span = (len(text), len(text) + len(value), name.removeprefix("trap "))
        (document.traps if name.startswith("trap ") else document.gold).append(span)
        text += value
    document.text = text
    return document


def invoice(make: Maker) -> Document:
    """A VAT invoice as text."""
    return build("invoice", [
        "增值税电子普通发票\n发票代码：", ("trap invoice", make.digits(12)), "　发票号码：", ("trap invoice", make.digits(8)), "\n开票日期：", ("date", make.date()),
        "\n购买方名称：示例科技有限公司\n纳税人识别号：", ("company_id", make.credit()), "\n地址、电话：", ("address", make.address()), " ", ("phone", make.landline()),
        "\n开户行及账号：中国某银行某支行 ", ("card", make.card()), "\n货物名称：*办公用品*打印纸　规格型号：A4-80g　数量：", ("trap quantity", str(make.draw.randint(1, 500))),
        "　单价：", ("trap amount", f"{make.draw.uniform(1, 999):.2f}"), "　金额：", ("trap amount", make.amount()), "　税率：13%\n价税合计（小写）：", ("trap amount", make.amount()),
        "\n订单号：", ("trap order", make.digits(make.draw.choice((11, 16, 18)))), "\n收款人：", ("person", make.name()), "　复核：", ("person", make.name()), "　开票人：", ("person", make.name()),
        "\n联系邮箱", ("email", make.mail()), "，手机", ("phone", make.mobile()), "。",
    ])  # fmt: skip


def note(make: Maker) -> Document:
    """An admission note with laboratory values."""
    patient, age = make.name(), make.draw.randint(1, 99)
    old: Part = ("age", str(age)) if age >= 90 else str(age)
    return build("note", [
        "入院记录\n姓名：", ("person", patient), "　性别：", make.draw.choice("男女"), "　年龄：", old, "岁\n住院号：", ("medical_record", make.record()), "　门诊号：", ("medical_record", make.record()),
        "\n身份证号", ("national_id", make.resident()), "，医保卡号：", ("insurance", make.digits(9)), "\n住址：", ("address", make.address()), "\n联系人：", ("person", make.name()),
        "，联系电话", ("phone", make.mobile()), "\n主诉：反复胸闷", ("trap value", str(make.draw.randint(2, 9))), "年，加重3天。\n患者", ("person", patient), "于", ("date", make.date()),
        "入院。查体：体温", ("trap value", f"36.{make.draw.randint(1, 9)}"), "℃，血压", ("trap value", f"{make.draw.randint(100, 180)}/{make.draw.randint(60, 110)}"), "mmHg，心率",
        ("trap value", str(make.draw.randint(55, 120))), "次/分。\n化验：白细胞", ("trap value", f"{make.draw.uniform(3, 15):.1f}×10^9/L"), "，血红蛋白", ("trap value", f"{make.draw.randint(90, 160)}g/L"),
        "，肌酐", ("trap value", f"{make.draw.randint(40, 200)}.{make.draw.randint(0, 9)}μmol/L"), "，血小板", ("trap value", f"{make.draw.randint(100, 350)}×10^9/L"),
        "。\n处理：", make.draw.choice(("阿司匹林肠溶片", "二甲双胍片", "氨氯地平片")), ("trap dose", make.draw.choice(("100mg", "0.5g", "5mg"))), " 口服 每日", ("trap dose", str(make.draw.randint(1, 3))),
        "次；0.9%氯化钠注射液", ("trap dose", "250ml"), "静滴。批号：", ("trap batch", make.digits(8)), "，国药准字", ("trap approval", "H" + make.digits(8)), "。\n主治医师：", ("person", make.name()),
    ])  # fmt: skip


def judgment(make: Maker) -> Document:
    """A civil judgment."""
    plaintiff, defendant, born = make.name(), make.name(), make.day(1950, 2000)
    return build("judgment", [
        "民事判决书\n", ("case_number", make.case()), "\n原告：", ("person", plaintiff), "，", make.draw.choice("男女"), "，", ("birth_date", f"{born.year}年{born.month}月{born.day}日"),
        "出生，汉族，住", ("address", make.address()), "，公民身份号码", ("national_id", make.resident()), "。\n被告：", ("person", defendant), "，联系电话：", ("phone", make.mobile()),
        "。\n委托诉讼代理人：", ("person", make.name()), "，某某律师事务所律师。\n原告诉称，", ("date", make.date()), "，被告驾驶", ("plate", make.plate()), "号小型轿车与原告发生碰撞。依据《中华人民共和国民法典》第",
        ("trap clause", str(make.draw.randint(100, 1260))), "条、第", ("trap clause", str(make.draw.randint(100, 1260))), "条第", ("trap clause", str(make.draw.randint(1, 3))), "款之规定，判决如下：\n一、被告于本判决生效之日起",
        ("trap quantity", "10"), "日内赔偿原告", ("trap amount", make.amount()), "；\n二、驳回其他诉讼请求。案件受理费", ("trap amount", make.amount()), "。\n审判长　", ("person", make.name()),
        "\n审判员　", ("person", make.name()), "\n书记员　", ("person", make.name()),
    ])  # fmt: skip


def contract(make: Maker) -> Document:
    """A loan or lease contract."""
    return build("contract", [
        "借款合同\n合同编号：", ("trap order", f"HT{make.draw.randint(2015, 2024)}{make.digits(7)}"), "\n甲方（出借人）：", ("person", make.name()), "\n身份证号码：", ("national_id", make.resident()),
        "\n乙方：示例贸易有限公司\n统一社会信用代码：", ("company_id", make.credit()), "\n法定代表人：", ("person", make.name()), "\n住所地：", ("address", make.address()),
        "\n第一条　借款金额", ("trap amount", make.amount()), "，年利率", ("trap value", f"{make.draw.uniform(3, 15):.2f}%"), "，期限", ("trap quantity", str(make.draw.randint(6, 36))), "个月。\n第二条　款项汇入户名：",
        ("person", make.name()), "，账号", ("card", make.card()), "。\n第", ("trap clause", "3.2.1"), "款　逾期按日加收", ("trap value", "0.05%"), "。\n签订日期：", ("date", make.date()), "　联系方式：", ("phone", make.mobile()),
    ])  # fmt: skip


def letter(make: Maker) -> Document:
    """A bank's letter and a shop's message in one."""
    return build("letter", [
        "尊敬的客户：您尾号", ("card", make.digits(4)), "的储蓄卡于", ("date", make.date()), "支出", ("trap amount", make.amount()), "，流水号", ("trap order", make.digits(16)), "。快递单号：", ("trap order", "SF" + make.digits(13)),
        "，订单编号：", ("trap order", "1" + make.draw.choice("3578") + make.digits(9)), "。如有疑问请致电", ("phone", make.landline()), "或发邮件至", ("email", make.mail()), "，登录IP：", ("ip", f"{make.draw.randint(11, 220)}.{make.draw.randint(0, 255)}.{make.draw.randint(0, 255)}.{make.draw.randint(1, 254)}"),
        "，软件版本", ("trap version", f"{make.draw.randint(1, 9)}.{make.draw.randint(0, 20)}.{make.draw.randint(0, 9)}"), "。收货地址：", ("address", make.address()), "，收件人：", ("person", make.name()), "。",
    ])  # fmt: skip


def chat(make: Maker) -> Document:
    """Short messages where everything is glued together."""
    values = [
        ("手机", "phone", make.mobile().replace(" ", "").replace("-", "")), ("身份证号", "national_id", make.resident()), ("我电话", "phone", make.mobile()), ("邮箱", "email", make.mail()),
        ("卡号", "card", make.card()), ("微信", "social", "wx_" + make.digits(6)), ("QQ", "social", make.digits(9)), ("车牌", "plate", make.plate()), ("税号", "company_id", make.credit()),
    ]  # fmt: skip
    make.draw.shuffle(values)
    parts: list[Part] = []
    glued = []
    for label, kind, value in values[: make.draw.randint(2, 5)]:
        end = make.draw.choice(("，", "。", "、", "哦", "谢谢", "\n"))
        parts += [label, (kind, value), end]
        glued.append((label + value + end, value))
    parts += [
        "转了",
        ("trap amount", make.amount()),
        "，房间",
        ("trap quantity", str(make.draw.randint(101, 999))),
        make.draw.choice(("，明天见", "，收到回复")),
    ]
    document = build("chat", parts)
    document.glued = glued
    return document


def documents(count: int, seed: int = 20240501) -> list[Document]:
    """The same documents for the same numbers."""
    make = Maker(seed)
    kinds = (invoice, note, judgment, contract, letter, chat)
    return [kinds[number % len(kinds)](make) for number in range(count)]
