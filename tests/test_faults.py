"""A sample of the fault campaign, in a process of its own; the nightly job runs all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.faults import campaign as module
from tests.faults import holds, table
from tests.faults.campaign import BATCH, SCENARIOS
from tests.faults.world import Tally

ROOT = Path(__file__).parents[1]


def campaign(tmp_path: Path, *words: str) -> list[Tally]:
    out = tmp_path / "faults.json"
    command = [sys.executable, "-m", "tests.faults.campaign", "--json", str(out), *words]
    env = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=7200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.glob("faults-*")), "the campaign cleans up"
    return [Tally(**row) for row in json.loads(out.read_text())["faults"]]


def test_a_few_instants(tmp_path):
    """The driver is killed before some of its steps on the disk, and so with older records from the future."""
    tallies = campaign(tmp_path, "--instants", "4", "--only", "steps,clock-back")
    assert [t.tried for t in tallies] == [6, 1]
    assert all(t.kept or t.tried for t in tallies)
    assert sum(t.lost for t in tallies) == 0
    assert all(t.bit_equal == t.reruns == t.tried for t in tallies)


@pytest.mark.slow
def test_each_fault_once(tmp_path):
    tallies = campaign(tmp_path, "--instants", "2")
    assert len(tallies) == len(SCENARIOS)
    assert all(t.skipped or t.tried for t in tallies)


def test_a_campaign_that_was_stopped_goes_on_with_other_draws(tmp_path, monkeypatch):
    tried: list[tuple[int, float]] = []

    def scenario(world, instants):
        if len(tried) == 2:
            raise KeyboardInterrupt
        tried.append((instants, world.rng.random()))
        return Tally(
            "a fault", "", tried=instants, reruns=instants, bit_equal=instants, problems=["found"], load=len(tried)
        )

    out = tmp_path / "faults.json"
    monkeypatch.setitem(SCENARIOS, "driver", (scenario, 1.0))
    monkeypatch.setattr(module, "World", lambda root: SimpleNamespace())
    monkeypatch.setattr(sys, "argv", ["campaign", "--only", "driver", "--instants", str(3 * BATCH), "--json", str(out)])
    with pytest.raises(KeyboardInterrupt):
        module.main()
    (row,) = json.loads(out.read_text())["faults"]
    assert (row["tried"], row["problems"]) == (2 * BATCH, ["found", "found"])
    tried += [(0, 0.0)]
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--resume"])
    assert module.main() == 1, "what was found before counts"
    (row,) = json.loads(out.read_text())["faults"]
    assert (row["tried"], row["reruns"], len(row["problems"])) == (3 * BATCH, 3 * BATCH, 3)
    assert len({draw for _, draw in tried}) == len(tried), "each batch draws its own instants"
    assert table.rows([out])[0].startswith(f"| a fault | {3 * BATCH} | 0 | 0 | {3 * BATCH} of {3 * BATCH} | 3 |")


def test_the_campaign_can_fail(tmp_path):
    """What must hold is checked by checks that see a torn file, a lost one, a left one, and two of a kind."""
    cells = tmp_path / "night" / "cells"
    cells.mkdir(parents=True)
    (cells / "a--d--s0--aaaaaaaa.json").write_text('{"half":')
    (cells / "b--d--s0--aaaaaaaa.npz").write_bytes(b"PK half")
    (cells / "a--d--s0--bbbbbbbb.json").write_text("{}")
    (cells / ".partial-x.json.tmp").write_text("")
    assert len(holds.torn(tmp_path)) == 3
    assert holds.lost({"gone.json": b"{}"}, tmp_path) == ["lost: gone.json"]
    assert holds.left_over(tmp_path) == [
        "left behind: .partial-x.json.tmp",
        "arrays without a record: b--d--s0--aaaaaaaa.npz",
        "two records: a--d--s0",
    ]
