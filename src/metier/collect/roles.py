"""Which column is the text, which the label: by the user's mapping, else by usual names, else by what the cells hold.

Purpose: `metier run data.csv` should work without a mapping, and say what it assumed. Every guess is told in a warning.
The names were collected from public data sets and from exports of customer, hospital and court systems, both languages.
Not covered: two text columns (question + answer); map them yourself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from metier.errors import UserError, nearest

# role -> usual names, best first; compared without case, spaces, "_" and "-".
_NAMES = {
    "text": """
        text 文本 sentence message content 内容 正文 body 留言 留言内容 utterance input 消息 消息内容 comment
        comments 评论 评论内容 review review_text reviewtext 诉求 诉求内容 投诉内容 反馈内容 句子 question query
        问题 问题描述 description 描述 narrative complaint consumercomplaintnarrative note notes note_text 病历
        病历内容 主诉 现病史 transcript 对话 abstract 摘要 document passage snippet clause clause_text 条款 案情
        事实 fact tweet post sms email 文章 v2
    """,
    "label": """
        label 标签 labels category 类别 intent 意图 class 分类 target sentiment 情感 情感倾向 正负面 topic
        主题分类 标注 label_text labelname class_name gold diagnosis_code icd icd10 risk 风险等级 outcome spam
        fraud tag tags 类型 type y v1
    """,
    "value": "value score rating stars 评分 得分 分数 sentiment_score 打分",
    "group": """
        group group_id patient_id patient 患者编号 患者id 病人id 患者 住院号 customer_id customer_no customer
        客户号 客户编号 客户id 客户 client_id client matter_id matter 案号 案件编号 account_id user_id 用户id
        用户编号 subject_id
    """,
    "time": "time date datetime timestamp 时间 日期 created_at created 留言时间 创建时间",
    "title": "title 标题 subject headline 主题",
    "language": "language lang 语言",
    "license": "license licence 许可",
    "split": "split 数据集划分 划分 fold subset",
    "id": "id 编号 序号 uuid record_id doc_id",
}
# Often what is asked for in exports of complaints and requests, and often a mere attribute beside a value or a label.
_WEAK_LABELS = ("product", "产品", "业务类型", "department", "部门", "team", "queue")
USUAL: dict[str, tuple[str, ...]] = {role: tuple(names.split()) for role, names in _NAMES.items()}
SPLITS = {"train": "train", "training": "train", "训练": "train", "训练集": "train", "test": "test", "testing": "test",
          "测试": "test", "测试集": "test", "validation": "validation", "valid": "validation", "val": "validation",
          "dev": "validation", "验证": "validation", "验证集": "validation"}  # fmt: skip
_KNOWN = {role: {re.sub(r"[\s_\-]+", "", name) for name in names} for role, names in USUAL.items()}
_KNOWN["label"].update(_WEAK_LABELS)


def plain(name: str) -> str:
    """A column name for comparison: no case, spaces, "_" or "-"."""
    return re.sub(r"[\s_\-]+", "", name).lower()


def usual(name: str) -> str:
    """The first role that a column of this name usually has, or ""."""
    key = plain(name)
    return next((role for role, names in _KNOWN.items() if key in names), "")


def mapped(columns: Mapping[str, str], known: Sequence[str], where: str) -> dict[str, str]:
    """The user's mapping, checked; a column that is not there is a UserError naming those that are.

    JSON rows may be mapped by a dotted path (`value: info.0.score`); its first part must exist.
    """
    lowered = {plain(name): name for name in reversed(known)}
    result = {}
    for role, column in columns.items():
        found = column if column in known or column.split(".")[0] in known else lowered.get(plain(column))
        if found is None:
            shown = ", ".join(known[:30]) + (", ..." if len(known) > 30 else "")
            hint = nearest(column, known)
            hint = hint if hint.startswith("did") else "write one of these names"
            raise UserError(
                f"there is no column '{column}' for the role '{role}'", where,
                f"{hint}; the columns are: {shown or '(none)'}",
            )  # fmt: skip
        result[role] = found
    return result


def guess(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]], headerless: bool, said: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Roles by usual names; the text, and where there is little to choose from the label too, by what the cells hold.

    rows: a sample (a few hundred). A role whose cells contradict it is not guessed (a text column of numbers).
    said: roles that are known already.
    """
    keys = {plain(name): name for name in reversed(names)}
    roles = named(names, rows, said)
    titled = roles.get("title", "")
    if "text" not in roles:
        free = [name for name in names if name not in roles.values()]
        longest = sorted(((_width(rows, name), name) for name in free), reverse=True)
        if longest and longest[0][0] >= 15 and (len(longest) == 1 or longest[0][0] >= 2 * longest[1][0]):
            roles["text"] = longest[0][1]
        elif titled and _fits("text", [row.get(titled) for row in rows]):
            roles["text"] = titled  # a table of headlines
            del roles["title"]
    if "label" not in roles and "value" not in roles:
        weak = [keys[name] for name in _WEAK_LABELS if name in keys and keys[name] not in roles.values()]
        free = [name for name in names if name not in roles.values()]
        pair = len(names) == 2 and len(free) == 1  # a text and something short beside it
        if weak:
            roles["label"] = weak[0]
        elif "text" in roles and (headerless or pair):
            roles |= _label_by_cells(names if headerless else free, rows, roles["text"], 0.5 if pair else 0.2)
    return roles


def named(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]], said: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Roles by usual names only; a role whose cells contradict it is not given."""
    keys = {plain(name): name for name in reversed(names)}
    roles: dict[str, str] = dict(said or {})
    for role, candidates in USUAL.items():
        for candidate in () if role in roles else candidates:
            column = keys.get(plain(candidate))
            if column and column not in roles.values() and _fits(role, [row.get(column) for row in rows]):
                roles[role] = column
                break
    return roles


def _label_by_cells(names: Sequence[str], rows: Sequence[Mapping[str, Any]], text: str, share: float) -> dict[str, str]:
    """The column with the fewest distinct short cells, at most `share` of the rows; {} when there is none."""
    counts = [(len({_cell(row.get(name)) for row in rows}), name) for name in names if name != text]
    few = [item for item in counts if 2 <= item[0] <= max(2, share * len(rows)) and _width(rows, item[1]) <= 40]
    return {"label": min(few)[1]} if few else {}


def split_name(value: str) -> str:
    """`dev` -> `validation`, `测试集` -> `test`; "" for a name that is no split."""
    return SPLITS.get(value.strip().lower(), "")


def _fits(role: str, cells: Sequence[Any]) -> bool:
    filled = [_cell(cell) for cell in cells if _cell(cell).strip()]
    if not filled:
        return not cells
    if role == "text":
        return sum(_is_number(cell) for cell in filled) < 0.5 * len(filled)
    if role == "value":
        return all(_is_number(cell) for cell in filled)
    if role == "split":
        return all(split_name(cell) for cell in filled)
    if role == "language":
        return all(len(cell) <= 20 for cell in filled)
    return True


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _width(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    """Mean width; a Chinese character counts twice. Numbers count nothing."""
    cells = [_cell(row.get(name)) for row in rows]
    total = sum(len(cell) + sum(char > "\u2e80" for char in cell[:500]) for cell in cells if not _is_number(cell))
    return total / len(cells) if cells else 0.0
