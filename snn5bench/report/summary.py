"""The short answer for each dataset: what is best, does it use time, at what cost, and on what that rests."""

from __future__ import annotations

from typing import NamedTuple

from snn5bench.report.columns import energy_text, interval
from snn5bench.report.format import format_interval, human_value
from snn5bench.report.table import Row, Table


class Answer(NamedTuple):
    """Four short sentences, without a full stop; empty where there is nothing to say."""

    best: str
    time: str = ""
    cost: str = ""
    trust: str = ""

    @property
    def text(self) -> str:
        """All of it as one paragraph."""
        return ". ".join(part for part in self if part) + "."


def summarise(table: Table, dataset: str) -> Answer:
    """The answer for one dataset."""
    rows = table.of(dataset)
    leaders = [row for row in rows if row.rank == 1]
    if not leaders:
        return Answer(f"No row is ranked: {_why_none(rows)}")
    best, *tied = leaders
    above = [row for row in rows if row.rank is None and (row.accuracy.mean or 0.0) > (best.accuracy.mean or 0.0)]
    text = f"{best.variant} leads with {format_interval(interval(best.accuracy))}"
    if tied:
        text += f"; {_names(tied)} cannot be told from it"
    if above:
        text = f"Of the rows that are ranked, {text}. Without a rank, {_names(above)} {_stands(above)} higher"
    return Answer(text, _time(best, rows), _cost(best, tied), _trust(rows, best))


def kind(row: Row) -> str:
    """What a dataset is for."""
    return "needs time" if row.temporal else "control: should not need time"


LEVELS = (
    "which need not be use of time: a neuron that keeps its state can tell many spike rates apart over T steps, "
    "while the one cut between steps is left with the two levels of one binary step"
)
"""Why a control, whose samples say the same at each step, can show a gain."""


def _time(best: Row, rows: list[Row]) -> str:
    told = _gain(best)
    others = [row for row in rows if row is not best and not row.temporal and (row.temporal_gain.low or 0.0) > 0]
    if not others or LEVELS in told:
        return told
    return f"{told}; {_names(others)} {'gains' if len(others) == 1 else 'gain'} by its state, {LEVELS}"


def _gain(best: Row) -> str:
    gain = best.temporal_gain
    if gain.mean is None or gain.low is None or gain.high is None:
        return f"Whether {best.variant} uses time is not known: {gain.reason}"
    shown = f"{format_interval(interval(gain), signed=True)} points"
    if gain.low > 0:
        told = "so it does use time" if best.temporal else LEVELS
        return f"Cutting its state between steps costs {shown}, {told}"
    if gain.high < 0:
        return f"Cutting its state between steps even helps ({shown})"
    expected = ", as a control should show" if not best.temporal else ": its accuracy shows no use of time"
    return f"Cutting its state between steps changes nothing that can be told ({shown}){expected}"


def _cost(best: Row, tied: list[Row]) -> str:
    synops = best.synops_per_sample.value
    if synops is None:
        return f"Its cost is not known: {best.synops_per_sample.reason}"
    text = f"One sample costs {best.variant} {human_value(synops)} synaptic operations"
    if best.energy_nj.low is not None:
        text += f", {energy_text(best.energy_nj)} by the energy models"
    cheaper = [row for row in tied if row.synops_per_sample.value is not None and row.synops_per_sample.value < synops]
    if cheaper:
        least = min(cheaper, key=lambda row: (row.synops_per_sample.value or 0.0, row.variant))
        text += f"; among its ties {least.variant} is cheapest with {human_value(least.synops_per_sample.value)}"
    return text


def _trust(rows: list[Row], best: Row) -> str:
    seeds, samples = best.accuracy.seeds, best.accuracy.samples
    text = f"Over {seeds} seed{'s' if seeds != 1 else ''} and {samples} test samples"
    if open_rows := [row for row in rows if row.rank is None]:
        text += f"; {len(open_rows)} of {len(rows)} rows are not ranked ({_names(open_rows)})"
    return text


def _why_none(rows: list[Row]) -> str:
    return "; ".join(dict.fromkeys(row.reason or row.rank_reason for row in rows))


def _stands(rows: list[Row]) -> str:
    return "stands" if len(rows) == 1 else "stand"


def _names(rows: list[Row]) -> str:
    return names_of([row.variant for row in rows])


def names_of(names: list[str], most: int = 4) -> str:
    """`a, b and c`; of more than `most` the first ones and the number of the others."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
