"""torch's own gradcheck in float64, where the true gradient exists: away from the threshold the surrogate (a narrow
rectangle) is zero, and what is left is the exact derivative of a piecewise smooth function, resets and spikes included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from snn5bench.contracts.inputs import Events
from snn5bench.neurons.gather import gather_events, gather_spikes
from snn5bench.neurons.glif_scan import Coefficients, glif_scan
from snn5bench.neurons.lif_scan import LifConstants, lif_scan
from snn5bench.neurons.recurrent_scan import recurrent_lif_scan
from snn5bench.neurons.surrogate import Surrogate

NARROW = Surrogate("rectangle", 1e-9)


def tensor(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=g).requires_grad_()


@pytest.mark.parametrize("hard", [True, False])
def test_lif(hard: bool) -> None:
    constants = LifConstants(0.8, 0.7, hard, False, True)
    x, carry = tensor(6, 2, 3), tensor(2, 3, seed=1)
    assert 0 < lif_scan(x, carry, constants, NARROW)[0].mean() < 1
    assert gradcheck(lambda a, b: lif_scan(a, b, constants, NARROW), (x, carry))


@pytest.mark.parametrize("hard", [True, False])
def test_recurrent_lif(hard: bool) -> None:
    constants = LifConstants(0.8, 0.7, hard, False, True)
    last = (tensor(2, 3, seed=2) > 0).double()
    inputs = (tensor(6, 2, 3), tensor(2, 3, seed=1), tensor(3, 3, seed=3))
    assert 0 < recurrent_lif_scan(inputs[0], inputs[1], last, inputs[2], constants, NARROW)[0].mean() < 1
    assert gradcheck(lambda x, c, w: recurrent_lif_scan(x, c, last, w, constants, NARROW), inputs)


def test_glif() -> None:
    coefficients = [torch.sigmoid(tensor(3, seed=k)).detach() for k in range(6)]
    coefficients[2] = torch.sigmoid(tensor(6, 3, seed=7)).detach()
    inputs = [tensor(6, 2, 3), tensor(2, 3, seed=1), *(c.requires_grad_() for c in coefficients)]
    assert 0 < glif_scan(inputs[0], inputs[1], Coefficients(*inputs[2:]), NARROW, True)[0].mean() < 1
    assert gradcheck(lambda x, c, *k: glif_scan(x, c, Coefficients(*k), NARROW, True), inputs)


def test_synapses() -> None:
    x = np.random.default_rng(0).random((3, 4, 5)) < 0.4
    sample, step, channel = np.nonzero(x)
    indptr = np.searchsorted(sample, np.arange(4)).astype(np.int64)
    events = Events(indptr, step.astype(np.int32), channel.astype(np.int32), 4, 5)
    weight, bias = tensor(2, 5), tensor(2, seed=1)
    assert gradcheck(lambda w, b: gather_events(events, w, b), (weight, bias))
    assert gradcheck(lambda w, b: gather_spikes(events.dense().double(), w, b), (weight, bias))
