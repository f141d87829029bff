"""How far two outcomes of one recipe are apart: tensors, the configuration, tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

DEPTHS = ("num_hidden_layers", "num_layers", "num_decoder_layers", "n_layer")
COMPARED = (
    *DEPTHS,
    "vocab_size",
    "hidden_size",
    "tie_word_embeddings",
    "architectures",
    "bos_token_id",
    "eos_token_id",
)


class DifferenceError(ValueError):
    """Two outcomes differ in what is not a number."""


def difference(theirs: Path, ours: Path) -> float:
    """Return the largest difference of any tensor, as a share of the tensor's largest magnitude.

    Rows of the vocabulary are compared token by token: the order in which mergekit adds tokens is another in each run.

    Raises:
        DifferenceError: Names of tensors, shapes, the configuration or the tokens are not the same.
    """
    _compare_configurations(theirs, ours)
    order = _order_of_rows(theirs, ours)
    expected, found = load_weights(theirs), load_weights(ours)
    _same("names of tensors", sorted(expected), sorted(found))
    return max(_apart(name, expected[name], found[name], order) for name in expected)


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return all tensors of a folder."""
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def _apart(name: str, theirs: torch.Tensor, ours: torch.Tensor, order: list[int] | None) -> float:
    _same(f"shape of {name}", tuple(theirs.shape), tuple(ours.shape))
    one, other = theirs.to(torch.float64), ours.to(torch.float64)
    if order is not None and ("embed_tokens" in name or "lm_head" in name):
        one = one[[*order, *range(len(order), len(one))]]
    return float((one - other).abs().max() / one.abs().max().clip(torch.finfo(torch.float32).tiny))


def _compare_configurations(theirs: Path, ours: Path) -> None:
    one, other = (json.loads((folder / "config.json").read_text("utf-8")) for folder in (theirs, ours))
    for part in ("", "text_config", "vision_config"):
        parts = (one.get(part, {}), other.get(part, {})) if part else (one, other)
        for key in COMPARED:
            _same(f"{part} {key}", *(found.get(key) for found in parts))


def _order_of_rows(theirs: Path, ours: Path) -> list[int] | None:
    """Return their rows in the order of our tokens; nothing where there is no tokenizer."""
    if not (theirs / "tokenizer.json").exists():
        return None
    one, other = _tokens(theirs), _tokens(ours)
    _same("tokens", sorted(one), sorted(other))
    _same("special tokens", *({text for text, (_, special) in each.items() if special} for each in (one, other)))
    return [one[text][0] for text, _ in sorted(other.items(), key=lambda item: item[1][0])]


def _tokens(folder: Path) -> dict[str, tuple[int, bool]]:
    """Return the number of every token, and whether it is special."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return {text: (number, text in special) for text, number in tokenizer.get_vocab().items()}


def _same(what: str, theirs: Any, ours: Any) -> None:
    if theirs != ours:
        raise DifferenceError(f"{what}: mergekit {theirs}, merge {ours}")
