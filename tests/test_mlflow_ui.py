"""`mlflow ui`, started as the README says: runs named as the rows, parameters, curves by epoch, the record; in a browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from rich.console import Console

from snn5bench.expand import read
from snn5bench.progress import Display
from snn5bench.run import run
from snn5bench.store import Store
from snn5bench.tracking import MlflowTracker
from tests.test_run import SUITE

pytestmark = pytest.mark.slow
PATIENCE_S = 300
"""For a server that starts on a loaded machine."""
NAMES = {
    f"{row}@pulse-order#{seed}" for row in ("acme/tiny", "acme/tiny+notd", "acme/tiny+shuffled") for seed in (0, 1)
}


@pytest.fixture
def tracked(tmp_path: Path, tiny_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A run that was tracked into `mlflow.db`."""
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE.replace("METHODS", "acme/tiny"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    loaded, planned = read(path)
    store = Store(tmp_path / "results", loaded.name)
    run(planned, store, MlflowTracker(loaded.name), Display(Console(quiet=True)), "serial")
    return store


@pytest.fixture
def server(tracked: Store, tmp_path: Path) -> Iterator[str]:
    """The address of `mlflow ui` on that file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with (tmp_path / "ui.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(PATIENCE_S):
            assert process.poll() is None, (tmp_path / "ui.log").read_text()
            try:
                urlopen(f"{address}/health", timeout=5)
                break
            except (URLError, OSError):
                time.sleep(1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def ask(address: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What the server's REST interface says."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{address}{path}", data=data, headers={"Content-Type": "application/json"})
    return json.load(urlopen(request, timeout=PATIENCE_S))


def test_mlflow_ui_shows_the_cells(server: str, tracked: Store) -> None:
    api = "/api/2.0/mlflow"
    known = {
        e["name"]: e["experiment_id"]
        for e in ask(server, f"{api}/experiments/search", {"max_results": 9})["experiments"]
    }
    runs = ask(server, f"{api}/runs/search", {"experiment_ids": [known["tiny"]]})["runs"]
    by_name = {found["info"]["run_name"]: found for found in runs}
    assert by_name.keys() == NAMES and len(runs) == 6
    one = next(record for record in tracked.records() if record.twin == "none" and record.seed == 1)
    found = by_name["acme/tiny@pulse-order#1"]
    identity = found["info"]["run_id"]
    params = {param["key"]: param["value"] for param in found["data"]["params"]}
    assert (params["dataset"], params["variant"], params["seed"], params["epochs"]) == (
        "pulse-order",
        "acme/tiny",
        "1",
        "2",
    )
    metrics = {metric["key"]: metric["value"] for metric in found["data"]["metrics"]}
    assert metrics["test_accuracy"] == one.test_accuracy and metrics["params"] == one.params
    for key, values in (
        ("epoch_val_accuracy", [point.val_accuracy for point in one.curve]),
        ("train_loss", [point.train_loss for point in one.curve]),
    ):
        history = ask(server, f"{api}/metrics/get-history?run_id={identity}&metric_key={key}")["metrics"]
        assert [(point["step"], point["value"]) for point in history] == [
            (point.epoch, value) for point, value in zip(one.curve, values, strict=True)
        ]
    assert [file["path"] for file in ask(server, f"{api}/artifacts/list?run_id={identity}")["files"]] == ["record.json"]
    assert ask(server, f"/get-artifact?path=record.json&run_uuid={identity}")["key"] == one.key


@pytest.mark.browser
def test_mlflow_ui_in_a_browser(server: str) -> None:
    """The rows are there to be read, and a run's page shows its curve and its record."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium is on the path")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(1000 * PATIENCE_S)
        page.goto(f"{server}/#/experiments/1/runs?workflowType=machine_learning")
        for name in NAMES:
            page.get_by_role("link", name=name, exact=True).wait_for()
        page.get_by_role("link", name="acme/tiny@pulse-order#1", exact=True).click()
        page.get_by_role("tab", name="Artifacts").click()
        page.get_by_text("record.json").wait_for()
        page.get_by_role("tab", name="Model metrics").click()
        page.get_by_text("epoch_val_accuracy").first.wait_for()
        browser.close()
