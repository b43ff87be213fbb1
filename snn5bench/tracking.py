"""MLflow: one run a cell. Tracking that fails, or hangs, never loses or holds up a record; it is said once and left."""

from __future__ import annotations

import json
import logging
import os
import threading
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from filelock import FileLock

from snn5bench.cell import Cell
from snn5bench.record import Record

DEFAULT_URI = "sqlite:///mlflow.db"

PATIENCE_S = 120.0
"""How long one record may take to be logged. A server that answers a byte at a time passes every timeout of its client."""

_log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Where finished cells are announced."""

    def log(self, cell: Cell, record: Record) -> None: ...


class NoTracker:
    """Tracks nothing."""

    def log(self, cell: Cell, record: Record) -> None:
        """Do nothing."""


class MlflowTracker:
    """Sends each record to `MLFLOW_TRACKING_URI`, or to a SQLite file beside the results, as one batch."""

    def __init__(self, suite: str, patience_s: float = PATIENCE_S) -> None:
        self.suite, self.patience_s = suite, patience_s
        self._client: Any = None
        self._experiment = ""
        self._broken = False

    def log(self, cell: Cell, record: Record) -> None:
        """Log one record. The first failure is reported as a warning and ends tracking for this run."""
        if self._broken:
            return
        ended: SimpleQueue[Exception | None] = SimpleQueue()

        def send() -> None:
            try:
                self._send(cell, record)
            except Exception as error:  # whatever a tracking server does, the record is already safe
                ended.put(error)
            else:
                ended.put(None)

        threading.Thread(target=send, name="tracks", daemon=True).start()
        try:
            error = ended.get(timeout=self.patience_s)
        except Empty:
            error = TimeoutError(f"no answer within {self.patience_s:g} s")
        if error is not None:
            self._broken = True
            _log.warning(
                "tracking stopped, records are kept: %s: %s", type(error).__name__, str(error).partition("\n")[0]
            )

    def _connect(self) -> Any:
        if self._client is None:
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            for name in ("alembic", "mlflow.store.db.utils"):
                logging.getLogger(name).setLevel(logging.WARNING)
            from mlflow import MlflowClient

            uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
            _make_database(uri)
            client = MlflowClient(uri)
            found = client.get_experiment_by_name(self.suite)
            self._experiment = (
                found.experiment_id if found else client.create_experiment(self.suite, _artifacts(uri, self.suite))
            )
            self._client = client
        return self._client

    def _send(self, cell: Cell, record: Record) -> None:
        client = self._connect()
        from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

        start, end = _times(record)
        run = client.create_run(self._experiment, start_time=start, run_name=cell.label)
        now = end or run.info.start_time
        metrics = [
            Metric(name, float(value), now, point.epoch)
            for point in record.curve
            for name, value in (("train_loss", point.train_loss), ("epoch_val_accuracy", point.val_accuracy))
            if value is not None
        ]
        for name in _NUMBERS:
            value = getattr(record, name)
            if value is not None:
                metrics.append(Metric(name, float(value), now, 0))
        metrics += [Metric(f"energy_nj.{m}", float(v), now, 0) for m, v in record.energy_nj.items() if v is not None]
        params = {"dataset": record.dataset, "variant": record.variant, "twin": record.twin, "seed": record.seed}
        params |= {f"method.{k}": v for k, v in record.method_params.items()}
        params |= {f"dataset.{k}": v for k, v in record.dataset_params.items()} | record.budget
        tags = {"status": record.status.value, "key": record.key, "reason": record.reason[:500], "suite": record.suite}
        tags |= {
            "mlflow.source.name": f"snn5bench run {record.suite}",
            "mlflow.source.git.commit": record.git_commit or "",
        }
        tags["mlflow.note.content"] = "\n\n".join(filter(None, (record.reason, *record.notes)))[:5000]
        client.log_batch(
            run.info.run_id,
            metrics=metrics[-1000:],
            params=[Param(name, str(value)[:500]) for name, value in params.items()][:100],
            tags=[RunTag(name, value) for name, value in tags.items() if value],
        )
        if record.dataset_fingerprint is not None:
            data = Dataset(
                record.dataset[:500], record.dataset_fingerprint[:36], "snn5bench", json.dumps(record.dataset_params)
            )
            client.log_inputs(run.info.run_id, [DatasetInput(data)])
        client.log_text(run.info.run_id, record.model_dump_json(indent=1), "record.json")
        client.set_terminated(run.info.run_id, "FINISHED" if record.status.value == "done" else "FAILED", end)


def _artifacts(uri: str, suite: str) -> str | None:
    """Where the records of a suite go: beside a SQLite file; a server decides for itself."""
    file = uri.removeprefix("sqlite:///")
    return None if file == uri else (Path(file).resolve().parent / "mlruns" / suite).as_uri()


def _times(record: Record) -> tuple[int | None, int | None]:
    """When the cell started and ended, in milliseconds since 1970; None where it did not run."""
    if not record.started_at:
        return None, None
    start = datetime.fromisoformat(record.started_at).timestamp()
    return int(1000 * start), int(1000 * (start + (record.train_seconds or 0.0) + (record.eval_seconds or 0.0)))


_NUMBERS = (
    "train_accuracy", "val_accuracy", "test_accuracy", "test_accuracy_peeked", "params", "spike_rate", "activation_sparsity",
    "weight_sparsity", "macs_per_sample", "acs_per_sample", "synops_per_sample", "train_seconds", "peak_memory_bytes",
)  # fmt: skip


def _make_database(uri: str) -> None:
    """Make a SQLite database that is not there yet whole, or not at all: MLflow makes its tables in steps, and one that was
    killed between two of them, or met by a second run, can never be opened again."""
    scheme, _, name = uri.partition(":///")
    path = Path(name)
    if scheme != "sqlite" or not name or "?" in name or path.exists():
        return
    from mlflow import MlflowClient

    part = path.with_name(f".{path.name}.part")
    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.exists():
            return
        for old in path.parent.glob(f"{part.name}*"):
            old.unlink()
        MlflowClient(f"sqlite:///{part}").search_experiments(max_results=1)
        part.replace(path)
