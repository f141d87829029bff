"""Joins adapters: opens, checks, makes, writes; or makes again and compares."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...checkpoints.address import OutputPath
from ...checkpoints.companions import companions
from ...checkpoints.destination import Building, destination
from ...engine import RunSettings
from ...planning.layout import is_single_file
from ..config import CONFIG
from ..low_rank.spool import SPOOL, Spool
from ..low_rank.writing import Adapter, write_adapter
from .describing import file_facts, member_id, metadata, render
from .keeping import Advance
from .making import Maker
from .planned import check
from .preparing import check_output, device_of
from .reading import open_member
from .request import Request
from .settings import render_settings
from .shaping import Made, Outcome, widest
from .uniting import United, unite


@dataclass(frozen=True)
class Joined:
    """What was written.

    Attributes:
        out: The outcome's place.
        identity: Its content id.
        input_ids: Ids of the adapters.
        modules: What was made of every module.
        whole: Names of the tensors that were trained whole.
        notes: What the user should know.
        copied: Files that lay beside the first adapter.
    """

    out: OutputPath
    identity: str
    input_ids: Sequence[str]
    modules: Sequence[Made]
    whole: Sequence[str]
    notes: Sequence[str]
    copied: Sequence[str]

    @property
    def energy(self) -> float:
        """Share of the sum of squares of all modules together that is kept."""
        norm = sum(made.norm**2 for made in self.modules if made.norm is not None)
        return 1 - sum(made.error**2 for made in self.modules) / norm if norm else 1.0


@contextmanager
def opened(request: Request) -> Iterator[United]:
    """Open the adapters of a request and gather what they hold, by headers alone.

    Raises:
        MergeError: One cannot be read, or they do not fit together.
        UsageError: They cannot be joined by this method.
    """
    request.check()
    with ExitStack() as stack:
        members = []
        for location, strength in zip(request.locations, request.strengths, strict=True):
            members.append(open_member(location, request.folder, strength))
            stack.callback(members[-1].weights.close)
        united = unite(members, request.wanted, any_base=request.any_base)
        check(united, request)
        united.notes.extend(request.remarks())
        yield united


@dataclass(frozen=True)
class Manner:
    """How adapters are joined; on one kind of device, none of it changes a byte.

    Attributes:
        run: Threads and device.
        force: Replace a former output of ours.
        sync: Wait for the disk before the rename.
        advance: Called with the number of modules that were finished, from any thread.
    """

    run: RunSettings
    force: bool = False
    sync: bool = True
    advance: Advance = lambda modules: None


def join(united: United, request: Request, out: OutputPath, manner: Manner) -> Joined:
    """Make one adapter and put it in place.

    Raises:
        MergeError: When anything fails; then there is no output, or the former one.
    """
    out = check_output(united, request, out, force=manner.force)
    building = destination(out, is_folder=not is_single_file(out)).building()
    building.open(resume=False)
    try:
        spool = Spool(building.journal.with_name(SPOOL))
        try:
            made = make(united, request, spool, manner)
            for member in united.members:
                member.weights.check_unchanged()
            return _write(united, request, out, made, manner, building)
        finally:
            spool.close()
    finally:
        building.close()


def _write(
    united: United, request: Request, out: OutputPath, made: Outcome, manner: Manner, building: Building
) -> Joined:
    ids = [member_id(member) for member in united.members]
    notes = [*united.notes, *zero_notes(made)]
    beside = {} if united.is_single_file else _beside(united)
    facts = file_facts(united, made.modules) if united.is_single_file else {}
    adapter = Adapter(
        made.tensors,
        lambda identity: facts | metadata(request, ids, identity),
        lambda identity: render(request, united.members, out, ids, identity, notes),
        {} if united.is_single_file else {CONFIG: render_settings(united, made.modules), **beside},
    )
    identity = write_adapter(building, out, adapter, force=manner.force, sync=manner.sync)
    whole = [tensor.name for tensor in made.whole]
    return Joined(out, identity, ids, made.modules, whole, notes, sorted(beside))


def make(united: United, request: Request, spool: Spool, manner: Manner) -> Outcome:
    """Make the tensors of the outcome into a spool."""
    dtype = request.dtype or widest(united)
    device = device_of(united, request, manner.run.device)
    return Maker(united, request, dtype, spool, manner.run, device, manner.advance).make()


def zero_notes(made: Outcome) -> list[str]:
    """Return what is to be said of modules to which nothing is added any more."""
    if not made.zeros:
        return []
    count = f"{len(made.zeros)} modules" if len(made.zeros) > 1 else "a module"
    return [f"to {count} nothing is added any more, which the adapter leaves out: {made.zeros[0]} …"]


def _beside(united: United) -> Mapping[str, bytes]:
    """Return the tokenizer and the like that lie beside the first adapter's weights."""
    folder: Path | None = united.members[0].weights.folder
    return {path.name: path.read_bytes() for path in companions(folder) if path.name != "config.json"}


@contextmanager
def made_again(request: Request, settings: RunSettings) -> Iterator[tuple[United, Outcome]]:
    """Make the tensors of a request once more, in a folder that goes away."""
    with opened(request) as united, tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / SPOOL)
        try:
            yield united, make(united, request, spool, Manner(settings))
        finally:
            spool.close()
