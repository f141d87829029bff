"""Two networks over the same data, batch by batch, and the statistics of their units."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...calibration.masks import Masks
from ...calibration.same_inputs import SameInputs
from ...calibration.streams import following
from ...errors import MergeError
from .families import Family
from .spots import Target, targets
from .unit_statistics import UnitStatistics
from .unit_watch import Seer, Spot, UnitWatch

if TYPE_CHECKING:
    from torch import Tensor

    from ...calibration.subject import Batch, Sample, Subject
    from ...evaluation.task import Settings

    Rows = dict[tuple[Spot, int, int], Tensor]  # by spot, how often it was met before, and number of its target

ITEMS = 16  # at a time: what one network's units do is kept until the other has run


class Run:
    """One pass over the data.

    Args:
        subjects: The networks.
        sample: The data.
        found: The families whose units are looked at.
        shapes: Of the checkpoint's tensors.
        settings: Most items at a time; told of progress.
    """

    def __init__(
        self,
        subjects: tuple[Subject, Subject],
        sample: Sample,
        found: Sequence[Family],
        shapes: Mapping[str, tuple[int, ...]],
        settings: Settings,
    ) -> None:
        self._subjects, self._sample, self._settings = subjects, sample, settings
        self._families, self._shapes = found, shapes
        self._statistics: dict[str, UnitStatistics] = {}

    def statistics(self) -> dict[str, UnitStatistics]:
        """Run both networks and return the statistics of the families whose units were seen.

        Raises:
            MergeError: A network does not run, or gives numbers that are not finite.
        """
        told: dict[Spot, list[Target]] | None = None
        for batch in self._sample.batches(min(self._settings.batch_size, ITEMS)):
            told = self._targets(batch) if told is None else told
            self._add(batch, told)
            self._settings.advance(len(batch))
        return self._statistics

    def _targets(self, batch: Batch) -> dict[Spot, list[Target]]:
        """Run the first network once to learn where units can be seen."""
        subject = self._subjects[0]
        names = shared_names(subject.places())
        every: set[Spot] = {(name, axis, "output") for name in names for axis in (0, 1)}
        seen: dict[Spot, frozenset[str]] = {}

        def see(spot: Spot, values: Tensor, source: Any) -> None:
            seen[spot] = names[spot[0]]

        _watched(subject, batch, Masks(batch.counted), see, every)
        lengths = {(name, axis): size for name, shape in self._shapes.items() for axis, size in enumerate(shape)}
        return targets(self._families, lengths, seen)

    def _add(self, batch: Batch, told: Mapping[Spot, Sequence[Target]]) -> None:
        first, second = (_rows(subject, batch, told) for subject in self._subjects)
        for key, rows in first.items():
            other = second.get(key)
            if other is None or len(other) != len(rows):
                continue  # experts, whose tokens a router picked: they are not the same ones
            spot, _, number = key
            target = told[spot][number]
            name = target.family.name
            if name not in self._statistics:
                self._statistics[name] = UnitStatistics(self._subjects[0].device)
            self._statistics[name].add(target, (spot, number), rows, other.to(rows.device))


def _rows(subject: Subject, batch: Batch, told: Mapping[Spot, Sequence[Target]]) -> Rows:
    """Return what one network's units do over a batch; what several parameters read alike is kept once."""
    found: Rows = {}
    inputs, met, known = SameInputs(), Counter[Spot](), set[Any]()
    masks = Masks(batch.counted)

    def see(spot: Spot, values: Tensor, source: Any) -> None:
        met[spot] += 1
        number = None if source is None else inputs.note("", source)
        marks = [(number, target.family.name, target.channels.tobytes()) for target in told.get(spot, ())]
        new = [place for place, mark in enumerate(marks) if number is None or mark not in known]
        known.update(marks)
        if new:
            rows = _counted(values, masks, spot, subject)
            found.update({(spot, met[spot], place): told[spot][place].rows(rows) for place in new})

    _watched(subject, batch, masks, see, {spot for spot in told if spot[2] == "output"})
    return found


def _counted(values: Tensor, masks: Masks, spot: Spot, subject: Subject) -> Tensor:
    """Return [rows, units] without padding."""
    import torch

    mask = masks.rows(values)
    rows = (values.reshape(-1, values.shape[-1]) if mask is None else values[mask]).detach().float()
    if not torch.isfinite(rows).all():
        side = "inputs" if spot[2] == "input" else "outputs"
        hint = "the model, or the data, holds numbers that are too large, or none"
        raise MergeError(f"the {side} of '{spot[0]}' are not finite", where=subject.name, hint=hint)
    return rows


def _watched(subject: Subject, batch: Batch, masks: Masks, see: Seer, outputs: Collection[Spot]) -> None:
    import torch

    inputs = {name: tensor.to(subject.device) for name, tensor in batch.inputs.items()}
    parameters = {name: place for name, place in subject.places().items() if place.ndim > 1}
    watch = UnitWatch(parameters, see, outputs)
    with torch.no_grad(), following(subject.module, inputs, masks), watch:
        subject.run(inputs)


def shared_names(places: Mapping[str, Tensor]) -> dict[str, frozenset[str]]:
    """Return all names of the parameter that goes by each name."""
    sharing: dict[int, set[str]] = defaultdict(set)
    for name, place in places.items():
        sharing[id(place)].add(name)
    return {name: frozenset(sharing[id(place)]) for name, place in places.items()}
