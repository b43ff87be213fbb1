"""Basilar membrane: how far each place along it moves at each frequency, in closed form.

The hydrodynamic model of Sieroka, Dosch and Rupp (2006) as used by Cramer et al. (2020) for the Heidelberg data. With
angular frequency w, place x, stiffness S(x) = C0 exp(-a x) - s0 and damping R(x) = R0 exp(-a x / 2):

    xi = S - m w^2 - i w R        g = w sqrt(rho / (h xi))        G = integral of g over x
    p = sqrt(G / g) H0(G)         v(w, x) = 2 w / xi * p(x) / p(0) * Z(w)

The integral's lower end is minus infinity to first order: G(0) = 2 g(0) / a.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

C0, S0, ALPHA, RHO, DAMPING, HEIGHT, MASS = 1e9, 3500.0, 3.0, 1.0, 0.15, 0.1, 0.05
R0 = DAMPING * np.sqrt(C0 * MASS)
LENGTH_CM = 3.5
PLACES = 700
"""Places of the full model, evenly spaced over the membrane's length."""


def places(channels: int) -> np.ndarray:
    """Positions [channels] in cm: all 700 places, or the middle one of each group where fewer are asked for.

    Channel 0 lies at the base, which answers to the highest frequencies.
    """
    group = PLACES // channels
    return np.linspace(0.0, LENGTH_CM, PLACES)[group // 2 :: group]


def impedance(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """xi(w, x), broadcast over both."""
    return C0 * np.exp(-ALPHA * x) - S0 - MASS * w**2 - 1j * w * R0 * np.exp(-ALPHA * x / 2)


def wave_number(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g(w, x) in 1/cm, broadcast over both."""
    return w * np.sqrt(RHO / (HEIGHT * impedance(w, x)))


def phase(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """G(w, x), the integral of g up to x, in closed form; broadcast over both, w > 0."""
    inertia = S0 + MASS * w**2
    root = np.sqrt(inertia)

    def argument(x: np.ndarray) -> np.ndarray:
        drag = 1j * R0 * np.exp(-ALPHA * x / 2)
        return -2 * np.sqrt(impedance(w, x)) + 1j * (2 * S0 + w * (2 * MASS * w + drag)) / root

    at_base = (ALPHA / 2) * argument(np.zeros(()))
    ratio = at_base / ((ALPHA / 2) * np.exp(ALPHA * x / 2) * argument(x))
    scale = 2j * w / (ALPHA * np.sqrt(HEIGHT * inertia))
    return 2 * wave_number(w, np.zeros(())) / ALPHA - scale * np.log(ratio)


def middle_ear(w: np.ndarray) -> np.ndarray:
    """Z(w), the load that the membrane puts on the stapes; w > 0."""
    from scipy.special import j0, j1, y0, y1

    q = (2 * w / ALPHA) * np.sqrt(2 / (HEIGHT * C0))
    return np.sqrt(2 * C0 / HEIGHT) * (1j * j0(q) + y0(q)) / (j1(q) - 1j * y1(q))


@lru_cache(maxsize=2)
def transfer(channels: int, samples: int, rate_hz: float) -> np.ndarray:
    """The conjugate of v(w, x), complex128 [channels, samples // 2 + 1]: a bin for each of `rfft`'s.

    Conjugated because the equations have waves go as exp(-iwt), the discrete Fourier transform as exp(iwt): otherwise
    the membrane would answer before the sound. Nothing moves at frequency 0.

    Kept in memory: it is the same for every utterance, and costs more than one.
    """
    from scipy.special import hankel1e

    w = 2 * np.pi * np.fft.rfftfreq(samples, 1 / rate_hz)[None, 1:]
    x = places(channels)[:, None]

    def pressure(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        G = phase(w, x)
        return np.sqrt(G / wave_number(w, x)) * hankel1e(0, G), G

    p, G = pressure(x)
    p0, G0 = pressure(np.zeros((1, 1)))
    out = np.zeros((channels, samples // 2 + 1), dtype=np.complex128)
    out[:, 1:] = 2 * w / impedance(w, x) * (p / p0) * np.exp(1j * (G - G0)) * middle_ear(w)
    return out.conj()
