"""The scripts and styles that a page carries inside, so that it opens without a network."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

from markupsafe import Markup

from snn5bench.atomic import replace
from snn5bench.data.cache import cache_root


@cache
def datatables_js() -> Markup:
    """DataTables with its extensions as bundled by itables, an ES module."""
    import itables.options

    return _inside("script", Path(itables.options.dt_bundle).read_text(encoding="utf-8"))


@cache
def datatables_css() -> Markup:
    """The style sheet of that bundle."""
    import itables.options

    return _inside("style", Path(itables.options.dt_bundle).with_suffix(".css").read_text(encoding="utf-8"))


@cache
def vega_js() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script that sets `window.vegaEmbed`. Made once for each version of vl-convert
    (2.6 s) and kept in the user's cache."""
    kept = cache_root() / "pages" / f"vega-{metadata.version('vl-convert-python')}.js"
    try:
        bundle = kept.read_bytes().decode("utf-8")
    except OSError:
        import vl_convert

        bundle = vl_convert.javascript_bundle(None)  # type: ignore[arg-type]  # its stub makes the snippet compulsory
        with suppress(OSError):  # a cache that cannot be written costs time, no page
            replace(kept, bundle)
    return _inside("script", bundle)


def own(name: str) -> Markup:
    """One of our own files beside the templates."""
    tag = "style" if name.endswith(".css") else "script"
    return _inside(tag, (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8"))


def _inside(tag: str, text: str) -> Markup:
    """The text for its own element. An opened HTML comment in a script would hide the script's end: in its strings and
    regular expressions the escaped sign means the same."""
    if tag == "script":
        text = text.replace("<!--", r"<\!--")
    if f"</{tag}" in text.lower():
        raise ValueError(f"this text would end its own <{tag}> element")
    return Markup(text)
