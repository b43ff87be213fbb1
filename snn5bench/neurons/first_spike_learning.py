"""The learning rule of S4NN, one sample an update, and its accuracy under every rule for ties.

    e_j = (T_j - t_j) / T                     T_j: `first_spike.targets`
    delta^o = e / |e|                         nothing where e = 0
    W^o_ji <- (1 - eta_o lambda) (W^o_ji - eta_o delta^o_j [t_i <= t_j])
    delta^h_i = sum_j delta^o_j [t_i <= t_j] W^o_ji / |...|      with the W^o just changed
    W^h_ik <- (1 - eta_h lambda) (W^h_ik - eta_h delta^h_i [t_k <= t_i])

[t_i <= t_j]: neuron i spiked, and not after j (a silent j counts every spike). More weight means an earlier spike: dt/dV is
taken as -1, and e < 0 asks for an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from snn5bench.neurons.first_spike import S4NN, Outcome, first, targets


class Rule(NamedTuple):
    """Constants of the rule: learning rates of both layers, margin gamma in steps, decay lambda."""

    lr_hidden: float
    lr_out: float
    gamma: int
    decay: float


class Update(NamedTuple):
    """What one update was made of."""

    error: Tensor
    """e `[classes]`."""
    delta_out: Tensor
    delta_hidden: Tensor
    fired: Tensor
    """Whether each hidden neuron spiked, bool."""


def unit(x: Tensor) -> Tensor:
    """`x` at length 1, or as it is where it is zero."""
    length = x.norm()
    return x / length if length > 0 else x


def contributed(sender: Tensor, receiver: Tensor, T: int) -> Tensor:
    """`[receivers, senders]`: 1 where the sender spiked, and not after the receiver."""
    return ((sender < T) & (sender <= receiver.unsqueeze(1))).float()


@torch.no_grad()
def learn(net: S4NN, x: Tensor, label: int, rule: Rule) -> Update:
    """One update on the one-spike trains `x` `[T, 1, C]` of one sample."""
    T = len(x)
    hidden = net.neuron(net.hidden(x))
    t_in, t_hidden, t_out = (first(part)[0] for part in (x, hidden, net.output(net.readout(hidden))))
    error = (targets(t_out, label, rule.gamma, T) - t_out) / T
    delta = unit(error)
    w_out, w_hidden = net.readout.weight, net.hidden.weight
    seen = contributed(t_hidden, t_out, T)
    w_out.sub_(rule.lr_out * delta.unsqueeze(1) * seen).mul_(1 - rule.lr_out * rule.decay)
    back = unit((delta.unsqueeze(1) * seen * w_out).sum(0))
    w_hidden.sub_(rule.lr_hidden * back.unsqueeze(1) * contributed(t_in, t_hidden, T))
    w_hidden.mul_(1 - rule.lr_hidden * rule.decay)
    return Update(error, delta, back, t_hidden < T)


@torch.no_grad()
def redraw(net: S4NN, fired: Tensor, share: float) -> int:
    """Draw the incoming weights of each hidden neuron anew that spiked for less than `share` of the samples (`fired`:
    its share). Returns how many."""
    idle = fired < share
    count = int(idle.sum())
    if count:
        fresh = torch.rand(count, net.hidden.in_features, dtype=net.hidden.weight.dtype) * net.spread[0]
        net.hidden.weight[idle] = fresh
    return count


@dataclass(frozen=True)
class Score:
    """Shares of samples: right under each rule for outputs that spike first in the same step, tied, and silent."""

    potential: float
    """The highest potential at the spike wins, then the lowest index: the default."""
    index: float
    """The lowest index wins."""
    random: float
    """Expected, if one of them is drawn."""
    optimistic: float
    """Right if the true class is among them: what the authors' code reports."""
    silent_wrong: float
    """As `potential`, but a silent sample is wrong; in the others the highest last potential decides for it."""
    tied: float
    silent: float


def score(outcomes: list[Outcome], labels: Tensor, T: int) -> Score:
    """The scores of all batches together; `labels` `[samples]`."""
    times, at_spike, at_end = (torch.cat(parts) for parts in zip(*outcomes, strict=True))
    earliest = times.min(1, keepdim=True).values
    among, silent = times == earliest, (earliest == T).squeeze(1)
    fallback = at_end.argmax(1) == labels
    chosen = at_spike.masked_fill(~among, -torch.inf).argmax(1) == labels
    has = among.gather(1, labels.unsqueeze(1)).squeeze(1)
    right = {
        "potential": chosen,
        "index": among.int().argmax(1) == labels,
        "random": has / among.sum(1),
        "optimistic": has,
    }
    shares = {
        name: torch.where(silent, fallback.double(), value.double()).mean().item() for name, value in right.items()
    }
    return Score(
        **shares,
        silent_wrong=(chosen & ~silent).double().mean().item(),
        tied=((among.sum(1) > 1) & ~silent).double().mean().item(),
        silent=silent.double().mean().item(),
    )
