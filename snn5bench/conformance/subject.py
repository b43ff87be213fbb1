"""The method under test, with the networks that its own `fit` makes of it under the harness's protocol."""

from __future__ import annotations

import copy
import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from snn5bench import registry
from snn5bench.cell import Cell
from snn5bench.conformance import synthetic
from snn5bench.conformance.check import Unfit
from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.inputs import BatchInput
from snn5bench.contracts.method import Method
from snn5bench.execute import fitted
from snn5bench.record import TwinKind
from snn5bench.train import feed

EPOCHS, BATCH = 2, 8
STAND_IN = "pulse-order"
"""A cell names a registered dataset; the protocol is handed synthetic data in its place."""


class Subject:
    """One registered method under one set of parameters, on the first synthetic data that it supports."""

    def __init__(self, name: str, params: dict[str, Any], folder: Path) -> None:
        self.name, self.folder = name, folder
        cls: type[Method] = registry.load("methods", name)
        self.method = cls(cls.Params.model_validate(params))
        self.params: dict[str, Any] = self.method.params.model_dump(mode="json")
        self.refusals: list[str] = []
        self.elsewhere: subprocess.Popen[str] | None = None
        """The same training at work in another process."""
        self.random = False
        """Set by the check that finds it."""
        self._network: nn.Module | None = None
        self._other: nn.Module | None = None

    @cached_property
    def spec(self) -> DatasetSpec:
        """The form of data that the checks use. Raises `Unfit` where the method supports none."""
        for spec in synthetic.FORMS:
            verdict = self.method.supports(spec)
            if verdict:
                return spec
            self.refusals.append(
                f"{spec.coding}, T = {spec.T}, shape {spec.shape or (spec.channels,)}: {verdict.reason}"
            )
        raise Unfit("it supports none of the synthetic data: see 'it trains'")

    def fit(self, seed: int = 0, twin: TwinKind = "none", relabel_test: bool = False) -> nn.Module:
        """A network trained by the harness's whole protocol, in evaluation mode."""
        folder = self.folder / ("relabelled" if relabel_test else "data")
        spec = self.spec
        packed = synthetic.Packed(folder) if folder.exists() else synthetic.write(folder, spec, relabel_test)
        cell = Cell(
            suite="conformance", method=self.name, variant=self.name, method_params=self.params, dataset=STAND_IN,
            dataset_variant="synthetic", dataset_params={}, twin=twin, seed=seed, epochs=EPOCHS, batch_size=BATCH,
        )  # fmt: skip
        return fitted(cell, packed).eval()

    def train(self) -> nn.Module:
        """The network of seed 0 that the other checks look at; what the method raises passes through."""
        if self._network is None:
            self._network = self.fit()
        return self._network

    @property
    def network(self) -> nn.Module:
        """A copy of the trained network. Raises `Unfit` where there is none."""
        if self._network is None:
            raise Unfit("there is no trained network: see 'it trains'")
        return copy.deepcopy(self._network)

    @property
    def other(self) -> nn.Module:
        """A copy of the network that seed 1 ends in."""
        if self._other is None:
            self._other = self.fit(seed=1)
        return copy.deepcopy(self._other)

    @property
    def exact(self) -> nn.Module:
        """A copy in float64, so that rounding cannot flip a spike. Raises `Unfit` where its outputs are random anyway."""
        if self.random:
            raise Unfit("its logits are random: see 'evaluation draws nothing at random'")
        return self.network.double()

    def spikes(self, batch: int = 6, salt: str = "", rate: float = synthetic.RATE) -> Tensor:
        """Random binary input, float64 `[T, B, C]`."""
        return synthetic.spikes(self.spec, batch, salt, rate)


@contextmanager
def opened(name: str, params: dict[str, Any] | None = None) -> Iterator[Subject]:
    """A subject, with a temporary folder for its data."""
    with TemporaryDirectory(prefix="snn5bench-check-") as folder:
        yield Subject(name, params or {}, Path(folder))


@torch.no_grad()
def outputs(model: nn.Module, x: BatchInput) -> Tensor:
    """Logits per step `[T, B, classes]`, from rest, without gradient."""
    return feed(model, x)


def digest(model: nn.Module) -> str:
    """SHA-256 over every parameter and buffer, bit for bit."""
    whole = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if isinstance(value, Tensor):
            whole.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            whole.update(value.detach().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()


def gap(a: Tensor, b: Tensor) -> float:
    """Largest difference between two tensors; infinite where their shapes or their NaNs differ."""
    if a.shape != b.shape or not torch.equal(a.isnan(), b.isnan()):
        return float("inf")
    return float((a - b).nan_to_num().abs().max()) if a.numel() else 0.0


def differs(a: Tensor, b: Tensor, tolerance: float = 1e-9) -> bool:
    """Whether two tensors differ by more than float64 rounding."""
    return gap(a, b) > tolerance * max(1.0, float(b.abs().max()) if b.numel() else 1.0)
