"""What stands where a folder is to be written: only what merges wrote may be replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....errors import MergeError, UsageError
from ...checkpoint import OUR_KEY
from ...companions import is_companion, is_in_component
from ...components.declared import read_folder
from ...folders import INDEX_SUFFIX
from ...target import is_known
from ..filesystem_file import FilesystemFile
from ..headers import open_headers

WEIGHTS = ".safetensors"
_HINT = "move it away, or choose another --out"


def check_ours(filesystem: Any, folder: str, names: Sequence[str], where: str) -> None:
    """Refuse to replace a folder that holds anything but what a merge wrote or copied.

    Args:
        filesystem: Of fsspec.
        folder: Its path there.
        names: What it holds, names in folders within it too.
        where: What stands for it in messages.

    Raises:
        UsageError: Naming what is in the way.
        MergeError: A header cannot be read.
    """
    within = _component_folders(filesystem, folder, names)
    for name in sorted(names):
        if not is_known(name, within):
            raise UsageError(f"holds '{name}', which no merge wrote", where=where, hint=_HINT)
    weights = [name for name in names if name.endswith(WEIGHTS)]
    opened = open_headers([FilesystemFile(filesystem, f"{folder}/{name}", f"{where}/{name}") for name in weights])
    for name, one in zip(weights, opened, strict=True):
        one.file.close()
        if OUR_KEY not in one.header.metadata:
            raise UsageError(f"holds '{name}', which is no output of a merge", where=where, hint=_HINT)


def _component_folders(filesystem: Any, folder: str, names: Sequence[str]) -> set[str]:
    """Return the folders of components; none where what names them is damaged, so that nothing tells whose they are."""
    try:
        found = read_folder(names, lambda name: bytes(filesystem.cat_file(f"{folder}/{name}")), folder)
    except (MergeError, OSError):
        return set()
    return {component.folder for component in found.components} if found else set()


def is_ours(name: str) -> bool:
    """Tell whether a merge writes or copies files of this name, without folders, anywhere in an output."""
    return name.endswith((WEIGHTS, INDEX_SUFFIX)) or is_companion(name) or is_in_component(name)


def check_free(where: str, *, is_file: bool, holds: bool, is_folder: bool, force: bool) -> bool:
    """Tell whether something stands there that may be replaced, as far as that does not depend on what it holds.

    Args:
        where: The place, for messages.
        is_file: Whether a file stands there.
        holds: Whether a folder stands there.
        is_folder: Whether a folder is to be written.
        force: Whether a former output may be replaced.

    Raises:
        UsageError: Something is in the way.
    """
    if not (is_file or holds):
        return False
    if not force:
        raise UsageError("the output exists", where=where, hint="--force replaces it")
    if holds is not is_folder:
        kinds = ("a folder", "a single file") if holds else ("a file", "a folder")
        raise UsageError(f"{kinds[0]} stands there, and the output is {kinds[1]}", where=where)
    return True


def check_card(content: bytes | None, mark: str, where: str) -> None:
    """Refuse to replace a text beside a single file that is no card of ours.

    Raises:
        UsageError: Naming it.
    """
    if content is not None and mark.encode() not in content:
        raise UsageError("this file is in the way of the model card", where=where, hint="move it away")
