"""A recipe of mergekit ▸ `Recipe`. Every complaint names ``recipe.yaml:line:column``."""

from __future__ import annotations

from dataclasses import dataclass

from ..checkpoints.resolve import local_path
from ..errors import UsageError, suggest
from ..recipe import Merge, Output, Recipe
from ..section import Section
from ..vocabulary.reading import read_chat_template, read_tokenizer
from ..vocabulary.request import BASE, UNION, TokenizerRequest
from .differences import differences
from .frame import Frame
from .methods import find_known
from .modules import check_contents, read_body, read_modules
from .settings import read_settings
from .shelf import Shelf
from .types import read_type

CONTENTS = ("models", "slices", "modules")
TOKENIZERS = ("tokenizer_source", "tokenizer")
OUTPUTS = ("dtype", "out_dtype", *TOKENIZERS, "chat_template", "name")
KEYS = ("merge_method", *CONTENTS, "base_model", "parameters", *OUTPUTS)


@dataclass(frozen=True)
class Document:
    """One document of a file.

    Attributes:
        notes: What is to be said of it.
    """

    merge: Merge
    output: Output
    notes: tuple[str, ...]


def read_mergekit(section: Section) -> Recipe:
    """Read a recipe of mergekit; relative paths in it count from the current folder.

    Raises:
        UsageError: Whatever is wrong with it, with its place.
        MergeError: A model whose tensor names are needed cannot be opened.
    """
    shelf = Shelf()
    try:
        document = read_document(section, shelf)
    finally:
        shelf.outlines.close()
    name = section.text("name", "") if section.mapping.get("name") is not None else None
    return Recipe(document.merge, output=document.output, notes=document.notes, name=name)


def read_document(section: Section, shelf: Shelf) -> Document:
    """Read one document.

    Raises:
        UsageError: Whatever is wrong with it, with its place.
        MergeError: A model whose tensor names are needed cannot be opened.
    """
    section.check_keys(KEYS, ("merge_method",))
    content, where = check_contents(section, CONTENTS), section.where("merge_method")
    known = find_known(section.text("merge_method", ""), where)
    output = _output(section, shelf)
    base = shelf.member(section, "base_model") if section.mapping.get("base_model") is not None else None
    frame = Frame(known, base, (read_settings(section, known),), where, shelf)
    body = read_modules(section, frame) if content == "modules" else read_body(section, frame)
    notes = tuple(differences(body.requests, shelf, output, stacks=content == "slices"))
    return Document(body.merge, output, notes)


def _output(section: Section, shelf: Shelf) -> Output:
    given = section.mapping.get("chat_template") is not None
    template = read_chat_template(section, "chat_template") if given else None
    return Output(dtype=read_type(section), tokenizer=_tokenizer(section, shelf), chat_template=template)


def _tokenizer(section: Section, shelf: Shelf) -> TokenizerRequest | None:
    """Return which tokenizer the output gets, if the recipe says so.

    Raises:
        UsageError: It says so twice, or means a base that it does not have.
    """
    given = [key for key in TOKENIZERS if section.mapping.get(key) is not None]
    if not given:
        return None
    check_contents(section, TOKENIZERS)

    def location(value: object, where: str, name: str) -> str:
        if value in (UNION, BASE):
            return str(value)
        found = shelf.location(value, where, name)
        near = suggest(found, (UNION, BASE))
        if near and not local_path(found).exists():
            raise UsageError(f"no model is named '{found}'", where=where, hint=near)
        return found

    request = read_tokenizer(section, given[0], location)
    if request.source == BASE and section.mapping.get("base_model") is None:
        what = "the tokenizer is to be the base's, and there is no base"
        raise UsageError(what, where=section.where(given[0]), hint="add `base_model: PATH`")
    return request
