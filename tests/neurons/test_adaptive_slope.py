"""The adaptive slope: its rule by hand, spikingjelly's shapes at every slope, that eager and compiled code follow it."""

from __future__ import annotations

import math

import pytest
import torch
from spikingjelly.activation_based import surrogate as sj
from spikingjelly.activation_based.neuron import FlexSN
from torch._dynamo.testing import CompileCounterWithBackend

from snn5bench.neurons.adaptive_slope import Slope, SlopedNet
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.surrogate import Surrogate

SLOPES = range(1, 101, 10)


def net(slope: Slope, shape: str = "fast_sigmoid", hidden: tuple[int, ...] = (8, 6)) -> SlopedNet:
    torch.manual_seed(0)
    return SlopedNet(5, hidden, 3, lambda n: LIF(0.9, 1.0, "soft", Surrogate(shape)), slope)  # type: ignore[arg-type]


def test_the_rule_by_hand() -> None:
    """Rewards 40, 60, 60: r' = 40, 20, 0. Means over ten, the missing ones 0: 4, 8, 11. Then 60 for ever: as the window
    fills 3 more each time, until the 40 leaves it and r is 60, r' 0 throughout: 30."""
    slope, found = Slope(), []
    for reward in (40, 60, *[60] * 12):
        slope.rewarded(reward)
        found.append(slope.value.item())
    assert found[:4] == pytest.approx([4, 8, 11, 14])
    assert found[-1] == pytest.approx(30)


def test_the_rule_keeps_its_range() -> None:
    slope = Slope()
    assert slope.value.item() == 1
    for reward in (0.5, -1000.0):
        slope.rewarded(reward)
        assert slope.value.item() == 1
    for _ in range(12):
        slope.rewarded(1e6)
    assert slope.value.item() == 100


def test_an_interval_and_a_fixed_slope() -> None:
    slope = Slope("interval", 2.0, 50.0)
    values = []
    for share in (0.0, 0.5, 1.0):
        slope.rewarded(70.0)
        slope.advanced(share)
        values.append(slope.value.item())
    assert values == pytest.approx([2, 10, 50])
    fixed = net(Slope("fixed", 25.0))
    assert fixed.learned(0.5, 80.0) == 25
    assert [layer.surrogate.width.item() for layer in fixed.neurons] == pytest.approx([1 / 25] * 2)


def test_surrogates_follow_and_the_state_carries_all() -> None:
    made = net(Slope())
    for epoch in range(4):
        k = made.learned(epoch / 4, 80.0)
    assert k == pytest.approx(4 * 4 + 4)
    assert [layer.surrogate.width.item() for layer in made.neurons] == pytest.approx([1 / k] * 2)
    other = net(Slope())
    other.load_state_dict(made.state_dict())
    assert other.slope.value.item() == pytest.approx(k)
    assert other.learned(1.0, 80.0) == made.learned(1.0, 80.0), "the window moves along"
    moved = made.double()
    assert moved.slope.value.dtype is torch.float64
    assert moved.learned(1.0, 80.0) == pytest.approx(other.learned(1.0, 80.0))
    assert {buffer.device.type for buffer in made.to("meta").buffers()} == {"meta"}


