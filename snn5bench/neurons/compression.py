"""Pruning and quantisation on the weights of any network, in either order, as a parametrisation of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snn5bench.neurons.prune import Pruning, masks, ties
from snn5bench.neurons.quantise import Quantiser, quantise

Order = Literal["prune-quantise", "quantise-prune"]
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Squeeze(nn.Module):
    """Parametrisation of one weight: its mask, and its quantiser once `bits` is set.

    prune-quantise: mask * Q(mask * w), the range taken from what stays. quantise-prune: mask * Q(w). The gradient of
    what is pruned is zero, of what stays that of the quantiser.
    """

    mask: Tensor

    def __init__(self, like: Tensor, order: Order, quantiser: Quantiser) -> None:
        super().__init__()
        self.order, self.quantiser = order, quantiser
        self.bits: int | None = None
        self.register_buffer("mask", torch.ones_like(like))

    def get_extra_state(self) -> Tensor:
        """The bits, 0 where nothing is quantised yet."""
        return torch.tensor(self.bits or 0)

    def set_extra_state(self, state: Tensor) -> None:
        """The bits of the weight that `state` comes from."""
        self.bits = int(state) or None

    def forward(self, w: Tensor) -> Tensor:
        """The weight that is used."""
        if self.order == "prune-quantise":
            w = w * self.mask
        if self.bits is not None:
            w = quantise(w, self.bits, self.quantiser)
        return w * self.mask


class Weight(NamedTuple):
    """One weight of a network: the module that owns it, and the attribute."""

    module: nn.Module
    name: str

    @property
    def value(self) -> Tensor:
        """What the network uses at this moment, `[...]`, detached."""
        return getattr(self.module, self.name).detach()


def weights_of(model: nn.Module) -> list[Weight]:
    """Every synaptic weight: of linear layers and convolutions, and recurrent ones. Biases and constants are left out."""
    found = []
    for module in model.modules():
        if isinstance(module, _LAYERS):
            found.append(Weight(module, "weight"))
        if isinstance(getattr(module, "recurrent_weight", None), nn.Parameter):
            found.append(Weight(module, "recurrent_weight"))
    return found


class Compressor:
    """Prunes and quantises the weights of a network in place; the network can be trained before, between and after."""

    def __init__(self, model: nn.Module, order: Order, pruning: Pruning, quantiser: Quantiser) -> None:
        self.weights, self.pruning = weights_of(model), pruning
        self._squeezes = [Squeeze(w.value, order, quantiser) for w in self.weights]
        for weight, squeeze in zip(self.weights, self._squeezes, strict=True):
            parametrize.register_parametrization(weight.module, weight.name, squeeze, unsafe=True)

    def values(self) -> list[Tensor]:
        """The weights as they are used now."""
        return [weight.value for weight in self.weights]

    def prune(self, sparsity: float) -> None:
        """Choose the weights that stay, by what is used now."""
        for squeeze, mask in zip(self._squeezes, masks(self.values(), sparsity, self.pruning), strict=True):
            squeeze.mask.copy_(mask)

    def quantise(self, bits: int) -> None:
        """Quantise from here on."""
        for squeeze in self._squeezes:
            squeeze.bits = bits

    @torch.no_grad()
    def rewind(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Put the weights of `state`, taken before compression, back; masks and quantisers stay."""
        for key, value in model.state_dict().items():
            plain = key.replace("parametrizations.", "").removesuffix(".original")
            if plain in state:
                value.copy_(state[plain])


class OrderErrors(NamedTuple):
    """What each step and each order costs on the same weights: sums of absolute errors over that of the weights."""

    prune: float
    quantise: float
    prune_quantise: float
    quantise_prune: float
    mask_mismatch: float
    """Share of weights that one order keeps and the other does not."""
    ties: int
    """Quantised weights at the pruner's cut that are equal, some kept and some not."""

    @property
    def orthogonal(self) -> bool:
        """Whether prune-then-quantise stays within the sum of the two errors."""
        return self.prune_quantise <= self.prune + self.quantise + 1e-12


@torch.no_grad()
def order_errors(
    weights: Sequence[Tensor], sparsity: float, bits: int, pruning: Pruning = "magnitude", quantiser: Quantiser = "max"
) -> OrderErrors:
    """Both orders on the same weights, without training in between, in float64."""
    weights = [w.detach().double() for w in weights]
    rounded = [quantise(w, bits, quantiser) for w in weights]
    first, second = masks(weights, sparsity, pruning), masks(rounded, sparsity, pruning)
    total = float(sum(w.abs().sum() for w in weights))

    def error(values: Sequence[Tensor]) -> float:
        return float(sum((v - w).abs().sum() for v, w in zip(values, weights, strict=True))) / max(total, 1e-300)

    return OrderErrors(
        prune=error([w * m for w, m in zip(weights, first, strict=True)]),
        quantise=error(rounded),
        prune_quantise=error([quantise(w * m, bits, quantiser) * m for w, m in zip(weights, first, strict=True)]),
        quantise_prune=error([q * m for q, m in zip(rounded, second, strict=True)]),
        mask_mismatch=float(sum((a != b).sum() for a, b in zip(first, second, strict=True)))
        / sum(w.numel() for w in weights),
        ties=sum(ties(q, m) for q, m in zip(rounded, second, strict=True)),
    )
