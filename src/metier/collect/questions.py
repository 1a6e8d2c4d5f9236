"""Questions about a context (SQuAD, ContractNLI and their relatives): one document a context, its questions beside it.

Purpose: a context stands once however many questions it has, so that cleaning, duplicates and training see it once.
Every answer must stand where it says it stands; a question whose answer does not is left out and told.
Not covered: answers of several parts, tables as context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metier.collect.shaping import Made
from metier.collect.spans import Misfit, structure


def paragraphs(given: Any, title: Any) -> list[Made]:
    """The documents of one article: [{"context", "qas"}]. Misfit: no list, or no context with a question in it."""
    if not isinstance(given, (list, tuple)) or not given:
        raise Misfit("paragraphs", "should be a list of objects with 'context' and 'qas'")
    found = []
    for number, paragraph in enumerate(given):
        place = f"paragraphs[{number}]"
        context = paragraph.get("context") if isinstance(paragraph, Mapping) else None
        if not isinstance(context, str) or not context.strip():
            found.append(Made("", part=f".{number + 1}", misfits=[Misfit(f"{place}.context", "is missing or empty")]))
            continue
        asked, misfits = _questions(paragraph.get("qas"), context, place)
        made = Made(context, {"questions": asked}, title=title if isinstance(title, str) else "", misfits=misfits)
        made.part = f".{number + 1}" if len(given) > 1 else ""
        found.append(made)
    return found


def single(cells: Mapping[str, Any]) -> Made:
    """The document of a flat row: context, question, answers. Misfit: which of them is wrong."""
    for name in ("context", "question"):
        if not isinstance(cells.get(name), str) or not cells[name].strip():
            raise Misfit(name, "is missing or empty")
    context = cells["context"]
    qa = {"question": cells["question"], "answers": cells.get("answers"), "id": cells.get("id")}
    title = cells.get("title")
    return Made(context, {"questions": [_question(qa, context, "")]}, title=title if isinstance(title, str) else "")


def hypotheses(cells: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Misfit]]:
    """What is asked of each document alike, and judged (ContractNLI): a question with a label for each annotation.

    annotation_sets: [{"annotations": {name: {"choice", "spans"}}}]; labels: {name: {"hypothesis"}}; spans: the places
    that `spans` of an annotation count into, kept as its evidence.
    """
    asked, misfits = [], []
    known, places = structure(cells.get("labels")), structure(cells.get("spans")) or []
    for number, one in enumerate(structure(cells["annotation_sets"])):
        annotations = one.get("annotations") if isinstance(one, Mapping) else None
        for name, judged in (annotations or {}).items():
            place = f"annotation_sets[{number}].annotations.{name}"
            told = known.get(name) if isinstance(known, Mapping) else None
            question = told.get("hypothesis") if isinstance(told, Mapping) else told
            choice = judged.get("choice") if isinstance(judged, Mapping) else judged
            if not isinstance(question, str) or not question.strip():
                misfits.append(Misfit(place, "is judged, and no hypothesis of that name stands in `labels`"))
            elif not isinstance(choice, str) or not choice.strip():
                misfits.append(Misfit(f"{place}.choice", "is missing or empty"))
            else:
                evidence = judged.get("spans") if isinstance(judged, Mapping) else None
                marked = [places[at] for at in evidence or () if isinstance(at, int) and 0 <= at < len(places)]
                asked.append({"id": name, "question": question, "label": choice, "evidence": marked})
    return asked, misfits


def _questions(given: Any, context: str, place: str) -> tuple[list[dict[str, Any]], list[Misfit]]:
    asked, misfits = [], []
    if not isinstance(given, (list, tuple)):
        return [], [Misfit(f"{place}.qas", "should be a list of questions")]
    for number, qa in enumerate(given):
        try:
            asked.append(_question(qa, context, f"{place}.qas[{number}]"))
        except Misfit as error:
            misfits.append(error)
    return asked, misfits


def _question(qa: Any, context: str, place: str) -> dict[str, Any]:
    dot = f"{place}." if place else ""
    question = qa.get("question") if isinstance(qa, Mapping) else None
    if not isinstance(question, str) or not question.strip():
        raise Misfit(f"{dot}question", "is missing or empty")
    answers = _answers(qa.get("answers", qa.get("answer")), context, f"{dot}answers")
    impossible = bool(qa.get("is_impossible", False)) or not answers
    told: dict[str, Any] = {"question": question, "answers": answers, "impossible": impossible}
    return {"id": str(qa["id"]), **told} if qa.get("id") not in (None, "") else told


def _answers(given: Any, context: str, place: str) -> list[dict[str, Any]]:
    """[{"text", "start"}], each once. Given: a text, a list of texts or objects, {"text": [], "answer_start": []}."""
    given = structure(given)
    if given is None or given == "":
        return []
    if isinstance(given, Mapping):
        texts, starts = given.get("text"), given.get("answer_start")
        if isinstance(texts, (list, tuple)):
            starts = starts if isinstance(starts, (list, tuple)) else [None] * len(texts)
            if len(starts) != len(texts):
                raise Misfit(f"{place}.answer_start", f"has {len(starts)} entries for {len(texts)} texts")
            given = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
        else:
            given = [given]
    if not isinstance(given, (list, tuple)):
        given = [given]
    found = [_answer(item, context, f"{place}[{number}]") for number, item in enumerate(given)]
    return [item for number, item in enumerate(found) if item not in found[:number]]


def _answer(given: Any, context: str, place: str) -> dict[str, Any]:
    text, start = (given.get("text"), given.get("answer_start")) if isinstance(given, Mapping) else (given, None)
    if not isinstance(text, str) or not text.strip():
        raise Misfit(f"{place}.text", "is missing or empty")
    if start is None:  # no place is claimed: the first one, or an answer in other words
        return {"text": text, "start": context.find(text)}
    if isinstance(start, bool) or not isinstance(start, int):
        raise Misfit(f"{place}.answer_start", f"should be a whole number, and is {start!r}")
    if start < 0:
        return {"text": text, "start": context.find(text)}
    there = context[start : start + len(text)]
    if there != text:
        raise Misfit(f"{place}.answer_start", f"at {start} stands {there[:40]!r}, not {text[:40]!r}")
    return {"text": text, "start": start}
