"""The mixture as a network of transformers: what it computes and generates."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import transformers
from transformers.modeling_outputs import CausalLMOutputWithPast

from ...errors import UsageError
from ..combine import Combination, combined
from .cache import MixtureCache
from .calling import Call, expert_logits, split_extra
from .joining import configure, prepared
from .keeping import ExpertsModel
from .token_maps import TokenMap, indices_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..vocabulary import Vocabulary

Generating: Any = transformers.GenerationMixin


class LogitMixtureForCausalLM(ExpertsModel, Generating):  # type: ignore[misc]
    """Causal language models whose outputs are averaged at every position."""

    main_input_name = "input_ids"

    @classmethod
    def from_experts(
        cls,
        models: Sequence[Any],
        how: Combination | None = None,
        vocabulary: Vocabulary | None = None,
        names: Sequence[str] | None = None,
    ) -> Self:
        """Return the mixture of networks, which become its own and are frozen.

        Args:
            models: Causal language models; input embeddings that all of them share bit for bit are kept once.
            how: Rule, weights and temperatures.
            vocabulary: What their tokenizers have in common; None: all of them have the same outputs, and that they
                mean the same is left to the caller.
            names: For messages; None: ``expert 1`` and so on.

        Raises:
            MergeError: A network cannot be an expert, or has other outputs than the vocabulary says.
            UsageError: The options are not for these experts.
        """
        names = names or [f"expert {number}" for number in range(1, len(models) + 1)]
        experts = prepared(models, vocabulary, names)
        model = cls(configure(experts, how or Combination(), vocabulary), experts)
        model.generation_config = copy.deepcopy(experts[0].generation_config)
        model.names = list(names)
        model.eval()
        return model

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Any = None,
        position_ids: Tensor | None = None,
        past_key_values: MixtureCache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits [n, positions, vocabulary] of the mixture in float32, and the loss where there are labels.

        Args:
            input_ids: Tokens [n, length].
            attention_mask: 0 for padding [n, length with what is cached].
            position_ids: Positions [n, length]; architectures that take none find their own by the mask.
            past_key_values: What an earlier call returned.
            labels: Tokens [n, length], -100 where none counts; they are shifted here, as everywhere in transformers.
            use_cache: Whether to keep keys and values; None: as the configuration says.
            logits_to_keep: How many of the last positions get logits, 0 for all, or which.
            return_dict: False: a tuple.
            extra: Further inputs of experts or of the loss.

        Raises:
            MergeError: An expert's logits are not finite, or it lacks a token.
            UsageError: An argument is nothing that a mixture takes.
        """
        others, to_loss = split_extra(extra, self.experts)
        if input_ids is None:
            raise UsageError("a mixture needs input_ids")
        if past_key_values is None and (self.config.use_cache if use_cache is None else use_cache):
            past_key_values = self.empty_cache()
        caches = None if past_key_values is None else _caches_of(past_key_values)
        call = Call(input_ids, attention_mask, caches, logits_to_keep, {**others, "position_ids": position_ids})
        logits = combined(self._outputs(call), self.config.combination, self.names)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **to_loss)
        output = CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)
        return output.to_tuple() if return_dict is False else output

    def _outputs(self, call: Call) -> Iterator[Tensor]:
        """Yield the experts' logits on the first one's device, running each only when it is asked for."""
        for number, expert in enumerate(self.experts):
            tokens = None if self._token_maps is None else self._token_maps[number]
            yield expert_logits(expert, number, call, tokens, self.config.vocab_size).to(self.device)

    @cached_property
    def names(self) -> list[str]:
        """The experts' names in messages."""
        return [f"expert {number}" for number in range(1, len(self.experts) + 1)]

    @cached_property
    def _token_maps(self) -> list[TokenMap] | None:
        config = self.config
        if config.token_maps is None:
            return None
        stand_ins = config.stand_ins or [None] * len(config.token_maps)
        parts = zip(config.token_maps, stand_ins, self.names, strict=True)
        return [TokenMap(indices_of(runs), stand_in, name) for runs, stand_in, name in parts]

    def empty_cache(self) -> MixtureCache:
        """Return a cache with nothing in it."""
        return MixtureCache.of(self.experts)

    def _prepare_cache_for_generation(
        self, generation_config: Any, model_kwargs: dict[str, Any], *arguments: Any, **options: Any
    ) -> None:
        """Put an empty cache into a generation's arguments, as transformers would one of a single model."""
        given = model_kwargs.get("past_key_values")
        if generation_config.cache_implementation not in (None, "dynamic"):
            raise UsageError(f"a mixture has no cache of the kind '{generation_config.cache_implementation}'")
        if given is not None:
            _caches_of(given)
            given._is_user_defined = True
        elif generation_config.use_cache is not False:
            model_kwargs["past_key_values"] = self.empty_cache()
            if getattr(generation_config, "is_assistant", False):  # whose tokens may be taken back
                model_kwargs["past_key_values"].activate_past_recording()


def _caches_of(cache: Any) -> Sequence[Any]:
    if isinstance(cache, MixtureCache):
        return cache.caches
    what = f"a mixture keeps the keys and values of every expert; {type(cache).__name__} is for one model"
    raise UsageError(what, hint="use what the mixture's empty_cache() returns")
