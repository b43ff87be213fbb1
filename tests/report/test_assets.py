"""What a page carries is made once."""

from __future__ import annotations

import pytest
import vl_convert

from snn5bench.report import assets


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("SNN5BENCH_CACHE", str(tmp_path / "cache"))
    assets.vega_js.cache_clear()
    yield tmp_path / "cache"
    assets.vega_js.cache_clear()


def test_the_bundle_of_vega_is_made_once_and_the_same_from_the_cache(fresh, monkeypatch):
    made = assets.vega_js()
    assets.vega_js.cache_clear()
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda snippet: pytest.fail("made again"))
    assert assets.vega_js() == made
    assert "vegaEmbed" in made


def test_a_cache_that_cannot_be_written_costs_no_page(fresh, monkeypatch):
    fresh.write_text("a file where the folder should be")
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda snippet: "bundle")
    assert assets.vega_js() == "bundle"
