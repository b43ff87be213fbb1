"""The LIF baseline as a method."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from snn5bench.measure.counts import Counter
from snn5bench.methods.lif import LIF
from snn5bench.neurons.network import SpikingNet
from tests.methods.method_tasks import fit, spec, to_events
from tests.neurons.neuron_toys import pulses


def test_build_follows_the_parameters() -> None:
    params = LIF.Params(hidden=(7, 5), decay=0.5, threshold=2.0, reset="hard", surrogate="triangle", width=0.3)
    net = LIF(params).build(spec(classes=4, readout="last"))
    assert isinstance(net, SpikingNet)
    assert [tuple(p.shape) for p in net.parameters()] == [(7, 21), (7,), (5, 7), (5,), (4, 5), (4,)]
    layer = net.neurons[1]
    assert (layer.decay, layer.threshold, layer.reset) == (0.5, 2.0, "hard")
    assert (layer.surrogate.shape, layer.surrogate.width.item()) == ("triangle", pytest.approx(0.3))
    assert net.reads == "last"
    assert net(torch.zeros(20, 3, 21)).shape == (20, 3, 4)


def test_recurrent_weights_exist_and_are_cut() -> None:
    method = LIF(LIF.Params(hidden=(7, 5), recurrent=True))
    net = method.build(spec())
    assert [tuple(layer.recurrent_weight.shape) for layer in net.neurons] == [(7, 7), (5, 5)]
    x = pulses(20, 20, 0, order=True)[0].double()
    net.double().calibrate(x)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    cut = method.timeless(net)
    torch.testing.assert_close(cut(x)[order], cut(x[order]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"decay": 1.1},
        {"threshold": 0.0},
        {"reset": "none"},
        {"hidden": ()},
        {"hidden": (0,)},
        {"width": 0},
        {"rate": 1},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        LIF.Params(**wrong)  # type: ignore[arg-type]


def test_learns_order_where_its_notd_twin_cannot() -> None:
    method = LIF(LIF.Params(hidden=(64, 64)))
    assert fit(method, spec(), epochs=8) > 0.95
    assert fit(method, spec(), epochs=2, cut=method.timeless) == pytest.approx(0.5, abs=3 * 0.5 / 1000**0.5)


def test_every_operation_is_counted() -> None:
    net = LIF(LIF.Params(hidden=(16, 16), recurrent=True)).build(spec())
    x = pulses(20, 20, 0, order=True)[0]
    net.calibrate(x)
    with torch.no_grad(), Counter(net) as counter:
        net(to_events(x))
    counts = counter.result()
    assert not counts.missing
    first, second, _ = net.activity(x)
    by_hand = (x.sum() * 16 + first.sum() * 16 + first[:-1].sum() * 16 + second.sum() * 2 + second[:-1].sum() * 16) / 20
    assert counts.synops_per_sample == pytest.approx(by_hand.item())
