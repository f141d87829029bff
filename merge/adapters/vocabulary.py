"""Adapters that come with more tokens than their base has, or with fewer: embeddings, config.json, tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from ..checkpoints.beside import Beside
from ..checkpoints.checkpoint import FileCheckpoint
from ..checkpoints.header import TensorInfo
from ..errors import MergeError
from .changes import Change
from .naming import EMBEDDINGS, HEADS

_SIZED = (*EMBEDDINGS, *HEADS, "lm_head.bias")  # tensors with a row for each token
_SIZE = "vocab_size"
_TOGETHER = "PEFT saves both with modules_to_save, or with save_embedding_layers=True"


class Vocabulary(NamedTuple):
    """The number of tokens, as rows of the embedding: of the base, and with the adapter."""

    before: int
    after: int


def resized(name: str, tensor: TensorInfo, base: TensorInfo) -> TensorInfo | None:
    """Return the base's tensor with the rows of one that was trained whole; None where they are not those of tokens."""
    if not name.endswith(_SIZED) or tensor.shape[1:] != base.shape[1:] or not prod(base.shape):
        return None
    return base._replace(shape=tensor.shape, nbytes=base.nbytes // base.shape[0] * tensor.shape[0])


def new_vocabulary(changes: Mapping[str, Change], base: FileCheckpoint, where: str) -> Vocabulary | None:
    """Return the vocabulary that an adapter comes with; None where it is the base's.

    Raises:
        MergeError: Embedding and output matrix would have different numbers of rows.
    """
    grown = [change for change in changes.values() if change.base and change.base.shape != change.target.shape]
    if not grown or grown[0].base is None:
        return None
    found = Vocabulary(grown[0].base.shape[0], grown[0].target.shape[0])
    for name, tensor in base.tensors.items():
        rows = (changes[name].target if name in changes else tensor).shape[:1]
        if name.endswith(_SIZED) and tensor.shape[:1] == (found.before,) and rows != (found.after,):
            what = f"'{grown[0].target.name}' has {found.after} rows with the adapter, and '{name}' {rows[0]}"
            raise MergeError(what, where=where, hint=_TOGETHER)
    return found


def resized_config(config: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """Return a config.json with the new number of tokens, of the model or of a part of it."""
    return {
        key: resized_config(value, vocabulary)
        if isinstance(value, Mapping)
        else vocabulary.after
        if key == _SIZE and value == vocabulary.before
        else value
        for key, value in config.items()
    }


def beside_resized(vocabulary: Vocabulary, folder: Path) -> Beside:
    """Return what changes in the files beside the base's weights: the size in config.json, the adapter's tokenizer."""
    from ..vocabulary.files import tokenizer_files

    files = {name: path.read_bytes() for name, path in tokenizer_files(folder).items()}
    return Beside({"config.json": (lambda config: resized_config(config, vocabulary),)}, (), files)


def remark(vocabulary: Vocabulary, folder: Path) -> str:
    """Return what the user should know of another vocabulary."""
    from ..vocabulary.files import tokenizer_files

    tokenizer = "with its tokenizer" if tokenizer_files(folder) else "and no tokenizer: the base's does not know them"
    return f"the adapter comes with {vocabulary.after:,} rows of tokens in place of {vocabulary.before:,}, {tokenizer}"
