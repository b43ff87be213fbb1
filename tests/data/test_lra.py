"""The Long Range Arena, on small folders laid out as its release is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snn5bench.data.cache import prepare
from snn5bench.data.leaks import LEAKED
from snn5bench.data.listops_language import TOKENS
from snn5bench.data.lra import CUT, LraListOps, LraRetrieval, LraText
from snn5bench.data.lra_pictures import LraPathfinder, read_metadata, sequence
from snn5bench.errors import BenchError
from tests.data.making import frames, samples


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    return tmp_path


def listops(root: Path, **changes: str) -> None:
    folder = root / "lra-listops"
    folder.mkdir(exist_ok=True)
    made = {
        "train": "( ( ( [MAX 2 ) 9 ) ] )\t9\n[MED 1 2 4 ]\t2\n[SM 7 8 ]\t5\n",
        "val": "[MIN 4 3 ]\t3\n",
        "test": "[SM 1 1 [MAX 3 4 ] ]\t6\n",
    } | changes
    for name, text in made.items():
        (folder / f"basic_{name}.tsv").write_text(f"Source\tTarget\n{text}")


def test_listops_is_read_without_parentheses_and_ends_at_the_last_step(root):
    listops(root)
    dataset, made = samples(LraListOps, T=6)
    said = {s.label: [TOKENS[c] for c in s.channel] for s in made}
    assert said[9] == ["[MAX", "2", "9", "]"] and said[5] == ["[SM", "7", "8", "]"]
    assert said[6] == ["[SM", "1", "1", "[MAX", "3", "4"] and dataset.counted[CUT] == 1
    assert all(s.step[-1] == 5 for s in made)
    assert Counter(s.split for s in made) == {"train": 3, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[MAX 1 2 ]\t1\n", "the label says 1, the expression is 2"),
        ("[MAX 1 2 ]\n", "has 1 fields, expected 2"),
        ("[MAX 1 2\t2\n", "is no expression"),
        ("[MAX 1 2 ]\ttwo\n", "is no expression"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(root, line, says):
    listops(root, train=f"[SM 7 8 ]\t5\n{line}")
    with pytest.raises(BenchError, match=says) as caught:
        samples(LraListOps)
    assert caught.value.problems[0].where.endswith("basic_train.tsv:3")


def reviews(root: Path) -> None:
    texts = {
        "train/pos/0_9.txt": "Good.", "train/neg/0_1.txt": "Bad!", "train/pos/1_8.txt": "Seen in both",
        "test/pos/0_7.txt": "Seen in both", "test/neg/0_2.txt": "Dreadfully long and bad",
    }  # fmt: skip
    for name, text in texts.items():
        path = root / "aclImdb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_reviews_are_bytes_and_those_in_both_splits_are_dropped_from_train(root):
    reviews(root)
    dataset, made = samples(LraText, T=12)
    texts = {bytes(s.channel.astype("u1")).decode(): (s.label, s.split) for s in made}
    assert texts == {
        "Good.": (1, "train"),
        "Bad!": (0, "train"),
        "Seen in both": (1, "test"),
        "Dreadfully l": (0, "test"),
    }
    assert (dataset.counted[LEAKED], dataset.counted[CUT]) == (1, 1)
    (root / "aclImdb/test/neg/0_2.txt").unlink()
    assert "test/neg/*.txt not found" in dataset.available().reason


def test_two_papers_run_side_by_side(root):
    folder = root / "lra_release" / "tsv_data"
    folder.mkdir(parents=True)
    for name in ("train", "eval", "test"):
        (folder / f"new_aan_pairs.{name}.tsv").write_text(f'1.0\ta\tb\tab "{name}\tc\n0\tx\ty\td\t{name}\n')
    dataset, made = samples(LraRetrieval, T=16)
    assert Counter(s.split for s in made) == {"train": 2, "val": 2, "test": 2}
    dense = frames(dataset, made[0])
    assert made[0].label == 1 and dense[-1, ord("t")] and dense[-1, 256 + ord("c")]
    assert dense[:, :256].sum() == len('ab "test') and dense[:, 256:].sum() == 1
    (folder / "new_aan_pairs.eval.tsv").write_text("2.0\ta\tb\tc\td\n")
    with pytest.raises(BenchError, match=r"label '2.0' is neither 0 nor 1"):
        samples(LraRetrieval)


@pytest.mark.parametrize("real_arrays", [False, True])
def test_pathfinder_metadata_of_either_kind(root, real_arrays):
    home = root / "lra-pathfinder" / "pathfinder32" / "curv_contour_length_14"
    (home / "metadata").mkdir(parents=True)
    rng, labels = np.random.default_rng(0), {}
    for b in range(2):
        (home / "imgs" / str(b)).mkdir(parents=True)
        rows = []
        for i in range(30):
            label = (i + b) % 2
            picture = rng.integers(0, 256, (32, 32), dtype=np.uint8)
            labels[picture.tobytes()] = label
            Image.fromarray(picture).save(home / "imgs" / str(b) / f"sample_{i}.png")
            rows.append([f"imgs/{b}", f"sample_{i}.png", str(i), str(label), "1.8", "6"])
        path = home / "metadata" / f"{b}.npy"
        if real_arrays:
            np.save(path, np.array(rows))
        else:
            path.write_text("\n".join(" ".join(row) for row in rows) + "\n")
    (home / "imgs" / "0" / "sample_7.png").write_bytes(b"")
    dataset, made = samples(LraPathfinder)
    assert len(made) == 59 and dataset.counted["empty pictures (left out)"] == 1
    for sample in made:
        assert sample.step.tolist() == list(range(1024))
        assert labels[sample.channel.astype("u1").tobytes()] == sample.label
    shares = Counter(s.split for s in made)
    assert shares["train"] > 35 and shares["val"] and shares["test"]
    (home / "imgs" / "1" / "sample_3.png").unlink()
    (found,) = [f for f in dataset.check() if f.problem]
    assert "1 pictures are missing, imgs/1/sample_3.png first" in found.problem


def test_metadata_without_labels_are_refused(tmp_path):
    (tmp_path / "0.npy").write_text("imgs/0 sample_0.png 0 yes\n")
    with pytest.raises(BenchError, match="label 0 or 1"):
        read_metadata(tmp_path / "0.npy")


def test_a_picture_is_one_spike_a_step_at_its_level():
    step, channel = sequence(np.array([[0, 255], [127, 128]], dtype=np.uint8), 2)
    assert (step.tolist(), channel.tolist()) == ([0, 1, 2, 3], [0, 1, 0, 1])


def test_small_arenas_pack(root):
    listops(root)
    meta = prepare(LraListOps(LraListOps.Params(T=20))).meta
    assert meta.samples == {"train": 3, "val": 1, "test": 1}
    assert meta.counted == {}, "what did not happen is not told"
