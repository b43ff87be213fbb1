"""Check a pull request that submits a row: it adds files under submissions/ and nothing else, and what it adds is true.

    python .ci/check_submission.py --base origin/main --head FETCH_HEAD     the base's code, on the head's files
    python .ci/check_submission.py --folder submissions/SUITE/ROW           one folder, before it is sent

Exit codes: 0 all true (or no submission), 1 something is not, 3 something could not be checked here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from snn5bench.submission import verify
from snn5bench.submission.layout import MAX_BYTES, MAX_FILES, ROOT


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], capture_output=True, check=True).stdout


def changes(base: str, head: str) -> list[tuple[str, str]]:
    """(letter, path) of every file that differs."""
    fields = git("diff", "--name-status", "--no-renames", "-z", f"{base}...{head}").decode().split("\0")
    return list(zip(fields[0:-1:2], fields[1::2], strict=True))


def refusals(changed: list[tuple[str, str]]) -> list[str]:
    found = []
    for letter, path in changed:
        parts = PurePosixPath(path).parts
        if parts[0] != ROOT:
            found.append(f"{path}: a submission touches nothing but {ROOT}/")
        elif letter != "A":
            found.append(f"{path}: an earlier submission is changed or removed")
        elif len(parts) not in (4, 5) or ".." in parts:
            found.append(f"{path}: it does not stand in {ROOT}/SUITE/ROW/")
    if len(changed) > MAX_FILES:
        found.append(f"{len(changed)} files are too many (at most {MAX_FILES})")
    return found


def fetch(paths: list[str], head: str, into: Path) -> set[Path]:
    """Write the head's files out as plain files, whatever their mode; the folders of the rows."""
    folders, total = set(), 0
    for path in paths:
        total += int(git("cat-file", "-s", f"{head}:{path}"))
        if total > MAX_BYTES:
            sys.exit(f"the submission has more than {MAX_BYTES} bytes")
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(git("cat-file", "blob", f"{head}:{path}"))
        folders.add(into.joinpath(*PurePosixPath(path).parts[:3]))
    return folders


def check(folders: list[Path], salt: str) -> int:
    code = 0
    for folder in folders:
        report = verify(folder, Path(), salt)
        for problem in report.problems:
            print(f"refused: {problem}")
        for point in report.open:
            print(f"not checked: {point}")
        for note in report.notes:
            print(note)
        code = 1 if report.problems else code or (3 if report.open else 0)
        print(f"{folder.parent.name}/{folder.name}: {['true', 'refused', '', 'cannot tell'][code]}")
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="origin/main")
    parser.add_argument("--head", default="HEAD")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.folder:
        sys.exit(check([options.folder], ""))
    changed = changes(options.base, options.head)
    if not any(PurePosixPath(path).parts[0] == ROOT for _, path in changed):
        sys.exit(print("no submission in this pull request") or 0)
    found = refusals(changed)
    for line in found:
        print(f"refused: {line}")
    if found:
        sys.exit(1)
    with TemporaryDirectory() as folder:
        rows = fetch([path for _, path in changed], options.head, Path(folder))
        sys.exit(check(sorted(rows), git("rev-parse", options.base).decode().strip()))
