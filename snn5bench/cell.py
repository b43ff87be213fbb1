"""The identity of one cell: what it is, and the key that covers all that can move its numbers."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict

from snn5bench.record import TwinKind

KEY_VERSION = 1
"""Raised when the rule that makes a key changes; golden tests pin the keys of each version."""


class Cell(BaseModel):
    """One (method + parameters, dataset + transform, twin, seed) of a suite: the unit of caching, failure and resuming."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    method: str
    variant: str
    """The method's name, with the grid parameters that tell it from its siblings: `lif[decay=0.9]`."""
    method_params: dict[str, Any]
    """Every parameter, defaults written out, as JSON values."""
    dataset: str
    dataset_variant: str
    dataset_params: dict[str, Any]
    twin: TwinKind = "none"
    seed: int
    epochs: int
    batch_size: int
    record_peeking: bool = False

    def __hash__(self) -> int:
        return hash((self.suite, *self.identity))

    @property
    def label(self) -> str:
        """How a person names the cell: `glif+notd@pulse-order#0`, the part after `#` being the seed."""
        return f"{self.row}#{self.seed}"

    @property
    def row(self) -> str:
        """The leaderboard row (or its twin) that the cell belongs to."""
        twin = "" if self.twin == "none" else f"+{self.twin}"
        return f"{self.variant}{twin}@{self.dataset_variant}"

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """What two versions of the same cell share, whatever their keys."""
        return (self.variant, self.dataset_variant, self.twin, self.seed)

    @property
    def stem(self) -> str:
        """File-name prefix of the cell's record, without the key."""
        twin = "" if self.twin == "none" else f"+{self.twin}"
        return f"{slug(self.variant)}{twin}--{slug(self.dataset_variant)}--s{self.seed}"

    def config(self) -> dict[str, Any]:
        """The part of the identity that the suite states. Names for people (suite, variants) are not in it."""
        return {
            "method": self.method,
            "method_params": self.method_params,
            "dataset": self.dataset,
            "dataset_params": self.dataset_params,
            "twin": self.twin,
            "seed": self.seed,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "record_peeking": self.record_peeking,
        }


class KeyParts(BaseModel):
    """Everything that goes into a key, kept in the record so that `why` can name what changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = KEY_VERSION
    config: dict[str, Any]
    code: dict[str, str]
    """Module name to digest, over the import closure of method, dataset and protocol."""
    versions: dict[str, str]
    """Library versions that can move a number, and the kernels in use."""
    data: str
    """Fingerprint of the packed samples with their split."""
    transform: dict[str, Any]

    def key(self) -> str:
        """32 hex digits; independent of order, checkout and machine."""
        return digest(self.model_dump(mode="json"))[:32]


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def slug(text: str) -> str:
    """A file name that every system takes and no path can hide in."""
    return re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._=,+\[\]-]+", "-", text)).strip(".-") or "x"


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What changed between two `key_parts`, one sentence each: code, config, data, environment."""
    found: list[str] = []
    if old.get("version") != new.get("version"):
        found.append(f"key: rule {old.get('version')} became {new.get('version')}")
    for part, word in (("config", "config"), ("code", "code"), ("versions", "environment"), ("transform", "data")):
        before, after = (_flat(side) if isinstance(side, dict) else {} for side in (old.get(part), new.get(part)))
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                found.append(f"{word}: {name} {_change(before.get(name), after.get(name), part)}")
    if old.get("data") != new.get("data"):
        found.append(f"data: fingerprint {old.get('data')} became {new.get('data')}")
    return found


def _flat(part: dict[str, Any], within: str = "") -> dict[str, Any]:
    """Its values by their path, `method_params.lr`."""
    flat: dict[str, Any] = {}
    for name, value in part.items():
        flat |= _flat(value, f"{within}{name}.") if isinstance(value, dict) and value else {within + name: value}
    return flat


def _change(before: Any, after: Any, part: str) -> str:
    if before is None:
        return "is new"
    if after is None:
        return "is gone"
    return "was edited" if part == "code" else f"{before} became {after}"
