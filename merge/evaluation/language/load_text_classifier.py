"""A candidate ▸ a classifier of texts with the candidate's weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError
from ..configuration import configuration
from .filler import Filler
from .network import build_as, longest_text
from .text_classifier import TextClassifier
from .tokenizer import load_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from ..candidate import Candidate
    from ..heads import FixedHead
    from ..scored_outputs import ScoredOutputs
    from ..task import Settings

POOLER = re.compile(r"(^|\.)pooler\.")
NO_POOLER = "add_pooling_layer"  # the argument with which classes of transformers leave it out


def load_text_classifier(
    candidate: Candidate,
    fallback: Path | None,
    head: FixedHead | None,
    settings: Settings,
    outputs: ScoredOutputs | None = None,
) -> TextClassifier:
    """Build a model with its weights and tokenizer.

    Args:
        candidate: The model.
        fallback: Folder with configuration and tokenizer of checkpoints that have none of their own.
        head: The benchmark's head. It serves even a model with classes of its own: after a merge those are nobody's.
        settings: Device, precision, batch size, and the architecture by ``--model``.
        outputs: Which of a model's own classes are scored; None: all.

    Raises:
        MergeError: The checkpoint does not fit its architecture, or there is no such architecture.
        UsageError: Nothing says what architecture, tokenizer or head it has.
    """
    config = configuration(candidate, settings.model, fallback)
    architecture = _architecture(config, head, candidate.name)
    tokenizer, name = load_tokenizer(candidate, settings.model, fallback), candidate.name

    def build(tensors: Mapping[str, Tensor]) -> Any:
        kept = tensors if head is None else _backbone(architecture, tensors)
        options = {} if head is None else without_pooler(architecture, kept)
        return build_as(architecture, config, kept, name, **options)

    network = build(candidate.tensors).to(settings.device)
    network.config.use_cache = False
    longest, filler = longest_text(network, tokenizer), Filler(network)
    return TextClassifier(candidate.name, network, tokenizer, head, settings, longest, filler, build, outputs)


def _architecture(config: Any, head: FixedHead | None, where: str) -> str:
    from transformers.models.auto import modeling_auto as tables

    named = (getattr(config, "architectures", None) or [None])[0]
    if head is None:
        if named in tables.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.values():
            return str(named)
        hint = "name a fixed one in the benchmark: 'head: file.safetensors#NAME'"
        what = f"{named or config.model_type} has no classification head for texts"
        raise UsageError(what, where=where, hint=hint)
    backbone = tables.MODEL_MAPPING_NAMES.get(config.model_type)
    if backbone is None or getattr(config, "is_encoder_decoder", False):
        raise MergeError(f"{named or config.model_type} gives no features of a text for the head", where=where)
    return str(backbone) if isinstance(backbone, str) else str(backbone[0])


def _backbone(architecture: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the tensors without any head: those under the backbone's prefix, where they have it."""
    import transformers

    prefix = getattr(transformers, architecture).base_model_prefix + "."
    kept = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return kept or tensors


def without_pooler(architecture: str, tensors: Mapping[str, Tensor]) -> dict[str, bool]:
    """Return how to build a backbone whose checkpoint has no pooler, as that of a masked language model."""
    import inspect

    import transformers

    choices = inspect.signature(getattr(transformers, architecture).__init__).parameters
    return {NO_POOLER: False} if NO_POOLER in choices and not any(map(POOLER.search, tensors)) else {}
