"""What was decided about tokens, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..errors import suggest
from .members import Member
from .request import UNION, TokenizerRequest
from .rows import Layout
from .tokenizer import Tokenizer


def token_notes(
    request: TokenizerRequest, members: Sequence[Member], gone: Sequence[str], new: Collection[str], own: Tokenizer
) -> list[str]:
    """Return what is to be said of tokens that are left out or added.

    Args:
        request: What the recipe says.
        members: The models.
        gone: Tokens of the tokenizer that are left out.
        new: Tokens that are added to it.
        own: The tokenizer as it was.
    """
    notes = []
    for member in members:
        if member.unused and (request.source == UNION or member.tokenizer is own):
            notes.append(f"{member.source.location} has no row for {_shown(member.unused)}; left out of the tokenizer")
    someone = {token for member in members for token in member.used}
    added = {token for member in members for token in member.tokenizer.added}
    plain = [token for token in new if token in someone and token not in added]
    if plain:
        of = f"{_shown(plain)} from the vocabulary of another model"
        notes.append(f"{of}: added beside that of {own.location}, whose rules still cut the texts")
    nobody = [token for token in request.tokens if token not in someone]
    if nobody:
        near = suggest(nobody[0], someone)  # a new token may well be meant; a misspelt one should be seen
        notes.append(f"no model has {_shown(nobody)}: added because of a rule{f' ({near})' if near else ''}")
    return notes


def row_notes(request: TokenizerRequest, layout: Layout, donor: Member | None, ids: Mapping[str, int]) -> list[str]:
    """Return what is to be said of the number of rows."""
    spare = layout.rows - int(layout.named.sum())
    notes = [f"the output's vocabulary: {len(ids)} tokens, {layout.rows} rows"]
    if spare and layout.kept and donor:
        hint = "pad_to_multiple_of gives another number"
        notes.append(f"{spare} rows without a token are kept from {donor.source.location}; {hint}")
    elif spare:
        notes.append(f"{spare} rows without a token hold the mean of the others")
    if donor and request.pad_to_multiple_of is not None and donor.rows > layout.rows:
        hint = "pad_to_multiple_of counts from the tokens"
        notes.append(f"{donor.rows - layout.rows} rows fewer than {donor.source.location} has: {hint}")
    none = (layout.numbers < 0).all(axis=0) & layout.named
    none[list(layout.choices)] = False
    if none.any():
        tokens = sorted(token for token, place in ids.items() if none[place])
        notes.append(f"no model has a row for {_shown(tokens)}: zeros")
    return notes


def _shown(tokens: Sequence[str]) -> str:
    if len(tokens) > 3:
        return f"{len(tokens)} tokens ({', '.join(repr(token) for token in tokens[:2])} …)"
    return ", ".join(repr(token) for token in tokens)
