"""The gated leaky integrate-and-fire neuron (Yao et al., NeurIPS 2022, arXiv 2210.13768).

Per channel or per layer, with s the logistic function of a raw parameter:

    alpha, beta, gamma = s(.)                             gates: leak, integration, reset
    tau, V_th, l, V_re, g[t] = s(.)                       constants, each in (0, 1)
    I[t] = x[t] (1 - beta (1 - g[t]))
    u[t] = (1 - alpha (1 - tau)) u[t-1] (1 - gamma o[t-1]) - (1 - alpha) l + I[t] - (1 - gamma) V_re o[t-1]
    o[t] = 1 if u[t] > V_th (strict),    u[-1] = o[-1] = 0

The spike of a step resets within the next step's update; gradient flows through o[t-1] in both reset terms.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snn5bench.neurons.glif_scan import Coefficients, glif_scan
from snn5bench.neurons.neuron import Memory, Neuron
from snn5bench.neurons.surrogate import Surrogate

GATES = ("alpha", "beta", "gamma")


def logit(value: float) -> float:
    """The raw parameter whose logistic is `value`."""
    return math.log(value / (1 - value))


class _HardGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, gate: Tensor) -> Tensor:
        return (gate > 0.5).to(gate.dtype)

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0]


class GLIF(Neuron):
    """GLIF layer of `neurons` neurons for sequences of exactly `T` steps: `g` has one value per step.

    `channel_wise`: every neuron has its own parameters, (7 + T) N of them; else one set for the layer, 7 + T.
    `hard_gates`: gates are binarised at 0.5 with a straight-through gradient. Initial values as in the official code:
    gates' logits uniform in +-0.1 (its `randomgate`), tau 0.25, V_th = V_re 0.5, g 0.5, l = V_th / 2T; all can be set.

    Time modes: `sdbp` detaches u[t-1] and o[t-1]. `notd` sets them to zero; since g[t] tells the steps apart, a neuron
    that is to know nothing of time gets the mean of g over the steps instead.
    """

    def __init__(
        self,
        neurons: int,
        T: int,
        channel_wise: bool = True,
        hard_gates: bool = False,
        tau: float = 0.25,
        threshold: float = 0.5,
        conductance: float = 0.5,
        linear_leak: float | None = None,
        subtract: float | None = None,
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__()
        self.n, self.T, self.channel_wise, self.hard_gates = neurons, T, channel_wise, hard_gates
        self.surrogate = surrogate if surrogate is not None else Surrogate("rectangle", 1.0)
        linear_leak = threshold / (2 * T) if linear_leak is None else linear_leak
        subtract = threshold if subtract is None else subtract
        for name, value in (
            ("tau", tau), ("threshold", threshold), ("conductance", conductance), ("linear_leak", linear_leak),
            ("subtract", subtract),
        ):  # fmt: skip
            if not 0 < value < 1:
                raise ValueError(f"{name} must be between 0 and 1 (it is a logistic), got {value}")
        size = (neurons,) if channel_wise else (1,)

        def constant(value: float, *shape: int) -> nn.Parameter:
            return nn.Parameter(torch.full(shape, logit(value)))

        self.alpha, self.beta, self.gamma = (nn.Parameter(0.2 * (torch.rand(size) - 0.5)) for _ in GATES)
        self.tau, self.v_th = constant(tau, *size), constant(threshold, *size)
        self.leak, self.v_re = constant(linear_leak, *size), constant(subtract, *size)
        self.conduct = constant(conductance, T, *size)

    def gates(self) -> tuple[Tensor, Tensor, Tensor]:
        """alpha, beta, gamma as used: in (0, 1), or 0 and 1 with hard gates."""
        alpha, beta, gamma = (torch.sigmoid(getattr(self, name)) for name in GATES)
        if self.hard_gates:
            return _HardGate.apply(alpha), _HardGate.apply(beta), _HardGate.apply(gamma)
        return alpha, beta, gamma

    def coefficients(self, start: int, steps: int) -> Coefficients:
        """The recurrence's coefficients for `steps` steps from `start` on, under the present time mode."""
        alpha, beta, gamma = self.gates()
        g = torch.sigmoid(self.conduct)
        if self.time == "notd":
            g = g.mean(0, keepdim=True).expand_as(g)
        leak = 1 - alpha * (1 - torch.sigmoid(self.tau))
        drop = (1 - gamma) * torch.sigmoid(self.v_re)
        if self.time == "notd":
            leak, drop = torch.zeros_like(leak), torch.zeros_like(drop)
        lin = (1 - alpha) * torch.sigmoid(self.leak)
        gain = 1 - beta * (1 - g[start : start + steps])
        per_neuron = [c.expand(self.n) for c in (leak, lin, gamma, drop, torch.sigmoid(self.v_th))]
        leak, lin, gamma, drop, theta = per_neuron
        return Coefficients(leak, lin, gain.expand(steps, self.n), gamma, drop, theta)

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`. A sequence of another length than T is refused."""
        steps = len(x)
        if memory is None and steps != self.T:
            raise ValueError(f"this GLIF layer was built for T = {self.T} steps (g has one value a step), got {steps}")
        memory = memory if memory is not None else Memory()
        if memory.step + steps > self.T:
            raise ValueError(f"this GLIF layer was built for T = {self.T} steps, got step {memory.step + steps}")
        carry = memory.state[0] if memory.state and self.time != "notd" else None
        coefficients = self.coefficients(memory.step, steps)
        spikes, carry = glif_scan(x, carry, coefficients, self.surrogate, self.time == "full")
        memory.state, memory.step = (carry,), memory.step + steps
        return spikes

    def operations(self, inputs: tuple[Tensor, ...], output: Tensor) -> dict[str, Tensor]:
        """What a counter cannot see: the current of each neuron is multiplied once a step, per step and sample."""
        return {"current_scalings": torch.full(output.shape[:2], float(self.n))}

    def extra_repr(self) -> str:
        """Sizes, gate mode and time mode."""
        kind = "channel-wise" if self.channel_wise else "layer-wise"
        return f"{self.n}, T={self.T}, {kind}, hard_gates={self.hard_gates}, time={self.time}"
