"""Base of every parameter block: strict, frozen, each field documented by the string below it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Params(BaseModel):
    """Unknown names, wrong types and values outside their range are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)


class MethodParams(Params):
    """What every trained method has."""

    lr: float = Field(2e-3, gt=0, le=10)
    """Learning rate of Adam."""
    weight_decay: float = Field(0.0, ge=0, le=1)
    """Decoupled weight decay."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""


class DatasetParams(Params):
    """What every dataset has."""
