"""From the times of a finished merge to rates for the estimates of later ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ..checkpoints.links import is_disk
from ..checkpoints.meter import Spent
from ..engine import Outcome, RunSettings
from ..plan import Plan
from ..streaming.stopwatch import Totals
from . import kinds
from .device import device_of
from .rates import Rates, Sample, add_samples, rates_path, read_rates
from .room import link_of_output

LEAST_BYTES = 128 * 2**20  # of a merge; what smaller ones measure is mostly chance
_COLD, _WARM = 0.5, 0.02  # shares of what came from disks, above and below which the rest does not count


def record(plan: Plan, outcome: Outcome, settings: RunSettings, finished: float, *, synced: bool) -> None:
    """Keep the rates that a finished merge measured. Never fails.

    Args:
        plan: The plan that was run.
        outcome: What came of it.
        settings: How it was run.
        finished: Seconds from the last write until the output was complete.
        synced: Whether that is until it was safe on the disk.
    """
    totals = outcome.totals
    if totals is None or outcome.pieces_reused or plan.bytes_read < LEAST_BYTES or rates_path() is None:
        return
    if settings.engine != "local":  # other machines have other rates
        return
    with suppress(Exception):  # a merge that is done is not lost for a number, whatever is wrong with it
        add_samples(list(_samples(plan, totals, settings, finished, synced=synced)))


def _samples(plan: Plan, totals: Totals, settings: RunSettings, finished: float, *, synced: bool) -> Iterator[Sample]:
    yield from _read(totals, read_rates())
    yield Sample(kinds.computing(plan, device_of(plan, settings.device)), plan.bytes_read, totals.computed)
    target = link_of_output(plan)
    if target and (synced or not is_disk(target)):
        yield Sample(kinds.writing(target), totals.written.nbytes, totals.written.busy + finished)


def _read(totals: Totals, known: Rates) -> Iterator[Sample]:
    """Yield what reading measured: transfers by themselves, disks as far as bytes really came from them."""
    for link, spent in totals.fetched.items():
        yield Sample(kinds.reading(link), spent.nbytes, spent.busy)
    disks = {link: spent for link, spent in totals.read.items() if is_disk(link)}
    total = sum(spent.nbytes for spent in disks.values())
    if totals.from_disk is None or not total:
        return
    share = min(1.0, totals.from_disk / total)
    for link, spent in disks.items():
        yield from _of_disk(link, spent, share, known)


def _of_disk(link: str, spent: Spent, share: float, known: Rates) -> Iterator[Sample]:
    """Yield what is known of a disk and of its page cache, where this share of the bytes came from the disk.

    A disk gives what it gives to all threads together; memory, so much to each of them. Where some of the bytes came
    from the disk, the time that the others took is known from earlier merges, or nothing is.
    """
    if share <= _WARM:
        yield Sample(kinds.reading_cached(link), spent.nbytes, spent.seconds)
        return
    cached = known.of(kinds.reading_cached(link))
    if share < _COLD and cached is None:
        return
    at_once = max(1.0, spent.seconds / spent.busy) if spent.busy else 1.0
    others = spent.nbytes * (1 - share) / cached / at_once if cached is not None else 0.0
    yield Sample(kinds.reading(link), int(spent.nbytes * share), max(spent.busy - others, spent.busy * share))
