"""A checkpoint as a transformers model of text, and what kind of model it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..architecture import load
from ..configuration import configuration
from ..precision import lower_precision
from .language_architecture import Kind, language_architecture
from .tokenizer import load_tokenizer, stated_length

if TYPE_CHECKING:
    from torch import Tensor

    from ..candidate import Candidate
    from ..task import Precision, Settings

# Heads of BERT's first training that masked language models of transformers do not have.
UNUSED = re.compile(r"(^|\.)(pooler|seq_relationship)\.")
# A batch's logits stay under this, however large the batch that is asked for: vocabularies have 10^5 entries.
LOGITS_BYTES = 2**30


@dataclass(frozen=True)
class LanguageModel:
    """A network with its tokenizer.

    Attributes:
        kind: What it predicts: a target text, the next token, or masked tokens.
        name: As the user gave it.
    """

    network: Any
    tokenizer: Any
    kind: Kind
    name: str
    device: str
    precision: Precision

    @property
    def vocabulary(self) -> int:
        """How many tokens the network has embeddings for."""
        return embeddings(self.network)

    def context(self) -> int | None:
        """Return how many tokens the network takes at once, or None where nothing limits them."""
        return longest_text(self.network, self.tokenizer)

    def rows(self, length: int, most: int) -> int:
        """Return how many texts of a length in tokens go into one batch."""
        return max(1, min(most, LOGITS_BYTES // (4 * length * self.vocabulary)))

    def logits(self, tokens: Tensor, attention: Tensor) -> Tensor:
        """Return logits [n, length, vocabulary] of tokens [n, length], on the device.

        Raises:
            MergeError: The network does not run on them.
        """
        try:
            with lower_precision(self.device, self.precision):
                found: Tensor = self.network(
                    input_ids=tokens.to(self.device), attention_mask=attention.to(self.device)
                ).logits
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            first_line = str(error).strip().partition("\n")[0]
            what = f"{type(self.network).__name__} does not run on tokens {list(tokens.shape)}: {first_line}"
            raise MergeError(what, where=self.name) from error
        return found


def load_language_model(candidate: Candidate, fallback: Path | None, settings: Settings) -> LanguageModel:
    """Build a language model with its weights and tokenizer, in evaluation mode on the device.

    Args:
        candidate: The model.
        fallback: Folder with configuration and tokenizer of checkpoints that have none of their own.
        settings: Device, precision, and the architecture by ``--model``.

    Raises:
        MergeError: It is no language model, or the checkpoint does not fit its architecture.
        UsageError: Nothing says what architecture or tokenizer it has.
    """
    config = configuration(candidate, settings.model, fallback)
    architecture, kind = language_architecture(config, candidate.name)
    tokenizer = load_tokenizer(candidate, settings.model, fallback)
    tensors = dict(candidate.tensors)
    if kind == "masked":
        tensors = {name: tensor for name, tensor in tensors.items() if not UNUSED.search(name)}
    network = build_as(architecture, config, tensors, candidate.name).to(settings.device)
    network.config.use_cache = False  # every token is seen once: keys and values of earlier ones are not kept
    return LanguageModel(network, tokenizer, kind, candidate.name, settings.device, settings.precision)


def build_as(architecture: str, config: Any, tensors: Mapping[str, Tensor], where: str, **options: Any) -> Any:
    """Return a model of a class of transformers that may be another one than its configuration names.

    Args:
        architecture: The class.
        config: Its configuration.
        tensors: Of the checkpoint.
        where: The model, for messages.
        options: Further arguments of the class.

    Raises:
        MergeError: A parameter is missing, left over, or of another shape.
    """
    import transformers

    return load(getattr(transformers, architecture), config, tensors, where=where, **options)


def embeddings(network: Any) -> int:
    """Return how many tokens a network has embeddings for."""
    return int(network.get_input_embeddings().weight.shape[0])


def longest_text(network: Any, tokenizer: Any) -> int | None:
    """Return how many tokens a network takes at once, or None where nothing limits them."""
    config = network.config.get_text_config()
    names = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length")
    stated = [int(getattr(config, name)) for name in names if getattr(config, name, None)]
    length = stated_length(tokenizer)
    return min([*stated[:1], *_position_rows(network), *([length] if length else [])], default=None)


def refuse_unknown_tokens(tokens: Sequence[int], known: int, where: str) -> None:
    """Raise MergeError when a tokenizer gives tokens that a network has no embeddings for."""
    highest = max(tokens, default=0)
    if highest >= known:
        what = f"the tokenizer gives token {highest}, the model has embeddings for {known} tokens"
        raise MergeError(what, where=where, hint="is it another model's tokenizer?")


def _position_rows(network: Any) -> list[int]:
    """Return the rows of learned position embeddings that serve tokens: RoBERTa keeps the first ones for padding."""
    tables = [module for name, module in network.named_modules() if name.endswith("position_embeddings")]
    weights = [(table, getattr(table, "weight", None)) for table in tables]
    return [
        len(weight) - (0 if getattr(table, "padding_idx", None) is None else table.padding_idx + 1)
        for table, weight in weights
        if weight is not None and weight.ndim == 2
    ]
