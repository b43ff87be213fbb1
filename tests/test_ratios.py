"""The comparison of benchmark ratios: verdicts, what is left out, the exit code, and a round trip of the stored file."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).parent / "benchmarks" / "ratios.py"


@pytest.fixture(scope="module")
def ratios() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_ratios", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def entry(name: str, ratio: float, low: float, high: float) -> dict[str, Any]:
    info = {"ratio": ratio, "low": low, "high": high, "least": 5.0, "load": [1.0, 2.0], "another": "thing"}
    return {"fullname": f"tests/benchmarks/{name}", "extra_info": info}


def write(path: Path, *entries: dict[str, Any], cpu: str = "A") -> Path:
    path.write_text(json.dumps({"machine_info": {"cpu": {"brand_raw": cpu}}, "benchmarks": list(entries)}))
    return path


@pytest.mark.parametrize(
    ("ratio", "low", "high", "word"),
    [
        (8.0, 7.8, 8.2, "better"),
        (5.0, 4.8, 5.2, "worse"),
        (6.6, 6.5, 6.7, "same"),  # beyond the quartiles, within the tolerance
        (8.0, 6.1, 9.0, "same"),  # beyond the tolerance, within the quartiles
        (5.0, 3.0, 6.0, "same"),
    ],
)
def test_verdicts(ratios: ModuleType, ratio: float, low: float, high: float, word: str) -> None:
    old = ratios.Ratio(6.0, 5.8, 6.2, 5.0, [1.0, 1.0])
    assert ratios.verdict(old, ratios.Ratio(ratio, low, high, 5.0, [1.0, 1.0])) == word


def test_new_and_gone(ratios: ModuleType) -> None:
    one = ratios.Ratio(6.0, 5.8, 6.2, 5.0, [1.0, 1.0])
    assert (ratios.verdict(None, one), ratios.verdict(one, None)) == ("new", "gone")


def test_the_command(ratios: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = str(tmp_path / "stored.json")
    first = write(tmp_path / "a.json", entry("t.py::x", 6.0, 5.8, 6.2), {"fullname": "t.py::y", "extra_info": {}})
    assert ratios.main([str(first), "--stored", stored, "--store"]) == 0
    assert list(ratios.read_stored(Path(stored)).ratios) == ["t.py::x"]
    assert ratios.main([str(first), "--stored", stored]) == 0
    assert "| t.py::x | 6 (5.8 to 6.2) | 6 | 5 | yes | same | 1.0 to 2.0 |" in capsys.readouterr().out

    slow = entry("t.py::x", 4.0, 3.9, 4.1)
    assert ratios.main([str(write(tmp_path / "b.json", slow)), "--stored", stored]) == 1
    assert "| 4 (3.9 to 4.1) | 6 | 5 | no | worse |" in capsys.readouterr().out
    assert ratios.main([str(write(tmp_path / "c.json", slow, cpu="B")), "--stored", stored]) == 0
    assert "another machine (A; this is B)" in capsys.readouterr().out


def test_the_stored_file_is_readable(ratios: ModuleType) -> None:
    stored = ratios.read_stored(ratios.STORED)
    assert any(name.startswith("test_training_step.py") for name in stored.ratios)
    assert all(r.low <= r.ratio <= r.high for r in stored.ratios.values())
