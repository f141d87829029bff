"""Three or more models: each is matched to the first, to their medoid, to the mean of the others, or to a universe."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..declared import AlignmentOptions
from ..groups import Groups
from .convergence import Common
from .families import families
from .matched import Matched, Progress
from .medoid import match_pairs, to_medoid
from .merge_many import MergeMany
from .products import one_thread_per_product
from .readers import Reader
from .several import Several
from .several_reports import brought_to_first, reported, with_distances
from .universe import Universe
from .weights import match_weights, starts

Note = Callable[[str], None]


def match_many(
    readers: Sequence[Reader],
    groups: Groups,
    options: AlignmentOptions,
    seed: int,
    *,
    note: Note | None = None,
    progress: Progress | None = None,
) -> list[Matched]:
    """Match several models by weights.

    Args:
        readers: The models; the first one stays as it is.
        groups: Which axes carry the same units.
        options: ``many`` tells what each is matched to.
        seed: For the orders in which models and groups are taken.
        note: Told what the user should know, each thing once.
        progress: Told of every group that was solved.

    Returns:
        What was found for every model after the first: always orders into the first one's own, whatever they went
        through, with distances and cosines to the first; of what all have in common ``report.many`` tells.

    Raises:
        MergeError: The models do not fit each other or the groups, or hold NaN or infinities.
        UsageError: There is no kind of groups that ``only`` names, or no group of it.
    """
    with one_thread_per_product():
        return _Many(readers, groups, options, seed, _once(note), progress).run()


class _Many:
    """One matching of several models; see `match_many`."""

    def __init__(
        self,
        readers: Sequence[Reader],
        groups: Groups,
        options: AlignmentOptions,
        seed: int,
        note: Note,
        progress: Progress | None,
    ) -> None:
        self._readers, self._groups, self._options = readers, groups, options
        self._seed, self._note, self._progress = seed, note, progress
        self._families = families(groups, options.only)

    def run(self) -> list[Matched]:
        begin, way = time.perf_counter(), self._options.many
        if len(self._readers) < 3 and way != "universe":
            return self._to_first()
        if way == "reference":
            return with_distances(self._to_first(), self._readers, self._groups)
        found, common, models = self._by_medoid() if way == "medoid" else self._by_rounds(way)
        if not common.converged:
            self._note(f"models still changed after {common.sweeps} rounds or sweeps")
        brought = brought_to_first(found, common, models, self._families, time.perf_counter() - begin)
        return reported(brought, common, models, way)

    def _by_medoid(self) -> tuple[list[Matched], Common, Several]:
        count = len(self._readers)
        pairs = match_pairs(self._match, count, self._note)
        common = to_medoid(pairs, starts(self._families, self._groups), self._groups, count)
        medoid = common.medoid or 0
        self._note(f"model {medoid + 1} is the medoid: '{self._readers[medoid].where}'")
        return [pairs[0, model] for model in range(1, count)], common, Several.of(self._readers, self._groups)

    def _by_rounds(self, way: str) -> tuple[list[Matched], Common, Several]:
        found = self._to_first()
        models = Several.of(self._readers, self._groups)
        many = MergeMany(models, self._families, self._seed, self._options.sweeps, self._progress)
        chosen = Universe(models, self._families, many, self._note, self._progress) if way == "universe" else many
        common = chosen.run([starts(self._families, self._groups), *(matched.orders for matched in found)])
        return found, common, models

    def _to_first(self) -> list[Matched]:
        return [self._match(0, model) for model in range(1, len(self._readers))]

    def _match(self, reference: int, moved: int) -> Matched:
        pair = self._readers[reference], self._readers[moved]
        return match_weights(*pair, self._groups, self._options, self._seed, note=self._note, progress=self._progress)


def _once(note: Note | None) -> Note:
    """Return a function that tells every text once, as every pair of models may have the same to say."""
    said = set[str]()

    def tell(text: str) -> None:
        if note and text not in said:
            note(text)
        said.add(text)

    return tell
