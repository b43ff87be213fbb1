"""The training-free search score."""

from __future__ import annotations

import pytest
import torch

from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.search import score, separation_score, sparsity_aware_hamming


def codes(samples: int, neurons: int, seed: int, rate: float = 0.3) -> torch.Tensor:
    return (torch.rand(samples, neurons, generator=torch.Generator().manual_seed(seed)) < rate).float()


def test_two_samples_by_hand() -> None:
    """c_1 = 1100, c_2 = 1010: d_H = 2, r = 1/2 both, E = 4 * 1/2 = 2, d = 0.5 * 2 / 2.001."""
    distance = sparsity_aware_hamming(torch.tensor([[1.0, 1, 0, 0], [1, 0, 1, 0]]))
    assert distance[0, 1].item() == pytest.approx(1 / 2.001)
    assert distance.diagonal().tolist() == [0, 0]
    off = 4 - 1 / 2.001
    assert separation_score([torch.tensor([[[1.0, 1, 0, 0], [1, 0, 1, 0]]])]) == pytest.approx(
        torch.tensor(16 - off**2).log().item(), rel=1e-6
    )


@pytest.mark.parametrize(("a", "b"), [(0.05, 0.05), (0.05, 0.5), (0.3, 0.9)])
def test_independent_codes_are_half_apart_whatever_their_rates(a: float, b: float) -> None:
    both = torch.cat([codes(20, 4000, 1, a), codes(20, 4000, 2, b)])
    assert sparsity_aware_hamming(both)[:20, 20:].mean().item() == pytest.approx(0.5, abs=0.01)


def test_order_of_the_batch_is_irrelevant_and_a_duplicate_is_fatal() -> None:
    layers = [torch.stack([codes(12, 200, seed) for seed in range(3)])]
    straight = separation_score(layers)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert separation_score([layers[0][:, order]]) == pytest.approx(straight, rel=1e-9)
    twice = layers[0].clone()
    twice[:, 1] = twice[:, 0]
    assert separation_score([twice]) < straight - 20


def test_score_of_a_network() -> None:
    torch.manual_seed(0)
    net = SpikingNet(10, (64, 64), 2, lambda n: LIF())
    x = (torch.rand(15, 8, 10) < 0.3).float()
    net.calibrate(x)
    found = score(net, x)
    assert found == pytest.approx(separation_score(net.activity(x)[:2]))
    assert found > score(net, x[:, [0, 0, 1, 2, 3, 4, 5, 6]])
    with pytest.raises(ValueError, match="at least one layer"):
        separation_score([])
