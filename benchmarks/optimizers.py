"""How far a small base comes from nothing with so many tokens: AdamW or Muon, embeddings at random or from neighbours.

The tokenizer, shape and text are those of Metier's own base (tools/primer), the loop is Metier's. Each way trains the
same steps on the same texts in the same order with its rate falling to 0 at the end; printed are the loss on
held-out text (nats a token), and processor seconds.

    metier prepare general/base                       # prints the folder of the examples
    python benchmarks/optimizers.py EXAMPLES [--steps 150]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools" / "primer")]
SHARE = 0.05  # of the documents that the base reads: enough for some hundred steps, and soon tokenised
WAYS = [(optimizer, beginning) for optimizer in ("adamw", "muon") for beginning in ("random", "neighbours")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    given = parser.parse_args()

    import make
    import shape
    from transformers import AutoTokenizer

    print("| optimizer | embeddings begin | steps | tokens | loss on held-out text | processor s |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make.blank(given.examples, work, "processor")
        (work / "blank").rename(work / "neighbours")
        tokenizer = AutoTokenizer.from_pretrained(work / "neighbours")
        shape.blank(shape.SHAPES["processor"], tokenizer, make.SEED, work / "random")
        for optimizer, beginning in WAYS:
            start = time.process_time()
            summary = make.train(
                work, work / f"{optimizer}-{beginning}", SHARE, base_model=str(work / beginning), optimizer=optimizer,
                max_steps=given.steps, warmup=make.RISE / given.steps, decay=0.2, validate_steps=0,
            )  # fmt: skip
            loss, spent = summary["history"][-1]["validation_loss"], time.process_time() - start
            count = f"{summary['steps']:,} | {summary['tokens']:,}"
            print(f"| {optimizer} | {beginning} | {count} | {loss:.3f} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main()
