"""From a plan to an output in its place: checks, staging, engine, metadata, card, one rename."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import card
from .checkpoints.bringing import companion_of, stated_hashes
from .checkpoints.checkpoint import FileCheckpoint
from .checkpoints.companions import CARD, companions, copy_companions, left_behind, names_beside
from .checkpoints.remote.reference import is_url
from .checkpoints.resolve import local_path
from .checkpoints.space import check_space
from .checkpoints.staging import Staging
from .checkpoints.target import check_target
from .checkpoints.writer import FileSink, is_continuable, render_index
from .engine import Outcome, RunSettings, run
from .errors import LostError, MergeError, UsageError
from .ledger import ledger
from .plan import Plan, folder_beside
from .planning.layout import is_single_file
from .provenance import fingerprint, metadata
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
    """

    force: bool = False
    resume: bool = False
    sync: bool = True
    sha256: bool = False
    run: RunSettings = field(default_factory=RunSettings)


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        out: The output's path.
        copied: Names of the files copied from the base or first model.
        warnings: What the user should look at, the plan's warnings first.
        notes: What happened besides.
        sha256: Hash of every input and output file by its path, when asked for.
    """

    out: Path
    outcome: Outcome
    copied: list[str]
    warnings: list[str]
    notes: list[str]
    seconds: float
    sha256: dict[str, str]


def check_output(plan: Plan, settings: WriteSettings) -> Path:
    """Check everything about the output that can be known before a byte is read; return its path.

    Raises:
        UsageError: When the output is missing, in the way or an input.
        MergeError: When the disk is too small.
    """
    out = plan.recipe.output.path
    if out is None:
        raise UsageError("there is no output path", hint="give -o OUT, or output: {path: …} in the recipe")
    out = local_path(out, plan.recipe.folder)
    inputs = [path for source in plan.sources if isinstance(source, FileCheckpoint) for path in source.files]
    check_target(out, inputs, is_folder=not is_single_file(out), force=settings.force)
    if is_single_file(out):
        _refuse_in_model(out, plan)
    card.check_card(out)
    check_space(out, plan.bytes_written)
    return out


def _refuse_in_model(out: Path, plan: Plan) -> None:
    """Refuse a file in the folder of an input that was named as a folder: it would then hold two models."""
    for source in plan.sources:
        folder = local_path(source.location, plan.recipe.folder)
        if folder.is_dir() and folder.resolve() == out.parent.resolve():
            what = "the output would lie in the folder of an input, beside its weights"
            raise UsageError(what, where=str(out), hint="choose another --out")


def write(plan: Plan, settings: WriteSettings) -> Written:
    """Run a plan into its output path.

    Raises:
        MergeError: When anything fails; then there is no output, or the former one, and nothing else.
        LostError: When an input elsewhere cannot be read any more; what was done is kept for ``resume``.
    """
    started = time.monotonic()
    out = check_output(plan, settings)
    _bring_companions(plan, out, hashes=settings.sha256)
    staging = Staging(out, is_folder=not is_single_file(out))
    staging.open(resume=settings.resume)
    try:
        check_output(plan, settings)  # another run may have finished before this one got the lock
        notes = ["an unfinished earlier run to this output was discarded"] if staging.discarded else []
        outcome, copied, hashes = _build(plan, settings, staging, out, notes)
        warnings = plan.warnings + outcome.disagreements
        facts = [*plan.recipe.remarks, *warnings, *_hash_lines(hashes, out)]
        text = card.render_card(plan, out, outcome.input_ids, outcome.output_id, facts)
        _put(staging, out, text, settings)
    except LostError as error:
        staging.leave()
        raise LostError(error.what, where=error.where, hint="--resume continues when it is back") from None
    except OSError as error:
        what = f"cannot write the output: {error.strerror or error}"
        raise MergeError(what, where=str(error.filename or out)) from error
    finally:
        staging.close()
    notes = plan.notes + notes + outcome.remarks
    return Written(out, outcome, copied, warnings, notes, time.monotonic() - started, hashes)


def _bring_companions(plan: Plan, out: Path, *, hashes: bool) -> None:
    """Fetch now what lies beside weights elsewhere, so that nothing is missing at the end of a long merge."""
    for source in plan.sources:
        companion_of(source, CARD)
        if hashes:
            stated_hashes(source)
    if not is_single_file(out):
        folder_beside(plan)


def _build(
    plan: Plan, settings: WriteSettings, staging: Staging, out: Path, notes: list[str]
) -> tuple[Outcome, list[str], dict[str, str]]:
    """Build everything but the card inside the staging folder."""
    journal = Journal(staging.journal, fingerprint(plan, allow_nonfinite=settings.run.allow_nonfinite))
    if settings.resume:
        problem = journal.take_over()
        if not problem and not is_continuable(plan.files, staging.path, metadata(plan)):
            problem = journal.discard("what was written is no longer there")
        notes.append(f"nothing to resume: {problem}" if problem else f"resumed: {len(journal.pieces)} pieces were done")
        if problem:
            staging.restart()
    sink = FileSink(plan.files, staging.path, metadata(plan), keep=journal.continued)
    try:
        journal.start()
        outcome = run(plan, sink, settings.run, journal)
        for source in plan.sources:
            source.check_unchanged()
        plan.check_identities(outcome.input_ids)
        sink.finish(metadata(plan, outcome.input_ids, outcome.output_id), sync=settings.sync)
    finally:
        sink.close()
        journal.close()
    copied = []
    if not is_single_file(out):
        copied = _complete_folder(plan, staging)
        notes += left_behind(folder_beside(plan))
    return outcome, copied, _sha256(plan, staging, out) if settings.sha256 else {}


def _complete_folder(plan: Plan, staging: Staging) -> list[str]:
    if len(plan.files) > 1:
        stem = plan.files[0].name.rsplit("-", 3)[0]
        staging.path(f"{stem}.safetensors.index.json").write_text(render_index(plan.files), "utf-8")
    paths = companions(folder_beside(plan), plan.beside)
    copy_companions(paths, staging.path(""), plan.recipe.output.dtype, plan.beside)
    return names_beside(folder_beside(plan), plan.beside)


def _put(staging: Staging, out: Path, text: str, settings: WriteSettings) -> None:
    """Put output and card in place; a run that is killed in between can be resumed, since the output comes last."""
    if not is_single_file(out):
        staging.path(CARD).write_text(text, "utf-8")
        staging.commit(replace=settings.force, sync=settings.sync)
        return
    beside = staging.path(card.card_path(out).name)
    beside.write_text(text, "utf-8")
    staging.commit(replace=settings.force, sync=settings.sync, beside=beside)


def _sha256(plan: Plan, staging: Staging, out: Path) -> dict[str, str]:
    """Return the hash of every input and output file by its path, the outputs' final ones, or as the hub states it."""
    inputs = {path: path for source in plan.sources if isinstance(source, FileCheckpoint) for path in source.files}
    built = {out if is_single_file(out) else out / file.name: staging.path(file.name) for file in plan.files}
    stated = {name: value for source in plan.sources for name, value in stated_hashes(source).items()}
    return stated | {str(name): _hash_file(path) for name, path in (inputs | built).items()}


def _hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hash_lines(hashes: dict[str, str], out: Path) -> list[str]:
    names = {name: name if is_url(name) else card.relative_path(Path(name), out) for name in hashes}
    return [f"sha256 of `{names[name]}`: `{value}`" for name, value in hashes.items()]


def as_json(plan: Plan, written: Written) -> dict[str, Any]:
    """Return what a merging command prints with ``--json``."""
    from .alignment.recorded import alignments

    found = {"statistics": ledger(plan, written.outcome), "alignments": alignments(plan.sources, plan.roles)}
    return {
        "out": str(written.out),
        "output_id": written.outcome.output_id,
        "inputs": [
            {"model": source.location, "role": role, "content_id": identity}
            for source, role, identity in zip(plan.sources, plan.roles, written.outcome.input_ids, strict=True)
        ],
        "tensors": dict(plan.counts) | {"skip": len(plan.skips)},
        "bytes_read": plan.bytes_read,
        "bytes_written": plan.bytes_written,
        "pieces_reused": written.outcome.pieces_reused,
        "copied_files": written.copied,
        "warnings": written.warnings,
        "notes": written.notes,
        "seconds": round(written.seconds, 3),
        "sha256": written.sha256,
    } | {name: value for name, value in found.items() if value}
