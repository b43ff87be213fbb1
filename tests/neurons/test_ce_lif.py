"""CE-LIF: by hand, without its table a LIF, and the trap: its table is a position code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.measure.counts import Counter
from snn5bench.methods import ce_lif
from snn5bench.neurons.ce_lif import CELIF
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.surrogate import Surrogate

N, T = 5, 25


def make(size: float = 0.3, **more: object) -> CELIF:
    """A layer whose table is drawn at random."""
    torch.manual_seed(0)
    layer = CELIF(N, T, **more).double()  # type: ignore[arg-type]
    layer.table.data = size * torch.randn_like(layer.table)
    return layer


def current(steps: int = T) -> Tensor:
    return 2 * torch.randn(steps, 3, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def loop(x: np.ndarray, table: np.ndarray, decay: float, theta_0: float, gamma: float) -> np.ndarray:
    """Spikes for currents `[T, B, N]`, one neuron after another."""
    spikes = np.zeros_like(x)
    for b in range(x.shape[1]):
        for n in range(x.shape[2]):
            u, s, theta = 0.0, 0.0, theta_0
            for t in range(len(x)):
                theta = theta + table[t, n] * u - gamma * (theta - theta_0)
                u = decay * u * (1 - s) + x[t, b, n]
                s = float(u > theta)
                spikes[t, b, n] = s
    return spikes


def test_by_hand() -> None:
    """lambda .5, theta_0 1, gamma .1, E = 9, .5, -.4; x = .8, 1.2, .7.
    t0: u was 0, so E plays no part: theta 1, u .8. t1: theta = 1 + .5 * .8 = 1.4, u = .4 + 1.2 = 1.6, spike.
    t2: theta = 1.4 - .4 * 1.6 - .1 * .4 = .72 (from u before its reset), u = 0 + .7 = .7, not above. (From u after its reset
    theta were 1.36.)"""
    layer = CELIF(1, 3, decay=0.5, gamma=0.1).double()
    layer.table.data = torch.tensor([[9.0], [0.5], [-0.4]], dtype=torch.float64)
    memory = Memory()
    x = torch.tensor([0.8, 1.2, 0.7], dtype=torch.float64).view(3, 1, 1)
    assert layer(x, memory).flatten().tolist() == [0, 1, 0]
    assert memory.state[1].item() == pytest.approx(0.7)
    assert memory.state[2].item() == pytest.approx(0.72)


@pytest.mark.parametrize("decay", [0.2, 0.9])
def test_equals_a_loop(decay: float) -> None:
    layer, x = make(decay=decay), current()
    expected = loop(x.numpy(), layer.table.detach().numpy(), decay, 1.0, 0.02)
    assert np.array_equal(layer(x).detach().numpy(), expected)
    assert 0.05 < expected.mean() < 0.8


def test_with_an_empty_table_it_is_a_hard_reset_lif() -> None:
    layer, x = make(0.0, decay=0.8), current()
    lif = LIF(0.8, float(np.nextafter(1.0, 2.0)), "hard")  # its >= at the next number is our >
    assert layer(x).mean() > 0.05
    assert torch.equal(layer(x), lif(x))
    assert (CELIF(N, T).table == 0).all(), "and so it starts"


# The trap.


def test_it_knows_the_absolute_step() -> None:
    """The same currents one step later: other spikes with a table for each step; the same spikes, one step later, with one
    number for all steps, and for a LIF."""
    x = current(T - 1)
    early, late = torch.cat([x, torch.zeros_like(x[:1])]), torch.cat([torch.zeros_like(x[:1]), x])

    def moves_along(layer: CELIF | LIF) -> bool:
        return torch.equal(layer(early)[:-1], layer(late)[1:])

    assert not moves_along(make())
    assert moves_along(make(embedding="constant"))
    assert moves_along(LIF(0.9, 1.0, "hard"))


@pytest.mark.parametrize(("embedding", "numbers"), [("step", 25 * N), ("constant", N)])
def test_its_parameters_are_counted(embedding: str, numbers: int) -> None:
    assert sum(p.numel() for p in CELIF(N, T, embedding=embedding).parameters()) == numbers  # type: ignore[arg-type]
    data = DatasetSpec(name="toy", n_classes=3, T=T, channels=7, coding="events", temporal=True)
    params = {"hidden": [N], "embedding": embedding}
    net = ce_lif.CELIF(ce_lif.CELIF.Params.model_validate(params)).build(data)
    assert sum(p.numel() for p in net.parameters()) == 7 * N + N + N * 3 + 3 + numbers
    notes = getattr(net, "notes", [])
    assert ("position code: 125 parameters" in notes[0]) if embedding == "step" else not notes


def test_it_ends_at_its_last_step() -> None:
    layer, memory = make(), Memory()
    layer(current(20), memory)
    with pytest.raises(ValueError, match="25 steps, it was given 30"):
        layer(current(10), memory)
    long = DatasetSpec(name="toy", n_classes=3, T=10**6, channels=7, coding="events", temporal=True)
    verdict = ce_lif.CELIF(ce_lif.CELIF.Params()).supports(long)
    assert not verdict
    assert "256,000,000 numbers" in verdict.reason
    assert ce_lif.CELIF(ce_lif.CELIF.Params(embedding="constant")).supports(long)


def test_reading_the_table_is_counted() -> None:
    layer = make().float()
    with Counter(layer) as counter, torch.no_grad():
        layer(current().float())
    (found,) = counter.result().layers
    assert (found.detail["weight_reads"], found.detail["state_reads"]) == (T * N, 2 * T * N)
    assert (found.acs, found.macs, found.neuron_updates) == (0, 0, T * N)


# Time.


def test_notd_is_the_first_step_again_and_again() -> None:
    layer, x = make(recurrent=True), current()
    first = torch.cat([layer(x[t : t + 1]) for t in range(len(x))])
    assert not torch.equal(layer(x), first)
    layer.set_time("notd")
    assert torch.equal(layer(x), first)
    assert torch.equal(first, (x > 1).double())


def test_sdbp_same_spikes_no_gradient_through_time() -> None:
    layer, x = make(surrogate=Surrogate("triangle", 20.0)), current().requires_grad_()
    full = layer(x)
    (full[-1] * torch.arange(1, N + 1)).sum().backward()
    assert x.grad is not None
    assert (x.grad[:-1] != 0).any()
    layer.set_time("sdbp")
    x.grad = None
    assert torch.equal(layer(x), full)
    (layer(x)[-1] * torch.arange(1, N + 1)).sum().backward()
    assert x.grad is not None
    assert x.grad[:-1].abs().max() == 0


@pytest.mark.parametrize("mode", ["full", "sdbp", "notd"])
def test_chunks_equal_the_whole_sequence(mode: str) -> None:
    layer, x, memory = make(), current(), Memory()
    layer.set_time(mode)
    assert torch.equal(torch.cat([layer(part, memory) for part in x.split([4, 1, 20])]), layer(x))
    assert memory.step == 25


def test_the_gradient_reaches_the_table() -> None:
    """Through theta: a spike is a spike by its threshold too."""
    layer, x = make(surrogate=Surrogate("triangle", 20.0)), current()
    layer(x)[-1].sum().backward()
    assert layer.table.grad is not None
    assert (layer.table.grad[1:] != 0).all()
    assert (layer.table.grad[0] == 0).all(), "u is zero before the first step"
