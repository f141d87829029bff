"""Whether language models speak of the same tokens, and which token of one is which of another where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import MergeError, UsageError, suggest
from .segmentation import check_segmentation

ALIGN = ("exact", "intersection", "union")
ROLES = ("bos_token", "eos_token", "pad_token")
# What an expert reads in place of a token that it lacks: its own word for the unknown, else the end of a text.
STAND_INS = ("unk_token_id", "eos_token_id", "bos_token_id")


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a mixture.

    Attributes:
        size: How many there are.
        rows: How many tokens each expert's tokenizer has; its outputs beyond these are padding.
        indices: Of every expert the index of every token of the mixture, -1 where it does not count; None: all
            experts have the same tokens at the same places.
        stand_ins: What every expert reads in place of a token that it lacks; None: it reads none such.
        added: Tokens beyond those of the first expert, whose indices follow on.
    """

    size: int
    rows: tuple[int, ...]
    indices: tuple[tuple[int, ...], ...] | None = None
    stand_ins: tuple[int | None, ...] | None = None
    added: tuple[str, ...] = ()


def common_vocabulary(
    tokenizers: Sequence[Any], names: Sequence[str], align: str = "exact", combine: str = "logits"
) -> Vocabulary:
    """Return the tokens of a mixture of models with these tokenizers.

    Args:
        tokenizers: Of transformers, one of each expert.
        names: Of the experts, for messages.
        align: ``exact``: all must have the same tokens at the same places; ``intersection``: only tokens that all
            have count, by the first expert's indices; ``union``: all tokens of any, the first expert's first.
        combine: How outputs become one.

    Raises:
        UsageError: There is no such alignment, or a union of anything but probabilities.
        MergeError: The tokenizers do not fit together; the message shows where they differ first.
    """
    if align not in ALIGN:
        hint = suggest(align, ALIGN) or f"one of {', '.join(ALIGN)}"
        raise UsageError(f"there is no alignment '{align}'", hint=hint)
    if align == "union" and combine != "probs":
        what = "a union of vocabularies needs probabilities: a token that an expert lacks has the probability 0"
        raise UsageError(what, hint="combine 'probs', or align 'intersection'")
    tokens = [tokens_of(tokenizer) for tokenizer in tokenizers]
    rows = tuple(len(each) for each in tokens)
    for number in range(1, len(tokenizers)):
        pair, both = (tokenizers[0], tokenizers[number]), (names[0], names[number])
        if align == "exact":
            _check_tokens(tokens[0], tokens[number], both)
        _check_roles(pair, both, exact=align == "exact")
        check_segmentation(pair, both, _texts_of(tokenizers[0], tokens), exact=align == "exact")
    if all(each == tokens[0] for each in tokens):
        return Vocabulary(rows[0], rows)
    return _intersection(tokens, rows) if align == "intersection" else _union(tokens, rows, tokenizers)


def tokens_of(tokenizer: Any) -> list[str | None]:
    """Return the tokens of a tokenizer by index, added ones included; None where an index is not taken."""
    found = tokenizer.get_vocab()
    tokens: list[str | None] = [None] * (max(found.values(), default=-1) + 1)
    for token, index in found.items():
        tokens[index] = token
    return tokens


def union_tokenizer(first: Any, vocabulary: Vocabulary) -> Any:
    """Return a copy of the first expert's tokenizer that has the tokens of a union.

    Raises:
        MergeError: The tokenizer gives new tokens other places.
    """
    import copy

    found = copy.deepcopy(first)
    found.add_tokens(list(vocabulary.added))
    begin = vocabulary.size - len(vocabulary.added)
    if found.convert_tokens_to_ids(list(vocabulary.added)) != list(range(begin, vocabulary.size)):
        raise MergeError("the first expert's tokenizer has indices that are not taken, and new tokens go there")
    return found


def _check_tokens(first: Sequence[str | None], other: Sequence[str | None], names: Sequence[str]) -> None:
    """Raise MergeError at the first index where two vocabularies differ."""
    for index in range(max(len(first), len(other))):
        pair = [each[index] if index < len(each) else None for each in (first, other)]
        if pair[0] != pair[1]:
            shown = [
                f"{'nothing' if token is None else repr(token)} in {name}"
                for token, name in zip(pair, names, strict=True)
            ]
            hint = "--align intersection counts only tokens that all experts have"
            raise MergeError(f"the vocabularies differ: token {index} is {' and '.join(shown)}", hint=hint)


def _check_roles(pair: Sequence[Any], names: Sequence[str], *, exact: bool) -> None:
    """Raise MergeError where texts end in different ways, or where tokens are added to one vocabulary only."""
    for role in ROLES:
        first, other = (getattr(tokenizer, role) for tokenizer in pair)
        if first != other and (role == "eos_token" or None not in (first, other)):
            what = f"the {role} is {first!r} in {names[0]} and {other!r} in {names[1]}"
            raise MergeError(what, hint="give both the same in tokenizer_config.json")
    if not exact:
        return
    first, other = (_added(tokenizer) for tokenizer in pair)
    for index in sorted(first.keys() | other.keys()):
        if first.get(index) != other.get(index):
            shown = (
                f"{each.get(index, 'no added token')} in {name}"
                for each, name in zip((first, other), names, strict=True)
            )
            raise MergeError(f"the added tokens differ: token {index} is {' and '.join(shown)}")


def _added(tokenizer: Any) -> dict[int, str]:
    """Return the tokens that are found in a text before it is cut, with what says how."""
    return {index: repr(token) for index, token in getattr(tokenizer, "added_tokens_decoder", {}).items()}


def _texts_of(tokenizer: Any, tokens: Sequence[Sequence[str | None]], most: int = 400) -> list[str]:
    """Return a text of some of the tokens that all experts have, to be cut again by each."""
    shared = set(tokens[0]).intersection(*tokens[1:]) - {None, *tokenizer.all_special_tokens}
    indices = [index for index, token in enumerate(tokens[0]) if token in shared]
    return [tokenizer.decode(indices[:: max(1, len(indices) // most)])]


def _intersection(tokens: Sequence[Sequence[str | None]], rows: tuple[int, ...]) -> Vocabulary:
    shared = set(tokens[0]).intersection(*tokens[1:]) - {None}
    if not shared:
        raise MergeError("the experts have no token in common")
    places = [{token: index for index, token in enumerate(each)} for each in tokens]
    indices = tuple(tuple(place[token] if token in shared else -1 for token in tokens[0]) for place in places)
    return Vocabulary(len(tokens[0]), rows, indices)


def _union(tokens: Sequence[Sequence[str | None]], rows: tuple[int, ...], tokenizers: Sequence[Any]) -> Vocabulary:
    known = set(tokens[0])
    new = dict.fromkeys(token for each in tokens[1:] for token in each if token is not None and token not in known)
    places = [{token: index for index, token in enumerate(each) if token is not None} for each in tokens]
    every = [*tokens[0], *new]
    indices = tuple(tuple(place.get(token, -1) if token is not None else -1 for token in every) for place in places)
    stand_ins = tuple(
        next((index for role in STAND_INS if (index := getattr(one, role)) is not None), None) for one in tokenizers
    )
    return Vocabulary(len(every), rows, indices, stand_ins, tuple(new))
