"""One process's part in an evaluation: it keeps the data of a benchmark, and models, from one call to the next."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ..engine import cores
from .assess import Assessed, assess_prepared
from .device import own_device
from .inference import torch_threads
from .locate import Location, locate
from .remember import Room, free_room, remembered
from .results import Ensemble
from .task import Benchmark, Settings, Task


@dataclass(frozen=True)
class Work:
    """What every process of an evaluation is told, picklable.

    Attributes:
        name: Tells this evaluation from others.
        settings: How models are run; the device is chosen where they are.
        ensemble: What is averaged besides, of all models of a call.
        threads: Threads that torch computes with on the CPU.
        processes: How many share the memory of a machine; None: as many as it has processors for.
        makes_files: Whether files that benchmarks make of their own are wanted.
    """

    name: str
    settings: Settings
    ensemble: Ensemble | None
    threads: int
    processes: int | None
    makes_files: bool


class Part(NamedTuple):
    """What was found by a call, and the files that were made, by their paths."""

    assessed: dict[str, Assessed]
    files: dict[str, bytes]


_here: dict[str, Desk] = {}  # by the name of the evaluation; one at a time


def assess_part(work: Work, benchmark: Benchmark, models: Sequence[str]) -> Part:
    """Evaluate some models on one benchmark; scores of single classes stay here.

    Raises:
        MergeError: As `evaluate` does.
    """
    if work.name not in _here:
        _here.clear()
        _here[work.name] = Desk(work)
    return _here[work.name].assess(benchmark, models)


@dataclass
class Desk:
    """What is kept: models as far as there is room for them, and the benchmark of the last call."""

    work: Work
    locations: dict[str, Location] = field(default_factory=dict)
    prepared: tuple[Benchmark, Task] | None = None

    def __post_init__(self) -> None:
        work = self.work
        self.room: Room = free_room(work.processes or max(1, cores() // work.threads))
        # One name for all calls, since prepared benchmarks remember it, and none that others could have guessed.
        self.folder = Path(tempfile.gettempdir(), f"merge-evaluation-{os.getpid()}-{secrets.token_hex(8)}")
        output = self.folder if work.makes_files else None
        self.settings = replace(work.settings, device=own_device(work.settings.device), output=output)

    def assess(self, benchmark: Benchmark, models: Sequence[str]) -> Part:
        """Evaluate models; see `assess_part`."""
        with torch_threads(self.work.threads), self._folder():
            located = {name: self._located(name) for name in models}
            task = self._task(benchmark)
            found = assess_prepared(located, benchmark, task, self.settings, self.work.ensemble)
            return Part({name: _small(one) for name, one in found.items()}, dict(self._files()))

    def _located(self, name: str) -> Location:
        if name not in self.locations:
            self.locations[name] = remembered(locate(name), self.room)
        return self.locations[name]

    def _task(self, benchmark: Benchmark) -> Task:
        if self.prepared is None or self.prepared[0].name != benchmark.name:
            self.prepared = None  # the data of one benchmark at a time
            self.prepared = benchmark, benchmark.prepare(self.settings)
        return self.prepared[1]

    @contextmanager
    def _folder(self) -> Iterator[None]:
        """Lend the folder for files that are made, which a process that is killed must not leave full behind."""
        if not self.work.makes_files:
            yield
            return
        self.folder.mkdir(mode=0o700)
        try:
            yield
        finally:
            shutil.rmtree(self.folder)

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self.folder.rglob("*")) if self.work.makes_files else ():
            if path.is_file():
                yield path.relative_to(self.folder).as_posix(), path.read_bytes()


def _small(one: Assessed) -> Assessed:
    return replace(one, outcome=replace(one.outcome, logits=None))
