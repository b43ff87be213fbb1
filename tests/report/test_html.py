"""The page: self-contained, byte-stable, escaped, and honest about what is missing."""

from __future__ import annotations

import json
import random
import re
from html.parser import HTMLParser

import pytest

from snn5bench.record import Epoch
from snn5bench.report import chart_labels, chart_sparsity, html
from snn5bench.report.chart_even import side, words
from snn5bench.report.charts import panels, spec
from snn5bench.report.table import BreakEven, Value
from tests.report.conftest import CLAIMS, Bench, fill

_LOADS = {"src", "srcset", "href", "action", "data", "poster", "background"}


class Page(HTMLParser):
    """Collects what the browser would fetch, the text of each element kind, and the table's cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self._inside: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in _LOADS]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self._inside = {"script": self.scripts, "style": self.styles}.get(tag)

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is not None:
            self._inside.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    """The page of the filled collection."""
    return html.render(fill(Bench()).table(claims=CLAIMS))


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    found = Page(page)
    assert found.addresses and all(address.startswith("#") for address in found.addresses)
    assert "link" not in found.tags and "iframe" not in found.tags and "img" not in found.tags
    for style in found.styles:
        assert not re.search(r"@import|url\((?!\s*[\"']?data:)", style)
    assert "default-src 'none'" in page and "connect-src" not in page


def test_size(page: str) -> None:
    assert len(page.encode()) < 5_000_000


def test_same_records_same_bytes(full: Bench, page: str) -> None:
    random.Random(3).shuffle(full.records)
    again = html.render(full.table(claims=CLAIMS))
    assert again == page


def test_a_claim_stands_beside_its_row_with_verdict_number_and_source(page: str) -> None:
    account = (
        "direction reproduced with +2.0 points [+0.1, +3.9], 3 seeds, 200 samples; needs SHD for the number; "
        "source: Yao &lt;i&gt;et al.&lt;/i&gt; 2022, table 3"
    )
    (cell,) = re.findall(r'<td class="claim"[^>]*>.*?</td>', page)
    assert "92.1 %" in cell and 'class="verdict told direction-reproduced" tabindex="0"' in cell
    assert f'direction reproduced<span class="vh">: {account}</span>' in cell
    assert f"“92.1 %”: {account}; decided by <code>snn5bench run made-up</code>" in page


def test_names_are_escaped(page: str) -> None:
    assert "<script>alert(1)</script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>the idea</b>" not in page


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    found = Page(page)
    assert len(set(found.ids)) == len(found.ids)
    assert {address[1:] for address in found.addresses} <= set(found.ids)


def test_what_is_missing_is_never_a_number_and_has_a_note(page: str) -> None:
    notes = dict(re.findall(r'<li id="why-(\d+)">(.*?)</li>', page))
    for variant, why in (
        ("broken", "loss became NaN in epoch 1"),
        ("ff", "needs a static input"),
        ("shd-only", "put shd_train.h5 into the data folder"),
    ):
        (line,) = re.findall(rf"<tr data-dataset[^>]*>(?:(?!</tr>).)*>{variant}</a>.*?</tr>", page, flags=re.DOTALL)
        cells = re.findall(r"<td[^>]*class=\"num[^\"]*\"[^>]*>(.*?)</td>", line, flags=re.DOTALL)
        assert len(cells) == 11
        found = [re.fullmatch(r'<span class="na" data-why="(\d+)">n/a<sup>\1</sup></span>', cell) for cell in cells]
        assert {notes[match[1]] for match in found if match} == {why} and all(found)
        assert f'class="status told {"needs_data" if variant == "shd-only" else ""}' in line
    assert re.search(
        r'<a class="na" href="#why-(\d+)" data-why="\1" aria-describedby="why-\1">n/a<sup>\1</sup></a>', page
    )
    assert len(set(notes.values())) == len(notes), "each reason is told once"
    assert set(re.findall(r'data-why="(\d+)"', page)) == notes.keys()


def test_command_is_quoted_for_the_shell(full: Bench) -> None:
    table = full.table()
    (row,) = [row for row in table.rows if row.variant.startswith("<")]
    assert html.command(table, row) == "snn5bench reproduce '<script>alert(1)</script>@order' --suite made-up"


def test_charts_draw_the_tables_numbers(full: Bench) -> None:
    table = full.table()
    found = {panel.kind.key: panel for panel in panels(table)}
    assert [figure.dataset for figure in found["synops"].figures] == ["order", "control"]
    values = _values(found["synops"].figures[0].chart)
    glif = next(point for point in values if point.get("variant") == "glif")
    assert (glif["x"], glif["accuracy"], glif["front"]) == pytest.approx((181_010, 90.5, 1.0))
    assert found["synops"].figures[0].left_out["silent"] == "a layer could not be counted"
    gain = next(p for p in _values(found["gain"].figures[0].chart) if p.get("variant") == "glif")
    assert gain["x"] == pytest.approx(40.5) and gain["above"] is True
    assert found["peeking"].absent.keys() == {"control"}
    energy = next(p for p in _values(found["energy"].figures[0].chart) if p.get("variant") == "glif")
    assert (energy["x_low"], energy["x_high"]) == (1810.0, 4525.0)


def test_break_even_draws_every_model_and_says_which_side(full: Bench) -> None:
    """The rate is (80 + 81 + 82) / 3 of 1000; glif's b-model breaks even at 0.0905, that of the 60 % row at 0.06."""
    (panel,) = [panel for panel in panels(full.table()) if panel.kind.key == "break-even"]
    points = _values(panel.figures[0].chart)
    glif = {point.get("model"): point for point in points if point["variant"] == "glif"}
    assert glif[None]["x"] == pytest.approx(0.081) and glif.keys() == {None, "a-model", "b-model"}
    assert (glif["a-model"]["x"], glif["a-model"]["wins"]) == (0.25, 1.0)
    assert (glif["b-model"]["x"], glif["b-model"]["wins"]) == (pytest.approx(0.0905), 1.0)
    inspired = {p.get("model"): p for p in points if p["variant"] == "<script>alert(1)</script>"}
    assert (inspired["b-model"]["x"], inspired["b-model"]["wins"]) == (pytest.approx(0.06), 0.0)
    assert panel.figures[0].said == [
        "Under a-model, cheaper than the dense twin: every row.",
        "Under b-model, cheaper than the dense twin: glif, lif.",
        "Under c-model, cheaper than the dense twin: no row.",
    ]
    assert panel.figures[0].left_out["silent"] == "a-model gave no number: no reads counted"


