"""What another process needs to know to help with a merge."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..engine import RunSettings
from ..errors import MergeError, UsageError
from ..plan import Plan
from ..provenance import fingerprint
from ..streaming.sink import SharedSink, Sink, SinkOpener

_STEERING = {"HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_ENDPOINT", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}


def current_folder() -> Path | None:
    """Return the current folder, or None where it was removed: absolute paths still lead somewhere."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def go_to(folder: Path | None) -> None:
    """Make a folder the current one; where there is none such, relative paths are not found, and said to be."""
    if folder is not None:
        with contextlib.suppress(OSError):
            os.chdir(folder)


def steering_environment() -> dict[str, str]:
    """Return the variables by which this tool, and libraries of its, are steered: no secrets."""
    return {name: value for name, value in os.environ.items() if name.startswith("MERGE_") or name in _STEERING}


@dataclass(frozen=True)
class Job:
    """A merge, picklable.

    Attributes:
        name: Tells this merge from others.
        again: Makes the plan.
        identity: What tells whether it became the same plan.
        open_sink: Opens the output.
        settings: How to run it.
        folder: The current folder, from which relative paths count, unless it was removed.
        environment: Variables of this tool, and of libraries that it steers by them.
    """

    name: str
    again: Callable[[], Plan]
    identity: str
    open_sink: SinkOpener
    settings: RunSettings
    folder: Path | None = field(default_factory=current_folder)
    environment: Mapping[str, str] = field(default_factory=steering_environment)

    def plan(self) -> Plan:
        """Make the plan again.

        Raises:
            MergeError: It is another one: the inputs have changed, or are not the same seen from here.
        """
        plan = self.again()
        if identity_of(plan) != self.identity:
            plan.close()
            what = "a worker sees other inputs, or runs another version of this tool"
            raise MergeError(what, hint="inputs must not change, and lie under the same path on all machines")
        return plan


def make_job(name: str, plan: Plan, sink: Sink, settings: RunSettings, threads: int) -> Job:
    """Return what others need to know of a merge.

    Args:
        name: Tells it from others.
        plan: Its plan.
        sink: Its output.
        settings: How it is to be run.
        threads: Threads of each process.

    Raises:
        UsageError: Others cannot help with it.
    """
    from ..checkpoints.memory import MemoryCheckpoint

    if plan.again is None or any(isinstance(source, MemoryCheckpoint) for source in plan.sources):
        raise UsageError("tensors in memory are merged by one process", hint="leave workers and engine out")
    shared: SharedSink | None = sink if hasattr(sink, "elsewhere") else None  # type: ignore[assignment]
    if shared is None:
        raise UsageError("this output is written by one process", hint="leave workers and engine out")
    own = RunSettings(
        device=settings.device,
        threads=threads,
        chunk_elements=settings.chunk_elements,
        allow_nonfinite=settings.allow_nonfinite,
        gpu_memory=settings.gpu_memory,
        count_lost_updates=settings.count_lost_updates,
        workers=settings.workers,  # of which each takes its part of a GPU
        engine=settings.engine,
    )
    return Job(name, plan.again, identity_of(plan), shared.elsewhere(), own)


def identity_of(plan: Plan) -> str:
    """Return what must be equal for two processes to work on the same plan, wherever they see its files."""
    return fingerprint(plan, allow_nonfinite=False, anywhere=True)
