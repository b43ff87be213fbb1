"""Large pages are kept compressed: what unfolds is the page, in any browser, and small pages stay as they are."""

from __future__ import annotations

import base64
import re
import zlib
from functools import cache
from pathlib import Path

import pytest

from snn5bench.report import html, write
from snn5bench.report.folded import LARGEST, fold
from tests.report.conftest import Bench, fill
from tests.report.test_browser import Opened, browser  # noqa: F401 (a fixture)


@cache
def page() -> str:
    return html.render(fill(Bench()).table())


def test_a_page_of_usual_size_stays_as_it_is(tmp_path):
    table = fill(Bench()).table()
    assert fold(page()) == page()
    write.write(table, tmp_path)
    assert (tmp_path / "leaderboard.html").read_text() == html.render(table)


def test_a_large_page_unfolds_to_itself_and_is_small():
    plain = page()
    large = plain.replace("</main>", "<p>filler</p>" * (LARGEST // 12) + "</main>")
    folded = fold(large)
    assert len(folded) < len(large) / 4
    packed = re.search(r'id="folded">([^<]*)<', folded)
    assert packed is not None
    assert zlib.decompress(base64.b64decode(packed.group(1))).decode() == large
    assert re.findall("<title>.*</title>", folded) == re.findall("<title>.*</title>", plain)


@pytest.mark.browser
def test_a_browser_shows_the_page_and_goes_where_the_link_says(tmp_path: Path, browser):  # noqa: F811
    (tmp_path / "plain.html").write_text(page(), encoding="utf-8")
    (tmp_path / "folded.html").write_text(fold(page(), largest=0), encoding="utf-8")
    plain = Opened(browser, (tmp_path / "plain.html").as_uri(), 1200, "light")
    place = plain.page.locator("#leaderboard tbody th.method a").last.get_attribute("href")
    folded = Opened(browser, (tmp_path / "folded.html").as_uri() + str(place), 1200, "light")
    assert folded.said == []
    assert {url.partition(":")[0] for url in folded.asked} <= {"file", "blob"}
    assert folded.names() == plain.names() != []
    assert folded.page.title() == plain.page.title()
    folded.page.wait_for_function("window.scrollY > 0")
    assert folded.page.locator(str(place)).first.is_visible()
