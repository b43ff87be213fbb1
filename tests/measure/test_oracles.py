"""The counting table: a loop over spikes, NeuroBench 2.3 and spikingjelly 2.0 on the same networks and inputs.

They agree exactly where they should, and differ exactly where it is known why. The networks are those of the table in the
documentation of the counts: an MLP 700-128-20 over 20 steps and a small convolutional net over 8 steps, batches of 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import snntorch
import torch
from neurobench.metrics.workload import SynapticOperations
from neurobench.models import TorchModel
from oracle import Libraries, by_hand, libraries, ours
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from snn5bench.measure.counts import Counts

B = 4
T_MLP, T_CONV = 20, 8
NEURON_STEPS_MLP = 148 * T_MLP
NEURON_STEPS_CONV = (8 * 256 + 16 * 64 + 10) * T_CONV


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lif(**options: object) -> neuron.LIFNode:
    return neuron.LIFNode(**{"tau": 2.0, "v_threshold": 0.3, "v_reset": None, **options})


def mlp(bias: bool = True, **options: object) -> nn.Module:
    torch.manual_seed(1)
    net = nn.Sequential(
        layer.Linear(700, 128, bias=bias), lif(**options), layer.Linear(128, 20, bias=bias), lif(**options)
    )
    functional.set_step_mode(net, "m")
    with torch.no_grad():
        net[0].weight.mul_(6)
        net[2].weight.mul_(3)
    return net


def conv(pool: type[nn.Module], norm: bool = True, bias: bool = False) -> nn.Module:
    torch.manual_seed(2)

    def block(c_in: int, c_out: int) -> list[nn.Module]:
        mid = [layer.BatchNorm2d(c_out)] if norm else []
        return [layer.Conv2d(c_in, c_out, 3, padding=1, bias=bias), *mid, lif(), pool(2)]

    net = nn.Sequential(*block(2, 8), *block(8, 16), layer.Flatten(), layer.Linear(256, 10, bias=bias), lif())
    functional.set_step_mode(net, "m")
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.mul_(3)
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.bias.normal_(0, 0.1)
    return net


def flat(rate: float = 0.03, seed: int = 3) -> Tensor:
    return (torch.rand(T_MLP, B, 700, generator=torch.Generator().manual_seed(seed)) < rate).float()


def pictures(rate: float = 0.1, seed: int = 4, batch: int = B) -> Tensor:
    return (torch.rand(T_CONV, batch, 2, 16, 16, generator=torch.Generator().manual_seed(seed)) < rate).float()


def check(model: nn.Module, x: Tensor) -> tuple[Counts, Libraries]:
    """Ours equals the loop, exactly; NeuroBench equals both in the sum."""
    mine, hand, theirs = ours(model, x), by_hand(model, x), libraries(model, x)
    assert (mine.acs_per_sample, mine.macs_per_sample) == (hand.acs, hand.macs)
    assert theirs.nb_acs + theirs.nb_macs == mine.synops_per_sample
    assert theirs.nb_dense == mine.totals["dense_macs"]
    assert set(mine.missing) == set()
    return mine, theirs


def test_a1_binary_mlp() -> None:
    mine, theirs = check(mlp(), flat())
    assert theirs.nb_acs == theirs.sj_synops == mine.acs_per_sample
    assert theirs.nb_macs == theirs.sj_macs == mine.macs_per_sample == 0
    assert mine.totals["dense_macs"] == 1_843_200
    assert mine.totals["bias_adds"] == mine.totals["neuron_updates"] == 2_960
    # spikingjelly's ACs are the synaptic ones and five element-wise additions a neuron and step; no bias is in them
    assert theirs.sj_by_op["sub"] == 11_840 and theirs.sj_by_op["add"] == 2_960
    assert theirs.sj_acs == theirs.sj_synops + 11_840 + 2_960


def test_a1_without_bias_only_our_bias_adds_change() -> None:
    mine, theirs = check(mlp(bias=False), flat())
    assert mine.totals["bias_adds"] == 0
    assert theirs.sj_acs == theirs.sj_synops + 11_840 + 2_960


def test_a3_half_of_the_weights_zero() -> None:
    net = mlp()
    torch.manual_seed(5)
    with torch.no_grad():
        for module in (net[0], net[2]):
            module.weight.mul_((torch.rand_like(module.weight) < 0.5).float())
    mine, theirs = check(net, flat())
    assert theirs.nb_acs == mine.acs_per_sample
    spikes_in = sum(
        entry.detail["spikes_in"] * entry.detail["out_features"] for entry in mine.layers if entry.kind == "synapses"
    )
    assert theirs.sj_synops == spikes_in > mine.acs_per_sample, "spikingjelly multiplies by zero weights too"
    assert mine.weight_sparsity is not None and abs(mine.weight_sparsity - 0.5) < 0.01


def test_a4_sparse_real_input() -> None:
    net, x = mlp(), flat() * 0.7
    mine, theirs = check(net, x)
    assert (theirs.nb_macs, theirs.nb_acs) == (mine.macs_per_sample, mine.acs_per_sample)
    assert mine.macs_per_sample == x.count_nonzero().item() * 128 / B
    assert theirs.sj_synops == mine.acs_per_sample
    assert theirs.sj_macs == 1_792_000, "spikingjelly counts a dense layer"


def test_a4b_dense_real_input() -> None:
    x = torch.rand(T_MLP, B, 700, generator=torch.Generator().manual_seed(6)) * 0.02 + 1e-4
    mine, theirs = check(mlp(), x)
    assert mine.macs_per_sample == theirs.sj_macs == theirs.nb_macs == 1_792_000
    assert theirs.sj_synops == mine.acs_per_sample


def test_a5_ternary_input() -> None:
    signs = torch.where(torch.rand(T_MLP, B, 700, generator=torch.Generator().manual_seed(7)) < 0.5, 1.0, -1.0)
    mine, theirs = check(mlp(), flat() * signs)
    assert theirs.nb_acs == mine.acs_per_sample and mine.macs_per_sample == 0
    assert theirs.sj_macs == 1_792_000, "spikingjelly knows no ternary spikes"


def test_a6_spike_counts_as_input() -> None:
    x = flat(seed=8) + flat(seed=9)
    assert set(x.unique().tolist()) == {0, 1, 2}
    mine, theirs = check(mlp(), x)
    assert theirs.sj_macs == 1_792_000
    # NeuroBench calls the whole tensor of a call MAC, we only the frames that hold a 2
    assert theirs.nb_macs == x.count_nonzero().item() * 128 / B
    first = mine.layers[0]
    assert first.acs + first.macs == theirs.nb_macs and first.macs > 0 and first.acs > 0
    assert mine.totals["integer_macs"] == first.macs
    beyond = (x == 2).any(-1)
    assert mine.totals["integer_unrolled_acs"] == x[beyond].sum().item() * 128 / B


def test_c1_average_pool_makes_the_next_layers_real() -> None:
    mine, theirs = check(conv(layer.AvgPool2d), pictures())
    by_name = {entry.name: entry for entry in mine.layers}
    assert theirs.nb_acs == by_name["0"].acs == theirs.sj_synops
    assert by_name["0"].macs == 0
    assert mine.totals["dense_macs"] == 786_944 and mine.totals["dense_macs_padded"] == 905_216
    assert theirs.sj_macs == 589_824 + 20_480 + 24_576, "dense convolution, dense classifier, batch norm"
    assert mine.totals["norm_macs"] == 24_576
    assert mine.totals["pool_adds"] == 18_432
    # an all-zero or all-equal patch leaves a frame binary, so some frames stay AC with us; with NeuroBench none does
    assert by_name["4"].acs + by_name["4"].macs + by_name["9"].acs + by_name["9"].macs == theirs.nb_macs
    assert theirs.sj_by_op["sub"] == 4 * NEURON_STEPS_CONV
    assert theirs.sj_by_op["add"] == NEURON_STEPS_CONV
    norm_acs = next(n for op, n in theirs.sj_by_op.items() if "batch_norm" in op)
    pool_acs = next(n for op, n in theirs.sj_by_op.items() if "avg_pool" in op)
    assert pool_acs == 18_432
    assert norm_acs == 24_576 + 24 / B, "one addition a channel and call: eight times that in single-step mode"


def test_c2_max_pool_stays_binary() -> None:
    mine, theirs = check(conv(layer.MaxPool2d), pictures())
    assert theirs.nb_acs == theirs.sj_synops == mine.acs_per_sample
    assert mine.macs_per_sample == theirs.nb_macs == 0
    assert theirs.sj_macs == 24_576 == mine.totals["norm_macs"]
    assert mine.totals["pool_compares"] == 18_432


def test_c3_bias_instead_of_batch_norm() -> None:
    mine, theirs = check(conv(layer.AvgPool2d, norm=False, bias=True), pictures())
    assert mine.totals["bias_adds"] == 24_656
    assert theirs.sj_macs == 610_304
    assert theirs.sj_acs == theirs.sj_synops + 5 * NEURON_STEPS_CONV + 18_432


def test_c4_folding_the_batch_norm_changes_no_synaptic_operation() -> None:
    plain = conv(layer.MaxPool2d)
    folded = conv(layer.MaxPool2d, norm=False, bias=True)
    blocks = [(plain[0], plain[1], folded[0]), (plain[4], plain[5], folded[3])]
    with torch.no_grad():
        for source, norm, target in blocks:
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            target.weight.copy_(source.weight * scale[:, None, None, None])
            target.bias.copy_(norm.bias - norm.running_mean * scale)
        folded[7].weight.copy_(plain[9].weight)
        folded[7].bias.zero_()
    x = pictures()
    (before, theirs_before), (after, theirs_after) = check(plain, x), check(folded, x)
    assert after.synops_per_sample == before.synops_per_sample == theirs_after.nb_acs
    assert (before.totals["norm_macs"], after.totals.get("norm_macs", 0)) == (24_576, 0)
    assert after.totals["bias_adds"] - before.totals["bias_adds"] == 24_576 + 80
    assert theirs_before.sj_macs - theirs_after.sj_macs == 24_576
    assert theirs_before.sj_acs - theirs_after.sj_acs == 24_576 + 24 / B, "the bias adds that replace it are uncounted"


def test_c5_direct_coding_of_a_real_frame() -> None:
    frame = torch.rand(1, B, 2, 16, 16, generator=torch.Generator().manual_seed(10)) + 1e-3
    mine, theirs = check(conv(layer.MaxPool2d), frame.expand(T_CONV, -1, -1, -1, -1))
    assert mine.macs_per_sample == theirs.nb_macs == 270_848
    assert theirs.sj_macs == 294_912 + 24_576, "the padding is multiplied too"
    assert mine.layers[0].detail["dense_macs_padded"] == 294_912
    assert theirs.sj_synops == mine.acs_per_sample == theirs.nb_acs


def test_c6_strided_grouped_convolution() -> None:
    torch.manual_seed(11)
    net = nn.Sequential(
        layer.Conv2d(2, 8, 3, stride=2, padding=1, groups=2, bias=False),
        lif(),
        layer.Conv2d(8, 16, 3, stride=2, padding=1, groups=4, bias=False),
        lif(),
    )
    functional.set_step_mode(net, "m")
    mine, theirs = check(net, pictures())
    assert theirs.nb_acs == theirs.sj_synops == mine.acs_per_sample and mine.macs_per_sample == 0


class StepByStep(nn.Module):
    """snnTorch layers, one step at a time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(12)
        self.first = nn.Linear(700, 128, bias=False)
        self.hidden = snntorch.RLeaky(beta=0.5, linear_features=128, threshold=0.3)
        self.last = nn.Linear(128, 20, bias=False)
        self.out = snntorch.Leaky(beta=0.5, threshold=0.3)
        with torch.no_grad():
            self.first.weight.mul_(6)

    def forward(self, x: Tensor) -> Tensor:
        spikes, mem = self.hidden.reset_mem()
        out_mem = self.out.reset_mem()
        out = []
        for frame in x:
            spikes, mem = self.hidden(self.first(frame), spikes, mem)
            spk, out_mem = self.out(self.last(spikes), out_mem)
            out.append(spk)
        return torch.stack(out)


