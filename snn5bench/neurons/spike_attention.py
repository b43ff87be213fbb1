"""What spiking Transformers share: the product of spikes without a softmax, the mean over tokens, the first scaling."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, dense
from snn5bench.neurons.norms import adopting


class SpikeProduct(nn.Module):
    """Spiking self-attention (Zhou et al., ICLR 2023): spikes Q, K, V `[..., D, N]` (channels, tokens) to whole numbers
    `[..., D, N]`

        Y = V (K^T Q) = (V K^T) Q

    each token's Q against all keys, summed over the values. Both orders give the same to the bit below 2^24; the cheaper one
    runs: the first where there are fewer tokens than channels of a head. No causal mask: tokens see each other, steps do
    not.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Y."""
        if by_tokens(q):
            return v @ (k.transpose(-2, -1) @ q)
        return (v @ k.transpose(-2, -1)) @ q

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """Additions only, since one side of each product holds spikes: one for each pair of spikes that meet in the first
        product, one for each spike and non-zero number that meet in the second."""
        q, k, v = inputs
        if by_tokens(q):
            first = k.sum(-1) * q.sum(-1)
            between = (k.transpose(-2, -1) @ q != 0).sum(-1)
            second = between * v.sum(-2)
        else:
            first = v.sum(-2) * k.sum(-2)
            between = (v @ k.transpose(-2, -1) != 0).sum(-2)
            second = between * q.sum(-1)
        return {"matmul_acs": (first.flatten(2).sum(-1) + second.flatten(2).sum(-1)).long()}


def by_tokens(q: Tensor) -> bool:
    """Whether K^T Q `[N, N]` is smaller than V K^T `[D, D]`."""
    return q.shape[-1] < q.shape[-2]


class TokenMean(nn.Module):
    """`[T, B, D, ...]` to its mean over all but the first three dimensions, `[T, B, D]`."""

    def forward(self, x: Tensor) -> Tensor:
        """The mean."""
        return x.flatten(3).mean(-1)

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """One addition for each value but the first of each mean; the division goes into the next weights."""
        adds = inputs[0][0, 0].numel() - output[0, 0].numel()
        return {"pool_adds": torch.full(output.shape[:2], adds)}


@torch.no_grad()
def start(
    model: nn.Module, x: BatchInput, rate: float, neurons: type[nn.Module], readout: nn.Linear, reads: str
) -> None:
    """Make each layer of `neurons` spike at `rate` at least on the batch `x` (0: leave all as published), by the scale of
    the batch norm before it; then scale the read-out so that the logits as read out have a deviation of 1. Batch norms take
    over the batch's statistics."""
    x = dense(x)
    with adopting(model):
        if rate:
            wake(model, x, neurons, rate)
        logits = model(x)
    scale_to_unit(readout, logits, reads)


@torch.no_grad()
def scale_to_unit(readout: nn.Linear, logits: Tensor, reads: str) -> None:
    """Rescale a read-out so that its `logits` `[T, B, classes]`, as the harness reads them, have a deviation of 1."""
    deviation = (logits[-1] if reads == "last" else logits.sum(0)).std().item()
    if deviation > 0:
        readout.weight.div_(deviation)
        readout.bias.div_(deviation)


class SpikeAttention(Protocol):
    """What `wake` needs of an attention module."""

    attn_lif: nn.Module
    """The neurons behind the product."""
    gain: Tensor
    """A factor of their input, 1 as published."""

    def sources(self) -> list[nn.Module]:
        """The neurons that send Q, K and V."""
        ...


class Lever(NamedTuple):
    """A layer of neurons, and the tensor that scales its input."""

    layer: nn.Module
    scale: Tensor
    step: float
    most: float
    rate: float


def levers(model: nn.Module, neurons: type[nn.Module], rate: float) -> list[Lever]:
    """One for every layer of `neurons`: the scale of the batch norm that stands before it, up to 4; for those of an
    attention its gain, up to 8, where each coincidence is a spike. Q, K and V are to spike three times as often as the rest,
    since three spikes have to meet."""
    found, norm = [], torch.ones(1)
    gains: dict[nn.Module, Tensor] = {}
    sources: set[nn.Module] = set()
    for module in model.modules():
        if hasattr(module, "attn_lif"):
            attention = cast("SpikeAttention", module)
            gains[attention.attn_lif] = attention.gain
            sources.update(attention.sources())
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            norm = module.weight
        elif isinstance(module, neurons) and module in gains:
            found.append(Lever(module, gains[module], 2.0, 8.0, rate))
        elif isinstance(module, neurons):
            found.append(Lever(module, norm, 2**0.5, 4.0, min(3 * rate, 0.5) if module in sources else rate))
    return found


@torch.no_grad()
def wake(model: nn.Module, x: Tensor, neurons: type[nn.Module], rate: float) -> None:
    """Scale the input of each layer until it spikes at `rate` at least for `x` `[T, B, C]`, as far as its lever goes, in one
    forward pass of a fresh model (offsets of batch norms are zero there, so that scaling its input scales the layer's).
    Where time is cut, or the network small, the published start is silent, and what lies behind a silent layer gets no
    gradient."""

    def louder(lever: Lever, given: Tensor, out: Tensor) -> Tensor:
        factor = 1.0
        while out.mean() < lever.rate and factor < lever.most - 1e-6:
            factor *= lever.step
            reset = getattr(lever.layer, "reset", None)
            if callable(reset):
                reset()
            out = lever.layer.forward(given * factor)
        lever.scale.mul_(factor)
        return out

    hooks = [
        lever.layer.register_forward_hook(lambda module, given, out, lever=lever: louder(lever, given[0], out))
        for lever in levers(model, neurons, rate)
    ]
    model(x)
    for hook in hooks:
        hook.remove()
