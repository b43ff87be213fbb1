"""The verbs, in the order of the work. Each parses, calls, prints; what it does not need it does not import."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from snn5bench.errors import BenchError, ExitCode
from snn5bench.options import (
    AsJson,
    DataArg,
    Device,
    From,
    Jobs,
    Only,
    ResultsDir,
    Seeds,
    Set,
    SuiteArg,
    SuitesDir,
)
from snn5bench.orphans import end_with

if TYPE_CHECKING:
    from rich.console import Console


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A benchmark and reproducibility harness for spiking neural networks.",
)
data_app = typer.Typer(no_args_is_help=True, help="What data are here, what is missing, and whether it is whole.")
app.add_typer(data_app, name="data")
new_app = typer.Typer(no_args_is_help=True, help="Packages to start from.")
app.add_typer(new_app, name="new")

SUITES, RESULTS = Path("suites"), Path("results")


def main() -> None:
    """Entry point: a user's mistake, or their machine's, is a message and exit code 2, never a traceback. A stage of DVC
    ends with its DVC, even when that one was killed, so that the next `dvc repro` finds the suite free."""
    if "DVC_STAGE" in os.environ:
        end_with(os.getppid())
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except BenchError as error:
        _refuse(error)
    except OSError as error:
        place = ", ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        _refuse(BenchError(f"{error.strerror or error}", place, "mend the path, its permissions or the disk"))
    except KeyboardInterrupt:
        typer.echo("snn5bench: interrupted; every cell that had ended is kept, run again to go on", err=True)
        sys.exit(130)


def _refuse(error: BenchError) -> NoReturn:
    several = len(error.problems) > 1
    typer.echo(f"snn5bench: {len(error.problems)} mistakes" if several else f"snn5bench: {error}", err=True)
    for problem in error.problems if several else ():
        typer.echo(f"  {problem}", err=True)
    sys.exit(ExitCode.USER_ERROR)


def _console() -> Console:
    from rich.console import Console

    return Console()


def _load(suite: str, suites: Path, results: Path, only: str | None = None, seeds: str | None = None):  # type: ignore[no-untyped-def]
    from snn5bench.expand import read, select
    from snn5bench.store import Store
    from snn5bench.suite import find

    loaded, planned = read(find(suite, suites))
    return loaded, select(planned, only, seeds), Store(results, loaded.name)


@app.command()
def plan(
    suite: SuiteArg,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="Worker processes that the estimate assumes.")] = 0,
    device: Device = "cpu",
    only: Only = None,
    seeds: Seeds = None,
    as_json: AsJson = False,
    suites: SuitesDir = SUITES,
    results: ResultsDir = RESULTS,
) -> None:
    """Say for each cell: run, cached, incompatible, needs data, not installed; with the reason and the minutes."""
    from snn5bench import views
    from snn5bench.plan import Planner

    _, planned, store = _load(suite, suites, results, only, seeds)
    planner = Planner(store, store.records())
    steps = [planner.step(p) for p in planned]
    views.print_plan(steps, jobs or _cores(), _console(), as_json)


@app.command()
def run(
    suite: SuiteArg,
    jobs: Jobs = 0,
    runner: Annotated[str, typer.Option("--runner", help="serial, processes or ray.")] = "processes",
    device: Device = "cpu",
    gpus: Annotated[
        float, typer.Option("--gpus", min=0, help="With ray: GPUs of a cell, like 0.25, where no record tells.")
    ] = 0,
    only: Only = None,
    seeds: Seeds = None,
    more_seeds: Annotated[
        int,
        typer.Option(
            "--more-seeds", min=0, help="Run so many seeds beyond the suite's instead, for `lock`, `compare`."
        ),
    ] = 0,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Log each cell to MLflow.")] = True,
    suites: SuitesDir = SUITES,
    results: ResultsDir = RESULTS,
) -> None:
    """Run the cells that are not cached. Stop it at any time: what had ended is kept."""
    from snn5bench import further, views
    from snn5bench import run as driver
    from snn5bench.errors import did_you_mean
    from snn5bench.progress import Display
    from snn5bench.tracking import MlflowTracker, NoTracker

    if runner not in (known := ("serial", "processes", "ray")):
        raise BenchError(f"no runner is called '{runner}'", "--runner", did_you_mean(runner, known))
    loaded, planned, store = _load(suite, suites, results, only, seeds)
    if more_seeds:
        planned, store = further.cells(planned, more_seeds), further.store_of(store)
    console = _console()
    tracker = MlflowTracker(loaded.name) if track else NoTracker()
    display, asked = Display(console), jobs or _cores()
    summary = driver.run(planned, store, tracker, display, runner, asked, gpus=gpus, limits=loaded.limits)  # type: ignore[arg-type]
    views.print_summary(loaded.name, summary, console)


@app.command()
def report(
    suite: SuiteArg,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Also write PDF, SVG, PNG and LaTeX.")
    ] = None,
    as_json: AsJson = False,
    suites: SuitesDir = SUITES,
    results: ResultsDir = RESULTS,
) -> None:
    """Write leaderboard.md, .csv, .json and .html from stored records alone, and print the table."""
    from snn5bench import publish

    loaded, planned, store = _load(suite, suites, results)
    publish.leaderboard(loaded, planned, store, _console(), figures, as_json)


@app.command()
def index(suites: SuitesDir = SUITES, results: ResultsDir = RESULTS) -> None:
    """Write results/index.html over the leaderboards of all suites, from results/*/leaderboard.json alone."""
    from snn5bench import publish

    publish.front_page(suites, results, _console())


@app.command()
def compare(
    suite: SuiteArg,
    baseline: Annotated[Path | None, typer.Option("--baseline", metavar="FILE", help="Compare with this file.")] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Also write it for a pull request.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also write it as JUnit XML.")] = None,
    settle: Annotated[
        bool, typer.Option("--settle", help="Run rows that may have dropped with 15 further seeds, and look again.")
    ] = False,
    jobs: Jobs = 0,
    as_json: AsJson = False,
    suites: SuitesDir = SUITES,
    results: ResultsDir = RESULTS,
) -> None:
    """Compare today's records with the locked ones: better, same, worse or cannot tell, for each row."""
    from snn5bench import gate
    from snn5bench.compare import FURTHER

    loaded, planned, store = _load(suite, suites, results)
    code = gate.compare_suite(
        loaded, planned, store, baseline, _console(), markdown, junit, as_json, FURTHER * settle, jobs or _cores()
    )
    raise typer.Exit(code)


@app.command()
def reproduce(
    row: Annotated[str, typer.Argument(metavar="ROW", help="METHOD@DATASET, as the leaderboard names it.")],
    suite: Annotated[str, typer.Option("--suite", help="The suite whose leaderboard has the row.")] = "bundled",
    jobs: Jobs = 0,
    device: Device = "cpu",
    as_json: AsJson = False,
    suites: SuitesDir = SUITES,
    results: ResultsDir = RESULTS,
) -> None:
    """Run the cells of one row again: bit-equal, within the seed interval, or differs; with the environment's diff."""
    from snn5bench import reproduce as again

    _, planned, store = _load(suite, suites, results)
    raise typer.Exit(again.reproduce_row(row, planned, store, jobs or _cores(), _console(), as_json))


@app.command()
def why(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="METHOD@DATASET#SEED, or the start of such names.")],
    suite: Annotated[str, typer.Option("--suite", help="The suite of the cell.")] = "bundled",
    device: Device = "cpu",
    as_json: AsJson = False,
    suites: SuitesDir = SUITES,
    results: ResultsDir = RESULTS,
) -> None:
    """Say what made a cell run or hit: code, config, data or environment, each named."""
    from snn5bench import views
    from snn5bench.expand import matching
    from snn5bench.plan import Planner

    _, planned, store = _load(suite, suites, results)
    planner = Planner(store, store.records())
    found = matching(planned, cell)
    views.print_why([(planner.step(p), store.last_of(p.cell)) for p in found], _console(), as_json)


@app.command()
def check(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="A method's name; a plugin's is package/name.")],
    params: Annotated[
        str | None, typer.Option("--params", metavar="JSON", help="Parameters that differ from the defaults.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a method in seconds, on synthetic data: state, batches, seeds, time, gradients, numbers, labels."""
    from snn5bench.conformance.show import check_and_show

    raise typer.Exit(check_and_show(method, params, _console(), as_json))


@app.command()
def lock(suite: SuiteArg, suites: SuitesDir = SUITES, results: ResultsDir = RESULTS) -> None:
    """Make today's records the baseline that `compare` reads."""
    from snn5bench import gate

    loaded, planned, store = _load(suite, suites, results)
    gate.lock_suite(loaded, planned, store, _console())


@app.command()
def claims(
    folder: Annotated[Path, typer.Option("--claims", metavar="DIR", help="Where the ledger is.")] = Path(
        "baselines/claims"
    ),
    as_json: AsJson = False,
    suites: SuitesDir = SUITES,
    results: ResultsDir = RESULTS,
) -> None:
    """Published beside reproduced: each claim with our number, its interval, and what it would need."""
    from snn5bench import ledger

    ledger.show(ledger.findings(folder, suites, results), _console(), as_json)


@new_app.command("method")
def new_method(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the package and the method, like my-neuron.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where the package's folder is made.")] = Path(),
) -> None:
    """Write an installable package with a new neuron, its method, test, suite and README; it passes `check` as it is."""
    from snn5bench import scaffold

    for path in scaffold.new_method(name, to):
        typer.echo(f"wrote {path}")
    typer.echo(f"next: pip install -e {to / name} && snn5bench check {name}/{name}")


@app.command()
def submit(
    row: Annotated[str, typer.Argument(metavar="ROW", help="METHOD@DATASET, as the leaderboard names it.")],
    suite: Annotated[str, typer.Option("--suite", help="The suite whose leaderboard has the row.")] = "bundled",
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The checkout that gets submissions/.")] = Path(),
    suites: SuitesDir = SUITES,
    results: ResultsDir = RESULTS,
) -> None:
    """Write the files and the text of a pull request with one row: every seed and twin, the suite, the environment."""
    from snn5bench import submission
    from snn5bench.suite import find

    _, planned, store = _load(suite, suites, results)
    folder = submission.collect(row, find(suite, suites), planned, store, to)
    typer.echo(f"wrote {folder}; its PULL_REQUEST.md is the text of the pull request")


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """Every dataset: licence, shape, and whether it is made, can be made, or must be brought."""
    from snn5bench import views

    views.print_datasets(_console(), as_json)


@data_app.command("get")
def data_get(name: DataArg, to: From = None) -> None:
    """Download a dataset and verify it; where no program may, say how to get it and where to put it."""
    from snn5bench import shelf

    shelf.look_in(to)
    shelf.get(name, _console())


@data_app.command("check")
def data_check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Datasets; all that are here.")] = None,
    settings: Set = None,
    source: From = None,
    as_json: AsJson = False,
) -> None:
    """Name every file that is missing, cut off, mislabelled or swapped, with what was expected; exit code 2 if any."""
    from snn5bench import shelf

    shelf.look_in(source)
    raise typer.Exit(shelf.check(names or [], settings or [], _console(), as_json))


@data_app.command("path")
def data_path(name: DataArg, settings: Set = None, source: From = None, as_json: AsJson = False) -> None:
    """Where a dataset is looked for, what must be there, and where its packed form is."""
    from snn5bench import shelf

    shelf.look_in(source)
    shelf.path(name, settings or [], _console(), as_json)


@data_app.command("probe")
def data_probe(
    name: DataArg,
    settings: Set = None,
    seeds: Annotated[str, typer.Option("--seeds", metavar="0,1,2", help="Seeds of the trained probes.")] = "0",
    source: From = None,
    as_json: AsJson = False,
) -> None:
    """Does it need time? Classifiers that see counts, single steps, shuffled steps and the sequence, with intervals."""
    from snn5bench import shelf

    shelf.look_in(source)
    shelf.probe(name, settings or [], seeds, _console(), as_json)


@data_app.command("probes")
def data_probes(
    suite: SuiteArg,
    seeds: Annotated[str, typer.Option("--seeds", metavar="0,1,2", help="Seeds of the trained probes.")] = "0",
    suites: SuitesDir = SUITES,
    results: ResultsDir = RESULTS,
) -> None:
    """Probe every dataset of a suite that is here, and write results/SUITE/probes.json, which the front page shows."""
    from snn5bench import shelf
    from snn5bench.plan import make_dataset

    loaded, planned, _ = _load(suite, suites, results)
    named = {p.cell.dataset_variant: make_dataset(p.cell) for p in planned}
    shelf.probes(named, seeds, results / loaded.name / "probes.json", _console())


@data_app.command("prepare")
def data_prepare(
    suite: SuiteArg,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", metavar="FILE", help="Write what was fed as JSON.")
    ] = None,
    suites: SuitesDir = SUITES,
    results: ResultsDir = RESULTS,
) -> None:
    """Make the data of a suite, and write their fingerprints."""
    from snn5bench import views
    from snn5bench.making import prepare_data
    from snn5bench.progress import Display

    _, planned, _ = _load(suite, suites, results)
    failed = prepare_data(planned, Display(_console()))
    if manifest is not None:
        views.write_manifest(planned, manifest, failed)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
