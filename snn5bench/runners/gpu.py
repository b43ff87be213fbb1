"""How much of a GPU a cell held, for cells whose method uses one."""

from __future__ import annotations

import torch


def forget() -> None:
    """Give back what earlier cells of this process left cached, and begin to watch."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def share() -> float | None:
    """Largest share of the GPU's memory that this process reserved since `forget`; None where it used no GPU."""
    if not torch.cuda.is_initialized() or not (held := torch.cuda.max_memory_reserved()):
        return None
    return round(held / torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory, 4)
