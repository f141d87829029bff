"""What a model does with a text, told by its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ...errors import UsageError
from .fitting import main_input, named_architecture

if TYPE_CHECKING:
    from ...evaluation.language.language_architecture import Kind as LanguageKind

    Kind = Literal["classes", "plain"] | LanguageKind

PIXELS, TOKENS = "pixel_values", "input_ids"
PRETRAINING = "ForPreTraining"  # a masked language model with one more head


@dataclass(frozen=True)
class TextKind:
    """What a model of transformers is.

    Attributes:
        architecture: The class.
        kind: ``classes`` of whole texts; ``causal``: the next token; ``masked``: tokens that were masked; ``seq2seq``:
            a target text; ``plain``: activations alone.
        has_head: Whether the class predicts.
    """

    architecture: str
    kind: Kind
    has_head: bool


def text_kind(config: Any, name: str, data: str) -> TextKind:
    """Tell what a model is that has no head but its own.

    Args:
        config: Of transformers.
        name: The model, for messages.
        data: The data, for messages.

    Raises:
        UsageError: It reads no texts.
        MergeError: It is unknown what it is.
    """
    from transformers.models.auto import modeling_auto as tables

    from ...evaluation.language.language_architecture import language_architecture

    named, reads = named_architecture(config), main_input(config)
    if reads and reads != TOKENS:
        what = f"{named or config.model_type} reads {_called(reads)}, but the data '{data}' is texts"
        raise UsageError(what, where=name, hint="give other data with --data, or another model")
    if named in tables.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.values():
        return TextKind(named, "classes", has_head=True)
    if not named or not reads or named.endswith(PRETRAINING) or named in _language_models():
        architecture, kind = language_architecture(config, name)
        return TextKind(architecture, kind, has_head=True)
    has_decoder = getattr(config, "is_encoder_decoder", False) and not _is_encoder(named)
    return TextKind(named, "seq2seq" if has_decoder else "plain", has_head=False)


def _called(inputs: str) -> str:
    return "images" if inputs == PIXELS else f"'{inputs}'"


def _is_encoder(named: str) -> bool:
    from transformers.models.auto import modeling_auto as tables

    return named in tables.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES.values()


def _language_models() -> set[str]:
    from transformers.models.auto import modeling_auto as tables

    families: Any = (
        tables.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        tables.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        tables.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )
    return {str(architecture) for family in families for architecture in family.values()}
