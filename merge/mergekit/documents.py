"""Several documents in one file: merges that name each other, run in one go or written one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..checkpoints.resolve import local_path
from ..errors import UsageError, suggest
from ..overriding import override
from ..recipe import Merge, Model, Recipe
from ..section import Section
from .reading import Document, read_document
from .shelf import Shelf

FLAG = "--intermediate-dir DIR"
_WRITTEN_FIRST = f"give {FLAG}: every document with a name is then written there, and read from there"
_STREAMED = "documents in between are streamed, not written, and not rounded to their dtype"
_OPTIONAL_BASE = ("nuslerp", "multislerp")


class Documents(Shelf):
    """The documents of a file, and the models on disk.

    Attributes:
        read: Those that were read, each after all that it names.

    Args:
        sections: The documents.
        staged: Whether they will be written one after the other, so that each can be more than a part of the next.

    Raises:
        UsageError: Two have the same name, or none.
    """

    def __init__(self, sections: Sequence[Section], *, staged: bool) -> None:
        super().__init__()
        self._sections: dict[str, Section] = {}
        self._staged = staged
        self._reading: list[str] = []
        self.read: dict[str, Document] = {}
        self.named: set[str] = set()
        for section in sections:
            name, where = document_name(section)
            if name in self._sections:
                what = f"two documents are named '{name}'" if name else "two documents have no name"
                raise UsageError(what, where=where, hint="give each a `name:` of its own; only the last one needs none")
            self._sections[name] = section

    def document(self, name: str, where: str) -> Document:
        """Read a document and all that it names.

        Raises:
            UsageError: Whatever is wrong with one of them; among that, documents that name each other in a circle.
            MergeError: A model whose tensor names are needed cannot be opened.
        """
        if name in self._reading:
            circle = " ▸ ".join([*self._reading[self._reading.index(name) :], name])
            raise UsageError(f"documents name each other in a circle: {circle}", where=where)
        if name not in self.read:
            self._reading.append(name)
            document = read_document(self._sections[name], self)
            self._reading.pop()
            self.read[name] = document
        return self.read[name]

    def all(self) -> dict[str, Document]:
        """Read all documents; the empty name is that of the final one."""
        for name, section in self._sections.items():
            self.document(name, section.start)
        return self.read

    def find(self, location: str, where: str, *, in_file: bool = False) -> tuple[str, Merge | None]:
        """Return where a model is, or what another document of the file merges.

        Raises:
            UsageError: The document must be written first; or nothing has that name, but a document a similar one.
        """
        name, rest = split_name(location)
        if not name or name not in self._sections:
            near = suggest(location, self._sections)
            if near and "/" not in location and not local_path(location).exists():
                raise UsageError(f"neither a document nor a model is named '{location}'", where=where, hint=near)
            return location, None
        self.named.add(name)
        document = self.document(name, where)
        output = document.output
        if not self._staged and (rest or in_file or output.tokenizer or output.chat_template):
            what = f"the document '{name}' is needed with its files, not only its weights"
            raise UsageError(what, where=where, hint=_WRITTEN_FIRST)
        return name, _closed(document.merge)


def _closed(merge: Merge) -> Merge:
    """Keep a merge from taking the base of the merge around it for its own, which it does not have."""
    if merge.base is None and merge.method in _OPTIONAL_BASE:
        return Merge("join", (Model(merge, {}, merge.where),), where=merge.where)
    return merge


def split_name(location: str) -> tuple[str, str]:
    """Part ``name@revision+adapter`` behind the name."""
    match = re.fullmatch(r"([^@+]*)(.*)", location, re.DOTALL)
    return (match[1], match[2]) if match else (location, "")


def document_name(section: Section) -> tuple[str, str]:
    """Return the name of a document, empty where it has none, and where that stands.

    Raises:
        UsageError: It cannot be the name of a folder.
    """
    if section.mapping.get("name") is None:
        return "", section.start
    name, where = section.text("name", ""), section.where("name")
    if not re.fullmatch(r"[\w.\- ]+", name) or not name.strip(". "):
        what = f"'{name}' cannot be the name of a document"
        raise UsageError(what, where=where, hint="write letters, digits, and . _ - between them")
    return name, where


def override_documents(sections: Sequence[Section], settings: Iterable[str]) -> None:
    """Apply overrides to the final document, or to the one with whose name they begin.

    Raises:
        UsageError: There is no such place, or no final document.
    """
    names = {document_name(section)[0]: section for section in sections}
    for setting in settings:
        name, dot, rest = setting.partition(".")
        if dot and name in names:
            override(names[name], rest)
        elif "" in names:
            override(names[""], setting)
        else:
            hint = f"begin with the name of a document: {', '.join(names)}"
            raise UsageError(f"--set {setting}: which document is meant?", hint=hint)


def read_documents(sections: Sequence[Section], settings: Iterable[str]) -> Recipe:
    """Return the merge of the final document, with those that it names as parts of it.

    Args:
        sections: The documents.
        settings: Overrides; those of a document with a name begin with it.

    Raises:
        UsageError: Whatever is wrong with a document, with its place; all have names; one must be written first.
        MergeError: A model whose tensor names are needed cannot be opened.
    """
    override_documents(sections, settings)
    documents = Documents(sections, staged=False)
    try:
        found = documents.all()
    finally:
        documents.outlines.close()
    if "" not in found:
        what = "every document of the file has a name, so that none is what --out is for"
        raise UsageError(what, where=sections[0].start, hint=f"give {FLAG}, where each is written under its name")
    merged = [name for name in found if name in documents.named or not name]
    notes = dict.fromkeys(note for name in merged for note in found[name].notes)
    if documents.named:
        notes[f"unlike mergekit: {_STREAMED} (with {FLAG} they are written)"] = None
    for name in found:
        if name not in merged:
            notes[f"no document names '{name}': it is not merged"] = None
    return Recipe(found[""].merge, output=found[""].output, notes=tuple(notes))
