"""The Ray runner on clusters of two nodes, of which some are killed, starved, restarted or wrong."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snn5bench.errors import BenchError
from snn5bench.record import Status
from tests.runners.conftest import Ran, no_other_traces

pytestmark = pytest.mark.slow

SLEEPS = "acme/tiny, {name: acme/slow, grid: {scale: [1.0, 1.1, 1.2, 1.3]}}"


def records_in(results: Path) -> int:
    return len(list(results.glob("*/cells/*.json")))


def ran_while(path: Path, results: Path, at_least: int, act: Callable[[], None]) -> Ran:
    """A run over Ray, with `act` done as soon as some of its records are stored. (It is the run that has a thread of its
    own, since Ray starts nodes from the main thread alone.)"""
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(Ran, path, results, "ray")
        while records_in(results) < at_least and not run.done():
            time.sleep(0.05)
        act()
        return run.result()


def test_nodes_without_the_drivers_cache_get_the_data_and_one_that_dies_loses_nothing(suite, tmp_path, nodes):
    serial = Ran(suite(SLEEPS, seeds=3), tmp_path / "serial", "processes", jobs=2)
    caches = [tmp_path / "cache-a", tmp_path / "cache-b"]
    cluster = nodes()
    doomed, _ = (cluster.join(SNN5BENCH_CACHE=str(cache)) for cache in caches)
    ray = ran_while(suite(SLEEPS, seeds=3), tmp_path / "ray", 5, lambda: cluster.kill(doomed))
    assert ray.summary.ended == serial.summary.ended == {Status.DONE: len(serial.records)}
    assert ray.comparable == serial.comparable
    assert no_other_traces(ray.store.folder)
    assert max(record.attempts for record in ray.records) == 2, "what ran on the node ran again, and says so"
    for cache in caches:
        assert len(list((cache / "datasets").glob("*/meta.json"))) == 1
        assert not list((cache / "datasets").glob("*.arriving"))


def test_a_node_that_joins_late_is_used_and_the_first_may_go(suite, tmp_path, nodes):
    cluster = nodes()
    first = cluster.join()

    def change() -> None:
        cluster.join()
        cluster.kill(first)

    ray = ran_while(suite(SLEEPS), tmp_path / "ray", 3, change)
    assert set(ray.summary.ended) == {Status.DONE}


def test_the_head_restarts(suite, tmp_path, nodes):
    """The whole cluster goes away in the middle, and comes back at the same address with other nodes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serial = Ran(suite(SLEEPS), tmp_path / "serial", "processes", jobs=2)
    first = nodes(port=port)
    first.join()

    def restart() -> None:
        first.close()
        nodes(port=port).join()

    ray = ran_while(suite(SLEEPS), tmp_path / "ray", 4, restart)
    assert ray.comparable == serial.comparable
    assert "the Ray cluster went away" in ray.said
    assert max(record.attempts for record in ray.records) >= 2


def test_a_cell_that_kills_its_workers_is_failed_and_the_others_are_not_blamed(suite, tmp_path):
    ray = Ran(suite("acme/tiny, acme/dies, acme/crashes"), tmp_path / "ray", "ray", jobs=2)
    by_method = {
        name: [record for record in ray.records if record.variant == f"acme/{name}"]
        for name in ("tiny", "dies", "crashes")
    }
    assert {record.status for record in by_method["tiny"]} == {Status.DONE}
    assert {record.attempts for record in by_method["tiny"] + by_method["crashes"]} == {1}
    assert all("RuntimeError: no such luck" in record.reason for record in by_method["crashes"])
    assert {(record.status, record.attempts) for record in by_method["dies"]} == {(Status.FAILED, 3)}
    assert all("its worker or node died 3 times" in record.reason for record in by_method["dies"])


def test_a_worker_that_eats_its_nodes_memory_is_killed_named_and_tried_with_more(
    suite, tmp_path, nodes, install_plugin
):
    """Ray watches the memory of the node; here it is told to be content with little more than what is in use."""
    eats = """
        from acme.tiny import Tiny


        class Eats(Tiny):
            name = "eats"

            def build(self, data):
                import time

                held = []
                for _ in range(60):
                    held.append(bytearray(b"x" * (100 << 20)))
                    time.sleep(0.1)
                return super().build(data)
    """
    install_plugin("glutton", {"eats": eats}, methods={"eats": "glutton.eats:Eats"})
    memory = {line.split(":")[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
    limit = 1 - (memory["MemAvailable"] - (3 << 20)) / memory["MemTotal"]
    nodes().join(RAY_memory_usage_threshold=f"{limit:.4f}", RAY_memory_monitor_refresh_ms="100")
    ray = Ran(suite("acme/tiny, glutton/eats", seeds=1), tmp_path / "ray", "ray")
    eaten = [record for record in ray.records if record.variant == "glutton/eats"]
    assert [(record.status, record.attempts) for record in eaten] == [(Status.FAILED, 3)] * len(eaten)
    assert all("OutOfMemoryError" in record.reason for record in eaten)
    assert {record.status for record in ray.records if record.variant == "acme/tiny"} == {Status.DONE}


def test_a_cell_over_the_suites_limit_is_stopped_on_its_node_and_not_tried_again(suite, tmp_path):
    path = suite("acme/tiny, {name: acme/slow, params: {scale: 10000}}", seeds=1)
    path.write_text(path.read_text() + "limits: {cell_minutes: 0.3}\n")
    ray = Ran(path, tmp_path / "ray", "ray", jobs=2)
    slow = [record for record in ray.records if record.variant == "acme/slow"]
    assert {(record.status, record.attempts) for record in slow} == {(Status.FAILED, 1)}
    assert all("stopped after 0.3 minutes, the suite's limit" in record.reason for record in slow)
    assert {record.status for record in ray.records if record.variant == "acme/tiny"} == {Status.DONE}


def test_a_node_with_other_kernels_is_left_out(suite, tmp_path, nodes):
    cluster = nodes()
    cluster.join(SNN5BENCH_KERNELS="torch")
    with pytest.raises(BenchError, match=r"no node runs what the driver runs: environment: kernels numba became torch"):
        Ran(suite(), tmp_path / "ray", "ray")
    cluster.join()
    ray = Ran(suite(seeds=4), tmp_path / "ray", "ray")
    assert set(ray.summary.ended) == {Status.DONE}
    assert "is left out, it does not run what the driver runs: environment: kernels numba became torch" in ray.said
    assert {record.attempts for record in ray.records} == {1}


def test_nodes_run_the_drivers_code_not_what_is_installed_there(suite, tmp_path, nodes, tiny_plugin):
    """The node has the plugin too, edited so that every cell would fail."""
    theirs = tmp_path / "theirs" / "acme"
    theirs.mkdir(parents=True)
    (theirs / "__init__.py").write_text("")
    (theirs / "tiny.py").write_text(
        (tiny_plugin / "tiny.py").read_text().replace("return nn.Linear", "raise 1 / 0 or nn")
    )
    cluster = nodes()
    cluster.join(PYTHONPATH=str(tmp_path / "theirs"))
    ray = Ran(suite(), tmp_path / "ray", "ray")
    assert set(ray.summary.ended) == {Status.DONE}
    assert ray.comparable == Ran(suite(), tmp_path / "serial", "serial").comparable
