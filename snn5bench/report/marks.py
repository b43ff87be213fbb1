"""The signs beside a row: what a reader must know before believing it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from snn5bench.record import Record, Status
from snn5bench.report.cells import Cells, Context, plural
from snn5bench.report.table import ALPHABET, Mark


def marks(cells: Cells, context: Context) -> list[Mark]:
    """Every mark of a row, in the alphabet's order."""
    found = [*_source(cells), *_protocol(cells, context), *_seeds(cells, context), *_comparable(cells, context)]
    order = list(ALPHABET)
    return sorted(found, key=lambda mark: (order.index(mark.symbol), mark.text))


def signs(found: Iterable[Mark]) -> list[Mark]:
    """One mark a sign, in the alphabet's order, with all that its marks say."""
    texts: dict[str, dict[str, None]] = {}
    for mark in found:
        texts.setdefault(mark.symbol, {})[mark.text] = None
    return [Mark(symbol=sign, text="; ".join(texts[sign])) for sign in ALPHABET if sign in texts]


def _source(cells: Cells) -> Iterator[Mark]:
    fidelity = cells.all[0].fidelity
    if fidelity is not None and fidelity.kind != "faithful":
        yield Mark(symbol=fidelity.kind[0], text=f"{fidelity.kind}: {fidelity.note}")
    for note in dict.fromkeys(note for record in cells.all for note in record.notes):
        yield Mark(symbol="*", text=note)


def _protocol(cells: Cells, context: Context) -> Iterator[Mark]:
    done = cells.done("none")
    rules = sorted({record.selection_rule for record in done.values()})
    if rules and rules != [context.selection_rule]:
        named = " and ".join(f"'{rule or 'unknown'}'" for rule in rules)
        yield Mark(symbol="s", text=f"epoch chosen by {named}, other rows by '{context.selection_rule or 'unknown'}'")
    refused = {r.reason for r in cells.twins.get("notd", {}).values() if r.status is Status.INCOMPATIBLE}
    for reason in sorted(refused):
        yield Mark(symbol="t", text=f"the NoTD twin was refused: {reason or 'no reason recorded'}")


def _seeds(cells: Cells, context: Context) -> Iterator[Mark]:
    done = cells.done("none")
    if done and len(done) < len(cells.own):
        ended = [
            f"seed {seed} {r.status}: {r.reason or 'no reason recorded'}"
            for seed, r in cells.own.items()
            if seed not in done
        ]
        yield Mark(symbol="!", text="; ".join(ended))
    missing = [seed for seed in context.seeds if seed not in cells.own]
    if cells.own and missing:
        yield Mark(
            symbol="m",
            text=f"{plural(missing)} missing; other rows of this dataset have {'them' if len(missing) > 1 else 'it'}",
        )
    if len(done) == 1:
        yield Mark(symbol="1", text=f"{plural(list(done))} only: the interval holds no variance between seeds")
    if cells.dropped:
        yield Mark(symbol="d", text=f"{cells.dropped} older records of these cells were left out")


def _comparable(cells: Cells, context: Context) -> Iterator[Mark]:
    done = cells.done("none")
    foreign = [
        seed
        for seed, record in done.items()
        if record.dataset_fingerprint is not None
        and record.dataset_fingerprint != context.fingerprints.get(seed, record.dataset_fingerprint)
    ]
    if foreign:
        yield Mark(symbol="x", text=f"{plural(foreign)} ran on other samples than most rows of this dataset")
    unlike = [
        name
        for name in ("method_params", "transform", "budget")
        if len({_text(record, name) for record in done.values()}) > 1
    ]
    if unlike:
        yield Mark(symbol="x", text=f"its seeds differ in {', '.join(name.replace('_', ' ') for name in unlike)}")


def _text(record: Record, name: str) -> str:
    return json.dumps(getattr(record, name), sort_keys=True, default=str)
