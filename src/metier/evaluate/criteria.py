"""Acceptance criteria: what the recipe demands, read and checked before anything is trained.

A criterion is a metric, an operator and a number or another model with a margin:

    accuracy >= 0.9            accuracy >= 90%          recall[fraud] >= 0.8
    accuracy > tfidf + 0.01    macro_f1 >= base - 0.02  (not worse than the base by more than 0.02)
    general_bits_per_byte <= base * 1.01   (not above the base by more than 1 % of its figure)
    mae <= 0.2                 mae < base               ece <= 0.1
    accuracy[language=zh] >= 0.8                        (a part of the test set)
    macro_f1[source=branch-3] >= base - 0.02
    privacy.membership_auc <= 0.6                       (a figure of a check that the recipe switches on)

In square brackets `precision`, `recall` and `f1` take a label, every other metric a part, `column=value` (slices.py).
Purpose: a mistake is told with its position and an example, and a criterion that cannot be meant (accuracy <= 0.9,
accuracy >= 90) is refused, because after the run it is too late to ask.
Not covered: "and"/"or" (every line must be met), labels within a part, figures of checks against another model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.errors import UserError, nearest
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.floors import ONLY_WRITE, floor_names, model_names
from metier.evaluate.items import LABELLED, LIKELIHOODS
from metier.evaluate.metrics import Metric, for_kind
from metier.registry import lookup
from metier.train.config import TaskConfig
from metier.train.tasks import profile

CLASS_METRICS = ("precision", "recall", "f1")  # these name a label in square brackets
EXAMPLE = "accuracy >= 0.9, accuracy > tfidf + 0.01, recall[fraud] >= 0.8, accuracy[language=zh] >= 0.8"
_SPELLINGS = {"≥": ">=", "≤": "<=", "＞": ">", "＜": "<", "=>": ">=", "=<": "<="}
_OPERATOR = re.compile(r">=|<=|=>|=<|[><≥≤＞＜]")
_NAME = re.compile(r"[A-Za-z_][\w-]*")
_METRIC = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)?")  # of a check: its name, a point, its figure
_NUMBER = re.compile(r"[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?")


CALIBRATION = {
    "ece": "lower", "aurc": "lower", "served_share": "higher", "served_error": "lower", "set_coverage": "higher",
    "set_size": "lower",
}  # fmt: skip
"""Figures of calibration.py that criteria may name as `calibration.<figure>`, and which way is better."""
Checks = Mapping[str, Mapping[str, str]]  # check -> figure -> "higher" or "lower", whichever is better


@dataclass(frozen=True)
class Criterion:
    """`metric[label] operator number`, or `metric[label] operator model + number` when `model` is not empty.

    metric: of a check `check.figure`. label: a label, or `column=value` without white space around it; "" without
    brackets. number: the threshold or, with a model, the margin added to the model's figure; a percentage is stored as
    a share. factor: what the model's figure is multiplied with (`base * 1.01`; then there is no margin).
    """

    text: str
    metric: str
    label: str
    operator: str
    model: str
    number: float
    factor: float = 1.0

    @property
    def other(self) -> str:
        """The model that it compares with, and the multiple of its figure."""
        return self.model if self.factor == 1 else f"{self.model} * {self.factor:g}"

    @property
    def higher(self) -> bool:
        """Whether more of the metric is demanded."""
        return self.operator[0] == ">"

    @property
    def part(self) -> tuple[str, str] | None:
        """Column and value of the part of the test set that is meant; None where all of it, or a label, is."""
        if not self.label or self.metric in CLASS_METRICS:
            return None
        column, _, value = self.label.partition("=")
        return column, value

    @property
    def check(self) -> str:
        """The check whose figure is meant; "" for a metric."""
        return self.metric.rpartition(".")[0]

    def holds(self, value: float) -> bool:
        """Whether a figure (with a model: a difference, tuned - model) satisfies the operator."""
        if self.operator == ">=":
            return value >= self.number - 1e-12
        if self.operator == "<=":
            return value <= self.number + 1e-12
        return value > self.number + 1e-12 if self.higher else value < self.number - 1e-12


def parse(text: str) -> Criterion:
    """Read one criterion; UserError with the position of what cannot be read."""
    rest = _Cursor(text)
    metric = rest.take(_METRIC, "the name of a metric")
    label = rest.label()
    if label and metric not in CLASS_METRICS and "=" in label:
        label = "=".join(piece.strip() for piece in label.split("=", 1))
    operator = rest.take(_OPERATOR, "one of >= > <= <")
    operator = _SPELLINGS.get(operator, operator)
    model = rest.maybe(_NAME)
    sign = 1.0
    if model:
        if rest.done():
            return Criterion(text.strip(), metric, label, operator, model, 0.0)
        if rest.maybe(re.compile(r"[*×]")):
            factor = float(rest.take(_NUMBER, "a number"))
            if not rest.done() or not 0 < factor < math.inf:
                rest.fail("one positive number and nothing more")
            return Criterion(text.strip(), metric, label, operator, model, 0.0, factor)
        sign = (
            -1.0
            if rest.take(re.compile(r"[-+−]"), "+ or - and a margin, * and a factor, or nothing more") in "-−"
            else 1.0
        )
    elif rest.maybe(re.compile(r"[-−]")):
        sign = -1.0
    number = float(rest.take(_NUMBER, "a number" if model else "a number or the name of a model"))
    if rest.maybe(re.compile(r"[%％]")):
        number /= 100
    if not rest.done():
        rest.fail("nothing more")
    if not math.isfinite(number):
        rest.fail("a number that is not so large")
    return Criterion(text.strip(), metric, label, operator, model, sign * number)


def check(
    criteria: Sequence[str], task: TaskConfig, models: Sequence[str], classes: Sequence[str] | None = None,
    checks: Checks | None = None,
) -> list[Criterion]:  # fmt: skip
    """Read all criteria and compare every name with what this run will have; UserError at the first mistake.

    models: as `floors.model_names` gives them. classes: the labels known in training, or None while they are not known.
    checks: those that the recipe switches on, as `switched_on` gives them.
    """
    return [_checked(parse(text), task, models, classes, checks or {}) for text in criteria]


def check_config(config: EvaluateConfig, task: TaskConfig, classes: Sequence[str] | None = None) -> list[Criterion]:
    """All that can be said before training: floors exist, criteria can be read, there is something to judge."""
    for name in floor_names(config, task):
        lookup("floor", name)
    if config.accept:
        return check(config.accept, task, model_names(config, task), classes, switched_on(config))
    found = defaults(config, task)
    if not found:
        raise UserError(
            "there is nothing to judge the tuned model by: no criterion, no base and no floor", "evaluate",
            f"write evaluate.accept (as in {', '.join(profile(task).accept)}), or switch base on, or name floors",
        )  # fmt: skip
    return found


def switched_on(config: EvaluateConfig) -> Checks:
    """The figures of every check that the recipe names, and those of the calibration, which is always looked at."""
    return {"calibration": CALIBRATION} | {name: lookup("check", name).figures for name in config.checks}


def defaults(config: EvaluateConfig, task: TaskConfig) -> list[Criterion]:
    """Without criteria in the recipe: better than the base and than every floor on the task's first metric."""
    found = []
    for name in model_names(config, task):
        if name not in ("tuned", "zero_shot"):
            metric = decided_by(profile(task).primary, name)
            found.append(parse(f"{metric} {'>' if lookup('metric', metric).better == 'higher' else '<'} {name}"))
    return found


