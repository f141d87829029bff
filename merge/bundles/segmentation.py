"""Whether two tokenizers cut texts at the same places: the same tokens alone do not tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..errors import MergeError

# What tokenizers differ in: spaces, numbers, cases, accents (composed and not), scripts, code, joined symbols.
TEXTS = (
    "The quick brown fox doesn't jump over 12345.67 lazy dogs; it isn't interested, naïvely.",
    "  two spaces,\ttab\n\nand lines\r\n  indented: def f(x): return x**2 != 1e-3",
    "Où est l'hôtel? Straße, ÉCOLE, e\u0301cole, ﬁn, İstanbul",
    "Съешь же ещё этих мягких французских булок. 你好,世界!こんにちは 안녕하세요",
    "https://example.org/a_b?c=d&e=%20 <tag attr='x'> 👩‍👩‍👧 🙂 ½ ² ™ …",
)
PARTS = ("normalizer", "pre_tokenizer")
HINT = "only models whose tokenizers cut texts alike can be mixed"
SHOWN = 12  # tokens of a difference


def check_segmentation(pair: Sequence[Any], names: Sequence[str], texts: Sequence[str], *, exact: bool) -> None:
    """Raise MergeError where two tokenizers would cut a text differently.

    Args:
        pair: The tokenizers.
        names: Of their models.
        texts: To cut, beside those that are tried always.
        exact: They have the same vocabulary, so rules of cutting must be the same to the last; otherwise tokens that
            one of them lacks may be anything, as long as everything else stays in its place.
    """
    backends: list[Any] = [getattr(tokenizer, "backend_tokenizer", None) for tokenizer in pair]
    if None not in backends:
        first, other = (json.loads(backend.to_str()) for backend in backends)
        _check_rules(first, other, names, exact=exact)
    vocabularies = [tokenizer.get_vocab().keys() for tokenizer in pair]
    for text in (*TEXTS, *texts):
        cut = [_cut(tokenizer, text) for tokenizer in pair]
        if cut[0] != cut[1] and (exact or not _alike(cut, vocabularies)):
            raise MergeError(_difference(text, cut, names), hint=HINT)


def _check_rules(first: dict[str, Any], other: dict[str, Any], names: Sequence[str], *, exact: bool) -> None:
    """Compare what ``tokenizer.json`` says of cutting."""
    models = [dict(each["model"]) for each in (first, other)]
    if not exact or models[0].get("type") != "Unigram":  # whose vocabulary holds the scores that decide
        for model in models:
            model.pop("vocab", None)
    for model in models if not exact else ():
        model.pop("merges", None)
        model.pop("unk_id", None)
    for part in PARTS:
        models[0][part], models[1][part] = first.get(part), other.get(part)
    for part in sorted(models[0].keys() | models[1].keys()):
        one, two = (model.get(part) for model in models)
        if one != two:
            what = f"the tokenizers of {names[0]} and {names[1]} cut texts by other rules"
            raise MergeError(f"{what}: {_first_difference(part, one, two)}", hint=HINT)


def _first_difference(part: str, one: Any, two: Any) -> str:
    """Return where two values differ first, in words."""
    if isinstance(one, list) and isinstance(two, list):
        for index in range(max(len(one), len(two))):
            pair = [each[index] if index < len(each) else "nothing" for each in (one, two)]
            if pair[0] != pair[1]:
                return f"{part.removesuffix('s')} {index} is {pair[0]} and {pair[1]}"
    return f"{part} is {_short(one)} and {_short(two)}"


def _short(value: Any, most: int = 80) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[:most]}…"


def _cut(tokenizer: Any, text: str) -> list[str] | None:
    """Return the tokens of a text; None where the tokenizer cannot cut it."""
    try:
        found: list[str] = tokenizer.tokenize(text)
    except Exception:  # a model of words without one for the unknown raises plain Exception
        return None
    return found


def _alike(cut: Sequence[list[str] | None], vocabularies: Sequence[Any]) -> bool:
    """Tell whether two lists of tokens agree wherever both tokenizers know both tokens."""
    first, other = cut
    if first is None or other is None:
        return first is other
    return len(first) == len(other) and all(
        one == two or two not in vocabularies[0] or one not in vocabularies[1]
        for one, two in zip(first, other, strict=True)
    )


def _difference(text: str, cut: Sequence[list[str] | None], names: Sequence[str]) -> str:
    """Return a message with the text around the first difference as both cut it."""
    lists = [each or [] for each in cut]
    same = next((n for n, (one, two) in enumerate(zip(*lists, strict=False)) if one != two), min(map(len, lists)))
    shown = [each[max(0, same - 2) : same + SHOWN - 2] for each in lists]
    return f"the tokenizers cut {text[:60]!r} differently: {shown[0]} in {names[0]}, {shown[1]} in {names[1]}"
