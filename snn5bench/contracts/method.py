"""A technique: how its network is built, trained and stripped of time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.params import MethodParams, Params
from snn5bench.contracts.verdict import Verdict
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import Tensor, nn

    from snn5bench.contracts.inputs import BatchInput


class Budget(Params):
    """How long a method may train; owned by the suite."""

    epochs: int
    batch_size: int


class Batches(Protocol):
    """A split that can be walked in batches. Inputs are densified for models that do not set `takes_events`."""

    def __len__(self) -> int: ...

    def epoch(self) -> Iterator[tuple[BatchInput, Tensor]]:
        """One pass: train is reshuffled by the seed's order stream, validation never."""


class CannotCut(Exception):
    """This network cannot be stripped of time; the message is the reason that the row prints."""


@dataclass
class Task:
    """All that `Method.fit` gets. The test split is not in it."""

    spec: DatasetSpec
    train: Batches
    val: Batches
    budget: Budget
    report: Callable[[nn.Module, int, float | None], float]
    """`report(model, epoch, train_loss)` after each epoch: the harness measures validation accuracy, returns it, and
    keeps the weights of the best epoch. What is never reported is never chosen."""
    bptt: Callable[[nn.Module, MethodParams], nn.Module]
    """The one training loop: backpropagation through time with surrogate gradients, Adam, cosine schedule."""
    prepare: Callable[[nn.Module], nn.Module]
    """Turns a freshly built network into the twin that this cell asks for (cuts time), and moves it to `device`; call it
    on every network."""
    device: str = "cpu"
    """Where the batches of `train` and `val` are, and the networks that went through `prepare`: `cpu` or `cuda`."""


class Method(ABC):
    """One technique. `build` alone makes a method; the rest has defaults."""

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    fidelity: ClassVar[Fidelity]
    causal: bool = True
    """Whether the output at step t depends on inputs up to t only; tested by the conformance checks. Set it on the class, or
    in `__init__` where a parameter decides."""
    on_gpu: ClassVar[bool] = True
    """Whether `fit` can train on a GPU; where it cannot, its cells stay on the CPU under `--device cuda` too."""
    Params: ClassVar[type[MethodParams]] = MethodParams

    def __init__(self, params: MethodParams) -> None:
        self.params = params

    @classmethod
    def builds_on(cls, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Registered names of the methods that this one, under `params`, builds on: their code is part of its key."""
        return ()

    def supports(self, data: DatasetSpec) -> Verdict:
        """Yes, or no with the reason that the plan prints."""
        return Verdict.yes()

    @abstractmethod
    def build(self, data: DatasetSpec) -> nn.Module:
        """A network `[T, B, C] -> [T, B, classes]`: logits per step, which the harness reads out, resets and counts.
        A network that can take `Events` and `Repeated` inputs itself sets the attribute `takes_events = True`; sentences
        in its attribute `notes: list[str]` go to the record."""

    def fit(self, task: Task) -> nn.Module:
        """Train, and return the network. The default is backpropagation through time."""
        return task.bptt(task.prepare(self.build(task.spec)), self.params)

    def timeless(self, model: nn.Module) -> nn.Module:
        """The NoTD twin: the same network with every path that carries information between steps cut.
        Raises `CannotCut` with the reason where some path cannot be."""
        return set_time(model, "notd")

    def spatial(self, model: nn.Module) -> nn.Module:
        """The SDBP twin: the same forward pass, no gradient through time."""
        return set_time(model, "sdbp")


_STATELESS = frozenset(
    "Linear Conv1d Conv2d Dropout Dropout1d Dropout2d Identity Flatten Sequential ModuleList ModuleDict BatchNorm1d "
    "BatchNorm2d LayerNorm ReLU GELU MaxPool2d AvgPool2d ParameterList".split()
)


def set_time(model: nn.Module, mode: str) -> nn.Module:
    """Tell every module of `model` to cut time (`mode` is `notd` or `sdbp`), in place.

    A module that carries time implements `set_time(mode)`, and answers for all its children. Plain torch layers that
    act on one step at a time need nothing. Any other leaf is refused: silence is how a forgotten recurrence slips by.
    """

    def visit(module: nn.Module, path: str) -> None:
        cut = getattr(module, "set_time", None)
        if cut is not None:
            cut(mode)
            return
        children = list(module.named_children())
        if not children and type(module).__name__ not in _STATELESS:
            raise CannotCut(f"{path or 'the network'} ({type(module).__name__}) does not say how to cut its time")
        for name, child in children:
            visit(child, f"{path}.{name}" if path else name)

    visit(model, "")
    return model
