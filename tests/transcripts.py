"""The transcripts of docs/trust.md, by running the commands: `python -m tests.transcripts` writes them anew.

A plugin from the template is run beside the baseline and locked; one of its rows is reproduced; then its neuron is broken by
one character, and a night compared.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "trust.md"
SUITE = """\
seeds: [0, 1, 2]
budget: {epochs: 10, batch_size: 32}
twins: {notd: null, shuffled: null}
datasets:
  - {name: pulse-order, params: {T: 20, min_gap: 3, max_gap: 6, train: 400, val: 100, test: 1000}}
methods:
  - {name: lif, params: {hidden: [32]}}
  - {name: slow-leak/slow-leak, params: {hidden: [32]}}
"""
RIGHT, WRONG = "torch.sigmoid(self.w) * v", "torch.sigmoid(-self.w) * v"
ROW = "slow-leak/slow-leak@pulse-order"


class Session:
    """Commands typed in one folder, with the plugin installed by pip."""

    def __init__(self, folder: Path) -> None:
        self.folder, site = folder, folder / "site"
        paths = [str(site), str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
        self.env = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "COLUMNS": "118",
            "SNN5BENCH_CACHE": str(folder / "cache"),
        }
        self.snn5bench("new method slow-leak")
        pip = "-m pip install --quiet --no-deps --no-build-isolation --target".split()
        subprocess.run([sys.executable, *pip, str(site), str(folder / "slow-leak")], check=True, capture_output=True)
        self.neuron = site / "slow_leak" / "neuron.py"
        (folder / "night.yaml").write_text(SUITE)

    def snn5bench(self, words: str) -> tuple[int, str]:
        """Exit code, and what a terminal shows."""
        command = [sys.executable, "-m", "snn5bench", *words.split()]
        out, err = subprocess.STDOUT, subprocess.PIPE
        done = subprocess.run(command, cwd=self.folder, env=self.env, text=True, check=False, stdout=err, stderr=out)
        return done.returncode, done.stdout

    def typed(self, words: str) -> tuple[int, str]:
        """The same as a transcript, with its exit code."""
        code, shown = self.snn5bench(words)
        lines = [line.rstrip() for line in shown.splitlines()]
        return code, "\n".join([f"$ snn5bench {words}", *lines, f"$ echo $?\n{code}"]) + "\n"

    def break_it(self) -> None:
        """One character: the leak is turned round."""
        source = self.neuron.read_text()
        assert source.count(RIGHT) == 1
        self.neuron.write_text(source.replace(RIGHT, WRONG))


def play(folder: Path) -> dict[str, tuple[int, str]]:
    """Exit code and transcript by the name of the scene."""
    session = Session(folder)
    code, shown = session.snn5bench("run night.yaml --no-track")
    assert code == 0, shown
    code, shown = session.snn5bench("lock night.yaml")
    assert code == 0, shown
    scenes = {"reproduce": session.typed(f"reproduce {ROW} --suite night.yaml")}
    session.break_it()
    code, shown = session.snn5bench("run night.yaml --no-track")
    assert code == 0, shown
    scenes["compare"] = session.typed("compare night.yaml --settle")
    scenes["why"] = session.typed(f"why {ROW}#0 --suite night.yaml")
    return scenes


def write() -> None:
    """Put the transcripts into the page, between their marks."""
    page = PAGE.read_text()
    with TemporaryDirectory() as folder:
        for scene, (_, text) in play(Path(folder)).items():
            begin, end = f"<!-- {scene} -->\n", f"<!-- end of {scene} -->"
            head, _, rest = page.partition(begin)
            _, _, tail = rest.partition(end)
            page = f"{head}{begin}```\n{text}```\n{end}{tail}"
    PAGE.write_text(page)


if __name__ == "__main__":
    write()
