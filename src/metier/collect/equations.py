"""Equations of Office files (OMML) as LaTeX.

Purpose: a formula in a paper or a prospectus is content; walked as plain text its fractions and powers run together.
The structures that Word's editor offers become the LaTeX that readers and language models know; letters stay as they
are, so Greek is Greek. Trade-off: spacing and fonts are dropped. Not covered: formulas drawn as pictures (MathType).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from metier.collect.package import child, get, local

NARY = {"∑": r"\sum", "∏": r"\prod", "∫": r"\int", "∬": r"\iint", "∭": r"\iiint", "∮": r"\oint", "⋃": r"\bigcup",
        "⋂": r"\bigcap", "": r"\int"}  # fmt: skip
ACCENTS = {"\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar", "\u0305": r"\overline", "\u0307": r"\dot",
           "\u0308": r"\ddot", "\u20d7": r"\vec", "": r"\hat"}  # fmt: skip
SKIPPED = frozenset(["rPr", "ctrlPr", "fPr", "sSupPr", "sSubPr", "sSubSupPr", "radPr", "naryPr", "dPr", "mPr", "funcPr",
                     "accPr", "barPr", "limLowPr", "limUppPr", "groupChrPr", "eqArrPr", "boxPr", "borderBoxPr",
                     "phantPr", "sPrePr", "oMathParaPr"])  # fmt: skip


def latex(element: Any) -> str:
    """LaTeX of an `oMath` (without the dollar signs) or of anything inside one."""
    tag = local(element)
    if tag in SKIPPED:
        return ""
    if tag in ("t", "delText"):
        return element.text or ""
    if tag == "d":
        return _delimited(element)
    if tag == "m":
        lines = [" & ".join(latex(cell) for cell in row if local(cell) == "e") for row in element if local(row) == "mr"]
        return r"\begin{matrix}" + r" \\ ".join(lines) + r"\end{matrix}"
    if tag == "eqArr":
        lines = [latex(item) for item in element if local(item) == "e"]
        return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}"
    if tag not in _SHAPES and tag not in ("rad", "nary", "acc", "bar"):
        return "".join(latex(item) for item in element)
    part = {local(item): latex(item) for item in element if not local(item).endswith("Pr")}
    if tag in _SHAPES:
        return _SHAPES[tag].format_map(defaultdict(str, part))
    if tag == "rad":
        return rf"\sqrt[{part['deg']}]{{{part.get('e', '')}}}" if part.get("deg") else rf"\sqrt{{{part.get('e', '')}}}"
    if tag == "nary":
        sign = NARY.get(_property(element, "chr"), _property(element, "chr"))
        low = f"_{{{part['sub']}}}" if part.get("sub") else ""
        high = f"^{{{part['sup']}}}" if part.get("sup") else ""
        return f"{sign}{low}{high} {part.get('e', '')}"
    if tag == "acc":
        return f"{ACCENTS.get(_property(element, 'chr'), chr(92) + 'hat')}{{{part.get('e', '')}}}"
    return (r"\underline" if _property(element, "pos") == "bot" else r"\overline") + f"{{{part.get('e', '')}}}"


_SHAPES = {
    "f": r"\frac{{{num}}}{{{den}}}", "sSup": "{e}^{{{sup}}}", "sSub": "{e}_{{{sub}}}",
    "sSubSup": "{e}_{{{sub}}}^{{{sup}}}", "sPre": "{{}}_{{{sub}}}^{{{sup}}}{e}", "func": "{fName} {e}",
    "limLow": r"{e}_{{{lim}}}", "limUpp": r"{e}^{{{lim}}}",
}  # fmt: skip


def _delimited(element: Any) -> str:
    """Brackets around one or several parts."""
    properties = child(element, "dPr")
    names = {} if properties is None else {local(item): get(item, "val") for item in properties}
    inner = names.get("sepChr", "|").join(latex(item) for item in element if local(item) == "e")
    return f"{names.get('begChr', '(')}{inner}{names.get('endChr', ')')}"


def _property(element: Any, name: str) -> str:
    """The value of a property of a structure, such as the sign of a sum; "" for the default."""
    for properties in element:
        if local(properties).endswith("Pr"):
            found = child(properties, name)
            if found is not None:
                return get(found, "val")
    return ""
