"""Optical character recognition of pages and pictures, through RapidOCR on ONNX Runtime.

Purpose: a scan has no text, so it is recognised where the extra `ocr` is installed: its models (PP-OCRv6, Chinese and
English) lie in its wheel, nothing is fetched. Lines below a confidence of one half are left out and counted; the mean
confidence of the rest goes into the metadata, so that doubtful scans can be found.
Trade-off: 1 GB of memory and seconds a page on a processor. Not covered: handwriting, other scripts.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import os
from dataclasses import dataclass
from typing import Any

from metier.collect import layout
from metier.collect.layout import Segment

ENOUGH = 0.5  # confidence of a line from which it is taken; RapidOCR's own default
THREADS = 4  # processors that one page uses at most; more bring little, and several files are read at once
INSTALL = "pip install 'metier[ocr]' to recognise it, or run OCR on it first"


@dataclass(frozen=True)
class Recognised:
    """One page. confidences: of each line that was taken, 0 to 1; doubtful: lines that were left out."""

    text: str
    confidences: tuple[float, ...] = ()
    doubtful: int = 0
    tables: int = 0


def installed() -> bool:
    """Whether the extra is there."""
    return all(importlib.util.find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


def recognise(image: Any) -> Recognised:
    """The text of one image: an array (height, width, 3) of bytes in the order blue, green, red."""
    found = _engine()(image)
    if found.txts is None or found.boxes is None:
        return Recognised("")
    segments: list[Segment] = []
    confidences: list[float] = []
    doubtful = 0
    for box, words, score in zip(found.boxes, found.txts, found.scores, strict=True):
        words = words.strip()
        if not words:
            continue
        if score < ENOUGH:
            doubtful += 1
            continue
        xs, ys = [float(point[0]) for point in box], [float(point[1]) for point in box]
        segments.append(Segment(min(xs), max(xs), -max(ys), -min(ys), words, len(segments)))
        confidences.append(float(score))
    laid = layout.lay(_level(segments))
    return Recognised(laid.text, tuple(confidences), doubtful, laid.tables)


def _level(segments: list[Segment]) -> list[Segment]:
    """Boxes in rows from the top, each row from the left; boxes of one row belong to one line."""
    rows = layout.sorted_rows(segments)
    for number, row in enumerate(rows):
        for segment in row:
            segment.line = number
    return [segment for row in rows for segment in row]


def mean(confidences: list[float]) -> float:
    """Mean confidence with three decimals; 0 for none."""
    return round(math.fsum(confidences) / len(confidences), 3) if confidences else 0.0


@functools.cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    threads = max(1, min(THREADS, os.cpu_count() or 1))
    return RapidOCR(params={
        "Global.log_level": "critical", "Global.text_score": 0.0,
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    })  # fmt: skip
