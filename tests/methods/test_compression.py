"""Compressed methods through the protocol: both orders side by side, with and without fine-tuning, honest records."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from snn5bench import keys, registry
from snn5bench.cell import Cell
from snn5bench.methods.compression import Compressed
from snn5bench.methods.spquant import forgotten_after
from snn5bench.neurons.compression import Compressor
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet
from tests.methods.cells import PULSE_ORDER, records_of

BASE = "base_params: {hidden: [40]}, sparsity: 0.7"
ORDERS = "grid: {order: [prune-quantise, quantise-prune]}"
DIGITS = "{name: digits, params: {T: 4}}"


def test_both_orders_with_and_without_fine_tuning(tmp_path: Any) -> None:
    """What is asserted is that results are recorded, and that compression is seen; no order is asserted as better."""
    methods = [
        "{name: lif, params: {hidden: [40]}}",
        f"{{name: compressed, label: plain, params: {{{BASE}, finetune: 0}}, {ORDERS}}}",
        f"{{name: compressed, label: tuned, params: {{{BASE}, quantiser: rescaw, pruning: lamp}}, {ORDERS}}}",
    ]
    rows = records_of(tmp_path, methods, [DIGITS], epochs=5)
    assert {row.status for row in rows.values()} == {"done"}, [row.reason for row in rows.values()]
    dense = rows["lif@digits"]
    for name in ("plain", "tuned"):
        for order in ("prune-quantise", "quantise-prune"):
            row = rows[f"{name}[order={order}]@digits"]
            assert row.missing == {} and row.test_accuracy is not None
            assert row.weight_sparsity == pytest.approx(0.7, abs=0.01)
            assert row.layers[0].macs < 0.6 * dense.layers[0].macs
            assert any(note.startswith(f"{order} over lif: 70.0%") for note in row.notes)
            assert any("before compression" in note for note in row.notes)
            assert any("masks differ" in note and "ties" in note for note in row.notes)
            assert len(row.curve) == 1, "epochs before compression are not reported"
            assert row.curve[-1].epoch == 4 and row.train_steps == dense.train_steps


def test_no_compression_at_all_is_the_base(tmp_path: Any) -> None:
    """Nothing pruned, 16 bits, no fine-tuning: the base's network at its best epoch."""
    methods = ["{name: lif, params: {hidden: [40]}}"]
    methods += [f"{{name: compressed, params: {{{BASE.replace('0.7', '0')}, bits: 16, finetune: 0}}}}"]
    rows = records_of(tmp_path, methods, [DIGITS], epochs=2)
    base, same = rows["lif@digits"], rows["compressed@digits"]
    assert same.val_accuracy == pytest.approx(base.val_accuracy, abs=0.011)
    assert same.test_accuracy == pytest.approx(base.test_accuracy, abs=0.011)
    assert same.params == base.params


@pytest.mark.parametrize("base", ["ff", "qcfs", "glif"])
def test_over_other_methods_and_their_twins(tmp_path: Any, base: str) -> None:
    finetune = 0.5 if base == "glif" else 0
    methods = [f"{{name: compressed, params: {{base: {base}, base_params: {{hidden: [24]}}, finetune: {finetune}}}}}"]
    rows = records_of(tmp_path, methods, [PULSE_ORDER], epochs=2, twins="{}")
    assert {row.status for row in rows.values()} == {"done"}, [row.reason for row in rows.values()]
    row, twin = rows["compressed@pulse-order"], rows["compressed+notd@pulse-order"]
    assert row.weight_sparsity == pytest.approx(0.8, abs=0.01)
    assert twin.test_accuracy == 0.5
    if base == "ff":
        assert any(note.startswith("Forward-Forward") for note in row.notes)


def test_parameters_of_the_base_are_checked_and_written_out() -> None:
    whole = Compressed.Params(base="lif", base_params={"decay": 0.5}).base_params
    assert whole["decay"] == 0.5 and whole["threshold"] == 1.0 and whole["hidden"] == [128, 128]
    for wrong, word in (
        ({"base": "liff"}, "did you mean 'lif'"),
        ({"base": "compressed"}, "built on another method"),
        ({"base_params": {"decay": 2}}, "lif: decay"),
        ({"base_params": {"decoy": 1}}, "decoy"),
        ({"bits": 1}, "bits"),
        ({"sparsity": 1.0}, "sparsity"),
    ):
        with pytest.raises(ValidationError, match=word):
            Compressed.Params(**wrong)  # type: ignore[arg-type]


