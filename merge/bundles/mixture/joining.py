"""Loaded networks ▸ the experts of a mixture, and its configuration."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError
from ..combine import Combination
from .calling import check_expert, check_outputs
from .config import LogitMixtureConfig, joint_settings
from .embeddings import all_equal
from .token_maps import runs_of

if TYPE_CHECKING:
    from ..vocabulary import Vocabulary


def prepared(models: Sequence[Any], vocabulary: Vocabulary | None, names: Sequence[str]) -> list[Any]:
    """Return networks as experts; one that is named twice is copied.

    Raises:
        UsageError: There is no network.
        MergeError: A network cannot be an expert, or has fewer outputs than tokens.
    """
    if not models:
        raise UsageError("a mixture needs experts")
    experts: list[Any] = []
    for number, (model, name) in enumerate(zip(models, names, strict=True)):
        check_expert(type(model), model.config, name)
        experts.append(copy.deepcopy(model) if any(model is other for other in experts) else model)
        if vocabulary is not None:
            check_outputs(outputs_of(model), vocabulary.rows[number], name)
    if vocabulary is None and len({outputs_of(model) for model in models}) > 1:
        counts = ", ".join(str(outputs_of(model)) for model in models)
        hint = "with their tokenizers, rows beyond the last token are cut: see merge.bundles.vocabulary"
        raise MergeError(f"the experts have different numbers of outputs: {counts}", hint=hint)
    return experts


def outputs_of(model: Any) -> int:
    """Return how many tokens a network gives logits for."""
    layer = model.get_output_embeddings()
    size = model.config.get_text_config().vocab_size if layer is None else layer.weight.shape[0]
    return int(size)


def configure(experts: Sequence[Any], how: Combination, vocabulary: Vocabulary | None) -> LogitMixtureConfig:
    """Return the configuration of a mixture of networks."""
    configs, settings = [expert.config for expert in experts], [_settings(expert) for expert in experts]
    outputs = outputs_of(experts[0])
    return configuration_of(settings, configs, how, vocabulary, shared=all_equal(experts), outputs=outputs)


def configuration_of(
    settings: Sequence[dict[str, Any]],
    configs: Sequence[Any],
    how: Combination,
    vocabulary: Vocabulary | None,
    *,
    shared: bool = False,
    outputs: int = 0,
) -> LogitMixtureConfig:
    """Return the configuration of a mixture of networks that need not be loaded.

    Args:
        settings: The whole configuration of every expert.
        configs: The same as objects of transformers.
        how: Rule, weights and temperatures.
        vocabulary: What their tokenizers have in common.
        shared: All experts have the same input embeddings.
        outputs: Tokens of the mixture where no vocabulary tells.
    """
    how.check(len(configs))
    maps = None if vocabulary is None or vocabulary.indices is None else vocabulary.indices
    return LogitMixtureConfig(
        experts=settings,
        combine=how.combine,
        weights=how.weights,
        temperatures=how.temperatures,
        shared_input_embeddings=shared,
        vocab_size=outputs if vocabulary is None else vocabulary.size,
        token_maps=None if maps is None else [runs_of(indices) for indices in maps],
        stand_ins=None if vocabulary is None else vocabulary.stand_ins,
        **joint_settings(configs),
    )


def _settings(expert: Any) -> dict[str, Any]:
    """Return an expert's whole configuration without where it lay on this machine."""
    settings: dict[str, Any] = {**expert.config.to_dict(), "dtype": str(expert.dtype).removeprefix("torch.")}
    settings.pop("_name_or_path", None)
    return settings
