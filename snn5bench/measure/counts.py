"""Operations of a network per sample, counted by forward hooks in the same pass that evaluates it.

What is counted, exactly
------------------------
A *frame* is what one sample shows one layer at one step. It is *unit* if all its values are in {-1, 0, 1}.

- **AC**: in a unit frame, one for each pair (non-zero input, non-zero weight that it meets).
- **MAC**: the same pairs in any other frame: real-valued input, or spikes that carry a size. (A frame of whole numbers
  is also told apart: `integer_macs`, and `integer_unrolled_acs`, the ACs if a spike of size k were sent as k spikes.)
- **Synaptic operations** (`synops_per_sample`) = ACs + MACs that come from non-zero inputs times non-zero *weights*.
  Products of two activations (attention), which a module reports as `matmul_acs` and `matmul_macs`, are ACs and MACs
  but no synaptic operations.
- **dense MACs**: what a dense layer of the same shape multiplies in all its steps; zeros of the padding left out.
- **bias adds**: one for each output value and step of a layer that has a bias.
- **neuron updates**: one for each neuron and step.
- **residual adds**: values of two activations added outside every layer; dense, seen on the first batch.
- norms, pools: see `rules.norm`, `rules.pool`.
- **memory reads**: a weight for each synaptic operation, a bias for each bias add, each non-zero input once, each state
  variable once a step. **memory writes**: each state variable once a step, each spike once. No cache and no reuse:
  energy models make their own sums.

The split is taken frame by frame, so no number depends on the batch; sums are int64. Recurrent weights, zero weights,
padding, groups and strides are exact. What cannot be counted is `missing` with the reason, and its number is None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn
from torch.utils.hooks import RemovableHandle

from snn5bench.contracts.inputs import BitsHook, Events, Repeated, SpikeBits
from snn5bench.measure.guard import Guard, blind_spot
from snn5bench.measure.rules import Rule, reports, rule_for
from snn5bench.measure.tally import Clock, Tally
from snn5bench.record import LayerCounts

OPERATIONS = ("macs_per_sample", "acs_per_sample", "synops_per_sample")
SPARSITY = ("spike_rate", "activation_sparsity")
_READS = ("weight_reads", "bias_reads", "input_reads", "state_reads")
_WRITES = ("state_writes", "output_writes")
_HELD = 2**20
"""Bytes of spikes from which on they do not wait any longer for their count."""
_Hook = Callable[[nn.Module, tuple[Any, ...], Any], None]


@dataclass(frozen=True)
class Counts:
    """What one sample costs on average. None means `n/a`: the reason is in `missing` under the field's name."""

    samples: int
    T: int
    layers: list[LayerCounts]
    macs_per_sample: float | None
    acs_per_sample: float | None
    synops_per_sample: float | None
    spike_rate: float | None
    """Non-zero outputs per neuron and step, over all spiking neurons."""
    activation_sparsity: float | None
    """Share of exact zeros over all spiking neurons and steps (over all activations where nothing spikes)."""
    weight_sparsity: float | None
    """Share of exact zeros over all synaptic weights."""
    silent_neurons: int | None
    """Spiking neurons that never spiked, for any sample."""
    saturated_neurons: int | None
    """Spiking neurons that spiked at every step of every sample."""
    totals: dict[str, float] = field(default_factory=dict)
    """Every other count per sample, summed over the layers, by name."""
    missing: dict[str, str] = field(default_factory=dict)
    profile: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    """Layer to `synops` and `spikes` per sample at each step, float64 `[T]`."""


