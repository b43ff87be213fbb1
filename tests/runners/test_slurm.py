"""The SLURM script: its text, and a whole run of it where `srun` and `scontrol` are played by this machine."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from snn5bench.cli import app
from snn5bench.record import Status
from snn5bench.store import Store

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "slurm.sh"


def test_its_text_is_bash_and_asks_slurm_for_what_it_uses():
    assert subprocess.run(["bash", "-n", SCRIPT], check=False).returncode == 0
    text = SCRIPT.read_text()
    head = text.split("set -euo pipefail")[0]
    asked = re.findall(r"^#SBATCH --([a-z-]+)=\S+$", head, re.M)
    assert asked == ["job-name", "nodes", "ntasks-per-node", "cpus-per-task", "gpus-per-node", "mem", "time"]
    given = {"SLURM_JOB_ID", "SLURM_SUBMIT_DIR", "SLURM_JOB_NODELIST", "SLURM_CPUS_PER_TASK", "SLURM_GPUS_ON_NODE"}
    assert set(re.findall(r"SLURM_\w+", text)) == given, "SLURM sets each of them for what is asked"
    assert "RAY_USAGE_STATS_ENABLED=0" in text and "--disable-usage-stats" in text
    assert "RAY_AUTH_MODE=token" in text and "/dev/urandom" in text
    steps = [line for line in text.splitlines() if "${start[@]}" in line or "${step[@]}" in line]
    assert all("${step[@]}" in line for line in steps if "--nodelist" in line) and len(steps) == 3
    assert "step=(srun --nodes=1 --ntasks=1 --cpus-per-task=" in text, "srun does not inherit it since SLURM 22.05"


def test_every_snn5bench_line_in_it_is_one_that_the_program_takes():
    lines = re.findall(r"^snn5bench .*$", SCRIPT.read_text(), re.M)
    assert [line.split()[1] for line in lines] == ["run", "report"]
    for line in lines:
        words = [word for word in shlex.split(line.replace("$suite", "no-such-suite"))[1:] if word != "$@"]
        result = CliRunner().invoke(app, words)
        assert "no suite is called 'no-such-suite'" in str(result.exception), result.output


def test_every_option_that_it_gives_to_ray_exists():
    ray = pytest.importorskip("ray.scripts.scripts")
    known = {option for parameter in ray.start.params for option in parameter.opts}
    used = set(re.findall(r"(--[a-z-]+)", " ".join(re.findall(r"ray start .*|\$\{start\[@\]\}.*", SCRIPT.read_text()))))
    assert {"--head", "--address", "--block", "--num-gpus"} <= used <= known


SRUN = """\
#!{python}
import os, sys
words = sys.argv[1:]
while words and words[0].startswith("--"):
    words.pop(0)
if words[0] == "ray":
    words += ["--dashboard-agent-listen-port=0", "--object-store-memory=100000000"]
os.execvp(words[0], words)
"""
"""What SLURM does, for two nodes that are both this machine: the agents of two nodes need ports of their own."""


@pytest.mark.slow
def test_it_runs_a_suite_on_two_nodes_and_leaves_nothing_running(suite, tmp_path):
    services = pytest.importorskip("ray.util")
    tools = tmp_path / "bin"
    tools.mkdir()
    played = {
        "srun": SRUN.format(python=sys.executable),
        "scontrol": "#!/bin/sh\necho localhost\necho localhost\n",
        "hostname": f"#!/bin/sh\necho {services.get_node_ip_address()}\n",
        "snn5bench": f'#!/bin/sh\nexec {sys.executable} -m snn5bench "$@" --results {tmp_path}/results\n',
        "ray": f'#!/bin/sh\nexec {sys.executable} -m ray.scripts.scripts "$@"\n',
    }
    for name, text in played.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    suite()
    environment = os.environ | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)]),
        "RAY_raylet_start_wait_time_s": "120",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_GPUS_ON_NODE": "0",
    }
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as short:
        done = subprocess.run(
            ["bash", SCRIPT, str(tmp_path / "tiny.yaml"), "--no-track"],
            env=environment | {"RAY_TMPDIR": short},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    records = Store(tmp_path / "results", "tiny").records()
    assert [record.status for record in records] == [Status.DONE] * 6
    assert (tmp_path / "results" / "tiny" / "leaderboard.md").is_file()
    port = 20000 + os.getpid() % 20000
    left = subprocess.run(["pgrep", "-f", f":{port}"], capture_output=True, text=True, check=False).stdout
    assert left == "", "the cluster ended with the job"
