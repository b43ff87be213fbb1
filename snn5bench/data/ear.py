"""An inner ear: sound in, spikes of bushy cells out, after Cramer et al. (2020, IEEE TNNLS, the Heidelberg data).

Loudness to a fixed RMS, a 30 ms Hann ramp at either end, basilar membrane (`basilar`), hair cells and bushy cells
(`nerve`). Written from the equations; departures:

- The membrane's transfer function is conjugated, so that it answers after the sound and not before (see `basilar`).
- Sound is resampled to 24 kHz first and filtered as a real signal at that rate, instead of taking one half of the
  spectrum at 48 kHz: the same numbers for anything below 12 kHz, without the aliasing above.
- How many of a channel's ready fibres fire is one binomial draw, which has the same distribution as a draw for each.
- Fewer than 700 channels are a subset of the membrane's places, not a sum over neighbours.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from snn5bench.contracts.params import Params
from snn5bench.data import basilar

if TYPE_CHECKING:
    from snn5bench.data.nerve import Bushy, Hair

MODEL_RATE_HZ = 24_000
"""Of the membrane, the cells and so of the spikes; the hair cell's Euler steps need (l + r) / rate < 2."""

_BLOCK, _TAIL = 7_200, 2_400
_A, _B, _H, _M = 5.0, 300.0, 50_000.0, 1.0
_HAIR_CELLS = {
    "g2000": {"y": 5.05, "g": 2000.0, "l": 2500.0, "r": 6580.0, "x": 66.3},
    "g1000": {"y": 11.11, "g": 1000.0, "l": 1250.0, "r": 16667.0, "x": 250.0},
}


class EarParams(Params):
    """The ear's free choices; everything else is a constant of the model."""

    channels: Literal[140, 700] = 140
    """Places along the basilar membrane that have a bushy cell; 700 is the full model."""
    hair_cell: Literal["g2000", "g1000"] = "g2000"
    """Which of the two circulating parameter sets (y, g, l, r, x) of Meddis's hair cell: `g2000` is 5.05, 2000, 2500,
    6580, 66.3; `g1000` is 11.11, 1000, 1250, 16667, 250."""
    rms: float = Field(0.3, gt=0)
    """Loudness that every sound is brought to."""
    ramp_ms: float = Field(30.0, ge=0)
    """Length of the Hann ramp at either end."""
    fibres: int = Field(40, ge=1, le=1000)
    """Auditory fibres that converge on a bushy cell."""


def prepare(wave: np.ndarray, rate_hz: int, params: EarParams) -> np.ndarray:
    """`wave` [samples] of any real type as float64 at `MODEL_RATE_HZ`, at the set loudness and with ramps."""
    from scipy.signal import resample_poly

    sound = np.asarray(wave, dtype=np.float64)
    common = gcd(rate_hz, MODEL_RATE_HZ)
    if rate_hz != MODEL_RATE_HZ:
        sound = resample_poly(sound, MODEL_RATE_HZ // common, rate_hz // common)
    loudness = np.sqrt(np.mean(sound**2)) if len(sound) else 0.0
    if loudness > 0:
        sound = sound * (params.rms / loudness)
    ramp = min(round(params.ramp_ms * MODEL_RATE_HZ / 1000), len(sound) // 2)
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(ramp) / max(ramp, 1))
    sound[:ramp] *= window
    sound[len(sound) - ramp :] *= window[::-1]
    return sound


def membrane(sound: np.ndarray, channels: int) -> np.ndarray:
    """Motion [channels, samples + 0.1 s] of the basilar membrane under `sound` [samples] at `MODEL_RATE_HZ`.

    Overlap-add in blocks of 0.3 s, so that one transfer matrix serves every length; the slowest place has died away
    0.1 s after the block.
    """
    transfer = basilar.transfer(channels, _BLOCK + _TAIL, float(MODEL_RATE_HZ))
    out = np.zeros((channels, len(sound) + _BLOCK + _TAIL))
    for start in range(0, len(sound), _BLOCK):
        spectrum = np.fft.rfft(sound[start : start + _BLOCK], _BLOCK + _TAIL)
        out[:, start : start + _BLOCK + _TAIL] += np.fft.irfft(transfer * spectrum, _BLOCK + _TAIL)
    return out[:, : len(sound) + _TAIL]


def hear(wave: np.ndarray, rate_hz: int, params: EarParams, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The spikes that `wave` [samples] causes: times (float64, seconds) and channels (int32), by time, then channel.

    Listens until 0.1 s after the end. Equal arguments give equal bits; sounds that should have independent noise need
    different seeds.
    """
    from snn5bench.data.nerve import nerve

    motion = membrane(prepare(wave, rate_hz, params), params.channels)
    step, channel = nerve(motion, 1.0 / MODEL_RATE_HZ, hair_constants(params), bushy_constants(params), seed)
    order = np.argsort(step, kind="stable")
    return step[order] / MODEL_RATE_HZ, channel[order].astype(np.int32)


def hair_constants(params: EarParams) -> Hair:
    """Those of the chosen hair cell."""
    v = _HAIR_CELLS[params.hair_cell]
    return (_A, _B, v["g"], v["y"], v["l"], v["r"], v["x"], _H, _M)


def bushy_constants(params: EarParams) -> Bushy:
    """1 ms of silence after a spike for fibres and cell; tau_m 1 ms, tau_syn 0.5 ms."""
    dead = MODEL_RATE_HZ // 1000
    return (params.fibres, dead, 1e-3, 5e-4, dead, 13_000.0 / params.fibres)
