"""The way through the items of the data: batch after batch, saved now and then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from .scores import items_of
from .totals import EVERY
from .way import carry_out

if TYPE_CHECKING:
    from ..storing import Store
    from ..subject import Batch, Sample
    from .job import Job
    from .totals import Totals
    from .way import Way


@dataclass
class Run:
    """Everything that a run needs.

    Attributes:
        totals: The sums, which may have begun.
        store: Keeps partial sums.
        advance: Called with every number of items that are done.
        note: Told how much the outcome still changes.
    """

    job: Job
    sample: Sample
    totals: Totals
    store: Store
    advance: Callable[[int], None]
    note: Callable[[str], None]

    def go(self, way: Way) -> Way:
        """Add up all items that are left; returns the way in which the last ones were computed.

        Raises:
            MergeError: The model does not run, or gives logits or gradients that are not finite.
        """
        self.advance(self.totals.items)
        while self.totals.items < len(self.sample):
            size = way.size
            for batch in self.sample.batches(size, self.totals.items):
                way = self._add(batch, way)
                self._look(len(batch))
                self._save(way)
                if way.size != size:
                    break  # memory ran out: what is left is cut anew
        return way

    def _add(self, batch: Batch, way: Way) -> Way:
        first = self.totals.items
        items = items_of(batch, first, self.job.request, self.job.subject)
        squares, way = carry_out(self.job, way, items, first)
        self.totals.add(squares, len(items), int(items.counted.sum()), self.job.subject.name)
        self.advance(len(items))
        return way

    def _look(self, added: int) -> None:
        """Look at the convergence where another `EVERY` items are full."""
        before, now = self.totals.items - added, self.totals.items
        if now // EVERY > before // EVERY:
            change = self.totals.look()
            if change is not None:
                self.note(f"after {now} of {len(self.sample)} items the Fisher information changed by {change:.1%}")

    def _save(self, way: Way) -> None:
        if self.store.is_due and self.totals.items < len(self.sample):
            tensors, facts = self.totals.state()
            self.store.save(tensors, facts | {"way": asdict(way)})
