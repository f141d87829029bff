"""Repeat a merge from its inputs and compare it with what was written, tensor by tensor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .card import recipe_text
from .checkpoints.address import output_path
from .checkpoints.checkpoint import OUR_KEY, FileCheckpoint
from .checkpoints.companions import CARD
from .checkpoints.components.opening import refuse_component
from .checkpoints.components.part import parts_of
from .checkpoints.derived import whole
from .checkpoints.remote.cards import fetch_card
from .checkpoints.remote.reference import is_remote
from .checkpoints.resolve import local_path, open_checkpoint
from .checkpoints.scaled import as_stored
from .checkpoints.staging import is_unfinished
from .checkpoints.writer import NullSink
from .content_id import checkpoint_id, tensor_digests
from .documents import VerifyDocument
from .engine import Outcome, RunSettings, run
from .errors import MergeError, UsageError
from .grammar import read_copy, recipe_in
from .plan import Plan, make_copy_plan, make_plan
from .planning.adjustment import COMMANDS
from .planning.layout import is_single_file
from .recipe import Merge, Recipe
from .recorded_inputs import recorded_inputs
from .section import Section, parse_section
from .streaming.digests import OUTPUT

_FROM_ELSEWHERE = "a card elsewhere names local inputs as seen from the folder that merge ran in: verify it there"
PROVES = "that the same tool makes the same bytes from the same inputs; not that the merge is a good one"


def verify(location: str, settings: RunSettings) -> VerifyDocument:
    """Re-derive every tensor of an output from the inputs that its card names.

    Args:
        location: The output, a file or a folder.
        settings: How to run; none of it changes the verdict.

    Raises:
        MergeError: When the output has no card or recipe, or an input cannot be read.
    """
    if is_unfinished(local_path(location)):
        raise MergeError("its merge was stopped before the end", where=location, hint="--resume finishes it")
    out = as_stored(open_checkpoint(location))
    try:
        if OUR_KEY not in out.metadata:
            raise MergeError("this is no output of a merge: its metadata names none", where=location)
        section, folder = _section(out)
        if "extract-lora" in section.mapping:
            from .adapters.extracting.verifying import verify_extracted

            return verify_extracted(out, section, folder, settings)
        if "adapters" in section.mapping:
            from .adapters.joining.verifying import verify_joined

            return verify_joined(out, section, folder, settings)
        try:
            plan = _plan(out, section, folder)
        except UsageError as error:  # the request was sound; what it stands on has changed
            hint = error.hint if out.files else _FROM_ELSEWHERE
            raise MergeError(error.what, where=error.where, hint=hint) from None
        try:
            outcome = run(
                plan, NullSink(), RunSettings(settings.device, settings.threads, None, True, settings.advance)
            )
            return _compare(out, plan, outcome)
        finally:
            plan.close()
    finally:
        out.close()


def _card(out: FileCheckpoint) -> tuple[Path, str]:
    """Return the path of the card of an output on this machine, and what stands for it in messages."""
    file = out.files[0]
    if parts_of(out) and out.folder is not None:
        return out.folder / CARD, str(out.folder / CARD)
    beside, within = file.with_name(f"{file.name}.md"), file.parent / CARD
    path = beside if is_single_file(file) and (beside.is_file() or not within.is_file()) else within
    if not path.is_file() and out.folder is not None:
        refuse_component(out.folder, out.location)
    return path, str(path)


def _section(out: FileCheckpoint) -> tuple[Section, Path | None]:
    """Return the recipe in an output's card, and the folder from which its locations count."""
    path, where = _card(out) if out.files else fetch_card(out)
    folder = path.parent if path and out.files else None  # from elsewhere no path leads here
    return parse_section(recipe_text(path, where), f"{where} (recipe)"), folder


def _plan(out: FileCheckpoint, section: Section, folder: Path | None) -> Plan:
    if "cast" in section.mapping:
        return make_copy_plan(section.text("cast", ""), _into(out, read_copy(section, folder)))
    for command in COMMANDS:
        if command in section.mapping:
            from .after.adjusted import make_adjusted_plan

            recipe = Recipe(Merge(command, ()), folder=folder)
            return make_adjusted_plan(command, section.text(command, ""), section.text("statistics", ""), recipe)
    return make_plan(_into(out, recipe_in(section, folder)))


def _into(out: FileCheckpoint, recipe: Recipe) -> Recipe:
    """Return the recipe of a single file with that as its output: of a folder of components it has other names."""
    path = output_path(out.location)
    return replace(recipe, output=replace(recipe.output, path=path)) if is_single_file(path) else recipe


def _place(location: str, folder: Path | None) -> str:
    path = local_path(location, folder)
    return str(path) if path.exists() or not is_remote(location) else location


def _compare(out: FileCheckpoint, plan: Plan, outcome: Outcome) -> VerifyDocument:
    found = tensor_digests(out.tensors.values(), out.read_into)
    repeated = {name: outcome.digests.of(OUTPUT, name) for row in plan.rows for name, *_ in row.outputs}
    differing = sorted(name for name in found.keys() | repeated.keys() if found.get(name) != repeated.get(name))
    recorded = out.metadata.get(OUR_KEY)
    known = recorded_inputs(out.metadata, out.location)
    changed = [
        _place(source.location, plan.recipe.folder)
        for source, before, now in zip(plan.sources, known, outcome.input_ids, strict=False)
        if before != now and whole(source) is source
    ]
    found_id = checkpoint_id(out.tensors.values(), found)
    return {
        "out": out.location,
        "repeats": not differing and found_id == recorded == outcome.output_id,
        "output_id_recorded": recorded,
        "output_id_found": found_id,
        "output_id_repeated": outcome.output_id,
        "changed_inputs": changed,
        "differing_tensors": differing,
        "tensors": len(found),
        "proves": PROVES,
    }
