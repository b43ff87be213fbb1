"""Submissions: an honest row passes, and whatever is forged in it is found."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from snn5bench import baseline, registry
from snn5bench.errors import BenchError
from snn5bench.expand import read
from snn5bench.progress import Display
from snn5bench.record import Record
from snn5bench.run import run
from snn5bench.store import Store, identity_of, read_record
from snn5bench.submission import collect, layout, verify
from snn5bench.submission.text import pull_request
from snn5bench.tracking import NoTracker

ROOT = Path(__file__).parents[1]
SUITE = """\
seeds: [0, 1]
budget: {epochs: 2, batch_size: 64}
twins: {notd: {methods: ["acme/tiny"]}, shuffled: null}
datasets:
  - {name: pulse-order, params: {T: 16, min_gap: 2, max_gap: 4, train: 30, val: 10, test: 20}}
methods: [acme/tiny, acme/crashes]
"""
ROW = "acme/tiny@pulse-order"


@pytest.fixture
def ran(tiny_plugin, tmp_path):
    """A suite that ran: its file, its cells and its store."""
    path = tmp_path / "mine.yaml"
    path.write_text(SUITE)
    loaded, planned = read(path)
    store = Store(tmp_path / "results", loaded.name)
    run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    return path, planned, store


@pytest.fixture
def submitted(ran, tmp_path):
    """The honest submission, in a checkout of its own."""
    path, planned, store = ran
    return collect(ROW, path, planned, store, tmp_path / "checkout")


def edit(folder: Path, change, which: int = 0) -> Record:
    """Apply `change(record as a dict, arrays)` to one cell and write both back under the name they then have."""
    store = layout.store_of(folder)
    path = sorted(store.cells.glob("*.json"))[which]
    record = read_record(path)
    arrays, document = store.arrays(record), record.model_dump(mode="json")
    change(document, arrays)
    edited = Record.model_validate(document)
    for old in (path, path.with_suffix(".npz")):
        old.unlink()
    store.path(edited).write_text(edited.model_dump_json(indent=1) + "\n")
    np.savez_compressed(store.path(edited).with_suffix(".npz"), **arrays)
    records = store.records()
    (folder / layout.ENVIRONMENT).write_text(layout.environment_text(records))
    rewrite_text(folder)
    return edited


def rewrite_text(folder: Path) -> None:
    """The text that `submit` would write of these records, if it can make one of them."""
    store = layout.store_of(folder)
    _, planned = read(next(folder.glob("*.yaml")))
    found = {identity_of(record): record for record in store.records()}
    records = [found[one.cell.identity] for one in planned if one.cell.identity in found]
    with suppress(BenchError, IndexError, ValueError):
        (folder / layout.TEXT).write_text(pull_request(f"{records[0].variant}@{records[0].dataset}", records, store))


def told(folder: Path, root: Path | None = None) -> str:
    report = verify(folder, root or folder.parents[2], rerun=False)
    return "\n".join(map(str, report.problems))


def test_an_honest_row_passes_and_one_of_its_cells_is_run_again(submitted):
    assert submitted.parts[-3:] == ("submissions", "mine", "acme-tiny--pulse-order")
    assert len(list((submitted / "cells").glob("*.json"))) == 4
    report = verify(submitted, submitted.parents[2])
    assert (report.problems, report.open) == ([], [])
    (note,) = report.notes
    assert note.endswith("again: bit-equal")
    text = (submitted / "PULL_REQUEST.md").read_text()
    assert "# acme/tiny@pulse-order in mine" in text
    assert "| without temporal dynamics | 0, 1 | 50.0 % [" in text
    environment = json.loads((submitted / "environment.json").read_text())
    assert environment["packages"] == ["acme 1.0"]
    assert environment["environments"][0]["versions"]["torch"]


def test_another_salt_runs_another_cell(submitted, monkeypatch):
    chosen = set()

    def pretend(cells, done, jobs):
        chosen.update(cell.label for cell in cells)
        raise KeyboardInterrupt

    monkeypatch.setattr("snn5bench.submission.verification.processes.run", pretend)
    for salt in map(str, range(64)):  # 12 draws over 4 cells miss one in an eighth of all runs; 64 in one of 10 million
        with pytest.raises(KeyboardInterrupt):
            verify(submitted, submitted.parents[2], salt)
    assert len(chosen) == 4, "every cell of the row can be the one"


def test_an_edited_accuracy_is_found(submitted):
    edit(submitted, lambda record, arrays: record.update(test_accuracy=0.99))
    assert "test accuracy is 0.99, its predictions give" in told(submitted)


def test_edited_predictions_are_found(submitted):
    edit(submitted, lambda record, arrays: arrays.update(prediction=arrays["label"].copy()))
    assert "its predictions give 1.0" in told(submitted)


def test_edited_labels_are_found(submitted):
    def change(record, arrays):
        arrays["label"] = arrays["prediction"].copy()
        record["test_accuracy"] = 1.0

    edit(submitted, change)
    assert "labels are not the dataset's own" in told(submitted)


def test_an_edited_key_is_found(submitted):
    edit(submitted, lambda record, arrays: record.update(key="f" * 32))
    assert f"its key is {'f' * 32}, its parts give" in told(submitted)


def test_edited_key_parts_with_their_key_are_found(submitted):
    def change(record, arrays):
        from snn5bench.cell import KeyParts

        record["key_parts"]["code"]["acme.tiny"] = "0" * 16
        record["key"] = KeyParts.model_validate(record["key_parts"]).key()

    edit(submitted, change)
    assert "made by something else than what is here: code: acme.tiny was edited" in told(submitted)


def test_a_config_that_is_not_the_suites_is_found(submitted):
    edit(submitted, lambda record, arrays: record["method_params"].update(scale=3.0))
    assert "method_params is" in told(submitted)


def test_an_epoch_that_validation_did_not_choose_is_found(submitted):
    def change(record, arrays):
        record["selected_epoch"] = 7

    edit(submitted, change)
    assert "epoch 7 with validation accuracy" in told(submitted)


def test_energy_that_its_counts_do_not_give_is_found(submitted):
    edit(submitted, lambda record, arrays: record["energy_nj"].update(made_up=0.001))
    assert "energy_nj is not what its counts give" in told(submitted)


def test_energy_of_a_plugin_that_is_not_here_leaves_it_open(submitted):
    edit(submitted, lambda record, arrays: record["energy_nj"].update({"faraway/cheap": 0.001}))
    report = verify(submitted, submitted.parents[2])
    assert report.problems == []
    (point,) = report.open
    assert "energy by faraway/cheap was not computed again: package faraway is not installed" in point


def test_an_energy_model_left_out_is_found(submitted):
    edit(submitted, lambda record, arrays: record["energy_nj"].pop("lemaire"))
    assert "energy_nj is not what its counts give by lemaire" in told(submitted)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("synops_per_sample", 1.0, "synops_per_sample is 1.0, its layers give"),
        ("macs_per_sample", 1.0, "macs_per_sample is 1.0, its layers give"),
        ("acs_per_sample", None, "acs_per_sample is None, its layers give"),
        ("weight_sparsity", 0.9, "weight_sparsity is 0.9, its layers give"),
        ("spike_rate", 0.01, "spike_rate is 0.01, those of its layers are"),
        ("test_accuracy_peeked", 0.9, "test_accuracy_peeked is 0.9, its curve gives None"),
        ("fidelity", {"kind": "inspired", "note": "an idea"}, "fidelity is kind='inspired'"),
        ("T", 3, "T is 3, it is 16 here"),
        ("temporal", False, "temporal is False, it is True here"),
        ("n_train", 3000, "n_train is 3000, it is"),
        ("selection_rule", "best test epoch", "selection_rule is best test epoch, it is best validation epoch here"),
        ("split_rule", "by luck", "split_rule is by luck"),
        ("budget", {"epochs": 1, "batch_size": 64}, "epochs is 1, the suite says 2"),
        ("budget", {}, "epochs is None, the suite says 2"),
        ("seed", 5, "the suite has no such cell"),
    ],
)
def test_what_a_record_says_beside_its_accuracy_is_checked(submitted, name, value, says):
    edit(submitted, lambda record, arrays: record.update({name: value}))
    assert says in told(submitted)


def test_a_config_that_its_key_was_not_made_of_is_found(submitted):
    """The suite, too, says what the record says: only the key gives it away."""
    suite = submitted / "mine.yaml"
    suite.write_text(suite.read_text().replace("epochs: 2", "epochs: 5"))
    for which in range(4):
        edit(submitted, lambda record, arrays: record["budget"].update(epochs=5), which)
    assert "epochs is 5, its key was made of 2" in told(submitted)


def test_the_text_is_what_the_records_say(submitted):
    text = submitted / "PULL_REQUEST.md"
    text.write_text(text.read_text().replace("50.0 %", "99.0 %"))
    assert "PULL_REQUEST.md: it is not what the records say" in told(submitted)


def test_the_folder_is_called_after_its_row(submitted):
    other = submitted.rename(submitted.with_name("lif--pulse-order"))
    assert "the folder is not its row's\n    -> it is called acme-tiny--pulse-order" in told(other)


@pytest.mark.parametrize(
    ("ours", "theirs", "odd"),
    [
        ("epochs: 2", "epochs: 1", "budget"),
        ("seeds: [0, 1]", "seeds: [0, 1, 2]", "seeds"),
        ("train: 30", "train: 20", "datasets"),
        ("shuffled: null", "sdbp: null", "twins"),
        ("acme/tiny, acme/crashes", "{name: acme/tiny, params: {scale: 2.0}}", "method acme/tiny"),
        ("acme/crashes", "lif", ""),
        ("seeds: [0, 1]", "seeds: many", "seeds"),
        ("seeds", "description: of ours\nseeds", ""),
    ],
)
def test_a_row_of_a_suite_that_is_here_is_run_as_it_is_here(submitted, ours, theirs, odd):
    """Another method may come to it; its protocol may not change, nor what a method of it is."""
    here = submitted.parents[2] / "suites" / "mine.yaml"
    here.parent.mkdir()
    here.write_text(SUITE.replace(ours, theirs))
    found = told(submitted)
    if "many" in theirs:
        assert "mine.yaml:1 seeds" in found, "ours is broken"
    else:
        assert found == "" if not odd else f"its {odd} is not that of the suite 'mine' here" in found


def test_predictions_of_other_samples_are_found(submitted):
    def change(record, arrays):
        arrays["index"] = arrays["index"][::-1].copy()

    edit(submitted, change)
    assert "other samples" in told(submitted)


def test_a_consistent_forgery_is_found_by_running_it_again(submitted):
    """Predictions, accuracy and all else agree with each other; only the run itself does not."""

    def change(record, arrays):
        arrays["prediction"] = arrays["label"].copy()
        record["test_accuracy"] = 1.0

    for which in range(4):
        edit(submitted, change, which)
    assert told(submitted) == ""
    report = verify(submitted, submitted.parents[2])
    (problem,) = report.problems
    assert "run again, has accuracy 0.5, the record says 1.0" in problem.what


@pytest.mark.parametrize("lost", ["one seed", "a twin"])
def test_a_row_must_be_whole(submitted, lost):
    pattern = "*--s1--*.*" if lost == "one seed" else "*+notd--*"
    for path in (submitted / "cells").glob(pattern):
        path.unlink()
    assert "is missing" in told(submitted)


def test_what_has_no_place_is_found(submitted):
    (submitted / "setup.py").write_text("import os")
    (submitted / "cells" / "run.sh").write_text("true")
    (submitted / "cells" / "deep").mkdir()
    (submitted / "link.yaml").symlink_to("/etc/hostname")
    found = told(submitted)
    assert found.count("no place in a submission") == 3
    assert "a link" in found


@pytest.mark.parametrize("size", ["record", "arrays", "folder"])
def test_sizes_are_limited(submitted, size, monkeypatch):
    if size == "folder":
        monkeypatch.setattr(layout, "MAX_BYTES", 100)
        assert "at most" in told(submitted)
        return
    path = next((submitted / "cells").glob("*.json"))
    with path.with_suffix(".json" if size == "record" else ".npz").open("r+b") as file:
        file.truncate((17 << 20) if size == "record" else (100 << 20))
    assert ("too large" if size == "record" else "cannot be read") in told(submitted) or "damaged" in told(submitted)


def test_a_record_that_does_not_fit_the_schema_is_found(submitted):
    path = next((submitted / "cells").glob("*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bonus": 1}))
    assert "not a record of this version" in told(submitted)


def test_a_renamed_record_is_found(submitted):
    path = next((submitted / "cells").glob("*.json"))
    for old in (path.with_suffix(".npz"), path):
        old.rename(old.with_name(old.name.replace("--s", "--x", 1)))
    assert "not named after its record" in told(submitted)


def test_a_second_record_of_a_cell_is_found(submitted):
    """The store shows the newer of two; the other one must not slip in unread."""
    path = sorted((submitted / "cells").glob("*.json"))[0]
    for old in (path, path.with_suffix(".npz")):
        stem, _, _ = path.stem.rpartition("--")
        shutil.copy(old, old.with_name(f"{stem}--{'0' * 8}{old.suffix}"))
    assert "a second record of its cell" in told(submitted)


def test_earlier_numbers_stand(ran, submitted, tmp_path):
    """A locked baseline, or an earlier submission, has the same key with another accuracy."""
    _, _, store = ran
    records = [r for r in store.records() if r.method == "acme/tiny"]
    checkout = submitted.parents[2]
    locked = checkout / "baselines" / "locked" / "mine.json"
    correct = store.correct(records)
    baseline.write(baseline.lock(records, correct), locked)
    assert told(submitted) == ""
    victim = records[0]
    answers = ~correct[victim.key]
    changed = victim.model_copy(update={"test_accuracy": float(answers.mean())})
    if changed.test_accuracy == victim.test_accuracy:
        answers[0] = ~answers[0]
        changed = victim.model_copy(update={"test_accuracy": float(answers.mean())})
    baseline.write(baseline.lock([changed, *records[1:]], correct | {victim.key: answers}), locked)
    assert "stands already" in told(submitted)
    locked.unlink()
    other = submitted.with_name("an-earlier-one")
    shutil.copytree(submitted, other)
    assert told(submitted) == ""

    def change(record, arrays):
        arrays["prediction"] = arrays["label"].copy()
        record["test_accuracy"] = 1.0

    edit(other, change)
    assert "where 1.0 stands already" in told(submitted)


def test_a_plugin_that_is_not_here_leaves_it_open(submitted, tiny_plugin):
    for info in tiny_plugin.parent.glob("acme-*.dist-info"):
        shutil.rmtree(info)
    registry.entries.cache_clear()
    registry.absence.cache_clear()
    report = verify(submitted, submitted.parents[2])
    assert report.problems == []
    assert report.open[0].endswith("package acme is not installed")


def all_right(record, arrays):
    arrays["prediction"] = arrays["label"].copy()


IN_THE_DARK = {
    "accuracy": (
        lambda record, arrays: record.update(test_accuracy=0.99),
        "test accuracy is 0.99, its predictions give",
    ),
    "predictions": (all_right, "its predictions give 1.0"),
    "key": (lambda record, arrays: record.update(key="f" * 32), f"its key is {'f' * 32}, its parts give"),
    "parameters": (lambda record, arrays: record["method_params"].update(scale=3.0), "its key was made of"),
    "counts": (lambda record, arrays: record.update(synops_per_sample=1.0), "its layers give"),
    "energy": (lambda record, arrays: record["energy_nj"].update(lemaire=0.1), "energy_nj is not what its counts give"),
}


@pytest.mark.parametrize("gone", ["plugin", "data"])
@pytest.mark.parametrize("forged", IN_THE_DARK)
def test_what_is_forged_is_refused_though_its_plugin_or_its_data_are_not_here(
    submitted, tiny_plugin, monkeypatch, gone, forged
):
    change, words = IN_THE_DARK[forged]
    edit(submitted, change)
    if gone == "plugin":
        for info in tiny_plugin.parent.glob("acme-*.dist-info"):
            shutil.rmtree(info)
        registry.entries.cache_clear()
        registry.absence.cache_clear()
    else:
        monkeypatch.setattr("snn5bench.submission.verification._data", lambda cell: (None, "its data are not here"))
    report = verify(submitted, submitted.parents[2])
    assert words in "\n".join(map(str, report.problems))
    assert len(report.open) == 4


def test_only_whole_rows_of_todays_code_are_collected(ran, tmp_path):
    path, planned, store = ran
    with pytest.raises(BenchError, match="did you mean 'acme/tiny@pulse-order'"):
        collect("acme/tinny@pulse-order", path, planned, store, tmp_path)
    with pytest.raises(BenchError, match="it failed last time"):
        collect("acme/crashes@pulse-order", path, planned, store, tmp_path)
    collect(ROW, path, planned, store, tmp_path)
    with pytest.raises(BenchError, match="there already"):
        collect(ROW, path, planned, store, tmp_path)
    next(store.cells.glob("acme-tiny--*s0*.json")).unlink()
    with pytest.raises(BenchError, match="no record yet"):
        collect(ROW, path, planned, store, tmp_path / "elsewhere")
