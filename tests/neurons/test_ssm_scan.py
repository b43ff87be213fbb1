"""The state-space scan: the compiled recurrence against a plain loop over steps and against the chunks, with gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from snn5bench.neurons.ssm_scan import chunk_length, matrices, ssm_chunks, ssm_scan

DOUBLE = torch.float64


def model(width: int, pairs: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """log a (decaying), past and now."""
    draw = torch.Generator().manual_seed(seed)
    log_a = torch.complex(
        -0.5 * torch.rand(width, pairs, generator=draw, dtype=DOUBLE),
        3 * torch.randn(width, pairs, generator=draw, dtype=DOUBLE),
    )
    past = torch.complex(*torch.randn(2, width, pairs, generator=draw, dtype=DOUBLE))
    return log_a, past, torch.randn(width, generator=draw, dtype=DOUBLE)


def sequence(steps: int, batch: int, width: int) -> Tensor:
    return torch.randn(steps, batch, width, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))


def loop(x: Tensor, log_a: Tensor, past: Tensor, now: Tensor) -> Tensor:
    """The definition."""
    h, outs = torch.zeros(x.shape[1], *log_a.shape, dtype=log_a.dtype), []
    for x_t in x:
        outs.append(2 * (past * h).real.sum(-1) + now * x_t)
        h = torch.exp(log_a) * h + x_t.unsqueeze(-1)
    return torch.stack(outs)


def chunks(x: Tensor, log_a: Tensor, past: Tensor, now: Tensor) -> Tensor:
    return ssm_chunks(x, matrices(log_a, past, now, len(x)))


def results(run, x: Tensor, *numbers: Tensor) -> list[Tensor]:
    """Output, and the gradients of everything."""
    leaves = [value.clone().requires_grad_() for value in (x, *numbers)]
    y = run(*leaves)
    weights = torch.randn(y.shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(2)).to(y.dtype)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), leaves, materialize_grads=True)]


def same(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for name, one, other in zip(("y", "x", "log_a", "past", "now"), found, expected, strict=True):
        error = (one - other).abs().max() / other.abs().max().clamp(min=1e-12)
        assert error < tolerance, (name, float(error))


@pytest.mark.parametrize(
    ("steps", "batch", "width", "pairs"),
    [
        (1, 1, 1, 1),
        (1, 2, 17, 8),
        (2, 1, 3, 1),
        (63, 2, 17, 3),
        (64, 1, 64, 8),
        (65, 3, 70, 8),
        (131, 1, 21, 1),
        (200, 2, 130, 2),
        (641, 1, 5, 2),
    ],
)
def test_equals_the_loop_and_the_chunks_with_all_gradients(steps: int, batch: int, width: int, pairs: int) -> None:
    """The last walks over eleven blocks, the last of which is shorter."""
    x, numbers = sequence(steps, batch, width), model(width, pairs)
    found = results(ssm_scan, x, *numbers)
    same(found, results(loop, x, *numbers), 1e-9)
    same(found, results(chunks, x, *numbers), 1e-9)


@pytest.mark.parametrize("steps", [1, 5, 67])
def test_gradcheck(steps: int) -> None:
    inputs = [value.requires_grad_() for value in (sequence(steps, 2, 3), *model(3, 2))]
    assert torch.autograd.gradcheck(ssm_scan, inputs, fast_mode=steps > 5)


def test_inputs_that_are_not_contiguous() -> None:
    x, (log_a, past, now) = sequence(70, 3, 2 * 18), model(18, 4)
    views = x.flip(0)[..., ::2], log_a.t().contiguous().t(), past.conj(), now.repeat_interleave(2)[::2]
    assert views[2].is_conj()
    numbers = [value.resolve_conj().contiguous() for value in views]
    same(results(ssm_scan, *views), results(loop, *numbers), 1e-9)
    transposed = sequence(3, 70, 18).transpose(0, 1)
    assert not transposed.is_contiguous()
    torch.testing.assert_close(ssm_scan(transposed, *numbers[1:]), loop(transposed, *numbers[1:]))


def test_gradient_of_the_output_that_is_not_contiguous() -> None:
    x, numbers = sequence(66, 2, 4), model(4, 2)
    same(
        results(lambda *v: ssm_scan(*v).permute(2, 1, 0), x, *numbers),
        results(lambda *v: loop(*v).permute(2, 1, 0), x, *numbers),
        1e-9,
    )


@pytest.mark.parametrize(("steps", "width", "pairs"), [(100, 64, 8), (300, 33, 32)])
def test_single_precision(steps: int, width: int, pairs: int) -> None:
    x, (log_a, past, now) = sequence(steps, 4, width), model(width, pairs)
    small = (x.float(), log_a.to(torch.complex64), past.to(torch.complex64), now.float())
    found = results(ssm_scan, *small)
    assert found[0].dtype == torch.float32
    exact = results(loop, *(value.to(DOUBLE if not value.is_complex() else torch.complex128) for value in small))
    same(found, exact, 2e-5)


def test_bits_do_not_depend_on_the_gradient_the_batch_or_what_follows() -> None:
    x, numbers = (
        sequence(150, 3, 70).float(),
        [v.to(torch.complex64) if v.is_complex() else v.float() for v in model(70, 4)],
    )
    with torch.no_grad():
        y = ssm_scan(x, *numbers)
        assert torch.equal(ssm_scan(x[:, 1:2], *numbers), y[:, 1:2])
        assert torch.equal(ssm_scan(x[:97], *numbers), y[:97])
    assert torch.equal(ssm_scan(x.requires_grad_(), *numbers), y)


def test_only_what_is_wanted_gets_a_gradient() -> None:
    x, (log_a, past, now) = sequence(70, 2, 5), model(5, 2)
    (whole,) = torch.autograd.grad(ssm_scan(x, log_a, past.requires_grad_(), now).square().sum(), past)
    (expected,) = torch.autograd.grad(loop(x, log_a, past, now).square().sum(), past)
    torch.testing.assert_close(whole, expected, rtol=1e-9, atol=1e-9)


def test_mixed_precision_is_refused() -> None:
    x, numbers = sequence(3, 1, 2), model(2, 1)
    with pytest.raises(RuntimeError, match=r"scalar type|dtype"):
        ssm_scan(x.float(), *numbers)


def test_the_oracle_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    x, numbers = sequence(130, 2, 5), model(5, 2)
    monkeypatch.setenv("SNN5BENCH_KERNELS", "torch")
    assert torch.equal(ssm_scan(x, *numbers), chunks(x, *numbers))


def test_memory_between_the_passes_is_one_state_a_block() -> None:
    x, numbers = sequence(641, 2, 5), [value.requires_grad_() for value in model(5, 3)]
    y = ssm_scan(x, *numbers)
    kept = max((value for value in y.grad_fn.saved_tensors), key=lambda value: value.dim())  # type: ignore[union-attr]
    assert kept.shape == (-(-641 // chunk_length(641)), 2, 2, 3, 5)
