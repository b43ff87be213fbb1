"""S4NN: one spike a neuron, and the first output spike decides (Kheradpisheh and Masquelier, 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import CannotCut, Method
from snn5bench.contracts.params import MethodParams
from snn5bench.contracts.verdict import Verdict
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons import first_spike
    from snn5bench.neurons.first_spike_learning import Score

_FEWEST = 4


class S4NN(Method):
    """S4NN, a network of one hidden layer with its own learning rule, `[T, B, C] -> [T, B, classes]`.

        V_j(t) = sum_i w_ji [t_i <= t],   t_j = first t with V_j(t) > theta_j,   class = the earliest output

    A frame is coded by latency, t = floor((1 - I) T): with few steps there are few grey levels. Of events the first of each
    channel is seen, and no other. Errors are differences of spike times from targets relative to the winner; no surrogate,
    no gradient through time, one update a sample: `snn5bench.neurons.first_spike_learning`.

    Ties. Times are whole steps, so that several outputs often spike first together. The authors' code counts such a sample
    as right if the true class is among them, even where all classes are: on a badly trained network it reports 73-83 %
    where a draw has 11-13 %. Here the highest potential at the spike wins, then the highest last one, then the lowest
    index; and a sample without any output spike goes to the highest last potential. The notes of each record give the
    validation accuracy under every rule, the authors' one too; the counts of the test pass give the shares of tied and of
    silent samples.

    Written from the equations of the published code (GPL; not copied), the paper's text being out of reach. Departures: no
    step of delay a layer, which shifts all times alike; thresholds are a share of the potential that the first batch reaches
    (their 100 is made for MNIST); samples are shuffled; the test data choose nothing; a silent sample is decided in the last
    step (theirs: three before). A network without time cannot be made of it.
    """

    name = "s4nn"
    on_gpu = False
    summary = "Time-to-first-spike network with its own rule: one spike a neuron, the earliest output decides"
    fidelity = Fidelity.faithful(
        "neuron, targets and updates as in the published code, against loops in a test; ties are broken by potential, not "
        "in the network's favour; thresholds, rates and sizes are ours, and of events the first of each channel is seen"
    )

    class Params(MethodParams):
        """Parameters of S4NN."""

        lr: float = Field(0.01, gt=0, le=10)
        """Learning rate of the hidden layer."""
        lr_out: float = Field(0.05, gt=0, le=10)
        """Learning rate of the output layer."""
        weight_decay: float = Field(1e-6, ge=0, le=1)
        """Decay lambda of all weights at each update, times their learning rate."""
        hidden: int = Field(100, ge=1, le=65_536)
        """Hidden neurons."""
        gamma: int = Field(3, ge=1, le=10_000)
        """Steps by which the true class is to be ahead."""
        spread: float = Field(1.0, gt=0)
        """Weights of the hidden layer start uniform in 0..spread."""
        spread_out: float = Field(10.0, gt=0)
        """Weights of the output layer start uniform in 0..spread_out."""
        fill: float = Field(0.6, gt=0, lt=10)
        """Threshold of the hidden layer, in units of its mean last potential on the first batch."""
        fill_out: float = Field(0.1, gt=0, lt=10)
        """The same of the output layer."""
        redraw: float = Field(1e-3, ge=0, le=1)
        """After an epoch, hidden neurons that spiked for a smaller share of the samples are drawn anew."""
        tie: Literal["potential", "index"] = "potential"
        """Which of several first outputs wins: the highest potential (at the spike, then the last), or the lowest index."""
        silent: Literal["potential", "none"] = "potential"
        """Without an output spike: the highest last potential, or class 0."""

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where the steps are too few for a code of times."""
        if data.T < _FEWEST:
            return Verdict.no(f"a code by spike times has {data.T} values in T = {data.T} steps (at least {_FEWEST})")
        return Verdict.yes()

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons import first_spike

        p = self.params
        net = first_spike.S4NN(
            data.channels,
            p.hidden,
            data.n_classes,
            frames=data.coding == "repeated",
            spread=(p.spread, p.spread_out),
            tie=p.tie,
            silent=p.silent,
            last=data.readout == "last",
        )
        if not net.frames:
            net.notes = ["S4NN sees the first event of each channel, and no later one"]  # type: ignore[assignment]
        return net

    def fit(self, task: Task) -> nn.Module:
        """Thresholds from the first batch, then one update a sample; report after each epoch."""
        import torch

        from snn5bench.neurons.first_spike_learning import Rule, learn, redraw, score

        p, T = self.params, task.spec.T
        net = cast("first_spike.S4NN", task.prepare(self.build(task.spec)))
        net.calibrate(next(iter(task.train.epoch()))[0], (p.fill, p.fill_out))
        rule = Rule(p.lr, p.lr_out, p.gamma, p.weight_decay)
        best, notes = -1.0, list(getattr(net, "notes", []))
        for epoch in range(task.budget.epochs):
            total, seen, fired = 0.0, 0, torch.zeros(p.hidden)
            for x, y in task.train.epoch():
                spikes = net.encode(x)
                for sample, label in enumerate(y.tolist()):
                    update = learn(net, spikes[:, sample : sample + 1], label, rule)
                    total += update.error.square().sum().item() / 2
                    fired += update.fired
                seen += len(y)
            redraw(net, fired / seen, p.redraw)
            accuracy = task.report(net, epoch, total / seen)
            if accuracy > best:
                best = accuracy
                answers = [(net.outcome(x), y) for x, y in task.val.epoch()]
                found = score([outcome for outcome, _ in answers], torch.cat([y for _, y in answers]), T)
                net.notes = [*notes, _by_rule(found)]  # type: ignore[assignment]
        return net

    def timeless(self, model: nn.Module) -> nn.Module:
        """Refused."""
        raise CannotCut("its neurons say all they say by when they spike: without time nothing is left")

    def spatial(self, model: nn.Module) -> nn.Module:
        """Refused."""
        raise CannotCut("its learning rule sends no gradient from step to step: there is nothing to cut")


def _by_rule(found: Score) -> str:
    return (
        f"validation accuracy of the chosen epoch by rule for ties: potential {found.potential:.4f}, index "
        f"{found.index:.4f}, random {found.random:.4f} (expected), optimistic {found.optimistic:.4f} (a tie with the true "
        f"class is right, as in the authors' code); silent samples wrong {found.silent_wrong:.4f}; {found.tied:.1%} tied, "
        f"{found.silent:.1%} silent"
    )
