"""A language model in memory as lm-evaluation-harness runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import MergeError
from .network import LanguageModel
from .portions import Portions

# What bounds the key-value cache of generated texts; the harness's own limit for automatic sizes.
MOST_GENERATED = 64


def harness_model(model: LanguageModel, batch_size: int, folder: Path | None) -> Any:
    """Return an ``HFLM`` around a causal or sequence-to-sequence model.

    Args:
        model: The network and its tokenizer.
        batch_size: The most texts at a time; fewer where their logits would take too much memory.
        folder: Where a ``generation_config.json`` may lie.

    Raises:
        MergeError: It is a masked language model, or its tokenizer has no token to begin a text with.
    """
    if model.kind == "masked":
        what = f"{type(model.network).__name__} fills in masks; lm-evaluation-harness runs models that write text"
        raise MergeError(what, where=model.name)
    if model.tokenizer.bos_token_id is None and model.tokenizer.eos_token_id is None:
        raise MergeError("the tokenizer has neither a first nor a last token", where=model.name)
    _set_generation(model.network, folder)
    lower = "bfloat16" if model.precision == "bfloat16" else None
    return _class()(
        model,
        most=batch_size,
        pretrained=model.network,
        tokenizer=model.tokenizer,
        backend=model.kind,
        mixed_precision_dtype=lower,
        batch_size=model.rows(model.context() or 1024, min(batch_size, MOST_GENERATED)),
    )


class Progress:
    """Counts answers where the harness would write them to its cache."""

    def __init__(self, portions: Portions) -> None:
        self.portions = portions

    def add_partial(self, *answer: object) -> None:
        """Count one answer."""
        if self.portions.done < self.portions.pieces:
            self.portions()

    def finish(self) -> None:
        """Count whatever is left: some tasks ask less than others."""
        while self.portions.done < self.portions.pieces:
            self.portions()


def _set_generation(network: Any, folder: Path | None) -> None:
    """Take the tokens that end a text from beside the weights, as loading from the folder would."""
    if folder is not None and (folder / "generation_config.json").is_file():
        from transformers import GenerationConfig

        network.generation_config = GenerationConfig.from_pretrained(folder)


def _class() -> Any:
    from lm_eval.models.huggingface import HFLM

    class InMemory(HFLM):  # type: ignore[misc, no-any-unimported, unused-ignore]
        """Chooses its batch size by the longest text that it is asked about."""

        def __init__(self, model: LanguageModel, most: int, **options: Any) -> None:
            super().__init__(**options)
            self._ours, self._most = model, most

        def _loglikelihood_tokens(self, requests: Any, *arguments: Any, **options: Any) -> Any:
            longest = max((len(request[1]) + len(request[2]) for request in requests), default=1)
            self.batch_size_per_gpu = self._ours.rows(min(longest, self.max_length), self._most)
            return super()._loglikelihood_tokens(requests, *arguments, **options)

    return InMemory
