"""Compression of any trained method: prune then quantise, or quantise then prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from snn5bench.methods.on_base import OnBase, OverBase
from snn5bench.methods.rehearsal import last_epochs, rehearsal
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.compression import Compressor, OrderErrors


class Compressed(OnBase):
    """A trained network pruned and quantised, in one of two orders, `[T, B, C] -> [T, B, classes]`.

        prune-quantise   mask(w) Q(mask(w) w)        quantise-prune   mask(Q(w)) Q(w)

    on every synaptic weight, read-out included; biases and neuron constants stay as they are. For magnitude pruning and
    a max-scaled quantiser, without training in between, the error of prune-quantise is at most the sum of both errors
    (Harma et al., ICLR 2025, arXiv 2405.20935, theorem 3.5); quantise-prune can exceed it, by ties. With training in
    between nothing is proved, and QP-SNN (Wei et al., ICLR 2025, arXiv 2502.05905) prefers quantise-prune: run both.

    The budget is shared: `finetune` of the epochs follow compression, the rest train the base; without fine-tuning the
    base has all. The base's best epoch is compressed; only the compressed network is reported. Pruned weights are zero
    in the forward pass, and counted so. Ours: one scale for a tensor, unstructured pruning in one step.
    """

    name = "compressed"
    summary = "Pruning and quantisation of a trained method, in either order"
    fidelity = Fidelity.faithful(
        "magnitude, LAMP, max-scaled and ReScaW as published and checked; the networks, one-shot pruning and the "
        "fine-tuning schedule are ours"
    )

    class Params(OverBase):
        """Parameters of compression; `lr`, `weight_decay` and `clip` are those of fine-tuning."""

        lr: float = Field(1e-3, gt=0, le=10)
        """Learning rate of fine-tuning."""
        order: Literal["prune-quantise", "quantise-prune"] = "prune-quantise"
        """Which step comes first."""
        pruning: Literal["magnitude", "global", "lamp"] = "magnitude"
        """By magnitude in each layer, by magnitude over all layers, or by LAMP score over all layers."""
        sparsity: float = Field(0.8, ge=0, lt=1)
        """Share of the weights that goes."""
        quantiser: Literal["max", "rescaw", "vanilla"] = "max"
        """Scaled to the largest weight, to the mean magnitude (ReScaW), or not at all."""
        bits: int = Field(4, ge=2, le=16)
        """Bits of a weight."""
        finetune: float = Field(0.3, ge=0, lt=1)
        """Share of the epochs that train the compressed network; 0: none."""
        between: bool = True
        """Give half of the fine-tuning to the time between the two steps, or all of it to the end."""

    params: Params

    def fit(self, task: Task) -> nn.Module:
        """Train the base, compress its best epoch, fine-tune."""
        from snn5bench.neurons.compression import Compressor, order_errors

        p, spent = self.params, self._epochs(task.budget.epochs)
        with rehearsal(task, task.budget.epochs - sum(spent)) as dense:
            net = self.base.fit(task)
        net.load_state_dict(dense.state)
        compressor = Compressor(net, p.order, p.pruning, p.quantiser)
        errors = order_errors(compressor.values(), p.sparsity, p.bits, p.pruning, p.quantiser)
        steps = p.order.split("-")
        self._apply(compressor, steps[0])
        if spent[0]:
            with rehearsal(task, spent[0]) as between:
                task.bptt(net, p)
            net.load_state_dict(between.state)
        self._apply(compressor, steps[1])
        if spent[1]:
            with last_epochs(task, spent[1]):
                task.bptt(net, p)
        else:
            task.report(net, task.budget.epochs - 1, None)
        net.notes = [*getattr(net, "notes", ()), self._what(spent), _dense(dense.accuracy), _errors(errors)]  # type: ignore[assignment]
        return net

    def _epochs(self, budget: int) -> tuple[int, int]:
        """Epochs of fine-tuning between the steps and after them; the base keeps one at least."""
        total = min(budget - 1, round(self.params.finetune * budget))
        between = total // 2 if self.params.between else 0
        return between, total - between

    def _apply(self, compressor: Compressor, step: str) -> None:
        if step == "prune":
            compressor.prune(self.params.sparsity)
        else:
            compressor.quantise(self.params.bits)

    def _what(self, spent: tuple[int, int]) -> str:
        p = self.params
        trained = f"{spent[0]} epochs of fine-tuning between and {spent[1]} after" if sum(spent) else "no fine-tuning"
        return (
            f"{p.order} over {p.base}: {p.sparsity:.1%} of the weights pruned ({p.pruning}), {p.bits} bits ({p.quantiser}), "
            f"{trained}; the other order is a row of its own"
        )


def _dense(accuracy: float) -> str:
    return f"the network before compression: validation accuracy {accuracy:.3f}"


def _errors(e: OrderErrors) -> str:
    bound = "within" if e.orthogonal else "beyond"
    return (
        f"on the trained weights, without fine-tuning, absolute error over absolute weight: pruning {e.prune:.3f}, "
        f"quantisation {e.quantise:.3f}, prune-quantise {e.prune_quantise:.3f} ({bound} the sum), quantise-prune "
        f"{e.quantise_prune:.3f}; the masks differ in {e.mask_mismatch:.1%} of the weights, {e.ties} ties at the cut"
    )
