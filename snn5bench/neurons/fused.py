"""A whole stack of synapses and LIF neurons as one op: what `SpikingNet` runs where nobody needs tensors between layers.

Currents are never written: the rows of a layer's weights are added up where its membrane will stand. Spikes go from layer
to layer as bits. Samples are independent of one another, hence the arrays are sample by sample, `[B, T, N]`, and the
backward pass takes a few samples at a time through all layers, so that what it needs stays in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snn5bench.contracts.inputs import BatchInput, BitsHook, Events, Repeated, SpikeBits
from snn5bench.neurons.backend import compiled
from snn5bench.neurons.event_kernels import lif_of_events, scatter_events
from snn5bench.neurons.gather import SAMPLES
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.lif_scan import LifConstants
from snn5bench.neurons.spike_kernels import (
    SLOPES,
    current_of_spikes,
    lif_backward,
    lif_of_current,
    lif_of_spikes,
    scatter_spikes,
    spike_counts,
)
from snn5bench.neurons.surrogate import Surrogate
from snn5bench.neurons.synapses import Synapses


class Layer(NamedTuple):
    """What a LIF layer does not learn."""

    neurons: int
    constants: LifConstants
    surrogate: Surrogate


def fusible(synapses: Sequence[nn.Module], neurons: Sequence[nn.Module]) -> bool:
    """Whether `run` does the same as calling these modules one after the other: there are compiled kernels for all of
    them, and nothing hooked to any but what takes spikes as bits, such as a counter."""
    weights = [part.weight for part in synapses if isinstance(part, Synapses) and part.bias is not None]
    leaky = [part for part in neurons if isinstance(part, LIF) and part.recurrent_weight is None]
    return (
        0 < len(leaky) == len(neurons)
        and len(weights) == len(synapses)
        and all(_own(part, Synapses) for part in synapses)
        and all(_own(part, LIF) for part in neurons)
        and compiled(*weights)
    )


def _own(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a call of `module` is `kind.forward` and nothing else, hooks that take bits apart."""
    return (
        getattr(module.forward, "__func__", None) is kind.forward
        and all(isinstance(hook, BitsHook) for hook in module._forward_hooks.values())
        and not module._forward_pre_hooks
        and not module._backward_hooks
        and not module._backward_pre_hooks
    )


def run(synapses: Sequence[Synapses], neurons: Sequence[LIF], x: BatchInput) -> Tensor:
    """Logits per step `[T, B, classes]`; the last of `synapses` are the read-out."""
    steps = len(x) if isinstance(x, Tensor) else x.T
    source: Events | Tensor
    if isinstance(x, Events):
        source, learned = x, synapses
    else:
        source = synapses[0].forward(Repeated(x.frame, 1) if isinstance(x, Repeated) else x)
        learned = synapses[1:]
    sizes = (part.in_features for part in synapses[1:])
    layers = [Layer(n, part.constants, part.surrogate) for n, part in zip(sizes, neurons, strict=True)]
    _show(synapses[0], x, None)
    logits, spikes = lif_stack(source, steps, layers, [p for part in learned for p in (part.weight, part.bias)])
    for part, follower, bits in zip(neurons, synapses[1:], spikes, strict=True):
        sent = SpikeBits(bits.reshape(-1, steps, bits.shape[1]), follower.in_features)
        _show(part, None, sent)
        _show(follower, sent, None)
    return logits


def _show(module: nn.Module, received: BatchInput | SpikeBits | None, sent: SpikeBits | None) -> None:
    """Call what is hooked to a layer, as a call of the layer would."""
    for hook in module._forward_hooks.values():
        hook(module, (received,), sent)


