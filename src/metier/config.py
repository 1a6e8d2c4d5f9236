"""The base class of every configuration section: strict, frozen, and split into identity and execution.

Purpose: an unknown key is an error that names the nearest key; a field that cannot change a result (device, workers,
paths) is marked `execution` where it is declared, and `identity()` leaves it out. So the line between what makes an
artifact and what only ran it stands in the code beside the field.
Source of the idea: marin's fingerprints (identity and execution are different lines of code).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A part of the recipe. Subclasses stand directly above the code that they configure."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True,
                              allow_inf_nan=False)  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _nothing_under_a_heading(cls, value: object) -> object:
        """`report:` with nothing below it, or only comments, means all defaults."""
        if not isinstance(value, dict):
            return value
        sections = {name for name, field in cls.model_fields.items() if _is_section(field.annotation)}
        return {key: item for key, item in value.items() if item is not None or key not in sections}

    def identity(self) -> dict[str, Any]:
        """The fields that bear meaning, as plain JSON values; nested sections likewise."""
        return {
            name: _plain(getattr(self, name))
            for name, field in type(self).model_fields.items()
            if not is_execution(field.json_schema_extra)
        }


def execution(default: Any, **kwargs: Any) -> Any:
    """Declare a field that may change how fast or where a stage runs, but never what comes out."""
    return Field(default=default, json_schema_extra={"execution": True}, **kwargs)


def is_execution(extra: Any) -> bool:
    """Whether a field's `json_schema_extra` carries the mark that `execution` sets."""
    return isinstance(extra, dict) and bool(extra.get("execution"))


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.identity()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
