"""The hostile input campaign: `python -m tests.hostile.campaign --inputs 10000 --json hostile.json`.

Every input must be taken, or refused with the place; none may end in a traceback, hang, grow, write elsewhere, start a
process, open a connection or unpickle an object. Each target runs in a process of its own, so that one that dies or
hangs is a finding like any other. Faults are kept with their inputs under `--keep`. Exit code 1 where there are any.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.hostile.worker import TARGETS

CPU_SECONDS, WALL_SECONDS = 10.0, 120.0
"""After which an input hangs: of processor time, or of any time at all. (More than five seconds of processor time are a
fault as well; the worker itself says so.)"""
ROOT = Path(__file__).parents[2]


def shares(inputs: int, only: list[str]) -> dict[str, int]:
    """How many inputs each target gets."""
    chosen = {t.name: t.share for t in TARGETS if not only or t.name in only}
    total = sum(chosen.values())
    out = {name: max(1, inputs * share // total) for name, share in chosen.items()}
    first = next(iter(out))
    out[first] += max(0, inputs - sum(out.values()))
    return out


class Run:
    """One target's inputs, over as many processes as they need."""

    def __init__(self, name: str, count: int, seed: int, keep: Path) -> None:
        self.name, self.count, self.seed, self.keep = name, count, seed, keep
        self.counts: Counter[str] = Counter()
        self.faults: list[dict[str, str]] = []

    def go(self) -> dict[str, Any]:
        """Feed them all, and say what became of them."""
        begin = time.monotonic()
        while (left := self.count - sum(self.counts.values())) > 0:
            done = sum(self.counts.values())
            self._worker(left, self.seed + 7919 * done)
            if sum(self.counts.values()) == done:
                self._fault("the worker ended before its first input", "")
                break
        seconds = round(time.monotonic() - begin, 1)
        return {"inputs": sum(self.counts.values()), **self.counts, "seconds": seconds, "faults": self.faults}

    def _worker(self, count: int, seed: int) -> None:
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
            command = [sys.executable, "-m", "tests.hostile.worker", self.name, str(count), str(seed), folder]
            with (Path(folder) / "errors").open("wb") as errors:
                process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
            try:
                self._listen(process, Path(folder))
            finally:
                process.kill()
                process.wait()

    def _listen(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        assert process.stdout is not None
        waiting = selectors.DefaultSelector()
        waiting.register(process.stdout, selectors.EVENT_READ)
        open_since, used, held = None, 0.0, b""
        while True:
            if waiting.select(1.0):
                piece = os.read(process.stdout.fileno(), 1 << 16)
                *lines, held = (held + piece).split(b"\n")
                for line in map(json.loads, lines):
                    if "begin" in line:
                        open_since, used = time.monotonic(), _cpu(process.pid)
                    else:
                        open_since = None
                        self._count(line)
                if piece:
                    continue
                code = process.wait()
                if code:
                    errors = (folder / "errors").read_text(errors="replace").strip().splitlines()
                    said = [line[:200] for line in errors if not line.startswith(" ")]
                    self._fault(f"the process died of it ({code}): {' / '.join(said[:1] + said[-2:])}", _text(folder))
                return
            if open_since is not None and (
                time.monotonic() - open_since > WALL_SECONDS or _cpu(process.pid) - used > CPU_SECONDS
            ):
                self._fault("hangs", _text(folder))
                return

    def _count(self, line: dict[str, str]) -> None:
        if line["ended"] == "fault":
            self._fault(line["what"], line["case"])
        else:
            self.counts[line["ended"]] += 1

    def _fault(self, what: str, case: str) -> None:
        self.counts["fault"] += 1
        path = self.keep / f"{self.name}-{len(self.faults)}.txt".replace(" ", "-").replace(":", "")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{what}\n\n{case}\n")
        self.faults.append({"what": what[:500], "input": str(path)})


def _cpu(pid: int) -> float:
    """Processor seconds of a process and of its children that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _text(folder: Path) -> str:
    path = folder / "current.txt"
    return path.read_text() if path.is_file() else ""


def main() -> int:
    """Run, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, default=Path("hostile-faults"))
    parser.add_argument("--only", action="append", default=[], choices=[t.name for t in TARGETS])
    options = parser.parse_args()
    shutil.rmtree(options.keep, ignore_errors=True)
    found: dict[str, Any] = {}
    for name, count in shares(options.inputs, options.only).items():
        found[name] = Run(name, count, options.seed, options.keep.resolve()).go()
        row = found[name]
        words = f"{row['inputs']:6} inputs {row.get('taken', 0):6} taken {row.get('refused', 0):6} refused"
        print(f"{name:28} {words} {row.get('fault', 0):4} faults {row['seconds']:8.1f} s", flush=True)
        for fault, times in Counter(one["what"][:160] for one in row["faults"]).most_common(5):
            print(f"    {times} x {fault}", flush=True)
    total = {key: sum(row.get(key, 0) for row in found.values()) for key in ("inputs", "taken", "refused", "fault")}
    print(", ".join(f"{value} {key}" for key, value in total.items()), f"; load {os.getloadavg()[0]:.1f}")
    if options.json is not None:
        document = {"seed": options.seed, "total": total, "targets": found, "python": sys.version.split()[0]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if total["fault"] or total["inputs"] < options.inputs else 0


if __name__ == "__main__":
    sys.exit(main())
