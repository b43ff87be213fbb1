"""The TSkips-style network as a method."""

from __future__ import annotations

import re

import pytest
import torch
from pydantic import ValidationError

from snn5bench.measure.counts import Counter
from snn5bench.methods.tskips import TSkips
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.skip_search import SearchedNet
from tests.methods.method_tasks import fit, spec
from tests.neurons.neuron_toys import pulses


def test_build_follows_the_parameters() -> None:
    net = TSkips(TSkips.Params(hidden=(8, 8), skips=((0, 2, 3), (2, 1, 1)), mix="convex")).build(spec())
    assert isinstance(net, SpikingNet)
    assert [tuple(skip.spec) for skip in net.skips] == [(0, 2, 3), (2, 1, 1)]
    assert [tuple(skip.projection.weight.shape) for skip in net.skips] == [(8, 21), (8, 8)]
    assert [(skip.mix_form, skip.alpha.item(), skip.alpha.requires_grad) for skip in net.skips] == [
        ("convex", 0.5, True)
    ] * 2
    assert net(torch.zeros(20, 3, 21)).shape == (20, 3, 2)


@pytest.mark.parametrize(
    ("skip", "reason"),
    [
        ((2, 1, 0), "at least 1 for a backward"),
        ((1, 2, -1), "at least 0 for a forward"),
        ((-1, 1, 2), "src"),
        ((0, 0, 2), "dst"),
    ],
)
def test_impossible_skips_are_refused(skip: tuple[int, int, int], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TSkips.Params(skips=(skip,))


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"skips": ((1, 2, 20),)}, r"nothing arrives within T = 20"),
        ({"skips": ((3, 2, 1),)}, "beyond the 2 hidden"),
        ({"skips": ((1, 4, 1),)}, "beyond the 2 hidden"),
        ({"skips": ((0, 2, 1),), "project": False}, "equal size"),
        ({"skips": ((1, 2, 1),), "project": False, "hidden": (8, 9)}, "equal size"),
    ],
)
def test_what_a_data_set_does_not_support_is_said(params: dict[str, object], reason: str) -> None:
    verdict = TSkips(TSkips.Params(**params)).supports(spec())  # type: ignore[arg-type]
    assert not verdict
    assert re.search(reason, verdict.reason)


def test_defaults_are_supported_from_eleven_steps_on() -> None:
    assert TSkips(TSkips.Params()).supports(spec(T=11))
    assert not TSkips(TSkips.Params()).supports(spec(T=10))


def test_learns_order_where_its_notd_twin_cannot() -> None:
    method = TSkips(TSkips.Params(hidden=(64, 64)))
    assert fit(method, spec(), epochs=8) > 0.95
    assert fit(method, spec(), epochs=2, cut=method.timeless) == pytest.approx(0.5, abs=3 * 0.5 / 1000**0.5)


def test_every_operation_is_counted_with_its_buffers() -> None:
    net = TSkips(TSkips.Params(hidden=(16, 16), skips=((1, 2, 5), (2, 1, 3)))).build(spec())
    x = pulses(20, 20, 0, order=True)[0]
    net.calibrate(x)
    with torch.no_grad(), Counter(net) as counter:
        net(x)
    counts = counter.result()
    assert not counts.missing
    first, second, _ = net.activity(x)
    by_hand = 16 * (x.sum() + first.sum() + first[:15].sum() + second[:17].sum()) + 2 * second.sum()
    assert counts.synops_per_sample == pytest.approx(by_hand.item() / 20)
    assert [layer.detail["delay_bits"] for layer in counts.layers if layer.kind == "delay"] == [5 * 16, 3 * 16]


def test_search_chooses_without_labels_and_says_what() -> None:
    method = TSkips(TSkips.Params(hidden=(32, 32), skips="search", search_candidates=4, search_connections=2))
    seen: dict[str, SearchedNet] = {}

    def keep(net: torch.nn.Module) -> torch.nn.Module:
        assert isinstance(net, SearchedNet)
        seen["net"] = net
        return net

    assert fit(method, spec(), epochs=8, cut=keep) > 0.95
    chosen = [tuple(skip.spec) for skip in seen["net"].skips]
    assert len(chosen) == 2
    (note,) = seen["net"].notes
    assert f"(src, dst, delay) {chosen[0]}, {chosen[1]}: the best of 4" in note

    def cut(net: torch.nn.Module) -> torch.nn.Module:
        return method.timeless(keep(net))

    assert fit(method, spec(), epochs=1, cut=cut) == pytest.approx(0.5, abs=3 * 0.5 / 1000**0.5)
    assert [tuple(skip.spec) for skip in seen["net"].skips] == chosen, "the twin has the connections of the network"


def test_the_space_of_the_search_holds_what_arrives_and_fits() -> None:
    def space(**params: object) -> list[tuple[int, int, int]]:
        return TSkips(TSkips.Params(hidden=(16, 8), skips="search", **params))._space(spec(T=5))  # type: ignore[arg-type]

    found = space(search_delays=(2, 1, 5))
    assert len(set(found)) == len(found) == 3 * 2 * 2
    assert {skip[:2] for skip in found} == {(a, b) for a in (0, 1, 2) for b in (1, 2)}
    assert {skip[2] for skip in found} == {1, 2}
    assert space(search_delays=(1,), project=False) == [(1, 1, 1), (2, 2, 1)]


def test_search_that_finds_no_room_is_refused() -> None:
    few = TSkips(TSkips.Params(skips="search", search_delays=(30,)))
    assert "3 connections asked for, 0 exist within T = 20" in few.supports(spec()).reason
    with pytest.raises(ValidationError, match="skips"):
        TSkips.Params(skips="seek")  # type: ignore[arg-type]
