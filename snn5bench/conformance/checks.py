"""All checks, in the order in which they help: what fails first explains what fails next."""

from __future__ import annotations

import time as clock
import traceback
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from snn5bench.conformance import counting, learning, numbers, parameters, seeds, state, time, weights
from snn5bench.conformance.check import Check, Fault, Unfit, Verdict
from snn5bench.conformance.seeds import elsewhere
from snn5bench.conformance.subject import Subject, opened

OTHER_PROCESS = "same bits in another process"

CHECKS: Mapping[str, Callable[[Subject], str]] = {
    "parameters outside their range are refused": parameters.refused,
    "output is [T, B, classes]": time.shape,
    "it trains": learning.trains,
    "every step is seen": time.every_step,
    "evaluation draws nothing at random": state.repeatable,
    "no state leaks between batches": state.between_batches,
    "no state leaks between samples": state.between_samples,
    "a sample does not depend on its batch": state.batch_of_one,
    "causal as declared": time.causality,
    "training reaches every parameter": learning.reaches_every_parameter,
    "finite at extreme rates": numbers.extremes,
    "state_dict holds the network": weights.state_dict,
    "moves to another device and dtype": weights.moves,
    "all input forms agree": counting.forms_agree,
    "operations are counted": counting.complete,
    "the NoTD twin ignores time": time.no_time_twin,
    "same seed, same bits": seeds.same_seed,
    OTHER_PROCESS: seeds.other_process,
    "test labels are out of reach": learning.blind_to_test_labels,
}


def check_method(name: str, params: dict[str, Any] | None = None, only: Collection[str] = tuple(CHECKS)) -> list[Check]:
    """Run the checks named in `only` (default: all) on the registered method `name` under `params` (defaults elsewhere).

    Raises `BenchError` for an unknown or broken method; whatever the method raises later is the failure of a check.
    """
    with opened(name, params) as subject, elsewhere(subject) if OTHER_PROCESS in only else nullcontext():
        return [_run(title, check, subject) for title, check in CHECKS.items() if title in only]


def _run(title: str, check: Callable[[Subject], str], subject: Subject) -> Check:
    begin = clock.perf_counter()

    def result(verdict: Verdict, **words: str) -> Check:
        return Check(title, verdict, round(clock.perf_counter() - begin, 3), **words)

    try:
        return result(Verdict.PASSED, note=check(subject))
    except Fault as fault:
        return result(Verdict.FAILED, seen=fault.seen, expected=fault.expected, cause=fault.cause)
    except Unfit as reason:
        return result(Verdict.SKIPPED, note=str(reason))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return result(
            Verdict.FAILED,
            seen=f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno} in {last.name})",
            expected=(check.__doc__ or title).strip().replace("\n    ", " "),
            cause="the method raised where it had to run; the line is given",
        )