def decided_by(primary: str, model: str) -> str:
    """The metric on which a model is compared: the first one, or chrF for a floor that only writes where the first one
    asks for likelihoods."""
    return "chrf" if model in ONLY_WRITE and lookup("metric", primary).needs == LIKELIHOODS else primary


def check_metrics(criteria: Sequence[str], metrics: Sequence[Metric], models: Sequence[str]) -> list[Criterion]:
    """As `check`, where no task but a log made elsewhere says which metrics there are."""
    known = {metric.name: metric for metric in metrics}
    found = [parse(text) for text in criteria]
    for one in found:
        if one.check:
            _checked_figure(one, f"--accept: {one.text}", {})
    return [_among(one, f"--accept: {one.text}", known, (), models, None) for one in found]


def _checked(
    one: Criterion, task: TaskConfig, models: Sequence[str], classes: Sequence[str] | None, checks: Checks
) -> Criterion:
    where = f"evaluate.accept: {one.text}"
    if one.check:
        return _checked_figure(one, where, checks)
    kind = profile(task).kind
    known = {metric.name: metric for metric in for_kind(kind)}
    return _among(one, where, known, CLASS_METRICS if kind in LABELLED else (), models, classes)


def _among(
    one: Criterion, where: str, known: Mapping[str, Metric], by_class: Sequence[str], models: Sequence[str],
    classes: Sequence[str] | None,
) -> Criterion:  # fmt: skip
    """A criterion on one of the known metrics, or on one of a label."""
    if one.metric not in known and one.metric not in by_class:
        raise UserError(
            f"there is no metric '{one.metric}' for this task", where, nearest(one.metric, [*known, *by_class])
        )
    if one.metric in by_class and one.metric not in known and not one.label:
        raise UserError(f"'{one.metric}' is a figure of one label", where, f"name the label: {one.metric}[label]")
    if one.factor != 1 and one.label:
        raise UserError("a multiple of another model's figure is compared over all texts only", where, "use a margin")
    if one.part:
        _check_part(one, one.part, where, by_class)
    elif one.label and classes is not None and one.label not in classes:
        raise UserError(f"there is no label '{one.label}'", where, nearest(one.label, classes))
    others = [name for name in models if name != "tuned"]
    if one.model and one.model not in others:
        raise UserError(
            f"there is no model '{one.model}' to compare with in this run", where, nearest(one.model, others)
        )
    better, low, high = "higher", 0.0, 1.0
    if one.metric in known:
        better, low, high = known[one.metric].better, known[one.metric].low, known[one.metric].high
    _check_direction(one, where, better)
    _check_range(one, where, low, high)
    return one


