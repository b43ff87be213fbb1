"""Methods that start from another method: which one, with which parameters, and how its time is cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from snn5bench import registry
from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.contracts.params import MethodParams
from snn5bench.contracts.verdict import Verdict
from snn5bench.errors import BenchError

if TYPE_CHECKING:
    from torch import nn


class OverBase(MethodParams):
    """Parameters of a method that starts from another one."""

    base: str = "lif"
    """Registered name of the method that is trained first."""
    base_params: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    """Its parameters where they differ from its defaults."""

    @field_validator("base")
    @classmethod
    def _known(cls, base: str) -> str:
        try:
            method = registry.load("methods", base)
        except BenchError as error:
            raise ValueError(f"{error.problems[0].what}; {error.problems[0].do}") from None
        if issubclass(method.Params, OverBase):
            raise ValueError(f"'{base}' is built on another method itself")
        return base

    @field_validator("base_params")
    @classmethod
    def _whole(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Every default written out, as in the parameters of a cell."""
        if "base" not in info.data:
            return given
        try:
            return registry.load("methods", info.data["base"]).Params.model_validate(given).model_dump(mode="json")
        except ValidationError as error:
            found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ValueError(f"{info.data['base']}: {found}") from None


class OnBase(Method):
    """A method that trains another one first; time is cut as the other one says."""

    params: OverBase

    def __init__(self, params: OverBase) -> None:
        super().__init__(params)
        base = registry.load("methods", params.base)
        self.base: Method = base(base.Params.model_validate(params.base_params))

    @classmethod
    def builds_on(cls, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The base."""
        return (params["base"],)

    def supports(self, data: DatasetSpec) -> Verdict:
        """What the base says."""
        return self.base.supports(data)

    def build(self, data: DatasetSpec) -> nn.Module:
        """The base's network, before compression."""
        return self.base.build(data)

    def timeless(self, model: nn.Module) -> nn.Module:
        """The base's."""
        return self.base.timeless(model)

    def spatial(self, model: nn.Module) -> nn.Module:
        """The base's."""
        return self.base.spatial(model)
