"""SpikingSSM: the reset unrolled, thresholds as scales, blocks, norms, what carries time, and operations."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Budget, Task
from snn5bench.execute import refuse_time
from snn5bench.measure.counts import Counter
from snn5bench.methods.spikingssm import SpikingSSM
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.norms import StepBatchNorm
from snn5bench.neurons.sdn import SDN
from snn5bench.neurons.spiking_ssm import Block, Gate, SpikingSSMNet
from snn5bench.neurons.ssm import S4D

SPEC = DatasetSpec(name="toy", n_classes=3, T=30, channels=7, coding="events", temporal=True)


def sequence(steps: int = 30, batch: int = 4, channels: int = 7) -> Tensor:
    return (torch.rand(steps, batch, channels, generator=torch.Generator().manual_seed(1)) < 0.3).float()


def network(**options: object) -> SpikingSSMNet:
    torch.manual_seed(0)
    net = SpikingSSM(SpikingSSM.Params(d_model=12, states=4, **options)).build(SPEC)
    assert isinstance(net, SpikingSSMNet)
    net.calibrate(sequence(), 0.1)
    return net


def test_hard_reset_unrolled() -> None:
    """u'[t] = sum_i prod_{j=i}^{t-1} (1 - s[j]) tau^(t-i) I[i], with the spikes of the kernel."""
    x = torch.randn(60, 1, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 0.4
    s = LIF(0.125, 1.0, "hard")(x)[:, 0].numpy()
    current = x[:, 0].numpy()
    potential = np.zeros_like(current)
    for t in range(60):
        for i in range(t + 1):
            potential[t] += np.prod(1 - s[i:t], axis=0) * 0.125 ** (t - i) * current[i]
    loop, carried = np.zeros_like(current), np.zeros(20)
    for t in range(60):
        loop[t] = carried + current[t]
        carried = 0.125 * loop[t] * (1 - s[t])
    np.testing.assert_allclose(potential, loop, atol=1e-12)
    np.testing.assert_array_equal(s, potential >= 1)


def test_scaling_current_and_threshold_together_changes_nothing() -> None:
    x = torch.randn(100, 8, 20, generator=torch.Generator().manual_seed(3))
    once = LIF(0.125, 1.0, "hard")(x)
    assert 0.05 < once.mean() < 0.5
    for scale in (2.0, 0.5, 8.0):
        assert torch.equal(LIF(0.125, scale, "hard")(scale * x), once)


def test_threshold_is_a_division_of_the_current() -> None:
    torch.manual_seed(0)
    block = Block(S4D(6, 4), norm="none").double()
    x = torch.randn(40, 3, 6, dtype=torch.float64)
    with torch.no_grad():
        block.ln_vth.fill_(float(np.log(0.05)))
    raised = LIF(0.125, 0.05, "hard")(block.ssm(x))
    assert raised.mean() > 0.02
    assert torch.equal(block.neuron(block.current(x)), raised)


@pytest.mark.parametrize("prenorm", [True, False])
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_norm_weights_act_in_both_places(norm: str, prenorm: bool) -> None:
    """The official post-norm does not pass this: it normalises a temporary and throws the result away."""
    torch.manual_seed(0)
    block = Block(S4D(6, 4), norm=norm, prenorm=prenorm).eval()  # type: ignore[arg-type]
    block.ln_vth.data.fill_(-3.0)
    x = torch.randn(20, 3, 6)
    before = block(x)
    (block.before if prenorm else block.after).weight.data.mul_(3)
    assert not torch.allclose(block(x), before)


def test_norm_none_is_the_official_post_norm() -> None:
    block = Block(S4D(6, 4), norm="none", prenorm=False)
    assert isinstance(block.before, nn.Identity)
    assert isinstance(block.after, nn.Identity)


def test_block_by_its_parts() -> None:
    torch.manual_seed(0)
    block = Block(S4D(6, 4))
    block.ln_vth.data.fill_(-3.0)
    x = torch.randn(20, 3, 6)
    normed = torch.nn.functional.layer_norm(x, (6,))
    s = LIF(0.125, 1.0, "hard")(block.ssm(normed) * float(np.exp(3.0)))
    assert 0.05 < s.mean() < 0.6
    half = s @ block.out.weight.t() + block.out.bias
    torch.testing.assert_close(block(x), x + half[..., :6] * torch.sigmoid(half[..., 6:]))


def test_batch_norm_is_over_steps_and_samples() -> None:
    x = torch.randn(20, 3, 6) * 3 + 1
    y = StepBatchNorm(6)(x)
    torch.testing.assert_close(y.flatten(0, 1).mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.flatten(0, 1).var(0, unbiased=False), torch.ones(6), atol=1e-3, rtol=0)


@pytest.mark.parametrize("options", [{}, {"neuron": "sdn"}, {"norm": "batch"}, {"bidirectional": True}])
def test_notd_ignores_order_and_full_does_not(options: dict[str, object]) -> None:
    net = network(**options).eval()
    x = sequence()
    method = SpikingSSM(SpikingSSM.Params())
    with pytest.raises(RuntimeError, match="still sees the order"), torch.no_grad():
        refuse_time(net, x)
    with torch.no_grad():
        refuse_time(method.timeless(copy.deepcopy(net)), x)
    twin = method.spatial(copy.deepcopy(net))
    torch.testing.assert_close(twin(x), net(x), rtol=1e-4, atol=1e-5)


def test_sdbp_gradient_stays_within_its_step() -> None:
    net = SpikingSSM(SpikingSSM.Params()).spatial(network())
    x = sequence().requires_grad_()
    net(x)[-1].sum().backward()
    assert x.grad is not None
    assert x.grad[:-1].abs().max() == 0
    assert x.grad[-1].abs().max() > 0
    full = network()
    x.grad = None
    full(x)[-1].sum().backward()
    assert (x.grad.abs().amax((1, 2)) > 0).all()


def test_causal_unless_bidirectional() -> None:
    x, later = sequence(), sequence()
    later[20:] = 1 - later[20:]
    net = network()
    torch.testing.assert_close(net(x)[:20], net(later)[:20], rtol=0, atol=0)
    both = network(bidirectional=True)
    assert not torch.allclose(both(x)[:20], both(later)[:20])


def test_calibration_reaches_its_rate() -> None:
    net = network()
    rates: list[float] = []
    for block in net.blocks:
        block.neuron.register_forward_hook(lambda m, i, out: rates.append(out.mean().item()))
    logits = net(sequence())
    assert len(rates) == 2
    for rate in rates:
        assert 0.07 < rate < 0.14
    assert logits.sum(0).std().item() == pytest.approx(1, rel=1e-3)


def test_no_gradient_enters_the_predictor_while_the_network_trains() -> None:
    net = network(neuron="sdn")
    frozen = {name: value.clone() for name, value in net.named_buffers()}
    assert not any("taps" in name for name, _ in net.named_parameters())
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        net(sequence()).square().sum().backward()
        optimiser.step()
    for name, value in net.named_buffers():
        assert torch.equal(value, frozen[name])


def test_learning_rates_and_thresholds() -> None:
    net = network(lr=0.01, ssm_lr=0.001)
    block = net.blocks[0]
    assert isinstance(block, Block)
    assert block.ssm.log_dt.lr_scale == pytest.approx(0.1)  # type: ignore[attr-defined]
    assert not hasattr(block.ssm.C, "lr_scale")
    assert network(lr=0.001).blocks[0].ssm.A_imag.lr_scale < 1
    assert block.ln_vth.requires_grad
    assert not network(train_threshold=False).blocks[0].ln_vth.requires_grad


def test_wrong_parameters_are_refused() -> None:
    for bad in ({"states": 5}, {"dt_min": 0.2, "dt_max": 0.1}, {"neuron": "gru"}, {"dropout": 1.0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            SpikingSSM.Params(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["full", "notd"])
@pytest.mark.parametrize("neuron", ["lif", "sdn"])
def test_operations_are_all_counted(neuron: str, mode: str) -> None:
    """12 channels, 4 states, 30 steps: 12 (3 * 4 + 1) MACs a step and block, 12 products in the gate."""
    net = network(neuron=neuron).eval()
    net.set_time(mode)
    spikes: list[Tensor] = []
    for block in net.blocks:
        block.neuron.register_forward_hook(lambda m, i, out: spikes.append(out))
    x = sequence()
    with Counter(net) as counter, torch.no_grad():
        net(x)
    found = counter.result()
    assert not found.missing
    fired = sum(float(s.sum()) for s in spikes) / 4
    events = float(x.sum()) / 4
    assert found.acs_per_sample == pytest.approx(events * 12 + fired * 24)
    ssm = 2 * 30 * 12 * (13 if mode == "full" else 1)
    predictor = 2 * 30 * 12 * 136 if (neuron, mode) == ("sdn", "full") else 0
    assert found.macs_per_sample == pytest.approx(ssm + predictor + 30 * 12 * 3 + 2 * 30 * 12)
    assert found.spike_rate == pytest.approx(sum(float(s.mean()) for s in spikes) / 2)
    assert found.totals["matmul_macs"] == 2 * 30 * 12


def test_gate_by_hand() -> None:
    out = Gate()(torch.tensor([[[2.0, -1.0, 0.0, 1e4]]]))
    assert out.tolist() == [[[1.0, -1.0]]]


class Fixed:
    """A batch, again and again."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def epoch(self):
        yield self.x, self.y


def order_task(samples: int, seed: int) -> Fixed:
    """Which of two channels pulses first; a constant third channel."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.zeros(20, samples, 7), torch.arange(samples) % 2
    for n in range(samples):
        first, gap = (int(torch.randint(low, high, (), generator=generator)) for low, high in ((1, 8), (3, 9)))
        x[first, n, int(y[n])] = x[first + gap, n, 1 - int(y[n])] = 1
    x[..., 2] = 1
    return Fixed(x, y)


def test_the_exact_loop_replaces_the_predictor_after_training() -> None:
    """Trained with the surrogate network, tested with the exact neuron: the accuracy stays."""
    from snn5bench.train import bptt

    spec = SPEC.model_copy(update={"T": 20, "n_classes": 2})
    train, test = order_task(200, 0), order_task(400, 1)
    method = SpikingSSM(SpikingSSM.Params(d_model=16, states=8, neuron="sdn", lr=0.02, dt_max=0.5))
    task = Task(spec, train, train, Budget(epochs=120, batch_size=200), lambda *a: 0.0, None, lambda m: m)  # type: ignore[arg-type]
    task.bptt = lambda model, params: bptt(model, params, task)
    torch.manual_seed(0)
    net = method.fit(task)
    assert isinstance(net, SpikingSSMNet)

    def accuracy() -> float:
        with torch.no_grad():
            return (net(test.x).sum(0).argmax(1) == test.y).float().mean().item()

    predicted = accuracy()
    for block in net.blocks:
        assert isinstance(block.neuron, SDN)
        block.neuron = LIF(0.125, 1.0, "hard")
    assert predicted > 0.9
    assert abs(accuracy() - predicted) < 0.02


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_after_calibration_a_network_evaluates_as_it_trains(norm: str) -> None:
    """But for a few spikes where the norm is the batch's: running variances divide by one less, and calibration leaves a
    neuron exactly at its threshold, where rounding decides."""
    net = network(norm=norm)
    training = net(sequence())
    torch.testing.assert_close(net.eval()(sequence()), training, rtol=2e-2, atol=2e-2)
