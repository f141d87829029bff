"""Which tensors of a model have one row per token: input and output embeddings, and the biases of the latter."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..checkpoints.checkpoint import Source
from ..errors import MergeError

# Embeddings by token under the names that model libraries give them, from the surest on.
_INPUTS = (
    r"embed_tokens\.weight",
    r"wte\.weight",
    r"word_embeddings?\.weight",
    r"tok_embeddings\.weight",
    r"embed_in\.weight",
    r"token_embeddings?\.weight",
    r"shared\.weight",
    r"(wordvec|embedding|embeddings|embed)\.weight",
)
_ANYWHERE = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings?|lm_head|shared_head\.head)\.(weight|bias)$")
_WORDS = re.compile(r"embed|shared|head|vocab|predictions|logits|token|proj_out|(^|\.)output\.(weight|bias)$")
_OTHERS = re.compile(
    r"position|pos_emb|wpe|token_type|segment|vision|visual|image|patch|audio|relative|rotary|norm|\.transform\.",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\.\d+\.")
_SURE = 1000  # from here on, a size that is no other size of the model tells the vocabulary
APART = ("vision_config", "audio_config")  # parts of a configuration that know no tokens
_PER_LAYER = "embed_tokens_per_layer.weight"  # Gemma 3n's second table, which covers a part of the tokens


def token_rows(source: Source) -> int:
    """Return how many rows a model's input embedding has.

    Raises:
        MergeError: It has none that is known by its name, or more than one kind.
    """
    if any(name.endswith(_PER_LAYER) for name in source.tensors):
        what = "has a second embedding of tokens for every layer, whose rows cannot be matched"
        raise MergeError(what, where=source.location, hint="leave the tokenizer out")
    for pattern in _INPUTS:
        test = re.compile(rf"(^|\.){pattern}$")
        for name, tensor in source.tensors.items():
            if test.search(name) and not _OTHERS.search(name) and len(tensor.shape) > 1:
                return tensor.shape[0]
    raise MergeError("has no embedding of tokens that is known by its name", where=source.location)


def token_tensors(source: Source, rows: int) -> dict[str, int]:
    """Return the tensors with one row per token, and the axis along which these lie: every axis before it has size 1.

    Args:
        source: The model.
        rows: How many rows its input embedding has.
    """
    alone = rows >= _SURE and rows not in set(_sizes(source.config))
    found = {}
    for name, tensor in source.tensors.items():
        axis = _axis(tensor.shape, rows)
        if axis is not None and _is_by_token(name, alone=alone):
            found[name] = axis
    return found


def _axis(shape: tuple[int, ...], rows: int) -> int | None:
    fitting = (axis for axis, size in enumerate(shape) if size == rows and math.prod(shape[:axis]) == 1)
    return next(fitting, None)


def _is_by_token(name: str, *, alone: bool) -> bool:
    """Tell by the name; where no other size of the model is that of the vocabulary, ``alone``, almost any will do."""
    if _ANYWHERE.search(name):
        return True
    if _OTHERS.search(name) or _NUMBERED.search(name):
        return False
    return alone or bool(_WORDS.search(name))


def _sizes(config: Mapping[str, Any]) -> Iterator[int]:
    """Yield every whole number of a configuration that is no number of a token and no size of a vocabulary."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _sizes(value)
        elif isinstance(value, int) and "vocab" not in key and not key.endswith(("_id", "_index")):
            yield value


def stated_sizes(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every part of a configuration that states the size of a vocabulary, the outermost first."""
    if isinstance(config.get("vocab_size"), int):
        yield config
    for key, value in config.items():
        if isinstance(value, dict) and key not in APART:
            yield from stated_sizes(value)
