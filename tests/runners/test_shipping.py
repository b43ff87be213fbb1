"""What nodes run and read: the driver's code, known by its digest, and data, known by their fingerprint."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from snn5bench.data import arrival
from snn5bench.data.cache import folder_of, prepare
from snn5bench.data.whole import fingerprint
from snn5bench.errors import BenchError
from snn5bench.expand import read
from snn5bench.plan import make_dataset
from snn5bench.runners import shipping


def test_a_stage_is_all_that_another_python_needs(suite, tmp_path):
    """Our package and the plugin's are imported from the stage, with its entry points, and have the driver's digests."""
    cells = [planned.cell for planned in read(suite())[1]]
    packages = shipping.packages_of(cells)
    assert packages == {"snn5bench": "snn5bench", "acme": "acme"}
    digests = shipping.stage(packages, tmp_path / "stage")
    code = (
        "from snn5bench import registry; from snn5bench.runners.shipping import digest_of\n"
        "print(registry.load('methods', 'acme/tiny').__module__, registry.entry('methods', 'acme/tiny').version)\n"
        "print(digest_of('snn5bench'), digest_of('acme'))"
    )
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=bare | {"PYTHONPATH": str(tmp_path / "stage")},
        cwd=tmp_path / "stage",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["acme.tiny", "1.0", digests["snn5bench"], digests["acme"]]


def test_any_edit_of_a_source_changes_the_digest(tiny_plugin):
    before = shipping.digest_of("acme")
    (tiny_plugin / "tiny.py").write_text((tiny_plugin / "tiny.py").read_text() + "# a comment\n")
    edited = shipping.digest_of("acme")
    (tiny_plugin / "more.py").write_text("")
    assert len({before, edited, shipping.digest_of("acme")}) == 3


def test_the_packages_of_methods_that_are_built_on_go_along(install_plugin, suite):
    built = """
        from acme.tiny import Tiny


        class Built(Tiny):
            name = "built"

            @classmethod
            def builds_on(cls, params):
                return ("acme/tiny",)
    """
    install_plugin("upper", {"built": built}, methods={"built": "upper.built:Built"})
    planned = read(suite("acme/tiny, upper/built"))[1]
    cells = [one.cell for one in planned if one.cell.method == "upper/built"]
    assert set(shipping.packages_of(cells)) == {"snn5bench", "acme", "upper"}


@pytest.fixture
def packed(suite):
    cell = read(suite())[1][0].cell
    found = prepare(make_dataset(cell))
    assert found.folder == folder_of(make_dataset(cell))
    return found


def test_data_that_arrive_are_the_same_files(packed, tmp_path):
    target = tmp_path / "there" / packed.folder.name
    arrival.receive(target, arrival.pack(packed.folder), packed.meta.fingerprint)
    for path in packed.folder.iterdir():
        assert (target / path.name).read_bytes() == path.read_bytes()
    assert arrival.is_whole(target, packed.meta.fingerprint)
    assert [path.name for path in target.parent.iterdir() if path.is_dir()] == [target.name]


@pytest.mark.parametrize("name", ["step.bin", "channel.bin", "label.npy", "split.npy", "indptr.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["bit", "cut"])
def test_data_that_arrive_damaged_are_refused_and_what_stood_there_stays(packed, tmp_path, name, damage):
    target = tmp_path / packed.folder.name
    arrival.receive(target, arrival.pack(packed.folder), packed.meta.fingerprint)
    (target / name).write_bytes(b"older")
    files = arrival.pack(packed.folder)
    content = files[name].copy()
    if damage == "bit":
        at = content.size - 2 if name != "meta.json" else packed.folder.joinpath(name).read_text().index('"T": 16') + 6
        content[at] ^= 1
    files[name] = content if damage == "bit" else content[: content.size // 2]
    with pytest.raises(BenchError, match=packed.meta.fingerprint):
        arrival.receive(target, files, packed.meta.fingerprint)
    assert (target / name).read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".arriving")] == []
    arrival.receive(target, arrival.pack(packed.folder), packed.meta.fingerprint)
    assert fingerprint(type(packed)(target)) == packed.meta.fingerprint, "and are mended by whole ones"


def test_data_are_looked_at_again_once_a_file_changes(packed, tmp_path):
    target = tmp_path / packed.folder.name
    arrival.receive(target, arrival.pack(packed.folder), packed.meta.fingerprint)
    assert arrival.is_whole(target, packed.meta.fingerprint)
    assert not arrival.is_whole(target, "0" * 32)
    labels = np.load(target / "label.npy")
    np.save(target / "label.npy", labels[::-1])
    os.utime(target / "label.npy", ns=(1, 1))
    assert not arrival.is_whole(target, packed.meta.fingerprint)
