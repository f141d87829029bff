"""One forward pass of one expert, with what its architecture takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError
from .token_maps import TokenMap

if TYPE_CHECKING:
    from torch import Tensor

# What a mixture has no answer to.
REFUSED = {
    "inputs_embeds": "every expert has input embeddings of its own; give input_ids",
    "output_attentions": "every expert has attention weights of its own; ask the experts",
    "output_hidden_states": "every expert has hidden states of its own; ask the experts",
}
NEEDED = ("input_ids", "attention_mask", "past_key_values", "use_cache")
OF_THE_LOSS = ("num_items_in_batch", "shift_labels", "ignore_index")


@dataclass(frozen=True)
class Call:
    """What a mixture was called with.

    Attributes:
        tokens: Of the mixture [n, length].
        attention: Mask, or masks by kind of layer; None: every token counts.
        caches: One of each expert; None: nothing is kept.
        keep: How many of the last positions get logits, 0 for all, or which.
        others: Further inputs that experts may take, by name.
    """

    tokens: Tensor
    attention: Any
    caches: Sequence[Any] | None
    keep: int | Tensor
    others: Mapping[str, Any] = field(default_factory=dict)


def check_expert(network: Any, config: Any, name: str) -> None:
    """Raise MergeError where a class is no causal language model that keeps its keys and values in a ``Cache``.

    Args:
        network: The class.
        config: Of the expert.
        name: Of the expert, for messages.
    """
    missing = [each for each in NEEDED if each not in _parameters(network.forward)]
    if missing or config.is_encoder_decoder:
        what = f"{network.__name__} cannot be an expert: it is no causal language model of transformers"
        raise MergeError(f"{what} with a cache of keys and values", where=name)


def expert_class(config: Any, name: str) -> Any:
    """Return the class of a configuration's expert. Raises MergeError where it has none that can be an expert."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    network: Any = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if network is None:
        raise MergeError(f"transformers has no causal language model '{config.model_type}'", where=name)
    check_expert(network, config, name)
    return network


def check_outputs(outputs: int, tokens: int, name: str) -> None:
    """Raise MergeError where an expert has fewer outputs than its tokenizer has tokens."""
    if outputs < tokens:
        what = f"{outputs} outputs for the {tokens} tokens of its tokenizer"
        raise MergeError(what, where=name, hint="is it another model's tokenizer?")


def inputs_of(expert: Any) -> frozenset[str]:
    """Return the names of what a network's ``forward`` takes."""
    return _parameters(type(expert).forward)


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def split_extra(extra: Mapping[str, Any], experts: Iterable[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return which further arguments of a call go to the experts, and which to the loss.

    Raises:
        UsageError: One is nothing that a mixture or an expert takes.
    """
    given = {name: value for name, value in extra.items() if value is not None and value is not False}
    for name in given:
        if name in REFUSED:
            raise UsageError(f"a mixture takes no '{name}': {REFUSED[name]}")
        if name not in OF_THE_LOSS and not any(name in inputs_of(expert) for expert in experts):
            raise UsageError(f"no expert of the mixture takes '{name}'")
    to_loss = {name: given.pop(name) for name in OF_THE_LOSS if name in given}
    return given, to_loss


def expert_logits(expert: Any, number: int, call: Call, tokens: TokenMap | None, vocabulary: int) -> Tensor:
    """Return an expert's logits over the mixture's tokens [n, positions, vocabulary], on the expert's device.

    Args:
        expert: The network.
        number: Which one it is.
        call: What the mixture was called with.
        tokens: Its view of the vocabulary; None: it has that of the mixture, but for padding.
        vocabulary: Tokens of the mixture.
    """
    accepted, device = inputs_of(expert), expert.device
    inputs = {name: moved(value, device) for name, value in call.others.items() if name in accepted}
    attention = moved(call.attention, device)
    if "logits_to_keep" in accepted:
        inputs["logits_to_keep"] = moved(call.keep, device)
    if call.caches is not None:
        inputs["past_key_values"] = call.caches[number]
    read = call.tokens.to(device)
    if tokens is not None:
        read = tokens.to(device).read(read, padding_mask(attention, read))
    kept = call.caches is not None
    found = expert(input_ids=read, attention_mask=attention, use_cache=kept, return_dict=True, **inputs).logits
    if "logits_to_keep" not in accepted:
        found = found[:, -call.keep if call.keep else 0 :] if isinstance(call.keep, int) else found[:, call.keep]
    return found[..., :vocabulary] if tokens is None else tokens.write(found)


def padding_mask(attention: Any, tokens: Tensor) -> Tensor | None:
    """Return which of the tokens at hand count [n, length], as far as a mask of two dimensions tells."""
    if getattr(attention, "ndim", 0) != 2:
        return None
    found: Tensor = attention[:, -tokens.shape[1] :]
    return found


def moved(value: Any, device: Any) -> Any:
    """Return tensors, or a mapping of them, on a device."""
    if isinstance(value, Mapping):
        return {name: moved(one, device) for name, one in value.items()}
    return value.to(device) if hasattr(value, "to") else value
