"""Gram matrices of what a matrix reads in two networks at once: G = mean over rows of [z_A, z_B]^T [z_A, z_B].

Memory: 8 (nA + nB)^2 bytes for each input that is told apart, and a batch of what the first network's matrices read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..alignment.matching.running import ITEMS, shared_names
from ..calibration.gram_sums import Grams, GramSums
from ..calibration.masks import Masks
from ..calibration.same_inputs import SameInputs
from ..calibration.streams import following
from .joint_watch import JointWatch, Seen
from .unsolved import Uses, why_unsolved

if TYPE_CHECKING:
    from torch import Tensor

    from ..calibration.subject import Batch
    from .pairs import Matching
    from .widths import Shapes

Use = tuple[str, int]  # a parameter, and how often it was used within a batch so far


class JointGrams(NamedTuple):
    """What one pass over the data tells.

    Attributes:
        grams: Of the joint inputs [inputs of A and of B, the same], of the parameters whose inputs differ. Every name
            of a parameter with several is an alias.
        reads: The axis on which each matrix or filter is multiplied, of all that ran.
        left_out: Why other matrices and filters have no Gram matrix.
    """

    grams: Grams
    reads: Mapping[str, int]
    left_out: Mapping[str, str]


def joint_grams(matching: Matching) -> JointGrams:
    """Run both networks once over the same data.

    Args:
        matching: The networks and the data.

    Raises:
        MergeError: A network does not run, or gives numbers that are not finite.
    """
    run = _Run(matching)
    for batch in matching.sample.batches(min(matching.settings.batch_size, ITEMS)):
        run.add(batch)
        matching.settings.advance(len(batch))
    return run.found()


def largest_bytes(first: Shapes, second: Shapes, *, convolutions: bool) -> int:
    """Return how many bytes the Gram matrices take at most, as far as shapes tell; matrices of one input share theirs.

    Args:
        first: Shapes of the first model's tensors: matrices [outputs, inputs], filters [outputs, inputs, kernel].
        second: Of the second's.
        convolutions: Whether filters have Gram matrices too.
    """
    names = [name for name, shape in first.items() if len(shape) == 2 or (convolutions and len(shape) > 2)]
    return sum(8 * sum(math.prod(shapes.get(name, ())[1:]) for shapes in (first, second)) ** 2 for name in names)


class _Run:
    """One pass; of a batch all that the first network's matrices read is kept until the second has run."""

    def __init__(self, matching: Matching) -> None:
        self._subjects, self._options = matching.subjects, matching.options
        self._sums = GramSums(matching.subjects[1].name)
        self._known = SameInputs(), SameInputs()
        self._kept: dict[Use, int] = {}  # number of what the first network's parameter reads
        self._first: dict[int, Tensor] = {}
        self._joint: dict[tuple[int, int], Tensor] = {}
        self._met = Counter[str]()
        self._reads: dict[str, int | None] = {}
        self._differing, self._other_rows = set[str](), set[str]()
        self._watches = [
            JointWatch(_matrices(subject.places()), see)
            for subject, see in zip(self._subjects, (self._keep, self._join), strict=True)
        ]

    def add(self, batch: Batch) -> None:
        for number in (0, 1):
            self._met.clear()
            self._run(number, batch)
        self._other_rows.update(name for name, _ in self._kept)  # the second model has not used them
        self._sums.end_batch()
        for known in self._known:
            known.take()
        for kept in (self._kept, self._first, self._joint):
            kept.clear()

    def _run(self, number: int, batch: Batch) -> None:
        import torch

        subject = self._subjects[number]
        inputs = {name: tensor.to(subject.device) for name, tensor in batch.inputs.items()}
        self._sums.masks = Masks(batch.counted if self._options.padding == "masked" else None)
        with torch.no_grad(), following(subject.module, inputs, self._sums.masks), self._watches[number]:
            subject.run(inputs)

    def _use(self, name: str) -> Use:
        self._met[name] += 1
        return name, self._met[name]

    def _keep(self, name: str, seen: Seen) -> None:
        """Keep what the first network's parameter reads: a copy, since what follows may change it in place."""
        self._reads[name] = seen.reads
        self._kept[self._use(name)] = number = self._known[0].note(name, seen.inputs)
        if number not in self._first:
            self._first[number] = seen.inputs.detach().clone()

    def _join(self, name: str, seen: Seen) -> None:
        """Add what the same parameter reads in both networks."""
        number = self._kept.pop(self._use(name), 0)
        first = self._first.get(number)
        if first is None or first.shape != seen.inputs.shape:
            self._other_rows.add(name)
        elif not bool((first.to(seen.inputs.device) == seen.inputs).all()):
            self._differing.add(name)
            if seen.has_rows and (seen.convolution is None or self._options.convolutions):
                self._sums.observe(name, self._joined(name, number, first, seen), seen.layout)

    def _joined(self, name: str, number: int, first: Tensor, seen: Seen) -> Tensor:
        """Return the joint rows: the same tensor for all matrices that read the same, which then share a Gram."""
        import torch

        key = number, self._known[1].note(name, seen.inputs)
        if key in self._joint and seen.convolution is None:
            return self._joint[key]
        second = seen.inputs.detach()
        joint = torch.cat([seen.rows(first.to(second.device)), seen.rows(second)], dim=-1)
        self._sums.masks.mark_alike(joint, seen.inputs)
        if seen.convolution is None:
            self._joint[key] = joint
        return joint

    def found(self) -> JointGrams:
        names = {name: sorted(those) for name, those in shared_names(self._subjects[0].places()).items()}
        looked_up = {other for watch in self._watches for name in watch.embeddings for other in names[name]}
        one_way = looked_up | self._sums.mixed
        reads = {
            other: axis
            for name, axis in self._reads.items()
            if axis is not None and name not in one_way
            for other in names[name]
        }
        grams = _under_all_names(self._sums.grams(left_out=one_way | self._other_rows), names)
        filters = self._watches[0].filters
        uses = Uses(looked_up, self._sums.mixed, self._other_rows, self._differing, filters, reads)
        without = [name for name in _matrices(self._subjects[0].places()) if name not in {*grams.means, *grams.aliases}]
        reasons = {name: why_unsolved(name, uses, convolutions=self._options.convolutions) for name in without}
        return JointGrams(grams, reads, reasons)


def _under_all_names(grams: Grams, names: Mapping[str, Collection[str]]) -> Grams:
    """Return Gram matrices with an alias for every further name of a parameter."""
    aliases = dict(grams.aliases)
    for name in (*grams.means, *grams.aliases):
        aliases |= {other: grams.aliases.get(name, name) for other in names[name] if other != name}
    return grams._replace(aliases=aliases)


def _matrices(places: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: place for name, place in places.items() if place.ndim >= 2 and place.is_floating_point()}