def test_a_slope_changes_gradients_and_no_spike() -> None:
    """1 at the threshold and 1/4 at a distance of 1/k, whatever k; the spikes are the same for every k."""
    x = (torch.rand(20, 16, 5, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    logits = []
    for k in (1, 8, 64):
        made = net(Slope("fixed", float(k))).double()
        at = torch.tensor([0.0, 1 / k, -1 / k], dtype=torch.float64)
        assert made.neurons[0].surrogate.derivative(at).tolist() == pytest.approx([1, 1 / 4, 1 / 4], rel=1e-6)
        for layer in made.synapses:
            layer.weight.data.mul_(4)
        logits.append(made(x.double()))
        assert made.activity(x.double())[1].mean() > 0.02
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


@pytest.mark.parametrize("k", [1, 4, 25, 100])
@pytest.mark.parametrize(
    ("shape", "theirs", "factor"),
    [
        ("rectangle", sj.Rect, 1),
        ("triangle", sj.PiecewiseQuadratic, 1),
        ("atan", sj.ATan, 1),
        ("sigmoid", sj.Sigmoid, 1),
        ("exponential", sj.PiecewiseExp, 1),
        ("fast_sigmoid", sj.SoftSign, 2),
    ],
)
def test_every_shape_is_spikingjellys_of_alpha_k(shape: str, theirs: type, factor: int, k: int) -> None:
    """Width 1/k is their alpha = k. Their soft sign has area 1 (k/2 at the threshold), our fast sigmoid peak 1."""
    x = torch.linspace(-2, 2, 101, dtype=torch.float64, requires_grad=True)
    theirs(alpha=float(k))(x).sum().backward()
    scale = factor / k if factor == 2 else 1.0
    ours = net(Slope("fixed", float(k)), shape).double().neurons[0].surrogate.derivative(x.detach())
    torch.testing.assert_close(ours, scale * x.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kernels", ["torch", "numba"])
def test_eager_and_kernels_follow_the_slope(monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    made = net(Slope("fixed")).double()
    for k in SLOPES:
        made.slope.value.fill_(k)
        made.follow()
        x = torch.full((1, 1, 8), 0.7, dtype=torch.float64, requires_grad=True)
        made.neurons[0](x).sum().backward()
        assert x.grad is not None
        assert x.grad[0, 0, 0].item() == pytest.approx(1 / (1 + 0.3 * k) ** 2, rel=1e-6)


@pytest.mark.parametrize("dynamic", [None, False])
def test_compiled_code_follows_the_slope_without_a_new_graph(dynamic: bool | None) -> None:
    made = net(Slope("fixed")).double()
    surrogate = made.neurons[0].surrogate
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda x: surrogate(x - 1), backend=counter, fullgraph=True, dynamic=dynamic)
    graphs = []
    for k in SLOPES:
        made.slope.value.fill_(k)
        made.follow()
        x = torch.full((1,), 0.7, dtype=torch.float64, requires_grad=True)
        compiled(x).sum().backward()
        assert x.grad is not None
        assert x.grad.item() == pytest.approx(1 / (1 + 0.3 * k) ** 2, rel=1e-6)
        graphs.append(counter.frame_count)
    assert len(set(graphs)) == 1
    work = [graph for graph in counter.graphs if any(node.op.startswith("call") for node in graph.graph.nodes)]
    assert len(work) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tracing_freezes_a_number_and_follows_a_buffer() -> None:
    """The trap that the buffer avoids: a slope kept as a Python number is a constant of the trace."""

    class Number(torch.nn.Module):
        k = 1.0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (1 + self.k * x.abs()) ** -2

    class Buffer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.surrogate = Surrogate("fast_sigmoid")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.surrogate.derivative(x)

    number, buffer, x = Number(), Buffer(), torch.tensor([0.3])
    traced_number, traced_buffer = torch.jit.trace(number, x), torch.jit.trace(buffer, x)
    number.k = 50.0
    buffer.surrogate.width.fill_(1 / 50)
    assert number(x).item() == pytest.approx(1 / 16**2)
    assert traced_number(x).item() == pytest.approx(1 / 1.3**2)
    assert traced_buffer(x).item() == pytest.approx(1 / 16**2)


def test_the_neuron_is_a_flexible_neuron_of_spikingjelly() -> None:
    """The same step given to FlexSN, with a surrogate of slope 10: spikes and gradients."""

    class Fire(torch.autograd.Function):
        @staticmethod
        def forward(ctx, u):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(u)
            return (u >= 0).to(u.dtype)

        @staticmethod
        def backward(ctx, grad):  # type: ignore[no-untyped-def]
            (u,) = ctx.saved_tensors
            return grad / (1 + 10 * u.abs()) ** 2

    def core(x: torch.Tensor, carry: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        v = carry + x
        s = Fire.apply(v - 1)
        return s, 0.9 * v - s

    flexible = FlexSN(core, num_states=1, step_mode="m")
    layer = net(Slope("fixed", 10.0)).double().neurons[0]
    a, b = (torch.randn(12, 2, 4, generator=torch.Generator().manual_seed(0)).double().requires_grad_() for _ in "ab")
    mine, theirs = layer(a), flexible(b)
    weight = torch.linspace(-1, 2, mine.numel(), dtype=mine.dtype).view_as(mine)
    (mine * weight).sum().backward()
    (theirs * weight).sum().backward()
    assert 0.05 < mine.mean() < 0.6
    assert torch.equal(mine, theirs)
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-9)


def test_what_a_slope_does_to_the_gradient() -> None:
    """Four layers of 64. Shallow slopes make larger gradients that reach the first layer, and point elsewhere than those of
    the steepest; only the trends are asserted."""
    x = (torch.rand(20, 16, 5, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    label = torch.arange(16) % 3
    gradients: dict[int, list[torch.Tensor]] = {}
    for k in (1, 10, 50, 100):
        made = net(Slope("fixed", float(k)), hidden=(64,) * 4)
        made.calibrate(x, 0.1)
        torch.nn.functional.cross_entropy(made(x).sum(0), label).backward()
        gradients[k] = [layer.weight.grad.flatten() for layer in made.synapses]
    first = [gradients[k][0].norm().item() for k in (1, 10, 50, 100)]
    assert first == sorted(first, reverse=True)
    assert first[0] > 10 * first[-1]

    def cosine(k: int, layer: int) -> float:
        return torch.cosine_similarity(gradients[k][layer], gradients[100][layer], dim=0).item()

    for layer in range(4):
        assert cosine(1, layer) < cosine(10, layer) < cosine(50, layer)
    assert cosine(10, 0) < cosine(10, 3)
    assert all(math.isfinite(cosine(k, 0)) for k in gradients)
