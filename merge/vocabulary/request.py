"""Which tokenizer the output gets, and where the rows of its tokens come from; as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

UNION, BASE = "union", "base"


@dataclass(frozen=True)
class TokenRule:
    """Where one token's row comes from.

    Attributes:
        kind: ``model``: from a model that has the token itself; ``token``: from another token of a model; ``zero``.
        model: Location of that model; empty for ``zero``.
        token: The other token, as text or by its number.
        force: Whether models that have the token take this row too.
        where: ``recipe.yaml:12:5``, for messages.
    """

    kind: Literal["model", "token", "zero"]
    model: str = ""
    token: str | int | None = None
    force: bool = False
    where: str | None = None


@dataclass(frozen=True)
class TokenizerRequest:
    """The tokenizer of the output.

    Attributes:
        source: ``union``, ``base``, or the location of the model whose tokenizer it is.
        tokens: Rules for single tokens.
        pad_to_multiple_of: What the number of rows is a multiple of.
        where: ``recipe.yaml:12:5``, for messages.
    """

    source: str
    tokens: Mapping[str, TokenRule] = field(default_factory=dict)
    pad_to_multiple_of: int | None = None
    where: str | None = None
