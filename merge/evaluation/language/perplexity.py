"""What every token cost ▸ perplexity and bits per byte with their intervals, and what pairs two models."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..metrics import CONFIDENCE
from ..outcome import Measure, Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .network import LanguageModel
    from .scores import Reading, Scores

RESAMPLES = 9999
ELEMENTS_AT_ONCE = 10**6  # of the resampled arrays
NO_START = "the tokenizer has no token that begins a text, so each document's first token is not scored"
METHODS = {
    "causal": "each token given those to its left",
    "masked": "pseudo-perplexity, each token masked alone (Salazar et al. 2020)",
}


def outcome_of(scores: Scores, documents: Sequence[str], model: LanguageModel, how: Reading, seed: int) -> Outcome:
    """Return perplexity (per token, ``n`` tokens) and bits per byte of UTF-8.

    Raises:
        MergeError: There are fewer than two tokens, or several documents of which fewer than two have a token to
            score; or the perplexity is larger than any number.
    """
    import numpy as np

    unit, bits, tokens, share = _units(scores, documents)
    count, size = int(tokens.sum()), sum(len(document.encode()) for document in documents)
    if count < 2:
        raise MergeError("the text has fewer than 2 tokens to score: no interval can be given", where=model.name)
    scored = tokens > 0  # a document of one token has none where nothing stands to the left of it
    if scored.sum() < 2:
        what = f"only 1 of {len(documents)} documents has tokens to score: no interval can be given"
        raise MergeError(what, where=model.name, hint=NO_START if how.start is None else None)
    per_token, per_byte = _ratio(bits[scored], tokens[scored], seed), _ratio(bits, share * size, seed)
    with np.errstate(over="ignore"):
        value, low, high = (float(np.exp2(each)) for each in per_token)
    if not np.isfinite(high):
        raise MergeError("the perplexity is too large for a number", where=model.name)
    measures = (Measure("perplexity", value, low, high, count), Measure("bits_per_byte", *per_byte, count))
    details = _details(model, how, count, size, len(documents), unit)
    return Outcome(measures, bits, f"bits_per_{unit}", _pairing(unit, scores, how), details=details)


def _units(
    scores: Scores, documents: Sequence[str]
) -> tuple[str, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return what is resampled and paired: several documents, else a text's windows, else a window's tokens.

    Returns:
        The unit's name, then for every one of them [n] its bits, its tokens, and its share of all bytes.
    """
    import numpy as np

    lengths = np.array([len(bits) for bits in scores.bits], np.float64)
    sums = np.array([bits.sum() for bits in scores.bits])
    if len(documents) > 1:
        owners = [window.document for window in scores.windows]
        of_documents = [np.bincount(owners, each, len(documents)).astype(np.float64) for each in (sums, lengths)]
        sizes = np.array([len(document.encode()) for document in documents], np.float64)
        return "document", of_documents[0], of_documents[1], sizes / sizes.sum()
    if len(scores.windows) > 1:
        return "window", sums, lengths, lengths / lengths.sum()
    singles = np.concatenate([*scores.bits, np.zeros(0)])
    return "token", singles, np.ones_like(singles), np.full_like(singles, 1 / max(1, singles.size))


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64], seed: int) -> tuple[float, float, float]:
    """Return the ratio of two sums over the same units [n], and its interval by the percentile bootstrap."""
    import numpy as np
    from scipy.stats import bootstrap

    found = bootstrap(
        (above, below),
        lambda first, second, axis: first.sum(axis=axis) / second.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, ELEMENTS_AT_ONCE // above.size),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return float(above.sum() / below.sum()), float(interval.low), float(interval.high)


def _pairing(unit: str, scores: Scores, how: Reading) -> str:
    """Documents pair whatever the tokenizer; windows and tokens only where they are cut the same way."""
    if unit == "document":
        return unit
    cut = hashlib.sha256(repr([(list(each.tokens), each.first, each.last) for each in scores.windows]).encode())
    return f"{unit} {how.context} {how.stride} {cut.hexdigest()}"


def _details(model: LanguageModel, how: Reading, tokens: int, size: int, documents: int, unit: str) -> dict[str, Any]:
    notes = [
        f"{METHODS[model.kind]}; context {how.context} and stride {how.stride} tokens; "
        f"{tokens} tokens and {size} bytes in {documents} document{'s' * (documents > 1)}; interval over {unit}s"
    ]
    if model.kind == "causal" and how.start is None:
        notes.append(NO_START)
    if unit == "token":
        notes.append("the text fits into one window: its interval takes tokens as independent, and is too narrow")
    return {
        "method": METHODS[model.kind],
        "context": how.context,
        "stride": how.stride,
        "start": None if how.start is None else model.tokenizer.convert_ids_to_tokens(how.start),
        "tokens": tokens,
        "bytes": size,
        "documents": documents,
        "notes": notes,
    }
