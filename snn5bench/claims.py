"""The ledger of published claims: what was claimed, where, under which protocol, and what would decide it here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from snn5bench.errors import BenchError, Problem
from snn5bench.yamlfile import YamlFile


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Gain(_Strict):
    """Accuracy of a method minus that of another method, or of its own twin."""

    kind: Literal["gain"]
    dataset: str
    method: str
    over: str
    """`notd`, `sdbp` or `shuffled` for the twin of that name; otherwise a method."""
    above: float = Field(0.0, ge=0, le=1)
    """The gain that was claimed, in accuracy; the direction is right above 0."""


class GapWithin(_Strict):
    """Two accuracies that are claimed to be as good as equal."""

    kind: Literal["gap_within"]
    dataset: str
    method: str
    over: str
    within: float = Field(gt=0, le=1)


class Accuracy(_Strict):
    """An accuracy above or below a number."""

    kind: Literal["accuracy"]
    dataset: str
    method: str
    twin: Literal["none", "notd", "sdbp", "shuffled"] = "none"
    above: float | None = Field(None, ge=0, le=1)
    below: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _one_side(self) -> Accuracy:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either `above` or `below`")
        return self


class PeekingGap(_Strict):
    """What choosing the best test epoch adds, averaged over the rows of a suite, claimed to be at most `within`."""

    kind: Literal["peeking_gap"]
    dataset: str | None = None
    """All datasets where it is left out."""
    within: float = Field(gt=0, le=1)


class EnergyRatio(_Strict):
    """Energy over that of the dense twin under one model; spiking needs less below 1."""

    kind: Literal["energy_ratio"]
    dataset: str
    method: str
    model: str
    below: float = Field(gt=0, le=1)


class Measured(_Strict):
    """Decided by a test of this repository, which fails where the verdict no longer holds."""

    kind: Literal["measured"]
    verdict: Literal["reproduced", "direction reproduced", "contradicted"]
    number: str
    """What the test measures, in words with the number."""
    test: str
    """`tests/path.py::name`"""


Predicate = Annotated[Gain | GapWithin | Accuracy | PeekingGap | EnergyRatio | Measured, Field(discriminator="kind")]


class Claim(_Strict):
    """One published or widely repeated statement."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    claim: str
    """As published, or as it is usually repeated."""
    source: str
    """Paper, repository or page."""
    version: str = ""
    """Which version of the source says so, where versions differ."""
    method: str = ""
    """Registered name of the technique, where there is one: its leaderboard rows show the claim."""
    shown_on: tuple[str, ...] = ()
    """Datasets whose rows show it: the one it is about, or the bundled one that stands for it."""
    T: int | None = Field(None, gt=0)
    """Timesteps."""
    split: str = ""
    selection_rule: str = ""
    """How the epoch was chosen: `best test epoch`, `held-out validation`, `not found`, ..."""
    corrected: str = ""
    """What checking the sources showed."""
    needs: tuple[str, ...] = ()
    """What is missing here to test it, or to test the number and not just the direction."""
    scale: Literal["number", "direction"] = "direction"
    """Whether the suite's data are those of the claim, so that its number can be met, or only stand for them."""
    suite: str = ""
    """Whose records decide it."""
    predicates: tuple[Predicate, ...] = ()
    """All must hold."""

    @model_validator(mode="after")
    def _decidable_or_not(self) -> Claim:
        if not self.predicates and not self.needs:
            raise ValueError("a claim that nothing decides must say what it needs")
        if any(p.kind != "measured" for p in self.predicates) and not self.suite:
            raise ValueError("predicates on records need a `suite`")
        return self


class _Ledger(_Strict):
    claims: tuple[Claim, ...] = Field(min_length=1)


def read(folder: Path) -> list[Claim]:
    """All claims of `folder/*.yaml`, in the order of files and lines. All mistakes of all files are raised together."""
    claims: list[Claim] = []
    problems: list[Problem] = []
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise BenchError(f"there are no claims in {folder}", do="name the folder that holds the ledger's yaml files")
    for path in paths:
        file = YamlFile.read(path)
        try:
            claims += _Ledger.model_validate(file.data).claims
        except ValidationError as error:
            problems += file.by_line(file.problems(error, _Ledger))
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            problems.append(Problem(f"two claims are called '{claim.id}'", str(folder), "rename one"))
        seen.add(claim.id)
    if problems:
        raise BenchError(problems)
    return claims


def beside(claims: Iterable[Claim]) -> dict[tuple[str, str], list[Claim]]:
    """(method, dataset) to the claims that its leaderboard row shows."""
    shown: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        for dataset in claim.shown_on if claim.method else ():
            shown.setdefault((claim.method, dataset), []).append(claim)
    return shown


def suites(claims: Sequence[Claim]) -> list[str]:
    """The suites whose records are asked for, each once."""
    return list(dict.fromkeys(claim.suite for claim in claims if claim.suite))
