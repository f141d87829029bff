"""What a folder of components says of itself: model_index.json of diffusers, modules.json of sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import MergeError
from ...json_text import parse_json

PIPELINE, MODULES, ROUTER = "model_index.json", "modules.json", "router_config.json"
CONFIG, SCHEDULER = "config.json", "scheduler_config.json"
LONGEST = 255  # bytes of a name that every system can write
DIFFUSERS, SENTENCES = "diffusers", "sentence-transformers"

Read = Callable[[str], bytes]  # name of a file, with folders in front


class Declared(NamedTuple):
    """One component as the folder's own file names it.

    Attributes:
        folder: Its folder within; empty for the folder itself.
        kind: Its class.
        must_exist: Whether there is nothing to load without its folder.
    """

    folder: str
    kind: str
    must_exist: bool

    @property
    def prefix(self) -> str:
        """What stands in front of the names of its tensors."""
        return f"{self.folder.replace('/', '.')}." if self.folder else ""


class Folder(NamedTuple):
    """A folder of components.

    Attributes:
        library: The library that loads it.
        file: The file that names its components.
        components: All of them, those without weights too.
    """

    library: str
    file: str
    components: tuple[Declared, ...]


def declaring_file(names: Collection[str]) -> str | None:
    """Return the file among these that names components, or None."""
    return next((name for name in (PIPELINE, MODULES) if name in names), None)


def read_folder(names: Collection[str], read: Read, where: str) -> Folder | None:
    """Return what a folder says of its components, or None where it is a folder of one model.

    Args:
        names: The files in it.
        read: Returns a file's bytes.
        where: What stands for it in messages.

    Raises:
        MergeError: What it says makes no sense.
    """
    file = declaring_file(names)
    if file is None:
        return None
    found = _parsed(read, file, where)
    if file == PIPELINE:
        components = tuple(_of_pipeline(found, f"{where}/{file}"))
    else:
        components = tuple(_of_modules(found, read, where))
    folders = [component.folder for component in components]
    if len(set(folders)) != len(folders):
        raise MergeError("names a folder twice", where=f"{where}/{file}")
    return Folder(DIFFUSERS if file == PIPELINE else SENTENCES, file, components)


def read_here(path: Path) -> Folder | None:
    """Return what a folder on this machine says of its components; see `read_folder`."""
    names = [name for name in (PIPELINE, MODULES) if (path / name).is_file()]
    return read_folder(names, lambda name: (path / name).read_bytes(), str(path)) if names else None


def _of_pipeline(found: Any, where: str) -> Iterator[Declared]:
    """Yield the components of a pipeline: keys with a library and a class; two nulls stand for one that is left out."""
    if not isinstance(found, dict):
        raise MergeError("holds no JSON object", where=where)
    for name, value in found.items():
        if name.startswith("_") or not isinstance(value, list) or len(value) != 2:
            continue  # settings of the pipeline
        if isinstance(value[1], str):
            yield Declared(_safe(name, where), value[1], True)


def _of_modules(found: Any, read: Read, where: str) -> Iterator[Declared]:
    at = f"{where}/{MODULES}"
    if not isinstance(found, list) or not found:
        raise MergeError("holds no list of modules", where=at)
    for module in found:
        if not isinstance(module, dict) or not all(isinstance(module.get(key), str) for key in ("path", "type")):
            raise MergeError(f"has a module without 'path' and 'type': {json.dumps(module)[:100]}", where=at)
        folder, kind = _safe(module["path"], at), module["type"].rpartition(".")[2]
        if kind in ("Router", "Asym"):
            yield from _of_router(folder, read, where)
        yield Declared(folder, kind, False)


def _of_router(folder: str, read: Read, where: str) -> Iterator[Declared]:
    """Yield the modules that a router chooses from, which lie in folders of their own within its own."""
    name = f"{folder}/{ROUTER}" if folder else ROUTER
    found = _parsed(read, name, where)
    types = found.get("types") if isinstance(found, dict) else None
    if not isinstance(types, Mapping):
        raise MergeError("has no 'types' of the modules that it chooses from", where=f"{where}/{name}")
    for path, kind in types.items():
        inner = _safe(path, f"{where}/{name}")
        yield Declared(f"{folder}/{inner}" if folder else inner, str(kind).rpartition(".")[2], False)


def _parsed(read: Read, name: str, where: str) -> Any:
    try:
        return parse_json(read(name))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MergeError(f"cannot read it as JSON: {reason}", where=f"{where}/{name}") from None


def _safe(folder: str, where: str) -> str:
    """Return the name of a folder within; a name that leads elsewhere is refused."""
    if folder and not is_within(folder):
        raise MergeError(f"names the folder {folder!r}, which is not within its own", where=where)
    return folder


def is_within(name: str) -> bool:
    """Tell whether a name, with ``/`` between folders, leads to something within a folder on every system."""
    return not any(
        part in ("", ".", "..")
        or any(sign in part for sign in "\\:\0")
        or len(part.encode("utf-8", "replace")) > LONGEST
        for part in name.split("/")
    )
