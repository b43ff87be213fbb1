"""LIF layers whose spikes come back later than at the next step: ASRC (Xu et al., 2025) and DelRec (2025)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from snn5bench.neurons.neuron import Memory, Neuron
from snn5bench.neurons.surrogate import Surrogate


class DelayedRecurrence(Neuron):
    """LIF layer with one recurrent matrix V fed by its own past, `[T, B, N] -> [T, B, N]`.

        r_j[t] = sum_l K_l,j s_j[t - l],   l = 1..L                what arrives of the spikes of neuron j
        v[t] = d v[t-1] - theta s[t-1] + V r[t] + x[t]             soft reset
        s[t] = H(v[t] - theta)

    A subclass gives the kernel K: in training a smooth one, so that the lags can be learned; at evaluation exactly one lag
    a neuron, so that what arrives are spikes. V starts orthogonal.

    `sdbp` detaches all that comes from earlier steps; `notd` is v[t] = x[t], without recurrence. The operations counted are
    those of evaluation, for calls on whole sequences: a spike that would arrive after the last step costs nothing.
    """

    def __init__(self, neurons: int, decay: float, threshold: float, surrogate: Surrogate | None) -> None:
        super().__init__()
        self.decay, self.threshold = decay, threshold
        self.surrogate = surrogate or Surrogate("triangle", 1.0)
        self.recurrent_weight = nn.Parameter(nn.init.orthogonal_(torch.empty(neurons, neurons)))

    def anneal(self, share: float) -> None:
        """Sharpen the kernel for a training of which `share` (0 to 1) is done."""

    def kernel(self) -> Tensor:
        """K in training: `[L, N]`, or `[L, 1]` where all neurons share it; row 0 is lag 1."""
        raise NotImplementedError

    def lags(self) -> Tensor:
        """The lag of each neuron at evaluation, int64 `[N]` or `[1]`, from 1 to `longest`."""
        raise NotImplementedError

    @property
    def longest(self) -> int:
        """The longest lag at evaluation."""
        raise NotImplementedError

    def present_kernel(self) -> Tensor:
        """K as the forward pass uses it now."""
        if self.training:
            return self.kernel()
        lags = torch.arange(1, self.longest + 1, device=self.recurrent_weight.device)
        return (lags[:, None] == self.lags()).to(self.recurrent_weight.dtype)

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`."""
        memory = memory if memory is not None else Memory()
        memory.step += len(x)
        if self.time == "notd":
            return self.surrogate(x - self.threshold)
        kernel = self.present_kernel()[:, None]
        none = x.new_zeros(1, *x.shape[1:])
        carry, due = memory.state or (none[0], none.expand(len(kernel), -1, -1))
        spikes = []
        for current in x:
            if self.time == "sdbp":
                carry, due = carry.detach(), due.detach()
            v = carry + due[0] @ self.recurrent_weight.t() + current
            s = self.surrogate(v - self.threshold)
            carry = self.decay * v - self.threshold * s
            due = torch.cat([due[1:], none]) + kernel * s
            spikes.append(s)
        memory.state = (carry.detach(), due.detach()) if self.time == "sdbp" else (carry, due)
        return torch.stack(spikes)

    @property
    def delay_bits(self) -> int:
        """Bits of the ring buffers that hold each neuron's spikes until they are due, for one sample."""
        if self.time == "notd":
            return 0
        return int(self.lags().expand(len(self.recurrent_weight)).sum())

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """An accumulation for each non-zero weight that an arriving spike meets."""
        if self.time == "notd":
            return {}
        steps, batch, neurons = output.shape
        weight = self.recurrent_weight
        since = torch.arange(steps, device=output.device)[:, None] - self.lags().expand(neurons)
        sent = (output != 0).gather(0, since.clamp(min=0)[:, None].expand(-1, batch, -1))
        arriving = sent & (since >= 0)[:, None]
        each = torch.ones(batch, dtype=torch.int64, device=output.device)
        return {
            "acs": (arriving * (weight != 0).sum(0)).sum(2),
            "recurrent_events": arriving.sum(2),
            "dense_macs": each * steps * neurons * neurons,
            "weights": each * weight.numel(),
            "zero_weights": each * int((weight == 0).sum()),
        }

    def extra_repr(self) -> str:
        """Constants and time mode."""
        return f"decay={self.decay}, threshold={self.threshold}, longest={self.longest}, time={self.time}"


