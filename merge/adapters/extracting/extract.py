"""From a request to an adapter in its place: checks, building, one rename."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import prod

from ...checkpoints.address import OutputPath, settled
from ...checkpoints.destination import Building, destination
from ...checkpoints.space import check_space
from ...engine import RunSettings
from ...errors import MergeError, UsageError
from ...planning.layout import is_single_file
from ..low_rank.spool import SPOOL, Spool
from ..low_rank.writing import intended, write_adapter
from .describing import as_document
from .document import ExtractDocument
from .extracted import Extracted
from .opened import Extracting


@dataclass(frozen=True)
class ExtractSettings:
    """How to extract.

    Attributes:
        force: Replace a former output of ours.
        sync: Wait for the disk before the rename.
        run: Device, threads and progress.
    """

    force: bool = False
    sync: bool = True
    run: RunSettings = field(default_factory=RunSettings)


@dataclass(frozen=True)
class Done:
    """What was extracted and written."""

    out: OutputPath
    extracted: Extracted
    document: ExtractDocument


def check_output(extracting: Extracting, *, force: bool, rehearsal: bool = False) -> OutputPath:
    """Check everything about the output that can be known before weights are read; return its path.

    Raises:
        UsageError: There is none, or it is in the way, or an input, or of the wrong form.
        MergeError: There is no room for it.
    """
    if extracting.extraction.out is None:
        raise UsageError("there is no output path", hint="give -o OUT")
    out = settled(extracting.extraction.out, None)
    if is_single_file(out) is extracting.is_folder:
        raise _other_form(str(extracting.extraction.out), is_folder=extracting.is_folder)
    place = destination(out, is_folder=extracting.is_folder)
    sources = extracting.difference.plan.sources
    place.check(intended(sources, out, extracting.planned()["bytes"], force=force, rehearsal=rehearsal))
    return out


def _other_form(where: str, *, is_folder: bool) -> UsageError:
    if is_folder:
        what = "an adapter of PEFT is a folder, with its configuration beside its weights"
        return UsageError(what, where=where, hint="name a folder")
    what = "an adapter of a diffusion model is one file, in kohya's form, which every program reads"
    return UsageError(what, where=where, hint=f"-o {where.rstrip('/')}.safetensors")


def extract(extracting: Extracting, settings: ExtractSettings) -> Done:
    """Extract and write.

    Raises:
        UsageError: The output must not be written.
        MergeError: When anything fails; then there is no output, or the former one, and nothing else.
    """
    started = time.monotonic()
    out = check_output(extracting, force=settings.force)
    building = destination(out, is_folder=extracting.is_folder).building()
    building.open(resume=False)
    try:
        check_output(extracting, force=settings.force)  # another run may have finished before this one got the lock
        extracted, identity = _write(extracting, building, out, settings)
    except OSError as error:
        what = f"cannot write the output: {error.strerror or error}"
        raise MergeError(what, where=str(error.filename or out)) from error
    finally:
        building.close()
    notes, seconds = extracting.difference.plan.notes, time.monotonic() - started
    return Done(out, extracted, as_document(extracted, str(out), identity, notes, seconds))


def _write(
    extracting: Extracting, building: Building, out: OutputPath, settings: ExtractSettings
) -> tuple[Extracted, str]:
    spool = Spool(building.journal.with_name(SPOOL))
    try:
        check_space(building.journal, 2 * _most_bytes(extracting))
        extracted, adapter = extracting.made(spool, out, settings.run)
        return extracted, write_adapter(building, out, adapter, force=settings.force, sync=settings.sync)
    finally:
        spool.close()


def _most_bytes(extracting: Extracting) -> int:
    """Return the size of the factors; where --energy sets no limit, that of a fourth of the layers, a guess."""
    guess = sum(prod(one.shape) for one in extracting.chosen.modules.values())
    return min(extracting.planned()["bytes"], guess)
