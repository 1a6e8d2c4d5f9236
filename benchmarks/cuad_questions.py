"""CUAD's clauses as questions about contracts, as SQuAD has them, from the contracts' texts and master_clauses.csv.

    python benchmarks/cuad_questions.py DATA/legal/cuad cuad.json --clauses "Governing Law" "Audit Rights"

CUAD (Hendrycks et al. 2021, CC BY 4.0) publishes the same as `CUAD_v1.json` in an archive; this is for those who have
the other two files. A clause is looked for in its contract with white space folded; one that is not found, because it
was written together from several places or the texts differ, is left out and counted, and its question too if that was
all.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

QUESTION = 'Highlight the parts (if any) of this contract related to "{clause}" that should be reviewed by a lawyer.'


def main() -> None:
    """Write the questions and print what was found and what was not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with contracts.parquet (filename, text) and master_clauses.csv")
    parser.add_argument("output", type=Path)
    parser.add_argument("--clauses", nargs="+", required=True)
    options = parser.parse_args()
    csv.field_size_limit(sys.maxsize)
    table = pq.read_table(options.folder / "contracts.parquet").to_pylist()
    texts = {Path(row["filename"]).stem.strip(): row["text"] for row in table}
    counts: Counter[str] = Counter()
    articles = []
    with (options.folder / "master_clauses.csv").open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            name = Path(row["Filename"]).stem.strip()
            if name not in texts:
                counts["contracts without a text"] += 1
                continue
            asked = [question(name, clause, row[clause], texts[name], counts) for clause in options.clauses]
            paragraph = {"context": texts[name], "qas": [one for one in asked if one]}
            articles.append({"title": name, "paragraphs": [paragraph]})
    options.output.write_text(json.dumps({"version": "CUAD", "data": articles}, ensure_ascii=False), encoding="utf-8")
    print(f"{len(articles):,} contracts; " + ", ".join(f"{number:,} {what}" for what, number in counts.most_common()))


def question(name: str, clause: str, cell: str, text: str, counts: Counter[str]) -> dict[str, object] | None:
    """One question with the places of its clauses; None where none of the clauses that it has can be found."""
    wanted = ast.literal_eval(cell) if cell.strip().startswith("[") else []
    answers = [{"text": text[place[0] : place[1]], "answer_start": place[0]} for words in wanted
               if (place := find(words, text)) is not None]  # fmt: skip
    counts["clauses found"] += len(answers)
    counts["clauses not found"] += len(wanted) - len(answers)
    if wanted and not answers:
        counts["questions left out"] += 1
        return None
    counts["questions with a clause" if answers else "questions without one"] += 1
    return {"id": f"{name}__{clause}", "question": QUESTION.format(clause=clause), "answers": answers}


def find(words: str, text: str) -> tuple[int, int] | None:
    """Where the words stand, whatever the white space between them."""
    pattern = r"\s+".join(map(re.escape, words.split()))
    found = re.search(pattern, text) if pattern else None
    return found.span() if found else None


if __name__ == "__main__":
    main()
