"""Recipes of mergekit with tokenizers, over the models ``t-`` of `agreement_recipe_vocabularies.py`."""

from __future__ import annotations


def _linear(*models: str) -> str:
    """Return a mean with weights 1, 2 and 3; the first model is the base, whose tokens come first."""
    weighted = [f"  - {{model: {model}, parameters: {{weight: {weight}}}}}\n" for weight, model in enumerate(models, 1)]
    return f"merge_method: linear\nbase_model: {models[0]}\nmodels:\n{''.join(weighted)}"


def _with_base(method: str, base: str, *models: str, parameters: str) -> str:
    listed = "".join(f"  - {{model: {model}}}\n" for model in models)
    return f"merge_method: {method}\nbase_model: {base}\nparameters: {{{parameters}}}\nmodels:\n{listed}"


def _tokens(text: str) -> str:
    return f"tokenizer: {{source: union, tokens: {{{text}}}}}\n"


_UNION = "tokenizer: {source: union}\n"
_PAIR = _linear("t-words", "t-more")
_THREE = _linear("t-words", "t-more", "t-others")
_OTHER = "{kind: model_token, model: t-words, "

TOKENS = {
    "union of 64 and 64 + 2 tokens": _PAIR + _UNION,
    "the same, written as tokenizer_source": _PAIR + "tokenizer_source: union\n",
    "the same, padded to rows of 16": _PAIR + "tokenizer: {source: union, pad_to_multiple_of: 16}\n",
    "padding alone": _PAIR + "tokenizer: {pad_to_multiple_of: 16}\n",
    "union, the base has more": _linear("t-more", "t-words") + _UNION,
    "union, tokens in another order": _linear("t-words", "t-others") + _UNION,
    "union of three": _THREE + _UNION,
    "union, a token of two models of three": _linear("t-few", "t-words", "t-others") + _UNION,
    "union, byte pairs": _linear("t-pairs", "t-other-pairs") + _UNION,
    "union, other special tokens": _linear("t-words", "t-special") + _UNION,
    "union, tied models": _linear("t-tied", "t-tied-more") + _UNION,
    "union, task_arithmetic": _with_base("task_arithmetic", "t-words", "t-more", "t-others", parameters="weight: 0.4")
    + _UNION,
    "union, ties": _with_base("ties", "t-words", "t-more", "t-others", parameters="weight: 1, density: 0.6") + _UNION,
    "union, slerp": _with_base("slerp", "t-words", "t-more", parameters="t: [0.2, 0.9]") + _UNION,
    "the base's tokens": _THREE + "tokenizer: {source: base}\n",
    "another's tokens": _THREE + "tokenizer: {source: t-others}\n",
    "the tokens of a model that is not merged": _linear("t-words", "t-others") + "tokenizer_source: t-more\n",
    "another's tokens, padded": _THREE + "tokenizer: {source: t-others, pad_to_multiple_of: 32}\n",
    "a token of zeros": _THREE + _tokens("'<n1>': {source: {kind: zero}}"),
    "a token of zeros, forced": _THREE + _tokens("w7: {source: {kind: zero}, force: true}"),
    "a model's token": _THREE + _tokens("'<n1>': {source: t-more}"),
    "a model's token, forced": _THREE + _tokens("w7: {source: t-others, force: true}"),
    "a token as another": _THREE + _tokens(f"'<n1>': {{source: {_OTHER}token: w9}}}}"),
    "a token as another, forced": _THREE + _tokens(f"'<n1>': {{source: {_OTHER}token: w9}}, force: true}}"),
    "a token as another by its number, forced": _THREE
    + _tokens(f"w7: {{source: {_OTHER}token_id: 12}}, force: true}}"),
    "a new token": _THREE + _tokens(f"'<new>': {{source: {_OTHER}token: w9}}}}"),
    "slices": "merge_method: linear\nbase_model: t-words\nparameters: {weight: 1}\nslices:\n"
    + "".join(
        f"  - sources: [{{model: t-words, layer_range: [{layers}]}}, {{model: t-more, layer_range: [{layers}]}}]\n"
        for layers in ("0, 2", "1, 2")
    )
    + _UNION,
}
STAGED_TOKENS = {
    "union, in two stages": (
        "name: first\n" + _PAIR + _UNION,
        _linear("first", "t-others") + _UNION,
    ),
}
