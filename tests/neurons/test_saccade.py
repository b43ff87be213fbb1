"""Saccadic attention: both forms, the two inferences, causality, what it ignores, and the network around it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.inputs import Repeated
from snn5bench.execute import refuse_time
from snn5bench.measure.counts import Counter
from snn5bench.methods.sssa import SSSA
from snn5bench.neurons.saccade import Form, Saccade, counts, patches
from snn5bench.neurons.snn_vit import ChannelTokens, ImageTokens, SpikingTransformer

T, B, HEADS, N, D = 6, 3, 2, 5, 8
EVENTS = DatasetSpec(name="toy", n_classes=3, T=T, channels=11, coding="events", temporal=True)
IMAGES = DatasetSpec(
    name="pictures", n_classes=3, T=T, channels=2 * 8 * 8, shape=(2, 8, 8), coding="repeated", temporal=False
)


def spikes(seed: int, *shape: int, rate: float = 0.3) -> Tensor:
    size = shape or (T, B, HEADS, N, D)
    return (torch.rand(size, generator=torch.Generator().manual_seed(seed)) < rate).float()


def qkv() -> tuple[Tensor, Tensor, Tensor]:
    return spikes(1), spikes(2), spikes(3)


def saccade(form: Form = "v2", seed: int = 0) -> Saccade:
    torch.manual_seed(seed)
    layer = Saccade(T, form, 0.7)
    layer.saccade.data += 0.3 * torch.randn(T, T)
    layer.calibrate(*qkv()[:2], 0.5)
    return layer


def by_definition(layer: Saccade, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Sample, head, token and step one after another, with the N x N matrix formed."""
    out = torch.zeros_like(v)
    threshold = layer.log_threshold.exp()
    for b in range(B):
        for h in range(HEADS):
            patch = [torch.outer(q[t, b, h].sum(1), k[t, b, h].sum(1)) @ torch.ones(N) for t in range(T)]
            for t in range(T):
                drive = sum(layer.saccade[t, s] * patch[s] for s in range(t + 1))
                for n in range(N):
                    if drive[n] >= threshold:
                        out[t, b, h, n] = v[t, b, h, n]
    return out


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_equals_the_definition(form: Form) -> None:
    layer = saccade(form)
    found = layer(*qkv())
    assert torch.equal(found, by_definition(layer, *qkv()))
    assert 0.05 < found.mean() < 0.3


def test_v1_and_v2_are_equal_to_the_bit_before_the_threshold() -> None:
    q, k = spikes(1, 4, 2, 2, 64, 32, rate=0.5), spikes(2, 4, 2, 2, 64, 32, rate=0.5)
    one, two = patches(*counts(q, k), "v1"), patches(*counts(q, k), "v2")
    assert torch.equal(one, two)
    layer = Saccade(4)
    assert torch.equal(layer.drive(one), layer.drive(two))


def test_the_future_stays_closed_during_training() -> None:
    layer = saccade()
    q, k, v = qkv()
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(3):
        optimiser.zero_grad()
        layer(q, k, v).sum().backward()
        upper = torch.triu(torch.ones(T, T), 1).bool()
        assert layer.saccade.grad is not None
        assert (layer.saccade.grad[upper] == 0).all()
        optimiser.step()
    layer.saccade.data += torch.triu(torch.ones(T, T), 1)  # whatever stands above the diagonal
    before = layer(q, k, v)
    q[3], k[3] = 1 - q[3], 1 - k[3]
    after = layer(q, k, v)
    assert torch.equal(before[:3], after[:3])
    assert not torch.equal(before[3:], after[3:])


def test_identity_mixing_thresholds_each_step() -> None:
    q, k, v = qkv()
    layer = Saccade(T, decay=0.0)
    layer.log_threshold.data.fill_(3.0)
    assert torch.equal(layer.saccade, torch.eye(T))
    mine, theirs = counts(q, k)
    expected = (theirs.sum(-1, keepdim=True) * mine >= layer.log_threshold.exp()).float().unsqueeze(-1) * v
    assert 0 < expected.sum() < v.sum()
    assert torch.equal(layer(q, k, v), expected)


def test_decoupled_is_coupled_for_a_diagonal_only() -> None:
    q, k, _ = qkv()
    layer = Saccade(T, "v2-decoupled", decay=0.0)
    layer.log_threshold.data.fill_(3.3)  # 27.1 lies between whole numbers
    assert torch.equal(layer.decoupled_gate(*counts(q, k)), layer.coupled_gate(*counts(q, k)))
    coupled = saccade("v2-decoupled")
    assert not torch.equal(coupled.decoupled_gate(*counts(q, k)), coupled.coupled_gate(*counts(q, k)))


