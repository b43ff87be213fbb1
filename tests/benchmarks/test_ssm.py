"""Spiking S4D, forward and backward, against the same in plain torch: Fourier transforms and a loop over steps.

16 samples, 128 channels, 64 states. The same numbers come out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
from conftest import Versus
from torch import Tensor

from snn5bench.neurons.lif import LIF
from snn5bench.neurons.lif_scan import lif_loop
from snn5bench.neurons.sdn import SDN
from snn5bench.neurons.spiking_ssm import Block
from snn5bench.neurons.ssm import S4D

BATCH, CHANNELS, STATES = 16, 128, 64


def fourier(model: S4D, x: Tensor, scale: Tensor) -> Tensor:
    """S4D as it is usually written: kernels as long as the sequence, FFTs of twice that."""
    log_a, c = model.system()
    steps = len(x)
    powers = torch.exp(log_a.unsqueeze(-1) * torch.arange(steps))
    kernel = 2 * torch.einsum("hn,hnl->hl", c[0], powers).real
    u = x.permute(1, 2, 0)
    spectrum = torch.fft.rfft(u, 2 * steps) * torch.fft.rfft(kernel, 2 * steps)
    y = torch.fft.irfft(spectrum, 2 * steps)[..., :steps] + model.D.unsqueeze(-1) * u
    return y.permute(2, 0, 1) * scale


def spiking_layer(block: Block, x: Tensor) -> Tensor:
    """What is new in a block: S4D, the threshold, the neurons."""
    return block.neuron(block.current(x))


def plain_layer(block: Block, x: Tensor, neuron: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """The same by Fourier transforms and a loop over steps (or another neuron)."""
    y = fourier(block.ssm, block.before(x), torch.exp(-block.ln_vth))
    lif = cast("LIF", block.neuron)
    return neuron(y) if neuron else lif_loop(y, torch.zeros_like(y[0]), lif.constants, lif.surrogate)[0]


def plain_block(block: Block, x: Tensor) -> Tensor:
    """The whole block, its output map as a dense product."""
    half = torch.nn.functional.linear(plain_layer(block, x), block.out.weight, block.out.bias)
    return x + torch.nn.functional.glu(half)


def both(
    ours: Callable[[], Tensor], peer: Callable[[], Tensor], g: Tensor
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Forward and backward of each."""
    return lambda: ours().backward(g), lambda: peer().backward(g)


@pytest.fixture(params=[256, 1024, 4096])
def block(request: pytest.FixtureRequest) -> tuple[Block, Tensor, Tensor]:
    torch.manual_seed(0)
    block, x = Block(S4D(CHANNELS, STATES)), torch.randn(request.param, BATCH, CHANNELS)
    block.calibrate(x, 0.1)
    return block, x.requires_grad_(), torch.randn(x.shape)


LEAST = {256: 2.0, 1024: 4.0, 4096: 5.0}


@pytest.mark.benchmark(group="state-space layer")
def test_spiking_layer(versus: Versus, block: tuple[Block, Tensor, Tensor]) -> None:
    net, x, g = block
    with torch.no_grad():
        different = (spiking_layer(net, x) != plain_layer(net, x)).float().mean().item()
    assert different < 1e-4, "rounding flips a spike in ten thousand at most"
    versus(*both(lambda: spiking_layer(net, x), lambda: plain_layer(net, x), g), LEAST[len(x)], rounds=3)


@pytest.mark.benchmark(group="state-space layer")
def test_whole_block(versus: Versus, block: tuple[Block, Tensor, Tensor]) -> None:
    """With what both share: norm, gate, residual."""
    net, x, g = block
    versus(*both(lambda: net(x), lambda: plain_block(net, x), g), LEAST[len(x)], rounds=3)


@pytest.mark.benchmark(group="state-space layer")
def test_against_the_predictor(versus: Versus, block: tuple[Block, Tensor, Tensor]) -> None:
    """The surrogate dynamic network in place of the loop, as in the paper: on a CPU it costs more than the exact neuron."""
    net, x, g = block
    predictor = SDN()
    versus(*both(lambda: spiking_layer(net, x), lambda: plain_layer(net, x, predictor), g), LEAST[len(x)], rounds=3)


@pytest.mark.benchmark(group="state-space layer")
def test_neuron_alone(versus: Versus, block: tuple[Block, Tensor, Tensor]) -> None:
    net, x, g = block
    predictor = SDN()
    with torch.no_grad():
        current = net.current(x)
    current.requires_grad_()
    versus(*both(lambda: net.neuron(current), lambda: predictor(current), g), 2.0, rounds=3)
