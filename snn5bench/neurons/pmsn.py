"""PMSN: a linear complex state-space neuron whose spikes and reset need no loop over time (Chen et al., 2024,
arXiv 2408.14917).

    h_k[t] = a_k h_k[t-1] + b_k z[t],      a_k = exp(A_k dt),   b_k = (a_k - 1) B_k / A_k         k = 1..4 compartments
    y[t]   = Re sum_k C_k h_k[t] + D z[t],      z = batch norm of the current over samples and steps
    r[t]   = max(y[t], 0)
    v[t]   = (v[t-1] mod theta) + r[t],      s[t] = 1 if v[t] >= theta (not strict),      theta = 1

A step that takes v over several thresholds sends one spike and forgets the others: the modulo leaves the remainder only.
With half-normal r of deviation 0.5 at theta 0.3, 42 % of the crossings are lost. How many were stands in the record, as
`crossings` and `crossings_dropped` of each layer.

The remainders are those of cumulative sums, so that no step waits for the one before; h is computed by `ssm_scan`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.neuron import Memory, Neuron
from snn5bench.neurons.norms import StepBatchNorm, adopting
from snn5bench.neurons.ssm_scan import ssm_scan
from snn5bench.neurons.surrogate import Surrogate
from snn5bench.neurons.synapses import Synapses

COMPARTMENTS = 4
DT = (1e-3, 1e-1)


def cable(compartments: int = COMPARTMENTS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, B, C at the start, complex `[n]`: the modes of a chain of compartments, S = -0.5 I + 5 (i + 1) antisymmetric
    between neighbours i and i + 1, fed at every compartment and read at the last. Phases of the modes are fixed by a
    positive first entry."""
    steps = 5.0 * np.arange(1, compartments)
    skew = np.diag(steps, 1) - np.diag(steps, -1)
    frequency, modes = np.linalg.eigh(-1j * skew)
    modes = modes * np.exp(-1j * np.angle(modes[0]))
    return -0.5 + 1j * frequency, modes.conj().sum(0), modes[-1]


def remainders(r: Tensor, carry: Tensor | None = None, theta: float = 1.0) -> Tensor:
    """v[t] = (v[t-1] mod theta) + r[t] for r >= 0 `[T, ...]`, by cumulative sums in float64, as float64.

    `carry` is what v left behind before the first step, v mod theta."""
    before = torch.zeros_like(r[:1], dtype=torch.float64) if carry is None else carry.unsqueeze(0).double()
    total = torch.cat([before, r.double()]).cumsum(0)[:-1]
    return total - theta * torch.floor(total / theta) + r.double()


