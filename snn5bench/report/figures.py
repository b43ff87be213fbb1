"""Charts as files for papers: PDF, SVG and PNG of every chart of the page, drawn without a browser."""

from __future__ import annotations

import re
from pathlib import Path

from snn5bench.report import latex
from snn5bench.report.charts import Figure, columns, panels, spec
from snn5bench.report.palette import theme
from snn5bench.report.table import Table

WIDTH = 330
"""Pixels at 72 to the inch: a column of most two-column styles."""
PNG_SCALE = 3


def save(table: Table, folder: Path) -> list[Path]:
    """Write every chart and `leaderboard.tex` into `folder`; returns the files written, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "leaderboard.tex"]
    written[0].write_text(latex.render(table), encoding="utf-8")
    for panel in panels(table):
        for figure in panel.figures:
            written += _save(figure, folder)
    return written


def _save(figure: Figure, folder: Path) -> list[Path]:
    import vl_convert

    document = spec(figure.chart, WIDTH)
    config = theme(dark=False) | {"background": "white", "font": "sans-serif"}
    config["legend"] |= {"columns": columns(document, WIDTH)}
    config["title"] |= {"fontWeight": "normal"}  # with two fonts vl-convert numbers them at random in a PDF
    stem = folder / f"{figure.name}-{re.sub(r'[^A-Za-z0-9]+', '-', figure.dataset).strip('-')}"
    svg, png, pdf = (stem.with_name(f"{stem.name}.{suffix}") for suffix in ("svg", "png", "pdf"))
    svg.write_text(vl_convert.vegalite_to_svg(document, config=config), encoding="utf-8")
    png.write_bytes(vl_convert.vegalite_to_png(document, config=config, scale=PNG_SCALE))
    pdf.write_bytes(ordered(vl_convert.vegalite_to_pdf(document, config=config)))
    return [svg, png, pdf]


def ordered(pdf: bytes) -> bytes:
    """The same document with the names of each list of resources in order: vl-convert writes them in a random one. No byte
    moves to another place outside such a list, so that what points into the file still holds."""
    return _RESOURCES.sub(lambda found: found[1] + b"".join(sorted(found[2].splitlines(keepends=True))), pdf)


_RESOURCES = re.compile(rb"(/(?:XObject|ExtGState|Shading|Pattern|Font) <<\n)((?: +/\w+ \d+ 0 R\n)+)")
