"""Text towers of transformers: CLIP, SigLIP, SigLIP 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..architecture import CLIP, SIGLIP, SIGLIP2, load
from ..configuration import read_configuration, settings_folder
from ..language.tokenizer import FILES
from ..networks.weights import trace_names
from ..quiet import quiet_transformers
from .text_tower import NoTextTowerError, TextTower, scale_and_bias

if TYPE_CHECKING:
    from torch import Tensor

    from ..candidate import Candidate
    from ..model_name import ModelName

PREFIX = "text_model."
TOWER = (PREFIX, "text_projection.")


def transformers_text_tower(candidate: Candidate, model: ModelName, device: str) -> TextTower:
    """Build the text tower of a CLIP or SigLIP checkpoint. Raises MergeError as ``load_text_tower`` does."""
    config = read_configuration(model)
    model_class, text = _model_class(config, model)
    tensors = {name: tensor for name, tensor in candidate.tensors.items() if name.startswith(TOWER)}
    if not any(name.startswith(PREFIX) for name in tensors):
        raise NoTextTowerError(candidate.name, f"{PREFIX}…")
    scale, bias = scale_and_bias(candidate.tensors, candidate.name)
    module = load(model_class, text, tensors, where=candidate.name).to(device)
    tokenizer = _tokenizer(model)

    def tokenize(texts: Sequence[str], length: int | None) -> dict[str, Tensor]:
        longest = length or text.max_position_embeddings
        return dict(tokenizer(list(texts), return_tensors="pt", **_padding(config, longest)))

    def embed(inputs: dict[str, Tensor]) -> Tensor:
        outputs = module(**{name: tensor.to(device) for name, tensor in inputs.items()})
        projected: Tensor | None = getattr(outputs, "text_embeds", None)
        features: Tensor = outputs.pooler_output if projected is None else projected
        return features

    def names() -> Mapping[str, str]:
        rebuild = partial(load, model_class, text, where=candidate.name)
        return trace_names(rebuild, tensors, where=candidate.name, lenient=True)

    described = f"{model_class.__name__} {text.to_json_string()}"
    return TextTower(tokenize, embed, tensors, described, scale, bias, module, names)


def _model_class(config: Any, model: ModelName) -> tuple[Any, Any]:
    """Return the tower's class and configuration. Raises MergeError for a model that has no texts."""
    from transformers import CLIPTextModelWithProjection, Siglip2TextModel, SiglipTextModel

    kinds: Mapping[str, Any] = {CLIP[0]: CLIPTextModelWithProjection, SIGLIP[0]: SiglipTextModel}
    kinds = {**kinds, SIGLIP2[0]: Siglip2TextModel}
    if config.model_type not in kinds:
        what = f"the text tower is missing: a model of type '{config.model_type}' has none that is known here"
        raise MergeError(what, where=model.label, hint=f"types with one: {', '.join(kinds)}")
    text = config.text_config
    text.projection_dim = getattr(config, "projection_dim", getattr(text, "projection_dim", None))
    return kinds[config.model_type], text


def _padding(config: Any, longest: int) -> dict[str, Any]:
    """Return how texts are padded: SigLIP was trained on texts of full length, CLIP does not see its padding."""
    if config.model_type == CLIP[0]:
        return {"padding": True, "truncation": True, "max_length": longest}
    return {"padding": "max_length", "truncation": True, "max_length": longest}


def _tokenizer(model: ModelName) -> Any:
    from transformers import AutoTokenizer

    source = settings_folder(model, FILES)
    try:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        first_line = str(error).strip().partition("\n")[0]
        hint = "the tokenizer's files belong beside the config.json"
        raise MergeError(f"no tokenizer can be read: {first_line}", where=source, hint=hint) from None
