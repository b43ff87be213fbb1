"""How the weights of the surrogate dynamic network are made: `python -m snn5bench.neurons.sdn_training`.

The network of SpikingSSMs (Shen et al., AAAI 2025, arXiv 2408.14909) learns the membrane potential of a hard-reset LIF
neuron, after the leak and before the new input, from the input alone:

    u'[t] = tau u[t-1] + I[t],   s[t] = H(u'[t] - 1),   u[t] = u'[t] (1 - s[t])        target: m[t] = tau u[t-1]

on inputs drawn from N(0, 1). Ours: 6,000 sequences of 256 steps, 100 epochs of batches of 64 sequences, mean squared
error, Adam at 0.01 on a cosine, the best of six starts on 1,000 further sequences. The paper: 100,000 of 1,024 steps, 100
epochs, mean squared error; its code: 50,000, smooth-L1, AdamW with weight decay 0.01.
"""

from __future__ import annotations

import sys
from textwrap import wrap

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.neurons.lif_scan import LifConstants, lif_scan
from snn5bench.neurons.surrogate import Surrogate

WINDOW = 8
"""Steps of input that a prediction sees, and channels of the network."""
_BATCH = 64
_LENGTH = 256


class SurrogateNet(nn.Module):
    """193 parameters, from the inputs of the eight steps before t, oldest first, to the membrane m[t].

    Encoder 1 to 8 without bias; depthwise filter of 8 taps, batch norm, ReLU; 8 to 8 with batch norm, added to its input,
    ReLU; 8 to 1. The paper writes it as convolutions over time; seen from one step it is this function of a window.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Parameter(nn.init.uniform_(torch.empty(WINDOW), -1, 1))
        self.taps = nn.Linear(WINDOW, WINDOW)
        self.taps_norm = nn.BatchNorm1d(WINDOW)
        self.mix = nn.Linear(WINDOW, WINDOW)
        self.mix_norm = nn.BatchNorm1d(WINDOW)
        self.decode = nn.Linear(WINDOW, 1)

    def forward(self, window: Tensor) -> Tensor:
        """Predicted m `[S]` from windows `[S, 8]`."""
        z = F.linear(window, self.taps.weight * self.encode.unsqueeze(1), self.taps.bias)
        z = torch.relu(self.taps_norm(z))
        z = torch.relu(z + self.mix_norm(self.mix(z)))
        return self.decode(z).squeeze(1)


def windows(x: Tensor) -> Tensor:
    """`[S, L, 8]`: the eight inputs before each step of `x` `[S, L]`, zero before the start."""
    return F.pad(x, (WINDOW, 0)).unfold(1, WINDOW, 1)[:, :-1]


@torch.no_grad()
def true_membrane(x: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """m = tau u[t-1] and the spikes of the sequential neuron, both `[S, L]`, for inputs `[S, L]`."""
    constants = LifConstants(tau, 1.0, hard=True, detach_reset=False, through_time=False)
    membrane, spikes = torch.empty_like(x), torch.empty_like(x)
    carry = torch.zeros(1, len(x), dtype=x.dtype)
    for t in range(x.shape[1]):
        membrane[:, t] = carry[0]
        out, carry = lif_scan(x[:, t].reshape(1, 1, -1), carry, constants, Surrogate())
        spikes[:, t] = out[0, 0]
    return membrane, spikes


def train(tau: float, sequences: int = 6000, epochs: int = 100, seed: int = 0) -> SurrogateNet:
    """A network trained from one start; deterministic for one thread of one kind of processor."""
    torch.manual_seed(seed)
    x = torch.randn(sequences, _LENGTH)
    seen = windows(x).contiguous()
    target = true_membrane(x, tau)[0]
    net = SurrogateNet()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * -(-sequences // _BATCH))
    for _ in range(epochs):
        for rows in torch.randperm(sequences).split(_BATCH):
            optimiser.zero_grad(set_to_none=True)
            F.mse_loss(net(seen[rows].view(-1, WINDOW)), target[rows].view(-1)).backward()
            optimiser.step()
            schedule.step()
    return net.eval()


@torch.no_grad()
def disagreement(net: SurrogateNet, tau: float, sequences: int = 1000, seed: int = 1000) -> float:
    """Share of steps at which the network and the sequential neuron do not agree whether to spike."""
    x = torch.randn(sequences, _LENGTH, generator=torch.Generator().manual_seed(seed))
    predicted = net(windows(x).reshape(-1, WINDOW)).view_as(x) + x >= 1
    return (predicted != true_membrane(x, tau)[1].bool()).float().mean().item()


def best(tau: float, starts: int = 6) -> SurrogateNet:
    """The start that ends with the fewest disagreements."""
    nets = [train(tau, seed=seed) for seed in range(starts)]
    return min(nets, key=lambda net: disagreement(net, tau))


def as_text(net: SurrogateNet) -> str:
    """Parameters and running statistics as decimals that give the same float32 back, in the order of the state."""
    values = [f"{v:.9g}" for tensor in _stored(net) for v in tensor.flatten().tolist()]
    return "\n".join(wrap(" ".join(values), 118))


def from_text(text: str) -> SurrogateNet:
    """The network that `as_text` wrote."""
    net = SurrogateNet()
    values = torch.tensor([float(v) for v in text.split()])
    stored = _stored(net)
    if sum(tensor.numel() for tensor in stored) != len(values):
        raise ValueError(f"a surrogate dynamic network has 225 stored values, got {len(values)}")
    with torch.no_grad():
        for tensor, part in zip(stored, values.split([tensor.numel() for tensor in stored]), strict=True):
            tensor.copy_(part.view_as(tensor))
    return net.eval()


def _stored(net: SurrogateNet) -> list[Tensor]:
    return [tensor for name, tensor in net.state_dict(keep_vars=True).items() if "num_batches" not in name]


if __name__ == "__main__":
    torch.set_num_threads(1)
    leak = float(sys.argv[1]) if len(sys.argv) > 1 else 0.125
    sys.stdout.write(
        '"""Weights of the surrogate dynamic network, written by `snn5bench.neurons.sdn_training`."""\n\n'
        f'TAU = {leak}\n"""The leak of the neuron that they imitate; threshold 1, hard reset to 0."""\n\n'
        f'WEIGHTS = """\n{as_text(best(leak))}\n"""\n'
    )
