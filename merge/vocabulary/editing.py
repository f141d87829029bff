"""A tokenizer with more tokens, or fewer: its files, edited; everything else in them stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from .files import ADDED, CONFIG, SPECIAL, TOKENIZER

# How a token that is part of another model's vocabulary is found in a text: as it is and only where it stands alone, so
# that the text is cut as before wherever possible.
PLAIN = {"single_word": True, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
Json = dict[str, Any]


def with_tokens(files: Mapping[str, bytes], new: Mapping[str, tuple[int, Mapping[str, bool]]]) -> dict[str, bytes]:
    """Return the files with tokens added.

    Args:
        files: The tokenizer's files by name, ``tokenizer.json`` among them.
        new: Of each new token its number and how it is found in a text.
    """
    return _changed(files, {TOKENIZER: _add, CONFIG: _declare, ADDED: _enter}, new)


def without_tokens(files: Mapping[str, bytes], gone: Collection[str], absent: Collection[str]) -> dict[str, bytes]:
    """Return the files without some tokens, the last of the vocabulary.

    Args:
        files: The tokenizer's files by name, ``tokenizer.json`` among them.
        gone: The tokens.
        absent: Those of them that lose their roles too, as nothing adds them anew.
    """
    found = _changed(files, {TOKENIZER: _cut, CONFIG: _undeclare, ADDED: _leave}, frozenset(gone))
    return _changed(found, {CONFIG: _forget, SPECIAL: _forget}, frozenset(absent))


def edited(content: bytes, change: Callable[[Json], Json]) -> bytes:
    """Return a JSON file whose object is changed."""
    return (json.dumps(change(json.loads(content)), indent=2, ensure_ascii=False) + "\n").encode()


def _changed(files: Mapping[str, bytes], changes: Mapping[str, Callable[..., Json]], tokens: Any) -> dict[str, bytes]:
    return {
        name: edited(content, partial(changes[name], tokens=tokens)) if name in changes else content
        for name, content in files.items()
    }


def _add(found: Json, tokens: Mapping[str, tuple[int, Mapping[str, bool]]]) -> Json:
    entries = [{"id": number, "content": token, **flags} for token, (number, flags) in tokens.items()]
    return found | {"added_tokens": [*(found.get("added_tokens") or []), *entries]}


def _declare(found: Json, tokens: Mapping[str, tuple[int, Mapping[str, bool]]]) -> Json:
    """Enter new tokens into the older form of tokenizer_config.json, which lists them too."""
    known = found.get("added_tokens_decoder")
    if not isinstance(known, dict):
        return found
    entries = {str(number): {"content": token, **flags} for token, (number, flags) in tokens.items()}
    return found | {"added_tokens_decoder": known | entries}


def _enter(found: Json, tokens: Mapping[str, tuple[int, Mapping[str, bool]]]) -> Json:
    return found | {token: number for token, (number, _) in tokens.items()}


def _cut(found: Json, tokens: Collection[str]) -> Json:
    kept = [entry for entry in found.get("added_tokens") or [] if entry.get("content") not in tokens]
    model = dict(found.get("model") or {})
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        model["vocab"] = {token: number for token, number in vocabulary.items() if token not in tokens}
    elif isinstance(vocabulary, list):  # pairs of token and score, whose places are their numbers
        model["vocab"] = [pair for pair in vocabulary if pair[0] not in tokens]
    if model.get("merges"):
        model["merges"] = [pair for pair in model["merges"] if not _leads_to(pair, tokens)]
    return found | {"added_tokens": kept, "model": model}


def _leads_to(pair: str | list[str], tokens: Collection[str]) -> bool:
    """Tell whether a step of byte pair encoding takes or gives one of these tokens."""
    left, right = pair.split(" ", 1) if isinstance(pair, str) else pair
    return left in tokens or right in tokens or left + right in tokens


def _undeclare(found: Json, tokens: Collection[str]) -> Json:
    known = found.get("added_tokens_decoder")
    return found | {"added_tokens_decoder": _kept(known, tokens)} if isinstance(known, dict) else found


def _forget(found: Json, tokens: Collection[str]) -> Json:
    """Drop roles, and entries of lists and tables, that name tokens which are left out."""
    return {key: _kept(value, tokens) for key, value in found.items() if _content(value) not in tokens}


def _kept(value: Any, tokens: Collection[str]) -> Any:
    if isinstance(value, list):
        return [item for item in value if _content(item) not in tokens]
    if isinstance(value, dict):
        return {name: entry for name, entry in value.items() if _content(entry) not in tokens}
    return value


def _content(value: Any) -> str | None:
    """Return the token that a role names: a text, or a mapping with its ``content``."""
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def _leave(found: Json, tokens: Collection[str]) -> Json:
    return {token: number for token, number in found.items() if token not in tokens}
