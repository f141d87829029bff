"""The token that fills up the shorter texts of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .network import embeddings


class Filler:
    """The model's own ``pad_token_id``; for a model without one, a token that none of its texts has.

    A causal classifier of transformers reads its logits off the last token that is no filler (``forward`` of
    ``GenericForSequenceClassification``), and without a filler off the last token. So a token that a text may end
    with, such as the tokenizer's last one, would move them.

    Args:
        network: Of transformers, with its weights.
    """

    def __init__(self, network: Any) -> None:
        self._config, self._known = network.config.get_text_config(), embeddings(network)
        self._is_own = getattr(self._config, "pad_token_id", None) is not None

    @property
    def token(self) -> int | None:
        """The token; None: the model takes one text at a time."""
        token: int | None = self._config.pad_token_id
        return token

    def choose(self, texts: Sequence[Sequence[int]]) -> None:
        """Give a model without a token of its own one that is in none of the texts, as long as there is one."""
        if not self._is_own:
            used = set().union(*texts)
            self._config.pad_token_id = next((token for token in range(self._known) if token not in used), None)
