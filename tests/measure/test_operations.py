"""Counts against hand-computed values, and against a loop over spikes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_nets import Frames, Lif, events, loop_conv, loop_linear, mlp
from torch import Tensor, nn

from snn5bench.contracts.inputs import Events, Repeated
from snn5bench.measure.counts import Counter, Counts


def count(model: nn.Module, *batches: Tensor | Events | Repeated) -> Counts:
    with Counter(model.eval()) as counter, torch.no_grad():
        for x in batches:
            model(x)
    return counter.result()


def to_events(x: Tensor) -> Events:
    T, B, C = x.shape
    sample, step, channel = np.nonzero(x.permute(1, 0, 2).numpy())
    indptr = np.searchsorted(sample, np.arange(B + 1))
    return Events(indptr.astype(np.int64), step.astype(np.int32), channel.astype(np.int32), T, C)


def numbers(found: Counts) -> dict[str, Any]:
    """Everything that was found, in a form that `==` compares exactly."""
    plain = asdict(found)
    plain["layers"] = [layer.model_dump() for layer in found.layers]
    plain["profile"] = {k: {name: p.tolist() for name, p in by.items()} for k, by in found.profile.items()}
    return plain


class Sparse(nn.Linear):
    """A linear layer that takes every form of input, as the networks of this package do."""

    def forward(self, x: Tensor | Events | Repeated) -> Tensor:  # type: ignore[override]
        return super().forward(x if isinstance(x, Tensor) else x.dense())


def test_two_spikes_by_hand() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.data = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, -1.0]])
    x = torch.zeros(2, 1, 3)
    x[0, 0, 0] = 1  # meets one non-zero weight
    x[1, 0, 1] = 1  # meets none
    x[1, 0, 2] = 1  # meets two
    found = count(layer, x)
    assert (found.acs_per_sample, found.macs_per_sample, found.synops_per_sample) == (3, 0, 3)
    assert found.totals["bias_adds"] == 4
    assert found.totals["dense_macs"] == 2 * 6
    assert found.weight_sparsity == 0.5
    assert found.profile["(root)"]["synops"].tolist() == [1, 2]
    assert found.totals["memory_reads"] == 3 + 4 + 3


def test_a_real_sample_does_not_turn_its_neighbour_into_macs() -> None:
    layer = nn.Linear(2, 1, bias=False)
    x = torch.tensor([[[0.5, 0.0], [1.0, 0.0]]])
    together = count(layer, x)
    apart = count(layer, x[:, :1], x[:, 1:])
    assert (together.macs_per_sample, together.acs_per_sample) == (0.5, 0.5)
    assert (apart.macs_per_sample, apart.acs_per_sample) == (0.5, 0.5)


def test_ternary_is_ac_whole_numbers_and_reals_are_mac() -> None:
    layer = nn.Linear(3, 10, bias=False)
    x = torch.tensor([[[1.0, -1.0, 0.0]], [[2.0, 1.0, 0.0]], [[0.5, 1.0, 3.0]]])
    found = count(layer, x)
    assert (found.acs_per_sample, found.macs_per_sample) == (20, 50)
    assert found.totals["integer_macs"] == 20
    assert found.totals["integer_unrolled_acs"] == 30
    assert found.totals["mac_steps"] == 2


@settings(deadline=None, max_examples=30)
@given(
    T=st.integers(1, 4),
    B=st.integers(1, 4),
    n_in=st.integers(1, 7),
    n_out=st.integers(1, 6),
    zeros=st.floats(0, 1),
    kind=st.sampled_from(["binary", "ternary", "integer", "real"]),
    folded=st.booleans(),
    seed=st.integers(0, 99),
)
def test_linear_equals_the_loop(
    T: int, B: int, n_in: int, n_out: int, zeros: float, kind: str, folded: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((T, B, n_in)) < 0.4
    values = {
        "binary": np.ones(mask.shape),
        "ternary": rng.choice([-1, 1], mask.shape),
        "integer": rng.integers(1, 4, mask.shape),
        "real": rng.standard_normal(mask.shape),
    }[kind]
    x = (mask * values).astype(np.float32)
    linear = nn.Linear(n_in, n_out, bias=False)
    linear.weight.data = torch.from_numpy((rng.random((n_out, n_in)) >= zeros) * 0.5).float()
    found = count(Frames(linear) if folded else linear, torch.from_numpy(x))
    weight = linear.weight.detach().numpy()
    acs = macs = 0
    for t in range(T):
        for b in range(B):
            n = loop_linear(x[t, b], weight)
            if set(np.unique(x[t, b])) <= {-1.0, 0.0, 1.0}:
                acs += n
            else:
                macs += n
    assert found.acs_per_sample == acs / B
    assert found.macs_per_sample == macs / B
    assert found.totals["dense_macs"] == T * n_in * n_out


@settings(deadline=None, max_examples=25)
@given(
    k=st.integers(1, 3),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    groups=st.sampled_from([1, 2]),
    dilation=st.integers(1, 2),
    size=st.integers(5, 7),
    zeros=st.floats(0, 0.9),
    seed=st.integers(0, 99),
)
def test_convolution_equals_the_loop(
    k: int, stride: int, padding: int, groups: int, dilation: int, size: int, zeros: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    conv = nn.Conv2d(4, 6, k, stride, padding, dilation, groups)
    keep = torch.from_numpy(rng.random(conv.weight.shape) >= zeros)
    conv.weight.data *= keep
    x = (rng.random((2, 2, 4, size, size)) < 0.3).astype(np.float32)
    found = count(Frames(conv), torch.from_numpy(x))
    weight = conv.weight.detach().numpy()
    loop = sum(loop_conv(frame, weight, stride, padding, groups, dilation) for frame in x.reshape(-1, 4, size, size))
    assert found.acs_per_sample == loop / 2
    dense = loop_conv(np.ones((4, size, size)), np.ones_like(weight), stride, padding, groups, dilation)
    assert found.totals["dense_macs"] == 2 * dense
    side = (size + 2 * padding - dilation * (k - 1) - 1) // stride + 1
    assert found.totals["dense_macs_padded"] == 2 * side**2 * 6 * (4 // groups) * k * k
    assert found.totals["bias_adds"] == 2 * side**2 * 6


def test_conv1d_and_circular_padding() -> None:
    conv = nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular", bias=False)
    x = torch.zeros(1, 1, 2, 5)
    x[0, 0, 0, 0] = 1
    assert count(Frames(conv), x).acs_per_sample == 9  # no border in a ring: 3 taps into 3 channels


def test_events_and_repeated_frames_count_like_the_dense_tensor() -> None:
    torch.manual_seed(0)
    first = Sparse(30, 8)
    first.weight.data[:, ::3] = 0
    model = nn.Sequential(first, Lif(), nn.Linear(8, 3))
    x = events(12, 5, 30, 0.1, seed=1)
    assert numbers(count(model, to_events(x))) == numbers(count(model, x))
    frame = torch.rand(5, 30) * (torch.rand(5, 30) < 0.5)
    repeated = count(model, Repeated(frame, T=12))
    assert numbers(repeated) == numbers(count(model, frame.repeat(12, 1, 1)))
    assert repeated.macs_per_sample is not None and repeated.macs_per_sample > 0


@settings(deadline=None, max_examples=10)
@given(cut=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 20))
def test_no_number_depends_on_the_batch(cut: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(20, 9), Lif(), Frames(nn.BatchNorm1d(9)), nn.Linear(9, 4), Lif())
    x = events(6, sum(cut), 20, 0.2, seed)
    x[:, ::2] *= torch.rand(x[:, ::2].shape)
    whole = numbers(count(model, x))
    assert numbers(count(model, *x.split(cut, dim=1))) == whole
    assert numbers(count(model, *x.split(1, dim=1))) == whole


def test_rates_silence_and_saturation() -> None:
    class Fixed(nn.Module):
        spiking = True

        def forward(self, x: Tensor) -> Tensor:
            return x

    x = torch.zeros(4, 2, 3)
    x[:, :, 0] = 1  # saturated
    x[1, 0, 1] = 1  # one spike of eight
    found = count(nn.Sequential(Fixed()), x)  # the third never spikes
    layer = found.layers[0]
    assert (found.silent_neurons, found.saturated_neurons) == (1, 1)
    assert found.spike_rate == layer.spike_rate == 9 / 24
    assert found.activation_sparsity == layer.activation_sparsity == 15 / 24
    assert found.totals["neuron_updates"] == 12
    assert found.profile["0"]["spikes"].tolist() == [1, 1.5, 1, 1]


def test_whole_net_rate_is_over_neurons_not_over_layers() -> None:
    model = mlp(hidden=40, n_in=10, n_out=2)
    found = count(model, events(10, 3, 10, 0.5, seed=3))
    hidden, out = (layer for layer in found.layers if layer.kind == "neuron")
    assert hidden.spike_rate is not None and out.spike_rate is not None
    assert found.spike_rate == pytest.approx((40 * hidden.spike_rate + 2 * out.spike_rate) / 42)


def test_hidden_recurrence_is_counted_from_the_spikes_of_the_step_before() -> None:
    class Recurrent(nn.Module):
        spiking = True

        def __init__(self) -> None:
            super().__init__()
            self.recurrent_weight = nn.Parameter(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))

        def forward(self, x: Tensor) -> Tensor:
            return x

    x = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]], [[1.0, 1.0]]])
    found = count(nn.Sequential(Recurrent()), x)
    assert found.profile["0"]["synops"].tolist() == [0, 2, 3]
    assert found.synops_per_sample == 5
    assert found.totals["dense_macs"] == 3 * 4
    assert not set(found.missing) & {"synops_per_sample", "acs_per_sample"}


def test_a_module_reports_what_hooks_cannot_see() -> None:
    class Delayed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.skip = nn.Parameter(torch.randn(3, 3))

        def operations(self, inputs: tuple[Tensor], output: Tensor) -> dict[str, Tensor]:
            B = output.shape[1]
            return {
                "acs": (inputs[0] != 0).sum(2) * 3,
                "delay_bits": torch.full((B,), 12),
                "residual_adds": torch.full((B,), 6),
            }

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.skip.T

    x = events(5, 2, 3, 0.5, seed=0)
    found = count(nn.Sequential(Delayed()), x)
    assert found.acs_per_sample == int(x.sum()) * 3 / 2
    assert found.totals["delay_bits"] == 12 and found.totals["residual_adds"] == 6
    assert found.totals["weight_reads"] == found.acs_per_sample
    assert set(found.missing) == {"spike_rate", "activation_sparsity", "weight_sparsity"}


def test_norms_pools_and_residuals() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(2)
            self.pool = nn.AvgPool2d(2)
            self.top = nn.MaxPool2d(2)

        def forward(self, x: Tensor) -> Tensor:
            flat = x.flatten(0, 1)
            return self.top(self.pool(self.norm(flat) + flat)).unflatten(0, x.shape[:2])

    found = count(Block(), torch.rand(3, 4, 2, 8, 8))
    assert found.totals["norm_macs"] == 3 * 128
    assert found.totals["residual_adds"] == 3 * 128
    assert found.totals["pool_adds"] == 3 * 32 * 3
    assert found.totals["pool_compares"] == 3 * 8 * 3
    layer_norm = count(nn.Sequential(nn.LayerNorm(6)), torch.rand(2, 3, 6))
    assert (layer_norm.totals["norm_macs"], layer_norm.totals["norm_adds"]) == (24, 12)


def test_single_step_calls_are_the_same_as_one_multi_step_call() -> None:
    class Stepwise(nn.Module):
        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.layer(frame) for frame in x])

    layer = nn.Linear(7, 3)
    x = events(5, 4, 7, 0.3, seed=2)
    whole, steps = count(nn.Sequential(layer), x), count(Stepwise(layer), x, x)
    assert steps.synops_per_sample == whole.synops_per_sample
    assert np.array_equal(steps.profile["layer"]["synops"], whole.profile["0"]["synops"])
    assert steps.totals["bias_adds"] == whole.totals["bias_adds"]


def test_a_bare_layer_as_the_root_is_counted_and_hooks_are_gone_afterwards() -> None:
    layer = nn.Linear(3, 2)
    with Counter(layer) as counter:
        layer(torch.ones(1, 1, 3))
    layer(torch.ones(1, 1, 3))
    assert counter.result().synops_per_sample == 6
    assert not layer._forward_hooks and not layer._forward_pre_hooks


def test_a_counter_entered_again_goes_on() -> None:
    model, x = mlp(), events(6, 4, 20, 0.3, seed=5)
    counter = Counter(model)
    for part in x.split(2, dim=1):
        with counter, torch.no_grad():
            model(part)
    assert numbers(counter.result()) == numbers(count(model, x))


def test_chunks_of_a_sequence_count_like_the_whole() -> None:
    class Recurrent(Lif):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent_weight = nn.Parameter((torch.rand(9, 9) < 0.5).float())

    class Chunked(nn.Module):
        def __init__(self, span: int) -> None:
            super().__init__()
            self.fc, self.lif, self.span = nn.Linear(20, 9), Recurrent(), span

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.lif(self.fc(part)) for part in x.split(self.span)])

    class Fixed(Recurrent):
        def forward(self, x: Tensor) -> Tensor:
            return (x > 0).float()

    torch.manual_seed(0)
    whole, chunked = Chunked(12), Chunked(5)
    whole.lif = chunked.lif = Fixed()
    chunked.fc = whole.fc
    x = events(12, 3, 20, 0.2, seed=6)
    assert numbers(count(chunked, x)) == numbers(count(whole, x))
