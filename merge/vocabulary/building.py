"""The files of the output's tokenizer: a model's own as they are, or edited; then loaded as a user will load them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import MergeError
from .editing import with_tokens, without_tokens
from .files import PATTERNS, SLOW, TOKENIZER, matches, read_bytes, tokenizer_files
from .tokenizer import Tokenizer, load_pretrained, load_tokenizer

New = Mapping[str, Mapping[str, bool]]  # by token, how it is found in a text


def build_tokenizer(donor: Tokenizer, gone: Sequence[str], new: New) -> tuple[Tokenizer, dict[str, bytes]]:
    """Return a tokenizer made from a model's, and its files.

    Args:
        donor: The model's tokenizer.
        gone: Tokens that are left out.
        new: Tokens that follow.

    Raises:
        MergeError: The tokenizer cannot be changed so.
    """
    files = read_bytes(tokenizer_files(donor.folder))
    if not gone and not new:
        return donor, files
    if TOKENIZER not in files:
        files = _converted(donor)
    if gone:
        files = without_tokens(files, gone, set(gone).difference(new))
        files = {name: content for name, content in files.items() if not matches(name, SLOW)}
    if new:
        left = set(donor.ids) - set(gone)
        first = 1 + max((donor.ids[token] for token in left), default=-1)
        files = with_tokens(files, {token: (first + n, flags) for n, (token, flags) in enumerate(new.items())})
    built = _loaded(donor, files)
    _check(donor, built, gone, new)
    return built, files


def _converted(donor: Tokenizer) -> dict[str, bytes]:
    """Return the files of a tokenizer that has no ``tokenizer.json``, as transformers saves it.

    Raises:
        MergeError: It cannot be brought into that form.
    """
    with tempfile.TemporaryDirectory() as folder:
        load_pretrained(donor.folder, donor.location).save_pretrained(folder)
        files = read_bytes(tokenizer_files(Path(folder)))
    if TOKENIZER not in files:
        what = "its tokenizer has no form of tokenizer.json, so that no tokens can be added or left out"
        raise MergeError(what, where=donor.location, hint="take a tokenizer as it is: `base`, or one of the models")
    return {name: content for name, content in files.items() if not matches(name, SLOW)}


def _loaded(donor: Tokenizer, files: Mapping[str, bytes]) -> Tokenizer:
    """Load files as they will lie in the output."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        if (donor.folder / "config.json").is_file():
            shutil.copyfile(donor.folder / "config.json", folder / "config.json")
        found = load_tokenizer(folder, f"the output's tokenizer, made from that of {donor.location}")
    return Tokenizer(found.location, donor.folder, found.ids, found.added, found.roles)


def _check(donor: Tokenizer, built: Tokenizer, gone: Sequence[str], new: New) -> None:
    """Refuse a tokenizer that does not have the tokens it should, or moved those of the donor."""
    kept = set(donor.ids).difference(gone)
    moved = [token for token in kept if built.ids.get(token) != donor.ids[token]]
    taken = {donor.ids[token] for token in kept}  # a vocabulary with gaps may lead the library there
    moved += [token for token in new if built.ids.get(token) in taken]
    odd = sorted({*(kept.union(new) ^ set(built.ids)), *moved})
    if odd:
        shown = ", ".join(repr(token) for token in odd[:3])
        what = f"adding or leaving out tokens gives other tokens than it should: {shown} ({len(odd)} such)"
        raise MergeError(what, where=donor.location, hint="take a tokenizer as it is: `base`, or one of the models")


def stale(files: Iterable[str], base: Path) -> tuple[str, ...]:
    """Return the names of the base's tokenizer files that the output's take the place of.

    Args:
        files: Names of the output's files.
        base: The base's folder.
    """
    here = sorted(path.name for path in base.iterdir() if matches(path.name, PATTERNS))
    return tuple(name for name in here if name not in set(files))
