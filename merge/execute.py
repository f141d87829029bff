"""From a plan to an output in its place: checks, staging, engine, metadata, card, one rename."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import card
from .checkpoints.address import OutputPath, settled
from .checkpoints.bringing import companion_of, file_hashes, hash_file, hash_files
from .checkpoints.companions import CARD, companions, copy_companions, left_behind, names_beside
from .checkpoints.destination import Building, Intended, destination, notes_on_discarded
from .checkpoints.remote.reference import is_url
from .checkpoints.writer import render_indexes
from .engine import Outcome, RunSettings, run
from .errors import LostError, MergeError, UsageError
from .estimate.recording import record
from .ledger import ledger
from .plan import Plan, folder_beside
from .planning.layout import is_single_file
from .provenance import fingerprint, metadata
from .rounding_document import rounding_document
from .streaming.journal import Journal


@dataclass(frozen=True)
class WriteSettings:
    """How to write; none of it changes a byte of the result.

    Attributes:
        force: Replace a former output of ours.
        resume: Continue an unfinished run.
        sync: Wait for the disk before the rename.
        sha256: Hash whole files as well.
        run: How to run the plan.
        rehearsal: Nothing will be written, so that places are only looked at.
    """

    force: bool = False
    resume: bool = False
    sync: bool = True
    sha256: bool = False
    run: RunSettings = field(default_factory=RunSettings)
    rehearsal: bool = False


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        out: The output's place.
        copied: Names of the files copied from the base or first model.
        warnings: What the user should look at, the plan's warnings first.
        notes: What happened besides.
        sha256: Hash of every input and output file by its path, when asked for.
    """

    out: OutputPath
    outcome: Outcome
    copied: list[str]
    warnings: list[str]
    notes: list[str]
    seconds: float
    sha256: dict[str, str]


def check_output(plan: Plan, settings: WriteSettings) -> OutputPath:
    """Check everything about the output that can be known before a byte is read; return its path.

    Raises:
        UsageError: When the output is missing, in the way or an input.
        MergeError: When the disk is too small, or a place elsewhere cannot be written.
    """
    out = plan.recipe.output.path
    if out is None:
        raise UsageError("there is no output path", hint="give -o OUT, or output: {path: …} in the recipe")
    out = settled(out, plan.recipe.folder)
    is_folder = not is_single_file(out)
    intended = Intended(
        plan.sources,
        plan.recipe.folder,
        plan.bytes_written,
        is_folder,
        None if is_folder else card.card_path(out),
        card.MARK,
        settings.force,
        settings.resume,
        settings.sha256,
        settings.rehearsal,
    )
    destination(out, is_folder=is_folder).check(intended)
    return out


def write(plan: Plan, settings: WriteSettings) -> Written:
    """Run a plan into its output path.

    Raises:
        MergeError: When anything fails; then there is no output, or the former one, and nothing else.
        LostError: When an input elsewhere cannot be read any more; what was done is kept for ``resume``.
    """
    started = time.monotonic()
    out = check_output(plan, settings)
    _bring_companions(plan, out, hashes=settings.sha256)
    staging = destination(out, is_folder=not is_single_file(out)).building()
    staging.open(resume=settings.resume)
    try:
        check_output(plan, settings)  # another run may have finished before this one got the lock
        notes = notes_on_discarded(discarded=staging.discarded, can_resume=staging.can_resume)
        outcome, copied, hashes = _build(plan, settings, staging, out, notes)
        warnings = plan.warnings + outcome.disagreements
        facts = [*plan.recipe.remarks, *warnings, *outcome.rounded, *_hash_lines(hashes, out)]
        text = card.render_card(plan, out, outcome.input_ids, outcome.output_id, facts)
        _put(staging, out, text, settings)
    except LostError as error:
        if not staging.can_resume:
            raise
        staging.leave()
        raise LostError(error.what, where=error.where, hint="--resume continues when it is back") from None
    except OSError as error:
        what = f"cannot write the output: {error.strerror or error}"
        raise MergeError(what, where=str(error.filename or out)) from error
    finally:
        staging.close()
    notes = plan.notes + plan.metadata_notes + notes + outcome.remarks + outcome.rounded
    return Written(out, outcome, copied, warnings, notes, time.monotonic() - started, hashes)


