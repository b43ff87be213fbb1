"""What must hold after every fault: no finished result lost, no half-written file, and a rerun that is bit-equal."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np

from snn5bench.errors import BenchError
from snn5bench.record import Status
from snn5bench.reproduce import VOLATILE
from snn5bench.store import Store, read_record
from tests.faults.world import Tally, World, complete

COMPARED = set(VOLATILE) - {"key", "key_parts"}

Files = dict[str, bytes]


def cells_of(results: Path) -> list[Path]:
    """Every file below the results folder, hidden ones too."""
    return sorted(path for path in results.rglob("*") if path.is_file() and path.parent.name == "cells")


def finished(results: Path) -> Files:
    """The files of each `done` record and of its arrays, as bytes. What cannot be read counts as not finished here; `torn`
    reports it."""
    found: Files = {}
    for path in cells_of(results):
        if path.suffix != ".json":
            continue
        try:
            done = read_record(path).status is Status.DONE
        except (BenchError, OSError):
            continue
        if done:
            arrays = path.with_suffix(".npz")
            found[path.name] = path.read_bytes()
            if arrays.is_file():
                found[arrays.name] = arrays.read_bytes()
    return found


def torn(results: Path) -> list[str]:
    """Files under a final name that are not whole, and records whose arrays are not there."""
    wrong = []
    for path in cells_of(results):
        try:
            if path.suffix == ".json":
                record = read_record(path)
                if record.status is Status.DONE and not path.with_suffix(".npz").is_file():
                    wrong.append(f"no arrays: {path.name}")
            elif path.suffix == ".npz":
                with np.load(path) as file:
                    _ = {name: file[name] for name in file.files}
        except Exception as error:  # whatever a torn file makes a reader raise
            wrong.append(f"torn: {path.name}: {type(error).__name__}: {str(error)[:80]}")
    return wrong


def left_over(results: Path) -> list[str]:
    """What no run should leave behind: temporary files, arrays without a record, two records of one cell."""
    files = cells_of(results)
    wrong = [f"left behind: {path.name}" for path in files if path.suffix not in {".json", ".npz"}]
    wrong += [
        f"arrays without a record: {path.name}"
        for path in files
        if path.suffix == ".npz" and not path.with_suffix(".json").is_file()
    ]
    stems = [path.name.rpartition("--")[0] for path in files if path.suffix == ".json"]
    return wrong + [f"two records: {stem}" for stem in sorted({s for s in stems if stems.count(s) > 1})]


def lost(before: Files, results: Path) -> list[str]:
    """Which of the files that were there are gone or changed."""
    now = finished(results)
    return [f"lost: {name}" for name, content in before.items() if now.get(name) != content]


def differences(results: Path, reference: Path) -> list[str]:
    """How the records and arrays of `results` differ from the reference's; empty where they are bit-equal."""
    one, two = (Store(folder, next(folder.glob("*/cells")).parent.name) for folder in (results, reference))
    ours = {(r.variant, r.dataset, r.twin, r.seed): r for r in one.records()}
    theirs = {(r.variant, r.dataset, r.twin, r.seed): r for r in two.records()}
    wrong = [f"cells differ: {sorted(ours.keys() ^ theirs.keys())}"] if ours.keys() != theirs.keys() else []
    for at in ours.keys() & theirs.keys():
        left, right = (r.model_dump(mode="json", exclude=COMPARED) for r in (ours[at], theirs[at]))
        wrong += [f"{at}: {field} differs" for field in left if left[field] != right[field]]
        mine, its = one.arrays(ours[at]), two.arrays(theirs[at])
        if mine.keys() != its.keys() or any(mine[k].tobytes() != its[k].tobytes() for k in mine):
            wrong.append(f"{at}: arrays differ")
    return wrong


def after(
    world: World, tally: Tally, results: Path, before: Files, suite: Path | None = None, stale: Collection[str] = ()
) -> bool:
    """Check everything after one fault: `results` as the fault left them, then a copy that a rerun brings to its end.
    Files named in `stale` are records of older code, which the rerun replaces. Returns whether all cells had ended."""
    suite = suite or world.suite
    world.latest = tally
    reference = world.reference_of(suite)
    problems = torn(results)
    gone = lost(before, results)
    kept = {name: content for name, content in finished(results).items() if name not in stale}
    tally.tried += 1
    tally.kept += sum(file.endswith(".json") for file in kept)
    copy = world.fresh("rerun")
    shutil.copytree(results, copy, dirs_exist_ok=True)
    try:
        complete(suite, copy)
        gone += [f"{line} (by the rerun)" for line in lost(kept, copy) if line not in gone]
        unequal = differences(copy, reference)
        problems += torn(copy) + left_over(copy) + unequal
        tally.bit_equal += not unequal
    except Exception as error:  # a rerun that cannot end is a finding, whatever stopped it
        problems.append(f"the rerun failed: {type(error).__name__}: {str(error)[:200]}")
    finally:
        tally.reruns += 1
        shutil.rmtree(copy, ignore_errors=True)
    tally.lost += sum(".json" in line for line in gone)
    tally.problems += [*gone, *problems]
    theirs = sum(path.suffix == ".json" for path in cells_of(reference))
    return sum(file.endswith(".json") for file in kept) == theirs
