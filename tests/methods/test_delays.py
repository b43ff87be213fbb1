"""Learned delays, delayed recurrence and the adaptive slope as methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from snn5bench.contracts.method import Budget, Method, Task
from snn5bench.methods.adaptive_slope import AdaptiveSlope
from snn5bench.methods.asrc import ASRC
from snn5bench.methods.dcls import DCLS
from snn5bench.methods.rec_delays import RecDelays
from snn5bench.train import _groups, bptt, feed
from tests.methods.method_tasks import spec
from tests.neurons.neuron_toys import first_pulse

METHODS: list[type[Method]] = [DCLS, ASRC, RecDelays, AdaptiveSlope]
CUE = spec(T=21, channels=8, classes=4, readout="last")


class Cues:
    """One pulse at step 0, noise, read at step 20."""

    def __init__(self, samples: int, seed: int) -> None:
        self.x, self.y = first_pulse(samples, 21, seed)
        self.order = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.y)

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in torch.randperm(len(self.y), generator=self.order).split(64):
            yield self.x[:, index], self.y[index]


def fit(
    method: Method,
    epochs: int,
    samples: int = 1000,
    cut: Callable[[nn.Module], nn.Module] = lambda net: net,
    report: Callable[[nn.Module], object] = lambda net: None,
) -> tuple[nn.Module, float]:
    """The trained network, and its accuracy on 500 other samples. `report` sees the network after each epoch."""
    torch.manual_seed(0)
    train, val = Cues(samples, 0), Cues(500, 1)

    def told(net: nn.Module, epoch: int, loss: float | None) -> float:
        report(net)
        return 0.0

    task = Task(
        spec=CUE, train=train, val=val, budget=Budget(epochs=epochs, batch_size=64), report=told,
        bptt=lambda net, params: bptt(net, params, task), prepare=cut,
    )  # fmt: skip
    net = method.fit(task).eval()
    assert task.report is told
    with torch.no_grad():
        return net, (feed(net, val.x)[-1].argmax(1) == val.y).float().mean().item()


def made(kind: type[Method], **params: Any) -> Any:
    return kind(kind.Params(**params))


@pytest.mark.parametrize(
    ("kind", "params", "epochs"),
    [
        (DCLS, {}, 3),
        (ASRC, {}, 4),
        (ASRC, {"adaptive": False, "skip": 20}, 2),
        (RecDelays, {}, 5),
    ],
)
def test_a_delay_brings_the_cue_to_the_last_step(kind: type[Method], params: dict[str, Any], epochs: int) -> None:
    """Chance is 0.25; a LIF network of this size and leak stays there (test_toys)."""
    assert fit(made(kind, hidden=(32, 32), **params), epochs)[1] > 0.95


@pytest.mark.parametrize(
    ("kind", "params"),
    [(ASRC, {"adaptive": False, "skip": 1}), (DCLS, {"max_delay": 2}), (AdaptiveSlope, {"decay": 0.5})],
)
def test_without_a_long_delay_it_does_not_get_there(kind: type[Method], params: dict[str, Any]) -> None:
    assert fit(made(kind, hidden=(32, 32), **params), 4)[1] < 0.35


@pytest.mark.parametrize("kind", METHODS)
def test_a_twin_without_time_is_at_chance(kind: type[Method]) -> None:
    method = made(kind, hidden=(16, 16))
    assert fit(method, 1, 200, cut=method.timeless)[1] < 0.33


def test_annealing_follows_the_epochs() -> None:
    """What each epoch was trained with stands in the network that it reports; the last one is near the end."""
    sigmas: list[float] = []
    fit(made(DCLS, hidden=(4,)), 8, 64, report=lambda net: sigmas.append(net.synapses[0].sigma.item()))
    first = 21 / 2
    assert sigmas == pytest.approx([first, first * (0.23 / first) ** 0.5, *[0.23] * 6], rel=1e-5)
    temperatures: list[float] = []
    fit(made(ASRC, hidden=(4,)), 4, 64, report=lambda net: temperatures.append(net.neurons[0].temperature.item()))
    assert temperatures == pytest.approx([0.96**k for k in (0, 25, 50, 75)])
    widths: list[float] = []
    fit(made(RecDelays, hidden=(4,)), 4, 64, report=lambda net: widths.append(net.neurons[0].sigma.item()))
    assert widths == pytest.approx([10 * 0.95**k for k in (0, 25, 50, 75)])


def test_the_slope_follows_the_training_loss_and_is_noted() -> None:
    slopes: list[float] = []
    losses: list[float | None] = []
    method = made(AdaptiveSlope, hidden=(8,))

    def watched(task: Task) -> nn.Module:
        report = task.report

        def told(net: nn.Module, epoch: int, loss: float | None) -> float:
            slopes.append(net.slope.value.item())
            losses.append(loss)
            return report(net, epoch, loss)

        task.report = told
        try:
            return AdaptiveSlope.fit(method, task)
        finally:
            task.report = report

    method.fit = watched
    net, _ = fit(method, 3, 128)
    rewards = [100 * math.exp(-loss) for loss in losses if loss is not None]
    by_hand = [1.0, max(1.0, rewards[0] / 10), max(1.0, (sum(rewards[:2]) / 2 + rewards[1] / 2) / 10)]
    assert slopes == pytest.approx(by_hand, rel=1e-5)
    assert net.notes == [f"surrogate slope k from 1 in the first epoch to {by_hand[-1]:.3g} in the last"]


@pytest.mark.parametrize(
    ("kind", "name", "params", "rate"),
    [
        (DCLS, "position", {"position_rate": 7.0}, 7.0),
        (ASRC, "p", {"lag_rate": 3.0}, 3.0),
        (RecDelays, "d", {"delay_rate": 2.0}, 2.0),
    ],
)
def test_delays_have_a_learning_rate_of_their_own(
    kind: type[Method], name: str, params: dict[str, Any], rate: float
) -> None:
    method = made(kind, lr=0.01, weight_decay=0.1, **params)
    net = method.build(spec())
    delays = {p for key, p in net.named_parameters() if key.split(".")[-1] == name}
    assert delays
    groups = [group for group in _groups(net, method.params) if delays & set(group["params"])]
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(pytest.approx(0.01 * rate), 0.0)]
    assert set(groups[0]["params"]) == delays


def test_build_follows_the_parameters() -> None:
    net = made(DCLS, hidden=(7, 5), max_delay=9, tau=2.0, surrogate="triangle", width=0.3, dropout=0.2).build(spec())
    assert [tuple(layer.kernel().shape) for layer in net.connections()] == [(7, 21, 10), (5, 7, 10), (2, 5, 1)]
    assert (net.neurons[0].decay, net.neurons[0].reset, net.neurons[0].surrogate.shape) == (0.5, "hard", "triangle")
    assert [layer.dropout.p for layer in net.connections()] == [0.0, 0.2, 0.2]
    net = made(ASRC, hidden=(7, 5), skip=9, cooling=0.5, decay=0.9, threshold=2.0).build(spec())
    assert [(n.p.numel(), n.decay, n.threshold, n.cooling) for n in net.neurons] == [(9, 0.9, 2.0, 0.5)] * 2
    assert made(ASRC, adaptive=False, skip=9).build(spec()).neurons[0].p is None
    net = made(RecDelays, hidden=(7, 5), max_delay=9, sigma=3.0, spread=0.0).build(spec())
    assert [(n.longest, n.sigma.item(), n.d.abs().max().item()) for n in net.neurons] == [(9, 3.0, 0.0)] * 2
    net = made(AdaptiveSlope, hidden=(7, 5), rule="fixed", slope=50.0, surrogate="atan", reset="hard").build(spec())
    assert [(n.surrogate.shape, n.surrogate.width.item(), n.reset) for n in net.neurons] == [
        ("atan", pytest.approx(0.02), "hard")
    ] * 2


def test_delays_beyond_the_data_are_left_out() -> None:
    short = spec(T=6)
    assert [layer.lags for layer in made(DCLS, readout_delays=True).build(short).connections()] == [6] * 3
    assert {layer.longest for layer in made(ASRC).build(short).neurons} == {5}
    assert {layer.longest for layer in made(RecDelays).build(short).neurons} == {5}


def test_what_a_data_set_does_not_support_is_said() -> None:
    for kind in (DCLS, ASRC, RecDelays):
        assert made(kind).supports(spec(T=2))
        assert "one step" in made(kind).supports(spec(T=1)).reason or "T is 1" in made(kind).supports(spec(T=1)).reason
    assert "skip = 20: nothing comes back" in made(ASRC, adaptive=False, skip=20).supports(spec(T=20)).reason


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (DCLS, {"max_delay": -1}),
        (DCLS, {"tau": 0.9}),
        (DCLS, {"dropout": 1.0}),
        (DCLS, {"position_rate": 0}),
        (ASRC, {"skip": 0}),
        (ASRC, {"cooling": 0.0}),
        (ASRC, {"decay": 1.5}),
        (RecDelays, {"max_delay": 0}),
        (RecDelays, {"sigma": -1.0}),
        (RecDelays, {"threshold": 0.0}),
        (AdaptiveSlope, {"slope": 0.5}),
        (AdaptiveSlope, {"last_slope": 101}),
        (AdaptiveSlope, {"rule": "reward"}),
        (AdaptiveSlope, {"surrogate": "boxcar"}),
    ],
)
def test_parameters_out_of_range_are_refused(kind: type[Method], wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        made(kind, **wrong)
