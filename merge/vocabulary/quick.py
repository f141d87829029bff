"""A tokenizer from its own files, where these leave no doubt: transformers and torch need seconds to be imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .files import ADDED, CONFIG, SPECIAL, TOKENIZER, read_json

FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_GENERIC = ("PreTrainedTokenizer", "TokenizersBackend")
# Roles that a class of transformers fills in where tokenizer_config.json does not.
DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "LlamaTokenizer": {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    "GPT2Tokenizer": dict.fromkeys(("unk_token", "bos_token", "eos_token"), "<|endoftext|>"),
    "Qwen2Tokenizer": dict.fromkeys(("unk_token", "eos_token", "pad_token"), "<|endoftext|>"),
    "BertTokenizer": {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    },
} | {name: {} for name in _GENERIC}
_LISTS = ("extra_special_tokens", "additional_special_tokens")
_SPECIAL = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


class Quick(NamedTuple):
    """What the files say: see `merge.vocabulary.tokenizer.Tokenizer`."""

    ids: Mapping[str, int]
    added: Mapping[str, Mapping[str, bool]]
    roles: Mapping[str, str]


def read_quickly(folder: Path) -> Quick | None:
    """Return a tokenizer as transformers would load it; None where only transformers can tell.

    That is so for classes with habits of their own, where other files speak of tokens that ``tokenizer.json`` has not
    (those get their numbers when the tokenizer is loaded), and where a file holds what it never should.
    """
    config = read_json(folder, CONFIG)
    name = str(config.get("tokenizer_class", "")).removesuffix("Fast")
    if name not in DEFAULTS or not (folder / TOKENIZER).is_file():
        return None
    try:
        return _read(folder, config, DEFAULTS[name])
    except (AttributeError, TypeError, ValueError):  # a number where a list belongs, and the like
        return None


def _read(folder: Path, config: Mapping[str, Any], defaults: Mapping[str, str]) -> Quick | None:
    from tokenizers import Tokenizer

    try:
        found = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception:  # the library raises nothing narrower; transformers says what is wrong
        return None
    ids = found.get_vocab(with_added_tokens=True)
    padding = {"pad_token": found.padding["pad_token"]} if found.padding else {}
    older = {} if "added_tokens_decoder" in config else read_json(folder, SPECIAL)
    roles = {**defaults, **padding, **_roles(older), **_roles(config)}
    roles = {role: token for role, token in roles.items() if token is not None}
    if not set(roles.values()).union(_listed(config), _listed(older)) <= ids.keys():
        return None
    numbered = [*read_json(folder, ADDED).items(), *((_content(entry), int(key)) for key, entry in _entries(config))]
    if any(ids.get(str(token)) != number for token, number in numbered):
        return None
    return Quick(ids, _added(found, config, roles), roles)


def _added(found: Any, config: Mapping[str, Any], roles: Mapping[str, str]) -> dict[str, Mapping[str, bool]]:
    """Return how added tokens are found in a text: tokenizer_config.json goes first, and what has a role is special."""
    by_number = sorted(found.get_added_tokens_decoder().items())
    flags: dict[str, Mapping[str, bool]] = {
        token.content: {flag: bool(getattr(token, flag)) for flag in FLAGS} for _, token in by_number
    }
    for _, entry in _entries(config):
        own = {flag: bool(entry.get(flag, flag == "normalized" and not entry.get("special"))) for flag in FLAGS}
        flags[str(_content(entry))] = own
    flags |= {token: flags.get(token, _SPECIAL) for token in _listed(config)}
    return flags | {token: {**flags.get(token, _SPECIAL), "special": True} for token in roles.values()}


def _entries(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from (config.get("added_tokens_decoder") or {}).items()


def _roles(content: Mapping[str, Any]) -> dict[str, str | None]:
    return {key: _content(value) for key, value in content.items() if key.endswith("_token") and _is_token(value)}


def _listed(content: Mapping[str, Any]) -> list[str]:
    """Return special tokens beside those with a role."""
    found = []
    for key in _LISTS:
        value = content.get(key) or []
        found += [_content(item) for item in (value.values() if isinstance(value, dict) else value)]
    return [token for token in found if token is not None]


def _is_token(value: Any) -> bool:
    return value is None or isinstance(value, str | dict)


def _content(value: Any) -> str | None:
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None
