"""Recipes of mergekit over the models ``base``, ``a``, ``b`` and ``c``, which both tools run as they are."""

from __future__ import annotations


def _models(*names: str, parameters: str = "") -> str:
    own = f", parameters: {{{parameters}}}" if parameters else ""
    listed = "".join(f"  - {{model: {name}{own}}}\n" for name in names)
    return f"models:\n{listed}"


_BASE = "base_model: base\n"
_WEIGHTED = _models("a", "b", "c", parameters="weight: 0.4")
_TRIMMED = _models("a", "b", "c", parameters="weight: 0.4, density: 0.6")
_T = """\
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}
    - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}
    - value: 0.5
"""
_GRADIENTS = """\
models:
  - {model: a, parameters: {density: [1, 0.7, 0.1], weight: 1.0}}
  - {model: b, parameters: {density: 0.5, weight: [0, 0.3, 0.7, 1]}}
  - model: c
    parameters: {density: 0.33, weight: [{filter: mlp, value: 0.5}, {value: 0}]}
"""

RECIPES = {
    "linear": "merge_method: linear\n" + _WEIGHTED,
    "linear, not normalized": "merge_method: linear\n" + _WEIGHTED + "parameters: {normalize: false}\n",
    "linear, a model's weight over the common one": "merge_method: linear\nmodels:\n  - {model: a}\n"
    "  - {model: b, parameters: {weight: [0.2, 0.9]}}\nparameters: {weight: 0.5}\n",
    "linear, base_model not listed": "merge_method: linear\n"
    + _models("a", "b")
    + _BASE
    + "parameters: {weight: 0.3}\n",
    "linear, one model": "merge_method: linear\n" + _models("a") + "parameters: {weight: 0.3, normalize: false}\n",
    "slerp, filters and gradients": "merge_method: slerp\n" + _models("base", "a") + _BASE + _T,
    "slerp, base listed last": "merge_method: slerp\n" + _models("a", "base") + _BASE + "parameters: {t: [0.1, 0.8]}\n",
    "slerp, base not listed": "merge_method: slerp\n" + _models("a") + _BASE + "parameters: {t: 0.3}\n",
    "nuslerp": "merge_method: nuslerp\nmodels:\n  - {model: a, parameters: {weight: 1}}\n"
    "  - {model: b, parameters: {weight: 3}}\n",
    "nuslerp by columns, with a base": "merge_method: nuslerp\n"
    + _models("a", "b", "base", parameters="weight: 0.5")
    + _BASE
    + "parameters: {nuslerp_flatten: false, nuslerp_row_wise: true}\n",
    "multislerp": "merge_method: multislerp\n" + _WEIGHTED,
    "multislerp with a base": "merge_method: multislerp\n" + _WEIGHTED + _BASE,
    "multislerp, one model": "merge_method: multislerp\n" + _models("a", parameters="weight: 0.4"),
    "karcher": "merge_method: karcher\n" + _models("a", "b") + "parameters: {max_iter: 20}\n",
    "karcher, base_model not listed": "merge_method: karcher\n" + _models("a", "b") + _BASE,
    "task_arithmetic": "merge_method: task_arithmetic\n" + _WEIGHTED + _BASE + "parameters: {lambda: 0.7}\n",
    "task_arithmetic, normalized, base listed": "merge_method: task_arithmetic\n"
    + _models("base", "a", "b", parameters="weight: 0.4, density: 0.5")
    + _BASE
    + "parameters: {normalize: true, int8_mask: true, rescale: true}\n",
    "ties": "merge_method: ties\n" + _TRIMMED + _BASE,
    "ties, gradients and filters": "merge_method: ties\n"
    + _GRADIENTS
    + _BASE
    + "parameters: {normalize: true, int8_mask: true}\n",
    "ties, summed": "merge_method: ties\n" + _TRIMMED + _BASE + "parameters: {normalize: false, lambda: [0.5, 1.5]}\n",
    "dare_linear, everything kept": "merge_method: dare_linear\n" + _WEIGHTED + _BASE,
    "dare_ties, everything kept": "merge_method: dare_ties\n" + _WEIGHTED + _BASE + "parameters: {normalize: true}\n",
    "breadcrumbs": "merge_method: breadcrumbs\n" + _TRIMMED + _BASE + "parameters: {gamma: 0.05}\n",
    "breadcrumbs_ties": "merge_method: breadcrumbs_ties\n" + _TRIMMED + _BASE,
    "della, everything kept": "merge_method: della\n" + _WEIGHTED + _BASE,
    "della_linear, everything kept": "merge_method: della_linear\n" + _WEIGHTED + _BASE,
    "sce": "merge_method: sce\n" + _models("a", "b", "c") + _BASE + "parameters: {select_topk: 0.3}\n",
    "model_stock": "merge_method: model_stock\n" + _models("a", "b", "c", "base") + _BASE,
    "model_stock, row by row": "merge_method: model_stock\n"
    + _models("a", "b")
    + _BASE
    + "parameters: {filter_wise: true}\n",
    "nearswap": "merge_method: nearswap\n" + _models("base", "a") + _BASE + "parameters: {t: 0.02}\n",
    "arcee_fusion": "merge_method: arcee_fusion\n" + _models("base", "a") + _BASE,
    "passthrough": "merge_method: passthrough\nmodels:\n  - model: a\n    parameters:\n"
    "      scale: [{filter: o_proj, value: 0}, {filter: down_proj, value: [0.5, 1]}, {value: 1}]\n",
    "ram": "merge_method: ram\n" + _models("a", "b", "c") + _BASE + "parameters: {epsilon: 0.03}\n",
    "ramplus_tl": "merge_method: ramplus_tl\n" + _models("a", "b", "c") + _BASE + "parameters: {epsilon: '3e-2'}\n",
}
