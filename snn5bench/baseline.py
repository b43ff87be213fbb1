"""Locked records: what `compare` needs of them, in one JSON file that git can hold.

A cell keeps its numbers, its key with what that was made of, and which test samples it got right (packed bits), so that
paired tests need nothing but this file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from snn5bench.errors import BenchError
from snn5bench.record import Environment, Record, Status, TwinKind

BASELINE_VERSION = 1
MAX_BYTES = 64 * 2**20
"""Larger files are not read: a baseline of 10,000 cells with 2,000 test samples each has about 10 MB."""

_MAPPINGS = ("config", "code", "versions", "transform")
"""Parts of a key that are mappings of names."""
Answers = NDArray[np.bool_]
"""[n_test]: which test samples a cell got right."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class RowName(NamedTuple):
    """What makes a row of a suite."""

    variant: str
    dataset: str
    twin: TwinKind

    def __str__(self) -> str:
        return f"{self.variant} on {self.dataset}" + ("" if self.twin == "none" else f" ({self.twin} twin)")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PackedAnswers(_Strict):
    """Correctness of n samples: `numpy.packbits`, big-endian within a byte, base64."""

    n: Annotated[int, Field(gt=0, le=10**8)]
    bits: str

    @classmethod
    def pack(cls, correct: Answers) -> PackedAnswers:
        """From one bool for each test sample."""
        return cls(n=len(correct), bits=base64.b64encode(np.packbits(correct).tobytes()).decode("ascii"))

    def unpack(self) -> Answers:
        """One bool for each test sample."""
        raw = np.frombuffer(base64.b64decode(self.bits, validate=True), dtype=np.uint8)
        return np.unpackbits(raw, count=self.n).astype(bool)

    @model_validator(mode="after")
    def _whole(self) -> PackedAnswers:
        try:
            size = len(base64.b64decode(self.bits, validate=True))
        except (binascii.Error, ValueError) as broken:
            raise ValueError(f"bits are not base64: {broken}") from broken
        if size != (self.n + 7) // 8:
            raise ValueError(f"{self.n} samples need {(self.n + 7) // 8} bytes, found {size}")
        return self


class LockedCell(_Strict):
    """One cell as it was locked. Only a cell that was done carries numbers."""

    variant: str
    dataset: str
    twin: TwinKind
    seed: int
    status: Status
    reason: str = ""
    key: str
    definition: str
    """Digest of what the cell is asked to do; see `definition`."""
    protocol: str
    """Digest of how it was done; see `protocol`."""
    dataset_fingerprint: str | None = None
    n_test: int | None = None
    test_accuracy: Share | None = None
    spike_rate: FiniteFloat | None = None
    synops_per_sample: FiniteFloat | None = None
    train_seconds: FiniteFloat | None = None
    answers: PackedAnswers | None = None
    made_of: dict[str, str] = Field(default_factory=dict)
    """Part of the key (`code`, `versions`, ..., and `environment`) to the name of its content in `Baseline.parts`."""

    @property
    def row(self) -> RowName:
        """The row this cell belongs to."""
        return RowName(self.variant, self.dataset, self.twin)

    @model_validator(mode="after")
    def _numbers_belong_together(self) -> LockedCell:
        if self.status is not Status.DONE:
            return self
        if self.test_accuracy is None or self.answers is None:
            raise ValueError("a cell that is done needs its test accuracy and its answers")
        if self.n_test != self.answers.n or abs(self.answers.unpack().mean() - self.test_accuracy) > 1e-6:
            raise ValueError("test accuracy and answers do not agree")
        return self


class Baseline(_Strict):
    """What nightly runs of one suite are compared with."""

    schema_version: Literal[1] = 1
    suite: str
    locked_at: str
    git_commit: str | None = None
    environment: Environment | None = None
    """Where most of the cells ran."""
    cells: list[LockedCell]
    parts: dict[str, Any] = Field(default_factory=dict)
    """Contents that cells share, by digest: code hashes, versions, configs, environments."""

    @model_validator(mode="after")
    def _whole(self) -> Baseline:
        twice = [name for name, count in Counter((*cell.row, cell.seed) for cell in self.cells).items() if count > 1]
        if twice:
            raise ValueError(f"cells given twice: {', '.join(map(str, twice))}")
        if lost := {name for cell in self.cells for name in cell.made_of.values()} - self.parts.keys():
            raise ValueError(f"parts missing: {', '.join(sorted(lost))}")
        for part, name in {item for cell in self.cells for item in cell.made_of.items()}:
            if part == "environment":
                Environment.model_validate(self.parts[name])
            elif part in _MAPPINGS and not isinstance(self.parts[name], dict):
                raise ValueError(f"{part} of a cell (part {name}) is no mapping")
        return self

    def key_parts(self, cell: LockedCell) -> dict[str, Any]:
        """What the key of `cell` was made of, with its environment."""
        return {part: self.parts[name] for part, name in cell.made_of.items()}


def row_of(record: Record) -> RowName:
    """The row a record belongs to."""
    return RowName(record.variant, record.dataset, record.twin)


def definition(record: Record) -> str:
    """Digest of what a cell is asked to do, seed left out; known before it runs, so that a failed cell has it too."""
    return _digest_of(record, "method method_params dataset dataset_params twin")


