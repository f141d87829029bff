"""Tokens of a text ▸ what a model has to predict of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..subject import IGNORED

if TYPE_CHECKING:
    from numpy.random import Generator

SHARE_MASKED = 0.15  # Devlin et al. 2019, BERT, section 3.1

Tokens = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Encoded:
    """One text.

    Attributes:
        inputs: Numbers for each token, by the name of the network's argument.
        labels: What each position has to predict; None where a model predicts no tokens.
    """

    inputs: Tokens
    labels: Sequence[int] | None = None


def next_tokens(tokens: Tokens) -> Encoded:
    """Let each token predict the one after it."""
    return Encoded(tokens, [*tokens["input_ids"][1:], IGNORED])


def masked_tokens(tokens: Tokens, mask: int, special: Collection[int], generator: Generator) -> Encoded:
    """Replace 15 % of the tokens, at least one, by the mask, and let their positions predict them.

    All of them are replaced by the mask: calibration has no use for the few that training leaves or exchanges.

    Args:
        tokens: Of one text.
        mask: The mask's token.
        special: Tokens that are never masked.
        generator: Draws which ones.
    """
    numbers = list(tokens["input_ids"])
    places = [place for place, token in enumerate(numbers) if token not in special]
    labels = [IGNORED] * len(numbers)
    count = min(len(places), max(1, round(SHARE_MASKED * len(places))))
    for place in generator.choice(places, count, replace=False) if places else ():
        labels[place], numbers[place] = numbers[place], mask
    return Encoded({**tokens, "input_ids": numbers}, labels)


def written_tokens(tokens: Tokens, target: Sequence[int], shifted: Callable[[Sequence[int]], list[int]]) -> Encoded:
    """Let a decoder give a target text, each of its tokens after all those before.

    Args:
        tokens: Of the text that is read.
        target: Tokens of the target.
        shifted: Moves tokens one to the right, behind the decoder's first token.
    """
    decoder = {"decoder_input_ids": shifted(target), "decoder_attention_mask": [1] * len(target)}
    return Encoded({**tokens, **decoder}, list(target))


def shift_of(module: Any, where: str) -> Callable[[Sequence[int]], list[int]]:
    """Return how a model of transformers moves targets to the right.

    Raises:
        MergeError: Nothing says which token a target begins with.
    """
    import torch

    own = getattr(module, "prepare_decoder_input_ids_from_labels", None)
    start = getattr(module.config, "decoder_start_token_id", None)
    if start is None:
        raise MergeError("the configuration has no 'decoder_start_token_id'", where=where)

    def shifted(target: Sequence[int]) -> list[int]:
        if own is None:
            return [start, *target[:-1]]
        moved: list[int] = own(torch.tensor([list(target)]))[0].tolist()
        return moved

    return shifted
