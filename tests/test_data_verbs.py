"""`snn5bench data list|get|check|path|probe`, as typed."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from snn5bench.cli import app
from snn5bench.data.cache import folder_of, prepare
from snn5bench.data.digits import Digits
from snn5bench.data.probe import stored
from snn5bench.data.pulse_order import PulseOrder
from snn5bench.data.whole import check_packed, fingerprint
from snn5bench.errors import BenchError
from snn5bench.publish import probes_of
from snn5bench.report.table import Table
from snn5bench.shelf import probes, read_probes


def typed(*words: str):
    return CliRunner().invoke(app, ["data", *words])


def test_list_says_where_brought_data_are_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    rows = {row["name"]: row for row in json.loads(typed("list", "--json").stdout)}
    assert rows["shd"]["state"] == "must be brought"
    assert rows["shd"]["looked_for"][0] == str(tmp_path / "shd")
    assert rows["pulse-order"]["state"] in ("made", "can be made") and rows["pulse-order"]["looked_for"] is None
    shown = typed("list").stdout
    assert all(name in shown for name in rows)


def test_path_names_the_folder_of_from_first(monkeypatch, tmp_path):
    monkeypatch.delenv("SNN5BENCH_DATA", raising=False)
    row = json.loads(typed("path", "shd", "--from", str(tmp_path), "--json").stdout)
    monkeypatch.delenv("SNN5BENCH_DATA")
    assert row["looked_for"][0] == str(tmp_path / "shd") and row["found"] is None
    assert "shd_train.h5" in row["expects"]


def test_check_fails_with_what_was_expected(monkeypatch, tmp_path):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    (tmp_path / "shd").mkdir()
    for name in ("shd_train.h5", "shd_test.h5"):
        (tmp_path / "shd" / name).write_bytes(b"not hdf5")
    done = typed("check", "shd")
    assert done.exit_code == 2
    assert "not a whole HDF5 file" in done.stdout and "expected 8,156 samples" in done.stdout
    rows = json.loads(typed("check", "shd", "--json").stdout)
    assert len(rows) == 2 and all(row["problem"] for row in rows)


@pytest.mark.parametrize("dataset", [PulseOrder(PulseOrder.Params(train=5, val=2, test=2)), Digits(Digits.Params())])
def test_packed_data_that_changed_on_disk_are_found(dataset):
    packed = prepare(dataset)
    assert fingerprint(packed) == packed.meta.fingerprint
    folder = folder_of(dataset)
    assert check_packed(folder).problem == ""
    file = folder / ("step.bin" if dataset.spec().coding == "events" else "frame.bin")
    good = file.read_bytes()
    try:
        values = np.frombuffer(good, dtype="u1").copy()
        values[8] ^= 1
        file.write_bytes(values.tobytes())
        assert "have fingerprint" in check_packed(folder).problem
        file.write_bytes(good[:-4])
        assert "cannot be read" in check_packed(folder).problem
    finally:
        file.write_bytes(good)


def test_a_parameter_that_does_not_fit_is_refused_with_the_known_ones():
    done = typed("path", "randman", "--set", "unitz=3")
    assert isinstance(done.exception, BenchError)
    (problem,) = done.exception.problems
    assert "unitz" in problem.where and "units" in problem.do
    assert isinstance(typed("path", "randman", "--set", "units").exception, BenchError)


def test_probe_prints_a_line_for_each_classifier():
    words = ["probe", "digits", "--set", "T=2"]
    shown = typed(*words).stdout
    assert "counts, logistic" in shown and "same frame" in shown and "chance" in shown
    row = json.loads(typed(*words, "--json").stdout)
    assert row["lines"]["counts, logistic"]["accuracy"] > 0.9


def test_what_a_probe_found_is_read_again_while_the_data_are_the_same(tmp_path):
    dataset = Digits(Digits.Params(T=2))
    typed("probe", "digits", "--set", "T=2", "--seeds", "0")
    found = stored(dataset, [0])
    assert found is not None and found.lines["counts, logistic"].accuracy > 0.9
    probes({"digits": dataset}, "0", tmp_path / "probes.json", Console(quiet=True))
    assert read_probes(tmp_path / "probes.json") == [found]
    file = folder_of(dataset) / "probe.json"
    whole = file.read_text()
    try:
        file.write_text(whole.replace(found.key, "another key"))
        assert stored(dataset, [0]) is None
        file.write_text(whole[:-9])
        with pytest.raises(BenchError, match=r"probe\.json"):
            stored(dataset, [0])
    finally:
        file.write_text(whole)
    assert stored(Digits(Digits.Params(T=999)), [0]) is None
    assert read_probes(tmp_path / "none.json") == []


def test_probes_of_a_suite_are_written_for_the_front_page(tmp_path):
    """One dataset is here, one must be brought; a probe that was written before stays where its data have gone."""
    (tmp_path / "two.yaml").write_text(
        "seeds: [0]\nbudget: {epochs: 1, batch_size: 8}\nmethods: [lif]\n"
        "datasets: [{name: digits, params: {T: 2}}, n-mnist]\n"
    )
    words = ["probes", "two", "--suites", str(tmp_path), "--results", str(tmp_path)]
    shown = typed(*words).stdout
    assert "n-mnist: not here" in shown
    path = tmp_path / "two" / "probes.json"
    (found,) = read_probes(path)
    assert found.dataset == "digits" and found.lines["counts, logistic"].accuracy > 0.9
    setups = [
        SimpleNamespace(dataset_name="digits", dataset_params=found.params, fingerprints=prints)
        for prints in ({0: found.fingerprint}, {})
    ]
    table = cast("Table", SimpleNamespace(rows=[SimpleNamespace(setup=setup) for setup in setups]))
    assert len(probes_of(table, path)) == 1, "a row that ran nowhere, the last, hid what the others were fed"
    before = path.read_bytes()
    assert "wrote" in typed(*words).stdout and path.read_bytes() == before
    assert isinstance(typed(*words, "--seeds", "x").exception, BenchError)
    path.write_text("[1]")
    assert read_probes(path) == [] == read_probes(tmp_path / "nowhere.json")
