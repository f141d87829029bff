"""Prompts ▸ their normalised embeddings, and the head's rows that these give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cache import cache_key, read_cached, write_cached

if TYPE_CHECKING:
    from torch import Tensor

    from .prompts import Prompts
    from .text_tower import TextTower

# Not the user's batch size: sums of another length round differently, and heads are to be the same for everyone.
TEXTS_AT_A_TIME = 256


def prompt_embeddings(
    tower: TextTower, prompts: Prompts, names: tuple[str, ...], device: str, *, keep: bool = True
) -> Tensor:
    """Return the normalised embeddings [classes, templates, size] of all prompts, float32, on the CPU.

    Args:
        tower: The text tower.
        prompts: Class names and templates.
        names: Of the classes.
        device: A torch device.
        keep: Keep them between runs, and take them from where they are kept.
    """
    tokens = tower.tokenize(prompts.texts(names), None)
    if not keep:
        return _embed(tower, tokens).reshape(len(names), len(prompts.templates), -1)
    key = cache_key(tower, tokens, len(prompts.templates), device)
    kept = read_cached(key)
    if kept is not None:
        return kept
    embeddings = _embed(tower, tokens).reshape(len(names), len(prompts.templates), -1)
    write_cached(key, embeddings)
    return embeddings


def _embed(tower: TextTower, tokens: dict[str, Tensor]) -> Tensor:
    import torch
    from torch.nn.functional import normalize

    texts = len(next(iter(tokens.values())))
    parts = []
    with torch.inference_mode():
        for first in range(0, texts, TEXTS_AT_A_TIME):
            batch = {name: tensor[first : first + TEXTS_AT_A_TIME] for name, tensor in tokens.items()}
            parts.append(normalize(tower.embed(batch).float(), dim=-1).cpu())
    return torch.cat(parts).clone()  # a plain tensor, which may take part in gradients


def head_weight(embeddings: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the head [classes, size]: the templates' mean, normalised again (Radford et al. 2021, section 3.1.4).

    Args:
        embeddings: [classes, templates, size], normalised.
        weights: Of the templates, [templates], with the sum 1; None: all alike.
    """
    from torch.nn.functional import normalize

    if weights is None:
        return normalize(embeddings.mean(dim=1), dim=-1)
    return normalize((embeddings * weights.to(embeddings.dtype)[None, :, None]).sum(dim=1), dim=-1)
