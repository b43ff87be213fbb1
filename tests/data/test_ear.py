"""The inner ear against integrals, differential equations and plain loops that share no code with it."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from scipy.stats import binom

import snn5bench
from snn5bench.data import basilar, nerve
from snn5bench.data.binning import bin_spikes
from snn5bench.data.ear import MODEL_RATE_HZ, EarParams, bushy_constants, hair_constants, hear, membrane, prepare

DT = 1 / MODEL_RATE_HZ


def tone(hz: float, seconds: float = 0.25, rate: int = MODEL_RATE_HZ) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)


def buzz(seconds: float) -> np.ndarray:
    """A pulse train at 110 Hz: every harmonic, as of a voice."""
    out = np.zeros(int(MODEL_RATE_HZ * seconds))
    out[::218] = 1.0
    return out


@pytest.mark.parametrize("hz", [100, 700, 3000, 11000])
@pytest.mark.parametrize("x", [0.3, 1.7, 3.4])
def test_phase_is_the_integral_of_the_wave_number(hz, x):
    # g written out again from the equations, so that a slip in the module's own g shows
    w = 2 * np.pi * hz

    def g(place):
        stiffness = 1e9 * np.exp(-3 * place) - 3500
        damping = 0.15 * np.sqrt(1e9 * 0.05) * np.exp(-1.5 * place)
        return w * np.sqrt(1 / (0.1 * (stiffness - 0.05 * w**2 - 1j * w * damping)))

    integral = quad(lambda s: g(s).real, 0, x, limit=400)[0] + 1j * quad(lambda s: g(s).imag, 0, x, limit=400)[0]
    closed = basilar.phase(np.array(w), np.array(x)) - basilar.phase(np.array(w), np.array(0.0))
    assert closed == pytest.approx(integral, rel=1e-9)


def test_transfer_at_one_point_by_hand():
    from scipy.special import hankel1, hankel2

    w, x = 2 * np.pi * 1000.0, basilar.places(140)[60]
    G, G0 = basilar.phase(np.array(w), np.array(x)), basilar.phase(np.array(w), np.array(0.0))
    g, g0 = basilar.wave_number(np.array(w), np.array(x)), basilar.wave_number(np.array(w), np.array(0.0))
    pressure = np.sqrt(G / g) * hankel1(0, G) / (np.sqrt(G0 / g0) * hankel1(0, G0))
    q = 4 * np.pi * 1000 / 3 * np.sqrt(2 / (0.1 * 1e9))
    load = 1j * np.sqrt(2e10) * hankel2(0, q) / hankel2(1, q)  # (i J0 + Y0) / (J1 - i Y1) in Hankel functions
    expected = np.conj(2 * w / basilar.impedance(np.array(w), np.array(x)) * pressure * load)
    assert basilar.transfer(140, 24000, 24000.0)[60, 1000] == pytest.approx(expected, rel=1e-9)


def test_channels_are_a_subset_of_the_700_places():
    full, few = basilar.places(700), basilar.places(140)
    assert (len(full), len(few)) == (700, 140)
    assert (full[0], full[-1]) == (0.0, 3.5)
    np.testing.assert_array_equal(few, full[2::5])


def test_higher_tones_peak_nearer_the_base():
    peaks = [
        int(np.argmax(np.mean(membrane(tone(hz), 140)[:, 1200:6000] ** 2, axis=1)))
        for hz in (150, 300, 600, 1200, 2400, 4800, 9000)
    ]
    assert all(low > high for low, high in itertools.pairwise(peaks)), peaks


def test_the_membrane_never_answers_before_the_sound():
    pulse = np.exp(-(((np.arange(12_000) - 7_300) / 2.4) ** 2) / 2)  # 0.1 ms wide: no edge in time or frequency
    motion = membrane(pulse, 140)
    early = np.sum(motion[:, :7_288] ** 2, axis=1) / np.sum(motion**2, axis=1)
    assert early.max() < 1e-3


def test_blocks_leave_no_seam():
    click_early, click_late = np.zeros(16_000), np.zeros(16_000)
    click_early[100] = click_late[7_190] = 1.0  # the second one's answer runs over the edge of a block
    a, b = membrane(click_early, 140)[:, 100:2_400], membrane(click_late, 140)[:, 7_190:9_490]
    assert np.sqrt(np.sum((a - b) ** 2) / np.sum(a**2)) < 1e-2


@pytest.mark.parametrize(("kind", "rate_hz"), [("g2000", 64.768), ("g1000", 41.478)])
def test_a_hair_cell_at_rest_stays_at_rest(kind, rate_hz):
    # by hand: k = g 5/305, c = y k / (l k + y (l + r)), rate = 50000 c
    p = nerve.firing_probability(np.zeros(2_000), DT, *hair_constants(EarParams(hair_cell=kind)))
    np.testing.assert_allclose(p, rate_hz * DT, rtol=1e-4)
    np.testing.assert_allclose(p, p[0], rtol=1e-9)


@pytest.mark.parametrize("kind", ["g2000", "g1000"])
def test_the_hair_cell_solves_its_equations(kind):
    A, B, g, y, l, r, x, h, M = hair_constants(EarParams(hair_cell=kind))  # noqa: E741
    motion = 40 * np.sin(2 * np.pi * 50 * np.arange(2_400) * DT)

    def slope(t, state):
        q, c, w = state
        s = 40 * np.sin(2 * np.pi * 50 * t)
        k = g * (s + A) / (s + A + B) if s + A > 0 else 0.0
        return [y * max(M - q, 0) - k * q + x * w, k * q - (l + r) * c, r * c - x * w]

    k0 = g * A / (A + B)
    c0 = M * y * k0 / (l * k0 + y * (l + r))
    at = np.arange(1, 2_400) * DT
    exact = solve_ivp(slope, (0, at[-1]), [c0 * (l + r) / k0, c0, c0 * r / x], t_eval=at, rtol=1e-8, max_step=1e-4)
    found = nerve.firing_probability(motion, DT, A, B, g, y, l, r, x, h, M)[:-1]
    error = np.abs(found - h * exact.y[1] * DT)
    assert error.max() < 0.03 * (h * exact.y[1] * DT).max()


def test_the_stream_is_splitmix64():
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423]  # published outputs for seed 1234567
    found = [nerve.uniform(np.uint64(1234567), np.uint64(i)) for i in (1, 2, 3)]
    assert found == [(n >> 11) / 2**53 for n in known]


@given(st.integers(0, 40), st.floats(0, 0.6), st.floats(0, 0.9999))
def test_binomial_is_the_quantile_function(n, p, u):
    found = nerve.binomial(n, p, u)
    # the smallest k with P(X <= k) > u, up to rounding of the sums
    assert binom.cdf(found, n, p) > u - 1e-9
    assert found == 0 or binom.cdf(found - 1, n, p) <= u + 1e-9


def test_a_bushy_cell_step_by_step():
    # certain volleys, so that no draw matters: all forty fibres fire at steps 0, 24, 48 ... and are silent in between
    steps = 200
    out = np.empty(steps, np.int64)
    n = nerve.bushy_cell(np.ones(steps), DT, *bushy_constants(EarParams()), np.uint64(5), out)
    current, v, last, expected = 0.0, 0.0, -100, []
    for t in range(steps):
        current = current * (1 - DT / 5e-4) + (13_000 if t % 24 == 0 else 0)
        if t - last >= 24:
            v = v + DT * (current - v / 1e-3)
            if v >= 1:
                expected.append(t)
                last, v = t, 0.0
    assert out[:n].tolist() == expected
    assert expected[0] == 1  # by hand: 13000/24000 = 0.542 after the first step, 1.016 after the second


def test_silence_is_nearly_silent():
    times, _ = hear(np.zeros(MODEL_RATE_HZ), MODEL_RATE_HZ, EarParams(), seed=1)
    assert len(times) / (140 * 1.1) < 2  # spikes per second and channel
    assert len(hear(buzz(1.0), MODEL_RATE_HZ, EarParams(), seed=1)[0]) > 10 * max(len(times), 1)


@pytest.mark.parametrize("channels", [140, 700])
def test_spikes_are_in_order_in_range_and_keep_the_refractory_time(channels):
    times, channel = hear(buzz(0.25), MODEL_RATE_HZ, EarParams(channels=channels, rms=3.0), seed=3)
    assert times.dtype == np.float64 and len(times) == len(channel) > 500
    assert channel.min() >= 0 and channel.max() < channels
    assert times.min() >= 0 and times.max() < 0.25 + 0.1
    assert np.all(np.diff(times * channels * 1e6 + channel) > 0)
    for c in np.unique(channel):
        assert np.all(np.diff(times[channel == c]) > 1e-3 - 1e-9)


def test_loudness_and_type_of_the_wave_do_not_matter():
    loud = np.round(20_000 * tone(400)).astype(np.int16)
    one, other = (hear(w, MODEL_RATE_HZ, EarParams(), seed=2) for w in (loud, loud / 32_768))
    assert abs(len(one[0]) - len(other[0])) <= 0.01 * len(one[0])


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_the_sampling_rate_does_not_matter(rate):
    reference = prepare(tone(440), MODEL_RATE_HZ, EarParams())
    resampled = prepare(tone(440, rate=rate), rate, EarParams())
    inner = slice(1_000, 4_900)
    np.testing.assert_allclose(resampled[inner], reference[inner], atol=0.01)


def test_prepared_sound_has_its_loudness_and_ramps():
    sound = prepare(7 * np.ones(24_000), 24_000, EarParams())
    assert sound[0] == 0 and sound[-1] == 0
    assert sound[360] == pytest.approx(0.15)  # half way up the 720-sample ramp
    np.testing.assert_allclose(sound[720:-720], 0.3)


def test_an_empty_wave_is_heard_as_silence():
    times, channel = hear(np.zeros(0), MODEL_RATE_HZ, EarParams(), seed=0)
    assert len(times) == len(channel) < 100


PRINT_DIGEST = """
import hashlib, numpy as np
from snn5bench.data.ear import EarParams, hear
wave = np.sin(np.arange(4000) ** 1.2)
for seed in (7, 8):
    times, channel = hear(wave, 16000, EarParams(), seed)
    print(hashlib.sha256(times.tobytes() + channel.tobytes()).hexdigest())
"""


def test_equal_seeds_give_equal_bits_here_and_in_another_process():
    wave = np.sin(np.arange(4000) ** 1.2)
    here = []
    for seed in (8, 7):  # the other order
        times, channel = hear(wave, 16_000, EarParams(), seed)
        here.append(hashlib.sha256(times.tobytes() + channel.tobytes()).hexdigest())
    root = str(Path(snn5bench.__file__).parents[1])
    there = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST], env={**os.environ, "PYTHONPATH": root}, capture_output=True, check=True
    )
    assert there.stdout.decode().split() == here[::-1]
    assert here[0] != here[1]


@given(
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 9)), max_size=60),
    st.integers(1, 50),
    st.floats(0.1, 2),
)
def test_binned_events_are_the_occupied_cells(spikes, T, window):
    times, channel = np.array([s[0] for s in spikes]), np.array([s[1] for s in spikes], dtype=np.int64)
    found = bin_spikes(times, channel, T, window)
    expected = sorted({(int(t * (T / window)), c) for t, c in spikes if t * (T / window) < T})
    assert list(zip(found.step.tolist(), found.channel.tolist(), strict=True)) == expected
    assert len(found.step) + found.merged + found.dropped == len(spikes)
