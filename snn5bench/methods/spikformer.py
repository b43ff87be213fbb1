"""Spikformer: the plain spiking Transformer (Zhou et al., ICLR 2023, arXiv 2209.15425), of spikingjelly's pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.verdict import Verdict
from snn5bench.methods.spike_transformer import SpikeTransformer, TransformerParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.neurons.spikformer import LineTokens, PictureTokens


class Spikformer(SpikeTransformer):
    """Spikformer network, `[T, B, C] -> [T, B, classes]`. With spikes Q, K, V of each token (linear map, batch norm, LIF)

        Y = LIF_0.5(0.125 (V K^T) Q),   x <- x + LIF(BN(W Y)),   x <- x + MLP(x)

    No softmax: V K^T counts the coincidences of values and keys. The membranes are the only path of time; tokens of one step
    see each other, and no other step. Blocks, attention and patch splitting are spikingjelly's own modules.

    Tokens. Data laid out as an image: spikingjelly's patch splitting (in its order: pool, then neurons). All else: at each
    step, `tokens` groups of neighbouring channels with a learned offset for each, which is our own.

    Departures: small widths, no augmentation; batch norms start at the scale, up to 4, at which the layer spikes at `rate`
    on the first batch, since at the published start small networks, and twins without time, are silent and untrained behind
    the attention (`rate = 0` leaves it). `attention = "off"` leaves out the attention: on small images that costs nothing,
    and a report without this row says little of attention.
    """

    name = "spikformer"
    summary = "Plain spiking Transformer: spike products without softmax, spikingjelly's modules"
    fidelity = Fidelity.faithful(
        "spikingjelly's modules, equal to its Spikformer in a test; small widths, the start scale of the batch "
        "norms, the tokens of sequences and training are ours"
    )

    class Params(TransformerParams):
        """Parameters of Spikformer."""

        patch: Literal[4, 16] = 4
        """Side of an image patch, in pixels."""

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where an image is smaller than a patch."""
        if len(data.shape) == 3 and min(data.shape[1:]) < self.params.patch:
            return Verdict.no(f"an image of {data.shape[1]} x {data.shape[2]} holds no patch of {self.params.patch}")
        return Verdict.yes()

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons.spikformer import LineTokens, PictureTokens, SpikformerNet

        p = self.params
        tokens: LineTokens | PictureTokens
        if len(data.shape) == 3:
            channels, height, width = data.shape
            tokens = PictureTokens((channels, height, width), p.patch, p.width, p.tau)
        else:
            tokens = LineTokens(data.channels, p.tokens, p.width, p.tau)
        on = p.attention == "on"
        return SpikformerNet(tokens, p.width, p.heads, p.blocks, p.mlp, data.n_classes, on, p.tau, data.readout)
