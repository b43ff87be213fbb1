"""The page in a real browser, from the file system: sorting, filtering, explanations, copying, widths, grounds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from snn5bench.report import html, index
from snn5bench.report.across import data_key
from tests.report.conftest import CLAIMS, PROBE, Bench, fill, fill_atlas

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()
SYNOPS = '#leaderboard thead th[data-key="synops_per_sample"]'
SIZES = [(400, "light"), (400, "dark"), (1600, "light"), (1600, "dark")]
PATIENCE_MS = 180_000
"""A loaded machine is no reason to fail: speed is not what is tested here."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for the module."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is on the path")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The written page, as a file address."""
    path = tmp_path_factory.mktemp("page") / "leaderboard.html"
    path.write_text(html.render(fill(Bench()).table(claims=CLAIMS)), encoding="utf-8")
    return path.as_uri()


class Opened:
    """A page with all that it said and asked for."""

    def __init__(
        self, browser: Any, address: str, width: int, scheme: str, ready: str = "html[data-ready=yes]"
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address, timeout=PATIENCE_MS)
        self.page.wait_for_selector(ready, timeout=PATIENCE_MS)

    def draw_all(self) -> None:
        """Every chart that is not folded away, as printing does; they are otherwise drawn when they come near."""
        self.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        self.page.wait_for_function(
            "[...document.querySelectorAll('.chart')].every(c => c.dataset.drawn === 'yes' || !c.checkVisibility())",
            timeout=PATIENCE_MS,
        )

    def names(self) -> list[str]:
        """The methods shown, top down."""
        return self.page.locator("#leaderboard tbody th.method a").all_inner_texts()


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Opened]:
    """The page at 1600 pixels, light."""
    found = Opened(browser, address, 1600, "light")
    yield found
    found.context.close()


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_opens_quietly_at_every_size(browser: Any, address: str, width: int, scheme: str) -> None:
    """No message, no request beyond the file, no sideways scrolling, every chart drawn, the right ground."""
    opened = Opened(browser, address, width, scheme)
    page = opened.page
    opened.draw_all()
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith(("file:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".chart svg.marks").count() == page.locator(".chart").count() > 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]
    assert page.locator("#leaderboard").evaluate("table => table.offsetHeight") > 300
    opened.context.close()


@pytest.mark.parametrize("width", [400, 1600])
def test_no_name_on_a_front_covers_another(browser: Any, tmp_path: Path, width: int) -> None:
    """Fronts whose ends lie close together: the boxes of the drawn names are apart, though some may be left out."""
    bench = Bench()
    for dataset, first in (("order", 150), ("control", 90)):
        for number, name in enumerate(("glif", "tskips", "a-rather-long-name", "sew-resnet", "lif")):
            for seed in (0, 1):
                bench.add(name, dataset, seed, first + number, synops_per_sample=1000.0 * (50 + number**2))
    path = tmp_path / "leaderboard.html"
    path.write_text(html.render(bench.table()), encoding="utf-8")
    opened = Opened(browser, path.as_uri(), width, "light")
    opened.draw_all()
    for chart in opened.page.locator("#synops .chart, #energy .chart").all():
        boxes = [name.bounding_box() for name in chart.locator("g.mark-text.role-mark text").all()]
        assert 3 <= len(boxes) <= 5
        for a, b in combinations(boxes, 2):
            apart = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
            assert apart or abs(a["y"] - b["y"]) >= 0.7 * a["height"]
    opened.context.close()


def test_a_changed_colour_scheme_redraws_the_charts(opened: Opened) -> None:
    opened.draw_all()
    label = opened.page.locator(".chart svg.marks text").first
    before = label.get_attribute("fill")
    opened.page.emulate_media(color_scheme="dark")
    opened.page.wait_for_function(
        "before => document.querySelector('.chart svg.marks text')?.getAttribute('fill') !== before", arg=before
    )
    assert opened.said == []


def test_a_model_in_the_legend_shows_its_break_even_line_alone(opened: Opened) -> None:
    opened.draw_all()
    chart = opened.page.locator("#sparsity .chart").first
    lines = chart.locator("g.mark-line path")

    def shown() -> dict[str, str]:
        return {line.get_attribute("stroke"): line.get_attribute("stroke-opacity") for line in lines.all()}

    assert len(shown()) == 2 and set(shown().values()) == {"0.6"}
    chart.locator("g.mark-text.role-legend-label text", has_text="b-model").click()
    opened.page.wait_for_function(
        "node => node.querySelector('g.mark-line path[stroke-opacity=\"0\"]')", arg=chart.element_handle()
    )
    assert sorted(shown().values()) == ["0", "0.6"]


def test_rows_are_grouped_by_dataset_and_sort_within(opened: Opened) -> None:
    groups = opened.page.locator("#leaderboard tr.dtrg-group").all_inner_texts()
    assert [group.split()[0] for group in groups] == ["order", "control"]
    assert opened.names()[:3] == ["glif", "lif", "<script>alert(1)</script>"]
    head = opened.page.locator(SYNOPS)
    head.click()
    opened.page.wait_for_selector(f"{SYNOPS}[aria-sort=ascending]")
    names = opened.names()
    assert names[:2] == ["<script>alert(1)</script>", "flaky"]
    assert set(names[5:9]) == {"silent", "broken", "ff", "shd-only"}, "n/a comes last"
    head.click()
    opened.page.wait_for_selector(f"{SYNOPS}[aria-sort=descending]")
    assert opened.names()[:2] == ["glif", "lif"]
    assert set(opened.names()[5:9]) == {"silent", "broken", "ff", "shd-only"}, "n/a comes last in both directions"


def test_sorting_by_keyboard(opened: Opened) -> None:
    opened.page.locator('#leaderboard thead th[data-key="params"] [role=button]').focus()
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_selector('#leaderboard thead th[data-key="params"][aria-sort=ascending]')


def test_filter_and_search(opened: Opened) -> None:
    opened.page.select_option("#pick-dataset", "control")
    assert opened.names() == ["glif", "lif"]
    opened.page.select_option("#pick-dataset", "")
    opened.page.check("#only-ranked")
    assert opened.names() == ["glif", "lif", "<script>alert(1)</script>", "silent", "glif", "lif"]
    opened.page.fill("input[type=search]", "script")
    assert opened.names() == ["<script>alert(1)</script>"]


def test_columns_can_be_switched_and_a_narrow_window_starts_with_few(
    browser: Any, address: str, opened: Opened
) -> None:
    energy = '#leaderboard thead th[data-key="energy_nj"]'
    opened.page.click("button.buttons-colvis")
    opened.page.click(".dt-button-collection button:has-text('Energy')")
    assert opened.page.locator(energy).count() == 0
    narrow = Opened(browser, address, 400, "light")
    shown = narrow.page.locator("#leaderboard thead th").evaluate_all("heads => heads.map(head => head.dataset.key)")
    assert shown == ["rank", "method", "accuracy", "temporal_gain", "synops_per_sample", "energy_nj", "marks"]
    narrow.context.close()


EXPLAINED = (
    ("td.marks .mark", "a note | with a bar"),
    ("td.temporal_gain a.na", "was asked for"),
    ("td.claim .verdict", "direction reproduced with +2.0 points"),
    (".status.failed", "loss became NaN in epoch 1"),
)
"""Signs of the table, and what explains them."""


@pytest.mark.parametrize("way", ["hover", "focus"])
def test_marks_and_missing_numbers_explain_themselves(opened: Opened, way: str) -> None:
    tip = opened.page.locator("#tip")
    for sign, text in EXPLAINED:
        getattr(opened.page.locator(f"#leaderboard tbody {sign}").first, way)()
        tip.filter(has_text=text).wait_for(timeout=PATIENCE_MS)
    opened.page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_a_screen_reader_finds_the_explanations(opened: Opened) -> None:
    """In the tree that the browser gives it: a missing number is described by its note, a sign carries its own words."""
    tree = opened.page.context.new_cdp_session(opened.page)
    nodes = tree.send("Accessibility.getFullAXTree")["nodes"]
    links = [node for node in nodes if node.get("name", {}).get("value", "").replace(" ", "").startswith("n/a")]
    described = {node["description"]["value"] for node in links if node.get("description", {}).get("value")}
    assert any("no NoTD twin (state cut between steps) was asked for" in text for text in described)
    words = " ".join(node.get("name", {}).get("value", "") for node in nodes)
    for _, text in EXPLAINED:
        assert text in words or any(text in found for found in described)


def test_the_table_by_keyboard_alone(opened: Opened) -> None:
    """From the top: the skip link, then Tab through the controls, the headers and the first row with all its signs."""
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the table"
    page.keyboard.press("Enter")
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("(e => `${e.id || e.className || e.tagName} ${e.textContent}`)(document.activeElement)")
        )
    joined = "\n".join(seen)
    stops = ("pick-dataset", "only-ranked", "Columns", "Rank", "Accuracy", "glif", "direction reproduced")
    places = [joined.index(stop) for stop in stops]
    assert places == sorted(places), joined
    page.locator("#leaderboard tbody a.na").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector(':target').textContent").startswith("no ")


def test_provenance_is_one_click_away_and_its_command_can_be_copied(opened: Opened) -> None:
    opened.page.locator("#leaderboard tbody th.method a").nth(2).click()
    row = opened.page.locator("details.row[open]")
    row.wait_for()
    assert row.is_visible()
    assert row.count() == 1 and "Python 3.11.4" in row.inner_text()
    row.locator("button.copy").click()
    opened.page.wait_for_function("document.getElementById('said').textContent === 'Copied'")
    copied = opened.page.evaluate("navigator.clipboard.readText()")
    assert copied == "snn5bench reproduce '<script>alert(1)</script>@order' --suite made-up"


def test_a_row_can_be_linked_to(browser: Any, address: str) -> None:
    anchor = html.anchor(fill(Bench()).table().rows[0])
    opened = Opened(browser, f"{address}#{anchor}", 1600, "light")
    assert opened.page.locator("details.row[open]").get_attribute("id") == anchor
    opened.context.close()


def test_the_table_can_be_read_without_scripts(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address, timeout=PATIENCE_MS)
    assert page.locator("#leaderboard tbody tr").count() == 11
    assert "90.5 % [86.1, 93.6]" in page.locator("#leaderboard").inner_text()
    context.close()


def violations(page: Any) -> list[tuple[str, str]]:
    """What axe-core finds: WCAG rules and best practices, contrast among them."""
    axe = pytest.importorskip(
        "axe_playwright_python", reason="axe-playwright-python, which brings axe-core, is not installed"
    )
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    result = page.evaluate("axe.run()")
    assert len(result["passes"]) > 20
    return [(found["id"], found["nodes"][0]["html"]) for found in result["violations"]]


@pytest.mark.parametrize(("width", "scheme"), [SIZES[0], SIZES[3]])
def test_axe_finds_no_violation(browser: Any, address: str, width: int, scheme: str) -> None:
    """With a row's details open."""
    opened = Opened(browser, address, width, scheme)
    opened.draw_all()
    opened.page.evaluate("document.querySelectorAll('details.group, details.row').forEach(part => part.open = true)")
    assert violations(opened.page) == []
    opened.context.close()


@pytest.mark.parametrize(("width", "scheme"), [SIZES[0], SIZES[3]])
def test_the_front_page_is_quiet_fits_and_is_accessible(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    """All methods and datasets of a suite, one of them probed; links lead to their sections."""
    table = fill(Bench()).table(claims=CLAIMS)
    path = tmp_path / "index.html"
    path.write_text(index.render([table], {data_key(table.rows[0]): PROBE}), encoding="utf-8")
    opened = Opened(browser, path.as_uri(), width, scheme, ready="main")
    page = opened.page
    assert opened.said == [] and [url for url in opened.asked if not url.startswith("file:")] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("table.matrix thead a", has_text="control").click()
    section = page.locator("details.group[open]")
    assert section.locator("summary").inner_text().startswith("control") and section.count() == 1
    sign = page.locator("table.matrix tbody a.na").first
    for _ in range(20):  # on a loaded machine the browser may still be moving the focus for the link above
        sign.blur()
        sign.focus()
        page.wait_for_timeout(500)
        if page.locator("#tip").is_visible():
            break
    assert page.locator("#tip").is_visible()
    assert page.locator("table.probe").count() == 1
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
    opened.context.close()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [SIZES[0], SIZES[3]])
def test_a_long_suite_stays_small_legible_and_quick_to_use(
    browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    """300 rows: under 5 MB, no sideways scrolling, every chart drawn within its frame, sorting works, axe is content."""
    path = tmp_path / "leaderboard.html"
    path.write_text(html.render(fill_atlas(Bench()).table()), encoding="utf-8")
    assert path.stat().st_size < 5_000_000
    opened = Opened(browser, path.as_uri(), width, scheme)
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    opened.draw_all()
    assert page.locator(".chart svg.marks").count() == page.locator(".chart").count() == 72
    assert opened.said == [] and page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        "[...document.querySelectorAll('.chart svg.marks')].filter(svg => [...svg.querySelectorAll('text')].some(t => "
        "t.getBoundingClientRect().right > svg.getBoundingClientRect().right + 1)).length"
    )
    assert cut == 0, "no word of an axis or a legend is cut off"
    assert len(opened.names()) == 300
    assert violations(page) == []
    opened.context.close()