def _checked_figure(one: Criterion, where: str, checks: Checks) -> Criterion:
    """A criterion on the figure of a check: the check is switched on, and gives that figure."""
    figure = one.metric.rpartition(".")[2]
    if one.check not in checks:
        known = nearest(one.check, list(checks)) if checks else "the recipe names none"
        raise UserError(f"the check '{one.check}' is not part of this run", where,
                        f"put it into evaluate.checks ({known})")  # fmt: skip
    if figure not in checks[one.check]:
        raise UserError(f"the check '{one.check}' gives no figure '{figure}'", where,
                        nearest(figure, list(checks[one.check])))  # fmt: skip
    if one.label or one.model:
        raise UserError("a figure of a check is compared with a number, and has no parts", where,
                        f"{one.metric} {one.operator} 0.1")  # fmt: skip
    _check_direction(one, where, checks[one.check][figure])
    return one


def _check_part(one: Criterion, part: tuple[str, str], where: str, by_class: Sequence[str]) -> None:
    column, value = part
    if "=" not in one.label:
        can = f", or use one of {tuple(by_class)}" if by_class else ""
        raise UserError(f"'{one.metric}' has no label", where,
                        f"leave [{one.label}] out, or name a part: {one.metric}[language=zh]{can}")  # fmt: skip
    if not column or not value:
        raise UserError("a part of the test set is a column and a value", where, f"{one.metric}[language=zh]")


def _check_direction(one: Criterion, where: str, better: str) -> None:
    if one.higher != (better == "higher"):
        turned = one.text.replace(">", "\0").replace("<", ">").replace("\0", "<")
        raise UserError(f"'{one.metric}' is better when it is {better}, this asks for the opposite", where, turned)


def _check_range(one: Criterion, where: str, low: float, high: float) -> None:
    if one.model:
        if abs(one.number) >= high - low:
            raise UserError(
                f"a margin of {one.number:g} can never be reached or missed", where, "write 1 % as 0.01 or 1%"
            )
    elif not low <= one.number <= high:
        raise UserError(f"'{one.metric}' lies between {low:g} and {high:g}", where, "write 90 % as 0.9 or 90%")


class _Cursor:
    """A place in the text of a criterion."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def maybe(self, pattern: re.Pattern[str]) -> str:
        """The match here, after white space, or ""."""
        start = self.at + len(self.text[self.at :]) - len(self.text[self.at :].lstrip())
        found = pattern.match(self.text, start)
        if not found:
            return ""
        self.at = found.end()
        return found.group()

    def take(self, pattern: re.Pattern[str], wanted: str) -> str:
        found = self.maybe(pattern)
        if not found:
            self.fail(wanted)
        return found

    def label(self) -> str:
        """The label in square brackets, with quotes when it holds a bracket itself; "" without brackets."""
        if not self.maybe(re.compile(r"\[")):
            return ""
        quoted = self.maybe(re.compile(r'"[^"]+"\s*\]'))
        if quoted:
            return quoted[1 : quoted.rindex('"')]
        label = self.take(re.compile(r"[^\]\[]+\]"), "a label and ]")[:-1].strip()
        if not label:
            self.fail("a label between [ and ]")
        return label

    def done(self) -> bool:
        return not self.text[self.at :].strip()

    def fail(self, wanted: str) -> None:
        raise UserError(
            f"the criterion cannot be read: {wanted} was expected at character {self.at + 1}",
            f"evaluate.accept: {self.text!r}, after {self.text[: self.at]!r}",
            f"write it as in: {EXAMPLE}, mae < base",
        )
