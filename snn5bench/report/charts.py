"""Every chart of a table, with its uncertainty, through Altair: the same for the page and for papers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from altair.utils.schemapi import debug_mode

from snn5bench.report.chart_cost import LABEL, NAMES, Drawing, Layers, against_energy, against_synops
from snn5bench.report.chart_even import against_break_even, verdicts
from snn5bench.report.chart_labels import LETTER
from snn5bench.report.chart_sparsity import against_sparsity
from snn5bench.report.chart_steps import against_steps, families
from snn5bench.report.chart_time import curves, gains, peeking
from snn5bench.report.table import Row, Table


def _by_dataset(table: Table) -> dict[str, list[Row]]:
    return {dataset: table.of(dataset) for dataset in table.datasets}


class Kind(NamedTuple):
    """One kind of chart: drawn once for each dataset, or each other group of rows."""

    key: str
    title: str
    reading: str
    """How to read it, in a sentence."""
    draw: Callable[[list[Row], list[str]], Drawing]
    say: Callable[[list[Row]], list[str]] = lambda rows: []
    """Sentences below a chart."""
    groups: Callable[[Table], dict[str, list[Row]]] = _by_dataset
    """Title to the rows of one chart."""
    without: str = ""
    """Why there is no group, where a table can have none."""


class Figure(NamedTuple):
    """One chart of one dataset, or of datasets that differ in T alone."""

    name: str
    """A file name without suffix, unique within the table."""
    dataset: str
    chart: Layers
    left_out: dict[str, str]
    said: list[str]

    @property
    def room(self) -> int:
        """Pixels of height that the page keeps free for it until it is drawn: its own, axis, title and some legend."""
        return int(self.chart.height) + 90


class Panel(NamedTuple):
    """All charts of one kind."""

    kind: Kind
    figures: list[Figure]
    absent: dict[str, str]
    """Dataset, or the suite, to the reason why it has no chart of this kind."""


KINDS = (
    Kind(
        "synops",
        "Accuracy against synaptic operations",
        "Up and to the left is better. Bars are 95 % intervals; filled signs and the line are the Pareto front. In every "
        "chart, click a name below it to see that method alone, with shift to add another, twice to see all.",
        against_synops,
    ),
    Kind(
        "gain",
        "Temporal gain",
        "Points lost when the state is cut between steps. Blue: the 95 % interval lies above 0, the method uses time.",
        gains,
    ),
    Kind(
        "steps",
        "Accuracy against timesteps",
        "The same dataset cut into fewer or more steps. Bars are 95 % intervals.",
        against_steps,
        groups=families,
        without="no method was run on one dataset at several T",
    ),
    Kind(
        "energy",
        "Accuracy against energy",
        "The bar spans the energy models, the sign stands at its geometric middle. Filled: on the Pareto front under "
        "every model; pale: under some; hollow: under none.",
        against_energy,
    ),
    Kind(
        "sparsity",
        "Accuracy against sparsity",
        "Up and to the right is better: fewer of the values that feed synapses are non-zero. Filled: on the Pareto front. "
        "Each line is an energy model: at a method's height it stands at the sparsity where that method would need as much "
        "energy as a dense network of its shape, so a method to the right of a line is cheaper under that model. A line "
        "breaks where no sparsity is enough. Models can be clicked like methods.",
        against_sparsity,
    ),
    Kind(
        "break-even",
        "Spike rate against break-even",
        "Grey bar: the measured rate, with the range of its seeds. Signs: the rate at which a dense network of the same "
        "shape would need as much energy, under each energy model. Filled: every seed lies below, so that spiking is "
        "cheaper; pale: some do; hollow: none. A break-even assumes one rate in every layer: where the two are within a "
        "percent of each other, the energies against the ANN in the table decide.",
        against_break_even,
        verdicts,
    ),
    Kind(
        "curves",
        "Training curves",
        "Validation accuracy by epoch: mean over the seeds, band from the worst to the best seed; among more than ten "
        "methods, only those clicked below a chart show their bands.",
        curves,
    ),
    Kind(
        "peeking",
        "Test-peeking gap",
        "Points that choosing the best epoch on the test set would have added; the table never does that.",
        peeking,
    ),
)
"""In the order of the page."""


def panels(table: Table) -> list[Panel]:
    """Every chart that the table has data for, by kind, with the reason for each that it has none for."""
    with debug_mode(False):
        return _panels(table)


def _panels(table: Table) -> list[Panel]:
    names = sorted({row.variant for row in table.rows if row.accuracy.mean is not None})
    found = []
    for kind in KINDS:
        panel = Panel(kind, [], {})
        groups = kind.groups(table)
        if not groups:
            panel.absent[table.suite] = kind.without
        for number, (dataset, rows) in enumerate(groups.items()):
            chart, left_out = kind.draw(rows, names)
            if chart is None:
                panel.absent[dataset] = "; ".join(dict.fromkeys(left_out.values()))
            else:
                described = chart.properties(title=dataset, description=f"{kind.title}, {dataset}. {kind.reading}")
                said = kind.say(rows)
                panel.figures.append(Figure(f"{kind.key}-{number + 1}", dataset, described, left_out, said))
        found.append(panel)
    return found


def spec(chart: Layers, width: int | str, height: int | None = None) -> dict[str, Any]:
    """The Vega-Lite document of a chart at the given size; the same for the same table. That it is a valid one is tested,
    not checked again for each page, where checking takes most of the time. `usermeta` says how much width each column of a
    legend takes, and how much lies beside the plot: Vega itself lets a legend run off the edge."""
    with debug_mode(False):
        sized = chart.properties(width=width) if height is None else chart.properties(width=width, height=height)
        document = sized.to_dict(validate=False)
    names = [name for legend in _found(document, "legend") for name in (legend or {}).get("values", ())]
    beside = [
        point["variant"] for y in _found(document, "y") if y.get("field") == "variant" for point in _points(document)
    ]
    return document | {
        "autosize": {"type": "fit-x" if width == "container" else "pad", "contains": "padding"},
        "padding": {"left": 5, "top": 5, "bottom": 5, "right": 14},
        "usermeta": {"legendColumn": 36 + _pixels(names, LABEL), "beside": 30 + max(40, _pixels(beside, NAMES))},
    }


def columns(document: dict[str, Any], width: int) -> int:
    """Columns of a legend that fit beside each other."""
    return max(1, (width - document["usermeta"]["beside"]) // document["usermeta"]["legendColumn"])


def _pixels(names: list[str], most: int) -> int:
    return min(most, round(LETTER * max(map(len, names), default=0)))


def _points(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (point for values in document["datasets"].values() for point in values if "variant" in point)


def _found(node: Any, key: str) -> Iterator[Any]:
    """Every mapping at `key`, however deep."""
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == key and isinstance(value, dict))
        for name, value in node.items():
            if name != "datasets":
                yield from _found(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _found(value, key)
