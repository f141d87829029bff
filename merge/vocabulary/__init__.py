"""The output's vocabulary: its tokenizer, the rows of its embeddings, its chat template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..checkpoints.beside import AS_IT_IS, Beside

if TYPE_CHECKING:
    from ..planning.bound import Bound
    from ..planning.opening import Opener
    from ..recipe import Recipe


@dataclass(frozen=True)
class Prepared:
    """What aligning vocabularies changes.

    Attributes:
        replaced: Positions of opened models, and of the sources that take their places.
        beside: What becomes of the files beside the weights.
        notes: What was decided, in words.
    """

    replaced: Mapping[int, int] = field(default_factory=dict)
    beside: Beside = AS_IT_IS
    notes: tuple[str, ...] = ()


def prepare(recipe: Recipe, bound: Bound, opener: Opener) -> Prepared | None:
    """Bring all models into the output's vocabulary, as far as headers and tokenizer files tell; append such sources.

    Args:
        recipe: The recipe.
        bound: The recipe with its models opened.
        opener: The opened models.

    Returns:
        None where the recipe says nothing of tokenizer or chat template.

    Raises:
        UsageError: The recipe asks for what the models do not have.
        MergeError: A tokenizer is broken, or cannot be made.
    """
    if recipe.output.tokenizer is None and recipe.output.chat_template is None:
        return None
    from .preparing import prepare_output

    return prepare_output(recipe, bound, opener)
