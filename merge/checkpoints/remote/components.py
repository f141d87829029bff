"""Folders of components elsewhere: of each the headers are read, and its weights by ranges as those of one model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from ..checkpoint import FileCheckpoint
from ..companions import is_companion, is_in_component
from ..components.checkpoint import ComponentCheckpoint
from ..components.choosing import besides, with_weights
from ..components.declared import Declared, Folder, read_folder
from ..components.opening import open_parts
from ..components.part import Part
from .checkpoint import count_as_one
from .shown import shown
from .store import Store

AnyStore = TypeVar("AnyStore", bound=Store)


class RemoteComponents(ComponentCheckpoint):
    """A folder of components elsewhere.

    Args:
        location: What the user wrote.
        parts: The components with weights, in order.
        store: The folder.
        found: What it says of its components.
        notes: What a reader should know besides what is to be known of the parts.
    """

    def __init__(self, location: str, parts: Sequence[Part], store: Store, found: Folder, notes: Sequence[str]) -> None:
        super().__init__(location, parts, found.library, notes=notes)
        self.notes = list(dict.fromkeys(note for note in self.notes if not _is_of_whole(note, store, parts)))
        self.notes[:0] = store.notes
        self.origin = store.origin
        self._store, self._found = store, found

    @cached_property
    def folder(self) -> Path | None:  # type: ignore[override]
        """A folder here with what stands beside the weights, brought when it is first asked for."""
        names = self.companion_names
        return self._store.fetch(names) if names else None

    @cached_property
    def companion_names(self) -> list[str]:
        """Names of the files beside the weights, those of components with their folders."""
        names = [name for name in self._store.names if is_companion(name)]
        for component in self._found.components:
            if component.folder:
                within = self._store.within(component.folder).names
                names += [f"{component.folder}/{name}" for name in within if is_in_component(name)]
        return names

    def companion(self, name: str) -> Path | None:
        """Return one file of the folder itself, brought here; None where there is no such file."""
        return self._store.fetch([name]) / name if name in self._store.names else None


def find_components(store: Store) -> Folder | None:
    """Return what a folder elsewhere says of its components, or None where it is a folder of one model.

    Raises:
        MergeError: What it says makes no sense, or cannot be read.
    """
    return read_folder(store.names, lambda name: (store.fetch([name]) / name).read_bytes(), store.where)


def open_remote_components(
    location: str, store: AnyStore, found: Folder, open_store: Callable[[str, AnyStore], FileCheckpoint]
) -> RemoteComponents:
    """Open a folder of components elsewhere.

    Args:
        location: What the user wrote.
        store: The folder.
        found: What it says of its components.
        open_store: Opens, by location and folder, one of them.

    Raises:
        MergeError: A component is missing or damaged.
    """
    names_in = _lister(store)
    chosen = with_weights(found, names_in, store.where)
    notes = besides(found, store.names, store.folders or (), names_in)

    def opened(folder: str) -> FileCheckpoint:
        return open_store(f"{location.rstrip('/')}/{folder}" if folder else location, _place(store, folder))

    parts = open_parts(chosen, opened)
    count_as_one([part.source for part in parts])
    return RemoteComponents(shown(location), parts, store, found, notes)


def files_of(store: Store, found: Folder, weights: Callable[[Store], Sequence[str]]) -> list[str]:
    """Return the names of all files of a folder of components: weights, and what stands beside them.

    Args:
        store: The folder.
        found: What it says of its components.
        weights: Returns the files of weights in the folder of one of them.
    """
    chosen: list[Declared] = with_weights(found, _lister(store), store.where)
    names = [name for name in store.names if is_companion(name)]
    for component in found.components:
        before = f"{component.folder}/" if component.folder else ""
        place = _place(store, component.folder)
        names += [before + name for name in place.names if before and is_in_component(name)]
        names += [before + name for name in weights(place)] if component in chosen else []
    return names


def _lister(store: Store) -> Callable[[str], Collection[str] | None]:
    def names_in(folder: str) -> Collection[str] | None:
        return _place(store, folder).names or (None if folder else ())

    return names_in


def _place(store: AnyStore, folder: str) -> AnyStore:
    return cast("AnyStore", store.within(folder)) if folder else store


def _is_of_whole(note: str, store: Store, parts: Sequence[Part]) -> bool:
    """Tell whether a note on a component says what is said of the whole folder as well."""
    return any(note == part.said(said) for part in parts for said in store.notes)
