"""The two layers of `snn_vit.SpikingTransformer`, each as one op from current to current: what the network runs where nobody
needs tensors between the synapses.

Inside, spikes are bits. Queries and keys are only counted (saccadic attention asks for no more), and the gate is a mask on
the bits of the values, so that none of the three is ever written as numbers; their gradients are one number a head and
token. Rows are those of `[T, B, N, D]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snn5bench.neurons.backend import compiled
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.neuron import Neuron
from snn5bench.neurons.normed import Normed
from snn5bench.neurons.norms import StepBatchNorm
from snn5bench.neurons.spike_kernels import (
    gate_gradient,
    gated,
    head_counts,
    lif_backward_normed,
    lif_of_normed,
    spike_counts,
)

if TYPE_CHECKING:
    from snn5bench.neurons.snn_vit import Attention, Perceptron
    from snn5bench.neurons.synapses import Synapses


def fusible(x: Tensor, *layers: nn.Module) -> bool:
    """Whether the functions below do the same as calling these layers, or their parts, on the currents `x`: there are
    compiled kernels for them, nothing is hooked to a part, and gradients are wanted in training only."""
    parts = [part for layer in layers for part in layer.modules()]
    parameters = [p for layer in layers for p in layer.parameters()]
    neurons = [part for part in parts if isinstance(part, Neuron)]
    leaky = [part for part in neurons if type(part) is LIF and part.recurrent_weight is None]
    training = layers[0].training
    wants = torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in parameters))
    return (
        compiled(x, *parameters)
        and (all(p.requires_grad for p in parameters) if training else not wants)
        and all(part.training == training for part in parts)
        and not any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks for part in parts)
        and len(leaky) == len(neurons)
        and all(part.momentum is not None for part in parts if isinstance(part, StepBatchNorm))
        and len({(n.constants, n.surrogate.id, *map(float, n.surrogate.buffers())) for n in leaky[1:]}) <= 1
    )


def add_perceptron(x: Tensor, layer: Perceptron) -> Tensor:
    """`x + layer(x)`, both `[T, B, N, D]`."""
    if not layer.training:
        return _Perceptron(x, layer).out()
    parts = (layer.hidden.synapses, layer.hidden.norm), (layer.project, layer.norm)
    return _Added.apply(x, _Perceptron, layer, *(p for part in parts for p in _learned(*part)))


def add_attention(x: Tensor, layer: Attention) -> Tensor:
    """`x + layer(x)`, both `[T, B, N, D]`."""
    if not layer.training:
        return _Attention(x, layer).out()
    parts = *((part.synapses, part.norm) for part in (layer.q, layer.k, layer.v)), (layer.project, layer.norm)
    saccade = layer.saccade.saccade, layer.saccade.log_threshold
    return _Added.apply(x, _Attention, layer, *saccade, *(p for part in parts for p in _learned(*part)))


def mean_spikes(x: Tensor, neuron: LIF) -> Tensor:
    """`neuron(x).mean(2)` `[T, B, D]` of the currents `[T, B, N, D]`."""
    return _MeanSpikes.apply(x, neuron)


def _learned(synapses: Synapses, norm: StepBatchNorm) -> tuple[Tensor, Tensor, Tensor]:
    return synapses.weight, norm.weight, norm.bias


class _Fired:
    """LIF neurons on the current a z + b, of `x` `[R, N]` itself or of `normed`: their spikes as `bits`. With `parts`, a row
    of bits is a part of the neurons, `[R * parts, words]`."""

    def __init__(
        self, neuron: LIF, steps: int, x: Tensor | None = None, normed: Normed | None = None, parts: int = 1
    ) -> None:
        self.neuron = neuron
        if normed is not None:
            z, below, weight, self.a, self.b = normed.z, normed.bits, normed.by_channel, normed.a, normed.b
        else:
            assert x is not None
            z, below = x, np.zeros((0, 1), np.uint64)
            self.a, self.b = np.ones(x.shape[1], x.numpy().dtype), np.zeros(x.shape[1], x.numpy().dtype)
            weight = np.zeros((0, x.shape[1]), self.a.dtype)
        rows, width, constants, real = max(len(z), len(below)), len(self.a), neuron.constants, self.a.dtype.type
        cells = rows // steps * width
        self.z = z.numpy().reshape(steps, cells) if len(z) else np.empty((0, cells), self.a.dtype)
        self.bits = np.zeros((rows * parts, -(-width // parts // 64)), np.uint64)
        lif_of_normed(
            self.z, below, weight, self.a, self.b, real(constants.decay), real(constants.threshold), constants.hard,
            self.bits,
        )  # fmt: skip

    def backward(
        self, g: Tensor, added: Tensor | None = None, heads: tuple[Tensor, Tensor, Tensor] | None = None
    ) -> tuple[Tensor, np.ndarray]:
        """The gradient of a z + b, `[R, N]`, and what `Normed.backward` needs of it, from that of the spikes, `g`. With
        `heads`, as `lif_backward_normed` has it. `added` is one more gradient of the current, in place of the sums."""
        constants, surrogate, real = self.neuron.constants, self.neuron.surrogate, self.a.dtype.type
        shape, width = self.z.shape, len(self.a)
        none = np.zeros((0, 1), self.a.dtype)
        queries, keys, gate = (none,) * 3 if heads is None else (part.numpy() for part in heads)
        g_x, sums = g.new_empty(self.z.size // width, width), np.zeros((2, width))
        lif_backward_normed(
            g.numpy().reshape(shape) if heads is None else g.numpy(), queries, keys, gate, self.z, self.a, self.b,
            none if added is None else added.numpy().reshape(shape), real(constants.decay), real(constants.threshold),
            constants.hard, real(not constants.detach_reset), constants.through_time, surrogate.id,
            real(surrogate.width.item()), real(surrogate.scale.item()), g_x.numpy().reshape(shape), sums,
        )  # fmt: skip
        return g_x, sums


class _Pass:
    """What both layers end with."""

    project: Normed
    rows: Tensor
    shape: torch.Size

    def out(self) -> Tensor:
        """The current behind it; not kept, since it would keep this in turn."""
        return self.project.added(self.rows).view(self.shape)


class _Perceptron(_Pass):
    """One pass of a `Perceptron`, with what its backward pass needs."""

    def __init__(self, x: Tensor, layer: Perceptron) -> None:
        rows = x.detach().contiguous().flatten(0, -2)
        self.first = _Fired(cast(LIF, layer.neuron), len(x), rows)
        self.hidden = Normed(self.first.bits, [layer.hidden.synapses], [layer.hidden.norm])
        self.second = _Fired(cast(LIF, layer.hidden.neuron), len(x), normed=self.hidden)
        self.project = Normed(self.second.bits, [layer.project], [layer.norm])
        self.rows, self.shape = rows, x.shape

    def backward(self, g_out: Tensor) -> tuple[Tensor, ...]:
        """Gradients of the rows, then of weight, gamma and beta of both synapses."""
        g, *own = self.project.backward(g_out, self.project.sums(g_out))
        g, *inner = self.hidden.backward(*self.second.backward(g))
        return self.first.backward(g, added=g_out)[0], *inner, *own


class _Attention(_Pass):
    """The same of an `Attention`."""

    def __init__(self, x: Tensor, layer: Attention) -> None:
        rows = x.detach().contiguous().flatten(0, -2)
        projections = layer.q, layer.k, layer.v
        self.first = _Fired(cast(LIF, layer.neuron), len(x), rows)
        self.qkv = Normed(self.first.bits, [part.synapses for part in projections], [part.norm for part in projections])
        self.second = _Fired(cast(LIF, layer.q.neuron), len(x), normed=self.qkv, parts=3)
        bits = self.second.bits.reshape(len(rows), 3, -1)
        self.head, self.saccade = np.arange(x.shape[-1]) // (x.shape[-1] // layer.heads), layer.saccade
        self.counts = [x.new_zeros(len(rows), layer.heads) for _ in range(2)]
        for part, counts in enumerate(self.counts):
            head_counts(np.ascontiguousarray(bits[:, part]), self.head, counts.numpy())
            counts.requires_grad_(layer.training)
        with torch.set_grad_enabled(layer.training):
            mine, theirs = (part.view(*x.shape[:3], -1).transpose(2, 3) for part in self.counts)
            self.gate = layer.saccade.gate(mine, theirs).transpose(2, 3).reshape(len(rows), -1)
        self.values = np.ascontiguousarray(bits[:, 2])
        seen = np.zeros_like(self.values)
        gated(self.values, self.head, self.gate.detach().numpy(), seen)
        self.project = Normed(seen, [layer.project], [layer.norm])
        self.rows, self.shape = rows, x.shape

    def backward(self, g_out: Tensor) -> tuple[Tensor, ...]:
        """Gradients of the rows, of M_w and V_th, then of weight, gamma and beta of queries, keys, values, projection."""
        g, *own = self.project.backward(g_out, self.project.sums(g_out))
        g_gate = torch.zeros_like(self.gate)
        gate_gradient(self.values, self.head, g.numpy(), g_gate.numpy())
        learned = [self.saccade.saccade, self.saccade.log_threshold]
        queries, keys, *saccade = torch.autograd.grad(self.gate, [*self.counts, *learned], g_gate, retain_graph=True)
        heads = queries.contiguous(), keys.contiguous(), self.gate.detach()
        g, *inner = self.qkv.backward(*self.second.backward(g, heads=heads))
        triples = zip(*(part.chunk(3) for part in inner), strict=True)
        return self.first.backward(g, added=g_out)[0], *saccade, *(p for triple in triples for p in triple), *own


class _Added(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kind: type[_Perceptron | _Attention], layer: Any, *parameters: Tensor) -> Tensor:
        ctx.done = kind(x, layer)
        return ctx.done.out()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        g_x, *learned = ctx.done.backward(grads[0].contiguous().flatten(0, -2))
        return g_x.view(grads[0].shape), None, None, *learned


class _MeanSpikes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, neuron: LIF) -> Tensor:
        ctx.fired, ctx.shape = _Fired(neuron, len(x), x.detach().contiguous().flatten(0, -2)), x.shape
        counts = x.new_zeros(x.shape[0] * x.shape[1], x.shape[3])
        spike_counts(ctx.fired.bits, counts.numpy())
        return (counts / x.shape[2]).view(*x.shape[:2], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        g = (grads[0] / ctx.shape[2]).unsqueeze(2).expand(ctx.shape).contiguous()
        return ctx.fired.backward(g.flatten(0, -2))[0].view(ctx.shape), None
