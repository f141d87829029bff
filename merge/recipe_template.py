"""A commented recipe for a method, made from its declaration."""

from __future__ import annotations

import json

from .bundles.rule import Rule
from .method import Method
from .options import REQUIRED, Declaration


def recipe_template(method: Method) -> str:
    """Return the YAML text; it runs as it is once the paths exist."""
    declared = method.options.declarations.values()
    own = [option for option in declared if not option.per_model or option.shared]
    beside = [option for option in declared if option.per_model and not option.shared]
    count = max(min(2, method.maximum_models or 2), method.minimum_models)
    values = "".join(f", {option.name}: {_example(option, count)}" for option in beside)
    from_data = method.sequential or method.learns_together or method.widens
    given = "data: ./data-{}.yaml" if from_data else f"{method.statistics}: ./{method.statistics}-{{}}.st"
    learns = f", {given}" if method.statistics else ""
    lines = [*_head(method), f"merge: {method.name}"]
    needed = method.needs_base or method.sequential
    note = "the model that the others were tuned from" if needed else "optional: decides types and config"
    lines += [] if method.widens else [f"{'' if needed else '# '}base: ./base    # {note}"]
    lines.append("models:           # files or folders; relative paths count from this file")
    lines += [f"  - {{model: ./tuned-{number}{values}{learns.format(number)}}}" for number in range(1, count + 1)]
    lines += _learned(method)
    lines += [f"                  # {option.name}: {_about(option)}" for option in beside]
    lines += ["options:"] if any(option.default is not None for option in own) else []
    lines += [_line(option) for option in own]
    lines += ["# options:"] if method.aligns else []
    computing = [_line(option) for option in method.calibration.declarations.values()]
    lines += computing if from_data else [line.replace("  ", "  # ", 1) for line in computing]
    lines += [] if method.widens else ["# keep: ['lm_head.*']        # tensors that stay as the base has them"]
    lines += ["output:", "  path: ./merged            # a folder; *.st or *.safetensors gives one file"]
    lines += ["  # dtype: bfloat16", "  # rounding: stochastic", "  # overflow: saturate", "  # max_shard_size: 5GB"]
    return "\n".join(lines) + "\n"


def rule_template(rule: Rule) -> str:
    """Return the YAML text for a rule that joins models at inference; it runs as it is once the paths exist."""
    declared = rule.options.declarations.values()
    own = [option for option in declared if not option.per_model or option.shared]
    beside = [option for option in declared if option.per_model and not option.shared]
    roles = rule.roles or ("expert-1", "expert-2")
    values = "".join(f", {option.name}: {_example(option, len(roles))}" for option in beside)
    lines = [*_head(rule), f"merge: {rule.name}"]
    lines.append("models:           # files or folders; relative paths count from this file")
    lines += [f"  - {{model: ./{role}{values}}}" for role in roles]
    lines += [f"                  # {option.name}: {_about(option)}" for option in beside]
    lines += ["options:", *(_line(option) for option in own)]
    lines += ["output: ./bundle  # a folder that merge eval takes like a checkpoint; the models stay where they are"]
    return "\n".join(lines) + "\n"


def _head(method: Method | Rule) -> list[str]:
    """Return what it is, when to use it, and how the recipe is run, as comments."""
    advice = [f"# {line}" for paragraph in method.advice for line in paragraph.splitlines()]
    return [f"# {method.summary}", *advice, f"# Run it with: merge run {method.name}.yaml"]


def _learned(method: Method) -> list[str]:
    """Return what may stand beside a model of a method that learns from data."""
    needs = "; needs no labels" if not method.learns_together else ", those of all models together"
    data = f"                  # data: a benchmark's YAML, an npz file, a folder of images, texts{needs}"
    if not method.statistics:
        return []
    if method.sequential or method.learns_together:
        return [data]
    made = "an earlier run" if method.widens else f"merge calibrate {method.statistics}"
    return [f"                  # {method.statistics}: from {made}; or instead of it", data]


def _line(option: Declaration) -> str:
    """Return the line of an option with its default; commented out where the method works one out."""
    more = " One value for all models, or one beside each." if option.shared else ""
    if option.default is None:
        return f"  # {option.name}:    # {_about(option)}{more}"
    value = json.dumps(option.default)
    return f"  {option.name}: {value}    # {_about(option)}{more}"


def _about(option: Declaration) -> str:
    facts = [option.range] if option.range else []
    facts += [f"default {option.shown_default}"] if option.default is None or option.per_model else []
    return option.help + (f" ({'; '.join(facts)})" if facts else "")


def _example(option: Declaration, models: int) -> float | str:
    """Return a value to begin with: the default, or a half where there is none."""
    if option.type is str:
        return json.dumps(option.default)
    if option.default is REQUIRED:
        return 0.5
    return round(float(option.default(models) if callable(option.default) else option.default), 3)
