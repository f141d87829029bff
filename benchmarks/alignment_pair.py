"""Two networks that were trained from different seeds, brought into one order of units, and the path between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from alignment_networks import Digits, Images, Training, train
from torch import Tensor, nn
from torch.func import functional_call

from merge.after.batch_norm import measure
from merge.after.passes import Passes
from merge.after.pre_activations import PreActivations
from merge.after.repair import look_at, repair
from merge.alignment.declared import AlignmentOptions
from merge.alignment.derive import derive_groups
from merge.alignment.groups import Groups
from merge.alignment.matching import StateReader, match_activations, match_weights
from merge.alignment.matching.matched import Matched
from merge.alignment.permutations import axis_indices
from merge.calibration.feeds.in_memory import sample_from_tensors, subject_from_module
from merge.evaluation.outcome import Measure
from merge.evaluation.task import Settings
from merge.search.barrier import Point, barriers, positions

State = Mapping[str, Tensor]
MIDDLE = 0.5
RESET_BATCH = 128


class Score(NamedTuple):
    """Mean loss and share of right answers."""

    loss: float
    accuracy: float


class Path(NamedTuple):
    """The path between two models.

    Attributes:
        middle: The scores halfway, on the held-out images.
        train, test: The barriers of the loss: how much it rises above the straight line between the ends.
    """

    middle: Score
    train: float
    test: float


@dataclass(frozen=True)
class Pair:
    """Two networks of one architecture.

    Attributes:
        make: Makes an untrained one.
        first, second: Their tensors.
        data: What they were trained and are scored on.
        points: How many models of a path are scored.
    """

    make: Callable[[], nn.Module]
    first: State
    second: State
    data: Digits
    points: int = 25

    @cached_property
    def network(self) -> nn.Module:
        """A network whose tensors are exchanged."""
        return self.make().eval()

    @cached_property
    def groups(self) -> Groups:
        """Which units may be reordered, found by tracing."""
        places = self.network.state_dict(keep_vars=True)
        return derive_groups(self.network, places, (self.data.test.pixels[:2],))

    def scores(self) -> tuple[Score, Score]:
        """Return both models' scores on the held-out images."""
        return self.score(self.first, self.data.test), self.score(self.second, self.data.test)

    def score(self, state: State, images: Images) -> Score:
        """Score a model."""
        with torch.no_grad():
            logits = functional_call(self.network, dict(state), (images.pixels,))
        loss = torch.nn.functional.cross_entropy(logits, images.labels)
        return Score(float(loss), float((logits.argmax(1) == images.labels).float().mean()))

    def path(self, other: State, change: Callable[[State], State] = lambda state: state) -> Path:
        """Follow the line from the first model to another.

        Args:
            other: Its end.
            change: What is done to every model on it.
        """
        models = [change(_between(self.first, other, place)) for place in positions(self.points)]
        heights = [self._height(models, images) for images in self.data]
        return Path(self.score(models[len(models) // 2], self.data.test), *heights)

    def _height(self, models: list[State], images: Images) -> float:
        losses = [self.score(state, images).loss for state in models]
        places = zip(positions(self.points), losses, strict=True)
        count = len(images.labels)
        points = [Point(place, {"loss": Measure("loss", loss, loss, loss, count)}) for place, loss in places]
        return next(one.value for one in barriers(points, "loss") if one.definition == "linear")

    def reset(self, state: State) -> State:
        """Return a model whose BatchNorm statistics were measured anew on the training images."""
        sample = sample_from_tensors({"pixels": self.data.train.pixels})
        found = measure(self._subject(state), sample, state, Passes(Settings(batch_size=RESET_BATCH))).tensors
        return {**state, **{name: tensor.to(state[name].dtype) for name, tensor in found.items()}}

    def repaired(self, other: State) -> State:
        """Return the average of the first model and another, its activations brought back to theirs."""
        passes = Passes(Settings(batch_size=RESET_BATCH))
        sample = sample_from_tensors({"pixels": self.data.train.pixels})
        ends = []
        for number, state in enumerate((self.first, other)):
            subject = self._subject(state)
            ends.append(PreActivations(subject.places(), subject.name))
            passes.run(f"end {number}", subject, sample, ends[-1])
        middle = _between(self.first, other, MIDDLE)
        found = repair(self._subject(middle), sample, middle, look_at(ends), passes).tensors
        return {name: _rescaled(tensor, found.get(name)) for name, tensor in middle.items()}

    def by_weights(self, **options: Any) -> Matched:
        """Match the second model's units with the first's by weights."""
        readers = StateReader("first", self.first), StateReader("second", self.second)
        return match_weights(*readers, self.groups, AlignmentOptions(**options), 0)

    def by_activations(self, metric: str) -> Matched:
        """Match them by what they do on the training images."""
        subjects = self._subject(self.first), self._subject(self.second)
        readers = StateReader("first", self.first), StateReader("second", self.second)
        sample = sample_from_tensors({"pixels": self.data.train.pixels})
        options = AlignmentOptions(matching="activations", metric=metric)
        return match_activations(subjects, sample, readers, self.groups, options, Settings())

    def _subject(self, state: State) -> Any:
        network = self.make()
        network.load_state_dict(state)
        return subject_from_module("a model", network)

    def aligned(self, matched: Matched) -> State:
        """Return the second model with its units in the order that was found."""
        return permuted(self.second, self.groups, matched)


def permuted(state: State, groups: Groups, matched: Matched) -> State:
    """Return tensors with their units in another order."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    indices = axis_indices(groups, matched.orders, shapes)
    found = dict(state)
    for name, axes in indices.items():
        for axis, index in axes.items():
            found[name] = found[name].index_select(axis, torch.from_numpy(np.ascontiguousarray(index)))
    return found


def _rescaled(tensor: Tensor, found: Tensor | None) -> Tensor:
    """Return a weight with its outputs scaled, or a bias scaled and shifted."""
    if found is None:
        return tensor
    if found.ndim == 2:
        return (tensor * found[0] + found[1]).to(tensor.dtype)
    return (tensor * found.reshape(-1, *(1,) * (tensor.ndim - 1))).to(tensor.dtype)


def _between(first: State, second: State, place: float) -> State:
    """Return the model at a place of the line, summed in float64; counts are the first model's."""
    found = {}
    for name, one in first.items():
        if one.is_floating_point():
            found[name] = ((1 - place) * one.double() + place * second[name].double()).to(one.dtype)
        else:
            found[name] = one
    return found


def trained(make: Callable[[], nn.Module], data: Digits, training: Training, seed: int) -> State:
    """Return the tensors of a network; the seed decides about its first weights and the order of the images."""
    torch.manual_seed(seed)
    network = train(make(), data.train, training, seed)
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
