"""RegMean++ of CLIP's image tower by numpy in float64, written after the paper's algorithm and nothing of the tool.

Weights go by the names that transformers gives them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Weights = Mapping[str, Any]
TOWER = "vision_model."


def normalised(x: Any, weights: Weights, name: str) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred / scale * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def stem(weights: Weights, pixels: Any, patch: int) -> Any:
    """Pixels [n, channels, height, width] ▸ tokens [n, 1 + patches, width]."""
    n, channels, height, width = pixels.shape
    cut = pixels.reshape(n, channels, height // patch, patch, width // patch, patch).transpose(0, 2, 4, 1, 3, 5)
    filters = weights[f"{TOWER}embeddings.patch_embedding.weight"]
    patches = cut.reshape(n, -1, channels * patch * patch) @ filters.reshape(len(filters), -1).T
    first = np.broadcast_to(weights[f"{TOWER}embeddings.class_embedding"], (n, 1, len(filters)))
    tokens = np.concatenate([first, patches], axis=1) + weights[f"{TOWER}embeddings.position_embedding.weight"]
    return normalised(tokens, weights, f"{TOWER}pre_layrnorm")


def block(weights: Weights, number: int, x: Any, heads: int) -> tuple[Any, dict[str, Any]]:
    """Return a block's output, and the inputs of its six matrices."""
    at = f"{TOWER}encoder.layers.{number}."
    seen: dict[str, Any] = {}

    def linear(name: str, inputs: Any) -> Any:
        seen[f"{at}{name}.weight"] = inputs
        return inputs @ weights[f"{at}{name}.weight"].T + weights[f"{at}{name}.bias"]

    inner = normalised(x, weights, f"{at}layer_norm1")
    n, tokens, width = inner.shape
    split = [
        linear(f"self_attn.{part}_proj", inner).reshape(n, tokens, heads, -1).transpose(0, 2, 1, 3) for part in "qkv"
    ]
    scores = split[0] @ split[1].transpose(0, 1, 3, 2) / np.sqrt(width // heads)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    joined = (shares / shares.sum(-1, keepdims=True) @ split[2]).transpose(0, 2, 1, 3).reshape(n, tokens, width)
    x = x + linear("self_attn.out_proj", joined)
    hidden = linear("mlp.fc1", normalised(x, weights, f"{at}layer_norm2"))
    return x + linear("mlp.fc2", hidden / (1 + np.exp(-1.702 * hidden))), seen


def regressed(own: Sequence[Any], inputs: Sequence[Any], off_diagonal: float) -> Any:
    """W^T = (sum_i G'_i)^-1 sum_i G'_i W_i^T."""
    grams = []
    for x in inputs:
        rows = x.reshape(-1, x.shape[-1])
        gram = rows.T @ rows / len(rows)
        grams.append(off_diagonal * gram + (1 - off_diagonal) * np.diag(np.diag(gram)))
    right = sum(gram @ weight.T for gram, weight in zip(grams, own, strict=True))
    return np.linalg.solve(sum(grams), right).T


def merge(
    models: Sequence[Weights], base: Weights, pixels: Sequence[Any], off_diagonal: float, heads: int, sequential: bool
) -> dict[str, Any]:
    """Merge the tower's stem and blocks; everything else is the base's, as in the authors' code.

    Args:
        models: Float64 arrays.
        base: The same of the base.
        pixels: Each model's data.
        off_diagonal: Factor.
        heads: Of the attention.
        sequential: RegMean++; else RegMean.
    """
    merged = dict(base)
    blocks = 1 + max(int(name.split(".")[3]) for name in base if name.startswith(f"{TOWER}encoder.layers."))
    for name in base:
        if name.startswith((f"{TOWER}embeddings", f"{TOWER}pre_layrnorm", f"{TOWER}encoder")):
            merged[name] = sum(model[name] for model in models) / len(models)
    below = [merged if sequential else model for model in models]
    states = [stem(own, x, patch=4) for own, x in zip(below, pixels, strict=True)]
    for number in range(blocks):
        runs = [block(model, number, state, heads) for model, state in zip(models, states, strict=True)]
        for name in runs[0][1]:
            merged[name] = regressed([model[name] for model in models], [seen[name] for _, seen in runs], off_diagonal)
        on = [block(merged, number, state, heads)[0] for state in states]
        states = on if sequential else [output for output, _ in runs]
    return merged
