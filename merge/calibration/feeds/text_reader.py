"""Texts ▸ the tokens that a model of transformers reads, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import MergeError
from ...evaluation.language.network import embeddings, refuse_unknown_tokens
from ...evaluation.quiet import quiet_transformers
from ..subject import IGNORED, Batch
from .token_labels import Encoded, Tokens

if TYPE_CHECKING:
    from torch import Tensor

    from ...evaluation.language.filler import Filler
    from .token_tasks import Task

PROBE = 200  # characters of a text, enough to see which tokens stand around any text


class Row(NamedTuple):
    """A text; the second one of a pair; the text that has to be given for it; and its number in the data."""

    text: str
    pair: str | None
    target: str | None
    number: int


@dataclass
class TextReader:
    """How one model reads.

    Attributes:
        name: The model, for messages.
        network: Of transformers.
        tokenizer: The model's own.
        context: The most tokens of a text; None: nothing limits them.
        task: Says what is predicted of the tokens.
        segments: Whether the network takes ``token_type_ids``.
        filler: What fills up shorter texts for a classifier, which finds a text's end by it; None: any token will do.
        gives_texts: Whether the model has to give a target text for each text.
    """

    name: str
    network: Any
    tokenizer: Any
    context: int | None
    task: Task
    segments: bool
    filler: Filler | None
    gives_texts: bool = False

    def read(self, row: Row, seed: Sequence[int]) -> tuple[Encoded, bool]:
        """Encode one text, and tell whether it was cut to the context.

        Raises:
            MergeError: It has no token, or one that the network has no embedding for.
        """
        with quiet_transformers():  # which warns of texts that are longer than the model takes
            tokens = self.tokenizer(row.text, row.pair)
            is_cut = self.context is not None and len(tokens["input_ids"]) > self.context
            if is_cut:
                tokens = self.tokenizer(row.text, row.pair, truncation=True, max_length=self.context)
        return self._encoded(dict(tokens), row, seed), is_cut

    def pieces(self, document: str) -> list[Tokens]:
        """Return a running text as pieces of the context's length, each with the special tokens of a text.

        Raises:
            MergeError: No token fits into the context beside special ones.
        """
        with quiet_transformers():
            tokens: list[int] = self.tokenizer(document, add_special_tokens=False)["input_ids"]
        before, after = self._around(document[:PROBE])
        room = len(tokens) if self.context is None else self.context - len(before) - len(after)
        if room < 1 and tokens:
            raise MergeError(f"no token fits into a context of {self.context} beside special ones", where=self.name)
        parts = [tokens[first : first + room] for first in range(0, len(tokens), max(room, 1))]
        return [{"input_ids": [*before, *part, *after]} for part in parts]

    def read_piece(self, tokens: Tokens, number: int, seed: Sequence[int]) -> Encoded:
        """Encode a piece of a running text. Raises MergeError, as above."""
        return self._encoded(tokens, Row("", None, None, number), seed)

    def rows(self, size: int) -> int:
        """Return how many texts go into a batch: one where nothing can fill up the shorter ones."""
        return 1 if self.filler is not None and self.filler.token is None else size

    def begin(self, texts: Sequence[Encoded]) -> None:
        """Choose what fills up these texts."""
        if self.filler is not None:
            self.filler.choose([text.inputs["input_ids"] for text in texts])

    def batch(self, texts: Sequence[Encoded], classes: Tensor | None) -> Batch:
        """Fill up texts at the right, where causal models do not look and others do not attend.

        Args:
            texts: Encoded ones.
            classes: Class numbers [items], or None.
        """
        inputs = {name: _padded([text.inputs[name] for text in texts], self._fill(name)) for name in texts[0].inputs}
        labels = [text.labels for text in texts if text.labels is not None]
        masks = {"input_ids": "attention_mask", "decoder_input_ids": "decoder_attention_mask"}
        counted = {name: inputs[mask].bool() for name, mask in masks.items() if name in inputs}
        return Batch(inputs, _padded(labels, IGNORED) if labels else classes, counted)

    def _encoded(self, tokens: Tokens, row: Row, seed: Sequence[int]) -> Encoded:
        numbers = tokens["input_ids"]
        if not numbers:
            raise MergeError(f"row {row.number} has no token for this model: {row.text!r}", where=self.name)
        refuse_unknown_tokens(numbers, embeddings(self.network), self.name)
        kept = dict(self._arguments(tokens)) | {"attention_mask": tokens.get("attention_mask", [1] * len(numbers))}
        return self.task(kept, row, seed)

    def _arguments(self, tokens: Tokens) -> Iterator[tuple[str, Sequence[int]]]:
        for name, values in tokens.items():
            if name == "input_ids" or (name == "token_type_ids" and self.segments):
                yield name, values

    def _around(self, text: str) -> tuple[list[int], list[int]]:
        """Return the tokens that the tokenizer puts before and after a text."""
        whole: list[int] = self.tokenizer(text)["input_ids"]
        inner: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        for first in range(len(whole) - len(inner) + 1):
            if whole[first : first + len(inner)] == inner:
                return whole[:first], whole[first + len(inner) :]
        return [], []

    def _fill(self, name: str) -> int:
        if not name.endswith("input_ids"):
            return 0
        token = self.filler.token if self.filler else self.network.config.get_text_config().pad_token_id
        return token if token is not None and 0 <= token < embeddings(self.network) else 0


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence([torch.tensor(list(row)) for row in rows], batch_first=True, padding_value=fill)
