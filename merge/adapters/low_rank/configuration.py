"""adapter_config.json of an adapter that we write, as PEFT reads it: alpha is the rank, so that every scale is 1."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

PREFIX = "base_model.model."
_TASKS = {"ForCausalLM": "CAUSAL_LM", "LMHeadModel": "CAUSAL_LM", "ForConditionalGeneration": "SEQ_2_SEQ_LM"}
# For these tasks PEFT looks in the adapter for the whole head, by such names, and fails where it is not there.
_HEADS = {"SEQ_CLS": ("classifier", "score"), "TOKEN_CLS": ("classifier", "score"), "QUESTION_ANS": ("qa_outputs",)}


def render_config(
    base: str | None,
    ranks: Mapping[str, int],
    config: Mapping[str, Any],
    *,
    targets: Sequence[str] | str,
    saved: Sequence[str] = (),
    fan_in_fan_out: bool = False,
    bias: str = "none",
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the text of adapter_config.json.

    Args:
        base: Name of the base, for whoever loads the adapter without naming it.
        ranks: Rank of every module that has factors.
        config: The base's config.json, which tells the task.
        targets: What selects exactly these modules; see `shortened`.
        saved: Modules that are saved whole.
        fan_in_fan_out: Whether layers are stored as [inputs, outputs].
        bias: Which biases were trained, in PEFT's words.
        more: Further settings.
    """
    usual = Counter(ranks.values()).most_common(1)[0][0] if ranks else 1
    unusual = {module: rank for module, rank in ranks.items() if rank != usual}
    # PEFT takes the first pattern that is the module's name or its end: longer names first, so that each finds its own.
    patterns = {_escaped(name): unusual[name] for name in sorted(unusual, key=lambda name: (-len(name), name))}
    found = {
        "peft_type": "LORA",
        "task_type": task_type(config),
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": usual,
        "lora_alpha": usual,
        "rank_pattern": patterns,
        "alpha_pattern": patterns,
        "target_modules": targets if isinstance(targets, str) else list(targets),
        "modules_to_save": list(saved) or None,
        "lora_dropout": 0.0,
        "fan_in_fan_out": fan_in_fan_out,
        "bias": bias,
        "init_lora_weights": True,
        "use_rslora": False,
        "use_dora": False,
    } | dict(more or {})
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()


def _escaped(name: str) -> str:
    """Return a name as PEFT's pattern of it: dots match themselves anyway, other signs must not mean anything."""
    return "".join(letter if letter.isalnum() or letter in "._-" else f"\\{letter}" for letter in name)


def task_type(config: Mapping[str, Any]) -> str | None:
    """Return PEFT's word for what a model is for, where its config.json tells.

    None for classifiers: their head has factors like other layers, and PEFT's classes for them want it whole.
    """
    architecture = next(iter(config.get("architectures") or ()), "")
    found = next((task for ending, task in _TASKS.items() if architecture.endswith(ending)), None)
    return None if found == "SEQ_2_SEQ_LM" and not config.get("is_encoder_decoder") else found


def task_with_head(task: Any, whole: Collection[str]) -> Any:
    """Return a task, or None where PEFT's class for it would look for a head that is not among what is saved whole."""
    heads = _HEADS.get(str(task), ())
    return task if not heads or any(part in heads for name in whole for part in name.split(".")) else None


def shortened(modules: Collection[str], names: Collection[str]) -> list[str] | str:
    """Return what `target_modules` says for these modules and no others.

    PEFT takes a module whose name is a listed one, or ends in it after a dot. So the last part of a name stands for
    all modules that end in it, where all of them are wanted. Where even a whole name is the end of another one, the
    outcome is a regular expression, which PEFT holds against whole names.

    Args:
        modules: The modules that are wanted.
        names: Names of all tensors of the model, from which its modules are known.
    """
    known = {name[:place] for name in names for place in range(len(name)) if name[place] == "."}
    unwanted = {ending for name in known.difference(modules) for ending in _endings(name)}
    if not unwanted.isdisjoint(modules):
        return "|".join(map(re.escape, modules))
    shortest = (name.rpartition(".")[2] for name in modules)
    found = (
        short if short not in unwanted and not short.isdigit() else name
        for short, name in zip(shortest, modules, strict=True)
    )
    return list(dict.fromkeys(found))


def _endings(name: str) -> list[str]:
    """Return a module's name, and what is left of it after each of its dots."""
    return [name, *(name[place + 1 :] for place in range(len(name)) if name[place] == ".")]
