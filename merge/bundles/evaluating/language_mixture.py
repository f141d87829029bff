"""Several language models in memory as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import MergeError

if TYPE_CHECKING:
    from ...evaluation.language.network import LanguageModel
    from ..combine import Combination


def language_mixture(models: Sequence[LanguageModel], how: Combination, align: str, name: str) -> LanguageModel:
    """Return one language model that runs all of them and combines their outputs.

    Args:
        models: With their tokenizers, on one device.
        how: Rule, weights and temperatures.
        align: ``exact``, ``intersection`` or ``union`` of their vocabularies.
        name: What messages call it.

    Raises:
        MergeError: They do not predict the next token, or their vocabularies do not fit together.
    """
    from ..mixture import LogitMixtureForCausalLM
    from ..vocabulary import common_vocabulary, union_tokenizer

    for model in models:
        if model.kind != "causal":
            what = f"{type(model.network).__name__} does not predict the next token, which a mixture averages"
            raise MergeError(what, where=model.name)
    names = [model.name for model in models]
    vocabulary = common_vocabulary([model.tokenizer for model in models], names, align, how.combine)
    network = LogitMixtureForCausalLM.from_experts([model.network for model in models], how, vocabulary, names=names)
    network.config.use_cache = False  # every token is seen once, as in the experts
    tokenizer = models[0].tokenizer
    tokenizer = union_tokenizer(tokenizer, vocabulary) if vocabulary.added else tokenizer
    return replace(models[0], network=network, tokenizer=tokenizer, name=name)
