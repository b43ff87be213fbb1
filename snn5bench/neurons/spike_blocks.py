"""The two layers of `snn_vit.SpikingTransformer`, each as one op from current to current: what the network runs where nobody
needs tensors between the synapses.

Inside, spikes are bits. Queries and keys are only counted (saccadic attention asks for no more), and the gate is a mask on
the bits of the values, so that none of the three is ever written as numbers; their gradients are one number a head and
token. Rows are those of `[T, B, N, D]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snn5bench.neurons.backend import compiled
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.normed import Normed
from snn5bench.neurons.norms import StepBatchNorm
from snn5bench.neurons.spike_kernels import gate_gradient, gated, head_counts, lif_backward_normed, lif_of_normed

if TYPE_CHECKING:
    from snn5bench.neurons.synapses import Synapses
    from snn5bench.neurons.snn_vit import Attention, Perceptron


def fusible(layer: nn.Module, x: Tensor) -> bool:
    """Whether `add_attention` or `add_perceptron` does the same as calling `layer` on the currents `x`: there are compiled
    kernels for it, nothing is hooked to a part, and gradients are wanted in training only."""
    parts = list(layer.modules())
    neurons = [part for part in parts if isinstance(part, LIF)]
    norms = [part for part in parts if isinstance(part, StepBatchNorm)]
    wants = torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in layer.parameters()))
    learned = all(p.requires_grad for p in layer.parameters())
    return (
        compiled(x, *(norm.weight for norm in norms))
        and (learned if layer.training else not wants)
        and all(part.training == layer.training for part in parts)
        and not any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks for part in parts)
        and all(neuron.recurrent_weight is None for neuron in neurons)
        and all(norm.momentum is not None for norm in norms)
        and len({(n.constants, n.surrogate.id, *map(float, n.surrogate.buffers())) for n in neurons[1:]}) == 1
    )


def add_perceptron(x: Tensor, layer: Perceptron) -> Tensor:
    """`x + layer(x)`, both `[T, B, N, D]`."""
    if not layer.training:
        return _Perceptron(x, layer).out()
    parts = (layer.hidden.synapses, layer.hidden.norm), (layer.project, layer.norm)
    return _AddPerceptron.apply(x, layer, *(p for part in parts for p in _learned(*part)))


def add_attention(x: Tensor, layer: Attention) -> Tensor:
    """`x + layer(x)`, both `[T, B, N, D]`."""
    if not layer.training:
        return _Attention(x, layer).out()
    parts = *((part.synapses, part.norm) for part in (layer.q, layer.k, layer.v)), (layer.project, layer.norm)
    saccade = layer.saccade.saccade, layer.saccade.log_threshold
    return _AddAttention.apply(x, layer, *saccade, *(p for part in parts for p in _learned(*part)))


def _learned(synapses: Synapses, norm: StepBatchNorm) -> tuple[Tensor, Tensor, Tensor]:
    return synapses.weight, norm.weight, norm.bias


class _Fired:
    """LIF neurons on the current `x` `[R, N]`, or on that of `normed`: their spikes as `bits`, and their membrane `v`, which
    is kept for a backward pass only. With `parts`, a row of bits is a part of the neurons, `[R * parts, words]`."""

    def __init__(
        self, neuron: LIF, steps: int, x: Tensor | None = None, normed: Normed | None = None, parts: int = 1
    ) -> None:
        self.neuron, self.normed = neuron, normed
        if normed is not None:
            z, below, weight, a, b = normed.z, normed.bits, normed.by_channel, normed.a, normed.b
        else:
            assert x is not None
            z, below = x.detach(), np.zeros((0, 1), np.uint64)
            a, b = np.ones(x.shape[1], x.numpy().dtype), np.zeros(x.shape[1], x.numpy().dtype)
            weight = np.zeros((0, len(a)), a.dtype)
        rows, constants, real = max(len(z), len(below)), neuron.constants, a.dtype.type
        cells = rows // steps * len(a)
        self.v = np.empty((steps if neuron.training else 1, cells), a.dtype)
        self.bits = np.zeros((rows * parts, -(-len(a) // parts // 64)), np.uint64)
        lif_of_normed(
            z.numpy().reshape(len(z) * len(a) // cells, cells), below, weight, a, b, real(constants.decay),
            real(constants.threshold), constants.hard, self.v, self.bits,
        )  # fmt: skip

    def backward(
        self, g: Tensor, added: Tensor | None = None, heads: tuple[Tensor, Tensor, Tensor] | None = None
    ) -> tuple[Tensor, np.ndarray]:
        """The gradient of the current, `[R, N]`, and what `Normed.backward` needs of it, from that of the spikes, `g`. With
        `heads`, as `lif_backward_normed` has it. `added` is one more gradient of the current."""
        constants, surrogate, real = self.neuron.constants, self.neuron.surrogate, self.v.dtype.type
        steps, cells = self.v.shape
        none = np.zeros((0, 1), self.v.dtype)
        queries, keys, gate = (none,) * 3 if heads is None else (part.numpy() for part in heads)
        z = none if self.normed is None else self.normed.z.numpy().reshape(steps, cells)
        width = g.shape[1] if self.normed is None else len(self.normed.a)
        g_x, sums = g.new_empty(steps * cells // width, width), np.zeros((2, width))
        lif_backward_normed(
            g.numpy().reshape(steps, cells) if heads is None else g.numpy(), queries, keys, gate, self.v, z,
            none if added is None else added.numpy().reshape(steps, cells), real(constants.decay),
            real(constants.threshold), constants.hard, real(not constants.detach_reset), constants.through_time,
            surrogate.id, real(surrogate.width.item()), real(surrogate.scale.item()),
            g_x.numpy().reshape(steps, cells), sums,
        )  # fmt: skip
        return g_x, sums


class _Perceptron:
    """One pass of a `Perceptron`, with what its backward pass needs."""

    def __init__(self, x: Tensor, layer: Perceptron) -> None:
        rows = x.detach().contiguous().flatten(0, -2)
        self.first = _Fired(layer.neuron, len(x), rows)
        self.hidden = Normed(self.first.bits, [layer.hidden.synapses], [layer.hidden.norm])
        self.second = _Fired(layer.hidden.neuron, len(x), normed=self.hidden)
        self.project = Normed(self.second.bits, [layer.project], [layer.norm])
        self.rows: Tensor | None = rows
        self.shape = x.shape

    def out(self) -> Tensor:
        """The current behind it, once: what it is made of is not kept."""
        assert self.rows is not None
        rows, self.rows = self.rows, None
        return self.project.added(rows).view(self.shape)

    def backward(self, g_out: Tensor) -> tuple[Tensor, ...]:
        """Gradients of the rows, then of weight, gamma and beta of both synapses."""
        g, *own = self.project.backward(g_out, self.project.sums(g_out))
        g, *inner = self.hidden.backward(*self.second.backward(g))
        return self.first.backward(g, added=g_out)[0], *inner, *own


class _Attention:
    """The same of an `Attention`."""

    def __init__(self, x: Tensor, layer: Attention) -> None:
        rows = x.detach().contiguous().flatten(0, -2)
        projections = layer.q, layer.k, layer.v
        self.first = _Fired(layer.neuron, len(x), rows)
        self.qkv = Normed(self.first.bits, [part.synapses for part in projections], [part.norm for part in projections])
        self.second = _Fired(layer.q.neuron, len(x), normed=self.qkv, parts=3)
        bits = self.second.bits.reshape(len(rows), 3, -1)
        self.size, self.saccade = x.shape[-1] // layer.heads, layer.saccade
        self.counts = [x.new_zeros(len(rows), layer.heads) for _ in range(2)]
        for part, counts in enumerate(self.counts):
            head_counts(np.ascontiguousarray(bits[:, part]), self.size, counts.numpy())
            counts.requires_grad_(layer.training)
        with torch.set_grad_enabled(layer.training):
            mine, theirs = (part.view(*x.shape[:3], -1).transpose(2, 3) for part in self.counts)
            self.gate = layer.saccade.gate(mine, theirs).transpose(2, 3).reshape(len(rows), -1)
        self.values = np.ascontiguousarray(bits[:, 2])
        seen = np.zeros_like(self.values)
        gated(self.values, self.size, self.gate.detach().numpy(), seen)
        self.project = Normed(seen, [layer.project], [layer.norm])
        self.rows: Tensor | None = rows
        self.shape = x.shape

    def out(self) -> Tensor:
        """The current behind it, once: what it is made of is not kept."""
        assert self.rows is not None
        rows, self.rows = self.rows, None
        return self.project.added(rows).view(self.shape)

    def backward(self, g_out: Tensor) -> tuple[Tensor, ...]:
        """Gradients of the rows, of M_w and V_th, then of weight, gamma and beta of queries, keys, values, projection."""
        g, *own = self.project.backward(g_out, self.project.sums(g_out))
        g_gate = torch.zeros_like(self.gate)
        gate_gradient(self.values, self.size, g.numpy(), g_gate.numpy())
        learned = [self.saccade.saccade, self.saccade.log_threshold]
        queries, keys, *saccade = torch.autograd.grad(
            self.gate, [*self.counts, *learned], g_gate, retain_graph=True
        )
        heads = queries.contiguous(), keys.contiguous(), self.gate.detach()
        g, *inner = self.qkv.backward(*self.second.backward(g, heads=heads))
        triples = zip(*(part.chunk(3) for part in inner), strict=True)
        return self.first.backward(g, added=g_out)[0], *saccade, *(p for triple in triples for p in triple), *own


class _AddPerceptron(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Perceptron, *parameters: Tensor) -> Tensor:
        ctx.done = _Perceptron(x, layer)
        return ctx.done.out()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        g_x, *learned = ctx.done.backward(grads[0].contiguous().flatten(0, -2))
        return g_x.view(grads[0].shape), None, *learned


class _AddAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Attention, *parameters: Tensor) -> Tensor:
        ctx.done = _Attention(x, layer)
        return ctx.done.out()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        g_x, *learned = ctx.done.backward(grads[0].contiguous().flatten(0, -2))
        return g_x.view(grads[0].shape), None, *learned
