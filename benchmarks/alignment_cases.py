"""What ``alignment.py`` runs: pairs of networks, ways to match them, and what must come out."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from alignment_cost import CASES, cost
from alignment_networks import Digits, Perceptron, SmallResNet, Training, digits
from alignment_pair import Pair, Score, State, permuted, trained
from alignment_planted import recovered
from alignment_tables import barrier_text, percent_text, point_text, score_text
from torch import nn
from torch.func import functional_call

from merge.alignment.declared import AlignmentOptions
from merge.alignment.matching import StateReader, match_many

ADAM = Training()
RESNET = Training("sgd", 0.1, 25, 5e-4)
SEEDS = ((1, 2), (3, 4))
RESNET_WIDTHS = ((16, 32), (64, 128))
NOISES = (0.0, 0.5, 1.0)
INITS = ("anchored", "identity")
METRICS = ("inner", "correlation")
MANY_SEEDS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Size:
    """How much is done.

    Attributes:
        epochs: Most epochs of a training.
        images: Most training images; None: all.
        points: Models of a path that are scored.
        width: Most units of a hidden layer.
        problems: How many permutations are planted.
        costs: Whether large models are matched.
    """

    epochs: int = 60
    images: int | None = None
    points: int = 25
    width: int = 1024
    problems: int = 10
    costs: bool = True


FULL = Size()
QUICK = Size(epochs=1, images=256, points=3, width=32, problems=1, costs=False)


@dataclass(frozen=True)
class Case:
    """A pair of perceptrons: width, hidden layers, training, seeds."""

    width: int = 512
    hidden: int = 3
    training: Training = ADAM
    seeds: tuple[int, int] = (1, 2)

    @property
    def name(self) -> str:
        """In a few words."""
        return f"{self.hidden} x {self.width}, {self.training.name}, seeds {self.seeds[0]} and {self.seeds[1]}"


FIRST, OTHER_SEEDS = Case(), Case(seeds=(3, 4))
SLOW_ADAM = Case(training=Training(learning_rate=1e-4))
NARROW = Case(128)
PERCEPTRONS = (
    FIRST,
    OTHER_SEEDS,
    Case(training=Training("sgd", 0.05, 60, 5e-4)),
    Case(training=Training("sgd", 0.3, 60, 1e-3)),
    SLOW_ADAM,
    Case(1024, training=Training(epochs=40)),
    NARROW,
    Case(32),
    Case(hidden=1),
)


@dataclass
class Findings:
    """Rows of the tables, and numbers that are compared with what is wanted.

    Attributes:
        numbers: By what they are of.
    """

    pairs: list[list[str]] = field(default_factory=list)
    ways: list[list[str]] = field(default_factory=list)
    resnets: list[list[str]] = field(default_factory=list)
    many: list[list[str]] = field(default_factory=list)
    planted: list[list[str]] = field(default_factory=list)
    costs: list[list[str]] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)


class Run:
    """Everything that is run, one after the other.

    Args:
        size: How much.
    """

    def __init__(self, size: Size) -> None:
        self._size, self._states = size, dict[tuple[str, int], State]()
        self._data, self._evenly = (digits(size.images, by_pixel=by_pixel) for by_pixel in (True, False))
        self.found = Findings()

    def everything(self) -> Findings:
        """Run all of it."""
        for case in PERCEPTRONS:
            self._perceptrons(case)
        self._four()
        for widths in RESNET_WIDTHS:
            for seeds in SEEDS:
                self._resnets(widths, seeds)
        self._planted()
        if self._size.costs:
            self._costs()
        return self.found

    def _pair(self, make: partial[nn.Module], data: Digits, training: Training, seeds: tuple[int, int]) -> Pair:
        states = [self._trained(make, data, training, seed) for seed in seeds]
        return Pair(make, states[0], states[1], data, self._size.points)

    def _trained(self, make: partial[nn.Module], data: Digits, training: Training, seed: int) -> State:
        """Train a network, unless that was done before."""
        training = replace(training, epochs=min(training.epochs, self._size.epochs))
        key = f"{make} {training}", seed
        if key not in self._states:
            self._states[key] = trained(make, data, training, seed)
        return self._states[key]

    def _make(self, case: Case) -> partial[nn.Module]:
        return partial(Perceptron, min(case.width, self._size.width), case.hidden)

    def _perceptrons(self, case: Case) -> None:
        pair = self._pair(self._make(case), self._data, case.training, case.seeds)
        matched = pair.by_weights()
        end = pair.aligned(matched)
        naive, aligned = pair.path(pair.second), pair.path(end)
        scores = " / ".join(percent_text(score.accuracy) for score in pair.scores())
        row = [case.name, scores, score_text(naive.middle), score_text(aligned.middle)]
        row += [barrier_text(naive.train, aligned.train), barrier_text(naive.test, aligned.test)]
        self.found.pairs.append([*row, str(matched.report.sweeps)])
        others = {metric: pair.path(pair.aligned(pair.by_activations(metric))) for metric in METRICS}
        texts = [point_text(path.middle, path.test) for path in (aligned, *others.values())]
        repaired = pair.score(pair.repaired(end), self._data.test)
        self.found.ways.append([case.name, *texts, score_text(repaired)])
        self.found.numbers |= {f"{case.name}: barrier": aligned.test, f"{case.name}: midpoint": aligned.middle.accuracy}
        self.found.numbers[f"{case.name}: share of the naive barrier"] = (
            aligned.test / naive.test if naive.test else 0.0
        )
        self.found.numbers |= {f"{case.name}: barrier, {name}": path.test for name, path in others.items()}
        _done(case.name)

    def _four(self) -> None:
        """Four models: as they are, aligned to the first, by MergeMany, and their outputs averaged."""
        pair = self._pair(self._make(FIRST), self._data, ADAM, FIRST.seeds)
        states = [self._trained(self._make(FIRST), self._data, ADAM, seed) for seed in MANY_SEEDS]
        self._many("mean as they are", pair, states)
        readers = [StateReader(f"model {number}", state) for number, state in enumerate(states)]
        for many, label in (("reference", "aligned to the first"), ("mean", "MergeMany")):
            found = match_many(readers, pair.groups, AlignmentOptions(many=many), 0)
            moved = [permuted(state, pair.groups, one) for state, one in zip(states[1:], found, strict=True)]
            self._many(label, pair, [states[0], *moved])
        self.found.many.append(["ensemble of the four", score_text(_ensemble(pair, states, self._data))])
        _done("four models")

    def _many(self, label: str, pair: Pair, states: list[State]) -> None:
        mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
        self.found.many.append([label, score_text(pair.score(mean, self._data.test))])

    def _resnets(self, widths: tuple[int, int], seeds: tuple[int, int]) -> None:
        first, second = (min(width, self._size.width) for width in widths)
        pair = self._pair(partial(SmallResNet, first, second), self._evenly, RESNET, seeds)
        scores = " / ".join(percent_text(score.accuracy) for score in pair.scores())
        label = f"{widths[0]} / {widths[1]}, {RESNET.name}, seeds {seeds[0]} and {seeds[1]}"
        aligned = pair.aligned(pair.by_weights())
        for name, end in (("naive", pair.second), ("aligned", aligned)):
            for reset in (False, True):
                path = pair.path(end, pair.reset) if reset else pair.path(end)
                way = f"{name}, reset" if reset else name
                self.found.resnets.append([label, scores, way, score_text(path.middle), f"{path.test:.3f}"])
                self.found.numbers[f"{label}: {way}"] = path.middle.accuracy
        _done(label)

    def _planted(self) -> None:
        for noise in NOISES:
            found = {init: sum(recovered(noise, seed, init) for seed in range(self._size.problems)) for init in INITS}
            counts = [f"{count} of {self._size.problems}" for count in found.values()]
            self.found.planted.append([f"{noise:g}", *counts])
            self.found.numbers[f"planted, noise {noise:g}"] = found[INITS[0]] / self._size.problems
        _done("planted permutations")

    def _costs(self) -> None:
        for case in CASES:
            with tempfile.TemporaryDirectory() as folder:
                spent = cost(Path(folder), case)
            row = [case, f"{spent.wall:.1f}", f"{spent.cpu:.1f}", f"{spent.peak / 1e6:.0f}", str(spent.sweeps)]
            self.found.costs.append(row)
            self.found.numbers |= {f"{case}: CPU seconds": spent.cpu, f"{case}: peak GB": spent.peak / 1e9}
            _done(case)


def _ensemble(pair: Pair, states: list[State], data: Digits) -> Score:
    """Return the scores of the mean of several models' probabilities."""
    with torch.no_grad():
        outputs = [functional_call(pair.network, dict(state), (data.test.pixels,)).softmax(1) for state in states]
    mean = torch.stack(outputs).mean(0)
    loss = torch.nn.functional.nll_loss(mean.log(), data.test.labels)
    return Score(float(loss), float((mean.argmax(1) == data.test.labels).float().mean()))


