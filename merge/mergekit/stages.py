"""Several documents in one file, each written before the next that names it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import UsageError
from ..recipe import Merge, Recipe
from ..section import Section, read_sections
from .documents import Documents, document_name, override_documents, split_name
from .reading import read_document
from .shelf import Shelf


def read_stages(
    path: Path, settings: Iterable[str], folder: Path, *, has_out: bool, check: Callable[[Path], None]
) -> Iterator[Recipe]:
    """Yield the merges of all documents of a file, each with the place of its output; the final one's is left open.

    Each is read when the one before has been written; but before the first, all are checked.

    Args:
        path: The YAML file.
        settings: Overrides; those of a document with a name begin with it.
        folder: Where documents with a name are written, each in a folder of that name.
        has_out: Whether there is a place for the one without a name.
        check: Refuses a place that cannot be written to; asked about all before the first is read.

    Raises:
        UsageError: Whatever is wrong with a document, with its place.
        MergeError: A model whose tensor names are needed cannot be opened.
    """
    sections = read_sections(path, str(path))
    if not all("merge_method" in section.mapping for section in sections):
        what = "the recipe is not one of mergekit's, whose documents name each other and are written in turn"
        raise UsageError(what, where=str(path), hint="leave --intermediate-dir out")
    override_documents(sections, settings)
    by_name = {document_name(section)[0]: section for section in sections}
    _check_out(by_name, sections[0], has_out=has_out)
    documents = Documents(sections, staged=True)
    try:
        order = sorted(documents.all(), key=lambda name: name == "")
    finally:
        documents.outlines.close()
    for name in filter(None, order):
        check(_place(folder, name))
    for name in order:
        yield _stage(by_name[name], name, by_name, folder)


def _check_out(by_name: Mapping[str, Section], first: Section, *, has_out: bool) -> None:
    """Refuse an output for which there is no document, and a document for which there is no output.

    Raises:
        UsageError: Saying what to do.
    """
    if has_out and "" not in by_name:
        what = "every document has a name, so that none is what --out is for"
        raise UsageError(what, where=first.start, hint="leave --out out")
    if not has_out and "" in by_name:
        raise UsageError("a document has no name", where=by_name[""].start, hint="give --out for it")


def _stage(section: Section, name: str, names: Mapping[str, Section], folder: Path) -> Recipe:
    shelf = Written(names, folder)
    try:
        document = read_document(section, shelf)
    finally:
        shelf.outlines.close()
    path = _place(folder, name) if name else None
    return Recipe(document.merge, output=replace(document.output, path=path), notes=document.notes, name=name or None)


def _place(folder: Path, name: str) -> Path:
    return (folder / name).absolute()


class Written(Shelf):
    """Models on disk, those among them that earlier documents wrote."""

    def __init__(self, names: Mapping[str, Section], folder: Path) -> None:
        super().__init__()
        self._names, self._folder = names, folder

    def find(self, location: str, where: str, *, in_file: bool = False) -> tuple[str, Merge | None]:
        """Return where a model is."""
        name, rest = split_name(location)
        return (f"{self._folder / name}{rest}" if name and name in self._names else location), None