def test_recurrent_snntorch() -> None:
    mine, theirs = check(StepByStep(), flat())
    assert theirs.nb_acs == theirs.sj_synops == mine.acs_per_sample and mine.macs_per_sample == 0
    assert mine.totals["bias_adds"] == 2_560, "the bias of the recurrent weights"
    assert {entry.name for entry in mine.layers if entry.acs} == {"first", "hidden.recurrent", "last"}
    assert mine.totals["neuron_updates"] == NEURON_STEPS_MLP


def test_recurrent_container_of_spikingjelly() -> None:
    torch.manual_seed(13)
    recurrent = layer.LinearRecurrentContainer(lif(step_mode="s"), 128, 128, step_mode="m")
    net = nn.Sequential(layer.Linear(700, 128, bias=False), recurrent, layer.Linear(128, 20, bias=False), lif())
    functional.set_step_mode(net, "m")
    functional.set_step_mode(recurrent.sub_module, "s")
    with torch.no_grad():
        net[0].weight.mul_(6)
    mine, theirs = check(net, flat())
    # its recurrent layer takes the real-valued current and the spikes in one vector: MACs, by the container's design
    inside = next(entry for entry in mine.layers if entry.name == "1.rc")
    assert theirs.nb_macs == inside.macs + inside.acs and inside.macs > 0
    assert theirs.sj_macs == 128 * 256 * T_MLP
    assert theirs.sj_synops == mine.acs_per_sample - inside.acs


