"""What `.github/workflows/submission.yml` runs, on real git repositories: an upstream, a fork's pull request, a checkout of
the base. The commands are read from the workflow."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from snn5bench.submission import layout
from tests.test_submission import ROOT, edit, ran, submitted

__all__ = ["ran", "submitted"]

WORKFLOW = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "submission.yml")
STEPS = WORKFLOW["jobs"]["verify"]["steps"]
COMMANDS = [step["run"].replace("${{ github.event.number }}", "7") for step in STEPS if "run" in step]
HONEST = Path("submissions", "mine", "acme-tiny--pulse-order")
EARLIER = HONEST.with_name("earlier--pulse-order")
IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", "-c", "core.hooksPath="]


def git(folder: Path, *words: str) -> str:
    command = ["git", *IDENTITY, *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def upstream(submitted, tmp_path):
    """A repository with code and an earlier submission, the numbers of which are honest; the new one is kept aside."""
    folder = tmp_path / "upstream"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "check_submission.py", folder / ".ci")
    (folder / "train.py").write_text("lr = 1\n")
    shutil.copytree(submitted, folder / EARLIER)
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "base")
    return folder


Change = Callable[[Path], object]


def checkout_of(upstream: Path, submitted: Path, change: Change) -> Path:
    """A clone of the base, as the workflow has it, after a fork pushed `change` as pull request 7."""
    fork = upstream.with_name("fork")
    git(upstream.parent, "clone", str(upstream), str(fork))
    shutil.copytree(submitted, fork / HONEST)
    change(fork)
    git(fork, "add", "-A", ".")
    git(fork, "commit", "-m", "a row")
    git(fork, "push", "origin", "HEAD:refs/pull/7/head")
    clone = upstream.with_name("clone")
    git(upstream.parent, "clone", "--branch", "main", str(upstream), str(clone))
    return clone


def told(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and output of the workflow's last two commands, the check itself run in this process."""
    fetch, check = COMMANDS[-2:]
    subprocess.run(["bash", "-ec", fetch], cwd=clone, check=True, capture_output=True)
    program, *words = check.split()[1:]
    monkeypatch.chdir(clone)
    monkeypatch.setattr(sys, "argv", [program, *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(program, run_name="__main__")
    return int(ended.value.code or 0), capsys.readouterr().out


def test_the_workflow_asks_for_no_more_than_it_needs():
    assert COMMANDS[1:] == [
        'git fetch origin "pull/7/head"',
        "python .ci/check_submission.py --base HEAD --head FETCH_HEAD",
    ]
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert list(WORKFLOW["on"]) == ["pull_request_target"], "the base's workflow runs, which no pull request can edit"
    assert WORKFLOW["on"]["pull_request_target"]["paths"] == ["submissions/**"]
    assert "secrets" not in json.dumps(WORKFLOW)
    assert STEPS[0]["with"]["ref"] == "${{ github.base_ref }}", "the stranger's code is never checked out"


def test_an_honest_row_passes_as_the_workflow_runs_it(upstream, submitted):
    clone = checkout_of(upstream, submitted, lambda fork: None)
    python = clone.parent / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    paths = [os.environ["PYTHONPATH"], str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
    }
    done = subprocess.run(
        ["bash", "-ec", "\n".join(COMMANDS[1:])], cwd=clone, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "again: bit-equal" in done.stdout
    assert "mine/acme-tiny--pulse-order: true" in done.stdout


def right_everywhere(record: dict, arrays: dict) -> None:
    arrays["prediction"] = arrays["label"].copy()
    record["test_accuracy"] = 1.0


def all_right(fork: Path) -> None:
    for which in range(4):
        edit(fork / HONEST, right_everywhere, which)


def a_link(fork: Path) -> None:
    path = next((fork / HONEST / "cells").glob("*.json"))
    path.unlink()
    path.symlink_to("/etc/hostname")


FORGED: dict[str, tuple[Change, str]] = {
    "accuracy edited": (
        lambda fork: edit(fork / HONEST, lambda record, arrays: record.update(test_accuracy=0.99)),
        "test accuracy is 0.99, its predictions give",
    ),
    "predictions edited": (
        lambda fork: edit(fork / HONEST, lambda record, arrays: arrays.update(prediction=arrays["label"].copy())),
        "its predictions give 1.0",
    ),
    "key edited": (
        lambda fork: edit(fork / HONEST, lambda record, arrays: record.update(key="f" * 32)),
        f"its key is {'f' * 32}, its parts give",
    ),
    "all of it consistent": (all_right, "where 0.5 stands already"),
    "code touched": (lambda fork: (fork / "train.py").write_text("lr = 2\n"), "train.py: a submission touches nothing"),
    "code added": (
        lambda fork: (fork / "conftest.py").write_text("1 / 0\n"),
        "conftest.py: a submission touches nothing",
    ),
    "the check touched": (
        lambda fork: (fork / ".ci" / "check_submission.py").write_text(""),
        ".ci/check_submission.py: a submission touches nothing",
    ),
    "the workflow touched": (
        lambda fork: (
            (fork / ".github" / "workflows").mkdir(parents=True)
            or (fork / ".github" / "workflows" / "submission.yml").write_text("")
        ),
        ".github/workflows/submission.yml: a submission touches nothing",
    ),
    "the text for people": (
        lambda fork: (fork / HONEST / layout.TEXT).write_text("100 %, trust me"),
        "PULL_REQUEST.md: it is not what the records say",
    ),
    "an earlier number changed": (
        lambda fork: edit(fork / EARLIER, lambda record, arrays: record.update(test_accuracy=0.1)),
        "an earlier submission is changed or removed",
    ),
    "an earlier row removed": (
        lambda fork: shutil.rmtree(fork / EARLIER),
        "an earlier submission is changed or removed",
    ),
    "a file too deep": (
        lambda fork: (
            (fork / HONEST / "cells" / "a").mkdir() or (fork / HONEST / "cells" / "a" / "b.json").write_text("{}")
        ),
        "it does not stand in submissions/SUITE/ROW/",
    ),
    "a link in place of a record": (a_link, "not a record of this version"),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_one_is_refused(upstream, submitted, monkeypatch, capsys, forged):
    change, words = FORGED[forged]
    code, printed = told(checkout_of(upstream, submitted, change), monkeypatch, capsys)
    assert code == 1, printed
    assert "refused: " in printed
    assert words in printed


@pytest.mark.slow
def test_a_consistent_forgery_without_an_earlier_number_is_caught_by_running_it(
    upstream, submitted, monkeypatch, capsys
):
    shutil.rmtree(upstream / "submissions")
    git(upstream, "commit", "-am", "no earlier submission")
    code, printed = told(checkout_of(upstream, submitted, all_right), monkeypatch, capsys)
    assert code == 1
    assert "run again, has accuracy 0.5, the record says 1.0" in printed


def test_a_pull_request_without_a_submission_is_none_of_its_business(upstream, submitted, monkeypatch, capsys):
    def change(fork: Path) -> None:
        shutil.rmtree(fork / HONEST)
        (fork / "train.py").write_text("lr = 2\n")

    assert told(checkout_of(upstream, submitted, change), monkeypatch, capsys)[0] == 0


def test_the_layout_that_is_checked_is_the_one_that_is_written(submitted):
    assert submitted.relative_to(submitted.parents[2]) == HONEST
    assert layout.strange_files(submitted) == []
