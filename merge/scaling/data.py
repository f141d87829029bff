"""What ``--data`` and ``validation`` name ▸ tasks to learn from, and tasks to select by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .overlap import seen_items
from .presets import PSEUDO_LABELS
from .tasks import DataTask, Portion
from .views import can_shift

if TYPE_CHECKING:
    from ..calibration.data import CalibrationData
    from ..calibration.subject import Sample, Subject
    from ..evaluation.candidate import Candidate
    from ..evaluation.task import Settings
    from .presets import Choice

ALL = 2**40  # more items than any data has


@dataclass
class Networks:
    """The base's networks, one for data that one network can read.

    Attributes:
        base: The base.
        settings: Device, architecture by ``--model``.
    """

    base: Candidate
    settings: Settings
    _known: dict[object, Subject] = field(default_factory=dict)

    def of(self, data: CalibrationData) -> Subject:
        """Return the network that reads some data. Raises MergeError or UsageError where the base reads none such."""
        key = data.network or id(data)
        if key not in self._known:
            subject = data.subject(self.base, self.settings)
            subject.module.eval()
            self._known[key] = subject
        return self._known[key]

    def tied(self) -> dict[str, str]:
        """Return the names of tensors that share a parameter with another one, with the name of that one."""
        found: dict[str, str] = {}
        for subject in self._known.values():
            owners: dict[int, str] = {}
            for name, place in subject.places().items():
                owner = owners.setdefault(id(place), name)
                found |= {name: owner} if owner != name else {}
        return found


@dataclass(frozen=True)
class Material:
    """Everything that coefficients are learned from.

    Attributes:
        tasks: What is learned from.
        validation: What candidates are scored on.
        labels: Whether labels of the validation data count.
        seen: How many items of the validation data are learned from, too.
        about: What is recorded of the data.
        notes: What the user should know of it.
    """

    tasks: list[DataTask]
    validation: list[DataTask]
    labels: bool
    seen: int
    about: dict[str, Any]
    notes: list[str]


def prepare(
    data: Sequence[CalibrationData],
    validation: Sequence[CalibrationData],
    networks: Networks,
    choice: Choice,
    samples: int | None,
) -> Material:
    """Draw the items of all data, and part what selects from what teaches.

    Args:
        data: What is learned from.
        validation: What candidates are scored on; where there is none, a share of labelled data, or all of unlabeled.
        networks: The base's networks.
        choice: How to learn.
        samples: Most items of each set of data; None: all.

    Raises:
        UsageError: The data does not fit the base, has no labels where they are needed, or is too small to be parted.
        MergeError: It cannot be read.
    """
    drawn = [_draw(one, networks, samples) for one in data]
    selecting = [_draw(one, networks, None) for one in validation]
    apart = choice.is_supervised and not selecting
    portions = [_parted(task, sample, choice.held_out if apart else 0.0) for task, sample in drawn]
    tasks = [task for task, _ in portions]
    chosen = [task for task, _ in selecting] or [rest for _, rest in portions]
    if choice.is_supervised:
        _need_labels([*tasks, *chosen])
    labels = choice.is_supervised or (bool(selecting) and all(map(_has_labels, chosen)))
    seen = seen_items(tasks, chosen) if apart or selecting else 0
    about = {"data": _about(drawn), "validation": _about(selecting)}
    notes = [*_notes(tasks, chosen, choice, apart=apart, given=bool(selecting))]
    return Material(tasks, chosen, labels, seen, about, notes)


def _draw(data: CalibrationData, networks: Networks, samples: int | None) -> tuple[DataTask, Sample]:
    subject, settings = networks.of(data), networks.settings
    sample = data.sample(subject, samples or ALL, "random", settings)
    task = DataTask(data.name, subject, Portion(sample, 0, len(sample)), settings.batch_size, settings.advance)
    return task, sample


def _parted(task: DataTask, sample: Sample, share: float) -> tuple[DataTask, DataTask]:
    """Return a task without the last share of its items, and one with these."""
    from dataclasses import replace

    total = len(sample)
    if total < 1:
        raise UsageError("the data has no items", where=task.name)
    if not share:
        return task, task
    apart = max(1, round(share * total))
    if apart >= total:
        hint = "give data to select by: --validation SPEC"
        raise UsageError(f"of {total} items none is left to learn from", where=task.name, hint=hint)
    rest = total - apart
    return replace(task, items=Portion(sample, 0, rest)), replace(task, items=Portion(sample, rest, apart))


def _need_labels(tasks: Sequence[DataTask]) -> None:
    bare = next((task for task in tasks if not _has_labels(task)), None)
    if bare is not None:
        hint = "give labelled data, or --objective entropy or pseudo-labels"
        raise UsageError("the data has no labels, which learning from labels needs", where=bare.name, hint=hint)


def _has_labels(task: DataTask) -> bool:
    return next(iter(task.items.batches(1))).labels is not None


def _about(drawn: Sequence[tuple[DataTask, Sample]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in sample.about.items() if name != "notes"} for _, sample in drawn]


def _names(tasks: Sequence[DataTask]) -> str:
    return ", ".join(task.name for task in tasks)


def _notes(
    tasks: Sequence[DataTask], chosen: Sequence[DataTask], choice: Choice, *, apart: bool, given: bool
) -> Iterator[str]:
    if apart:
        parts = [f"{task.items.count} items of {task.name}" for task in chosen]
        yield f"held out to select by: {', '.join(parts)}; --validation gives other data"
    elif not given:
        yield f"without labels, candidates are selected by the entropy on the data itself: {_names(chosen)}"
    if choice.objective == PSEUDO_LABELS:
        plain = [task.name for task in tasks if not can_shift(next(iter(task.items.batches(1))).inputs)]
        if choice.strong == "none" or plain:
            yield f"{', '.join(plain) or 'images'}: pseudo-labels are learned without changed views of the items"
