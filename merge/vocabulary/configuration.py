"""config.json and generation_config.json for another vocabulary: its size, and the numbers of tokens by their text."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..checkpoints.beside import Beside
from ..errors import MergeError
from .files import read_json
from .members import Member
from .tensors import APART, stated_sizes
from .tokenizer import Tokenizer

NAMES = ("config.json", "generation_config.json")
_ENDINGS = ("_token_id", "_token_ids", "_token_index")
_LISTS = ("suppress_tokens", "begin_suppress_tokens")
_TABLES = ("lang_to_id", "task_to_id")
# What takes the place of a token that the output has not, where there is a role to go by; nothing for the other keys.
_ROLES: Mapping[str, tuple[str, ...]] = {
    "decoder_start_token_id": ("pad_token", "bos_token"),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
} | {f"{role}_id": (role,) for role in ("bos_token", "eos_token", "pad_token", "sep_token", "cls_token", "mask_token")}
Json = dict[str, Any]


class Configuration:
    """What is written into the base's configuration.

    Args:
        base: The model whose configuration it is.
        tokenizer: The output's tokenizer.
        rows: How many rows the output has.
    """

    def __init__(self, base: Member, tokenizer: Tokenizer, rows: int) -> None:
        self._location, self._old, self._rows = base.source.location, base.rows, rows
        self._texts = {number: token for token, number in base.tokenizer.ids.items()}
        self._ids, self._roles, self._taken = tokenizer.ids, tokenizer.roles, set(tokenizer.ids.values())
        self.notes: list[str] = []

    def beside(self, folder: Path) -> Beside:
        """Return the edits of the files in the base's folder that change.

        Raises:
            MergeError: A file is broken, or names a token that the output needs and has not.
        """
        found = {name: read_json(folder, name) for name in NAMES}
        changed = [name for name, content in found.items() if self.edited(content, name=name) != content]
        return Beside({name: (partial(self.edited, name=name),) for name in changed})

    def edited(self, content: Json, name: str) -> Json:
        """Return the object of a file changed."""
        found = copy.deepcopy(content)
        if name == NAMES[0] and found:
            self._resize(found)
        self._translate(found, name)
        return found

    def _resize(self, config: Json) -> None:
        """Enter the number of rows wherever that of the base stands; else where it belongs."""
        parts = list(stated_sizes(config))
        sized = [part for part in parts if part["vocab_size"] == self._old] or parts[:1]
        text = config.get("text_config")
        for part in sized or ([text if isinstance(text, dict) else config] if self._rows != self._old else []):
            part["vocab_size"] = self._rows

    def _translate(self, part: Json, name: str) -> None:
        for key, value in part.items():
            if key in _TABLES and isinstance(value, dict):
                part[key] = {entry: self._required(number, key, name) for entry, number in value.items()}
            elif isinstance(value, dict):
                if key not in APART and value.get("vocab_size", self._rows) in (self._rows, self._old):
                    self._translate(value, name)
            elif key.endswith(_ENDINGS) or key in _LISTS:
                part[key] = self._entry(key, value, name)
            elif key == "bad_words_ids" and isinstance(value, list):
                words = [[self._new(number) for number in word] for word in _lists(value)]
                part[key] = [word for word in words if None not in word]
            elif key == "forced_decoder_ids" and isinstance(value, list):
                part[key] = [[*pair[:1], *(self._required(n, key, name) for n in pair[1:])] for pair in _lists(value)]

    def _entry(self, key: str, value: Any, name: str) -> Any:
        """Return one token's number, or those of a list, in the output's numbering."""
        if isinstance(value, list):
            new = [self._new(number) for number in value]
            found = [number for number in new if number is not None]
            return found if found or not value or key in _LISTS else self._instead(key, name)
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if key not in _ROLES:
            return self._required(value, key, name)
        new_number = self._new(value)
        return self._instead(key, name) if new_number is None else new_number

    def _new(self, number: Any) -> int | None:
        """Return the output's number of a token; None where the output has no such token."""
        if not isinstance(number, int) or number < 0:
            return number  # type: ignore[no-any-return]
        token = self._texts.get(number)
        if token is None:
            return number if number < self._rows and number not in self._taken else None
        return self._ids.get(token)

    def _instead(self, key: str, name: str) -> int | None:
        tokens = [self._roles[role] for role in _ROLES.get(key, ()) if role in self._roles]
        found = next((self._ids[token] for token in tokens if token in self._ids), None)
        now = "none" if found is None else repr(next(token for token in tokens if token in self._ids))
        self.notes.append(f"{name}: {key} named a token that the output has not; it is now {now}")
        return found

    def _required(self, number: Any, key: str, name: str) -> Any:
        if number is None:  # Whisper's `forced_decoder_ids` leave a place open so
            return None
        found = self._new(number)
        if found is None and number not in self._texts:  # a default of the architecture, which no text leads to
            self.notes.append(f"{name}: {key} is {number}, which is no token of {self._location} either; left as it is")
            return number
        if found is None:
            what = f"{name} names {self._texts[number]!r} as {key}, and the output has no such token"
            raise MergeError(what, where=self._location, hint="take the union of the vocabularies, or the base's")
        return found


def _lists(values: list[Any]) -> list[list[Any]]:
    """Return what is a list among what should be lists."""
    return [value for value in values if isinstance(value, list)]
