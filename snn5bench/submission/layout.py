"""Where the parts of a submission stand: `submissions/<suite>/<row>/`, and what may be in it.

<suite>.yaml        the suite that has the row
cells/              its records and their per-sample predictions, every seed and twin
environment.json    what ran them
PULL_REQUEST.md     the text of the pull request
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from snn5bench.cell import slug
from snn5bench.errors import Problem
from snn5bench.record import Record
from snn5bench.store import Store

ROOT = "submissions"
TEXT, ENVIRONMENT = "PULL_REQUEST.md", "environment.json"
MAX_FILES = 4000
MAX_BYTES = 256 << 20


def folder_of(root: Path, suite: str, variant: str, dataset: str) -> Path:
    """The folder of a row's submission under the repository `root`."""
    return root / ROOT / slug(suite) / f"{slug(variant)}--{slug(dataset)}"


def store_of(folder: Path) -> Store:
    """The cells of a submission, read as those of any suite."""
    return Store(folder.parent, folder.name)


def environment_text(records: Sequence[Record]) -> str:
    """What ran the records: machines, versions, packages and commits, each once."""
    machines = {
        r.environment.model_dump_json(): r.environment.model_dump(mode="json") for r in records if r.environment
    }
    document = {
        "environments": [machines[key] for key in sorted(machines)],
        "packages": sorted({r.method_version for r in records}),
        "commits": sorted({r.git_commit for r in records if r.git_commit}),
        "edited_after_commit": any(r.git_dirty for r in records),
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def strange_files(folder: Path) -> list[Problem]:
    """What has no place in a submission: other files, links, too many or too large ones."""
    if not folder.is_dir():
        return [Problem("there is no such folder", str(folder))]
    found, sizes = [], {}
    paths = sorted(folder.rglob("*"))
    suites = [path for path in paths if path.parent == folder and path.suffix == ".yaml" and not path.is_symlink()]
    for path in paths:
        place = path.relative_to(folder)
        if path.is_symlink():
            found.append(Problem("a link", str(path), "copy the file"))
            continue
        if path.is_dir() and place.as_posix() == "cells":
            continue
        known = place.parent.as_posix() == "cells" and path.suffix in {".json", ".npz"}
        if path.is_dir() or not (known or path in suites[:1] or place.as_posix() in (TEXT, ENVIRONMENT)):
            found.append(Problem("this has no place in a submission", str(path), "take it out"))
        elif path.suffix == ".npz" and not path.with_suffix(".json").is_file():
            found.append(Problem("predictions without a record", str(path), "take them out"))
        else:
            sizes[path] = path.stat().st_size
    for name in (TEXT, ENVIRONMENT):
        if not (folder / name).is_file():
            found.append(Problem(f"{name} is missing", str(folder), "write the folder with `snn5bench submit`"))
    if not suites:
        found.append(Problem("the suite is missing", str(folder), "write the folder with `snn5bench submit`"))
    total = sum(sizes.values())
    if len(paths) > MAX_FILES or total > MAX_BYTES:
        largest = max(sizes, key=lambda path: sizes[path], default=folder)
        found.append(
            Problem(
                f"{len(paths)} files with {total} bytes, the largest of them {largest.relative_to(folder)}",
                str(folder),
                f"at most {MAX_FILES} and {MAX_BYTES}",
            )
        )
    return found
