"""Text towers of open_clip."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..foreign_code import never_asked
from ..language.tokenizer import FILES
from ..networks.open_clip_hub import TOKENIZER, fetch_for_texts, tokenizer_options
from ..networks.open_clip_models import (
    IMAGE_TOWER,
    create_open_clip,
    open_clip_name,
    quiet_logging,
    text_names,
)
from ..networks.weights import load_strictly
from .text_tower import BIAS, SCALE, NoTextTowerError, TextTower, scale_and_bias

if TYPE_CHECKING:
    from torch import Tensor

    from ..candidate import Candidate
    from ..model_name import ModelName


def open_clip_text_tower(candidate: Candidate, model: ModelName, device: str) -> TextTower:
    """Build the text tower of a whole open_clip checkpoint. Raises MergeError as ``load_text_tower`` does."""
    module = create_open_clip(model, where=candidate.name)
    tensors = _texts_only(candidate, module)
    scale, bias = scale_and_bias(candidate.tensors, candidate.name)
    del module.visual  # what is left is the text tower with scale and bias
    load_strictly(module, tensors, f"the text tower of {model.label}", where=candidate.name)
    module.to(device)
    tokenizer = _tokenizer(model)

    def tokenize(texts: Sequence[str], length: int | None) -> dict[str, Tensor]:
        return {"text": tokenizer(list(texts), length)}

    def embed(inputs: dict[str, Tensor]) -> Tensor:
        features: Tensor = module.encode_text(inputs["text"].to(device))
        return features

    described = f"open_clip {_configuration(model)}"
    features_of = {name: tensor for name, tensor in tensors.items() if name not in (SCALE, BIAS)}
    names = {name: name for name in features_of}
    return TextTower(tokenize, embed, features_of, described, scale, bias, module, lambda: names)


def _texts_only(candidate: Candidate, module: Any) -> dict[str, Tensor]:
    if not any(name in candidate.tensors for name in text_names(module) - {SCALE, BIAS}):
        raise NoTextTowerError(candidate.name, "token_embedding.weight or text.…")
    return {name: tensor for name, tensor in candidate.tensors.items() if not name.startswith(IMAGE_TOWER)}


def _tokenizer(model: ModelName) -> Any:
    import open_clip

    fetch_for_texts(model, TOKENIZER, FILES)
    try:
        with quiet_logging(), never_asked():
            return open_clip.get_tokenizer(open_clip_name(model), **tokenizer_options(model))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise MergeError(f"no tokenizer can be read: {first_line}", where=model.label) from None


def _configuration(model: ModelName) -> str:
    """Return a model's configuration as text: activations and context length change what weights compute."""
    from pathlib import Path

    import open_clip

    from ..model_name import OPEN_CLIP_CONFIG

    if Path(model.name).is_dir():
        return (Path(model.name) / OPEN_CLIP_CONFIG).read_text(encoding="utf-8")
    return json.dumps(open_clip.get_model_config(open_clip_name(model)), sort_keys=True)
