"""How many steps are enough, on outputs whose divergence is known; and the network that runs on them alone."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snn5bench.contracts.inputs import Events, Repeated
from snn5bench.neurons.shortened import Shortened, divergence_by_step, fewest_steps, first_steps, scaled


def test_divergence_by_hand() -> None:
    """Two classes, one sample of class 0: the target is softmax(1, 0) = (e, 1) / (e + 1). Where the running mean of the
    logits is (1, 0) too the divergence is 0; where it is (0, 0) it is 1e4 (log 2 - entropy)."""
    p = math.e / (math.e + 1)
    uniform = 1e4 * (math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p))
    logits = torch.tensor([[[0.0, 0.0]], [[2.0, 0.0]], [[1.0, 0.0]]], dtype=torch.float64)
    found = divergence_by_step(logits, torch.tensor([0]))
    assert found.tolist() == pytest.approx([uniform, 0, 0], abs=1e-9)


def test_the_first_step_below_the_threshold_is_the_last_one_kept() -> None:
    k = torch.tensor([9.0, 5.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    assert scaled(k).max() == 1 and scaled(k).min() == 0
    assert fewest_steps(k) == 3, "flat after step 3"
    edge = torch.tensor([100.0, 1.0, 0.0], dtype=torch.float64)
    assert fewest_steps(edge, 0.01) == 3, "0.01 itself is not below 0.01"
    assert fewest_steps(edge, 0.0101) == 2
    assert fewest_steps(torch.ones(4)) == 1
    rising = torch.tensor([0.0, 1.0, 2.0])
    assert fewest_steps(rising) == 1


def test_first_steps_of_each_form() -> None:
    rng = np.random.default_rng(0)
    spikes = rng.random((9, 3, 5)) < 0.3
    step, sample, channel = np.nonzero(spikes)
    order = np.lexsort((channel, step, sample))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=3))]).astype(np.int64)
    events = Events(indptr, step[order].astype(np.int32), channel[order].astype(np.int32), 9, 5)
    cut: Any = first_steps(events, 4)
    assert cut.T == 4
    assert torch.equal(cut.dense(), events.dense()[:4])
    assert torch.equal(first_steps(events.dense(), 4), events.dense()[:4])  # type: ignore[arg-type]
    assert first_steps(Repeated(torch.ones(2, 5), 9), 4).T == 4  # type: ignore[union-attr]


@pytest.mark.parametrize("readout", ["sum", "last"])
def test_a_shortened_network_answers_as_at_its_last_step(readout: str) -> None:
    torch.manual_seed(0)
    net, x = nn.Linear(5, 3), torch.rand(9, 4, 5)
    short = Shortened(net, 4, readout)
    out, inside = short(x), net(x[:4])
    assert out.shape == (9, 4, 3)
    read = (lambda y: y[-1]) if readout == "last" else (lambda y: y.sum(0))
    assert torch.equal(read(out), read(inside))
    x[4:] = 0
    assert torch.equal(short(x), out), "later steps are not seen"
    assert torch.equal(Shortened(net, 20, readout)(x), net(x))


def test_its_state_holds_the_number_of_steps() -> None:
    net = nn.Linear(5, 3)
    three, seven = (Shortened(copy.deepcopy(net), steps, "last") for steps in (3, 7))
    x = torch.rand(8, 2, 5)
    assert not torch.equal(three(x), seven(x))
    seven.load_state_dict(three.state_dict())
    assert torch.equal(three(x), seven(x))