class Counter:
    """Counts while it is entered: `with Counter(model) as counter: model(x) ...; counter.result()`.

    The model is called on `[T, B, ...]` tensors, `Events` or `Repeated`; its weights must not change meanwhile. A hook
    never raises into the evaluation: what fails is `missing`. A stack of layers that runs fused stays so, and shows its
    spikes as bits; in the first batch, where the guard watches what each module does, it runs layer by layer.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._clock = Clock()
        self._running = False
        self._handles: list[RemovableHandle] = []
        self._rules: dict[nn.Module, tuple[str, Rule] | None] = {}
        self._tallies: dict[str, Tally] = {}
        self._called: set[nn.Module] = set()
        self._missing: dict[str, str] = {}
        self._guard: Guard | None = None
        self._touched: set[int] = set()
        self._residuals: dict[str, float] = {}
        self._waiting: dict[tuple[nn.Module, int], tuple[_Hook, list[SpikeBits]]] = {}
        self._held = 0

    def __enter__(self) -> Counter:
        self._handles.append(self._model.register_forward_pre_hook(self._begin))
        if not self._clock.samples:
            self._guard = Guard(self._model)
        for name, module in self._model.named_modules():
            found = self._rules.setdefault(module, rule_for(module))
            if found is not None:
                kind, rule = found
                tally = self._tallies.setdefault(name, Tally(name or "(root)", kind, self._clock))
                hook = self._hook(tally, rule)
                takes_bits = kind in ("neuron", "synapses") and not reports(module)
                self._handles.append(module.register_forward_hook(BitsHook(hook) if takes_bits else hook))
        self._handles.append(self._model.register_forward_hook(self._end, always_call=True))
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._stop_guard()

    def _begin(self, model: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0]
        if isinstance(x, Events | Repeated):
            T, B = x.T, x.batch
        elif x.ndim > 2:
            T, B = x.shape[0], x.shape[1]
        else:
            T, B = 1, x.shape[0]
        if self._held > _HELD:
            self._settle()
        self._clock.tick(T, B)
        self._running = True
        if self._guard is not None:
            self._guard.start()

    def _end(self, model: nn.Module, inputs: Any, output: Any) -> None:
        self._running = False
        self._stop_guard()

    def _stop_guard(self) -> None:
        if self._guard is None:
            return
        self._guard.stop()
        self._touched |= self._guard.touched
        for metric, reason in self._guard.missing.items():
            self._note(OPERATIONS if metric in OPERATIONS else (metric,), reason)
        if self._clock.B:
            self._residuals = {name: n / self._clock.B for name, n in self._guard.residual_adds.items()}
        self._guard = None

    def _hook(self, tally: Tally, rule: Rule) -> _Hook:
        metrics = {"neuron": OPERATIONS + SPARSITY, "activation": ("activation_sparsity",)}.get(tally.kind, OPERATIONS)

        def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if self._guard is not None:
                self._guard.paused = True
            try:
                rule(module, inputs, output, tally)
            except Exception as failed:
                reason = f"{tally.name} ({type(module).__name__}): {type(failed).__name__}: {failed}"
                self._note(metrics, reason)
            finally:
                if self._guard is not None:
                    self._guard.paused = False

        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if not self._running:
                return
            self._called.add(module)
            spikes = output if isinstance(output, SpikeBits) else next(iter(inputs), None)
            if isinstance(spikes, SpikeBits) and spikes.shape[:2] == (self._clock.T, self._clock.B):
                self._waiting.setdefault((module, self._clock.T), (count, []))[1].append(spikes)
                self._held += spikes.words.nbytes
            else:
                count(module, inputs, output)

        return hook

    def _settle(self) -> None:
        """Count the spikes that wait. As bits they are small: those of several batches are counted as one batch, which
        costs little more than one of them."""
        T, B = self._clock.T, self._clock.B
        sent: list[SpikeBits] = []
        for (module, _), (count, spikes) in self._waiting.items():
            if spikes != sent:  # what a layer receives is what the one before has sent
                sent, joined = spikes, SpikeBits(np.concatenate([one.words for one in spikes]), spikes[0].channels)
            self._clock.T, self._clock.B, _ = joined.shape
            count(module, (joined,), joined)
        self._clock.T, self._clock.B = T, B
        self._waiting.clear()
        self._held = 0

    def _note(self, metrics: tuple[str, ...], reason: str) -> None:
        for metric in metrics:
            self._missing.setdefault(metric, reason)

    def result(self) -> Counts:
        """Averages over all samples seen so far."""
        self._settle()
        missing = {**self._missing}
        if self._clock.samples:
            blind = blind_spot(self._model, self._called, self._touched)
        else:
            blind = "no batch was counted"
        if blind:
            missing = dict.fromkeys(OPERATIONS, blind) | missing
        tallies = [tally for tally in self._tallies.values() if tally.sums or tally.fired is not None]
        layers = [tally.layer() for tally in tallies]
        layers += [
            LayerCounts(name=name, kind="container", detail={"residual_adds": n}) for name, n in self._residuals.items()
        ]
        for name, module in self._model.named_modules():
            if bits := getattr(module, "delay_bits", None):
                layers.append(LayerCounts(name=name, kind="delay", detail={"delay_bits": float(bits)}))
        spiking = [tally for tally in tallies if tally.spiking and tally.fired is not None]
        if not spiking:
            missing.setdefault("spike_rate", "the network has no layer that spikes")
        share = _share(spiking or [tally for tally in tallies if tally.kind == "activation"])
        if share is None:
            missing.setdefault("activation_sparsity", "the network has no layer whose activations can be seen")
        known = {key: None if key in missing else value for key, value in operations(layers).items()}
        weights = sum(layer.detail.get("weights", 0) for layer in layers)
        if not weights:
            missing.setdefault("weight_sparsity", "no synaptic weight was seen")
        spikers = [layer for layer in layers if layer.spike_rate is not None]
        hidden = "spike_rate" in missing
        return Counts(
            samples=self._clock.samples,
            T=self._clock.T,
            layers=layers,
            spike_rate=None if hidden else share,
            activation_sparsity=None if share is None or "activation_sparsity" in missing else 1.0 - share,
            weight_sparsity=sum(layer.detail.get("zero_weights", 0) for layer in layers) / weights if weights else None,
            silent_neurons=None if hidden else sum(layer.silent_neurons or 0 for layer in spikers),
            saturated_neurons=None if hidden else sum(layer.saturated_neurons or 0 for layer in spikers),
            totals=_totals(layers, missing),
            missing=missing,
            profile={tally.name: _profile(tally) for tally in tallies},
            **known,
        )


def _share(tallies: list[Tally]) -> float | None:
    """Non-zero share over all neurons and frames of some layers."""
    seen = [tally for tally in tallies if tally.fired is not None and tally.frames]
    if not seen:
        return None
    return sum(int(t.fired.sum()) for t in seen) / sum(t.frames * len(t.fired) for t in seen)  # type: ignore[union-attr, arg-type, misc]


def operations(layers: list[LayerCounts]) -> dict[str, float]:
    """MACs, ACs and synaptic operations per sample, from the counts of all layers."""
    macs, acs = sum(layer.macs for layer in layers), sum(layer.acs for layer in layers)
    matmul_macs, matmul_acs = (sum(layer.detail.get(k, 0.0) for layer in layers) for k in ("matmul_macs", "matmul_acs"))
    return {
        "macs_per_sample": macs + matmul_macs,
        "acs_per_sample": acs + matmul_acs,
        "synops_per_sample": macs + acs,
    }


def _totals(layers: list[LayerCounts], missing: dict[str, str]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for layer in layers:
        fields = {key: getattr(layer, key) for key in ("dense_macs", "bias_adds", "neuron_updates")}
        for key, value in (fields | layer.detail).items():
            totals[key] = totals.get(key, 0.0) + value
    for key in (
        "in_features",
        "out_features",
        "steps",
        "states",
        "foldable",
        "borderless_fan_out",
        "addresses_per_spike",
    ):
        totals.pop(key, None)
    totals["memory_reads"] = sum(totals.get(key, 0.0) for key in _READS)
    totals["memory_writes"] = sum(totals.get(key, 0.0) for key in _WRITES)
    lost = {key.removesuffix("_per_sample") for key in missing}
    if "synops" in lost:
        lost |= {"dense_macs", "bias_adds", "weight_reads", "memory_reads", "memory_writes"}
    return {key: value for key, value in totals.items() if key not in lost}


def _profile(tally: Tally) -> dict[str, np.ndarray]:
    """Synaptic operations and spikes per sample at each step."""
    return {key: by_step / max(tally.clock.samples, 1) for key, by_step in tally.by_step.items()}
