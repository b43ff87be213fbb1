"""GLIF as a method."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from snn5bench.measure.counts import Counter
from snn5bench.methods.glif import GLIF
from snn5bench.neurons.network import SpikingNet
from tests.methods.method_tasks import fit, spec
from tests.neurons.neuron_toys import pulses


@pytest.mark.parametrize("channel_wise", [True, False])
def test_build_follows_the_parameters(channel_wise: bool) -> None:
    params = GLIF.Params(
        hidden=(7, 5), channel_wise=channel_wise, hard_gates=True, tau=0.7, threshold=0.3, conductance=0.9
    )
    net = GLIF(params).build(spec())
    assert isinstance(net, SpikingNet)
    plain = 7 * 21 + 7 + 5 * 7 + 5 + 2 * 5 + 2
    extra = (7 + 20) * (12 if channel_wise else 2)
    assert sum(p.numel() for p in net.parameters()) == plain + extra
    layer = net.neurons[0]
    assert set(torch.cat([g.flatten() for g in layer.gates()]).tolist()) <= {0.0, 1.0}
    for raw, value in ((layer.tau, 0.7), (layer.v_th, 0.3), (layer.v_re, 0.3), (layer.conduct, 0.9)):
        torch.testing.assert_close(torch.sigmoid(raw), torch.full_like(raw, value))
    with pytest.raises(ValueError, match="T = 20"):
        net(torch.zeros(21, 3, 21))


@pytest.mark.parametrize("wrong", [{"tau": 1.0}, {"threshold": 1.0}, {"conductance": 0.0}, {"channel_wise": "maybe"}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        GLIF.Params(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("more", [{}, {"channel_wise": False}, {"hard_gates": True}], ids=str)
def test_learns_order_where_its_notd_twin_cannot(more: dict[str, bool]) -> None:
    method = GLIF(GLIF.Params(hidden=(64, 64), **more))
    assert fit(method, spec(), epochs=8) > 0.9
    if not more:
        assert fit(method, spec(), epochs=2, cut=method.timeless) == pytest.approx(0.5, abs=3 * 0.5 / 1000**0.5)


def test_every_operation_is_counted() -> None:
    net = GLIF(GLIF.Params(hidden=(16,))).build(spec())
    x = pulses(20, 20, 0, order=True)[0]
    net.calibrate(x)
    with torch.no_grad(), Counter(net) as counter:
        net(x)
    counts = counter.result()
    assert not counts.missing
    neuron = next(layer for layer in counts.layers if layer.kind == "neuron")
    assert neuron.detail["current_scalings"] == 20 * 16
