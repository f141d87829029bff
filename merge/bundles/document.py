"""``merge.json``, the file that makes a folder a bundle: its shape, and reading it strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from ..checkpoints.folders import BUNDLE
from ..data_use import NO_DATA
from ..errors import MergeError
from ..json_text import parse_json

FILE = BUNDLE
FORMAT = "merge-bundle"
SCHEMA_VERSION = 1
MEMBERS = "members"  # folder of copied members


class SharedTensors(TypedDict):
    """Tensors that a copied member has in a file in common with others."""

    file: str
    tensors: list[str]


class MemberDocument(TypedDict):
    """One member.

    Attributes:
        path: A file or folder; a relative path counts from the bundle's folder.
        content_id: Of its tensors, when the bundle was made.
    """

    role: str
    path: str
    content_id: str
    copied: bool
    shared: NotRequired[SharedTensors]


class BundleDocument(TypedDict):
    """The whole of ``merge.json``.

    Attributes:
        model: Architecture of members that are bare checkpoints, as ``--model`` says it; None: beside the weights.
    """

    format: str
    schema_version: int
    rule: str
    options: dict[str, Any]
    members: list[MemberDocument]
    model: str | None
    seed: int
    data_use: str
    tool_version: str


def is_bundle(path: Path) -> bool:
    """Tell whether a folder is a bundle."""
    return (path / FILE).is_file()


def read_document(folder: Path) -> BundleDocument:
    """Read ``merge.json``.

    Raises:
        MergeError: It is damaged, of something else, or of a newer version of this tool.
    """
    path = folder / FILE
    try:
        found = parse_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise MergeError(f"cannot be read: {error}", where=str(path)) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise MergeError("this is no bundle of merge", where=str(path), hint=f"its 'format' should be '{FORMAT}'")
    version = found.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        what = f"it has schema version {version}, and this version of merge reads up to {SCHEMA_VERSION}"
        raise MergeError(what, where=str(path), hint="update merge")
    _check_shape(found, path)
    return found  # type: ignore[return-value]


def _check_shape(found: dict[str, Any], path: Path) -> None:
    """Raise MergeError for a key that is missing or holds something of another type."""
    for key, otherwise in (("model", None), ("data_use", NO_DATA)):
        found.setdefault(key, otherwise)
    wanted: dict[str, Any] = {"rule": str, "options": dict, "members": list, "seed": int}
    wanted |= {"model": (str, type(None)), "data_use": str}
    for key, kind in wanted.items():
        if not isinstance(found.get(key), kind) or isinstance(found[key], bool):
            raise MergeError(f"'{key}' is missing or no {_WORDS.get(kind, 'text')}", where=str(path))
    for number, member in enumerate(found["members"], 1):
        _check_member(member, f"member {number}", str(path))
    roles = [member["role"] for member in found["members"]]
    if len({*roles}) < len(roles):
        raise MergeError("two of its members have the same role", where=str(path))


def _check_member(member: Any, name: str, where: str) -> None:
    texts = ("role", "path", "content_id")
    if not isinstance(member, dict) or not all(isinstance(member.get(key), str) for key in texts):
        raise MergeError(f"{name} lacks one of {', '.join(texts)}", where=where)
    member.setdefault("copied", False)
    shared = member.get("shared", {"file": "", "tensors": []})
    names = shared.get("tensors") if isinstance(shared, dict) else None
    if not isinstance(names, list) or not all(isinstance(one, str) for one in [*names, shared.get("file")]):
        raise MergeError(f"'shared' of {name} needs a file and a list of tensors", where=where)


_WORDS: dict[Any, str] = {dict: "mapping", list: "list", int: "whole number"}


def render(document: BundleDocument) -> str:
    """Return the text of ``merge.json``."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
