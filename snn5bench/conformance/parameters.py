"""Parameters: each has a range or a list of values, and what lies outside is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import annotated_types
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from snn5bench.conformance.check import Fault
from snn5bench.conformance.subject import Subject

_HUGE = 10**30
_BOUNDS = (
    (annotated_types.Gt, "gt", 0),
    (annotated_types.Ge, "ge", -1),
    (annotated_types.Lt, "lt", 0),
    (annotated_types.Le, "le", 1),
)


def refused(subject: Subject) -> str:
    """Unknown names, words for numbers, NaN and every value just outside a declared range are refused, and each number
    has a range."""
    schema = type(subject.method.params)
    for name, value in _outside(schema.model_fields):
        try:
            schema.model_validate({**subject.params, name: value})
        except ValidationError:
            continue
        raise Fault(
            f"{name} = {value!r} is taken",
            "it is refused before anything runs",
            "a field without bounds: write `Field(0.9, ge=0, le=1)`; or a `Params` that allows unknown names",
        )
    return ""


def _outside(fields: dict[str, FieldInfo]) -> Iterator[tuple[str, Any]]:
    yield "no_such_parameter", 1
    for name, field in fields.items():
        kinds = {type(None), *(get_args(field.annotation) or (field.annotation,))}
        if kinds & {int, float}:
            yield name, "many"
            yield from ((name, value) for value in _beyond(field))
            if float in kinds:
                yield name, float("nan")
        elif bool in kinds or kinds & set(_words(field)):
            yield name, "no such value"


def _beyond(field: FieldInfo) -> Iterator[Any]:
    """The nearest value beyond each bound; where no bound is declared at all, a hugely negative one."""
    bounded = False
    for bound in field.metadata:
        for kind, attribute, outward in _BOUNDS:
            if isinstance(bound, kind):
                bounded = True
                yield getattr(bound, attribute) + outward
    if not bounded:
        yield -_HUGE


def _words(field: FieldInfo) -> tuple[Any, ...]:
    return tuple(value for value in get_args(field.annotation) if isinstance(value, str))
