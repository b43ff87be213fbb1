"""The Triton kernels against the plain loops, on a GPU; elsewhere by Triton's interpreter under TRITON_INTERPRET=1."""

from __future__ import annotations

import os

import pytest
import torch

from snn5bench.neurons import recurrent_scan
from snn5bench.neurons.glif_scan import Coefficients, glif_loop
from snn5bench.neurons.lif_scan import LifConstants, lif_loop
from snn5bench.neurons.recurrent_scan import recurrent_lif_loop
from snn5bench.neurons.surrogate import SHAPES, Surrogate

pytest.importorskip("triton")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1",
    reason="no GPU, and Triton's interpreter is not asked for",
)
T, B, N = 13, 3, 41
REAL = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Largest difference of a gradient, relative to the largest gradient."""


def random(*shape, dtype=torch.float64, scale=1.0, seed=0):
    made = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale
    return made.to(dtype).to(DEVICE)


def same(found, wanted, dtype):
    for a, b in zip(found, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            limit = REAL[dtype] * max(1.0, float(b.abs().max()))
            assert float((a.double() - b.double()).abs().max()) <= limit


def gradients(outputs, inputs, upstream):
    loss = sum((out * up).sum() for out, up in zip(outputs, upstream, strict=True) if up is not None)
    return torch.autograd.grad(loss, inputs, allow_unused=True)


def surrogate(shape, dtype):
    return Surrogate(shape, 0.7, 1.3).to(DEVICE).to(dtype)


LIF = [
    LifConstants(0.9, 1.0, True, False, True),
    LifConstants(0.95, 1.1, False, False, True),
    LifConstants(0.9, 1.0, True, True, True),
    LifConstants(0.9, 0.3, False, True, True),
    LifConstants(0.9, 1.0, False, False, False),
    LifConstants(0.9, 1.0, True, False, False),
]


@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize("constants", LIF, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_lif(constants, shape, dtype):
    from snn5bench.neurons import triton_lif

    x, carry = random(T, B, N, dtype=dtype), random(B, N, dtype=dtype, seed=1)
    upstream = [random(T, B, N, dtype=dtype, seed=2), random(B, N, dtype=dtype, seed=3)]
    made = surrogate(shape, dtype)
    ends = []
    for scan in (triton_lif.lif_scan, lif_loop):
        inputs = [part.clone().requires_grad_() for part in (x, carry)]
        outputs = scan(*inputs, constants, made)
        last = upstream[1] if outputs[1].requires_grad and constants.through_time else None
        ends.append((*outputs, *gradients(outputs, inputs, [upstream[0], last])))
    (s, last, g_x, g_carry), (s2, last2, g_x2, g_carry2) = ends
    assert torch.equal(s, s2) and 0 < s.mean() < 1
    assert torch.equal(last, last2)
    if not constants.through_time:
        assert g_carry2 is None and not g_carry.any()
        g_carry = g_carry2 = None
    same((g_x, g_carry), (g_x2, g_carry2), dtype)


def test_lif_without_gradient_and_with_a_summed_read_out():
    from snn5bench.neurons import triton_lif

    x, carry, made = random(T, B, N), random(B, N, seed=1).zero_(), surrogate("atan", torch.float64)
    spikes, last = triton_lif.lif_scan(x, carry, LIF[1], made)
    wanted, wanted_last = lif_loop(x, carry, LIF[1], made)
    assert torch.equal(spikes, wanted) and torch.equal(last, wanted_last) and not spikes.requires_grad
    weight, found = random(B, N, seed=4), []
    for scan in (triton_lif.lif_scan, lif_loop):
        given = x.clone().requires_grad_()
        found += torch.autograd.grad((scan(given, carry, LIF[1], made)[0].sum(0) * weight).sum(), given)
    same(found[:1], found[1:], torch.float64)


def recurrent(constants, made, dtype, neurons, batch=B):
    """Outputs and gradients of the kernels and of the loop, given a carry and spikes before."""
    from snn5bench.neurons import triton_recurrent

    frame = (batch, neurons)
    x, carry, last = random(T, *frame, dtype=dtype), random(*frame, dtype=dtype, seed=1), random(*frame, seed=2) > 0
    weight = random(neurons, neurons, dtype=dtype, scale=neurons**-0.5, seed=3)
    upstream, ends = [random(T, *frame, dtype=dtype, seed=4), random(*frame, dtype=dtype, seed=5)], []
    for scan in (triton_recurrent.recurrent_lif_scan, recurrent_lif_loop):
        inputs = [part.clone().requires_grad_() for part in (x, carry, last.to(dtype), weight)]
        outputs = scan(*inputs, constants, made)
        end = upstream[1] if constants.through_time else None
        found = gradients(outputs, inputs, [upstream[0], end])
        ends.append((*(out.detach() for out in outputs), *found))
    return ends


@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize("constants", LIF, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_recurrent_lif(constants, shape, dtype):
    found, wanted = map(list, recurrent(constants, surrogate(shape, dtype), dtype, N))
    assert torch.equal(found[0], wanted[0]) and 0 < found[0].mean() < 1
    if not constants.through_time:
        assert wanted[3] is None and wanted[4] is None and not found[3].any() and not found[4].any()
        found[3] = found[4] = None
    same(found[1:], wanted[1:], dtype)


@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize("neurons", [1, 16, 100, 128, 130, 256, 300])
def test_recurrent_lif_of_any_width(neurons, dtype):
    found, wanted = recurrent(LIF[0], surrogate("atan", dtype), dtype, neurons, batch=2)
    assert torch.equal(found[0], wanted[0])
    same(found[1:], wanted[1:], dtype)
    again = recurrent(LIF[0], surrogate("atan", dtype), dtype, neurons, batch=2)[0]
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True)), "the same bits"


@pytest.mark.parametrize("neurons", [N, 130])
def test_recurrent_lif_without_gradient_and_with_absent_ones(neurons):
    from snn5bench.neurons import triton_recurrent

    made, zero = surrogate("atan", torch.float64), random(B, neurons).zero_()
    x, weight = random(T, B, neurons), random(neurons, neurons, scale=neurons**-0.5, seed=1)
    scans = (triton_recurrent.recurrent_lif_scan, recurrent_lif_loop)
    (s, end), (s2, end2) = (scan(x, zero, zero, weight, LIF[1], made) for scan in scans)
    assert torch.equal(s, s2) and not s.requires_grad and not end.requires_grad
    same([end], [end2], torch.float64)
    of_frame = random(B, neurons, seed=2)
    for loss in (
        lambda spikes, end: (spikes.sum(0) * of_frame).sum(),
        lambda spikes, end: (end * of_frame).sum(),
    ):
        found = []
        for scan in scans:
            inputs = [part.clone().requires_grad_() for part in (x, weight)]
            found.append(torch.autograd.grad(loss(*scan(inputs[0], zero, zero, inputs[1], LIF[1], made)), inputs))
        same(*found, torch.float64)


def test_a_recurrent_layer_that_is_too_wide_goes_step_by_step(monkeypatch):
    from snn5bench.neurons import triton_recurrent

    monkeypatch.setattr(recurrent_scan, "compiled", lambda *tensors: False)
    monkeypatch.setattr(recurrent_scan, "on_triton", lambda *tensors: True)
    taken, made = [], surrogate("atan", torch.float64)
    monkeypatch.setattr(
        triton_recurrent, "_run", lambda x, carry, *rest, keep: taken.append(x.shape[2]) or (x, carry, x)
    )
    for neurons in (triton_recurrent.WIDEST, triton_recurrent.WIDEST + 1):
        weight = random(neurons, neurons, scale=neurons**-0.5)
        spikes, _ = recurrent_scan.recurrent_lif_scan(random(2, 1, neurons), None, None, weight, LIF[0], made)
    assert taken == [triton_recurrent.WIDEST] and set(spikes.unique().tolist()) == {0.0, 1.0}


def plif_loop(x, state, k, made, through_time):
    spikes = []
    for current in x:
        state = state if through_time else state.detach()
        v = state + (current - state) * k
        s = made(v - 1)
        spikes.append(s)
        state = v * (1 - s.detach())
    return torch.stack(spikes), state


@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize("through_time", [True, False])
@pytest.mark.parametrize("shape", ["atan", "triangle"])
def test_plif(through_time, shape, dtype):
    from snn5bench.neurons import triton_plif

    x, state, k = random(T, B, N, dtype=dtype, scale=2.0), random(B, N, dtype=dtype, seed=1), random(1, dtype=dtype)[0]
    k = torch.sigmoid(k)
    upstream = [random(T, B, N, dtype=dtype, seed=2), random(B, N, dtype=dtype, seed=3)]
    made, ends = surrogate(shape, dtype), []
    for scan in (triton_plif.plif_scan, plif_loop):
        inputs = [part.clone().requires_grad_() for part in (x, state, k)]
        outputs = scan(*inputs, made, through_time)
        ends.append((*outputs, *gradients(outputs, inputs, upstream)))
    assert torch.equal(ends[0][0], ends[1][0]) and 0 < ends[0][0].mean() < 1
    assert torch.equal(ends[0][1], ends[1][1])
    same(ends[0][2:], ends[1][2:], dtype)


@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize("through_time", [True, False])
@pytest.mark.parametrize("shape", ["atan", "triangle"])
def test_glif(through_time, shape, dtype):
    from snn5bench.neurons import triton_glif

    x, carry = random(T, B, N, dtype=dtype, scale=2.0), random(B, N, dtype=dtype, seed=1)
    shapes = ((N,), (N,), (T, N), (N,), (N,), (N,))
    rest = [torch.sigmoid(random(*size, dtype=dtype, seed=10 + i)) for i, size in enumerate(shapes)]
    upstream = [random(T, B, N, dtype=dtype, seed=2), random(B, N, dtype=dtype, seed=3)]
    made, ends = surrogate(shape, dtype), []
    for kernel in (True, False):
        inputs = [part.clone().requires_grad_() for part in (x, carry, *rest)]
        if kernel:
            outputs = triton_glif.glif_scan(*inputs[:2], made, through_time, *inputs[2:])
        else:
            outputs = glif_loop(*inputs[:2], Coefficients(*inputs[2:]), made, through_time)
        ends.append((*outputs, *gradients(outputs, inputs, upstream)))
    assert torch.equal(ends[0][0], ends[1][0]) and 0 < ends[0][0].mean() < 1
    assert torch.equal(ends[0][1], ends[1][1])
    same(ends[0][2:], ends[1][2:], dtype)


def adlif_loop(x, s, u, w, made, through_time, alpha, beta, a, b):
    spikes = []
    for current in x:
        if not through_time:
            s, u, w = s.detach(), u.detach(), w.detach()
        w = beta * w + a * u + b * s
        u = alpha * (u - s) + (1 - alpha) * (current - w)
        s = made(u - 1, strict=True)
        spikes.append(s)
    return torch.stack(spikes), u, w


@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize("through_time", [True, False])
@pytest.mark.parametrize("shape", ["atan", "rectangle"])
def test_adlif(through_time, shape, dtype):
    from snn5bench.neurons import triton_adlif

    x, u, w = (
        random(T, B, N, dtype=dtype, scale=9.0),
        random(B, N, dtype=dtype, seed=1),
        random(B, N, dtype=dtype, seed=2),
    )
    s = (random(B, N, dtype=dtype, seed=3) > 0).to(dtype)
    rest = [torch.sigmoid(random(N, dtype=dtype, seed=10 + i)) for i in range(4)]
    upstream = [random(T, B, N, dtype=dtype, seed=4), *(random(B, N, dtype=dtype, seed=k) for k in (5, 6))]
    made, ends = surrogate(shape, dtype), []
    for scan in (triton_adlif.adlif_scan, adlif_loop):
        inputs = [part.clone().requires_grad_() for part in (x, s, u, w, *rest)]
        outputs = scan(*inputs[:4], made, through_time, *inputs[4:])
        ends.append((*outputs, *gradients(outputs, inputs, upstream)))
    assert torch.equal(ends[0][0], ends[1][0]) and 0 < ends[0][0].mean() < 1
    assert torch.equal(ends[0][1], ends[1][1]) and torch.equal(ends[0][2], ends[1][2])
    same(ends[0][3:], ends[1][3:], dtype)