class PMSN(Neuron):
    """A layer of PMSN neurons, currents `[T, B, N]` to spikes of the same shape.

    Learned, per neuron: ln dt (dt log-uniform in [1e-3, 1e-1]), ln(-Re A), Im A, B, C (complex), D ~ N(0, 1); and the
    scale and offset of the batch norm. The surrogate, 1 for |v - theta| < 1, is a derivative with respect to r[t] alone: no
    gradient goes through the remainder.

    In training the batch norm's statistics cross steps (a later current moves an earlier spike); at evaluation the neuron is
    causal. With `memory`, h and v are carried and the recurrence is walked step by step.

    Time modes: `notd` is y = (Re sum C_k b_k + D) z, v = r. `sdbp` detaches h[t-1].
    """

    def __init__(self, neurons: int, surrogate: Surrogate | None = None) -> None:
        super().__init__()
        self.surrogate = surrogate or Surrogate("rectangle", 2.0, 2.0)
        self.states = 2 * COMPARTMENTS + 1
        A, B, C = (torch.from_numpy(part).to(torch.complex64).repeat(neurons, 1) for part in cable())
        low, high = (math.log(end) for end in DT)
        self.norm = StepBatchNorm(neurons)
        self.log_dt = nn.Parameter(low + (high - low) * torch.rand(neurons))
        self.log_decay = nn.Parameter(torch.log(-A.real))
        self.frequency = nn.Parameter(A.imag.clone())
        self.B = nn.Parameter(torch.view_as_real(B).clone())
        self.C = nn.Parameter(torch.view_as_real(C).clone())
        self.D = nn.Parameter(torch.randn(neurons))
        self.crossed: Tensor | None = None
        """Thresholds that the last call at evaluation crossed, `[T, B]`: for the counts, no state."""

    def system(self) -> tuple[Tensor, Tensor, Tensor]:
        """A dt, b and C, complex `[N, 4]`."""
        A = torch.complex(-torch.exp(self.log_decay), self.frequency)
        log_a = A * torch.exp(self.log_dt).unsqueeze(-1)
        return log_a, (torch.exp(log_a) - 1) * torch.view_as_complex(self.B) / A, torch.view_as_complex(self.C)

    def response(self, z: Tensor) -> Tensor:
        """y of the normalised current z, from a state of zero, both `[T, B, N]`."""
        log_a, b, c = self.system()
        now = (c * b).real.sum(-1) + self.D
        if self.time == "notd":
            return z * now
        if self.time == "sdbp":
            past = c * b.detach() * torch.exp(log_a) / 2
            return z * now + ssm_scan(z.detach(), log_a.detach(), past, torch.zeros_like(now))
        return ssm_scan(z, log_a, c * b * torch.exp(log_a) / 2, now)

    def _walk(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """y, and h after the last step, from the state h `[B, N, 4]` before the first."""
        log_a, b, c = self.system()
        a, y = torch.exp(log_a), []
        for now in z:
            h = a * (h.detach() if self.time == "sdbp" else h) + b * now.unsqueeze(-1)
            y.append((c * h).real.sum(-1) + self.D * now)
        return torch.stack(y), h

    def potential(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """v `[T, B, N]` for the current `x`."""
        z = self.norm(x)
        carry = None
        if memory is None or self.time == "notd":
            y = self.response(z)
        else:
            h, carry = memory.state or (torch.zeros(*z.shape[1:], COMPARTMENTS).to(torch.view_as_complex(self.B)), None)
            y, h = self._walk(z, h)
        r = y.clamp(min=0)
        if self.time == "notd":
            return r
        v = remainders(r.detach(), carry)
        if memory is not None:
            memory.state = (h.detach() if self.time == "sdbp" else h, v[-1] - v[-1].floor())
        return r + (v - r.detach()).to(r.dtype)

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes."""
        if memory is not None:
            memory.step += len(x)
        v = self.potential(x, memory)
        self.crossed = None if self.training else v.detach().floor().sum(-1).long()
        return self.surrogate(v - 1)

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """MACs of the recurrence as a device would run it (b folded into C): 4 for each complex product a h, 2 for its
        read-out, 1 for D; with time cut 1. And the thresholds crossed, with those that sent no spike."""
        steps, batch, neurons = output.shape
        per_neuron = 1 if self.time == "notd" else 6 * COMPARTMENTS + 1
        macs = torch.full((steps, batch), per_neuron * neurons)
        told = {"macs": macs, "dense_macs": macs}
        if self.crossed is not None:
            told |= {"crossings": self.crossed, "crossings_dropped": self.crossed - output.sum(-1).long()}
        return told


class PMSNNet(SpikingNet):
    """`SpikingNet` of PMSN layers. Their batch norms undo any scaling of the weights, and make a bias useless: synapses have
    none, and `calibrate` scales the batch norms instead."""

    def __init__(
        self,
        channels: int,
        hidden: Sequence[int],
        classes: int,
        neuron: Callable[[int], Neuron],
        readout: str = "sum",
    ) -> None:
        super().__init__(channels, hidden, classes, neuron, readout=readout)
        sizes = pairwise([channels, *hidden])
        self.synapses = nn.ModuleList(Synapses(a, b, bias=False, spiking=k > 0) for k, (a, b) in enumerate(sizes))

    def incoming(self, layer: int) -> list[Synapses]:
        """What `calibrate` scales: the batch norm of `layer` (which is no synapse, but has parameters as one has)."""
        return [cast("Synapses", cast("PMSN", self.neurons[layer - 1]).norm)]

    def calibrate(self, x: BatchInput, rate: float = 0.08) -> dict[int, float]:
        """Scale each layer's batch norm for the spike rate `rate` on the batch `x`; they keep the batch's statistics."""
        with adopting(self):
            return super().calibrate(x, rate)
