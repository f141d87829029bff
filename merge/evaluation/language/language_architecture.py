"""Which language model of transformers a configuration stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ...errors import MergeError

Kind = Literal["seq2seq", "causal", "masked"]
BY_NAME: tuple[Kind, ...] = ("seq2seq", "causal", "masked")  # Bart is listed under all of them, and is the first
BY_TYPE: tuple[Kind, ...] = ("seq2seq", "masked", "causal")  # a bare BertModel could be both, and fills in


def language_architecture(config: Any, where: str) -> tuple[str, Kind]:
    """Return the transformers class that gives a checkpoint's next or masked tokens, and which of both it does.

    Raises:
        MergeError: It is no language model.
    """
    named = (getattr(config, "architectures", None) or [None])[0]
    families = _families()
    for kind in BY_NAME:
        if named in families[kind].values():
            return str(named), kind
    for kind in BY_TYPE:
        if config.model_type in families[kind]:
            return families[kind][config.model_type], kind
    raise MergeError(f"{named or config.model_type} is no language model", where=where)


def _families() -> dict[Kind, Mapping[str, str]]:
    from transformers.models.auto import modeling_auto as tables

    return {
        "seq2seq": tables.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        "causal": tables.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        "masked": tables.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    }
