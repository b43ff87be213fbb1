"""A diagonal linear state-space model over a whole sequence, exact, without a Fourier transform.

    h_n[t] = a_n h_n[t-1] + x[t],    y[t] = 2 Re sum_n past_n h_n[t-1] + now x[t]      n = 1..N complex states a channel

(past = c a for the read-out 2 Re sum_n c_n h_n[t].) Compiled, the recurrence is walked as it stands, many channels side by
side. In plain torch, and on a GPU, the sequence is cut into chunks of about 64 steps: within a chunk the response is a
small lower-triangular Toeplitz matrix; into and out of a chunk a state goes through `[steps, states]` matrices; from chunk
to chunk it is multiplied by a^steps. All matrices are a few hundred numbers a channel, so that the cost of making them
(which dominates the usual kernel of full length) vanishes, and the rest is matrix products.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from snn5bench.neurons.backend import compiled
from snn5bench.neurons.ssm_kernels import ssm_backward, ssm_forward

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


def ssm_scan(x: Tensor, log_a: Tensor, past: Tensor, now: Tensor) -> Tensor:
    """Output `[T, B, H]` for the input `x` `[T, B, H]`, from a state of zero.

    `log_a` (the logarithm of a) and `past` are complex `[H, N]`, `now` is real `[H]`.
    """
    if compiled(x, now) and {now.dtype, log_a.real.dtype, past.real.dtype} == {x.dtype}:
        a = torch.exp(log_a)
        keep = torch.is_grad_enabled() and any(value.requires_grad for value in (x, a, past, now))
        return _Scan.apply(x, a, past, now, keep)
    return ssm_chunks(x, matrices(log_a, past, now, len(x)))


def ssm_chunks(x: Tensor, model: Matrices) -> Tensor:
    """The same, for the chunks' matrices, in plain torch operations, differentiated by autograd."""
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
    """The recurrence, from a, not its logarithm. Keeps the state before each block of steps, where a gradient is wanted."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, past: Tensor, now: Tensor, keep: bool) -> Tensor:
        x, now = x.detach().contiguous(), now.detach().contiguous()
        a, p = _parts(a), 2 * _parts(past)
        size, out = chunk_length(len(x)), torch.empty_like(x)
        kept = x.new_empty(-(-len(x) // size) if keep else 0, x.shape[1], *a.shape)
        ssm_forward(x.numpy(), a.numpy(), p.numpy(), now.numpy(), size, kept.numpy(), out.numpy())
        ctx.save_for_backward(x, a, p, now, kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, a, p, now, kept = ctx.saved_tensors
        g, g_x = grads[0].contiguous(), torch.empty_like(x)
        g_a, g_p, g_now = torch.zeros_like(a), torch.zeros_like(p), torch.zeros_like(now)
        ssm_backward(
            g.numpy(), x.numpy(), a.numpy(), p.numpy(), now.numpy(), chunk_length(len(x)), kept.numpy(),
            g_x.numpy(), g_a.numpy(), g_p.numpy(), g_now.numpy(),
        )  # fmt: skip
        return g_x, _joined(g_a), _joined(2 * g_p), g_now, None


def _parts(value: Tensor) -> Tensor:
    """Complex `[H, N]` as `[2, N, H]`, real parts first."""
    return torch.view_as_real(value.detach().resolve_conj()).permute(2, 1, 0).contiguous()


def _joined(parts: Tensor) -> Tensor:
    """The way back."""
    return torch.view_as_complex(parts.permute(2, 1, 0).contiguous())
