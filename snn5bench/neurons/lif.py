"""The leaky integrate-and-fire neuron.

    v[t] = d v[t-1] (1 - y[t-1]) + x[t]            hard reset
    v[t] = d v[t-1] - theta y[t-1] + x[t]          soft reset: the threshold is subtracted after the decay
    y[t] = H(v[t] - theta),  H(0) = 1,  v[-1] = y[-1] = 0

as in neuroseqbench (Ma et al., 2025, arXiv 2502.09449). spikingjelly's LIFNode with `decay_input=False` and
tau = 1/(1 - d) is the same neuron for the hard reset; its soft reset subtracts before the decay (d (v - theta y)).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snn5bench.neurons.lif_scan import LifConstants, lif_scan
from snn5bench.neurons.neuron import Memory, Neuron
from snn5bench.neurons.recurrent_scan import recurrent_lif_scan
from snn5bench.neurons.surrogate import Surrogate


class LIF(Neuron):
    """LIF layer, optionally with all-to-all recurrence inside the layer.

    `recurrent` is the number of neurons of a recurrent layer (None: no recurrence); its weights V add `V y[t-1]` to the
    current and start orthogonal times 0.2. The time modes: `sdbp` detaches v and y before they enter the next step,
    so the forward pass is bit-identical; `notd` is v[t] = x[t], with the recurrence cut.
    """

    def __init__(
        self,
        decay: float = 0.9,
        threshold: float = 1.0,
        reset: str = "hard",
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        recurrent: int | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must be in 0..1, got {decay}")
        if threshold <= 0:
            raise ValueError(f"threshold must be above 0, got {threshold}")
        if reset not in ("hard", "soft"):
            raise ValueError(f"reset must be 'hard' or 'soft', got '{reset}'")
        self.decay, self.threshold, self.reset, self.detach_reset = decay, threshold, reset, detach_reset
        self.surrogate = surrogate if surrogate is not None else Surrogate()
        self.recurrent_weight: nn.Parameter | None = None
        if recurrent is not None:
            self.recurrent_weight = nn.Parameter(nn.init.orthogonal_(torch.empty(recurrent, recurrent), gain=0.2))

    @property
    def constants(self) -> LifConstants:
        """The kernel's arguments under the present time mode."""
        if self.time == "notd":
            return LifConstants(0.0, self.threshold, True, self.detach_reset, False)
        return LifConstants(self.decay, self.threshold, self.reset == "hard", self.detach_reset, self.time == "full")

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`."""
        memory = memory if memory is not None else Memory()
        carried = () if self.time == "notd" else memory.state
        carry = carried[0] if carried else None
        if self.recurrent_weight is None or self.time == "notd":
            spikes, carry = lif_scan(x, carry, self.constants, self.surrogate)
            memory.state = (carry,)
        else:
            last = carried[1] if carried else None
            spikes, carry = recurrent_lif_scan(x, carry, last, self.recurrent_weight, self.constants, self.surrogate)
            memory.state = (carry, spikes[-1])
        memory.step += len(x)
        return spikes

    def extra_repr(self) -> str:
        """Constants and time mode."""
        return f"decay={self.decay}, threshold={self.threshold}, reset={self.reset}, time={self.time}"
