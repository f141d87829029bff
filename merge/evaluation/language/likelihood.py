"""How many bits a language model needs for every token of a window."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ...errors import MergeError
from .network import LanguageModel
from .windows import Window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Done = Callable[[], None]


def causal_bits(
    model: LanguageModel, windows: Sequence[Window], batch_size: int, done: Done
) -> list[NDArray[np.float64]]:
    """Return minus log2 of the probability of every scored token given those to its left, window by window.

    Args:
        model: A causal language model.
        windows: Their first scored token is not their first token.
        batch_size: The most windows at a time.
        done: Called after every window.

    Raises:
        MergeError: The model does not run, or gives probabilities that are not finite.
    """
    bits: dict[int, NDArray[np.float64]] = {}
    # Longest first: little padding, and a batch that does not fit into memory fails at once.
    order = sorted(range(len(windows)), key=lambda number: -len(windows[number].tokens))
    while order:
        rows = model.rows(len(windows[order[0]].tokens), batch_size)
        batch, order = order[:rows], order[rows:]
        tokens, attention = _pad([windows[number].tokens for number in batch])
        logits = model.logits(tokens, attention)
        for row, number in enumerate(batch):
            window = windows[number]
            targets = tokens[row, window.first : window.last]
            bits[number] = _bits(logits[row, window.first - 1 : window.last - 1], targets, model.name)
            done()
    return [bits[number] for number in range(len(windows))]


def masked_bits(
    model: LanguageModel, windows: Sequence[Window], batch_size: int, done: Done
) -> list[NDArray[np.float64]]:
    """Return minus log2 of the probability of every scored token given all the others, window by window.

    One forward pass for every token, which is masked alone: pseudo-log-likelihood, Salazar et al. 2020, "Masked
    Language Model Scoring", equation 2.

    Raises:
        MergeError: As for causal models.
    """
    import numpy as np

    bits = []
    for window in windows:
        bits.append(np.concatenate(list(_masked_window(model, window, batch_size))))
        done()
    return bits


def special_tokens(model: LanguageModel) -> tuple[list[int], list[int]]:
    """Return the tokens that a masked model expects before and after a text, each none or one."""
    tokenizer = model.tokenizer
    before, after = (token for token in (tokenizer.cls_token_id, tokenizer.sep_token_id))
    return [] if before is None else [before], [] if after is None else [after]


def _masked_window(model: LanguageModel, window: Window, batch_size: int) -> Iterator[NDArray[np.float64]]:
    import torch

    before, after = special_tokens(model)
    whole = torch.tensor([*before, *window.tokens, *after])
    rows = model.rows(len(whole), batch_size)
    for first in range(window.first, window.last, rows):
        places = torch.arange(first, min(first + rows, window.last)) + len(before)
        row = torch.arange(len(places))
        tokens = whole.repeat(len(places), 1)
        tokens[row, places] = model.tokenizer.mask_token_id
        logits = model.logits(tokens, torch.ones_like(tokens))
        yield _bits(logits[row, places], whole[places], model.name)


def _bits(logits: Tensor, targets: Tensor, name: str) -> NDArray[np.float64]:
    """Return the bits [n] of tokens [n] under logits [n, vocabulary]."""
    from torch.nn.functional import cross_entropy

    nats = cross_entropy(logits.float(), targets.to(logits.device), reduction="none").double().cpu()
    if not nats.isfinite().all():
        raise MergeError("the model gives probabilities that are not finite (nan or inf)", where=name)
    found: NDArray[np.float64] = nats.numpy() / math.log(2)
    return found


def _pad(texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return tokens and attention [n, longest]; what fills up at the right is seen by no token that counts."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    rows = [torch.tensor(list(text)) for text in texts]
    attention = [torch.ones_like(row) for row in rows]
    return pad_sequence(rows, batch_first=True), pad_sequence(attention, batch_first=True)
