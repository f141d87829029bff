"""A model's tokenizer as transformers loads it: its tokens and their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MergeError
from .files import CONFIG, TOKENIZER, read_json
from .quick import FLAGS, read_quickly


@dataclass(frozen=True)
class Tokenizer:
    """What a folder's tokenizer knows.

    Attributes:
        location: What stands for it in messages.
        folder: Where its files are.
        ids: The number of every token.
        added: Of tokens that are found in a text before it is cut, how: the flags in ``tokenizer.json``.
        roles: Tokens with a role, such as ``eos_token``.
    """

    location: str
    folder: Path
    ids: Mapping[str, int]
    added: Mapping[str, Mapping[str, bool]]
    roles: Mapping[str, str]

    def used(self, rows: int) -> dict[str, int]:
        """Return the tokens that have a row, in order of their numbers."""
        return {token: number for token, number in self.in_order() if number < rows}

    def in_order(self) -> list[tuple[str, int]]:
        """Return tokens and numbers in order of the numbers."""
        return sorted(self.ids.items(), key=lambda item: (item[1], item[0]))


def load_tokenizer(folder: Path, location: str) -> Tokenizer:
    """Load a tokenizer as transformers does; no code or pickle of its folder is run.

    Raises:
        MergeError: It is broken, or needs code of its own.
    """
    _refuse_code(folder, location)
    quick = read_quickly(folder)
    if quick is not None:
        return Tokenizer(location, folder, *quick)
    found = load_pretrained(folder, location)
    added = {
        token.content: {flag: bool(getattr(token, flag)) for flag in FLAGS}
        for _, token in sorted(found.added_tokens_decoder.items())
    }
    roles = {role: str(token) for role, token in found.special_tokens_map.items() if isinstance(token, str)}
    return Tokenizer(location, folder, found.get_vocab(), added, roles)


def load_pretrained(folder: Path, location: str) -> Any:
    """Return the tokenizer object of transformers.

    Raises:
        MergeError: It is broken, or needs code of its own.
    """
    from ..evaluation.quiet import quiet_transformers

    _refuse_code(folder, location)
    with quiet_transformers():
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except Exception as error:  # broken files end in errors of many types, plain Exception among them
            read_json(folder, TOKENIZER)  # where that is no JSON, this says so with its place
            first = str(error).strip().partition("\n")[0] or type(error).__name__
            hint = "are its files whole? else save it as tokenizer.json, which needs no other library"
            raise MergeError(f"cannot load its tokenizer: {first}", where=location, hint=hint) from None


def _refuse_code(folder: Path, location: str) -> None:
    """Refuse a tokenizer that is a class in the folder. Raises MergeError."""
    classes = read_json(folder, CONFIG).get("auto_map")
    if isinstance(classes, dict):
        classes = classes.get("AutoTokenizer")
    if classes:
        what = "its tokenizer is code that comes with the model, which is never run"
        raise MergeError(what, where=location, hint="save it as tokenizer.json where you trust it, without auto_map")