def protocol(record: Record) -> str:
    """Digest of how a cell was done. Done cells of one definition, protocol and data may be compared, whatever code and
    versions made them."""
    return _digest_of(record, "budget transform temporal selection_rule T n_classes")


def made_of(record: Record) -> dict[str, Any]:
    """What the record's key was made of, by part, and its environment."""
    environment = {"environment": record.environment.model_dump(mode="json")} if record.environment else {}
    return record.key_parts | environment


def lock(
    records: Iterable[Record], correct_by_record: Mapping[str, Answers], locked_at: datetime | None = None
) -> Baseline:
    """Make today's records the baseline. `correct_by_record` maps a record's key to its answers, [n_test].

    Raises `BenchError` where the records are of several suites, a done record has no answers, or the two disagree.
    """
    taken = list(records)
    suites = sorted({record.suite for record in taken})
    if len(suites) != 1:
        what = f"records of several suites: {', '.join(suites)}" if suites else "there are no records"
        raise BenchError(what, do="" if suites else "run the suite first: `snn5bench run SUITE`")
    parts: dict[str, Any] = {}
    ordered = sorted(taken, key=lambda record: (row_of(record), record.seed))
    cells = [_lock_cell(record, correct_by_record.get(record.key), parts) for record in ordered]
    commits = Counter(record.git_commit for record in taken if record.git_commit)
    environments = Counter(record.environment.model_dump_json() for record in taken if record.environment)
    try:
        return Baseline(
            suite=suites[0],
            locked_at=(locked_at or datetime.now(UTC)).isoformat(timespec="seconds"),
            git_commit=commits.most_common(1)[0][0] if commits else None,
            environment=Environment.model_validate_json(environments.most_common(1)[0][0]) if environments else None,
            cells=cells,
            parts=dict(sorted(parts.items())),
        )
    except ValidationError as broken:
        raise BenchError(f"these records cannot be locked: {_first(broken)}", where=suites[0]) from broken


def write(baseline: Baseline, path: Path) -> None:
    """Write atomically; the same baseline gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(baseline.model_dump(mode="json", exclude_defaults=True) | {"schema_version": 1}, indent=1)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)


def read(path: Path) -> Baseline:
    """Read a baseline that anybody may have written; `BenchError` names what is wrong with it."""
    again = f"restore {path.name} from git, or write a new one with `snn5bench lock`"
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise BenchError(f"{size} bytes are too many for a baseline (at most {MAX_BYTES})", str(path), again)
        text = path.read_text(encoding="utf-8")
        document = json.loads(text)
    except FileNotFoundError:
        raise BenchError("there is no baseline", str(path), "write one with `snn5bench lock`") from None
    except (OSError, ValueError, RecursionError) as broken:
        raise BenchError(f"the baseline cannot be read: {broken}", str(path), again) from broken
    version = document.get("schema_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > BASELINE_VERSION:
        raise BenchError(f"schema version {version} is newer than this snn5bench", str(path), "update snn5bench")
    try:
        return Baseline.model_validate_json(text, strict=True)
    except ValidationError as broken:
        raise BenchError(f"the baseline is not valid: {_first(broken)}", str(path), again) from broken


def _lock_cell(record: Record, correct: Answers | None, parts: dict[str, Any]) -> LockedCell:
    name = row_of(record)
    done = record.status is Status.DONE
    if done and correct is None:
        raise BenchError(
            f"seed {record.seed} of {name} has no stored answers",
            where=f"record {record.key}",
            do="run the cell again",
        )
    content = made_of(record)
    if odd := [part for part in _MAPPINGS if not isinstance(content.get(part, {}), dict)]:
        raise BenchError(
            f"seed {record.seed} of {name}: {odd[0]} of its key is no mapping",
            f"record {record.key}",
            "run the cell again",
        )
    digests = {part: _digest(value) for part, value in content.items()}
    parts |= {digests[part]: value for part, value in content.items()}
    numbers: dict[str, Any] = {}
    if done and correct is not None:
        fields = ("n_test", "test_accuracy", "spike_rate", "synops_per_sample", "train_seconds")
        numbers = {name: getattr(record, name) for name in fields} | {"answers": PackedAnswers.pack(correct)}
    try:
        return LockedCell(
            **name._asdict(),
            seed=record.seed,
            status=record.status,
            reason=record.reason,
            key=record.key,
            definition=definition(record),
            protocol=protocol(record),
            dataset_fingerprint=record.dataset_fingerprint,
            made_of=digests,
            **numbers,
        )
    except ValidationError as broken:
        raise BenchError(
            f"seed {record.seed} of {name} cannot be locked: {_first(broken)}",
            where=f"record {record.key}",
            do="run the cell again",
        ) from broken


def _first(broken: ValidationError) -> str:
    error = broken.errors()[0]
    place = ".".join(map(str, error["loc"]))
    more = f" (and {broken.error_count() - 1} more)" if broken.error_count() > 1 else ""
    return f"{place}: {error['msg']}{more}" if place else error["msg"] + more


def _digest_of(record: Record, fields: str) -> str:
    return _digest({name: getattr(record, name) for name in fields.split()})


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
