"""A commented recipe for a method, made from its declaration."""

from __future__ import annotations

from .method import Method


def recipe_template(method: Method) -> str:
    """Return the YAML text; it runs as it is once the paths exist."""
    own = [option for option in method.options.declarations.values() if not option.per_model]
    per_model = [option for option in method.options.declarations.values() if option.per_model]
    beside = "".join(f", {option.name}: 0.5" for option in per_model)
    needed = method.needs_base
    count = max(2, method.minimum_models)
    lines = [f"# {method.summary}", f"# Run it with: merge run {method.name}.yaml", f"merge: {method.name}"]
    note = "the model that the others were tuned from" if needed else "optional: decides types, config and tokenizer"
    lines.append(f"{'' if needed else '# '}base: ./base    # {note}")
    lines.append("models:           # files or folders; relative paths count from this file")
    lines += [f"  - {{model: ./tuned-{number}{beside}}}" for number in range(1, count + 1)]
    lines += [
        f"                  # {option.name}: {option.help} Default: {option.shown_default}." for option in per_model
    ]
    if own:
        lines.append("options:")
        lines += [
            f"  {option.name}: {option.shown_default}    # {option.help}{f' ({option.range})' if option.range else ''}"
            for option in own
        ]
    lines += ["# keep: ['lm_head.*']        # tensors that stay as the base has them", "output:"]
    lines += ["  path: ./merged            # a folder; *.st or *.safetensors gives one file"]
    lines += ["  # dtype: bfloat16", "  # max_shard_size: 5GB"]
    return "\n".join(lines) + "\n"
