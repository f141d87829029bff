"""The models that a recipe can name, and what is to be said of them."""

from __future__ import annotations

from typing import Any

from ..recipe import Merge
from ..section import Section
from .outline import Outlines
from .references import overrides_architecture, read_reference
from .request import Member
from .settings import Settings

_OVERRIDDEN = "'override_architecture' changes nothing: tensors are matched by their names"


class Shelf:
    """Models on disk; documents of one file add each other.

    Attributes:
        outlines: The tensors that they have.
        unlike: Where what was read is not what mergekit makes of it.
        alike: What may come as a surprise, though mergekit does it too.
    """

    def __init__(self) -> None:
        self.outlines = Outlines()
        self.unlike: dict[str, None] = {}
        self.alike: dict[str, None] = {}

    def member(self, section: Section, key: str, settings: Settings | None = None) -> Member:
        """Read the model under a key.

        Raises:
            UsageError: It is no model.
        """
        value, where = section.mapping[key], section.where(key)
        if overrides_architecture(value):
            self.unlike[_OVERRIDDEN] = None
        location, nested = self.find(read_reference(value, where, section.name), where)
        return Member(location, where, settings or {}, nested)

    def location(self, value: Any, where: str, name: str) -> str:
        """Read a model that is no part of the merge, but has a tokenizer.

        Raises:
            UsageError: It is no model.
        """
        return self.find(read_reference(value, where, name), where, in_file=True)[0]

    def find(self, location: str, where: str, *, in_file: bool = False) -> tuple[str, Merge | None]:
        """Return where a model is, or what it merges.

        Args:
            location: What the recipe calls it.
            where: ``recipe.yaml:line:column``.
            in_file: Whether it must be a file or folder.
        """
        return location, None