class ASRC(DelayedRecurrence):
    """Skip recurrence of one lag for the whole layer (Xu et al., 2025, arXiv 2505.11455).

        SRC     K = 1 at lag `skip`
        ASRC    K_l = softmax(p / tau)_l for l = 1..skip in training, 1 at the largest p at evaluation

    p starts at 0. The temperature tau goes from 1 by a factor `cooling` for each hundredth of the training.
    """

    temperature: Tensor

    def __init__(
        self,
        neurons: int,
        skip: int,
        adaptive: bool = True,
        cooling: float = 0.96,
        decay: float = 0.5,
        threshold: float = 1.0,
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(neurons, decay, threshold, surrogate)
        if skip < 1:
            raise ValueError(f"the skip must be at least 1 step, got {skip}")
        self.skip, self.cooling = skip, cooling
        self.p = nn.Parameter(torch.zeros(skip)) if adaptive else None
        self.register_buffer("temperature", torch.ones(()))

    def anneal(self, share: float) -> None:
        """The temperature after `share` of the training."""
        self.temperature.fill_(self.cooling ** (100 * share))

    def kernel(self) -> Tensor:
        """`[skip, 1]`."""
        if self.p is None:
            lags = torch.arange(1, self.skip + 1, device=self.recurrent_weight.device)
            return (lags[:, None] == self.skip).to(self.recurrent_weight.dtype)
        return torch.softmax(self.p / self.temperature, 0)[:, None]

    def lags(self) -> Tensor:
        """`[1]`: the most likely lag; the first of equals."""
        if self.p is None:
            return torch.full((1,), self.skip, device=self.recurrent_weight.device)
        return 1 + self.p.detach().argmax()[None]

    @property
    def longest(self) -> int:
        """The skip."""
        return self.skip


class RecDelays(DelayedRecurrence):
    """Recurrence with one learned delay for each sending neuron (DelRec, 2025, arXiv 2509.24852).

        K_l,j = max(0, w - |l - (1 + d_j)|) / w^2,   w = 1 + sigma,   l = 1, 2, ...
        sigma = sigma_0 0.95^(100 share of the training done)

    The delay is 1 + d, with d >= 0 kept in 0..longest - 1; d starts half-normal with deviation `spread`. What falls on lags
    below 1 is lost, as in the authors' code. At sigma = 0 the triangle interpolates between two steps. At evaluation d is
    rounded: ours, so that what arrives are spikes.
    """

    sigma: Tensor

    def __init__(
        self,
        neurons: int,
        longest: int,
        spread: float = 12.0,
        sigma: float = 10.0,
        decay: float = 0.5,
        threshold: float = 1.0,
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(neurons, decay, threshold, surrogate)
        if longest < 1:
            raise ValueError(f"the longest delay must be at least 1 step, got {longest}")
        self._longest, self._first = longest, sigma
        self.d = nn.Parameter((spread * torch.randn(neurons)).abs().clamp(max=longest - 1))
        self.register_buffer("sigma", torch.tensor(float(sigma)))

    def anneal(self, share: float) -> None:
        """The width after `share` of the training."""
        self.sigma.fill_(self._first * 0.95 ** (100 * share))

    @torch.no_grad()
    def _keep(self) -> None:
        if self.d.min() < 0 or self.d.max() > self._longest - 1:
            self.d.clamp_(0, self._longest - 1)

    def kernel(self) -> Tensor:
        """`[L, N]`, as far as the triangles reach."""
        self._keep()
        width = 1 + self.sigma
        reach = self._longest + math.ceil(width.item()) - 1
        lags = torch.arange(1, reach + 1, device=self.d.device, dtype=self.d.dtype)
        return (width - (lags[:, None] - 1 - self.d).abs()).clamp(min=0) / width**2

    def lags(self) -> Tensor:
        """`[N]`: the delays, rounded."""
        return 1 + self.d.detach().clamp(0, self._longest - 1).round().long()

    @property
    def longest(self) -> int:
        """Longest delay in steps."""
        return self._longest
