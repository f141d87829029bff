"""The shape of an estimate within the plan that ``--dry-run --json`` prints."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic reads these on every Python


class WorkDocument(TypedDict):
    """One kind of work: bytes, and by what earlier merges measured, bytes per second and seconds; else None."""

    kind: str
    bytes: int
    rate: float | None
    seconds: float | None
    merges: int


class MemoryDocument(TypedDict):
    """Bytes of main memory that one process needs: program and plan, then each thread."""

    program: int
    per_thread: int
    threads: int
    total: int
    largest_whole: int


class DiskDocument(TypedDict):
    """Bytes that the output needs, and that are free where it goes; None where that is no disk of this machine."""

    needed: int
    free: int | None
    folder: str | None


class PlacementDocument(TypedDict):
    """How long it takes, what bounds it, and how many threads (of all processes together) are useful."""

    seconds: float
    bound_by: str
    useful_threads: int
    useful_anywhere: int | None


class EstimateDocument(TypedDict):
    """What a merge will need; placements are None where a rate was never measured."""

    passes: int
    reading: list[WorkDocument]
    computing: WorkDocument
    writing: WorkDocument | None
    disk: DiskDocument
    memory: MemoryDocument
    threads: int
    processes: int
    cores: int
    placement: PlacementDocument | None
    if_cached: PlacementDocument | None
    unmeasured: list[str]
