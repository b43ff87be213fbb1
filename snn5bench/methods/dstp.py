"""Dynamic spatio-temporal pruning: fewer steps first, then fewer weights, round by round from early weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic import Field

from snn5bench.contracts.method import CannotCut
from snn5bench.methods.on_base import OnBase, OverBase
from snn5bench.methods.rehearsal import last_epochs, rehearsal
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import Tensor, nn

    from snn5bench.contracts.method import Task


class DynamicPruning(OnBase):
    """A trained network with its late steps and most of its weights pruned, `[T, B, C] -> [T, B, classes]`.

    In time: k_t = KL of the running mean output to the label over training samples, scaled to 0..1; the first step below
    `threshold` becomes the last one. In space: each round prunes `share` of the weights that are left, by LAMP, puts the
    others back to what they were after epoch `rewind` of the first training, and trains again.

    Gou et al., Frontiers in Neuroscience 19:1545583 (2025); schedule and divergence read in their code, which has no
    licence (equations only) and lacks a module. Theirs: 14 rounds of 300 epochs, TET loss, a VGG with T = 10, training
    stays at the full T while testing is cut. Ours: the budget shared between the first training and the rounds,
    cross-entropy, training and testing at the pruned T. Only the last round is reported.
    """

    name = "dstp"
    summary = "Dynamic spatio-temporal pruning: steps by divergence, weights by LAMP with rewinding"
    fidelity = Fidelity.reconstruction(
        "divergence, thresholds and LAMP rounds as in the official code, which is incomplete; shorter schedule, no "
        "TET loss, training at the pruned T"
    )

    class Params(OverBase):
        """Parameters of pruning; `lr`, `weight_decay` and `clip` are those of the rounds."""

        rounds: int = Field(4, ge=1, le=30)
        """Rounds of pruning and training."""
        share: float = Field(0.25, gt=0, lt=1)
        """Share of the remaining weights that a round prunes."""
        threshold: float = Field(0.01, gt=0, lt=1)
        """Scaled divergence under which the steps are enough."""
        rewind: float = Field(0.1, ge=0, lt=1)
        """Point of the first training to which weights go back, as a share of its epochs."""

    params: Params

    def timeless(self, model: nn.Module) -> nn.Module:
        """Refused."""
        raise CannotCut("it drops the last steps, which is itself a use of their order; see the twin of its base")

    def fit(self, task: Task) -> nn.Module:
        """Train the base, cut its steps, then prune and train round by round."""
        from snn5bench.neurons.compression import Compressor
        from snn5bench.neurons.shortened import Shortened, fewest_steps

        p = self.params
        each = task.budget.epochs // (p.rounds + 1)
        first = task.budget.epochs - each * p.rounds
        with rehearsal(task, first, early=int(p.rewind * first)) as dense:
            net = self.base.fit(task)
        net.load_state_dict(dense.state)
        divergence = self._divergence(net, task)
        steps = fewest_steps(divergence, p.threshold)
        short = Shortened(net, steps, task.spec.readout)
        compressor = Compressor(net, "prune-quantise", "lamp", "max")
        for done in range(1, p.rounds + 1):
            compressor.prune(1 - (1 - p.share) ** done)
            compressor.rewind(net, dense.early)
            if each == 0:
                continue
            if done < p.rounds:
                with rehearsal(task, each):
                    task.bptt(short, p)
            else:
                with last_epochs(task, each):
                    task.bptt(short, p)
        if each == 0:
            task.report(short, task.budget.epochs - 1, None)
        short.notes = [
            *getattr(net, "notes", ()),
            f"{p.rounds} rounds over {p.base}, {1 - (1 - p.share) ** p.rounds:.1%} of the weights pruned by LAMP",
            f"runs the first {steps} of {task.spec.T} steps, as the divergence on training samples says",
            f"the network before pruning: validation accuracy {dense.accuracy:.3f}",
        ]
        return short

    def _divergence(self, net: nn.Module, task: Task) -> Tensor:
        """k_t over the training split, `[T]`."""
        import torch

        from snn5bench.contracts.readout import feed
        from snn5bench.neurons.shortened import divergence_by_step

        net.eval()
        total = torch.zeros(task.spec.T)
        with torch.no_grad():
            for x, y in task.train.epoch():
                total += divergence_by_step(feed(net, x), y).cpu() * len(y)
        return cast("Tensor", total / len(task.train))
