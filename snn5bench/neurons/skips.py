"""Connections that skip layers, steps or both: TSkips-style, and ordinary recurrence as a special case."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput
from snn5bench.neurons.neuron import Time, checked_time
from snn5bench.neurons.synapses import Projection, add_late

Mix = Literal["add", "convex"]


class SkipSpec(NamedTuple):
    """A connection from the output of layer `src` to the current of layer `dst`, `delay` steps later.

    Layer 0 is the input, 1..L are the hidden layers, L + 1 is the read-out. `src < dst` is a forward connection
    (delay >= 0; 0 is a plain skip), `src >= dst` a backward one (delay >= 1; 1 within a layer is ordinary recurrence).
    """

    src: int
    dst: int
    delay: int

    @property
    def backward(self) -> bool:
        """Whether it closes a loop."""
        return self.src >= self.dst

    def check(self, layers: int) -> None:
        """Raise ValueError where it cannot exist in a network of `layers` hidden layers."""
        if not 0 <= self.src <= layers:
            raise ValueError(f"skip {tuple(self)}: the source must be 0 (input) to {layers} (last hidden layer)")
        if not 1 <= self.dst <= layers + 1:
            raise ValueError(
                f"skip {tuple(self)}: the target must be 1 (first hidden layer) to {layers + 1} (read-out)"
            )
        if self.delay < 0:
            raise ValueError(f"skip {tuple(self)}: a negative delay would need the future")
        if self.backward and self.delay == 0:
            raise ValueError(f"skip {tuple(self)}: a backward connection needs a delay of at least 1 step")


class Skip(nn.Module):
    """One connection with its projection W_c (`Projection`, or the identity) and its learned scalar alpha.

        add:     I + alpha W_c s[t - delay]
        convex:  (1 - alpha) I + alpha W_c s[t - delay]

    I is the current before it; several connections into one layer are applied in the order given. alpha is a free real
    number that starts at 1 (add) or 0.5 (convex). Before the first delayed spike arrives, s is zero.
    """

    def __init__(self, spec: SkipSpec, n_src: int, n_dst: int, project: bool = True, mix: Mix = "add") -> None:
        super().__init__()
        self.spec, self.mix_form, self.n_src = spec, mix, n_src
        self.time: Time = "full"
        if not project and (spec.src == 0 or n_src != n_dst):
            raise ValueError(f"skip {tuple(spec)}: without projection it must join two hidden layers of equal size")
        if mix not in ("add", "convex"):
            raise ValueError(f"mix must be 'add' or 'convex', got '{mix}'")
        self.projection = Projection(n_src, n_dst, spiking=spec.src > 0) if project else None
        self.alpha = nn.Parameter(torch.tensor(1.0 if mix == "add" else 0.5))

    def weight(self) -> Tensor | None:
        """alpha W_c, for one pass: alpha then costs a product with the weights, not one with the current of all steps."""
        return None if self.projection is None else self.alpha * self.projection.weight

    def project(self, x: BatchInput, weight: Tensor | None) -> Tensor:
        """alpha W_c s of the input `x`; `weight` is alpha W_c."""
        assert self.projection is not None
        return self.projection(self._reached(x), weight=weight)

    def set_time(self, mode: str) -> None:
        """`sdbp` detaches what arrives late; `notd` removes a connection that has a delay."""
        self.time = checked_time(mode)

    @property
    def lives(self) -> bool:
        """Whether the connection exists in the present time mode."""
        return self.time != "notd" or self.spec.delay == 0

    @property
    def delay_bits(self) -> int:
        """Bits of the ring buffer that holds the source's spikes until they are due, for one sample."""
        return self.spec.delay * self.n_src if self.lives else 0

    def mix(self, current: Tensor, late: Tensor | None) -> Tensor:
        """Mix `late` (the last steps of alpha W_c s; None: nothing has arrived) into `current` `[T, B, N]`."""
        kept = self._kept(current)
        return kept if late is None else add_late(kept, late)

    def mix_spikes(self, current: Tensor, spikes: Tensor | None, weight: Tensor | None) -> Tensor:
        """The same of the delayed spikes themselves; `weight` is alpha W_c."""
        kept = self._kept(current)
        if spikes is None:
            return kept
        if self.projection is None:
            return add_late(kept, self.alpha * cast("Tensor", self._reached(spikes)))
        return self.projection(self._reached(spikes), weight=weight, onto=kept)

    def _reached(self, spikes: BatchInput) -> BatchInput:
        """The spikes, detached where no gradient reaches them."""
        late = self.time == "sdbp" and self.spec.delay > 0
        return spikes.detach() if late and isinstance(spikes, Tensor) else spikes

    def _kept(self, current: Tensor) -> Tensor:
        return current if self.mix_form == "add" else (1 - self.alpha) * current

    def extra_repr(self) -> str:
        """Ends, delay and mix."""
        return f"{self.spec.src} -> {self.spec.dst}, delay={self.spec.delay}, mix={self.mix_form}"


class Track:
    """What a layer has sent so far, as consecutive chunks."""

    def __init__(self, chunks: Sequence[Tensor] = ()) -> None:
        self.chunks: list[Tensor] = []
        self._ends: list[int] = []
        for chunk in chunks:
            self.append(chunk)

    def append(self, chunk: Tensor) -> None:
        """Add the steps that follow."""
        self.chunks.append(chunk)
        self._ends.append(len(chunk) + (self._ends[-1] if self._ends else 0))

    def window(self, start: int, stop: int) -> Tensor | None:
        """Steps `start..stop-1`, without those before 0; None where none is left."""
        start = max(start, 0)
        if start >= stop:
            return None
        pieces = []
        for k in range(bisect_right(self._ends, start), len(self.chunks)):
            chunk, end = self.chunks[k], self._ends[k]
            begin = end - len(chunk)
            if begin >= stop:
                break
            whole = start <= begin and end <= stop
            pieces.append(chunk if whole else chunk[max(start - begin, 0) : stop - begin])
        if not pieces:
            return None
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def cut(self, steps: int) -> None:
        """Cut what has been sent into chunks of `steps`, all at once: the gradient of a slice is as long as what it was
        taken from, so that slices taken one by one cost the square of their number."""
        parts = [part for chunk in self.chunks for part in chunk.split(steps)]
        self.chunks, self._ends = [], []
        for part in parts:
            self.append(part)

    def whole(self) -> Tensor:
        """All steps."""
        return self.chunks[0] if len(self.chunks) == 1 else torch.cat(self.chunks)
