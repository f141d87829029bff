"""Where the outcome's vocabulary and chat template differ from mergekit's on purpose."""

from __future__ import annotations

from collections.abc import Iterator

from ..recipe import Output
from ..vocabulary.request import UNION


def token_differences(output: Output, *, stacks: bool) -> Iterator[str]:
    """Yield what concerns a recipe.

    Args:
        output: What it says of the output.
        stacks: Whether it has slices.
    """
    request = output.tokenizer
    if request is not None:
        if request.pad_to_multiple_of is None:
            yield "rows of embeddings beyond the tokens are kept (mergekit drops them)"
        if request.source == UNION:
            yield "added tokens come in the order of the models and match whole words (mergekit: any order, anywhere)"
        yield "numbers of tokens in config.json follow the tokens (mergekit: they stay as they are)"
        if stacks:
            yield "tokens take their rows from all models (mergekit: from those of the first and the last slice)"
    if output.chat_template is not None and "{" not in output.chat_template and output.chat_template != "auto":
        yield "built-in chat templates are this tool's own, after the formats' publishers (white space may differ)"
