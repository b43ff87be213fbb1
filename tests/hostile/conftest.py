"""A box for each test, and the process as it was afterwards."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.box import Box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box; afterwards the process stands where it stood."""
    environment, folder, temporary = dict(os.environ), Path.cwd(), tempfile.tempdir
    made = Box(tmp_path / "box")
    made.enter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield made
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = temporary
