"""Spiking S4D, forward and backward, against the same in plain torch: Fourier transforms and a loop over steps.

16 samples, 128 channels, 64 states, one thread, processor time, medians of runs in alternation. The same numbers come out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
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


def seconds(run: Callable[[], Tensor], g: Tensor) -> float:
    """Forward and backward."""
    start = time.thread_time()
    run().backward(g)
    return time.thread_time() - start


def ratio(slow: Callable[[], Tensor], fast: Callable[[], Tensor], g: Tensor, rounds: int = 3) -> float:
    """Median of the ratios of runs in alternation."""
    seconds(slow, g), seconds(fast, g)
    return statistics.median(seconds(slow, g) / seconds(fast, g) for _ in range(rounds))


@pytest.fixture(params=[256, 1024, 4096])
def block(request: pytest.FixtureRequest) -> tuple[Block, Tensor, Tensor]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    block, x = Block(S4D(CHANNELS, STATES)), torch.randn(request.param, BATCH, CHANNELS)
    block.calibrate(x, 0.1)
    return block, x.requires_grad_(), torch.randn(x.shape)


LEAST = {256: 2.0, 1024: 4.0, 4096: 5.0}


def test_spiking_layer(benchmark: Any, block: tuple[Block, Tensor, Tensor]) -> None:
    net, x, g = block
    with torch.no_grad():
        different = (spiking_layer(net, x) != plain_layer(net, x)).float().mean().item()
    assert different < 1e-4, "rounding flips a spike in ten thousand at most"
    found = ratio(lambda: plain_layer(net, x), lambda: spiking_layer(net, x), g)
    benchmark.extra_info["against_fft_and_loop"] = found
    benchmark.pedantic(lambda: spiking_layer(net, x).backward(g), rounds=3)
    assert found > LEAST[len(x)]


def test_whole_block(benchmark: Any, block: tuple[Block, Tensor, Tensor]) -> None:
    """With what both share: norm, gate, residual."""
    net, x, g = block
    found = ratio(lambda: plain_block(net, x), lambda: net(x), g)
    benchmark.extra_info["against_fft_and_loop"] = found
    benchmark.pedantic(lambda: net(x).backward(g), rounds=3)
    assert found > LEAST[len(x)] / 1.6


def test_against_the_predictor(benchmark: Any, block: tuple[Block, Tensor, Tensor]) -> None:
    """The surrogate dynamic network in place of the loop, as in the paper: on a CPU it costs more than the exact neuron."""
    net, x, g = block
    predictor = SDN()
    found = ratio(lambda: plain_layer(net, x, predictor), lambda: spiking_layer(net, x), g)
    benchmark.extra_info["against_fft_and_predictor"] = found
    benchmark.pedantic(lambda: spiking_layer(net, x).backward(g), rounds=3)
    assert found > LEAST[len(x)] / 1.6


def test_neuron_alone(benchmark: Any, block: tuple[Block, Tensor, Tensor]) -> None:
    net, x, g = block
    predictor = SDN()
    with torch.no_grad():
        current = net.current(x)
    current.requires_grad_()
    found = ratio(lambda: predictor(current), lambda: net.neuron(current), g)
    benchmark.extra_info["predictor_against_exact"] = found
    benchmark.pedantic(lambda: net.neuron(current).backward(g), rounds=3)
    assert found > 2
