"""A training step of 700-128-128-20 on a GPU: our Triton kernels against the plain torch loop and spikingjelly's kernels.

    python -m tests.benchmarks.gpu_ratios [FILE.json [NEURON...]]

Forward, backward and Adam, at 2 % input. Each case: medians of alternating runs, timed with CUDA events, as ratios. Ours
takes the events as indices, and so pays for making them dense on the GPU; the peers get a dense tensor that is there.
`recurrent` is LIF with recurrent weights, also in layers of 256 and 512.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, Events
from snn5bench.neurons.adlif import AdLIF
from snn5bench.neurons.glif import GLIF
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.plif import PLIF
from snn5bench.neurons.surrogate import Surrogate

CHANNELS, HIDDEN, CLASSES, DECAY = 700, 128, 20, 0.9
MAKE: dict[str, Callable[[int, int], nn.Module]] = {
    "lif": lambda n, T: LIF(DECAY, 1.0, "hard", Surrogate("atan", 0.5)),
    "plif": lambda n, T: PLIF(2.0),
    "glif": GLIF,
    "adlif": lambda n, T: AdLIF(n),
    "recurrent": lambda n, T: LIF(DECAY, 1.0, "hard", Surrogate("atan", 0.5), recurrent=n),
}
"""Neurons by the width of a layer and T; spikingjelly has the first two."""
CASES = tuple((T, size, HIDDEN) for T, size in ((100, 32), (100, 128), (100, 512), (250, 128)))
"""T, B, and the width of a hidden layer."""
WIDER = tuple((100, size, width) for width in (256, 512) for size in (32, 128, 512))
ROUNDS, WARM = 15, 4


def batch(T: int, size: int) -> tuple[Events, Tensor, Tensor]:
    """Events on the GPU's account, the same dense, and labels."""
    rng = np.random.default_rng(0)
    sample, step, channel = np.nonzero(rng.random((size, T, CHANNELS)) < 0.02)
    indptr = np.searchsorted(sample, np.arange(size + 1)).astype(np.int64)
    events = Events(indptr, step.astype(np.int32), channel.astype(np.int32), T, CHANNELS, "cuda")
    return events, events.dense(), torch.from_numpy(rng.integers(0, CLASSES, size)).cuda()


def ours(neuron: Callable[[int], nn.Module], events: Events, width: int) -> SpikingNet:
    """Our network, calibrated, on the GPU."""
    torch.manual_seed(0)
    net = SpikingNet(CHANNELS, (width, width), CLASSES, neuron).cuda()  # type: ignore[arg-type]
    net.calibrate(events, 0.04)
    return net


class SpikingJelly(nn.Module):
    """Its multi-step LIFNode (hard reset, input not decayed, atan), with the weights of our network."""

    def __init__(self, net: SpikingNet, node: Callable[[], nn.Module]) -> None:
        super().__init__()
        from spikingjelly.activation_based import functional

        self.reset_net = functional.reset_net
        self.layers, self.neurons = nn.ModuleList(), nn.ModuleList(node() for _ in range(2))
        for layer in (1, 2, 3):
            source = net.feed(layer)
            linear = nn.Linear(source.in_features, source.out_features)
            linear.load_state_dict({k: v.detach().cpu() for k, v in source.state_dict().items()})
            self.layers.append(linear)

    def forward(self, x: Tensor) -> Tensor:
        """Logits per step."""
        self.reset_net(self)
        for layer, neuron in zip(self.layers, self.neurons, strict=False):
            x = neuron(layer(x))
        return self.layers[2](x)


def peer(kind: str) -> Callable[[], nn.Module]:
    """A layer of spikingjelly's."""
    from spikingjelly.activation_based import neuron, surrogate

    if kind == "plif":
        return lambda: neuron.ParametricLIFNode(
            init_tau=2.0, v_threshold=1.0, v_reset=0.0, detach_reset=True, step_mode="m",
            surrogate_function=surrogate.ATan(alpha=2.0),
        )  # fmt: skip
    return lambda: neuron.LIFNode(
        tau=1 / (1 - DECAY), decay_input=False, v_threshold=1.0, v_reset=0.0, step_mode="m",
        surrogate_function=surrogate.ATan(alpha=2.0),
    )  # fmt: skip


def kernels_of_spikingjelly(kind: str) -> str:
    """Which of its implementations it has chosen."""
    module = importlib.import_module(f"spikingjelly._ops.{kind}")
    return ", ".join(str(getattr(found, "name", found)) for found in module._selection._selections.values())


def step_of(net: nn.Module, x: BatchInput, label: Tensor, kernels: str) -> Callable[[], float]:
    """One training step; returns the loss."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)

    def step() -> float:
        os.environ["SNN5BENCH_KERNELS"] = kernels
        loss = F.cross_entropy(net(x).sum(0), label)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()  # type: ignore[return-value]

    return step


def timed(step: Callable[[], float]) -> float:
    """Milliseconds of a step, by CUDA events."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    step()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def case(kind: str, T: int, size: int, width: int) -> dict[str, object]:
    """Losses of the first step, and medians as ratios over ours."""
    events, x, label = batch(T, size)

    def net() -> SpikingNet:
        return ours(partial(MAKE[kind], T=T), events, width)

    steps = {"ours": step_of(net(), events, label, "numba")}
    steps["ours, dense input"] = step_of(net(), x, label, "numba")
    steps["plain torch loop"] = step_of(net(), x, label, "torch")
    if kind in ("lif", "plif"):
        steps["spikingjelly"] = step_of(SpikingJelly(net(), peer(kind)).cuda(), x, label, "numba")
    losses = {name: float(step()) for name, step in steps.items()}
    if "spikingjelly" in steps:
        print(f"spikingjelly runs {kernels_of_spikingjelly(kind)}")
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(WARM + ROUNDS):
        for name, step in steps.items():
            ms = timed(step)
            if turn >= WARM:
                taken[name].append(ms)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratios = {name: round(value / medians["ours"], 3) for name, value in medians.items()}
    return {
        "neuron": kind,
        "T": T,
        "B": size,
        "hidden": width,
        "ours_ms": round(medians["ours"], 4),
        "over_ours": ratios,
        "losses": losses,
    }


def main() -> None:
    """Print a line a case, and write them all to the file that is named."""
    found = []
    for kind in sys.argv[2:] or MAKE:
        for T, size, width in CASES + (WIDER if kind == "recurrent" else ()):
            found.append(case(kind, T, size, width))
            print(json.dumps(found[-1]), flush=True)
            if sys.argv[1:]:
                document = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "cases": found}
                Path(sys.argv[1]).write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
