"""What binding asks of others: methods by name, and files opened."""

from __future__ import annotations

from typing import Protocol

from ..errors import UsageError
from ..method import Method
from ..recipe import Alignment, Model
from ..registry import find_method


class Opens(Protocol):
    """What opens the files that a recipe names."""

    def open(self, model: Model) -> int:
        """Open a leaf model and return its position among the sources."""

    def open_statistics(self, model: Model, kind: str) -> int:
        """Open a model's statistics and return their position among the sources."""

    def open_aligned(self, model: Model, alignment: Alignment) -> int:
        """Open a model whose units take another order, and return its position among the sources."""


def named_method(name: str, where: str | None) -> Method:
    """Return the method of a recipe. Raises UsageError with the place where its name stands."""
    try:
        return find_method(name)
    except UsageError as error:
        raise UsageError(error.what, where=where, hint=error.hint) from None
