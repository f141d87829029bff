"""Models that are aligned to one and the same model: what their orders depend on, and how they are found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..alignment.declared import STRAIGHT_THROUGH, AlignmentOptions
from ..data_use import LABELS, NO_DATA, UNLABELED
from ..recipe import Alignment, Recipe
from .grouping import Found
from .places import located

if TYPE_CHECKING:
    from ..alignment.matching import Matched, Reader
    from ..calibration.subject import Sample, Subject
    from ..checkpoints.checkpoint import Source
    from .computing import Computing


class Matching:
    """Finds the orders of several models that are aligned in one way.

    Args:
        reference: The model that stays as it is.
        sources: The models to be aligned.
        found: Which axes carry the same units.
        alignment: One of the alignments: its options, and its data.
        recipe: The recipe that they stand in.
        computing: How models are run.

    Raises:
        UsageError: An option or the data is wrong, or a network cannot be built.
        MergeError: The data cannot be read.
    """

    def __init__(
        self,
        reference: Source,
        sources: Sequence[Source],
        found: Found,
        alignment: Alignment,
        recipe: Recipe,
        computing: Computing,
    ) -> None:
        self._reference, self._sources, self._found = reference, sources, found
        self._options = AlignmentOptions(**_checked(alignment.options))
        self._seed, self._note = recipe.seed, computing.note
        self._settings = replace(computing.settings, seed=recipe.seed)
        self._data = located(alignment.data, recipe.folder) if alignment.data else None
        self._drawn = self._draw() if self._data else None

    @property
    def data_use(self) -> str:
        """Which data the orders are found with: ``none``, ``unlabeled`` or ``labels``."""
        return NO_DATA if self._drawn is None else LABELS if self._by_gradients else UNLABELED

    @property
    def _by_gradients(self) -> bool:
        return self._options.matching == STRAIGHT_THROUGH

    def fingerprints(self, identities: Sequence[str]) -> list[str]:
        """Return, for each model that is aligned, a text that is equal only where its order would be the same.

        Args:
            identities: Content ids: of the reference, then of the models.
        """
        return [self._fingerprint(one, identities) for one in identities[1:]]

    def _fingerprint(self, aligned: str, everyone: Sequence[str]) -> str:
        from ..alignment.groups_document import groups_hash
        from ..provenance import TOOL

        options = asdict(self._options)
        known = {
            "models": everyone,
            "aligned": aligned,
            "groups": groups_hash(self._found.groups),
            "options": options,
            "seed": self._seed,
            "data": dict(self._drawn[1].about) if self._drawn else None,
            "tool": TOOL,
        }
        known |= {"batch_size": self._settings.batch_size} if self._by_gradients else {}  # BatchNorm goes by batches
        return json.dumps(known, sort_keys=True)

    def run(self) -> Sequence[Matched]:
        """Find the order of every model.

        Raises:
            MergeError: The models do not fit each other or the groups, or hold NaN or infinities.
        """
        from ..alignment.matching import with_distances
        from ..alignment.matching.products import products_on

        with products_on(self._settings.device):
            if self._drawn:
                match = self._by_slopes if self._by_gradients else self._by_activations
                found = [match(source, *self._drawn) for source in self._sources]
                return with_distances(found, self._readers(), self._found.groups) if len(found) > 1 else found
            return self._by_weights()

    def _by_weights(self) -> Sequence[Matched]:
        from ..alignment.matching import match_many

        return match_many(self._readers(), self._found.groups, self._options, self._seed, note=self._note)

    def _readers(self) -> list[Reader]:
        from ..alignment.matching import CheckpointReader

        return [CheckpointReader(source) for source in (self._reference, *self._sources)]

    def _draw(self) -> tuple[Subject, Sample]:
        """Return the reference's network and the items that all networks are run on."""
        subject = self._subject(self._reference)
        from ..alignment.matching.labelled_loss import checked_first
        from ..calibration.data import read_data

        sample = read_data(self._data or "").sample(subject, self._options.samples, "random", self._settings)
        if self._by_gradients:
            checked_first(subject, sample)
        return subject, sample

    def _subject(self, source: Source) -> Subject:
        from ..calibration.data import read_data
        from ..evaluation.candidate import read_candidate

        return read_data(self._data or "").subject(read_candidate(source, source.location), self._settings)

    def _by_activations(self, source: Source, first: Subject, sample: Sample) -> Matched:
        """Run both models over the same data."""
        from ..alignment.matching import CheckpointReader, match_activations

        readers = CheckpointReader(self._reference), CheckpointReader(source)
        groups, subjects = self._found.groups, (first, self._subject(source))
        return match_activations(subjects, sample, readers, groups, self._options, self._settings, note=self._note)

    def _by_slopes(self, source: Source, scratch: Subject, sample: Sample) -> Matched:
        """Follow the gradient of the loss halfway; the network that was built serves for every model."""
        from ..alignment.matching import CheckpointReader, match_straight_through

        readers = CheckpointReader(self._reference), CheckpointReader(source)
        groups = self._found.groups
        return match_straight_through(scratch, sample, readers, groups, self._options, self._settings, note=self._note)


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    declared = AlignmentOptions.declarations
    return {name: declared[name].check(value, None) for name, value in given.items()}
