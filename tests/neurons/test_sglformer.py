"""SGLFormer: its published size, its groups, its products, pools, heads, whole numbers, time and counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from spikingjelly.activation_based.neuron import LIFNode
from torch import Tensor, nn

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import CannotCut
from snn5bench.measure.counts import Counter
from snn5bench.methods import sglformer
from snn5bench.neurons.neuron import Neuron
from snn5bench.neurons.norms import adopting
from snn5bench.neurons.sglformer import (
    SSA,
    Block,
    LineMap,
    Local,
    MeanHead,
    PictureMap,
    SGLFormerNet,
    STBHead,
    Unit,
    block,
    grouped,
    lif,
    merged,
)
from snn5bench.neurons.spike_attention import wake

T, B, D = 4, 3, 24
RAMP = torch.arange(64.0).view(8, 8)


def spikes(*shape: int, rate: float = 0.3, seed: int = 0) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def pictures(head: str = "mean", pools: int = 1, **more: object) -> SGLFormerNet:
    torch.manual_seed(0)
    tokens = PictureMap((2, 8, 8), D, pools)
    count = tokens.size[0] * tokens.size[1]
    ends = STBHead(D, count, T, 3) if head == "stb" else MeanHead(D, 3)
    return SGLFormerNet(tokens, [block(D, 4, 2, "parity", 2.0)], ends, **more)  # type: ignore[arg-type]


def awake(groups: str, x: Tensor) -> SSA:
    torch.manual_seed(0)
    made = SSA(D, 4, groups, lif, lif(threshold=0.5))  # type: ignore[arg-type]
    with adopting(made):
        wake(made, x, Neuron, 0.1)
    return made


# 1. Size.


@pytest.mark.parametrize(("classes", "parameters"), [(10, 8_852_874), (100, 8_887_524)])
def test_the_published_number_of_parameters(classes: int, parameters: int) -> None:
    net = SGLFormerNet(
        PictureMap((3, 32, 32), 384, 2), [block(384, 16, 4, "parity", 2.0)], STBHead(384, 64, 4, classes)
    )
    assert sum(p.numel() for p in net.parameters()) == parameters


# 2. Groups.


def test_groups_of_a_ramp() -> None:
    """The published groups take every second row and column; a window is a quarter of the map."""
    parity, window = grouped(RAMP, "parity"), grouped(RAMP, "window")
    assert torch.equal(parity[0], RAMP[::2, ::2].flatten())
    assert torch.equal(parity[1], RAMP[::2, 1::2].flatten())
    assert torch.equal(parity[2], RAMP[1::2, ::2].flatten())
    assert torch.equal(window[0], RAMP[:4, :4].flatten())
    assert torch.equal(window[1], RAMP[:4, 4:].flatten())
    assert not torch.equal(parity, window)
    assert torch.equal(grouped(RAMP, "one"), RAMP.view(1, 64))
    assert torch.equal(grouped(RAMP[:1, :6], "parity"), torch.tensor([[0.0, 2, 4], [1, 3, 5]]))


@pytest.mark.parametrize("groups", ["parity", "window", "one"])
@pytest.mark.parametrize("size", [(8, 8), (2, 6), (1, 4), (1, 1)])
def test_groups_come_back(groups: str, size: tuple[int, int]) -> None:
    x = torch.rand(T, B, 2, 5, *size)
    parts = grouped(x, groups)  # type: ignore[arg-type]
    assert parts[0, 0, 0, 0].numel() == size[0] * size[1]
    assert torch.equal(merged(parts, groups, *size), x)  # type: ignore[arg-type]


def test_odd_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="sides must be even"):
        grouped(torch.zeros(3, 4), "parity")


# 3, 4. Attention.


def test_local_attention_with_one_group_is_global_to_the_bit() -> None:
    x = spikes(T, B, D, 4, 4, rate=0.5)
    local, everywhere = awake("parity", x), awake("one", x)
    local.load_state_dict(everywhere.state_dict())
    assert not torch.equal(local(x), everywhere(x))
    local.groups = "one"
    assert torch.equal(local(x), everywhere(x))
    assert 0.01 < everywhere(x).mean() < 0.9


@pytest.mark.parametrize("groups", ["parity", "window", "one"])
def test_attention_by_definition(groups: str) -> None:
    """(Q K^T) V, token by token, over the tokens of its group alone."""
    x = spikes(T, B, D, 4, 4, rate=0.5)
    made = awake(groups, x)
    q, k, v = (part(x).detach().flatten(3).numpy().reshape(T, B, 4, D // 4, 16) for part in (made.q, made.k, made.v))
    rows, columns = np.divmod(np.arange(16), 4)
    group = {"parity": 2 * (rows % 2) + columns % 2, "window": 2 * (rows // 2) + columns // 2, "one": 0 * rows}[groups]
    expected = np.zeros((T, B, 4, D // 4, 16), np.float32)
    for t, b, h, n in np.ndindex(T, B, 4, 16):
        for m in np.flatnonzero(group == group[n]):
            expected[t, b, h, :, n] += (q[t, b, h, :, n] @ k[t, b, h, :, m]) * v[t, b, h, :, m]
    given: list[Tensor] = []
    made.attn_lif.register_forward_hook(lambda module, inputs, out: given.append(inputs[0]))
    made.attend(x)
    found = given[0].flatten(3) / (0.125 * made.gain)
    assert np.array_equal(found.detach().numpy(), expected.reshape(T, B, D, 16))
    assert expected.max() > 1


# 5. The pool.


def test_the_gradient_of_a_pool_before_the_neurons_goes_to_the_largest_potential() -> None:
    """On a 2 x 2 map; of several equal spikes a pool behind the neurons takes the first."""
    potentials = torch.tensor([[1.1, 1.2], [1.4, 1.3]]).view(1, 1, 1, 2, 2)
    unit = Unit(1, 1, 1, lif(), pool=True)
    unit.conv.weight.data.fill_(2.0)  # LIF halves its input
    unit.norm = nn.Identity()  # type: ignore[assignment]
    x = potentials.clone().requires_grad_()
    unit(x).sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).flatten().tolist() == [False, False, True, False]
    x = potentials.clone().requires_grad_()
    unit.pool(unit.neuron(2 * x).flatten(0, 1)).sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).flatten().tolist() == [True, False, False, False]


@pytest.mark.parametrize(("tau", "threshold"), [(2.0, 1.0), (2.0, 0.5), (5.0, 1.0)])
def test_the_neuron_is_spikingjellys(tau: float, threshold: float) -> None:
    x = 2 * torch.randn(30, B, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    node = LIFNode(tau, v_threshold=threshold, detach_reset=True, step_mode="m").double()
    ours, expected = lif(tau, threshold)(mine), node(theirs)
    assert torch.equal(ours, expected)
    assert 0.02 < ours.mean() < 0.7
    weight = torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)
    (ours * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-6, atol=1e-9)


# 6. Heads.


def test_the_stb_head_refuses_other_steps_and_sizes() -> None:
    head = STBHead(D, 16, T, 3)
    for shape, words in (((5, B, D, 4, 4), "16 tokens and T = 5"), ((T, B, D, 2, 4), "8 tokens and T = 4")):
        with pytest.raises(ValueError, match=f"16 tokens and T = 4, it was given {words}"):
            head(torch.zeros(shape))
    method = sglformer.SGLFormer(sglformer.SGLFormer.Params(head="stb"))
    with pytest.raises(CannotCut, match="a weight for each step"):
        method.timeless(pictures("stb"))
    with pytest.raises(ValueError, match="a weight for each step"):
        pictures("stb").set_time("notd")


def test_the_stb_head_is_a_weighted_sum_over_tokens_and_steps() -> None:
    torch.manual_seed(0)
    head, x = STBHead(D, 8, T, 3).eval(), torch.randint(0, 4, (T, B, D, 2, 4)).float()
    out = head(x)
    assert (out[:-1] == 0).all()
    summed = torch.einsum("tbdn,dnt->bd", x.flatten(3), head.conv.weight[:, 0]) + head.conv.bias
    torch.testing.assert_close(out[-1], head.readout(summed / np.sqrt(1 + 1e-5)))


# 7. Whole numbers.


@pytest.mark.parametrize("head", ["mean", "stb"])
def test_between_the_parts_run_whole_numbers_and_they_are_counted_as_such(head: str) -> None:
    net, x = pictures(head), torch.rand(T, B, 128)
    net.calibrate(x, 0.1)
    net.eval()
    stream: list[Tensor] = []
    for part in net.blocks[0]:
        part.register_forward_hook(lambda module, given, out: stream.append(given[0]))
    net.blocks.register_forward_hook(lambda module, given, out: stream.append(out))
    with Counter(net) as counter, torch.no_grad():
        net(x)
    counts = counter.result()
    assert counts.missing == {}
    assert len(stream) == 8
    for values in stream:
        assert torch.equal(values, values.floor())
        assert values.min() >= 0
    assert stream[-1].max() > 2
    layers = {layer.name: layer for layer in counts.layers}
    multi = layers["blocks.0.2.0.conv"]  # of the first perceptron: the stream goes in
    assert multi.detail["integer_macs"] > 0
    assert multi.macs == multi.detail["integer_macs"] <= stream[2].count_nonzero() * 2 * D / B
    binary = layers["blocks.0.2.1.conv"]  # and its own spikes
    assert binary.macs == 0
    assert binary.acs > 0
    assert counts.totals["matmul_acs"] > 0
    assert counts.totals["residual_adds"] == T * 16 * D * (7 + 2), "seven parts, and two in Local"


def test_local_by_hand() -> None:
    """It returns its input too, and the block adds it once more."""
    made = Local(D, 2 * D, lif)
    x = spikes(T, B, D, 4, 4)
    for unit in (made.near, made.narrow):
        unit.norm.weight.data.zero_()
    assert torch.equal(made(x), x)
    assert torch.equal(Block(made)(x), 2 * x)


# Tokens, time, the method.


def test_images_are_filled_up_to_even_maps() -> None:
    for side, pools, size in ((28, 2, (8, 8)), (8, 2, (2, 2)), (8, 1, (4, 4)), (8, 0, (8, 8)), (34, 2, (10, 10))):
        tokens = PictureMap((1, side, side), D, pools)
        assert tokens.size == size
        assert tokens(torch.rand(2, 1, side * side)).shape == (2, 1, D, *size)
    line = LineMap(11, 4, D)
    assert line.size == (1, 4)
    odd = LineMap(9, 3, D)
    assert odd(torch.rand(T, B, 9)).shape == (T, B, D, 1, 4)
    assert (odd(torch.rand(T, B, 9))[..., 3] == 0).all()


@pytest.mark.parametrize("tokens", ["picture", "line"])
def test_notd_is_the_first_step_again_and_again(tokens: str) -> None:
    torch.manual_seed(0)
    net = pictures()
    x = torch.rand(T, B, 128)
    if tokens == "line":
        net.tokens, x = LineMap(11, 4, D), spikes(T, B, 11, rate=0.5)
    net.calibrate(x, 0.1)
    net.eval().double()
    x = x.double()
    first = torch.cat([net(x[t : t + 1]) for t in range(T)])
    assert not torch.allclose(net(x), first)
    net.set_time("notd")
    torch.testing.assert_close(net(x), first)


def test_parameters_and_support() -> None:
    with pytest.raises(ValueError, match=r"heads \(5\) must divide width \(48\)"):
        sglformer.SGLFormer.Params(heads=5)
    tiny = DatasetSpec(name="toy", n_classes=3, T=T, channels=9, shape=(1, 3, 3), coding="repeated", temporal=False)
    assert (
        "2 pools halve 3 x 3 pixels to nothing"
        in sglformer.SGLFormer(sglformer.SGLFormer.Params()).supports(tiny).reason
    )
    off = sglformer.SGLFormer(sglformer.SGLFormer.Params(attention="off")).build(
        tiny.model_copy(update={"shape": (1, 8, 8), "channels": 64})
    )
    assert not any(isinstance(module, SSA) for module in off.modules())
