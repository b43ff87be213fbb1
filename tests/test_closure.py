"""The import closure: what must change a digest does, what must not does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from snn5bench import closure as module
from snn5bench.closure import closure


@pytest.fixture
def package(install_plugin, monkeypatch):
    return install_plugin(
        "pkgone",
        {
            "method": "from pkgone.helper import gain\nfrom . import late\n\ndef run():\n    import pkgone.inner\n",
            "helper": "gain = 2  # two\n",
            "late": '"""Docs."""\nvalue = 1\n',
            "inner": "inner = 3\n",
            "other": "other = 4\n",
            "typed": "",
        },
    )


def edit(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


def test_follows_plain_relative_and_late_imports(package):
    assert set(closure("pkgone.method")) == {"pkgone", "pkgone.method", "pkgone.helper", "pkgone.late", "pkgone.inner"}


@pytest.mark.parametrize("name", ["helper", "inner", "late"])
def test_editing_an_imported_helper_misses(package, name):
    before = closure("pkgone.method")
    edit(package, name, "gain = value = inner = 5\n")
    after = closure("pkgone.method")
    assert {m for m in before if before[m] != after[m]} == {f"pkgone.{name}"}


def test_comments_docstrings_layout_and_strangers_hit(package):
    before = closure("pkgone.method")
    edit(package, "helper", "# a comment\n\n\ngain = (\n    2\n)\n")
    edit(package, "late", '"""Other words."""\n\nvalue = 1\n"""what value is"""\n')
    edit(package, "other", "other = 5\n")
    assert closure("pkgone.method") == before


def test_type_checking_imports_do_not_count(package):
    edit(package, "late", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pkgone.other\nvalue = 1\n")
    assert "pkgone.other" not in closure("pkgone.method")


def test_moving_the_checkout_hits(package, tmp_path, monkeypatch):
    before = closure("pkgone.method")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(str(package), str(moved / "pkgone"))
    monkeypatch.syspath_prepend(str(moved))
    module._top.cache_clear()
    assert closure("pkgone.method") == before


def test_import_cycles_end(package):
    edit(package, "helper", "import pkgone.method\ngain = 2\n")
    assert "pkgone.helper" in closure("pkgone.method")


def test_protocol_closure_holds_what_trains_and_not_what_reports():
    found = set(closure("snn5bench.execute"))
    assert {"snn5bench.train", "snn5bench.data.splits", "snn5bench.data.batches", "snn5bench.seeds"} <= found
    assert not any(
        name.startswith(("snn5bench.report", "snn5bench.cli", "snn5bench.methods.", "snn5bench.runners"))
        for name in found
    )
