"""Choosing connections by the training-free score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from snn5bench.neurons.lif import LIF
from snn5bench.neurons.skip_search import Connection, SearchedNet, choose, draw
from snn5bench.neurons.skips import SkipSpec

SPACE = [(src, dst, delay) for src in (0, 1, 2) for dst in (1, 2) for delay in (1, 3, 5)]


def make(skips: tuple[Connection, ...]) -> SearchedNet:
    return SearchedNet(6, (16, 16), 3, lambda n: LIF(), [SkipSpec(*skip) for skip in skips])


def inputs() -> torch.Tensor:
    return (torch.rand(12, 10, 6, generator=torch.Generator().manual_seed(3)) < 0.2).float()


def score_by_loops(net: SearchedNet, x: torch.Tensor) -> float:
    """log |det K| written out: sample by sample, neuron by neuron."""
    kernels = []
    for spikes in net.activity(x, net.depth):
        for codes in spikes.numpy().astype(np.float64):
            samples, n = codes.shape
            kernel = np.zeros((samples, samples))
            for i in range(samples):
                for j in range(samples):
                    apart = sum(abs(a - b) for a, b in zip(codes[i], codes[j], strict=True))
                    ri, rj = codes[i].mean(), codes[j].mean()
                    kernel[i, j] = n - 0.5 * apart / (n * (ri * (1 - rj) + (1 - ri) * rj) + 1e-3)
            kernels.append(kernel)
    return float(np.linalg.slogdet(np.mean(kernels, axis=0))[1])


def test_the_choice_is_the_best_by_an_independent_score() -> None:
    space, x = SPACE, inputs()
    torch.manual_seed(0)
    found = choose(make, space, 2, 6, x, 0.15)
    torch.manual_seed(0)
    drawn = [draw(space, 2) for _ in range(6)]
    assert len(set(drawn)) == 6
    expected = []
    for skips in drawn:
        with torch.random.fork_rng():
            net = make(skips)
        net.calibrate(x, 0.15)
        with torch.no_grad():
            expected.append(score_by_loops(net, x))
    assert found.scores == pytest.approx(expected, rel=1e-9)
    assert found.skips == drawn[int(np.argmax(expected))]
    assert len(set(found.scores)) == 6


def test_candidates_share_their_weights_and_the_seed_decides() -> None:
    space, x = SPACE, inputs()
    built: list[SearchedNet] = []

    def kept(skips: tuple[Connection, ...]) -> SearchedNet:
        built.append(make(skips))
        return built[-1]

    torch.manual_seed(0)
    once = choose(kept, space, 2, 4, x, 0.15)
    torch.manual_seed(0)
    assert choose(kept, space, 2, 4, x, 0.15) == once
    ratio = built[0].synapses[0].weight / built[1].synapses[0].weight
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))
    torch.manual_seed(1)
    assert choose(kept, space, 2, 4, x, 0.15).scores != once.scores


def test_the_state_holds_the_connections() -> None:
    trained = make(((0, 2, 3), (2, 1, 1))).double()
    fresh = make(((1, 1, 4),)).double()
    fresh.set_time("notd")
    fresh.load_state_dict(trained.state_dict())
    assert [skip.spec for skip in fresh.skips] == [(0, 2, 3), (2, 1, 1)]
    assert [skip.lives for skip in fresh.skips] == [False, False]
    fresh.set_time("full")
    x = inputs().double()
    assert torch.equal(fresh(x), trained(x))
