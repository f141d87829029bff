"""Prompts that are longer than a text tower takes: what lies behind the cut says nothing any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from .prompts import Prompts
    from .text_tower import TextTower


def cut_prompts(tower: TextTower, prompts: Prompts, names: tuple[str, ...]) -> list[str]:
    """Return a note on how many prompts are cut, or none.

    Raises:
        UsageError: After the cut all classes have the same prompts.
    """
    texts = prompts.texts(names)
    tokens, length = _tokens(tower, texts, None)
    wider, _ = _tokens(tower, texts, length + 1)
    # With room for one more token, a text that was cut goes on where the cut one has its end.
    count = int((wider[:, :length] != tokens).any(dim=1).sum())
    if not count:
        return []
    of_classes = tokens.reshape(len(names), -1)
    if (of_classes == of_classes[0]).all():
        what = f"all classes have the same prompts after the cut to the {length} tokens that the text tower takes"
        raise UsageError(what, where=prompts.where, hint="give shorter templates or class names")
    return [f"{count} of {len(texts)} prompts were cut to the {length} tokens that the text tower takes"]


def _tokens(tower: TextTower, texts: list[str], length: int | None) -> tuple[Tensor, int]:
    """Return the tokens [n, length] of texts, and the length."""
    inputs = tower.tokenize(texts, length)
    tokens = inputs["text"] if "text" in inputs else inputs["input_ids"]
    return tokens, tokens.shape[1]
