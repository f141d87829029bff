"""Seconds that the threads of a run spent reading, computing and writing, for the estimates of later plans."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..checkpoints.checkpoint import Source
from ..checkpoints.links import is_disk, link_of, reading_meter, transfer_meter
from ..checkpoints.meter import Meter, Spent

_OWN_INPUT = Path("/proc/self/io")  # of Linux, which alone tells bytes of a disk from bytes of the page cache


class Totals(NamedTuple):
    """What a run took, in one process or in several that worked at the same time; picklable.

    Attributes:
        read: By link, what threads waited for its bytes.
        fetched: By link, what the transfers took where they run ahead of the threads: of places elsewhere.
        computed: Seconds of all threads in which they neither read nor wrote.
        written: What writing took; not how long the disk still works on it afterwards.
        from_disk: Bytes that came from disks and not from the page cache; None where the system does not tell.
        elapsed: Seconds from begin to end.
        threads: Of all processes.
    """

    read: Mapping[str, Spent]
    fetched: Mapping[str, Spent]
    computed: float
    written: Spent
    from_disk: int | None
    elapsed: float
    threads: int = 1

    def beside(self, other: Totals) -> Totals:
        """Return what this and another process took that worked at the same time."""
        known = self.from_disk is not None and other.from_disk is not None
        return Totals(
            _joined(self.read, other.read),
            _joined(self.fetched, other.fetched),
            self.computed + other.computed,
            self.written.beside(other.written),
            (self.from_disk or 0) + (other.from_disk or 0) if known else None,
            max(self.elapsed, other.elapsed),
            self.threads + other.threads,
        )


class Stopwatch:
    """Takes the times of all threads of one process that do its work.

    Args:
        sources: The sources of the plan.
        threads: How many there are.

    Attributes:
        writing: The meter of the output.
        working: The meter of everything that these threads do.
    """

    def __init__(self, sources: Sequence[Source], threads: int = 1) -> None:
        self._links = {link: None for source in sources if (link := link_of(source))}
        self.writing, self.working = Meter(), Meter()
        self._threads = threads
        self._began, self._disk = time.perf_counter(), _from_disk()
        self._before = self._read(), self._fetched()

    def _read(self) -> dict[str, Spent]:
        return {link: reading_meter(link).spent() for link in self._links}

    def _fetched(self) -> dict[str, Spent]:
        return {link: transfer_meter(link).spent() for link in self._links if not is_disk(link)}

    def totals(self) -> Totals:
        """Return what was spent so far."""
        read, fetched = (
            {link: spent.since(before[link]) for link, spent in now.items()}
            for now, before in zip((self._read(), self._fetched()), self._before, strict=True)
        )
        written, disk = self.writing.spent(), _from_disk()
        idle = written.seconds + sum(spent.seconds for spent in read.values())
        return Totals(
            read,
            fetched,
            max(0.0, self.working.spent().seconds - idle),
            written,
            disk - self._disk if disk is not None and self._disk is not None else None,
            time.perf_counter() - self._began,
            self._threads,
        )


def _from_disk() -> int | None:
    """Return the bytes that this process has made disks deliver."""
    try:
        found = re.search(r"^read_bytes: (\d+)", _OWN_INPUT.read_text("ascii"), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return int(found[1]) if found else None


def _joined(one: Mapping[str, Spent], other: Mapping[str, Spent]) -> dict[str, Spent]:
    return {link: one.get(link, Spent()).beside(other.get(link, Spent())) for link in (*one, *other)}
