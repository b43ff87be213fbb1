"""The diagonal state-space layer S4D (Gu et al., 2022), as SpikingSSMs use it (Shen et al., AAAI 2025, arXiv 2408.14909).

    A_n = -exp(log_A_real) + i A_imag,   a_n = exp(dt A_n)                    N/2 conjugate pairs a channel
    h_n[t] = a_n h_n[t-1] + x[t]
    y[t] = 2 Re sum_n C_n B_n (a_n - 1) / A_n h_n[t] + D x[t]                 zero-order hold

S4D-Lin: log_A_real = ln 0.5, A_imag = pi n; log dt uniform in [ln dt_min, ln dt_max]; C complex Gaussian, D Gaussian;
B = 1, trained only on request. The recurrence is computed exactly, see `ssm_scan`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from snn5bench.neurons.neuron import Time, checked_time
from snn5bench.neurons.ssm_scan import ssm_scan


class S4D(nn.Module):
    """`[T, B, H] -> [T, B, H]`, real to real, one single-input single-output system a channel.

    `bidirectional` adds a second system that runs backwards from the step after t (official: two kernels, the reversed
    one beginning at lag -1); it is then not causal.

    `set_time`: `notd` keeps the instantaneous path, y[t] = (2 Re sum C_n B_n (a_n - 1)/A_n + D) x[t], and cuts the state
    (and the second direction). `sdbp` has the same output; h[t-1] is detached where it enters step t.
    """

    time: Time = "full"

    def __init__(
        self,
        channels: int,
        states: int = 16,
        dt_min: float = 1e-3,
        dt_max: float = 0.1,
        train_b: bool = False,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        if states < 2 or states % 2:
            raise ValueError(f"states must be an even number from 2 on (conjugate pairs), got {states}")
        if not 0 < dt_min <= dt_max:
            raise ValueError(f"dt_min must be above 0 and at most dt_max, got {dt_min} and {dt_max}")
        self.channels, self.states, self.bidirectional = channels, states, bidirectional
        pairs, ways = states // 2, 2 if bidirectional else 1
        low, high = math.log(dt_min), math.log(dt_max)
        self.log_dt = nn.Parameter(low + (high - low) * torch.rand(channels))
        self.log_A_real = nn.Parameter(torch.full((channels, pairs), math.log(0.5)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(pairs).repeat(channels, 1).float())
        self.C = nn.Parameter(torch.randn(ways, channels, pairs, 2) * math.sqrt(0.5))
        self.B = nn.Parameter(torch.tensor([1.0, 0.0]).repeat(channels, pairs, 1), requires_grad=train_b)
        self.D = nn.Parameter(torch.randn(channels))

    def slow_parameters(self) -> list[nn.Parameter]:
        """What S4 trains at a lower rate: the step, A, and B."""
        return [self.log_dt, self.log_A_real, self.A_imag, self.B]

    def system(self) -> tuple[Tensor, Tensor]:
        """dt A `[H, N/2]` and C B (a - 1) / A `[ways, H, N/2]`, complex."""
        A = torch.complex(-torch.exp(self.log_A_real), self.A_imag)
        log_a = A * torch.exp(self.log_dt).unsqueeze(-1)
        gain = torch.view_as_complex(self.B) * (torch.exp(log_a) - 1) / A
        return log_a, torch.view_as_complex(self.C) * gain

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """y, times `scale` `[H]` where given (free: it is folded into C and D)."""
        log_a, c = self.system()
        direct: Tensor = self.D
        if scale is not None:
            c, direct = c * scale.unsqueeze(-1), direct * scale
        now = 2 * c.real.sum(-1)
        now[0] = now[0] + direct
        if self.time == "notd":
            return x * now[0]
        if self.time == "sdbp":
            past, source = c * torch.exp(log_a), x.detach()
            y = x * now[0] + ssm_scan(source, log_a.detach(), past[0], torch.zeros_like(direct))
        else:
            past, source = c * torch.exp(log_a), x
            y = ssm_scan(source, log_a, past[0], now[0])
        if self.bidirectional:
            fixed = log_a if self.time == "full" else log_a.detach()
            back = ssm_scan(source.flip(0), fixed, past[1], now[1])
            y = y + torch.cat([back[:-1].flip(0), torch.zeros_like(x[:1])])
        return y

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd`."""
        self.time = checked_time(mode)

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """MACs of the recurrence as a device would run it: 4 for a complex state's own product and 2 for its read-out,
        per pair, channel and step, and 1 for D; the inputs are real and dense. With time cut, 1 a channel and step."""
        steps, batch, channels = output.shape
        ways = self.C.shape[0]
        per_step = channels if self.time == "notd" else channels * (3 * self.states * ways + 1)
        held = 0 if self.time == "notd" else channels * self.states * ways
        macs = torch.full((steps, batch), per_step)
        states = torch.full((steps, batch), held)
        return {"macs": macs, "dense_macs": macs, "state_reads": states, "state_writes": states}

    def extra_repr(self) -> str:
        """Sizes and time mode."""
        return f"{self.channels}, states={self.states}, bidirectional={self.bidirectional}, time={self.time}"