def test_the_code_of_the_base_is_part_of_the_key() -> None:
    def code(base: str) -> set[str]:
        params = Compressed.Params(base=base).model_dump(mode="json")
        cell = Cell(
            suite="s", method="compressed", variant="c", method_params=params, dataset="digits", dataset_variant="d",
            dataset_params={}, seed=0, epochs=1, batch_size=1,
        )  # fmt: skip
        return set(keys.parts_of(cell, "data", {}).code)

    assert "snn5bench.methods.glif" in code("glif") - code("lif")
    assert "snn5bench.neurons.compression" in code("lif")
    assert registry.load("methods", "lif").builds_on({}) == ()


def test_dynamic_pruning_through_the_protocol(tmp_path: Any) -> None:
    methods = ["{name: dstp, params: {base_params: {hidden: [32]}, rounds: 3, share: 0.4}}"]
    rows = records_of(tmp_path, methods, [DIGITS, PULSE_ORDER], epochs=7, twins="{}")
    for name in ("digits", "pulse-order"):
        row = rows[f"dstp@{name}"]
        assert row.status == "done", row.reason
        assert row.missing == {} and row.weight_sparsity == pytest.approx(1 - 0.6**3, abs=0.01)
        assert any("78.4% of the weights pruned by LAMP" in note for note in row.notes)
        assert any("steps, as the divergence" in note for note in row.notes)
        assert len(row.curve) == 1 and row.selected_epoch == 6
    assert rows["dstp+notd@pulse-order"].status == "incompatible"
    assert "last steps" in rows["dstp+notd@pulse-order"].reason
    assert rows["dstp@digits"].test_accuracy > 0.3  # type: ignore[operator]


def test_rewinding_puts_early_weights_back_under_the_mask() -> None:
    net = SpikingNet(12, (20,), 4, lambda n: LIF(recurrent=n))
    early = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))
    compressor = Compressor(net, "prune-quantise", "lamp", "max")
    compressor.prune(0.5)
    kept = [value != 0 for value in compressor.values()]
    compressor.rewind(net, early)
    old = [early["synapses.0.weight"], early["neurons.0.recurrent_weight"], early["readout.weight"]]
    found = {tuple(v.shape): v for v in compressor.values()}
    for before in old:
        mask = next(k for k in kept if k.shape == before.shape)
        assert torch.equal(found[tuple(before.shape)], before * mask)
    assert torch.equal(net.readout.bias, early["readout.bias"])


def test_how_long_spquant_remembers() -> None:
    """By hand: half of 1 rounds to 0; -3 goes to -2, -1, 0; nine tenths of 1 round to 1 for ever."""
    assert forgotten_after(0.5, -1, False) == 1
    assert forgotten_after(0.5, -3, False) == 3
    assert forgotten_after(0.5, -3, True) == 1
    assert forgotten_after(0.9, -1, False) is None


def test_spquant_through_the_protocol(tmp_path: Any) -> None:
    methods = [
        "{name: spquant, params: {hidden: [48]}}",
        "{name: spquant, label: masked, params: {hidden: [48], mask_negative: true}}",
        "{name: compressed, label: both, params: {base: spquant, base_params: {hidden: [48]}, bits: 2, sparsity: 0.5}}",
    ]
    rows = records_of(tmp_path, methods, [DIGITS, PULSE_ORDER], epochs=4, twins="{}")
    assert {row.status for row in rows.values()} == {"done"}, [row.reason for row in rows.values()]
    assert rows["spquant@digits"].notes == ["membrane potential in 3 levels: 1.58 bits of information, 2 as stored"]
    assert rows["masked@digits"].notes == ["membrane potential in 2 levels: 1.00 bits of information, 1 as stored"]
    for name in ("spquant", "masked"):
        assert rows[f"{name}@pulse-order"].notes[1] == "a stored potential without further input is 0 after 1 step"
        assert rows[f"{name}@digits"].test_accuracy > 0.5  # type: ignore[operator]
    assert all(rows[f"{name}+notd@pulse-order"].test_accuracy == 0.5 for name in ("spquant", "masked", "both"))
