"""Shared fixtures: a cache of their own for packed data, and temporary plugins installed for real."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from snn5bench import closure, keys, registry

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Packed data of this test run only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNN5BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


InstallPlugin = Callable[..., Path]


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstallPlugin]:
    """`install_plugin("acme", {"__init__": ..., "fast": ...}, methods={"fast": "acme.fast:Fast"})`: a package on the path,
    with the metadata of an installed one, visible to this process and to workers."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    names: set[str] = set()

    def install(package: str, modules: dict[str, str], version: str = "1.0", **groups: dict[str, str]) -> Path:
        names.add(package)
        folder = site / package
        folder.mkdir(exist_ok=True)
        for module, code in {"__init__": "", **modules}.items():
            (folder / f"{module}.py").write_text(dedent(code))
        info = site / f"{package}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        lines = []
        for group, points in groups.items():
            lines.append(f"[snn5bench.{group}]")
            lines += [f"{name} = {target}" for name, target in points.items()]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        importlib.invalidate_caches()
        forget()
        return folder

    def forget() -> None:
        for remembered in (registry.entries, registry.absence, closure._top, keys.code_of):
            remembered.cache_clear()

    yield install
    for name in [m for m in sys.modules if m.partition(".")[0] in names]:
        del sys.modules[name]
    forget()


TINY_METHOD = """
    from snn5bench.contracts.method import Method
    from snn5bench.contracts.params import MethodParams
    from snn5bench.record import Fidelity


    class Tiny(Method):
        '''A linear read-out per step: ignores time, trains in no time.'''

        name = "tiny"
        fidelity = Fidelity.faithful("a linear map")

        class Params(MethodParams):
            scale: float = 1.0
            '''Scale of the initial weights.'''

        def build(self, data):
            from torch import nn

            return nn.Linear(data.channels, data.n_classes)


    class Crashes(Tiny):
        name = "crashes"

        def build(self, data):
            raise RuntimeError("no such luck")


    class Dies(Tiny):
        name = "dies"

        def build(self, data):
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)


    class Slow(Tiny):
        name = "slow"

        def build(self, data):
            import time

            time.sleep(self.params.scale)
            return super().build(data)


    class Waits(Tiny):
        name = "waits"

        class Params(MethodParams):
            gate: str
            '''A file; the cell goes on once it is gone.'''

        def build(self, data):
            import time
            from pathlib import Path

            while Path(self.params.gate).exists():
                time.sleep(0.05)
            return super().build(data)
"""
"""Source of a plugin's module with five methods, each of which ends in its own way."""


@pytest.fixture
def tiny_plugin(install_plugin: InstallPlugin) -> Path:
    """The package `acme` with the methods `acme/tiny`, `acme/crashes`, `acme/dies`, `acme/slow` and `acme/waits`."""
    names = {"tiny": "Tiny", "crashes": "Crashes", "dies": "Dies", "slow": "Slow", "waits": "Waits"}
    return install_plugin("acme", {"tiny": TINY_METHOD}, methods={k: f"acme.tiny:{v}" for k, v in names.items()})
