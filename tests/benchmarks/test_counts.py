"""What counting operations costs: over a bare forward pass, and against NeuroBench; 700-128-128-20, T = 100, batch 32."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from conftest import Versus
from torch import Tensor

from snn5bench.contracts.inputs import Events
from snn5bench.measure.counts import Counter
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet


def as_events(x: Tensor) -> Events:
    """Index lists of a binary tensor."""
    T, B, C = x.shape
    sample, step, channel = np.nonzero(x.permute(1, 0, 2).numpy())
    return Events(np.searchsorted(sample, np.arange(B + 1)), step.astype(np.int32), channel.astype(np.int32), T, C)


def network() -> tuple[SpikingNet, Tensor]:
    torch.manual_seed(0)
    model = SpikingNet(700, (128, 128), 20, lambda n: LIF(reset="hard")).eval()
    x = (torch.rand(100, 32, 700) < 0.03).float()
    model.calibrate(x, 0.08)
    return model, x


@pytest.mark.benchmark(group="counting")
@pytest.mark.parametrize("form", ["dense", "events"])
def test_over_a_bare_forward(versus: Versus, form: str) -> None:
    """At most 1.2 times the cost: bare passes over counted ones, all fused, are at least 1 / 1.2. The first batch, which the
    guard watches, is left out; twelve of this size are twice as many as wait for their count."""
    model, _ = network()
    inputs: list[Tensor | Events] = [(torch.rand(100, 32, 700) < 0.03).float() for _ in range(12)]
    if form == "events":
        inputs = [as_events(x) for x in inputs if isinstance(x, Tensor)]
    bare = copy.deepcopy(model)
    with torch.no_grad(), Counter(model) as counter:
        versus(lambda: [model(x) for x in inputs], lambda: [bare(x) for x in inputs], 1 / 1.2, rounds=40)
    assert not counter.result().missing


@pytest.mark.benchmark(group="counting")
def test_against_neurobench(versus: Versus) -> None:
    """A batch evaluated with its synaptic operations, ours and NeuroBench's on a dense network of the same weights; the
    same number comes out. The target is what its counting costs by itself."""
    pytest.importorskip("neurobench")
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import TorchModel
    from spikingjelly.activation_based import functional, layer, neuron
    from torch import nn

    model, x = network()
    events = as_events(x)
    stack: list[nn.Module] = []
    for k in (1, 2, 3):
        source = model.feed(k)
        linear = layer.Linear(source.in_features, source.out_features, step_mode="m")
        linear.load_state_dict(source.state_dict())
        stack.append(linear)
        stack.append(neuron.LIFNode(tau=10.0, decay_input=False, v_threshold=1.0, v_reset=0.0, step_mode="m"))
    peer = nn.Sequential(*stack).eval()
    wrapped = TorchModel(peer)
    wrapped.register_hooks()
    found: dict[str, float] = {}

    def theirs() -> None:
        functional.reset_net(peer)
        for hook in (*wrapped.activation_hooks, *wrapped.connection_hooks):
            hook.empty_cache() if hasattr(hook, "empty_cache") else hook.reset()
        wrapped(x)
        found.update(SynapticOperations()(wrapped, None, (torch.zeros(x.shape[1]), None)))

    with torch.no_grad(), Counter(model) as counter:
        versus(lambda: model(events), theirs, 6.5, rounds=5)
    assert counter.result().synops_per_sample == pytest.approx(found["Effective_ACs"], rel=1e-3)
