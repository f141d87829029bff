"""The parts of ``results.json`` that say how weights and options were found."""

from __future__ import annotations

from typing import Any

from typing_extensions import NotRequired, TypedDict  # noqa: UP035 -- pydantic reads these on every Python


class WeightRow(TypedDict):
    """The weight of one model in a merge."""

    model: str
    weight: float


class WrittenScore(TypedDict):
    """The score, on the data of the selection, of the file that was written: rounding may have moved it."""

    score: float
    interval: list[float]
    n: int


class GreedyMember(TypedDict):
    """A candidate of a greedy soup by itself."""

    model: str
    identity: str  # content id
    score: float
    interval: NotRequired[list[float] | None]
    n: int
    rank: int  # 1 is tried first


class GreedyStep(TypedDict):
    """One attempt to add a member."""

    model: str
    members: list[str]  # of the soup that was scored
    score: float
    best_before: float | None  # None in the first step
    accepted: bool
    interval: NotRequired[list[float] | None]


class GreedyBlock(TypedDict):
    """How a greedy soup was put together."""

    accept: str  # ge: as good as the best so far is enough; gt: it must be better
    benchmark: str
    split: str
    metric: str
    higher_is_better: bool
    minimum_gain: float
    same_data_as_report: NotRequired[bool]
    members: list[GreedyMember]
    steps: list[GreedyStep]
    selected: list[str]
    score: float
    written: NotRequired[WrittenScore]
    reset: NotRequired[dict[str, Any]]  # on which data BatchNorm statistics were measured: name, samples, seed


class LearnedBlock(TypedDict):
    """How the weights of a learned soup were found."""

    benchmark: str
    split: str
    by_tensor: bool
    epochs: int
    learning_rate: float
    loss_before: float
    loss_after: float
    temperature: NotRequired[float | None]
    weights: list[WeightRow]
    history: list[float]  # loss of every step
    same_data_as_report: NotRequired[bool]
    written: NotRequired[WrittenScore]


class CoefficientsPoint(TypedDict):
    """One weighting of the models that was tried."""

    weights: list[float]  # in the order of the models
    accepted: bool  # whether it is the best
    score: float | None  # None where it could not be merged or evaluated
    interval: NotRequired[list[float]]
    n: NotRequired[int]
    failure: NotRequired[str]


class CoefficientsBlock(TypedDict):
    """A search of the models' weights on held-out data."""

    benchmark: str
    split: str
    metric: str
    higher_is_better: bool
    seed: NotRequired[int]  # of the draws, for more than two models
    models: list[str]
    points: list[CoefficientsPoint]
    weights: list[WeightRow]  # of the best point
    score: float
    interval: list[float]
    n: int
    same_data_as_report: NotRequired[bool]
    written: NotRequired[WrittenScore]


class SearchTrial(TypedDict):
    """One trial: the options that were tried, and the scores they got."""

    number: int
    values: dict[str, float]
    scores: dict[str, float | None]  # by benchmark; None where the trial failed
    score: NotRequired[float | None]  # the mean over the benchmarks
    accepted: NotRequired[bool]  # whether it is the best
    failure: NotRequired[str]


class BestTrial(TypedDict):
    """The trial of the best score."""

    number: int
    values: dict[str, float]
    score: float
    interval: NotRequired[list[float]]
    n: NotRequired[int]


class SearchBlock(TypedDict):
    """A search over the options of a recipe."""

    sampler: str  # cma | refine | random | grid
    seed: NotRequired[int]
    objective: str  # in words
    metric: NotRequired[str]
    higher_is_better: NotRequired[bool]
    benchmark: NotRequired[str]
    split: NotRequired[str]
    parameters: list[str]  # as ``--set`` names them
    trials: list[SearchTrial]
    best: BestTrial
    pareto: NotRequired[list[int]]  # numbers of the trials that no other one beats on all benchmarks
    written: NotRequired[WrittenScore]
    recipe: NotRequired[str]  # the file with the numbers that were found
    same_data_as_report: NotRequired[bool]


class SweepPoint(TypedDict):
    """One output of a sweep."""

    model: str
    value: float  # of the option
    parameters: NotRequired[int]


class SweepBlock(TypedDict):
    """The same merge with several values of one option."""

    option: str
    points: list[SweepPoint]
    references: NotRequired[list[str]]  # models that it was made from, where they were evaluated too