def lif_stack(
    source: Events | Tensor, steps: int, layers: Sequence[Layer], parameters: Sequence[Tensor]
) -> tuple[Tensor, list[np.ndarray]]:
    """Logits per step `[T, B, classes]` of LIF layers with synapses between them and a linear read-out, and the spikes of
    each layer as bits, `[B * T, words]`.

    `source` are events, or the current of the first layer, `[T, B, N]` or `[1, B, N]` where every step has the same.
    `parameters` are weight `[N, C]` and bias `[N]` of each layer (the first's only if `source` are events), then of the
    read-out.
    """
    if torch.is_grad_enabled():
        return _Stack.apply(source, steps, tuple(layers), *parameters)
    logits, _, spikes = _forward(source, steps, layers, parameters, keep=False)
    return logits, spikes


def _forward(
    source: Events | Tensor, steps: int, layers: Sequence[Layer], parameters: Sequence[Tensor], keep: bool
) -> tuple[Tensor, list[Tensor], list[np.ndarray]]:
    """Logits; of each layer the membrane (of no use unless `keep`) `[B, T, N]` and the spikes `[B * T, words]`."""
    arrays = [p.detach().numpy() for p in parameters]
    synapses = [(np.ascontiguousarray(w.T), b) for w, b in zip(arrays[::2], arrays[1::2], strict=True)]
    like = parameters[-1]
    real = arrays[-1].dtype.type
    batch = source.shape[1] if isinstance(source, Tensor) else source.batch
    membranes: list[Tensor] = []
    spikes: list[np.ndarray] = []
    for k, (neurons, constants, _) in enumerate(layers):
        v = like.new_empty((batch, steps, neurons) if keep else (1, 1, neurons))
        carry, bits = like.new_empty(neurons), np.zeros((batch, steps, -(-neurons // 64)), np.uint64)
        rest = (
            real(constants.decay), real(constants.threshold), constants.hard, carry.numpy(), v.numpy(), bits,
        )  # fmt: skip
        if k:
            lif_of_spikes(spikes[-1], *synapses.pop(0), *rest)
        elif isinstance(source, Tensor):
            lif_of_current(source.detach().contiguous().numpy(), np.empty(0, np.int32), *rest)
        else:
            lif_of_events(source.indptr, source.step, source.channel, *synapses.pop(0), *rest)
        membranes.append(v)
        spikes.append(bits.reshape(batch * steps, -1))
    logits = like.new_empty(batch, steps, len(like))
    current_of_spikes(spikes[-1], *synapses.pop(0), logits.view(batch * steps, -1).numpy())
    return logits.transpose(0, 1), membranes, spikes


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, source: Events | Tensor, steps: int, layers: tuple[Layer, ...], *parameters: Tensor
    ) -> tuple[Tensor, list[np.ndarray]]:
        logits, ctx.membranes, ctx.spikes = _forward(source, steps, layers, parameters, keep=True)
        ctx.layers, ctx.source = layers, source if isinstance(source, Events) else len(source)
        ctx.save_for_backward(*parameters[::2])
        return logits, ctx.spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Layers from the last to the first, a few samples at a time."""
        source, spikes = ctx.source, ctx.spikes
        g = grads[0].transpose(0, 1)
        batch, steps, _ = g.shape
        weights = list(ctx.saved_tensors)
        if not isinstance(source, Events):
            weights = [g.new_empty(ctx.layers[0].neurons, 0), *weights]
        back = [
            _Backward(layer, membrane, g, weight)
            for layer, membrane, weight in zip(ctx.layers, ctx.membranes, weights[:-1], strict=True)
        ]
        g = (g[:, :1] if g.stride(1) == 0 else g).contiguous()
        g_out = _read_out_gradients(g, steps, spikes[-1], weights[-1])
        g_source = g.new_empty(0 if isinstance(source, Events) else source, batch, back[0].layer.neurons)
        for low in range(0, batch, SAMPLES):
            part = slice(low, min(batch, low + SAMPLES))
            g_spikes = g[part] @ weights[-1]
            for k in range(len(back) - 1, 0, -1):
                g_spikes = back[k].through_spikes(g_spikes, part, spikes[k - 1])
            if isinstance(source, Events):
                back[0].through_events(g_spikes, part, source)
            else:
                g_source[:, part] = back[0].through_current(g_spikes, part, once=source < steps)
        own = [(one.g_weight, one.g_bias) for one in (back if isinstance(source, Events) else back[1:])]
        learned = [x for w, b in [*own, g_out] for x in (w.t(), b)]
        return (None if isinstance(source, Events) else g_source, None, None, *learned)


def _read_out_gradients(g: Tensor, steps: int, spikes: np.ndarray, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Of weight `[C, N]` and bias `[N]`; `g` is `[B, T, N]`, or `[B, 1, N]` where it is that of every step."""
    g_weight = g.new_zeros(weight.shape[1], weight.shape[0])
    if g.shape[1] == steps:
        scatter_spikes(spikes, g.flatten(0, 1).numpy(), g_weight.numpy())
    else:
        counts = g.new_zeros(len(g), weight.shape[1])
        spike_counts(spikes, counts.numpy())
        torch.mm(counts.t(), g[:, 0], out=g_weight)
    return g_weight, g.sum((0, 1)) * (steps // g.shape[1])


class _Backward:
    """The backward pass of one layer, a few samples at a time, in memory that is used again for the next."""

    def __init__(self, layer: Layer, membrane: Tensor, g: Tensor, weight: Tensor) -> None:
        batch, steps, _ = g.shape
        self.layer, self.membrane, self.weight = layer, membrane.numpy(), weight
        self.g_weight = g.new_zeros(weight.shape[1], weight.shape[0])
        self.g_bias = g.new_zeros(layer.neurons)
        self.g_current = g.new_empty(min(batch, SAMPLES), steps, layer.neurons)
        self.g_spikes = g.new_empty(len(self.g_current) * steps, weight.shape[1])
        constants, surrogate, real = layer.constants, layer.surrogate, self.membrane.dtype.type
        self.rest = (
            real(constants.decay), real(constants.threshold), constants.hard, real(not constants.detach_reset),
            constants.through_time, surrogate.id, real(surrogate.width.item()), real(surrogate.scale.item()),
            g.new_empty(layer.neurons).numpy(), g.new_empty(SLOPES * layer.neurons).numpy(),
        )  # fmt: skip

    def through_current(self, g_spikes: Tensor, part: slice, once: bool) -> Tensor:
        """The gradient of the current of these samples, `[T, b, N]`, or `[1, b, N]`, the sum over steps."""
        g = self.through_neurons(g_spikes, part)
        return g.sum(1).unsqueeze(0) if once else g.transpose(0, 1)

    def through_neurons(self, g_spikes: Tensor, part: slice) -> Tensor:
        """The same as `[b, T, N]`; that of the bias is added up."""
        g = self.g_current[: part.stop - part.start]
        lif_backward(g_spikes.numpy(), self.membrane[part], *self.rest, g.numpy(), self.g_bias.numpy())
        return g

    def through_events(self, g_spikes: Tensor, part: slice, events: Events) -> None:
        """Add the weight's gradient up."""
        g = self.through_neurons(g_spikes, part)
        scatter_events(
            events.indptr[part.start : part.stop + 1], events.step, events.channel, 0, events.T, 1,
            g.flatten(0, 1).numpy(), self.g_weight.numpy(),
        )  # fmt: skip

    def through_spikes(self, g_spikes: Tensor, part: slice, spikes: np.ndarray) -> Tensor:
        """Add the weight's gradient up; the gradient of the spikes of the layer before, `[b, T, C]`."""
        g = self.through_neurons(g_spikes, part).flatten(0, 1)
        steps = self.membrane.shape[1]
        scatter_spikes(spikes[part.start * steps : part.stop * steps], g.numpy(), self.g_weight.numpy())
        return torch.mm(g, self.weight, out=self.g_spikes[: len(g)]).view(-1, steps, self.weight.shape[1])
