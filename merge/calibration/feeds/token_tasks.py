"""What each kind of model predicts of a text's tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError
from ...evaluation.language.network import refuse_unknown_tokens
from .token_labels import Encoded, Tokens, masked_tokens, next_tokens, shift_of, written_tokens

if TYPE_CHECKING:
    from .text_kinds import Kind
    from .text_reader import Row

    Task = Callable[[Tokens, Row, Sequence[int]], Encoded]


def task_of(kind: Kind, network: Any, tokenizer: Any, context: int | None, name: str) -> Task:
    """Return what turns a text's tokens into inputs and labels.

    Args:
        kind: Of the model.
        network: Of transformers.
        tokenizer: The model's own.
        context: The most tokens of a target text.
        name: The model, for messages.

    Raises:
        MergeError: The tokenizer of a masked language model has no mask, or nothing says how targets begin.
    """
    if kind == "masked":
        return _masked(tokenizer, name)
    if kind == "seq2seq":
        return _written(network, tokenizer, context, name)
    if kind == "causal":
        return lambda tokens, row, seed: next_tokens(tokens)
    return lambda tokens, row, seed: Encoded(tokens)


def _masked(tokenizer: Any, name: str) -> Task:
    import numpy as np

    mask = tokenizer.mask_token_id
    if mask is None:
        raise MergeError("the tokenizer of this masked language model has no mask token", where=name)
    special = frozenset(tokenizer.all_special_ids)

    def task(tokens: Tokens, row: Row, seed: Sequence[int]) -> Encoded:
        generator = np.random.Generator(np.random.Philox([*seed, row.number]))
        return masked_tokens(tokens, mask, special, generator)

    return task


def _written(network: Any, tokenizer: Any, context: int | None, name: str) -> Task:
    shifted = shift_of(network, name)
    cut = {} if context is None else {"truncation": True, "max_length": context}

    def task(tokens: Tokens, row: Row, seed: Sequence[int]) -> Encoded:
        if row.target is None:
            hint = "give a table with a column 'target', or a YAML file with data: {path: …, text: …, target: COLUMN}"
            raise UsageError("the model gives a text for a text, but the data has no targets", where=name, hint=hint)
        target: list[int] = tokenizer(text_target=row.target, **cut)["input_ids"]
        if not target:
            raise MergeError(f"row {row.number} has an empty target", where=name)
        refuse_unknown_tokens(target, network.get_input_embeddings().weight.shape[0], name)
        return written_tokens(tokens, target, shifted)

    return task
