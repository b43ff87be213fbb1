"""Tracking that hangs, or whose database is half made, holds nothing up and loses nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from snn5bench.tracking import MlflowTracker, _make_database

ROOT = Path(__file__).parents[1]


class Silent(MlflowTracker):
    """Never comes back from a server."""

    def _send(self, cell, record):
        threading.Event().wait()


def test_a_server_that_never_answers_is_left_after_the_patience(caplog):
    tracker = Silent("tiny", patience_s=0.2)
    tracker.log(None, None)
    tracker.log(None, None)
    assert caplog.text.count("tracking stopped, records are kept: TimeoutError: no answer within 0.2 s") == 1


def test_the_clients_own_timeout_ends_a_server_that_takes_and_says_nothing(monkeypatch, caplog):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        tracker = MlflowTracker("tiny", patience_s=600)
        tracker.log(None, None)
    assert "tracking stopped, records are kept" in caplog.text
    assert "no answer within" not in caplog.text


@pytest.mark.parametrize("killed_after_s", [0.2, pytest.param(0.5, marks=pytest.mark.slow)])
def test_a_database_is_made_whole_or_not_at_all(tmp_path, killed_after_s):
    """kill -9 while MLflow makes its tables: the next one begins afresh, and works."""
    database = tmp_path / "mlflow.db"
    code = f"from snn5bench.tracking import _make_database; _make_database('sqlite:///{database}')"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    maker = subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 600
    while (
        not any(".part" in p.name for p in tmp_path.iterdir()) and time.monotonic() < deadline and maker.poll() is None
    ):
        time.sleep(0.01)
    time.sleep(killed_after_s)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    _make_database(f"sqlite:///{database}")
    from mlflow import MlflowClient

    assert MlflowClient(f"sqlite:///{database}").search_experiments()
    assert {p.name for p in tmp_path.iterdir()} == {"mlflow.db", ".mlflow.db.lock"}


@pytest.mark.parametrize("uri", ["http://localhost:1", "sqlite:///:memory:?x", "postgresql://h/db", "/a/folder"])
def test_only_a_sqlite_file_is_made(tmp_path, monkeypatch, uri):
    monkeypatch.chdir(tmp_path)
    _make_database(uri)
    assert not list(tmp_path.iterdir())
