"""Whether packed data are what they were when they were built."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from snn5bench.data.brought import Finding
from snn5bench.data.packed import FORMAT, Packed


def check_packed(folder: Path) -> Finding:
    """Compare sizes, then the fingerprint, taken again over every stored sample."""
    try:
        if odd := [path.name for path in sorted(folder.iterdir()) if not path.is_file()]:
            raise ValueError(f"{odd[0]} is no file")
        packed = Packed(folder)
        again = fingerprint(packed)
    except Exception as error:  # damaged arrays raise whatever numpy's readers meet first
        return Finding(str(folder), f"the packed data cannot be read ({error})", "delete the folder: it is built again")
    meant = packed.meta.fingerprint
    if again != meant:
        return Finding(str(folder), f"the packed data have fingerprint {again}", f"{meant}; delete the folder")
    return Finding(str(folder), "")


def fingerprint(packed: Packed) -> str:
    """SHA-256 as `Writer.finish` takes it, from what is stored. Raises `ValueError` where sizes do not match."""
    spec = packed.spec
    group = np.load(packed.folder / "group.npy")
    whole = hashlib.sha256(json.dumps([FORMAT, spec.model_dump(mode="json")], sort_keys=True).encode())
    if spec.coding == "events":
        stored = {"step": len(packed.step), "channel": len(packed.channel), "indptr": int(packed.indptr[-1])}
        if len(set(stored.values())) != 1:
            raise ValueError(f"numbers of events differ: {stored}")
        for start, stop in zip(packed.indptr[:-1].tolist(), packed.indptr[1:].tolist(), strict=True):
            cells = packed.step[start:stop].astype("<i8") * spec.channels + packed.channel[start:stop]
            whole.update(hashlib.sha256(cells.astype("<i8").tobytes()).digest() if stop > start else b"")
    else:
        for frame in packed.frame:
            whole.update(hashlib.sha256(frame.tobytes()).digest())
    for part in (packed.label, group, packed.split):
        whole.update(part.tobytes())
    return whole.hexdigest()[:32]
