"""A text file is replaced in one step, whoever writes it and whoever is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from snn5bench.atomic import replace

ROOT = Path(__file__).parents[1]


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    path = tmp_path / "leaderboard.md"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".leaderboard.md.{dead.pid}.part").write_text("half")
    living = tmp_path / f".leaderboard.md.{os.getppid()}.part"
    living.write_text("half")
    (tmp_path / ".leaderboard.md.x.part").write_text("not ours")
    replace(path, "whole\n")
    assert {p.name for p in tmp_path.iterdir()} == {path.name, living.name, ".leaderboard.md.x.part"}
    assert path.read_bytes() == b"whole\n"


def test_two_writers_at_once_never_leave_a_mixture(tmp_path):
    path = tmp_path / "page.html"
    code = (
        "import sys; from pathlib import Path; from snn5bench.atomic import replace\n"
        "for _ in range(200): replace(Path(sys.argv[1]), sys.argv[2] * 100_000)"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter], env=env) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            text = path.read_text()
            assert text in ("a" * 100_000, "b" * 100_000)
            seen.add(text[0])
    assert all(writer.returncode == 0 for writer in writers)
    assert seen
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
