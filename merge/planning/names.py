"""Which tensor of a model is the same as which tensor of the reference: equal names, prefixes, tied weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from ..checkpoints.header import TensorInfo

# Output name, and the names under which a library version may have saved only its tied twin.
_TIED = {
    "lm_head.weight": (
        "model.embed_tokens.weight",
        "model.decoder.embed_tokens.weight",
        "model.language_model.embed_tokens.weight",
        "language_model.model.embed_tokens.weight",
        "transformer.wte.weight",
        "shared.weight",
    ),
    "encoder.embed_tokens.weight": ("shared.weight",),
    "decoder.embed_tokens.weight": ("shared.weight",),
    "cls.predictions.decoder.weight": ("bert.embeddings.word_embeddings.weight",),
    "cls.predictions.decoder.bias": ("cls.predictions.bias",),
}
HEADS = ("lm_head.weight", "cls.predictions.decoder.weight")  # of these, what gives the scores of tokens
_LANGUAGE_MODELS = ("LMHead", "ForCausalLM", "ForMaskedLM", "ForPreTraining", "ForConditionalGeneration")


class Matched(NamedTuple):
    """A model's tensors under the reference's names.

    Attributes:
        tensors: Name in the reference to the model's tensor.
        tied: Names that the model has beyond the reference because it saved a tied twin, with that twin's name.
        extra: Tensors of the model that the reference has under no name.
        notes: What was resolved, in words.
    """

    tensors: Mapping[str, TensorInfo]
    tied: Mapping[str, str]
    extra: list[str]
    notes: list[str]


NOTHING_MATCHED = Matched({}, {}, [], [])


class Named(Protocol):
    """Whatever decides names."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Its tensors by name."""


class Model(Named, Protocol):
    """Whatever is matched."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Its config.json."""


def match_names(reference: Named, model: Model) -> Matched:
    """Match a model's tensors with the reference's."""
    known, found = reference.tensors, model.tensors
    if known.keys() == found.keys():
        return Matched(found, {}, [], [])
    tensors = {name: found[name] for name in known if name in found}
    extra = [name for name in found if name not in known]
    absent = [name for name in known if name not in found]
    notes = _resolve_prefix(absent, extra, tensors, found)
    notes += _resolve_tied(absent, tensors, model)
    tied = {name: twin for name in extra if (twin := tied_twin(name, found, model.config)) and twin in tensors}
    return Matched(tensors, tied, [name for name in extra if name not in tied], notes)


def _resolve_prefix(
    absent: list[str], extra: list[str], tensors: dict[str, TensorInfo], found: Mapping[str, TensorInfo]
) -> list[str]:
    """Pair names that differ by one prefix (`vision_model.`, `model.`, `module.`) and drop them from both lists."""
    longer = _common_prefix(absent, extra)  # the model has the prefix on top
    shorter = _common_prefix(extra, absent) if longer is None else None  # the model lacks it
    if longer is None and shorter is None:
        return []
    translate = {(longer + name if longer is not None else name.removeprefix(shorter or "")): name for name in absent}
    pairs = [(name, translate[name]) for name in extra if name in translate]
    for name, wanted in pairs:
        tensors[wanted] = found[name]
        extra.remove(name)
        absent.remove(wanted)
    action = f"carries the prefix '{longer}'" if longer is not None else f"lacks the prefix '{shorter}'"
    return [f"{action} on {len(pairs)} names; matched"] if pairs else []


def _common_prefix(names: list[str], prefixed: list[str]) -> str | None:
    """Return the prefix that turns most of `names` into members of `prefixed`, if one turns at least half."""
    tails = set(names)
    prefixes: Counter[str] = Counter()
    for name in prefixed:
        position = name.find(".")
        while position >= 0:
            if name[position + 1 :] in tails:
                prefixes[name[: position + 1]] += 1
            position = name.find(".", position + 1)
    if not prefixes:
        return None
    prefix, count = prefixes.most_common(1)[0]
    return prefix if 2 * count >= min(len(names), len(prefixed)) else None


def _resolve_tied(absent: list[str], tensors: dict[str, TensorInfo], model: Model) -> list[str]:
    """Let a model that saved a tied weight once feed both of the reference's names with it."""
    notes = []
    for name in list(absent):
        twin = tied_twin(name, model.tensors, model.config)
        if twin:
            tensors[name] = model.tensors[twin]
            absent.remove(name)
            notes.append(f"'{name}' is tied to '{twin}'")
    return notes


def tied_twin(name: str, tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]) -> str | None:
    """Return the tensor that stands for one that is tied to it, where a model ties them."""
    candidates = [twin for twin in _TIED.get(name, ()) if twin in tensors]
    return candidates[0] if candidates and is_tied(config) else None


def is_tied(config: Mapping[str, Any]) -> bool:
    """Tell from config.json; where it says nothing, a language model without its output matrix ties it."""
    stated = config.get("tie_word_embeddings", (config.get("text_config") or {}).get("tie_word_embeddings"))
    if stated is not None:
        return bool(stated)
    return has_head(config)


def has_head(config: Mapping[str, Any]) -> bool:
    """Tell from config.json whether a model gives words, by an output matrix of its own or one tied to an embedding."""
    return any(word in name for name in config.get("architectures") or () for word in _LANGUAGE_MODELS)