class Residual(nn.Module):
    """Three convolutions with one of four shortcuts around the second."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(14)
        self.kind = kind
        self.convs = nn.ModuleList(layer.Conv2d(c, 8, 3, padding=1, bias=False) for c in (2, 8, 8))
        self.neurons = nn.ModuleList(lif() for _ in range(3))
        functional.set_step_mode(self, "m")
        with torch.no_grad():
            for module in self.convs:
                module.weight.mul_(3)

    def forward(self, x: Tensor) -> Tensor:
        current = self.convs[0](x)
        spikes = self.neurons[0](current)
        second = self.convs[1](spikes)
        if self.kind == "membrane":
            merged = self.neurons[1](second + current)
        else:
            after = self.neurons[1](second)
            merged = {"none": lambda: after, "add": lambda: after + spikes, "iand": lambda: (1 - after) * spikes}[
                self.kind
            ]()
        return self.neurons[2](self.convs[2](merged))


@pytest.mark.parametrize("kind", ["none", "add", "iand", "membrane"])
def test_residuals(kind: str) -> None:
    mine, theirs = check(Residual(kind), pictures())
    last = next(entry for entry in mine.layers if entry.name == "convs.2")
    values = 8 * 256 * T_CONV
    if kind == "add":
        assert last.macs > 0 and theirs.nb_macs == last.acs + last.macs, "counts 0, 1, 2 reach the next layer"
        assert theirs.sj_macs == 8 * 8 * 9 * 256 * T_CONV
        # ours is dense; spikingjelly, alone of the libraries, counts it, and by non-zeros since both sides are binary
        assert mine.totals["residual_adds"] == values
        assert 0 < theirs.sj_by_op["add"] - 3 * values < values
    else:
        assert theirs.nb_macs == theirs.sj_macs == mine.macs_per_sample == 0
        assert theirs.sj_synops == mine.acs_per_sample
        assert mine.totals.get("residual_adds", 0) == (values if kind == "membrane" else 0)
    if kind == "iand":
        assert theirs.sj_by_op["rsub"] == 16_384


@pytest.mark.parametrize(
    ("options", "per_neuron_step"),
    [
        ({"v_reset": None}, {"sub": 4, "add": 1, "rsub": 0}),
        ({"v_reset": 0.0}, {"sub": 3, "add": 2, "rsub": 1}),
    ],
)
def test_reset_forms_change_spikingjelly_only(options: dict[str, object], per_neuron_step: dict[str, int]) -> None:
    mine, theirs = check(mlp(**options), flat())
    for op, times in per_neuron_step.items():
        assert theirs.sj_by_op.get(op, 0) == times * NEURON_STEPS_MLP
    assert mine.totals["neuron_updates"] == NEURON_STEPS_MLP


def test_single_step_is_multi_step() -> None:
    class Loop(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.net(frame) for frame in x])

    multi, single = mlp(), mlp()
    functional.set_step_mode(single, "s")
    (whole, theirs_whole), (steps, theirs_steps) = check(multi, flat()), check(Loop(single), flat())
    assert steps.synops_per_sample == whole.synops_per_sample
    assert steps.totals["neuron_updates"] == whole.totals["neuron_updates"]
    assert theirs_steps.sj_synops == theirs_whole.sj_synops


def test_a_batch_changes_spikingjelly_but_not_us() -> None:
    net = conv(layer.AvgPool2d)
    functional.set_step_mode(net, "s")

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.net(frame) for frame in x])

    x = pictures(rate=0.003, batch=16)
    loop = Loop()

    def averaged(count: Callable[[Tensor], float], size: int) -> float:
        parts = x.split(size, dim=1)
        return sum(count(part) for part in parts) / len(parts)

    mine = {size: averaged(lambda part: ours(loop, part).macs_per_sample or 0.0, size) for size in (1, 4, 16)}
    theirs = {size: averaged(lambda part: libraries(loop, part).sj_macs, size) for size in (1, 4, 16)}
    assert mine[1] == mine[4] == mine[16] > 0
    assert theirs[1] < theirs[4] <= theirs[16]


@pytest.mark.parametrize(("n_in", "n_out"), [(4099, 4096), (4097, 4099)])
def test_float32_sums_go_wrong_where_ours_do_not(n_in: int, n_out: int) -> None:
    """33 samples whose inputs all spike: 16,789,504 operations each, and 16,793,603, whose total is an odd number."""
    net = nn.Sequential(nn.Linear(n_in, n_out, bias=False))
    net[0].weight.data.fill_(0.5)  # a random initialisation of this size holds an exact zero now and then
    x = torch.ones(1, 33, n_in)
    exact = n_in * n_out
    mine = ours(net, x)
    assert mine.acs_per_sample == exact and mine.totals["dense_macs"] == exact
    wrapped = TorchModel(net)
    wrapped.register_hooks()
    with torch.no_grad():
        wrapped(x)
        theirs = SynapticOperations()(wrapped, None, (torch.zeros(33), None))["Effective_ACs"]
    assert theirs == pytest.approx(exact, rel=1e-6)
    assert (theirs == exact) == (exact * 33 % 64 == 0), "float32 holds multiples of 64 only at this size"
