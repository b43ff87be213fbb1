"""What cannot be counted is `n/a` with the reason, never 0."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from measure_nets import Lif, events, mlp
from torch import Tensor, nn

from snn5bench.measure.counts import OPERATIONS, Counter, Counts


def count(model: nn.Module, x: Tensor) -> Counts:
    with Counter(model.eval()) as counter, torch.inference_mode():
        model(x)
    return counter.result()


X = events(6, 3, 20, 0.3, seed=0)


class Functional(nn.Module):
    """Uses its layers' weights without calling the layers."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.fc = nn.Linear(20, 8)
        self.lif = Lif()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        w = self.fc.weight
        return self.lif(
            {
                "linear": lambda: F.linear(x, w),
                "matmul": lambda: x @ w.T,
                "einsum": lambda: torch.einsum("tbc,nc->tbn", x, w),
                "conv": lambda: F.conv1d(x.flatten(0, 1).unsqueeze(-1), w.unsqueeze(-1)).view(*x.shape[:2], 8),
                "fft": lambda: torch.fft.irfft(torch.fft.rfft(x, dim=0), n=x.shape[0], dim=0)[..., :8],
                "numpy": lambda: torch.from_numpy(x.numpy() @ w.detach().numpy().T),
            }[self.how]()
        )


@pytest.mark.parametrize("how", ["linear", "matmul", "einsum", "conv", "fft", "numpy"])
def test_functional_products_are_not_zero_but_missing(how: str) -> None:
    found = count(Functional(how), X)
    for metric in OPERATIONS:
        assert getattr(found, metric) is None
        assert "Functional" in found.missing[metric] or "fc (Linear)" in found.missing[metric]
    assert found.spike_rate is not None, "what can be seen is still there"


def test_a_layer_that_is_not_used_is_no_reason_to_give_up() -> None:
    model = mlp()
    model.spare = nn.Linear(3, 3)
    model.forward = lambda x: nn.Sequential(*list(model.children())[:-1])(x)  # type: ignore[method-assign]
    assert count(model, X).synops_per_sample is not None


def test_unknown_modules_with_parameters_are_named() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(20))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gain

    found = count(nn.Sequential(Scale(), mlp()), X)
    assert found.macs_per_sample is None
    assert found.missing["macs_per_sample"].startswith("0 (Scale) has parameters")


@pytest.mark.parametrize("cell", [nn.LSTM(20, 6), nn.GRU(20, 6), nn.MultiheadAttention(20, 2)])
def test_layers_that_hide_their_products_are_named(cell: nn.Module) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(x, x, x)[0] if isinstance(self.cell, nn.MultiheadAttention) else self.cell(x)[0]

    found = count(Net(), X)
    assert found.synops_per_sample is None
    assert type(cell).__name__ in found.missing["synops_per_sample"]


def test_a_rule_that_raises_does_not_stop_the_evaluation() -> None:
    class Odd(nn.Module):
        spiking = True

        def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
            raise ZeroDivisionError("no such luck")

        def forward(self, x: Tensor) -> Tensor:
            return (x > 0).float()

    found = count(nn.Sequential(nn.Linear(20, 4), Odd()), X)
    assert found.spike_rate is None and found.acs_per_sample is None
    assert "1 (Odd): ZeroDivisionError: no such luck" in found.missing["spike_rate"]


def test_wrong_shapes_from_operations_are_missing() -> None:
    class Odd(nn.Module):
        def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
            return {"acs": torch.zeros(99)}

        def forward(self, x: Tensor) -> Tensor:
            return x

    assert "expected [B] or [T, B]" in count(nn.Sequential(Odd()), X).missing["acs_per_sample"]


def test_a_shape_that_is_not_time_by_batch_is_missing() -> None:
    class Transposed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x.permute(2, 1, 0))

    found = count(Transposed(), X)
    assert found.synops_per_sample is None
    assert "does not fit 3 samples of 6 steps" in found.missing["synops_per_sample"]


def test_functional_pools_and_norms_lose_only_their_own_count() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.layer_norm(F.avg_pool1d(x, 2), (10,))

    found = count(nn.Sequential(Net(), nn.Linear(10, 2)), X)
    assert found.macs_per_sample is not None
    assert "avg_pool" in found.missing["pool_adds_per_sample"] and "pool_adds" not in found.totals
    assert "layer_norm" in found.missing["norm_macs_per_sample"]


def test_nothing_counted_is_missing() -> None:
    with Counter(mlp()) as counter:
        pass
    found = counter.result()
    assert found.synops_per_sample is None and found.spike_rate is None
    assert found.missing["synops_per_sample"] == "no batch was counted"


def test_an_error_in_the_network_passes_through_and_leaves_no_hook() -> None:
    model = mlp()
    with pytest.raises(RuntimeError), Counter(model):
        model(torch.zeros(2, 2, 3))
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert count(model, X).synops_per_sample is not None


def test_a_net_without_spikes_has_no_spike_rate_but_a_sparsity() -> None:
    found = count(nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 2)), X)
    assert found.spike_rate is None and "no layer that spikes" in found.missing["spike_rate"]
    assert found.activation_sparsity is not None and 0 < found.activation_sparsity < 1