def test_the_counter_example() -> None:
    """M_w = [[1, 0], [1, 1]], V = [1, 2] as rows of one M_w with V = 1: [[1, 0], [.5, .5]]; counts [3, 0], alpha 1.
    Coupled: 3, 1.5: (1, 1). Decoupled: M_w^-1 1 = (1, 1): 3 >= 1, 0 < 1: (1, 0)."""
    layer = Saccade(2, "v2-decoupled")
    layer.saccade.data = torch.tensor([[1.0, 9.0], [0.5, 0.5]])
    q, k = torch.zeros(2, 1, 1, 1, 4), torch.zeros(2, 1, 1, 1, 4)
    q[0, ..., :3] = 1
    k[..., :1] = 1
    assert layer.coupled_gate(*counts(q, k)).flatten().tolist() == [1, 1]
    assert layer.decoupled_gate(*counts(q, k)).flatten().tolist() == [1, 0]
    told = layer.operations((q, k, q), q)
    assert told["gates_unlike_coupled"].flatten().tolist() == [0, 1]
    assert told["gates"].sum() == 2


@pytest.mark.parametrize(("steps", "low", "high"), [(2, 0.06, 0.19), (8, 0.17, 0.37)])
def test_disagreement_grows_with_the_steps(steps: int, low: float, high: float) -> None:
    """Reported before for ones, 64 tokens of 32 channels, threshold at the median of each step: 12 % and 31 %. Ours has
    one threshold for all steps, so the rows of M_w are divided by their sum instead."""
    q, k = (spikes(seed, steps, 8, 1, 64, 32, rate=0.2) for seed in (1, 2))
    layer = Saccade(steps, "v2-decoupled", decay=1.0)
    layer.saccade.data = torch.tril(torch.ones(steps, steps))
    layer.saccade.data /= layer.saccade.sum(1, keepdim=True)
    layer.calibrate(q, k, 0.5)
    unlike = (layer.coupled_gate(*counts(q, k)) != layer.decoupled_gate(*counts(q, k))).float().mean().item()
    assert low < unlike < high


def test_decoupled_refuses_a_diagonal_that_turns_the_inequality() -> None:
    layer = saccade("v2-decoupled")
    layer.saccade.data[2, 2] = -0.1
    with pytest.raises(ValueError, match="positive diagonal"):
        layer.decoupled_gate(*counts(*qkv()[:2]))


@pytest.mark.parametrize("form", ["v1", "v2", "v2-decoupled"])
def test_no_keys_no_output(form: Form) -> None:
    q, k, v = qkv()
    layer = saccade(form).eval()
    assert layer(q, torch.zeros_like(k), v).sum() == 0


def test_tokens_may_be_permuted_and_channels_too_each_their_own_way() -> None:
    q, k, v = qkv()
    layer = saccade()
    out = layer(q, k, v)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(4))
    assert torch.equal(layer(q[..., order, :], k[..., order, :], v[..., order, :]), out[..., order, :])
    one, two = (torch.randperm(D, generator=torch.Generator().manual_seed(s)) for s in (5, 6))
    assert torch.equal(layer(q[..., one], k[..., two], v), out)
    plain, shuffled = (a @ b.transpose(-1, -2) for a, b in ((q, k), (q[..., one], k[..., two])))
    assert not torch.equal(plain, shuffled), "ordinary spiking attention does see the channels"


def test_cross_attention_has_rank_one() -> None:
    mine, theirs = counts(*qkv()[:2])
    matrix = (mine.unsqueeze(-1) * theirs.unsqueeze(-2)).double()
    assert (torch.linalg.matrix_rank(matrix) <= 1).all()


