"""The surrogate dynamic network: its structure, how well it agrees with the neuron, its folding and its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from snn5bench.neurons.lif import LIF
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.sdn import SDN, fold, pretrained
from snn5bench.neurons.sdn_training import (
    SurrogateNet,
    as_text,
    disagreement,
    from_text,
    train,
    true_membrane,
    windows,
)
from snn5bench.neurons.sdn_weights import TAU, WEIGHTS


def noise(steps: int, batch: int, neurons: int, seed: int = 7) -> Tensor:
    return torch.randn(steps, batch, neurons, generator=torch.Generator().manual_seed(seed))


def spikes(x: Tensor, tau: float = TAU) -> Tensor:
    return LIF(tau, 1.0, "hard")(x)


@pytest.fixture(scope="module")
def long() -> Tensor:
    return noise(1024, 20, 20)


def test_parameters() -> None:
    assert sum(p.numel() for p in SurrogateNet().parameters()) == 193
    assert sum(v.numel() for v in pretrained()) == 153
    assert len(WEIGHTS.split()) == 193 + 4 * 8


def test_the_target_by_hand() -> None:
    """tau 0.125: m = 0, .1, 0 (spike), .0625; s = 0, 1, 0, 0."""
    x = torch.tensor([[0.8, 0.95, 0.5, 0.25]])
    membrane, fired = true_membrane(x, 0.125)
    torch.testing.assert_close(membrane, torch.tensor([[0.0, 0.1, 0.0, 0.0625]]))
    assert fired.tolist() == [[0, 1, 0, 0]]


def test_prediction_sees_the_eight_steps_before_and_not_its_own() -> None:
    x = noise(64, 1, 1)
    layer = SDN()
    changed = x.clone()
    changed[20] += 1
    moved = (layer.membrane(x) != layer.membrane(changed)).flatten().nonzero().flatten().tolist()
    assert min(moved) == 21
    assert max(moved) <= 28


def test_agreement_against_the_memoryless_neuron(long: Tensor) -> None:
    true, found, memoryless = spikes(long), SDN()(long), (long >= 1).float()
    wrong, baseline = (found != true).float().mean().item(), (memoryless != true).float().mean().item()
    assert 0.01 < baseline < 0.02
    assert wrong < 0.001
    assert 10 * wrong < baseline
    assert ((found == 0) & (true == 1)).sum() < 0.005 * true.sum()
    assert ((found == 1) & (true == 0)).sum() < 0.005 * true.sum()


def test_a_wrong_tau_is_seen_and_refused(long: Tensor) -> None:
    found = SDN()(long)
    right, wrong = ((found != spikes(long, tau)).float().mean().item() for tau in (TAU, 0.2))
    assert wrong > 10 * right
    with pytest.raises(ValueError, match=r"tau = 0\.125"):
        SDN(tau=0.2)


def test_folding_keeps_the_function() -> None:
    net, x = from_text(WEIGHTS), noise(300, 1, 4)
    unfolded = net(windows(x.flatten(1).t()).reshape(-1, 8)).view(4, 300).t().view_as(x)
    torch.testing.assert_close(SDN().membrane(x), unfolded, atol=1e-5, rtol=1e-5)


def test_weights_as_text_give_the_same_network_back() -> None:
    torch.manual_seed(0)
    net = SurrogateNet()
    again = from_text(as_text(net))
    for name, value in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert as_text(from_text(WEIGHTS)).split() == WEIGHTS.split()
    with pytest.raises(ValueError, match="225"):
        from_text("1 2 3")


def test_the_training_routine_learns_and_repeats() -> None:
    first, again = (train(TAU, sequences=128, epochs=120) for _ in range(2))
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    x = torch.randn(200, 256, generator=torch.Generator().manual_seed(3))
    baseline = ((x >= 1) != true_membrane(x, TAU)[1].bool()).float().mean().item()
    assert disagreement(first, TAU) < 0.7 * baseline


def test_gradient_is_a_triangle_of_the_present_step() -> None:
    x = noise(30, 2, 3).requires_grad_()
    layer = SDN()
    weight = torch.linspace(-1, 1, x.numel()).view_as(x)
    (layer(x) * weight).sum().backward()
    v = layer.membrane(x.detach()) + x.detach() - 1
    torch.testing.assert_close(x.grad, weight * (1 - v.abs()).clamp(min=0))
    assert [p for p in layer.parameters() if p.requires_grad] == []


def test_chunks_equal_the_whole_and_notd_is_memoryless() -> None:
    x, layer, memory = noise(40, 2, 3), SDN(), Memory()
    parts = [layer(part, memory) for part in x.split([3, 20, 17])]
    assert torch.equal(torch.cat(parts), layer(x))
    assert memory.step == 40
    layer.set_time("notd")
    assert torch.equal(layer(x), (x >= 1).float())


def test_fold_needs_what_it_folds() -> None:
    folded = fold(from_text(WEIGHTS))
    for name, value in pretrained()._asdict().items():
        assert torch.equal(getattr(folded, name), value), name
