"""What is said of models whose tensors differ in their names or shapes."""

from __future__ import annotations

from collections.abc import Sequence

from ..checkpoints.checkpoint import Source
from ..errors import MergeError

SHOWN = 8  # names listed in a message before "and … more"
_WHAT = {"missing": "not in all models", "mismatch": "different in shape"}
_OF_TOKENS = ("embed_tokens.weight'", "word_embeddings.weight'", "wte.weight'", "lm_head.weight'")


def refusal(kind: str, problems: Sequence[str], sources: Sequence[Source]) -> MergeError:
    """Return the error that lists these problems, one for each tensor, and says what to do about them.

    Args:
        kind: Tensors are ``missing`` from some models, or of another shape (``mismatch``).
        problems: What is wrong, with the tensor's name in quotes.
        sources: The models.
    """
    shown = "; ".join(problems[:SHOWN]) + (f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else "")
    count = "1 tensor is" if len(problems) == 1 else f"{len(problems)} tensors are"
    return MergeError(f"{count} {_WHAT[kind]}: {shown}", hint=_hint(kind, problems, sources))


def _hint(kind: str, problems: Sequence[str], sources: Sequence[Source]) -> str:
    policy = f"--{kind} base, skip or average-present says what to do"
    if kind == "missing" and any(".lora_A" in problem for problem in problems):
        return "an adapter goes with its base: BASE+ADAPTER"
    kinds = dict.fromkeys(str(source.config["model_type"]) for source in sources if source.config.get("model_type"))
    if len(kinds) > 1:
        return f"by their config.json these are models of different architectures: {', '.join(kinds)}; else {policy}"
    if kind == "mismatch" and any(name in problem for problem in problems for name in _OF_TOKENS):
        return f"other vocabularies: a recipe with `output: {{tokenizer: union}}` matches them by token; else {policy}"
    return policy
