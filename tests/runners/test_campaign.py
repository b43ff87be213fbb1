"""What runs again, what fails and what is said, against a link that plays the cluster."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable

import pytest

from snn5bench.cell import Cell
from snn5bench.data.cache import prepare
from snn5bench.errors import BenchError
from snn5bench.expand import read
from snn5bench.outcome import Outcome, blank
from snn5bench.plan import make_dataset
from snn5bench.record import Status
from snn5bench.runners import campaign as module
from snn5bench.runners.campaign import Campaign
from snn5bench.runners.link import Gone
from snn5bench.runners.messages import Answered, Lost, News, Node, Nodes, Order, Task, Unlike, Wants
from snn5bench.runners.needs import DEFAULT_MEMORY, History, Needs

A, B = (Node(name, f"host-{name}", Needs(1, 8 << 30, 0)) for name in "ab")

Play = Callable[[Task, Order, int], News]
"""A task, its order, and how often this cell was sent before; the answer of the cluster."""


class Stage:
    """A campaign over a suite's cells, its link, and what became of it."""

    def __init__(self, cells: list[Cell], play: Play, nodes: list[Node], gpus: float = 0.0) -> None:
        self.ended: dict[Cell, Outcome] = {}
        self.said: list[str] = []
        self.tasks: list[Task] = []
        self._times: dict[int, int] = {}
        self._news: deque[News] = deque()
        self._play, self.nodes = play, nodes
        self.campaign = Campaign(cells, self._done, History([], gpus), {"snn5bench": "x"}, self.said.append)

    def _done(self, cell: Cell, outcome: Outcome) -> None:
        assert cell not in self.ended, "each ends once"
        self.ended[cell] = outcome

    def send(self, task: Task) -> None:
        self.tasks.append(task)
        before = self._times.get(task.number, 0)
        self._times[task.number] = before + 1
        self._news.append(self._play(task, pickle.loads(task.order), before))

    def receive(self) -> News:
        if not self._news:
            raise Gone("nothing is left to say")
        return self._news.popleft()

    def serve(self) -> Stage:
        self.campaign.serve(self, self.nodes)  # type: ignore[arg-type]
        return self

    @property
    def attempts(self) -> list[int]:
        return [outcome.record.attempts for outcome in self.ended.values()]


def well(task: Task, order: Order, before: int = 0) -> Answered:
    return Answered(task.number, pickle.dumps(Outcome(blank(order.cell, Status.DONE, key=order.parts.key()))))


@pytest.fixture
def stage(suite):
    cells = [planned.cell for planned in read(suite())[1]]
    prepare(make_dataset(cells[0]))

    def make(play: Play, nodes: list[Node] | None = None, **over: float) -> Stage:
        return Stage(cells, play, [A, B] if nodes is None else nodes, **over)

    return make


def test_every_cell_ends_once(stage):
    done = stage(well).serve()
    assert len(done.ended) == len(done.tasks) == 6
    assert not done.campaign.open
    assert {task.needs for task in done.tasks} == {Needs(1, DEFAULT_MEMORY, 0.0)}
    assert {task.folder for task in done.tasks} == {None}, "no data are sent unasked"
    assert done.said == []


def test_a_cell_whose_node_dies_runs_again_and_says_so(stage):
    def play(task, order, before):
        return Lost(task.number, "worker", "NodeDiedError: gone") if before < task.number % 3 else well(task, order)

    assert sorted(stage(play).serve().attempts) == [1, 1, 2, 2, 3, 3]


def test_but_not_for_ever(stage):
    def play(task, order, before):
        return Lost(task.number, "worker", "NodeDiedError: gone") if task.number == 0 else well(task, order)

    done = stage(play).serve()
    failed = [o.record for o in done.ended.values() if o.record.status is Status.FAILED]
    assert [(r.attempts, r.reason) for r in failed] == [(3, "its worker or node died 3 times: NodeDiedError: gone")]
    assert len(done.ended) == 6


