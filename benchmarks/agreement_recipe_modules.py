"""Recipes of mergekit with ``modules``: encoder-decoders ``e-`` and vision-language models ``v-`` that it can merge."""

from __future__ import annotations


def _pair(kind: str, parameters: str = "") -> str:
    own = f", parameters: {{{parameters}}}" if parameters else ""
    return f"{{models: [{{model: {kind}-a}}, {{model: {kind}-b}}]{own}}}"


def _one(model: str) -> str:
    return f"{{models: [{{model: {model}}}]}}"


MODULES = {
    "encoder-decoder, as a whole": "merge_method: linear\nmodels: [{model: e-a}, {model: e-b}]\n"
    "parameters: {weight: 1}\n",
    "encoder-decoder, module by module": "merge_method: linear\nmodules:\n"
    f"  encoder: {_pair('e', 'weight: [1, 0.2], normalize: false')}\n"
    f"  decoder: {_one('e-b')}\n  shared: {_pair('e')}\nparameters: {{weight: 0.5}}\n",
    "encoder-decoder, a deeper decoder": "merge_method: linear\nmodules:\n"
    f"  encoder: {_pair('e')}\n  shared: {_one('e-a')}\n"
    "  decoder:\n    slices:\n      - sources: [{model: e-a, layer_range: [0, 2]}]\n"
    "      - sources: [{model: e-b, layer_range: [1, 4]}]\nparameters: {weight: 1}\n",
    "vision-language, as a whole": "merge_method: linear\nmodels: [{model: v-a}, {model: v-b}]\n"
    "parameters: {weight: [1, 0.5]}\n",
    "vision-language, module by module": "merge_method: linear\nmodules:\n"
    f"  text_decoder: {_pair('v', 'weight: [1, 0.5]')}\n  multi_modal_projector: {_one('v-a')}\n"
    f"  vision_tower: {_one('v-b')}\nparameters: {{weight: 1}}\n",
    "the only module of a text model": "merge_method: slerp\nbase_model: base\nparameters: {t: [0.2, 0.7]}\n"
    "modules: {default: {models: [{model: base}, {model: a}]}}\n",
}
