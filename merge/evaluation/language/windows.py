"""Long texts ▸ windows of tokens in which every token is scored exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DEFAULT_CONTEXT = 1024  # tokens; the context of the guide that the defaults follow


@dataclass(frozen=True)
class Window:
    """A stretch of one text.

    Attributes:
        document: Number of the text.
        tokens: All tokens in sight.
        first: Position in ``tokens`` of the first one that is scored.
        last: Position after the last one that is scored.
    """

    document: int
    tokens: Sequence[int]
    first: int
    last: int


def causal_windows(document: int, tokens: Sequence[int], context: int, stride: int) -> Iterator[Window]:
    """Slide over a text: each token is scored from at least ``context - stride`` tokens to its left, if there are any.

    The first token of all is not scored: nothing stands to its left. As in "Perplexity of fixed-length models" of the
    documentation of transformers.

    Args:
        document: Number of the text.
        tokens: All of its tokens.
        context: Tokens in a window.
        stride: Tokens by which windows move on; below ``context``.
    """
    return _windows(document, tokens, context, stride, scored=1, margin=0)


def masked_windows(document: int, tokens: Sequence[int], context: int, stride: int) -> Iterator[Window]:
    """Slide over a text: each token is scored in the middle of its window, except at the text's two ends."""
    return _windows(document, tokens, context, stride, scored=0, margin=(context - stride) // 2)


def _windows(
    document: int, tokens: Sequence[int], context: int, stride: int, *, scored: int, margin: int
) -> Iterator[Window]:
    """Yield windows; ``scored`` tokens are done before the first one, ``margin`` at the right are left to the next."""
    for begin in range(0, len(tokens), stride):
        end = min(begin + context, len(tokens))
        until = end if end == len(tokens) else end - margin
        if until > scored:
            yield Window(document, tokens[begin:end], scored - begin, until - begin)
        scored = until
        if end == len(tokens):
            return
