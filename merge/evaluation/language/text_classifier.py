"""A checkpoint as a function from texts to logits: a sequence classifier, or a backbone under a fixed head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..inference import inference
from ..precision import lower_precision
from ..scored_outputs import ScoredOutputs, scored
from .filler import Filler
from .network import embeddings, refuse_unknown_tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..heads import FixedHead
    from ..task import Settings
    from .labelled_texts import LabelledTexts

OWN_HEAD = "own"


@dataclass(frozen=True)
class TextClassifier:
    """A loaded model. ``head`` is None for a model with classes of its own."""

    name: str
    network: Any
    tokenizer: Any
    head: FixedHead | None
    settings: Settings
    longest: int | None
    filler: Filler
    rebuild: Callable[[Mapping[str, Tensor]], Any]
    outputs: ScoredOutputs | None = None

    @property
    def head_label(self) -> str:
        """Which head classifies: the model's ``own``, or the fixed one as the benchmark writes it."""
        return self.head.label if self.head else OWN_HEAD

    @property
    def rows(self) -> int:
        """Texts at a time: one alone where nothing can fill up the shorter ones."""
        return 1 if self.filler.token is None else self.settings.batch_size

    def notes(self, cut: int) -> list[str]:
        """Return what a reader should know where so many texts were cut."""
        return [f"{cut} texts were cut to the {self.longest} tokens that the model takes"] if cut else []

    def run(self, data: LabelledTexts) -> tuple[NDArray[np.float32], int]:
        """Return the logits [n, classes] of all texts, and how many texts were cut to the model's length.

        Raises:
            MergeError: The model does not run, its logits are not finite, or the head does not fit.
        """
        import torch

        encoded, cut = self.encode(data)
        # Texts of like length go together; the order has no say in the outcome.
        order = sorted(range(len(encoded)), key=lambda item: -len(encoded[item]["input_ids"]))
        parts: list[Tensor] = []
        with inference(self.settings.seed):
            for first in range(0, len(order), self.rows):
                batch = [encoded[item] for item in order[first : first + self.rows]]
                parts.append(self.logits(batch))
                self.settings.advance(len(batch))
        logits: NDArray[np.float32] = torch.cat(parts)[torch.tensor(order).argsort()].numpy()
        return logits, cut

    def encode(self, data: LabelledTexts) -> tuple[list[dict[str, list[int]]], int]:
        """Return the tokens of every text, and how many texts were cut to the model's length.

        Raises:
            MergeError: A text has no token, or one that the model does not know.
        """
        pairs = [None] * len(data.texts) if data.pairs is None else data.pairs
        whole = [self.tokenizer(text, pair) for text, pair in zip(data.texts, pairs, strict=True)]
        cut = [item for item, each in enumerate(whole) if self.longest and len(each["input_ids"]) > self.longest]
        for item in cut:
            whole[item] = self.tokenizer(data.texts[item], pairs[item], truncation=True, max_length=self.longest)
        for item, each in enumerate(whole):
            if not each["input_ids"]:
                raise MergeError(f"row {item} has no token for this model: {data.texts[item]!r}", where=self.name)
            refuse_unknown_tokens(each["input_ids"], embeddings(self.network), self.name)
        self.filler.choose([each["input_ids"] for each in whole])
        return [dict(each) for each in whole], len(cut)

    def logits(self, batch: Sequence[Mapping[str, list[int]]], chosen: Sequence[int] | None = None) -> Tensor:
        """Return the logits [n, classes] of encoded texts, float32, on the CPU and with their gradients.

        Args:
            batch: The texts; shorter ones are filled up to the longest.
            chosen: Only these of them are run, as long as the longest of all.

        Raises:
            MergeError: The model does not run, its logits are not finite, or the head does not fit.
        """
        padded = self._pad(batch)
        rows = slice(None) if chosen is None else list(chosen)
        inputs = {name: values[rows].to(self.settings.device) for name, values in padded.items()}
        try:
            with lower_precision(self.settings.device, self.settings.precision):
                outputs = self.network(**inputs)
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            first_line = str(error).strip().partition("\n")[0]
            what = f"{type(self.network).__name__} does not run on these texts: {first_line}"
            raise MergeError(what, where=self.name) from error
        found = self.logits_of(outputs, inputs["attention_mask"]).float().cpu()
        if not found.isfinite().all():
            raise MergeError("the model gives logits that are not finite (nan or inf)", where=self.name)
        return found

    def logits_of(self, outputs: Any, attention: Tensor) -> Tensor:
        """Return the logits [n, classes] that the network's own head gave, or that the fixed one gives.

        Args:
            outputs: Of the network.
            attention: Mask of the tokens [n, tokens].

        Raises:
            MergeError: The head does not fit.
        """
        if self.head:
            found: Tensor = self.head(self._features(outputs, attention))
            return found
        return scored(self.outputs, outputs.logits, self.name)

    def _pad(self, batch: Sequence[Mapping[str, list[int]]]) -> dict[str, Tensor]:
        """Fill up at the right, where causal models do not look and others do not attend."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        fill = {"input_ids": self.filler.token or 0}
        return {
            name: pad_sequence([torch.tensor(each[name]) for each in batch], True, fill.get(name, 0))
            for name in batch[0]
        }

    def _features(self, outputs: Any, attention: Tensor) -> Tensor:
        """Return what a fixed head sees: the last token of a causal model, else the pooled output or first token."""
        import torch

        hidden: Tensor = outputs.last_hidden_state
        if is_causal(self.network.config):
            last = attention.sum(dim=1) - 1
            return hidden[torch.arange(len(hidden), device=hidden.device), last].float()
        pooled: Tensor | None = getattr(outputs, "pooler_output", None)
        return (hidden[:, 0] if pooled is None else pooled).float()


def is_causal(config: Any) -> bool:
    """Tell whether a token sees only those to its left, so that the last one knows the whole text."""
    from transformers.models.auto import modeling_auto as tables

    fills_in = config.model_type in tables.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return config.model_type in tables.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not fills_in