def test_binary_and_one_gate_a_token() -> None:
    q, k, _ = qkv()
    out = saccade()(q, k, torch.ones_like(q))
    assert set(out.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(out, out[..., :1].expand_as(out))


def test_gradients_reach_what_learns() -> None:
    layer = saccade()
    q, k, v = (x.requires_grad_() for x in qkv())
    (layer(q, k, v) * torch.linspace(-1, 2, q.numel()).view_as(q)).sum().backward()
    for x in (q, k, v, layer.log_threshold):
        assert x.grad is not None
        assert x.grad.abs().max() > 0
    assert layer.saccade.grad is not None
    assert (layer.saccade.grad[torch.tril(torch.ones(T, T)).bool()] != 0).float().mean() > 0.9


def test_operations_by_hand() -> None:
    """V2: an addition a spike of Q and K and N for alpha, N products, and M_w; V1: N^2 of both instead of N."""
    q, k, v = qkv()
    told = saccade("v2").operations((q, k, v), v)
    fired = (q.sum((2, 3, 4)) + k.sum((2, 3, 4))).long()
    assert torch.equal(told["matmul_acs"], fired + HEADS * N)
    assert told["matmul_macs"].unique().tolist() == [HEADS * N]
    assert told["macs"].sum().item() == B * HEADS * N * T * (T + 1) // 2
    quadratic = saccade("v1").operations((q, k, v), v)
    assert torch.equal(quadratic["matmul_acs"], fired + HEADS * N * N)
    assert quadratic["matmul_macs"].unique().tolist() == [HEADS * N * N]


def test_other_lengths_and_forms_are_refused() -> None:
    with pytest.raises(ValueError, match="T = 6"):
        saccade()(*(x[:4] for x in qkv()))
    with pytest.raises(ValueError, match="form"):
        Saccade(3, "v3")  # type: ignore[arg-type]


def network(data: DatasetSpec = EVENTS, **options: object) -> SpikingTransformer:
    torch.manual_seed(0)
    net = SSSA(SSSA.Params(width=8, tokens=4, **options)).build(data)  # type: ignore[arg-type]
    assert isinstance(net, SpikingTransformer)
    net.calibrate(inputs(data), 0.5)
    return net


def inputs(data: DatasetSpec) -> Tensor:
    return spikes(9, T, 16, data.channels)


@pytest.mark.parametrize("data", [EVENTS, IMAGES])
def test_notd_ignores_order_and_full_does_not(data: DatasetSpec) -> None:
    net, x = network(data).eval(), inputs(data)
    with pytest.raises(RuntimeError, match="still sees the order"), torch.no_grad():
        refuse_time(net, x)
    method = SSSA(SSSA.Params())
    with torch.no_grad():
        refuse_time(method.timeless(copy.deepcopy(net)), x)
        torch.testing.assert_close(method.spatial(copy.deepcopy(net))(x), net(x))


def test_attention_alone_carries_time() -> None:
    """Neurons cut, M_w not: the order is still seen, through M_w."""
    net, x = network(decay=0.0).eval(), inputs(EVENTS)
    for attention in net.attentions:
        attention.saccade.set_time("full")
    with pytest.raises(RuntimeError, match="still sees the order"), torch.no_grad():
        refuse_time(net, x)
    net.attentions[0].saccade.set_time("notd")
    with torch.no_grad():
        refuse_time(net, x)


def test_sdbp_gradient_stays_within_its_step() -> None:
    x = inputs(EVENTS).requires_grad_()
    net = SSSA(SSSA.Params()).spatial(network().eval())
    net(x)[-1].square().sum().backward()
    assert x.grad is not None
    assert x.grad[:-1].abs().max() == 0
    assert x.grad[-1].abs().max() > 0


@pytest.mark.parametrize("data", [EVENTS, IMAGES])
def test_causal(data: DatasetSpec) -> None:
    net, x = network(data).eval(), inputs(data)
    later = x.clone()
    later[4:] = 1 - later[4:]
    assert torch.equal(net(x)[:4], net(later)[:4])
    assert not torch.equal(net(x)[4:], net(later)[4:])


def test_all_projections_learn() -> None:
    net = network()
    net(inputs(EVENTS)).square().sum().backward()
    for name, p in net.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name


def test_channel_tokens_by_hand() -> None:
    """Eleven channels in four groups of three, the last filled up."""
    tokens = ChannelTokens(11, 4, 2).eval()
    assert (tokens.tokens, tokens.fill) == (4, 1)
    x = spikes(1, 2, 3, 11)
    by_hand = torch.stack(
        [
            x[..., i : i + 3] @ tokens.embed.weight[:, : min(3, 11 - i)].t() + tokens.offset[i // 3]
            for i in range(0, 11, 3)
        ],
        2,
    )
    torch.testing.assert_close(tokens(x), by_hand / (1 + 1e-5) ** 0.5)
    assert ChannelTokens(3, 8, 2).tokens == 3
    assert ChannelTokens(10, 4, 2).tokens == 4


def test_patch_splitting_halves_the_picture() -> None:
    from snn5bench.neurons.lif import LIF

    tokens = ImageTokens((2, 8, 8), 8, 2, LIF)
    assert tokens(spikes(1, T, 3, 128)).shape == (T, 3, 4, 8)


@pytest.mark.parametrize(("data", "form"), [(EVENTS, "v2"), (EVENTS, "v1"), (EVENTS, "v2-decoupled"), (IMAGES, "v2")])
def test_operations_are_all_counted(data: DatasetSpec, form: Form) -> None:
    net = network(data, form=form).eval()
    with Counter(net) as counter, torch.no_grad():
        net(inputs(data))
    found = counter.result()
    assert not found.missing
    assert found.macs_per_sample is not None
    assert found.macs_per_sample > 0
    layers = {layer.name: layer for layer in found.layers}
    detail = layers["attentions.0.saccade"].detail
    assert ("gates_unlike_coupled" in detail) == (form == "v2-decoupled")
    projection = layers["attentions.0.project"]
    assert projection.macs == 0, "the gated values are spikes"
    assert projection.acs > 0


def test_what_it_does_not_support() -> None:
    method = SSSA(SSSA.Params(stages=4))
    assert "nothing" in method.supports(IMAGES).reason
    assert method.supports(EVENTS)
    assert "T^2" in method.supports(EVENTS.model_copy(update={"T": 4000})).reason
    with pytest.raises(ValueError, match="heads"):
        SSSA.Params(width=10, heads=4)


def test_repeated_frames_are_fed_dense() -> None:
    net = network(IMAGES).eval()
    frame = torch.rand(4, 128)
    assert not getattr(net, "takes_events", False)
    assert net(Repeated(frame, T).dense()).shape == (T, 4, 3)
