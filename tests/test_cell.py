"""Cells and keys: pinned, independent of order, sensitive to each part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn5bench.cell import Cell, KeyParts, differences, slug


def cell(**changes: object) -> Cell:
    base = {
        "suite": "s",
        "method": "lif",
        "variant": "lif[decay=0.9]",
        "method_params": {"decay": 0.9, "hidden": [64]},
        "dataset": "digits",
        "dataset_variant": "digits",
        "dataset_params": {"T": 8},
        "seed": 0,
        "epochs": 2,
        "batch_size": 32,
    }
    return Cell.model_validate(base | changes)


def parts(**changes: object) -> KeyParts:
    base = {
        "config": cell().config(),
        "code": {"a": "1", "b": "2"},
        "versions": {"torch": "2.13.0"},
        "data": "f00d",
        "transform": {"T": 8},
    }
    return KeyParts.model_validate(base | changes)


def test_key_of_version_1_is_pinned():
    assert parts().version == 1
    assert parts().key() == "601fe56550f96f40e4d99b3d27bc79cc"


def test_order_of_parameters_and_modules_does_not_matter():
    reordered = cell(method_params={"hidden": [64], "decay": 0.9})
    assert parts(config=reordered.config(), code={"b": "2", "a": "1"}).key() == parts().key()


def test_names_for_people_do_not_matter():
    renamed = cell(suite="other", variant="my lif", dataset_variant="control")
    assert parts(config=renamed.config()).key() == parts().key()


@pytest.mark.parametrize(
    "changes",
    [
        {"code": {"a": "1", "b": "3"}},
        {"versions": {"torch": "2.13.1"}},
        {"data": "beef"},
        {"transform": {"T": 9}},
        *({"config": cell(**{k: v}).config()} for k, v in
          {"seed": 1, "epochs": 3, "batch_size": 33, "twin": "notd", "method_params": {"decay": 0.8, "hidden": [64]},
           "dataset_params": {"T": 9}, "record_peeking": True, "method": "glif"}.items()),
    ],
)  # fmt: skip
def test_each_part_that_can_move_a_number_moves_the_key(changes):
    assert parts(**changes).key() != parts().key()


def test_differences_are_named():
    old = parts().model_dump(mode="json")
    new = parts(
        config=cell(seed=3).config(), code={"a": "9", "c": "1"}, versions={"torch": "2.14.0"}, data="beef"
    ).model_dump(mode="json")
    assert differences(old, new) == [
        "config: seed 0 became 3",
        "code: a was edited",
        "code: b is gone",
        "code: c is new",
        "environment: torch 2.13.0 became 2.14.0",
        "data: fingerprint f00d became beef",
    ]
    assert differences(old, old) == []


def test_a_changed_parameter_is_named_alone():
    old, new = (
        parts(config=cell(method_params={"lr": lr, "hidden": [64]}).config()).model_dump(mode="json")
        for lr in (0.02, 0.005)
    )
    assert differences(old, new) == ["config: method_params.lr 0.02 became 0.005"]


def test_labels():
    assert cell(twin="notd").label == "lif[decay=0.9]+notd@digits#0"
    assert cell(twin="notd").stem == "lif[decay=0.9]+notd--digits--s0"


@given(st.text(max_size=40))
def test_slug_is_one_safe_file_name(text):
    name = slug(text)
    assert name
    assert "/" not in name
    assert ".." not in name
    assert name not in (".", "..")
    assert name.isascii()