def _bring_companions(plan: Plan, out: OutputPath, *, hashes: bool) -> None:
    """Fetch now what lies beside weights elsewhere, so that nothing is missing at the end of a long merge."""
    for source in plan.sources:
        companion_of(source, CARD)
        if hashes:
            hash_files(source)
    if not is_single_file(out):
        folder_beside(plan)


def _build(
    plan: Plan, settings: WriteSettings, staging: Building, out: OutputPath, notes: list[str]
) -> tuple[Outcome, list[str], dict[str, str]]:
    """Build everything but the card inside the staging folder."""
    run_settings = settings.run
    identity = fingerprint(
        plan,
        allow_nonfinite=run_settings.allow_nonfinite,
        count_lost_updates=run_settings.count_lost_updates,
    )
    journal = Journal(staging.journal, identity)
    if settings.resume:
        problem = journal.take_over()
        if not problem and not staging.is_continuable(plan.files, metadata(plan)):
            problem = journal.discard("what was written is no longer there")
        notes.append(f"nothing to resume: {problem}" if problem else f"resumed: {len(journal.pieces)} pieces were done")
        if problem:
            staging.restart()
    sink = staging.sink(plan.files, metadata(plan), keep=journal.continued)
    try:
        journal.start()
        outcome = run(plan, sink, settings.run, journal)
        for source in plan.sources:
            source.check_unchanged()
        plan.check_identities(outcome.input_ids)
        ended = time.monotonic()
        sink.finish(metadata(plan, outcome.input_ids, outcome.output_id), sync=settings.sync)
        record(plan, outcome, settings.run, time.monotonic() - ended, synced=settings.sync)
    finally:
        sink.close()
        journal.close()
    copied = []
    if not is_single_file(out):
        copied = _complete_folder(plan, staging)
        notes += left_behind(folder_beside(plan))
    return outcome, copied, _sha256(plan, staging, out) if settings.sha256 else {}


def _complete_folder(plan: Plan, staging: Building) -> list[str]:
    for name, text in render_indexes(plan.files).items():
        staging.path(name).write_text(text, "utf-8")
    folder = folder_beside(plan)
    copy_companions(folder, companions(folder, plan.beside), staging.path(""), plan.recipe.output.dtype, plan.beside)
    return names_beside(folder, plan.beside)


def _put(staging: Building, out: OutputPath, text: str, settings: WriteSettings) -> None:
    """Put output and card in place; a run that is killed in between can be resumed, since the output comes last."""
    if not is_single_file(out):
        staging.path(CARD).write_text(text, "utf-8")
        staging.commit(replace=settings.force, sync=settings.sync)
        return
    beside = staging.path(card.card_path(out).name)
    beside.write_text(text, "utf-8")
    staging.commit(replace=settings.force, sync=settings.sync, beside=beside)


def _sha256(plan: Plan, staging: Building, out: OutputPath) -> dict[str, str]:
    """Return the hash of every input and output file by its path or address, the outputs' final ones."""
    inputs = {name: value for source in plan.sources for name, value in file_hashes(source).items()}
    built = {str(out if is_single_file(out) else out / file.name): staging.path(file.name) for file in plan.files}
    return inputs | {name: hash_file(path) for name, path in built.items()}


def _hash_lines(hashes: dict[str, str], out: OutputPath) -> list[str]:
    names = {name: name if is_url(name) else card.relative_path(Path(name), out) for name in hashes}
    return [f"sha256 of `{names[name]}`: `{value}`" for name, value in hashes.items()]


def as_json(plan: Plan, written: Written) -> dict[str, Any]:
    """Return what a merging command prints with ``--json``."""
    from .alignment.recorded import alignments

    found = {
        "statistics": ledger(plan, written.outcome),
        "alignments": alignments(plan.sources, plan.roles),
        "rounding": rounding_document(plan, written.outcome),
    }
    return {
        "out": str(written.out),
        "output_id": written.outcome.output_id,
        "inputs": [
            {"model": source.location, "role": role, "content_id": identity}
            for source, role, identity in zip(plan.sources, plan.roles, written.outcome.input_ids, strict=True)
        ],
        "tensors": dict(plan.counts) | {"skip": len(plan.skips)},
        "bytes_read": plan.bytes_stored,
        "bytes_written": plan.bytes_written,
        "pieces_reused": written.outcome.pieces_reused,
        "copied_files": written.copied,
        "warnings": written.warnings,
        "notes": written.notes,
        "seconds": round(written.seconds, 3),
        "sha256": written.sha256,
    } | {name: value for name, value in found.items() if value}
