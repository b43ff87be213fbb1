"""A diagonal linear state-space model over a whole sequence, exact, without a Fourier transform.

    h_n[t] = a_n h_n[t-1] + x[t],    y[t] = 2 Re sum_n c_n h_n[t] + d x[t]         n = 1..N complex states a channel

The sequence is cut into chunks of about 64 steps. Within a chunk the response is a small lower-triangular Toeplitz
matrix; into and out of a chunk a state goes through `[steps, states]` matrices; from chunk to chunk it is multiplied by
a^steps. All matrices are a few hundred numbers a channel, so that the cost of making them (which dominates the usual
kernel of full length) vanishes, and the rest is matrix products.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from snn5bench.neurons.backend import compiled
from snn5bench.neurons.ssm_kernels import carry_gradients, carry_states, from_chunks, to_chunks

_CHUNK = 64


class Matrices(NamedTuple):
    """A state-space model for chunks of K steps; all differentiable. States are real parts, then imaginary ones."""

    within: Tensor
    """`[H, K, K]`: input at step j of a chunk to output at step i."""
    gather: Tensor
    """`[H, K, 2N]`: inputs of a chunk to what they add to the state behind it."""
    spread: Tensor
    """`[H, 2N, K]`: the state before a chunk to its outputs."""
    re: Tensor
    """`[H, N]`: real part of a^K."""
    im: Tensor
    """`[H, N]`: imaginary part of a^K."""


def chunk_length(steps: int) -> int:
    """Steps of a chunk: equal parts of at most 64."""
    return -(-steps // -(-steps // _CHUNK))


def matrices(log_a: Tensor, past: Tensor, now: Tensor, steps: int) -> Matrices:
    """The chunk matrices of h[t] = a h[t-1] + x[t], y[t] = 2 Re sum past_n h_n[t-1] + now x[t].

    `log_a` and `past` are complex `[H, N]` (past = c a for an ordinary read-out), `now` is real `[H]`; `steps` is T.
    """
    size = chunk_length(steps)
    powers = torch.exp(log_a.unsqueeze(1) * torch.arange(size + 1, device=log_a.device, dtype=now.dtype).view(-1, 1))
    response = 2 * (powers[:, : size - 1] @ past.unsqueeze(-1)).squeeze(-1).real
    kernel = torch.cat([now.unsqueeze(-1), response], 1)
    within = F.pad(kernel, (size - 1, 0)).unfold(1, size, 1).flip(1)
    entering = powers[:, :size].flip(1)
    leaving = 2 * past.unsqueeze(1) * powers[:, :size]
    return Matrices(
        within,
        torch.cat([entering.real, entering.imag], 2),
        torch.cat([leaving.real, -leaving.imag], 2).transpose(1, 2),
        powers[:, size].real,
        powers[:, size].imag,
    )


def ssm_scan(x: Tensor, model: Matrices) -> Tensor:
    """Output `[T, B, H]` for the input `x` `[T, B, H]`, from a state of zero."""
    if compiled(x, *model):
        return _Scan.apply(x, *model)
    return ssm_chunks(x, model)


def ssm_chunks(x: Tensor, model: Matrices) -> Tensor:
    """The same in plain torch operations, differentiated by autograd."""
    steps, batch, width = x.shape
    size = model.within.shape[1]
    chunks = -(-steps // size)
    parts = F.pad(x, (0, 0, 0, 0, 0, chunks * size - steps)).view(chunks, size, batch, width).permute(3, 0, 2, 1)
    y = parts.flatten(1, 2) @ model.within
    if chunks > 1:
        added = torch.view_as_complex(
            (parts.flatten(1, 2) @ model.gather).view(width, chunks, batch, 2, -1).transpose(3, 4).contiguous()
        )
        step = torch.complex(model.re, model.im).unsqueeze(1)
        states = [torch.zeros_like(added[:, 0])]
        for c in range(chunks - 1):
            states.append(step * states[-1] + added[:, c])
        before = torch.stack(states, 1)
        y = y + torch.cat([before.real, before.imag], -1).flatten(1, 2) @ model.spread
    return y.view(width, chunks, batch, size).permute(1, 3, 2, 0).reshape(chunks * size, batch, width)[:steps]


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, within: Tensor, gather: Tensor, spread: Tensor, re: Tensor, im: Tensor) -> Tensor:
        steps, batch, width = x.shape
        size = within.shape[1]
        parts = x.new_empty(width, -(-steps // size), batch, size)
        to_chunks(x.detach().contiguous().numpy(), parts.numpy())
        flat = parts.view(width, -1, size)
        y = torch.bmm(flat, within)
        before = None
        re, im = re.contiguous(), im.contiguous()
        if parts.shape[1] > 1:
            before = torch.bmm(flat, gather).view(*parts.shape[:3], -1)
            carry_states(before.numpy(), re.numpy(), im.numpy())
            y = torch.baddbmm(y, before.view(width, -1, before.shape[-1]), spread)
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        from_chunks(y.view_as(parts).numpy(), out.numpy())
        ctx.save_for_backward(parts, before, within, gather, spread, re, im)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        parts, before, within, gather, spread, re, im = ctx.saved_tensors
        width, _, _, size = parts.shape
        (g,) = grads
        g_parts = torch.empty_like(parts)
        to_chunks(g.contiguous().numpy(), g_parts.numpy())
        flat, g_flat = parts.view(width, -1, size), g_parts.view(width, -1, size)
        g_within = torch.bmm(flat.transpose(1, 2), g_flat)
        g_x = torch.bmm(g_flat, within.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        g_gather, g_spread, g_re, g_im = None, None, None, None
        if before is not None:
            states = before.view(width, -1, before.shape[-1])
            g_spread = torch.bmm(states.transpose(1, 2), g_flat)
            g_states = torch.bmm(g_flat, spread.transpose(1, 2))
            g_re, g_im = torch.zeros_like(re), torch.zeros_like(im)
            carry_gradients(
                g_states.view_as(before).numpy(), before.numpy(), re.numpy(), im.numpy(), g_re.numpy(), g_im.numpy()
            )
            g_gather = torch.bmm(flat.transpose(1, 2), g_states)
            if g_x is not None:
                g_x = torch.baddbmm(g_x, g_states, gather.transpose(1, 2))
        g_input = None
        if g_x is not None:
            g_input = torch.empty_like(g, memory_format=torch.contiguous_format)
            from_chunks(g_x.view_as(parts).numpy(), g_input.numpy())
        return g_input, g_within, g_gather, g_spread, g_re, g_im
