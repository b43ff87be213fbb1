"""Saccadic spike self-attention, the core of SNN-ViT (Wang et al., ICLR 2025, arXiv 2502.12677, eq. 5-11).

    Q'[t, n] = sum_d Q[t, n, d],   K'[t, n] = sum_d K[t, n, d]                 spike counts of a token
    Patch[t] = Q'[t] K'[t]^T L,    L = ones                                    V1
    Patch[t] = alpha[t] Q'[t],     alpha[t] = sum_n K'[t, n]                   V2: the same by associativity
    H[t] = sum_{s <= t} M_w[t, s] Patch[s]
    S[t] = Theta(H[t] - V_th),     output S[t] * V[t]                          one gate for all channels of a token

M_w `[T, T]` is learned and lower triangular: the only path of time here, without membrane or reset. The gate weighs the
salience of a token; which of its channels fire plays no part.

The paper's inference decouples the steps, S[t] = Theta(Q'[t] - (M_w^-1 V_th)[t] / alpha[t]). That is another function
unless M_w is diagonal: M_w = [[1, 0], [1, 1]], V_th = [1, 2], counts [3, 0] give (1, 1) coupled and (1, 0) decoupled. It is
an option here, and how often the two differ is reported with the operations.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from snn5bench.neurons.neuron import Time, checked_time
from snn5bench.neurons.surrogate import Surrogate

Form = Literal["v1", "v2", "v2-decoupled"]


def counts(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Q' and K' `[..., N]` of spikes `[..., N, D]`; exact whole numbers."""
    return q.sum(-1), k.sum(-1)


def patches(mine: Tensor, theirs: Tensor, form: Form) -> Tensor:
    """Patch `[..., N]` of the counts Q' and K' `[..., N]`: whole numbers, the same for V1 and V2 to the bit below 2^24."""
    if form == "v1":
        return (mine.unsqueeze(-1) * theirs.unsqueeze(-2)).sum(-1)
    return theirs.sum(-1, keepdim=True) * mine


