"""From a recipe and its opened models to sources in the output's vocabulary and the files beside the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.beside import Beside
from ..checkpoints.checkpoint import Source
from ..errors import MergeError, UsageError
from ..planning.bound import Bound, leaves
from ..planning.layout import is_single_file
from ..planning.opening import Opener
from ..recipe import Recipe
from . import Prepared
from .assigning import assign_rows
from .building import stale
from .configuration import Configuration
from .editing import edited
from .files import CONFIG, TEMPLATE, TEMPLATES, folder_of, matches
from .members import Member
from .output import Decided, decide
from .request import TokenizerRequest
from .source import VocabularySource
from .template import AUTO, check_template, chosen_template
from .tensors import token_rows
from .tokenizer import load_tokenizer


def prepare_output(recipe: Recipe, bound: Bound, opener: Opener) -> Prepared:
    """See `merge.vocabulary.prepare`."""
    request, template = recipe.output.tokenizer, recipe.output.chat_template
    where = request.where if request else None
    if recipe.output.path is not None and is_single_file(recipe.output.path):
        what = f"{recipe.output.path.name} is a single file, which has no place for a tokenizer or chat template"
        raise UsageError(what, where=where, hint="name a folder as the output")
    positions = list(dict.fromkeys(leaves(bound)))
    base = opener.sources[positions[0]]
    found = Prepared()
    if request is not None:
        found = _aligned(request, positions, opener, recipe.folder)
    if template is not None:
        check_template(template)
        found = _with_template(found, template, folder_of(base, where), _folders(positions, opener))
    return found


def _aligned(request: TokenizerRequest, positions: Sequence[int], opener: Opener, folder: Path | None) -> Prepared:
    members = _members(request, positions, opener)
    decided = decide(request, members, folder)
    replaced = {}
    for number, member in enumerate(members):
        rows = assign_rows(members, number, decided.layout)
        if rows:
            replaced[member.position] = len(opener.sources)
            opener.sources.append(VocabularySource(member.source, rows))
    beside, notes = _beside(members[0], decided)
    return Prepared(replaced, beside, (*decided.notes, *notes))


def _members(request: TokenizerRequest, positions: Sequence[int], opener: Opener) -> list[Member]:
    """Return the models with their tokenizers; beside the base, parts that know no tokens at all are left out."""
    found: list[Member] = []
    for position in positions:
        source = opener.sources[position]
        if found and not _knows_tokens(source):
            continue
        tokenizer = load_tokenizer(folder_of(source, request.where), source.location)
        found.append(Member(position, source, tokenizer, token_rows(source)))
    return found


def _knows_tokens(source: Source) -> bool:
    """Tell whether a model has an embedding of tokens."""
    try:
        return token_rows(source) >= 0
    except MergeError:
        return False


def _beside(base: Member, decided: Decided) -> tuple[Beside, list[str]]:
    """Return what becomes of tokenizer and configuration, and what is to be said of it."""
    folder = base.tokenizer.folder
    configuration = Configuration(base, decided.tokenizer, decided.layout.rows)
    beside = configuration.beside(folder)
    if decided.tokenizer is not base.tokenizer:
        beside |= Beside(leaves_out=stale(decided.files, folder), files=decided.files)
    return beside, configuration.notes


def _folders(positions: Sequence[int], opener: Opener) -> list[Path]:
    folders = [getattr(opener.sources[position], "folder", None) for position in positions]
    return [folder for folder in folders if folder is not None]


def _with_template(found: Prepared, text: str, base: Path, folders: Sequence[Path]) -> Prepared:
    """Return what was prepared with another chat template, in a file of its own and nowhere else."""
    template = chosen_template(text, folders)
    if template is None:
        return Prepared(found.replaced, found.beside, (*found.notes, "no model has a chat template; none is written"))
    files = {name: content for name, content in found.beside.files.items() if not matches(name, (TEMPLATES,))}
    if CONFIG in files:
        files[CONFIG] = edited(files[CONFIG], _no_template)
    changed = Beside(found.beside.edits, found.beside.leaves_out, files)
    beside = changed | Beside({CONFIG: (_no_template,)}, (TEMPLATES,), {TEMPLATE: template.encode()})
    notes = [f"the chat template is that of most models ({len(template)} characters)"] if text == AUTO else []
    return Prepared(found.replaced, beside, (*found.notes, *notes))


def _no_template(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "chat_template"}
