"""The floors: cheap models found by name behind the door `floor`."""

from metier.evaluate.config import EvaluateConfig
from metier.evaluate.floors import constant, tfidf
from metier.evaluate.floors.base import Floor, FloorData, FloorPrediction
from metier.train.config import TaskConfig

__all__ = ["Floor", "FloorData", "FloorPrediction", "constant", "floor_names", "model_names", "tfidf"]


def floor_names(config: EvaluateConfig, task: TaskConfig) -> list[str]:
    """The floors of this run: `majority` (which the default names) and `mean` stand for each other by task."""
    constant = "mean" if task.name == "score" else "majority"
    wanted = [constant if name in ("majority", "mean") else name for name in config.floors]
    return list(dict.fromkeys(wanted))


def model_names(config: EvaluateConfig, task: TaskConfig) -> list[str]:
    """Every model that will be compared, the tuned one first; known before anything is trained."""
    base = ["base"] if config.base else []
    if config.base and task.name == "classify" and not task.multi_label:
        base.append("zero_shot")
    return ["tuned", *base, *floor_names(config, task)]
