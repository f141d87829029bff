"""adapter_config.json of the one adapter: what the several say in common, and ranks and scales of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import MergeError
from ..low_rank.configuration import render_config, task_with_head
from ..naming import OUTPUT
from .shaping import Made
from .uniting import United

_CHOOSING = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
_PASSED_ON = ("revision", "auto_mapping", "ensure_weight_tying")


def render_settings(united: United, modules: Sequence[Made]) -> bytes:
    """Return the text of adapter_config.json.

    Args:
        united: The adapters.
        modules: The modules that have factors.
    """
    ranks = {made.module: made.rank for made in modules}
    first = united.members[0].config.values
    more: dict[str, Any] = {"task_type": task_with_head(stated(united, "task_type"), united.whole)}
    passed_on = (*_PASSED_ON, "trainable_token_indices") if united.tokens else _PASSED_ON
    more |= {key: first[key] for key in passed_on if first.get(key) is not None}
    more |= _alphas(modules) | _targets(united, ranks)
    if any("lora_B.bias" in tensor.name for made in modules for tensor in made.tensors):
        more["lora_bias"] = True
    return render_config(
        next((member.base_name for member in united.members if member.base_name), None),
        ranks,
        {},
        targets=(),
        saved=_saved(united),
        fan_in_fan_out=any(member.config.flag("fan_in_fan_out") for member in united.members),
        bias=_bias(united),
        more=more,
    )


def stated(united: United, key: str) -> Any:
    """Return what the adapters that state a setting agree on, or None."""
    said = [member.config.values[key] for member in united.members if member.config.values.get(key) is not None]
    return said[0] if said and all(value == said[0] for value in said) else None


def _alphas(modules: Sequence[Made]) -> dict[str, Any]:
    """Return alpha of most modules, and of the others by their names: the scaling times the rank."""
    alphas = {made.module: _plain(made.scaling * made.rank) for made in modules}
    usual = Counter(alphas.values()).most_common(1)[0][0] if alphas else 1
    unusual = {module: alpha for module, alpha in alphas.items() if alpha != usual}
    return {"lora_alpha": usual, "alpha_pattern": _patterns(unusual)}


def _plain(number: float) -> float:
    return int(number) if number == int(number) else number


def _patterns(values: Mapping[str, float]) -> dict[str, float]:
    """Return numbers by module in an order in which PEFT, which takes the first that fits a name's end, finds each."""
    return {module: values[module] for module in sorted(values, key=lambda name: (-len(name), name))}


def _targets(united: United, ranks: Mapping[str, int]) -> dict[str, Any]:
    """Return the settings that choose the modules: those of the adapters where they are the same, else every name."""
    settings = [{key: member.config.values.get(key) for key in _CHOOSING} for member in united.members]
    same = all(each == settings[0] for each in settings) and bool(settings[0]["target_modules"])
    if same and all(member.addends.keys() == ranks.keys() for member in united.members):
        return {key: value for key, value in settings[0].items() if value is not None}
    attentions = {module.removesuffix(OUTPUT) for module in ranks if module.endswith(OUTPUT)} & ranks.keys()
    return {"target_modules": [name for name in ranks if name.removesuffix(OUTPUT) not in attentions - {name}]}


def _saved(united: United) -> list[str]:
    """Return the names of modules that are saved whole, as the adapters list them."""
    listed = dict.fromkeys(name for member in united.members for name in member.config.names("modules_to_save"))
    held = [name.rpartition(".")[0] for name in united.whole]
    return [name for name in listed if any(module == name or module.endswith(f".{name}") for module in held)]


def _bias(united: United) -> str:
    """Return which biases were trained.

    Raises:
        MergeError: The adapters trained different ones.
    """
    said = {str(member.config.values.get("bias") or "none") for member in united.members}
    if not any(name.endswith(".bias") for name in united.whole):
        return "none"
    if len(said) > 1:
        raise MergeError(f"the adapters trained different biases: {', '.join(sorted(said))}", hint="--skip '*.bias'")
    return said.pop()