def test_sparsity_has_each_models_break_even_line_at_each_methods_height(full: Bench) -> None:
    """243 of 3000 values are non-zero: 91.9 % sparse; a-model breaks even at a rate of 0.25, b-model at a tenth of the
    accuracy, c-model at none, so that it has no line. A method without a rate has no sign and breaks the lines."""
    (panel,) = [panel for panel in panels(full.table()) if panel.kind.key == "sparsity"]
    figure = panel.figures[0]
    points = _values(figure.chart)
    glif = [point for point in points if point.get("variant") == "glif"]
    (sign,) = {(p["rate"], p["accuracy"], p["x_text"]) for p in glif if "model" not in p}
    assert sign == (pytest.approx(0.081), 90.5, "91.9 %")
    assert {p["model"]: p["rate"] for p in glif if "model" in p} == {"a-model": 0.25, "b-model": pytest.approx(0.0905)}
    assert {p["model"]: (p["even"], p["side"]) for p in glif if "model" in p} == {
        "a-model": ("75 %", "below"), "b-model": ("91 %", "below"),
    }  # fmt: skip
    line = sorted((p["order"], p["accuracy"]) for p in points if "part" in p and p["model"] == "b-model")
    heights = [height for _, height in line]
    assert heights == sorted(heights, reverse=True), "from the best method down"
    straight = [(p["accuracy"], p["rate"]) for p in points if "part" in p and p["model"] == "a-model"]
    assert len(straight) == 2 and {rate for _, rate in straight} == {0.25}, "the same break-even is one straight line"
    document = spec(figure.chart, 300)
    bound = {(param["name"], param["bind"], param["select"]["fields"][0]) for param in document["params"]}
    assert bound == {("picked", "legend", "model"), ("chosen", "legend", "variant")}
    bench = Bench()
    for name, right, over in (("a", 180, {}), ("b", 150, {"layers": []}), ("c", 120, {"energy": {}}), ("d", 100, {})):
        bench.add(name, "order", 0, right, **over)
    (panel,) = [panel for panel in panels(bench.table()) if panel.kind.key == "sparsity"]
    assert panel.figures[0].left_out == {"b": "no spike reached counted synapses"}
    parts = [p["part"] for p in _values(panel.figures[0].chart) if "part" in p and p["model"] == "a-model"]
    assert parts == ["a-model 0", "a-model 0", "a-model 1", "a-model 1"], "c has no break-even between a and d"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.02, 0.3, [0.02, 0.05, 0.1, 0.2]), (0.001, 1.0, [0.001, 0.01, 0.1, 1.0]), (0.095, 0.1, [0.1])],
)
def test_sparsity_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert chart_sparsity._ticks(low, high) == ticks


def test_names_on_a_front_find_places_or_are_left_out() -> None:
    """Six signs on one spot: four heights hold a name each, the best first; a sign off the front has none."""
    points = [
        {"variant": f"m{i}", "x": 100.0, "accuracy": 90.0, "low": 80.0, "high": 95.0, "front": float(i != 2)}
        for i in range(6)
    ] + [{"variant": "far", "x": 200.0, "accuracy": 85.0, "low": 80.0, "high": 95.0, "front": 1.0}]
    found = chart_labels.places(points)
    assert [(point["variant"], place.turned) for point, place in found] == [
        ("m0", False), ("m1", False), ("m3", False), ("m4", False), ("far", True),
    ]  # fmt: skip
    assert [place.dy for _, place in found] == [*chart_labels.HEIGHTS, chart_labels.HEIGHTS[0]]


