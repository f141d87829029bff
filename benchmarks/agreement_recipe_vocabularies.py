"""The vocabularies of the recipes with tokenizers: words, and byte pairs, with and without tokens of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SPECIAL = ("<unk>", "<s>", "</s>")
WORDS = tuple(f"w{number}" for number in range(61))
LETTERS = tuple("abcdefgh")


@dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer knows.

    Attributes:
        words: Its ordinary tokens; letters, where there are pairs.
        pairs: Letters or pairs that are joined, in turn.
        special: Unknown, beginning, end and what else the model is told of.
        added: Further tokens, added after training.
        tied: Whether its model has one matrix for input and output.
    """

    words: Sequence[str]
    pairs: Sequence[tuple[str, str]] = ()
    special: Sequence[str] = SPECIAL
    added: Sequence[str] = ()
    tied: bool = False

    def tokenizer(self) -> Any:
        """Return a tokenizer of transformers."""
        from tokenizers import AddedToken, Tokenizer, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        made = Tokenizer(self._model())
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in self.special])
        made.add_tokens([AddedToken(text, normalized=False) for text in self.added])
        unknown, begin, end = self.special[:3]
        return PreTrainedTokenizerFast(tokenizer_object=made, unk_token=unknown, bos_token=begin, eos_token=end)

    def _model(self) -> Any:
        from tokenizers import models

        joined = [one + other for one, other in self.pairs]
        numbers = {token: number for number, token in enumerate((*self.special, *self.words, *joined))}
        if self.pairs:
            return models.BPE(numbers, list(self.pairs), unk_token=self.special[0])
        return models.WordLevel(numbers, unk_token=self.special[0])


VOCABULARIES = {
    "t-words": Vocabulary(WORDS),
    "t-more": Vocabulary(WORDS, added=("<n1>", "<n2>")),
    "t-others": Vocabulary((*WORDS[30:], *WORDS[:20], "v0", "v1", "v2"), added=("<n3>",)),
    "t-few": Vocabulary(WORDS[:40]),
    "t-pairs": Vocabulary(LETTERS, (("a", "b"), ("c", "d"), ("ab", "c"))),
    "t-other-pairs": Vocabulary(LETTERS, (("e", "f"), ("a", "b"), ("ef", "g")), added=("<n1>",)),
    "t-special": Vocabulary(WORDS[:30], special=("<unk>", "<bos>", "<eos>", "<image>")),
    "t-tied": Vocabulary(WORDS, tied=True),
    "t-tied-more": Vocabulary(WORDS, added=("<n1>", "<n2>"), tied=True),
}
