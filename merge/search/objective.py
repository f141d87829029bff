"""What a selection goes by: the main metric of held-out benchmarks, or their mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UsageError, suggest
from .greedy import Score

if TYPE_CHECKING:
    from ..checkpoints.address import OutputPath
    from ..evaluation.candidate import Candidate
    from ..evaluation.outcome import Measure, Outcome
    from ..evaluation.task import Benchmark, Settings, Task


@dataclass
class Objective:
    """Benchmarks with their data in memory, and the metric that counts.

    Attributes:
        settings: How they were loaded and are run.
        metric: The measure to go by; None: each benchmark's main one.
    """

    benchmarks: Sequence[Benchmark]
    tasks: Sequence[Task]
    settings: Settings
    metric: str | None = None

    @classmethod
    def prepare(cls, benchmarks: Sequence[Benchmark], settings: Settings, metric: str | None = None) -> Objective:
        """Load the data of every benchmark."""
        return cls(benchmarks, [benchmark.prepare(settings) for benchmark in benchmarks], settings, metric)

    @property
    def name(self) -> str:
        """The benchmarks in words."""
        return ", ".join(benchmark.name for benchmark in self.benchmarks)

    @property
    def split(self) -> str:
        """The splits in words."""
        return ", ".join(dict.fromkeys(benchmark.split for benchmark in self.benchmarks))

    @property
    def n(self) -> int:
        """Items of all benchmarks."""
        return sum(task.n for task in self.tasks)

    def score(self, candidate: Candidate) -> Score:
        """Evaluate one model on all benchmarks, each of which counts once.

        Raises:
            UsageError: A benchmark has no such metric, or they differ in it.
        """
        return self.mean(self.measures(candidate))

    def measures(self, candidate: Candidate) -> list[Measure]:
        """Evaluate one model and return what counts on each benchmark.

        Raises:
            UsageError: A benchmark has no such metric, or they differ in it.
        """
        return self._alike([self._measure(task.evaluate(candidate)) for task in self.tasks])

    def score_written(self, out: OutputPath) -> Score:
        """Evaluate a checkpoint that was just written. Raises MergeError when it cannot be read or evaluated."""
        from ..evaluation.locate import CheckpointLocation

        return self.score(CheckpointLocation(str(out), str(out)).load())

    def of(self, outcomes: Sequence[Outcome]) -> Score:
        """Return the score of outcomes, one for each benchmark."""
        return self.mean(self._alike([self._measure(outcome) for outcome in outcomes]))

    @staticmethod
    def mean(measures: Sequence[Measure]) -> Score:
        """Return the mean over the benchmarks; their intervals add up in squares, as they are independent."""
        return _mean(measures)

    @staticmethod
    def _alike(measures: list[Measure]) -> list[Measure]:
        metrics = dict.fromkeys(measure.metric for measure in measures)
        if len(metrics) > 1:
            what = f"the benchmarks have different metrics: {', '.join(metrics)}"
            raise UsageError(what, hint="select on benchmarks of one kind, or name one metric with --metric")
        return measures

    def _measure(self, outcome: Outcome) -> Measure:
        if self.metric is None:
            return outcome.main
        try:
            return outcome.measure(self.metric)
        except KeyError:
            names = [measure.metric for measure in outcome.measures]
            hint = suggest(self.metric, names) or f"there are: {', '.join(names)}"
            raise UsageError(f"the benchmark has no metric '{self.metric}'", where=self.name, hint=hint) from None


def _mean(measures: Sequence[Measure]) -> Score:
    """Return the mean; how far the intervals reach from it adds up in squares, the benchmarks being independent."""
    count = len(measures)
    value = sum(measure.value for measure in measures) / count
    below = math.hypot(*(measure.value - measure.low for measure in measures)) / count
    above = math.hypot(*(measure.high - measure.value for measure in measures)) / count
    return Score(value, value - below, value + above, sum(measure.n for measure in measures), measures[0].metric)
