"""Models of transformers that read texts, or texts and images, with a few tokens to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import MergeError
from .models import BATCH, Traceable, example_numbers, numbered_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ..evaluation.candidate import Candidate
    from ..evaluation.model_name import ModelName

TOKENS = 8
TEXT_TOWER, IMAGE_TOWER = "text_model.", "vision_model."


def of_transformers(candidate: Candidate, architecture: ModelName) -> Traceable | None:
    """Build a model that reads texts, or both towers of one of images and texts; None for one that reads images.

    Raises:
        MergeError: There is no such architecture, or the checkpoint does not fit it.
    """
    from ..calibration.feeds.fitting import TOWERS, WHOLE, main_input
    from ..evaluation.configuration import read_configuration

    config = read_configuration(architecture)
    if config.model_type in WHOLE and _has_both(candidate.tensors):
        return _towers(candidate, config)
    if config.model_type in TOWERS or main_input(config) == "pixel_values":
        return None
    return _texts(candidate, config)


def _has_both(tensors: Mapping[str, Tensor]) -> bool:
    return all(any(name.startswith(tower) for name in tensors) for tower in (TEXT_TOWER, IMAGE_TOWER))


def _towers(candidate: Candidate, config: Any) -> Traceable:
    from transformers import MODEL_MAPPING

    vision, text = config.vision_config, config.text_config
    length = min(TOKENS, text.max_position_embeddings)
    if config.model_type.startswith("siglip"):
        length = text.max_position_embeddings
    tokens = _tokens(text, length)
    if getattr(text, "eos_token_id", None) is not None:
        tokens[:, -1] = text.eos_token_id  # where CLIP takes what a text means
    if not isinstance(getattr(vision, "image_size", None), int):
        hint = "describe its groups in a file: --groups FILE"
        raise MergeError(f"images of any shape ({config.model_type}) are not traced", where=candidate.name, hint=hint)
    pixels = example_numbers((BATCH, getattr(vision, "num_channels", 3), vision.image_size, vision.image_size))
    architecture: Any = MODEL_MAPPING[type(config)]
    return _built(candidate, architecture.__name__, config, {"input_ids": tokens, "pixel_values": pixels})


def _texts(candidate: Candidate, config: Any) -> Traceable:
    import torch

    from ..calibration.feeds.text_kinds import text_kind
    from ..evaluation.language.load_text_classifier import without_pooler

    kind = text_kind(config, candidate.name, "an example")
    text = config.get_text_config()
    tokens = _tokens(text, _length(text))
    if kind.kind == "classes" and getattr(text, "pad_token_id", None) is None:
        tokens = tokens[:1]  # without a token that fills up, classifiers by the last token take one text at a time
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    if kind.kind == "seq2seq":
        inputs["decoder_input_ids"] = tokens
    options = {} if kind.has_head else without_pooler(kind.architecture, candidate.tensors)
    return _built(candidate, kind.architecture, config, inputs, is_masked=kind.kind == "masked", **options)


def _length(text: Any) -> int:
    names = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length")
    stated = [int(getattr(text, name)) for name in names if getattr(text, name, None)]
    return max(2, min([TOKENS, *(length - 2 for length in stated)]))  # RoBERTa keeps two for padding


def _tokens(text: Any, length: int) -> Tensor:
    special = [getattr(text, f"{role}_token_id", None) for role in ("pad", "bos", "eos")]
    return numbered_tokens(int(text.vocab_size), length, special)


def _built(
    candidate: Candidate,
    architecture: str,
    config: Any,
    inputs: Mapping[str, Tensor],
    is_masked: bool = False,
    **options: Any,
) -> Traceable:
    """Build a class of transformers; find its parameters by the checkpoint's names."""
    from ..calibration.feeds.placing import places_in
    from ..evaluation.language.network import UNUSED, build_as
    from ..evaluation.networks.weights import trace_names

    def build(tensors: Mapping[str, Tensor]) -> Any:
        kept = {name: tensor for name, tensor in tensors.items() if not (is_masked and UNUSED.search(name))}
        return build_as(architecture, config, kept, candidate.name, **options)

    network = build(candidate.tensors)
    network.config.use_cache = False  # keys and values of earlier tokens are no tensors that can be traced
    names = trace_names(build, candidate.tensors, where=candidate.name, lenient=True)
    return Traceable(network, places_in(network, names, candidate.tensors), dict(inputs))
