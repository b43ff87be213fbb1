"""Networks whose neurons spike once, and whose first output spike decides: S4NN (Kheradpisheh and Masquelier, 2020, doi
10.1142/S0129065720500276), its code, its neuron, its decision and its learning rule.

Written from the equations; the authors' code (GPL) was neither copied nor translated. Times are steps 0..T-1, and T for a
neuron that stays silent. As published every layer takes one step more; here a layer answers in the step of its input, as
everywhere in this benchmark, so that published times of layer l are ours plus l, and "before" becomes "not after".
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, Repeated, dense
from snn5bench.neurons.synapses import Synapses

Tie = Literal["potential", "index"]
Silent = Literal["potential", "none"]
_ROUNDING = 1e-3
_LEAST, _LATE = 1e-4, 10.0


def latencies(frame: Tensor, T: int) -> Tensor:
    """Times floor((1 - I) T) of intensities I in 0..1 (clamped), int64 of the same shape: white at 0, black never (T).
    Values that rounding left just below a whole number count as that number."""
    return torch.floor((1 - frame.clamp(0, 1)) * T + _ROUNDING).long()


def trains(times: Tensor, T: int) -> Tensor:
    """One spike at each of `times` `[B, C]`, none at T: `[T, B, C]`."""
    steps = torch.arange(T, device=times.device).view(-1, 1, 1)
    return (times == steps).to(torch.get_default_dtype())


def once(spikes: Tensor) -> Tensor:
    """The first spike of each train `[T, B, C]` alone."""
    seen = (spikes != 0).long().cumsum(0)
    return ((seen == 1) & (spikes != 0)).to(spikes.dtype)


def first(spikes: Tensor) -> Tensor:
    """Times of one-spike trains `[T, ...]`, int64 `[...]`; T where there is none."""
    fired = spikes != 0
    return torch.where(fired.any(0), fired.long().argmax(0), len(spikes))


def targets(times: Tensor, label: int, gamma: int, T: int) -> Tensor:
    """Target times of the outputs `[classes]`, given their `times`. With tau the earliest: the true class at tau, rivals
    that are less than gamma behind it at tau + gamma (at most T), the others where they are. All silent: the true class at
    T - gamma, the others never."""
    earliest = int(times.min())
    if earliest == T:
        wanted = torch.full_like(times, T)
        wanted[label] = max(T - gamma, 0)
        return wanted
    wanted = torch.where(times - earliest < gamma, min(earliest + gamma, T), times)
    wanted[label] = earliest
    return wanted


class FirstSpike(nn.Module):
    """Integrate and fire, once: `[T, B, N]` currents to one-spike trains. A neuron spikes at the first step whose summed
    current is above its threshold (strictly). No leak, no reset."""

    spiking = True
    recurrent_weight = None
    threshold: Tensor

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.tensor(float(threshold)))

    def forward(self, x: Tensor) -> Tensor:
        """Spikes."""
        return once((x.cumsum(0) > self.threshold).to(x.dtype))


class Decision(nn.Module):
    """Output spikes and currents `[T, B, classes]` to logits per step in float64, whose sum is highest for the class that
    spiked first.

    A class gets 1 at each step from its spike on, T - t in all. `tie = "potential"`: and between 0 and 1, the more the
    higher its potential when it spiked, so that of classes that spike in one step the highest potential wins. Where those
    are equal (nearer than a thousandth of the threshold) the highest last potential wins, then the lowest index. `"index"`:
    the lowest index wins at once. `silent = "potential"`: a class that has not spiked gets the same of its last potential,
    so that the highest decides where all are silent. With `last`, logits are summed up to each step.

    The counts tell the share of samples that were tied (`tied_samples`) or silent (`silent_samples`).
    """

    scale: Tensor

    def __init__(self, threshold: Tensor, tie: Tie, silent: Silent, last: bool) -> None:
        super().__init__()
        self.tie, self.silent, self.last = tie, silent, last
        self.register_buffer("scale", threshold.clone())

    def forward(self, spikes: Tensor, current: Tensor) -> Tensor:
        """Logits."""
        potential = current.double().cumsum(0)
        rank = (1 + potential / (potential.abs() + self.scale)) / 2
        fired = spikes.double().cumsum(0)
        logits = fired.clone()
        if self.tie == "potential":
            logits += spikes * rank
            logits[-1] += _LEAST * fired[-1] * potential[-1] / (potential[-1].abs() + _LATE * self.scale)
        if self.silent == "potential":
            logits[-1] += (1 - fired[-1]) * rank[-1]
        return logits.cumsum(0) if self.last else logits

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """Samples that were tied, or silent."""
        times = first(inputs[0])
        earliest = times.min(-1).values
        silent = earliest == len(output)
        tied = (times == earliest.unsqueeze(-1)).sum(-1) > 1
        return {"tied_samples": (tied & ~silent).long(), "silent_samples": silent.long()}


class Outcome(NamedTuple):
    """What a batch of outputs says: times and potentials `[B, classes]`."""

    times: Tensor
    at_spike: Tensor
    """Potential in the step of the spike."""
    at_end: Tensor
    """Potential in the last step."""


class S4NN(nn.Module):
    """`[T, B, C]` (or `Events`, `Repeated`) to logits per step: one hidden layer, one spike a neuron.

    A frame becomes latencies; of events each channel's first is seen, and no other. Weights start uniform in [0, spread].
    """

    takes_events = True

    def __init__(
        self,
        channels: int,
        hidden: int,
        classes: int,
        frames: bool,
        spread: tuple[float, float] = (1.0, 10.0),
        threshold: tuple[float, float] = (10.0, 50.0),
        tie: Tie = "potential",
        silent: Silent = "potential",
        last: bool = False,
    ) -> None:
        super().__init__()
        self.frames, self.spread = frames, spread
        self.hidden = Synapses(channels, hidden, bias=False, spiking=True)
        self.neuron = FirstSpike(threshold[0])
        self.readout = Synapses(hidden, classes, bias=False, spiking=True)
        self.output = FirstSpike(threshold[1])
        self.decision = Decision(self.output.threshold, tie, silent, last)
        for synapses, width in zip((self.hidden, self.readout), spread, strict=True):
            nn.init.uniform_(synapses.weight, 0, width)

    @torch.no_grad()
    def encode(self, x: BatchInput) -> Tensor:
        """One-spike trains `[T, B, C]`."""
        if self.frames:
            frame, T = (x.frame, x.T) if isinstance(x, Repeated) else (dense(x)[0], dense(x).shape[0])
            return trains(latencies(frame, T), T).to(self.hidden.weight)
        return once(dense(x)).to(self.hidden.weight)

    @torch.no_grad()
    def forward(self, x: BatchInput) -> Tensor:
        """Logits."""
        current = self.readout(self.neuron(self.hidden(self.encode(x))))
        return self.decision(self.output(current), current)

    @torch.no_grad()
    def outcome(self, x: BatchInput) -> Outcome:
        """Times and potentials of the outputs."""
        current = self.readout(self.neuron(self.hidden(self.encode(x))))
        times, potential = first(self.output(current)), current.double().cumsum(0)
        at = times.clamp(max=len(potential) - 1).unsqueeze(0)
        return Outcome(times, potential.gather(0, at)[0], potential[-1])

    @torch.no_grad()
    def calibrate(self, x: BatchInput, fill: tuple[float, float]) -> None:
        """Set each layer's threshold to a share of the mean potential that the batch `x` leaves in it at the end."""
        spikes = self.encode(x)
        for synapses, neuron, share in zip((self.hidden, self.readout), (self.neuron, self.output), fill, strict=True):
            current = synapses(spikes)
            neuron.threshold.fill_(max(share * current.sum(0).mean().item(), 1e-6))
            spikes = neuron(current)
        self.decision.scale.copy_(self.output.threshold)
