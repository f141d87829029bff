"""Which tokens the output has, and at which rows: the union of the models' vocabularies, or one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checkpoints.resolve import local_path
from ..errors import UsageError, suggest
from .building import build_tokenizer
from .editing import PLAIN
from .files import folder_of
from .members import Member, find_member, member_at
from .notes import row_notes, token_notes
from .request import BASE, UNION, TokenizerRequest
from .rows import ABSENT, ZERO, Choice, Layout
from .tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class Decided:
    """The output's vocabulary.

    Attributes:
        donor: The model whose tokenizer it is or continues; None for a tokenizer of no model that is merged.
        tokenizer: The output's tokenizer.
        files: Its files.
        layout: The rows.
        notes: What was decided, in words.
    """

    donor: Member | None
    tokenizer: Tokenizer
    files: Mapping[str, bytes]
    layout: Layout
    notes: tuple[str, ...]


def decide(request: TokenizerRequest, members: Sequence[Member], folder: Path | None) -> Decided:
    """Decide about tokens and rows.

    Args:
        request: What the recipe says.
        members: The models, the base first.
        folder: Folder from which the recipe's paths count.

    Raises:
        UsageError: The request does not fit the models.
        MergeError: A tokenizer cannot be made.
    """
    donor, own = _donor(request, members, folder)
    gone = donor.unused if donor else []
    choices = _choices(request, members, folder)
    new = _new_tokens(request, members, set(own.ids).difference(gone))
    tokenizer, files = build_tokenizer(own, gone, new)
    layout = _layout(request, members, donor, tokenizer, choices)
    notes = token_notes(request, members, gone, new, own)
    notes += row_notes(request, layout, donor, tokenizer.ids)
    return Decided(donor, tokenizer, files, layout, tuple(notes))


def _donor(
    request: TokenizerRequest, members: Sequence[Member], folder: Path | None
) -> tuple[Member | None, Tokenizer]:
    """Return the model whose tokenizer the output's is made from, if it is one of the models, and that tokenizer."""
    if request.source in (UNION, BASE):
        return members[0], members[0].tokenizer
    member = member_at(members, request.source, folder)
    if member is not None:
        return member, member.tokenizer
    path = local_path(request.source, folder)
    if not path.is_dir():
        find_member(members, request.source, folder, request.where)
    return None, load_tokenizer(folder_of(_Place(request.source, path), request.where), request.source)


@dataclass(frozen=True)
class _Place:
    """A folder in the place of a model."""

    location: str
    folder: Path


def _choices(request: TokenizerRequest, members: Sequence[Member], folder: Path | None) -> dict[str, Choice]:
    """Return what the rules say, by token."""
    found = {}
    for token, rule in request.tokens.items():
        if rule.kind == "zero":
            found[token] = Choice(ZERO, 0, rule.force)
            continue
        member = find_member(members, rule.model, folder, rule.where)
        row = _row(member, token if rule.token is None else rule.token, rule.where)
        found[token] = Choice(members.index(member), row, rule.force)
    return found


def _row(member: Member, token: str | int, where: str | None) -> int:
    """Return the row of a token in a model. Raises UsageError where there is none."""
    if isinstance(token, int):
        if token >= member.rows:
            what = f"{member.source.location} has {member.rows} rows, and so no token {token}"
            raise UsageError(what, where=where, hint="they count from 0")
        return token
    if token not in member.used:
        known = token in member.tokenizer.ids
        why = "has no row for the token" if known else "has no token"
        hint = None if known else suggest(token, member.used)
        raise UsageError(f"{member.source.location} {why} {token!r}", where=where, hint=hint)
    return member.used[token]


def _new_tokens(request: TokenizerRequest, members: Sequence[Member], known: set[str]) -> dict[str, Mapping[str, bool]]:
    """Return the tokens that follow those of the donor, with how they are found in a text."""
    listed = [token for member in members for token in member.used] if request.source == UNION else []
    found: dict[str, Mapping[str, bool]] = {}
    for token in (*listed, *request.tokens):
        if token not in known and token not in found:
            flags = [member.tokenizer.added[token] for member in members if token in member.tokenizer.added]
            someone = any(token in member.used for member in members)
            found[token] = flags[0] if flags else PLAIN if someone else PLAIN | {"single_word": False}
    return found


def _layout(
    request: TokenizerRequest,
    members: Sequence[Member],
    donor: Member | None,
    tokenizer: Tokenizer,
    choices: Mapping[str, Choice],
) -> Layout:
    import numpy as np

    count = 1 + max(tokenizer.ids.values(), default=-1)
    multiple = request.pad_to_multiple_of
    kept = donor.rows if donor and multiple is None else 0
    rows = max(count, kept) if multiple is None else -(-count // multiple) * multiple
    numbers, named = np.full((len(members), rows), ABSENT, np.int64), np.zeros(rows, bool)
    named[list(tokenizer.ids.values())] = True
    for line, member in zip(numbers, members, strict=True):
        pairs = [(place, member.used[token]) for token, place in tokenizer.ids.items() if token in member.used]
        if pairs:
            places, own = np.asarray(pairs, np.int64).T
            line[places] = own
    sizes = tuple(member.rows for member in members)
    placed = {tokenizer.ids[token]: choice for token, choice in choices.items()}
    return Layout(numbers, named, kept, members.index(donor) if donor else -1, sizes, placed)