def test_steps_draws_one_line_through_a_dataset_at_several_lengths(bench: Bench) -> None:
    """Three T of one dataset are one chart, another noise is another, and the control with one T has none."""
    for T, right in ((4, 120), (8, 150), (16, 180)):
        for noise in (0.0, 0.1):
            bench.add(
                "a", f"order[T={T},noise={noise}]", 0, right, T=T, dataset_name="order",
                dataset_params={"T": T, "noise": noise}, key=f"{T}-{noise}",
            )  # fmt: skip
    bench.add("b", "order[T=4,noise=0.0]", 0, reason="out of memory", dataset_name="order",
              dataset_params={"T": 4, "noise": 0.0})  # fmt: skip
    bench.add("a", "control", 0, 190)
    (panel,) = [panel for panel in panels(bench.table()) if panel.kind.key == "steps"]
    assert [figure.dataset for figure in panel.figures] == ["order[noise=0.0]", "order[noise=0.1]"]
    points = _values(panel.figures[0].chart)
    assert sorted({(point["T"], point["accuracy"]) for point in points}) == [(4, 60.0), (8, 75.0), (16, 90.0)]
    assert panel.figures[0].left_out == {"b on order[T=4,noise=0.0]": "out of memory"} and not panel.absent


def test_steps_says_where_there_is_only_one_length(full: Bench) -> None:
    (panel,) = [panel for panel in panels(full.table()) if panel.kind.key == "steps"]
    assert (panel.figures, panel.absent) == ([], {"made-up": "no method was run on one dataset at several T"})
    assert "No chart for made-up: no method was run on one dataset at several T." in html.render(full.table())


def test_sides_of_a_break_even() -> None:
    evens = (0.2, 0.1, 0.12, 0.14, 0.05, 0.0, 1.0)
    told = ["below", "above", "across", "across", "above", "never", "below"]
    assert [side(0.1, 0.14, even) for even in evens] == told
    even = BreakEven(rate=Value(value=0.12), low=0.1, high=0.14, by_model={"m": 0.2, "n": 0.0, "o": 0.11})
    assert words(even) == (
        "0.12 spikes per input and step: below the break-even, so cheaper than the dense twin, under m (0.2); "
        "on one side or the other, by the seed, under o (0.11); dearer at any rate, under n"
    )
    assert words(BreakEven(by_model={"m": 0.2})) == ""


def test_charts_have_no_point_for_a_row_without_accuracy(full: Bench) -> None:
    without = {row.variant for row in full.table().rows if row.accuracy.mean is None}
    for panel in panels(full.table()):
        for figure in panel.figures:
            assert not without & {point.get("variant") for point in _values(figure.chart)}
            assert without <= figure.left_out.keys() | {"shd-only", "ff", "broken"}


def test_charts_are_valid_vega_lite(full: Bench) -> None:
    """A page is written without this check, which takes most of the time."""
    for panel in panels(full.table()):
        for figure in panel.figures:
            figure.chart.to_dict(validate=True)


def test_chart_documents_are_stable_and_plain_json(full: Bench) -> None:
    first, second = ([spec(f.chart, 300) for p in panels(full.table()) for f in p.figures] for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
    assert "NaN" not in json.dumps(first)


def test_a_curve_that_is_not_finite_leaves_the_page_readable(bench: Bench) -> None:
    curve = [
        Epoch(epoch=1, train_loss=None, val_accuracy=float("nan")),
        Epoch(epoch=2, train_loss=1.0, val_accuracy=0.5),
    ]
    bench.add("a", "order", 0, 150, curve=curve, test_accuracy_peeked=float("nan"))
    (row,) = bench.table().rows
    assert (row.curve.epoch, row.peeking_gap.value) == ([2], None)


def test_anchors_tell_like_names_apart(bench: Bench) -> None:
    bench.add("a b", "order", 0, 150)
    bench.add("a-b", "order", 0, 150)
    assert len({html.anchor(row) for row in bench.table().rows}) == 2


def test_empty_and_all_failed_tables_render(bench: Bench) -> None:
    assert "No record yet." in html.render(bench.table(suite="nothing"))
    bench.add("a", "order", 0, reason="out of memory")
    page = html.render(bench.table())
    assert "No row is ranked: out of memory." in page and "No chart for order" in page


def _values(chart: object) -> list[dict[str, object]]:
    document = spec(chart, 300)  # type: ignore[arg-type]
    return [point for values in document["datasets"].values() for point in values]


def test_names_break_between_parameters_alone() -> None:
    assert html.breakable("a<b[T=4,mix=add]") == "a&lt;b<wbr>[T=<wbr>4,<wbr>mix=<wbr>add]"


def test_bars_share_a_track(full: Bench) -> None:
    lines = {line.row.id: line for line in html.lines(full.table(), html.Notes())}
    bars = {name: next(c.bar for c in line.cells if c.column.key == "accuracy") for name, line in lines.items()}
    drawn = [bar for name, bar in bars.items() if name.endswith("@order") and bar is not None]
    assert min(bar.low for bar in drawn) == 0 and max(bar.high for bar in drawn) == 100
    assert bars["broken@order"] is None
