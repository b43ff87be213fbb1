"""A suite's file into cells; all its mistakes are raised in one error, each with its line and key."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from snn5bench import registry
from snn5bench.cell import Cell, slug
from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.params import Params
from snn5bench.errors import BenchError, Problem, did_you_mean
from snn5bench.plain import unusable
from snn5bench.record import TwinKind
from snn5bench.suite import DatasetBlock, MethodBlock, Pairs, Suite
from snn5bench.yamlfile import YamlFile, dotted

MOST_ROWS, MOST_CELLS = 1000, 20_000
"""Beyond these a suite is a mistake, or meant to keep its readers busy."""
MOST_STEPS = 1 << 16
"""Packed data number their steps in 16 bits."""


class PlannedCell(BaseModel):
    """A cell, and why the suite says that it does not run (empty where it does)."""

    model_config = ConfigDict(frozen=True)

    cell: Cell
    spec: DatasetSpec | None
    """None where its dataset cannot be loaded here."""
    incompatible: str = ""
    absent: str = ""
    """Why its method or its dataset cannot be loaded here; the parameters of either are then as the suite states them,
    unchecked."""


class _Variant(BaseModel):
    """One point of a grid: its label and its parameters as stated (not yet resolved)."""

    block: MethodBlock | DatasetBlock
    index: int
    """Place of the block in its list."""
    label: str
    stated: dict[str, Any]

    def matches(self, pattern: str) -> bool:
        return any(fnmatchcase(name, pattern) for name in (self.label, self.block.name, self.block.label or self.label))


def read(path: Path) -> tuple[Suite, list[PlannedCell]]:
    """Read a suite and expand it. All mistakes of the file are raised in one error, each with line and key."""
    file = YamlFile.read(path)
    data = {"name": path.stem, **file.data}
    try:
        suite = Suite.model_validate(data)
    except ValidationError as error:
        partial = _Expansion(None, file, file.problems(error, Suite))
        partial.check_blocks(_whole(MethodBlock, data.get("methods")), _whole(DatasetBlock, data.get("datasets")))
        raise BenchError(file.by_line(partial.problems)) from None
    expansion = _Expansion(suite, file, [])
    cells = list(expansion.cells())
    if expansion.problems:
        raise BenchError(file.by_line(expansion.problems))
    return suite, cells


Blocks = list[tuple[int, MethodBlock | DatasetBlock]]


class _Source(NamedTuple):
    """One dataset of a suite: its parameters and, where it can be loaded, its spec; else why it cannot."""

    params: dict[str, Any]
    spec: DatasetSpec | None
    absent: str = ""


def _whole(schema: type[MethodBlock] | type[DatasetBlock], raw: Any) -> Blocks:
    """The blocks of a broken file that are whole, with their places, so that their names can be checked all the same."""
    blocks: Blocks = []
    for index, value in enumerate(raw if isinstance(raw, list) else ()):
        with suppress(ValidationError):
            blocks.append((index, schema.model_validate({"name": value} if isinstance(value, str) else value)))
    return blocks


def select(planned: Sequence[PlannedCell], only: str | None, seeds: str | None) -> list[PlannedCell]:
    """The cells whose method matches `only` and whose seed is among `seeds` (`0,1,2`)."""
    wanted: set[int] | None = None
    if seeds is not None:
        try:
            wanted = {int(word) for word in seeds.split(",")}
        except ValueError:
            raise BenchError(
                f"'{seeds}' is not a list of seeds", "--seeds", "write numbers with commas, like 0,1,2"
            ) from None
    kept = [p for p in planned if wanted is None or p.cell.seed in wanted]
    if only is not None:
        kept = [p for p in kept if fnmatchcase(p.cell.variant, only) or fnmatchcase(p.cell.method, only)]
    if not kept:
        known = sorted({p.cell.variant for p in planned})
        raise BenchError(
            "no cell of this suite matches", f"--only {only} --seeds {seeds}", did_you_mean(only or "", known)
        )
    return kept


def matching(planned: Sequence[PlannedCell], name: str) -> list[PlannedCell]:
    """The cells whose label (`METHOD@DATASET#SEED`) is `name`, or else begins with it."""
    found = [p for p in planned if name in (p.cell.label, p.cell.row)] or [
        p for p in planned if p.cell.label.startswith(name)
    ]
    if not found:
        raise BenchError(f"no cell is called '{name}'", "CELL", did_you_mean(name, {p.cell.label for p in planned}))
    return found


class _Expansion:
    """Expands a suite that fits the schema; what only the registry can know is checked here."""

    def __init__(self, suite: Suite | None, file: YamlFile, problems: list[Problem]) -> None:
        self._suite, self.file, self.problems = suite, file, problems

    @property
    def suite(self) -> Suite:
        """The suite; there is none while a file that does not fit the schema is searched for further mistakes."""
        assert self._suite is not None
        return self._suite

    def check_blocks(self, methods: Blocks, datasets: Blocks) -> tuple[list[_Variant], list[_Variant]]:
        """Names, grids and parameters of all blocks; what is wrong goes to `problems`."""
        rows = self._variants("methods", methods), self._variants("datasets", datasets)
        for row in rows[1]:
            self._dataset(row)
        for row in rows[0]:
            if _absence(row.block.name, row.stated):
                continue
            self._params(registry.load("methods", row.block.name).Params, row, row.stated, ("methods", row.index))
        return rows

    def cells(self) -> Iterator[PlannedCell]:
        """The cells of a suite without mistakes."""
        methods, datasets = self.check_blocks(list(enumerate(self.suite.methods)), list(enumerate(self.suite.datasets)))
        self._patterns(methods, datasets)
        self._size(len(methods) * len(datasets))
        if self.problems:
            return
        baseline = self._baseline(methods)
        for dataset in datasets:
            made = self._dataset(dataset)
            if made is None:
                continue
            dataset_params, spec, no_data = made
            for method in methods:
                params = self._method_params(method, dataset, spec)
                if params is None:
                    continue
                reason, absent = self._obstacle(method, dataset, params, spec)
                for twin in self._twins(method, dataset, spec, baseline):
                    for seed in self.suite.seeds:
                        cell = self._cell(method, dataset, params, dataset_params, spec, twin, seed)
                        if cell is not None:
                            yield PlannedCell(cell=cell, spec=spec, incompatible=reason, absent=absent or no_data)

    def _size(self, pairs: int) -> None:
        seeds = self.suite.seeds
        if len(set(seeds)) < len(seeds):
            twice = Counter(seeds).most_common(1)[0][0]
            self._problem(f"seed {twice} is given twice", ("seeds",), "a seed gives the same numbers again")
        elif pairs * len(seeds) > MOST_CELLS:
            what = f"{pairs * len(seeds):,} cells before twins, at most {MOST_CELLS:,} are planned at once"
            self._problem(what, ("seeds",), "split the suite")

    def _baseline(self, methods: list[_Variant]) -> _Variant:
        wanted = self.suite.baseline
        if wanted is None:
            return methods[0]
        return next(m for m in methods if m.matches(wanted))

    def _variants(self, part: str, blocks: Blocks) -> list[_Variant]:
        kind: registry.Kind = "methods" if part == "methods" else "datasets"
        variants: list[_Variant] = []
        labels: set[str] = set()
        by_slug: dict[str, str] = {}
        for index, block in blocks:
            at = (part, index)
            points = prod(map(len, block.grid.values()))
            if len(variants) + points > MOST_ROWS:
                self._problem(f"more than {MOST_ROWS:,} {part}, grids spelt out", at, "split the suite")
                break
            try:
                registry.entry(kind, block.name)
            except BenchError as error:
                if not registry.absence(kind, block.name):
                    found = error.problems[0]
                    self._problem(found.what, (*at, "name"), found.do)
                    continue
            for name in sorted(block.grid.keys() & block.params.keys()):
                self._problem(f"'{name}' is both fixed and in the grid", (*at, "grid", name), "keep one of the two")
            names = list(block.grid)
            for values in itertools.product(*block.grid.values()):
                point = dict(zip(names, values, strict=True))
                tail = ",".join(f"{key}={_short(value)}" for key, value in point.items())
                label = (block.label or block.name) + (f"[{tail}]" if tail else "")
                twin = by_slug.setdefault(slug(label), label)
                if label in labels:
                    self._problem(f"two {part} are called '{label}'", at, "give one of them a `label`")
                elif twin != label:
                    same = f"the records of '{label}' and '{twin}' would have one file name"
                    self._problem(same, at, "give one of them a `label` of other letters")
                labels.add(label)
                variants.append(_Variant(block=block, index=index, label=label, stated={**block.params, **point}))
        return variants

    def _patterns(self, methods: list[_Variant], datasets: list[_Variant]) -> None:
        """Every pattern must match something, else it is a typing mistake."""

        def check(pattern: str, rows: list[_Variant], at: tuple[str | int, ...], word: str) -> None:
            if rows and pattern != "temporal" and not any(row.matches(pattern) for row in rows):
                known = [row.label for row in rows] + [row.block.name for row in rows]
                self._problem(f"'{pattern}' matches no {word} of this suite", at, did_you_mean(pattern, known))

        for twin in ("notd", "sdbp", "shuffled"):
            pairs: Pairs | None = getattr(self.suite.twins, twin)
            for i, pattern in enumerate(pairs.methods if pairs else ()):
                check(pattern, methods, ("twins", twin, "methods", i), "method")
            for i, pattern in enumerate(pairs.datasets if pairs else ()):
                check(pattern, datasets, ("twins", twin, "datasets", i), "dataset")
        for i, pair in enumerate(self.suite.incompatible):
            check(pair.method, methods, ("incompatible", i, "method"), "method")
            check(pair.dataset, datasets, ("incompatible", i, "dataset"), "dataset")
        for i, block in enumerate(self.suite.methods):
            for pattern in (*block.on, *block.budget):
                part = "on" if pattern in block.on else "budget"
                check(pattern, datasets, ("methods", i, part, pattern), "dataset")
        if self.suite.baseline is not None:
            check(self.suite.baseline, methods, ("baseline",), "method")

    def _dataset(self, dataset: _Variant) -> _Source | None:
        at, name = ("datasets", dataset.index), dataset.block.name
        if absent := registry.absence("datasets", name):
            return _Source(dataset.stated, None, absent)
        cls = registry.load("datasets", name)
        params = self._params(cls.Params, dataset, dataset.stated, at)
        if params is None:
            return None
        try:
            with registry.blaming("datasets", name, "does not say what it is"):
                spec = DatasetSpec.model_validate(cls(params).spec())
        except registry.BrokenPlugin as broken:
            return _Source(params.model_dump(mode="json"), None, broken.problems[0].what)
        except BenchError as error:
            self._problem(error.problems[0].what, at, error.problems[0].do)
            return None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            inner = dotted(tuple(first["loc"]))
            self._problem(f"of what it is made of, {inner}: {first['msg']}", at, "mend the inner parameters")
            return None
        if spec.T > MOST_STEPS:
            self._problem(f"it has {spec.T:,} timesteps, at most {MOST_STEPS:,} can be stored", at, "lower them")
            return None
        return _Source(params.model_dump(mode="json"), spec)

    def _method_params(self, method: _Variant, dataset: _Variant, spec: DatasetSpec | None) -> dict[str, Any] | None:
        assert isinstance(method.block, MethodBlock)
        stated = dict(method.stated)
        for pattern, more in method.block.on.items():
            if _covers(pattern, dataset, spec):
                stated.update(more)
        if _absence(method.block.name, stated):
            return stated
        schema = registry.load("methods", method.block.name).Params
        params = self._params(schema, method, stated, ("methods", method.index))
        return None if params is None else params.model_dump(mode="json")

    def _params(self, schema: type[Params], row: _Variant, stated: dict[str, Any], at: tuple[str | int, ...]) -> Any:
        for name in unusable(stated):
            part = next((p for p in ("params", "grid") if self.file.has((*at, p, name))), "on")
            self._problem("the value is not a finite number, or too large", (*at, part, name), "write a number")
            return None
        try:
            return schema.model_validate(stated)
        except ValidationError as error:
            inner = "grid" if row.block.grid else "params"
            for problem in self.file.problems(
                error, schema, (*at, "params"), (*at, "grid"), (*at, "on"), fallback=(*at, inner)
            ):
                if problem not in self.problems:
                    self.problems.append(problem)
            return None

    def _obstacle(
        self, method: _Variant, dataset: _Variant, params: dict[str, Any], spec: DatasetSpec | None
    ) -> tuple[str, str]:
        """Why the two do not fit, and why the method cannot be used here at all; empty where nothing hinders."""
        name = method.block.name
        absent = _absence(name, params)
        for pair in self.suite.incompatible:
            if method.matches(pair.method) and dataset.matches(pair.dataset):
                return pair.reason, absent
        if spec is None or absent:
            return "", absent
        cls = registry.load("methods", name)
        try:
            with registry.blaming("methods", name, "does not say what it supports"):
                verdict = cls(cls.Params.model_validate(params)).supports(spec)
                return ("" if verdict else verdict.reason), ""
        except registry.BrokenPlugin as broken:
            return "", broken.problems[0].what

    def _twins(
        self, method: _Variant, dataset: _Variant, spec: DatasetSpec | None, baseline: _Variant
    ) -> Iterator[TwinKind]:
        yield "none"
        twins = self.suite.twins
        shuffled = twins.shuffled
        if shuffled is None and "shuffled" not in twins.model_fields_set:
            shuffled = Pairs(methods=[baseline.label], datasets=["temporal"])
        kinds: tuple[tuple[TwinKind, Pairs | None], ...] = (
            ("notd", twins.notd),
            ("sdbp", twins.sdbp),
            ("shuffled", shuffled),
        )
        for kind, pairs in kinds:
            if pairs is None or not any(method.matches(p) or p == method.label for p in pairs.methods):
                continue
            if any(_covers(pattern, dataset, spec) for pattern in pairs.datasets):
                yield kind

    def _cell(
        self,
        method: _Variant,
        dataset: _Variant,
        params: dict[str, Any],
        dataset_params: dict[str, Any],
        spec: DatasetSpec | None,
        twin: TwinKind,
        seed: int,
    ) -> Cell | None:
        assert isinstance(method.block, MethodBlock)
        assert isinstance(dataset.block, DatasetBlock)
        budget: dict[str, int] = {}
        own = [block for pattern, block in method.block.budget.items() if _covers(pattern, dataset, spec)]
        for block in (self.suite.budget, dataset.block.budget, *own):
            budget.update(block.model_dump(exclude_none=True))
        for name in ("epochs", "batch_size"):
            if name not in budget:
                self._problem(
                    f"no budget sets `{name}` for {method.label} on {dataset.label}", ("budget",), f"add `{name}`"
                )
        if self.problems:
            return None
        return Cell(
            suite=self.suite.name,
            method=method.block.name,
            variant=method.label,
            method_params=params,
            dataset=dataset.block.name,
            dataset_variant=dataset.label,
            dataset_params=dataset_params,
            twin=twin,
            seed=seed,
            record_peeking=self.suite.record_peeking,
            **budget,
        )

    def _problem(self, what: str, at: tuple[str | int, ...], do: str) -> None:
        problem = Problem(what, self.file.place(at), do)
        if problem not in self.problems:
            self.problems.append(problem)


def _covers(pattern: str, dataset: _Variant, spec: DatasetSpec | None) -> bool:
    """Whether a dataset pattern covers a dataset; `temporal` covers each that is meant to need time, or may be."""
    return (spec is None or spec.temporal) if pattern == "temporal" else dataset.matches(pattern)


def _absence(method: str, params: dict[str, Any]) -> str:
    """Why a method, or the one that it says it starts from (`base`), cannot be loaded here."""
    base = params.get("base")
    return registry.absence("methods", method) or (registry.absence("methods", base) if isinstance(base, str) else "")


def _short(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)
