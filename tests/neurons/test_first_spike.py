"""S4NN: code, neuron, targets and updates against the published convention in numpy; ties, silence, and what is counted.

The oracle keeps the published clock: a step of delay a layer, silence at t_max, strict comparisons. Ours, without the delay,
must agree with it on T = t_max - 2 steps, times of layer l being l later there.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.inputs import Repeated
from snn5bench.contracts.method import CannotCut
from snn5bench.contracts.readout import read_out
from snn5bench.measure.counts import Counter
from snn5bench.methods import s4nn
from snn5bench.neurons.first_spike import S4NN, Decision, FirstSpike, Outcome, first, latencies, once, targets, trains
from snn5bench.neurons.first_spike_learning import Rule, learn, redraw, score

RULE = Rule(0.02, 0.1, 3, 1e-3)


# The oracle.


def fire(times: np.ndarray, weight: np.ndarray, theta: float, t_max: int) -> np.ndarray:
    """Published times of a layer: one step after its potential first passed theta, t_max at the latest."""
    out = np.full(len(weight), t_max)
    for j in range(len(weight)):
        for t in range(t_max):
            if sum(weight[j, i] for i in range(len(times)) if times[i] <= t) > theta:
                out[j] = min(t_max, t + 1)
                break
    return out


def wanted(times: np.ndarray, label: int, gamma: int, t_max: int) -> np.ndarray:
    """Published targets."""
    tau = times.min()
    if tau == t_max:
        return np.array([t_max - gamma if j == label else t_max for j in range(len(times))])
    return np.array(
        [
            tau if j == label else min(tau + gamma, t_max) if times[j] - tau < gamma else times[j]
            for j in range(len(times))
        ]
    )


def normed(x: np.ndarray) -> np.ndarray:
    length = np.sqrt((x**2).sum())
    return x / length if length > 0 else x


def published_update(
    t_in: np.ndarray, w_h: np.ndarray, w_o: np.ndarray, theta: tuple[float, float], label: int, rule: Rule, t_max: int
) -> None:
    """One published update of both layers, in place."""
    t_h = fire(t_in, w_h, theta[0], t_max)
    t_o = fire(t_h, w_o, theta[1], t_max)
    delta = normed((wanted(t_o, label, rule.gamma, t_max) - t_o) / t_max)
    for j in range(len(w_o)):
        for i in range(len(t_h)):
            w_o[j, i] -= rule.lr_out * delta[j] * (t_h[i] < t_o[j])
    w_o -= rule.lr_out * rule.decay * w_o
    back = np.zeros(len(t_h))
    for i in range(len(t_h)):
        back[i] = sum(delta[j] * (t_h[i] < t_o[j]) * w_o[j, i] for j in range(len(w_o)))
    back = normed(back)
    for i in range(len(w_h)):
        for k in range(len(t_in)):
            w_h[i, k] -= rule.lr_hidden * back[i] * (t_in[k] < t_h[i])
    w_h -= rule.lr_hidden * rule.decay * w_h


def net(channels: int = 8, hidden: int = 6, classes: int = 4, seed: int = 0, **more: object) -> S4NN:
    torch.manual_seed(seed)
    made = S4NN(channels, hidden, classes, threshold=(2.0, 10.0), frames=False, **more)  # type: ignore[arg-type]
    return made.double()


def layer(times: list[int], weight: list[float], theta: float, T: int) -> Tensor:
    """Spike train of one neuron behind spikes at `times`."""
    spikes = trains(torch.tensor([times]), T)
    return FirstSpike(theta)((spikes * torch.tensor(weight)).sum(-1, keepdim=True))[:, 0, 0]


# 1. The code.


def test_latency_of_grey_levels() -> None:
    """floor((255 - I) 256 / 255): 254 / 255 of 256 is 254.996, so that the level 1 comes at 254."""
    grey = np.array([255, 254, 1, 0])
    found = latencies(torch.from_numpy(grey / 255).float(), 256)
    assert found.tolist() == [0, 1, 254, 256]
    every = np.arange(256)
    for T in (8, 64, 255, 256, 1000):
        exact = (255 - every) * T // 255  # whole numbers alone
        assert latencies(torch.from_numpy(every / 255).float(), T).tolist() == exact.tolist()
    assert latencies(torch.arange(17) / 16, 8).tolist() == [(16 - k) * 8 // 16 for k in range(17)]


def test_trains_and_times_are_inverse() -> None:
    times = torch.tensor([[0, 3, 5], [4, 5, 1]])
    spikes = trains(times, 5)
    assert spikes.sum() == 4, "the time 5 of 5 steps is silence"
    assert torch.equal(first(spikes), times)
    events = torch.tensor([0.0, 1, 0, 1, 1]).view(5, 1, 1)
    assert once(events).flatten().tolist() == [0, 1, 0, 0, 0]


# 2, 3. The neuron.


def test_the_threshold_is_strict() -> None:
    """One input at step 5 with weight theta never fires a neuron; a little more does, at once (published: at 6)."""
    assert layer([5], [3.0], 3.0, 10).sum() == 0
    assert first(layer([5], [3.001], 3.0, 10)) == 5
    assert fire(np.array([5]), np.array([[3.001]]), 3.0, 10).tolist() == [6]
    assert fire(np.array([5]), np.array([[3.0]]), 3.0, 10).tolist() == [10]


def test_at_most_one_spike_and_nothing_later_matters() -> None:
    spikes = layer([1, 2, 6], [2.0, 2.0, -9.0], 3.0, 10)
    assert spikes.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    for late in (3, 5, 9, 10):
        for weight in (-9.0, 9.0):
            assert torch.equal(layer([1, 2, late], [2.0, 2.0, weight], 3.0, 10), spikes)


@pytest.mark.parametrize("seed", range(5))
def test_times_are_the_published_ones_less_the_delays(seed: int) -> None:
    made, T = net(seed=seed), 9
    t_in = torch.randint(0, T + 1, (3, 8))
    x = trains(t_in, T)
    hidden = made.neuron(made.hidden(x.double()))
    out = first(made.output(made.readout(hidden)))
    assert torch.equal(made.outcome(x).times, out)
    for b in range(3):
        start = np.where(t_in[b] == T, T + 2, t_in[b])
        t_h = fire(start, made.hidden.weight.detach().numpy(), 2.0, T + 2)
        t_o = fire(t_h, made.readout.weight.detach().numpy(), 10.0, T + 2)
        silent = first(hidden)[b].numpy() == T
        assert np.array_equal(np.where(silent, T + 2, first(hidden)[b].numpy() + 1), t_h)
        assert np.array_equal(out[b].numpy() + 2, t_o)


# 4. Targets.


@pytest.mark.parametrize(
    ("times", "label", "expected"),
    [
        ([10, 11, 13, 40], 1, [13, 10, 13, 40]),
        ([10, 11, 13, 40], 0, [10, 13, 13, 40]),
        ([256, 256, 256], 2, [256, 256, 253]),
        ([255, 256], 0, [255, 256]),
    ],
)
def test_target_table(times: list[int], label: int, expected: list[int]) -> None:
    assert targets(torch.tensor(times), label, 3, 256).tolist() == expected
    assert wanted(np.array(times), label, 3, 256).tolist() == expected


# 5, 6, 7. Updates.


@pytest.mark.parametrize("seed", range(4))
def test_updates_are_the_published_ones(seed: int) -> None:
    """A run of updates of both layers, sample after sample, among them silent ones."""
    made, T = net(seed=seed), 9
    w_h, w_o = (part.weight.detach().numpy().copy() for part in (made.hidden, made.readout))
    for sample in range(25):
        t_in = torch.randint(0, T + 1, (1, 8)) if sample % 6 else torch.full((1, 8), T)
        label = sample % 4
        update = learn(made, trains(t_in, T).double(), label, RULE)
        published_update(np.where(t_in[0] == T, T + 2, t_in[0]), w_h, w_o, (2.0, 10.0), label, RULE, T + 2)
        np.testing.assert_allclose(made.readout.weight.detach(), w_o, atol=1e-5)
        np.testing.assert_allclose(made.hidden.weight.detach(), w_h, atol=1e-5)
        for delta in (update.delta_out, update.delta_hidden):
            assert delta.norm().item() == pytest.approx(1, abs=1e-6) or delta.norm() == 0
    assert not np.allclose(w_h, net(seed=seed).hidden.weight.detach())


def test_one_update_moves_the_outputs_the_right_way() -> None:
    """The output layer alone: the true class no later, pushed rivals no earlier."""
    moved = 0
    for seed in range(30):
        made, T = net(seed=seed), 9
        x = trains(torch.randint(0, T, (1, 8), generator=torch.Generator().manual_seed(seed)), T).double()
        hidden = made.neuron(made.hidden(x))
        before = first(made.output(made.readout(hidden)))[0]
        label = seed % 4
        update = learn(made, x, label, Rule(0.0, 1.0, 3, 0.0))
        after = first(made.output(made.readout(hidden)))[0]
        assert after[label] <= before[label]
        pushed = update.error > 0
        assert not pushed[label]
        assert (after[pushed] >= before[pushed]).all()
        moved += int((after != before).any())
    assert moved > 5


def test_without_error_nothing_changes_but_by_decay() -> None:
    """The true class first, no rival within gamma."""
    made, T = net(classes=2), 12
    made.readout.weight.data[:] = torch.tensor([[9.0] * 6, [0.1] * 6])
    x = trains(torch.arange(8).unsqueeze(0), T).double()
    before = made.outcome(x).times[0]
    assert before[0] + 3 <= before[1]
    copies = [part.weight.detach().clone() for part in (made.hidden, made.readout)]
    update = learn(made, x, 0, RULE)
    assert (update.error == 0).all()
    assert update.delta_out.norm() == update.delta_hidden.norm() == 0
    for part, copy, rate in zip((made.hidden, made.readout), copies, (0.02, 0.1), strict=True):
        torch.testing.assert_close(part.weight, copy * (1 - rate * 1e-3), rtol=1e-6, atol=0, check_dtype=False)


def test_idle_neurons_are_drawn_again() -> None:
    made = net()
    before = made.hidden.weight.detach().clone()
    assert redraw(made, torch.tensor([0.5, 0.0, 1.0, 0.0005, 0.2, 0.001]), 1e-3) == 2
    changed = (made.hidden.weight != before).all(1)
    assert changed.tolist() == [False, True, False, True, False, False]
    assert (made.hidden.weight >= 0).all()
    assert (made.hidden.weight[changed] <= 1).all()


# 8, 9. Ties and silence.


def test_equal_outputs_are_right_only_for_the_optimist() -> None:
    made = net(classes=10)
    made.readout.weight.data[:] = 5.0
    x = trains(torch.randint(0, 6, (500, 8)), 9)
    labels = torch.arange(500) % 10
    found = score([made.outcome(x)], labels, 9)
    assert found.optimistic == 1.0
    assert found.tied == 1.0
    assert found.random == pytest.approx(0.1)
    assert found.potential == found.index == pytest.approx(0.1)


def test_scores_by_hand() -> None:
    """Five samples of three classes, the true class always 0, T = 9."""
    times = torch.tensor([[1, 2, 3], [2, 2, 9], [2, 2, 2], [9, 9, 9], [9, 9, 9]])
    at = torch.tensor([[5.0, 5, 5], [5, 6, 0], [7, 6, 5], [0, 0, 0], [0, 0, 0]])
    end = torch.tensor([[9.0, 9, 9], [9, 9, 9], [9, 9, 9], [3, 2, 1], [1, 2, 3]])
    found = score([Outcome(times[:2], at[:2], end[:2]), Outcome(times[2:], at[2:], end[2:])], torch.zeros(5).long(), 9)
    assert found.potential == pytest.approx((1 + 0 + 1 + 1 + 0) / 5)
    assert found.index == pytest.approx((1 + 1 + 1 + 1 + 0) / 5)
    assert found.random == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 + 0) / 5)
    assert found.optimistic == pytest.approx((1 + 1 + 1 + 1 + 0) / 5)
    assert found.silent_wrong == pytest.approx((1 + 0 + 1) / 5)
    assert (found.tied, found.silent) == pytest.approx((2 / 5, 2 / 5))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("tie", ["potential", "index"])
def test_the_logits_decide_as_the_scores_do(tie: str, last: bool) -> None:
    """On random networks with many ties and silent samples."""
    made = net(channels=5, hidden=4, classes=3, tie=tie, last=last)
    data = DatasetSpec(
        name="toy", n_classes=3, T=6, channels=5, coding="events", temporal=True, readout="last" if last else "sum"
    )
    x = trains(torch.randint(0, 8, (2000, 5)).clamp(max=6), 6)
    answer = read_out(made(x), data).argmax(1)
    found = score([made.outcome(x)], answer, 6)
    assert 0.05 < found.tied < 0.9
    assert 0.02 < found.silent < 0.9
    assert getattr(found, tie) == 1.0, "the logits' own answers are all right by the same rule"
    other = found.index if tie == "potential" else found.potential
    assert other < 1.0


def test_the_last_potential_decides_equal_ones_and_silence_can_be_left_alone() -> None:
    def decided(silent: str, current: list[list[float]]) -> int:
        x = torch.tensor(current, dtype=torch.float64).unsqueeze(1)
        spikes = FirstSpike(2.0).double()(x)
        return int(Decision(torch.tensor(2.0), "potential", silent, False)(spikes, x).sum(0).argmax())  # type: ignore[arg-type]

    assert decided("potential", [[3.0, 3.0], [0.0, 1.0]]) == 1
    assert decided("potential", [[3.0, 3.0], [0.0, 0.0]]) == 0
    assert decided("potential", [[0.5, 1.5], [0.0, 0.0]]) == 1
    assert decided("none", [[0.5, 1.5], [0.0, 0.0]]) == 0
    assert decided("potential", [[0.0, -4.0], [2.5, 2.0]]) == 0, "a late spike beats every silent potential"


# Counts and the method.


def test_one_spike_a_neuron_is_what_is_counted() -> None:
    made = net().float()
    x = (torch.rand(9, 20, 8) < 0.2).float()
    with Counter(made) as counter:
        made(x)
    counts = counter.result()
    assert counts.missing == {}
    coded = once(x)
    hidden = made.neuron(made.hidden(coded))
    assert hidden.sum(0).max() == 1
    assert counts.acs_per_sample == (coded.sum().item() * 6 + hidden.sum().item() * 4) / 20
    assert counts.macs_per_sample == 0
    found = score([made.outcome(x)], torch.zeros(20).long(), 9)
    decision = next(entry for entry in counts.layers if entry.name == "decision")
    assert decision.detail["tied_samples"] == pytest.approx(found.tied)
    assert decision.detail["silent_samples"] == pytest.approx(found.silent)


def test_frames_and_thresholds() -> None:
    torch.manual_seed(0)
    made = S4NN(16, 40, 3, frames=True)
    frame = torch.rand(32, 16)
    assert torch.equal(made.encode(Repeated(frame, 8)), made.encode(frame.expand(8, -1, -1)))
    made.calibrate(Repeated(frame, 8), (0.6, 0.1))
    current = made.hidden(made.encode(Repeated(frame, 8)))
    assert made.neuron.threshold.item() == pytest.approx(0.6 * current.sum(0).mean().item(), rel=1e-5)
    assert made.neuron(current).sum() > 0.5 * 32 * 40
    assert made.decision.scale == made.output.threshold


def test_it_refuses_what_it_cannot_do() -> None:
    method = s4nn.S4NN(s4nn.S4NN.Params())
    few = DatasetSpec(name="toy", n_classes=3, T=3, channels=9, coding="repeated", temporal=False)
    assert "3 values in T = 3 steps" in method.supports(few).reason
    for cut in (method.timeless, method.spatial):
        with pytest.raises(CannotCut):
            cut(net())
