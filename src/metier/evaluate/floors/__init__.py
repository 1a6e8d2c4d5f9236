"""The floors: cheap models found by name behind the door `floor`."""

from metier.evaluate.config import EvaluateConfig
from metier.evaluate.floors import bm25, choice, constant, dictionary, linear_tagger, ngram, sentence, tfidf, written
from metier.evaluate.floors.base import Floor, FloorData, FloorPrediction
from metier.train.config import TaskConfig
from metier.train.tasks import profile

__all__ = ["ONLY_WRITE", "Floor", "FloorData", "FloorPrediction", "bm25", "choice", "constant", "dictionary",
           "floor_names", "linear_tagger", "model_names", "ngram", "sentence", "tfidf", "written"]  # fmt: skip


ONLY_WRITE = ("lead", "nearest")  # floors that give an answer and no likelihoods


def floor_names(config: EvaluateConfig, task: TaskConfig) -> list[str]:
    """The floors of this run: the task's own for `auto`; `majority` and `mean` stand for each other by task."""
    told = profile(task)
    if config.floors == "auto":
        return list(told.floors)
    constant = "mean" if told.answer == "value" else "majority"
    wanted = [constant if name in ("majority", "mean") else name for name in config.floors]
    return list(dict.fromkeys(wanted))


def model_names(config: EvaluateConfig, task: TaskConfig) -> list[str]:
    """Every model that will be compared, the tuned one first; known before anything is trained."""
    base = ["base"] if config.base else []
    if config.base and profile(task).zero_shot:
        base.append("zero_shot")
    return ["tuned", *base, *floor_names(config, task)]
