"""A suite at one look: each method beside each dataset, and what leads where time is needed, at what cost."""

from __future__ import annotations

from typing import NamedTuple

from snn5bench.report.columns import ratio_text
from snn5bench.report.format import human_value
from snn5bench.report.marks import signs
from snn5bench.report.summary import Answer, names_of
from snn5bench.report.table import Mark, Row, Span, Table


class Standing(NamedTuple):
    """One method over all datasets of a suite."""

    variant: str
    method: str
    first: int
    """Datasets that need time where it is first, alone or tied."""
    gained: int
    """Datasets that need time where its temporal gain lies above 0 ..."""
    cut: int
    """... of those where its state was cut to find out."""
    synops: Span
    """Lowest to highest over the datasets that need time."""
    ann_ratio: Span
    """The same of its energy over that of the dense twin, under whichever model."""
    marks: list[Mark]
    rows: list[Row | None]
    """Its row on each dataset, in the order of the table; None where it was not run."""


class Overview(NamedTuple):
    """A matrix of methods by datasets, with the answer in words."""

    datasets: list[tuple[str, bool]]
    """Name, and whether it needs time."""
    standings: list[Standing]
    """Those that are most often first, first."""
    answer: Answer

    @property
    def timed(self) -> int:
        """How many of the datasets need time."""
        return sum(temporal for _, temporal in self.datasets)


def overview(table: Table) -> Overview:
    """Nothing is averaged over datasets: what is counted is how often a method is first."""
    datasets = [(name, table.of(name)[0].temporal) for name in table.datasets]
    by_name = {(row.variant, row.dataset): row for row in table.rows}
    variants = list(dict.fromkeys(row.variant for row in table.rows))
    last = len(variants) + 1
    standings = [_standing(name, [by_name.get((name, dataset)) for dataset, _ in datasets]) for name in variants]
    standings.sort(key=lambda s: (-s.first, sum(_place(row, last) for row in s.rows), s.variant))
    return Overview(datasets, standings, _answer(table, datasets, standings))


def _place(row: Row | None, last: int) -> int:
    """A row's rank, for the order alone: what has none comes after all, and controls do not count."""
    if row is not None and not row.temporal:
        return 0
    return row.rank if row is not None and row.rank is not None else last


def _standing(variant: str, rows: list[Row | None]) -> Standing:
    known = [row for row in rows if row is not None]
    timed = [row for row in known if row.temporal]
    cut = [row for row in timed if row.temporal_gain.low is not None]
    return Standing(
        variant,
        known[0].method,
        sum(row.rank == 1 for row in timed),
        sum((row.temporal_gain.low or 0.0) > 0 for row in cut),
        len(cut),
        _range([(row.synops_per_sample.value, row.synops_per_sample.value) for row in timed]),
        _range([(row.ann_ratio.low, row.ann_ratio.high) for row in timed]),
        signs(mark for row in known for mark in row.marks),
        rows,
    )


def _range(spans: list[tuple[float | None, float | None]]) -> Span:
    lows, highs = [low for low, _ in spans if low is not None], [high for _, high in spans if high is not None]
    if not lows or not highs:
        return Span(reason="not known on any dataset that needs time")
    return Span(low=min(lows), high=max(highs))


def synops_text(span: Span) -> str:
    """`16.3 k to 253 k`."""
    low, high = human_value(span.low), human_value(span.high)
    return low if low == high else f"{low} to {high}"


def _answer(table: Table, datasets: list[tuple[str, bool]], standings: list[Standing]) -> Answer:
    timed = sum(temporal for _, temporal in datasets)
    best = standings[0] if standings and standings[0].first else None
    if not timed:
        return Answer("No dataset of this suite needs time")
    if best is None:
        return Answer(f"No method is ranked on {_sets(timed)}", trust=_trust(table))
    leaders = [s for s in standings if s.first == best.first]
    text = f"On {_sets(timed)}, {names_of([s.variant for s in leaders])} "
    text += f"{'is' if len(leaders) == 1 else 'are each'} first, alone or tied, on {_of(best.first, timed)}"
    rest = [s for s in standings if 0 < s.first < best.first]
    if rest:
        text += f"; next {names_of([s.variant for s in rest if s.first == rest[0].first])}, on {rest[0].first}"
    return Answer(text, _time(leaders), _cost(leaders), "; ".join(filter(None, (_trust(table), _fidelity(leaders)))))


def _sets(timed: int) -> str:
    return "the one dataset that needs time" if timed == 1 else f"the {timed} datasets that need time"


def _of(count: int, timed: int) -> str:
    if count < timed:
        return f"{count} of {timed}"
    return {1: "it", 2: "both"}.get(timed, f"all {timed}")


def _time(leaders: list[Standing]) -> str:
    tested = [one for one in leaders if one.cut]
    whose = "its state is" if len(tested) == 1 else "their states are"
    parts = [f"When {whose} cut between steps, {', '.join(map(_loss, tested[:3]))}"] if tested else []
    if untested := [one.variant for one in leaders if not one.cut]:
        use = "uses" if len(untested) == 1 else "use"
        parts.append(f"{'w' if parts else 'W'}hether {names_of(untested)} {use} time was not tested")
    return "; ".join(parts)


def _loss(one: Standing) -> str:
    gains = [row.temporal_gain.mean for row in one.rows if row and row.temporal and row.temporal_gain.mean is not None]
    low, high = (f"{100 * end:.1f}" for end in (min(gains), max(gains)))
    told = "" if one.gained == one.cut else f" (told from 0 on {one.gained} of {one.cut} datasets)"
    return f"{one.variant} loses {low if low == high else f'{low} to {high}'} points{told}"


def _cost(leaders: list[Standing]) -> str:
    known = [one for one in leaders if one.synops.low is not None]
    if not known:
        return ""
    text = f"A sample takes {', '.join(f'{one.variant} {synops_text(one.synops)}' for one in known[:3])} synaptic operations"
    ratio = _range([(one.ann_ratio.low, one.ann_ratio.high) for one in known])
    if ratio.low is None:
        return text
    whose = "its dense twin" if len(known) == 1 else "their dense twins"
    return f"{text} and {ratio_text(ratio)} the energy of {whose}, by dataset and energy model"


def _trust(table: Table) -> str:
    ranked = [row for row in table.rows if row.rank is not None]
    marked = sum(bool(row.marks) for row in ranked)
    text = f"{len(ranked)} of {len(table.rows)} rows ranked"
    if ranked:
        seeds, samples = ({getattr(row.accuracy, name) for row in ranked} for name in ("seeds", "samples"))
        text = f"{_ends(seeds)} seed{'s' if seeds != {1} else ''} and {_ends(samples)} test samples a row; {text}"
    if table.selection_rule:
        text += f"; epochs chosen by {table.selection_rule}"
    return text + (f"; {marked} of the ranked carry a mark that qualifies them" if marked else "")


def _fidelity(leaders: list[Standing]) -> str:
    """What a reader must know of the leaders before all else."""
    loose: dict[str, list[str]] = {}
    for one in leaders:
        for kind in sorted({row.fidelity for row in one.rows if row and row.fidelity not in (None, "faithful")}):
            loose.setdefault(str(kind), []).append(one.variant)
    words = {"reconstruction": "rebuilt from incomplete sources", "inspired": "inspired by a paper, not built after it"}
    return "; ".join(
        f"{names_of(names)} {'is' if len(names) == 1 else 'are'} {words.get(kind, kind)}"
        for kind, names in loose.items()
    )


def _ends(values: set[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
