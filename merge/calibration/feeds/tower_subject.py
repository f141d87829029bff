"""The text towers of models of images and texts: captions in, features out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..subject import Batch
from .placing import places_in
from .text_subject import TextSubject

if TYPE_CHECKING:
    from torch import Tensor

    from ...evaluation.candidate import Candidate
    from ...evaluation.model_name import ModelName
    from ...evaluation.task import Settings
    from ...evaluation.zero_shot.text_tower import TextTower
    from .text_reader import Row

MASK = "attention_mask"


def load_tower_subject(candidate: Candidate, model: ModelName, settings: Settings) -> TextSubject:
    """Build the text tower of a whole CLIP or SigLIP checkpoint, of transformers or open_clip.

    Raises:
        MergeError: The checkpoint has no text tower, or does not fit its architecture.
    """
    from ...evaluation.networks.network import own_memory
    from ...evaluation.zero_shot.text_tower import load_text_tower

    tower = load_text_tower(candidate, model, settings.device)
    tower.module.requires_grad_(True)
    own_memory(tower.module)

    def no_logits(outputs: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        raise AssertionError("a tower predicts nothing")

    return TextSubject(
        name=candidate.name,
        module=tower.module,
        device=settings.device,
        predicts="nothing",
        reader=TowerReader(tower),
        call=lambda inputs: tower.embed(dict(inputs)),
        to_logits=no_logits,
        placed=places_in(tower.module, tower.names(), candidate.tensors),
    )


@dataclass
class TowerReader:
    """How a text tower reads captions: a batch at a time, since its tokenizer fills them up as it was trained."""

    tower: TextTower
    gives_texts: bool = False

    def read(self, row: Row, seed: Sequence[int]) -> tuple[str, bool]:
        """Return the text as it is, and whether it will be cut."""
        tokens, length = self._tokens(row.text, None)
        wider, _ = self._tokens(row.text, length + 1)
        return row.text, bool((wider[:, :length] != tokens).any())

    def pieces(self, document: str) -> list[str]:
        """Return a text's lines that are not empty: captions are no running text."""
        return [line.strip() for line in document.split("\n") if line.strip()]

    def read_piece(self, piece: str, number: int, seed: Sequence[int]) -> str:
        """Return the text as it is."""
        return piece

    def rows(self, size: int) -> int:
        """Return the size."""
        return size

    def begin(self, texts: Sequence[str]) -> None:
        """Do nothing."""

    def batch(self, texts: Sequence[str], classes: Tensor | None) -> Batch:
        """Return the tower's inputs."""
        inputs = self.tower.tokenize(texts, None)
        name = "text" if "text" in inputs else "input_ids"
        counted = inputs[MASK].bool() if MASK in inputs else self._counted(inputs[name])
        return Batch(inputs, None, {name: counted})

    def _tokens(self, text: str, length: int | None) -> tuple[Tensor, int]:
        inputs = self.tower.tokenize([text], length)
        tokens = inputs["text"] if "text" in inputs else inputs["input_ids"]
        return tokens, tokens.shape[1]

    def _counted(self, tokens: Tensor) -> Tensor:
        """Return which of the tokens [items, length] are no padding, where the tokenizer does not say.

        An empty text shows what padding is. What is within a text counts, even if it has the same number (in
        open_clip's tokenizer, an exclamation mark). SigLIP ends a text with what it pads with, which counts once.
        """
        import torch

        empty, _ = self._tokens("", None)
        padding, ends_with_padding = empty[0, -1], bool(empty[0, 0] == empty[0, -1])
        places = torch.arange(tokens.shape[1])
        last = torch.where(tokens != padding, places, -1).amax(dim=1, keepdim=True)
        return places <= last + int(ends_with_padding)
