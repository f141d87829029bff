"""A language model in memory as lm-evaluation-harness runs it."""

from __future__ import annotations

from collections.abc import Sequence
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
        """Chooses its batch size by the longest text that it is asked about, and remembers contexts that are cut."""

        def __init__(self, model: LanguageModel, most: int, **options: Any) -> None:
            super().__init__(**options)
            self._ours, self._most = model, most
            self._cut: set[tuple[int, ...]] = set()

        @property
        def notes(self) -> list[str]:
            """What a reader of the results should know: the harness itself only logs it, or not even that."""
            what = (
                f"too long for the {self.max_length} tokens that the model takes with the answer, and cut at the left"
            )
            return [f"{len(self._cut)} contexts were {what}"] if self._cut else []

        def _loglikelihood_tokens(self, requests: Any, *arguments: Any, **options: Any) -> Any:
            longest = max((len(request[1]) + len(request[2]) for request in requests), default=1)
            self.batch_size_per_gpu = self._ours.rows(min(longest, self.max_length), self._most)
            self._cut |= {tuple(request[1]) for request in requests if self._is_cut(request[1], request[2])}
            return super()._loglikelihood_tokens(requests, *arguments, **options)

        def _is_cut(self, context: Sequence[int], answer: Sequence[int]) -> bool:
            """Tell whether the harness cuts: an answer's last token is no input, an encoder sees no answer."""
            beside = len(answer) - 1 if self.backend == "causal" else 0
            return len(context) + beside > int(self.max_length)

        def tok_batch_encode(self, strings: Any, *arguments: Any, **options: Any) -> Any:
            """Encode contexts of texts to be written, which the harness cuts to ``left_truncate_len`` tokens."""
            limit = int(options.get("left_truncate_len") or 0)
            encoded = [tuple(self.tok_encode(string)) for string in strings] if limit else []
            self._cut |= {each for each in encoded if len(each) > limit}
            return super().tok_batch_encode(strings, *arguments, **options)

    return InMemory