BELOW, AT_LEAST = "below", "at least"


def wanted() -> Iterator[tuple[str, str, float]]:
    """Yield what must come out: a number by its name, on which side of the limit it must be, the limit."""
    for case in (FIRST, OTHER_SEEDS):
        yield f"{case.name}: barrier", BELOW, 0.06
        yield f"{case.name}: share of the naive barrier", BELOW, 0.1
        yield f"{case.name}: midpoint", AT_LEAST, 0.955
    yield f"{NARROW.name}: barrier", BELOW, 0.16
    yield f"{NARROW.name}: midpoint", AT_LEAST, 0.91
    yield from ((f"{SLOW_ADAM.name}: barrier, {metric}", BELOW, 0.12) for metric in METRICS)
    for one, two in SEEDS:
        yield f"64 / 128, {RESNET.name}, seeds {one} and {two}: aligned, reset", AT_LEAST, 0.97
    yield from ((f"planted, noise {noise:g}", AT_LEAST, 1.0) for noise in NOISES)


def wanted_costs() -> Iterator[tuple[str, str, float]]:
    """Yield what matching large models may cost."""
    for case, seconds in zip(CASES, (60, 600), strict=True):
        yield f"{case}: CPU seconds", BELOW, seconds
        yield f"{case}: peak GB", BELOW, 1


def verdicts(numbers: Mapping[str, float]) -> Iterator[list[str]]:
    """Yield a row for every number that something is wanted of."""
    costs = wanted_costs() if f"{CASES[0]}: peak GB" in numbers else ()
    for name, side, limit in (*wanted(), *costs):
        found = numbers[name]
        holds = found < limit if side == BELOW else found >= limit
        yield [name, f"{side} {limit:g}", f"{found:.3f}", "met" if holds else "NOT met"]


def _done(what: str) -> None:
    print(f"{what}: done", file=sys.stderr, flush=True)