def test_a_cell_killed_for_its_memory_asks_for_twice_as_much_up_to_the_largest_node(stage):
    def play(task, order, before):
        return Lost(task.number, "memory", "OutOfMemoryError: x") if before < 2 else well(task, order)

    small = A._replace(has=Needs(1, 3 << 30, 0))
    done = stage(play, [small]).serve()
    asked = [task.needs.memory_bytes for task in done.tasks if task.number == 0]
    assert asked == [1 << 30, 2 << 30, 3 << 30]


def test_data_are_sent_after_a_node_wanted_them_and_wanting_is_no_attempt(stage):
    def play(task, order, before):
        return well(task, order) if task.folder else Answered(task.number, pickle.dumps(Wants()))

    done = stage(play).serve()
    assert done.attempts == [1] * 6
    assert {task.folder for task in done.tasks if task.folder} == {
        str(module.folder_of(make_dataset(c))) for c in done.ended
    }


def test_a_node_that_is_unlike_is_left_out(stage):
    def play(task, order, before):
        if A.id in task.avoid:
            return well(task, order)
        return Answered(task.number, pickle.dumps(Unlike(A.id, A.host, ["environment: torch 2.13.0 became 2.12.0"])))

    done = stage(play).serve()
    assert done.attempts == [1] * 6
    assert done.said == [
        "node host-a is left out, it does not run what the driver runs: environment: torch 2.13.0 became 2.12.0"
    ]


def test_when_every_node_is_unlike_the_run_stops_with_the_difference(stage):
    def play(task, order, before):
        return Answered(task.number, pickle.dumps(Unlike(A.id, A.host, ["code: package acme is not the driver's"])))

    with pytest.raises(BenchError, match="no node runs what the driver runs: code: package acme"):
        stage(play, [A, A._replace(id="head", has=Needs(0, 8 << 30, 0))]).serve()


def test_a_cluster_that_goes_away_costs_what_was_in_flight_one_attempt(stage):
    done = stage(lambda task, order, before: Nodes([A, B]) if task.number > 2 and not before else well(task, order))
    with pytest.raises(Gone):
        done.serve()
    assert len(done.ended) == 3
    done.campaign.sweep("the head is gone")
    assert done.said == ["the Ray cluster went away (the head is gone); 3 cells in flight run again when it is back"]
    done.serve()
    assert done.attempts == [1, 1, 1, 2, 2, 2]


def test_a_cell_that_takes_the_cluster_along_ends_as_failed(stage):
    done = stage(lambda task, order, before: Nodes([A, B]) if task.number == 0 else well(task, order))
    while done.campaign.open:
        with pytest.raises(Gone):
            done.serve()
        done.campaign.sweep("the head is gone")
    failed = [o.record for o in done.ended.values() if o.record.status is Status.FAILED]
    assert [record.attempts for record in failed] == [module.SWEEPS + 1]


def test_cells_that_no_node_could_hold_wait_for_one_and_no_others_wait_for_them(stage, monkeypatch):
    with_gpu = Node("g", "host-g", Needs(1, 8 << 30, 1))
    waits = stage(well, [A], gpus=0.5)
    waits._news.append(Nodes([A, with_gpu]))
    waits.serve()
    assert waits.said == ["no node has 1 CPU and 0.5 GPU now; cells that need it wait for one up to 60 min"]
    assert {task.needs.gpus for task in waits.tasks} == {0.5}
    monkeypatch.setattr(module, "HOMELESS_S", -1.0)
    never = stage(well, [A], gpus=0.5)
    never._news.append(Nodes([A]))
    never.serve()
    assert {o.record.reason for o in never.ended.values()} == {"no node has 1 CPU and 0.5 GPU"}


def test_a_cluster_without_any_cpu_ends_the_run_without_failing_cells(stage, monkeypatch):
    monkeypatch.setattr(module, "HOMELESS_S", -1.0)
    head = A._replace(has=Needs(0, 8 << 30, 0))
    empty = stage(well, [head])
    empty._news.append(Nodes([head]))
    with pytest.raises(BenchError, match="no node to run on"):
        empty.serve()
    assert empty.ended == {}