class Saccade(nn.Module):
    """The attention of one layer for sequences of exactly `T` steps: spikes `[T, B, heads, N, D]` in and out.

    Initial M_w and V_th are not known from the paper; ours are M_w[t, s] = decay^(t - s) and V_th = 1, set by `calibrate`
    to a share of open gates. M_w is masked at every call, so that training cannot open the future. V_th is learned as its
    logarithm; the surrogate sees H / V_th - 1.

    Time modes: `notd` replaces M_w by the mean of its diagonal (each entry belongs to one step, as g does in GLIF) and
    cuts the rest; `sdbp` detaches Patch[s] for s < t.
    """

    time: Time = "full"

    def __init__(self, T: int, form: Form = "v2", decay: float = 0.5, surrogate: Surrogate | None = None) -> None:
        super().__init__()
        if form not in get_args(Form):
            raise ValueError(f"form must be one of {', '.join(get_args(Form))}, got '{form}'")
        self.T, self.form = T, form
        self.surrogate = surrogate if surrogate is not None else Surrogate("triangle", 1.0)
        lag = (torch.arange(T).unsqueeze(1) - torch.arange(T)).clamp(min=0).float()
        self.saccade = nn.Parameter(torch.tril(torch.as_tensor(decay) ** lag))
        self.log_threshold = nn.Parameter(torch.zeros(()))

    def mixing(self) -> Tensor:
        """M_w `[T, T]` as used: lower triangular, or a multiple of the identity where time is cut."""
        if self.time == "notd":
            return torch.eye(self.T).to(self.saccade) * self.saccade.diagonal().mean()
        return torch.tril(self.saccade)

    def drive(self, patch: Tensor) -> Tensor:
        """H `[T, ...]` of `patch` `[T, ...]`."""
        if len(patch) != self.T:
            raise ValueError(f"this attention was built for T = {self.T} steps (M_w is T x T), got {len(patch)}")
        mixing, flat = self.mixing(), patch.flatten(1)
        if self.time == "notd":
            return patch * mixing[0, 0]
        if self.time == "sdbp":
            drive = torch.tril(mixing, -1) @ flat.detach() + mixing.diagonal().unsqueeze(1) * flat
        else:
            drive = mixing @ flat
        return drive.view_as(patch)

    def coupled_gate(self, mine: Tensor, theirs: Tensor) -> Tensor:
        """S `[T, B, heads, N]`, coupled in time, of the counts Q' and K' `[T, B, heads, N]`."""
        return self.surrogate(self.drive(patches(mine, theirs, self.form)) / self.log_threshold.exp() - 1)

    @torch.no_grad()
    def decoupled_gate(self, mine: Tensor, theirs: Tensor) -> Tensor:
        """S by the paper's inference, each step for itself. Raises ValueError where the diagonal of M_w is not positive
        (the inequality would turn round). A step without keys (alpha = 0) has no spike."""
        mixing = self.mixing()
        if not bool((mixing.diagonal() > 0).all()):
            raise ValueError("the decoupled form needs a positive diagonal of M_w; this one has an entry at or below 0")
        level = torch.full((self.T, 1), float(self.log_threshold.exp())).to(mixing)
        level = torch.linalg.solve_triangular(mixing, level, upper=False).view(-1, 1, 1, 1)
        alpha = theirs.sum(-1, keepdim=True)
        return ((alpha > 0) & (mine * alpha >= level)).to(mine.dtype)

    def gate(self, mine: Tensor, theirs: Tensor) -> Tensor:
        """S as used. The decoupled form is used at evaluation only: training needs the coupled one."""
        decoupled = self.form == "v2-decoupled" and not self.training
        return self.decoupled_gate(mine, theirs) if decoupled else self.coupled_gate(mine, theirs)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """S * V, `[T, B, heads, N, D]`."""
        return self.gate(*counts(q, k)).unsqueeze(-1) * v

    @torch.no_grad()
    def calibrate(self, q: Tensor, k: Tensor, share: float) -> None:
        """Set V_th so that about `share` of the gates are open for these spikes."""
        drive = self.drive(patches(*counts(q, k), "v2")).flatten()
        rank = min(len(drive) - 1, int((1 - share) * len(drive)))
        threshold = drive.kthvalue(rank + 1).values
        if threshold > 0:
            self.log_threshold.copy_(threshold.log())

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd`."""
        self.time = checked_time(mode)

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """Additions for the counts (one a spike of Q and K, and N for alpha), products of counts (N for V2, N^2 for V1)
        and M_w: t + 1 MACs a token at step t, or 1 where time is cut or decoupled (there a comparison of the counts).
        The gate itself is a mask. For the decoupled form also how many gates differ from the coupled ones."""
        q, k, _ = inputs
        steps, batch, heads, tokens, _ = q.shape
        rows = heads * tokens
        one_step = self.time == "notd" or self.form == "v2-decoupled"
        lags = torch.ones(steps) if one_step else torch.arange(1, steps + 1)
        pairs = rows * tokens if self.form == "v1" else rows
        told = {
            "macs": (lags.long() * rows).unsqueeze(1).expand(steps, batch),
            "matmul_macs": torch.full((steps, batch), pairs),
            "matmul_acs": (q.sum((2, 3, 4)) + k.sum((2, 3, 4))).long() + pairs,
        }
        if self.form == "v2-decoupled":
            told["gates"] = torch.full((steps, batch), rows)
            mine, theirs = counts(q, k)
            unlike = self.decoupled_gate(mine, theirs) != self.coupled_gate(mine, theirs)
            told["gates_unlike_coupled"] = unlike.sum((2, 3))
        return told

    def extra_repr(self) -> str:
        """Steps, form and time mode."""
        return f"T={self.T}, form={self.form}, time={self.time}"
