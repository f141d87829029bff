"""A model over documents: what each of its tokens cost, and with what context it was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import MergeError, UsageError
from ..inference import inference
from ..quiet import quiet_transformers
from .likelihood import causal_bits, masked_bits, special_tokens
from .network import LanguageModel, refuse_unknown_tokens
from .portions import Portions
from .windows import DEFAULT_CONTEXT, Window, causal_windows, masked_windows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..task import Settings


@dataclass(frozen=True)
class Reading:
    """How a model reads.

    Attributes:
        context: Tokens that it sees at once, special ones included.
        stride: Tokens by which its windows move on.
        start: The token put before every text, so that the first one is predicted too; None: it is not scored.
    """

    context: int
    stride: int
    start: int | None


@dataclass(frozen=True)
class Scores:
    """What every window cost.

    Attributes:
        windows: In the order of the documents.
        bits: Of every scored token, one array a window.
    """

    windows: Sequence[Window]
    bits: Sequence[NDArray[np.float64]]


def reading(model: LanguageModel, context: int | None, stride: int | None, where: str) -> Reading:
    """Decide how a model reads, from what the benchmark asks and what the model takes.

    Args:
        model: A causal or masked one.
        context: In tokens; by default what the model takes, up to 1024.
        stride: In tokens; by default half the context.
        where: The benchmark file, for messages.

    Raises:
        UsageError: The stride is not below the context.
        MergeError: The model does not take so many tokens, or has no likelihood of a text.
    """
    limit = model.context()
    if context is None:
        context = min(limit or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    elif limit is not None and context > limit:
        raise MergeError(
            f"the model takes {limit} tokens at once; a context of {context} is too long", where=model.name
        )
    stride = max(1, context // 2) if stride is None else stride
    if stride >= context:
        what = f"a stride of {stride} tokens must be below the context of {context}"
        raise UsageError(what, where=where, hint="in between lies the context of each window's first token")
    if model.kind == "seq2seq":
        what = f"{type(model.network).__name__} answers to a text; perplexity is that of a causal or masked model"
        raise MergeError(what, where=model.name)
    if model.kind == "masked" and model.tokenizer.mask_token_id is None:
        raise MergeError("the tokenizer of this masked language model has no mask token", where=model.name)
    return Reading(context, stride, _start(model))


def score_documents(model: LanguageModel, documents: Sequence[str], how: Reading, settings: Settings) -> Scores:
    """Score every token of every document once; progress is in characters.

    Raises:
        MergeError: The tokenizer gives tokens that the model lacks, or the model does not run.
    """
    windows = [
        window
        for number, document in enumerate(documents)
        for window in _windows(model, number, _tokens(model, document), how)
    ]
    score = masked_bits if model.kind == "masked" else causal_bits
    done = Portions(len(windows), sum(map(len, documents)), settings.advance)
    with inference(settings.seed):
        return Scores(windows, score(model, windows, settings.batch_size, done))


def _start(model: LanguageModel) -> int | None:
    """Return the token that begins a text: as in lm-evaluation-harness the first one, else the last one."""
    tokenizer = model.tokenizer
    if model.kind == "masked":
        return None
    start: int | None = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return start


def _tokens(model: LanguageModel, document: str) -> list[int]:
    with quiet_transformers():  # which warns of texts that are longer than the model takes
        tokens: list[int] = model.tokenizer(document, add_special_tokens=False)["input_ids"]
    refuse_unknown_tokens(tokens, model.vocabulary, model.name)
    return tokens


def _windows(model: LanguageModel, number: int, tokens: list[int], how: Reading) -> list[Window]:
    if model.kind == "causal":
        start = [] if how.start is None else [how.start]
        return list(causal_windows(number, start + tokens, how.context, how.stride))
    before, after = special_tokens(model)
    context = how.context - len(before) - len(after)
    if context < 1:
        raise MergeError(f"no token fits into a context of {how.context} beside special ones", where=model.name)
    return list(masked_windows(number, tokens, context, min(how.stride, context)))
