"""Perplexity: how well a language model predicts a text, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...section import Section
from ..language.documents import TextSource, load_documents, read_text_source
from ..language.task import ModelByModel

if TYPE_CHECKING:
    from ..language.network import LanguageModel
    from ..outcome import Outcome
    from ..task import Settings

KEYS = ("name", "kind", "data", "model", "context", "stride")


@dataclass(frozen=True)
class Perplexity:
    """A perplexity benchmark, all paths resolved.

    Attributes:
        model: Folder with configuration and tokenizer for checkpoints that have none beside them.
        context: Tokens that a model sees at once; None: what it takes, up to 1024.
        stride: Tokens by which its window moves on; None: half the context.
    """

    name: str
    data: TextSource
    model: Path | None
    context: int | None
    stride: int | None
    where: str
    kind: str = "perplexity"
    split: str = "all"

    def prepare(self, settings: Settings) -> PerplexityTask:
        """Read the texts."""
        return PerplexityTask(self, settings)


def read(section: Section, folder: Path, name: str) -> Perplexity:
    """Read a benchmark of this kind. Raises UsageError with the place of what is wrong."""
    section.check_keys(KEYS, required=("kind", "data"))
    context = section.whole_number("context", least=2, of="tokens")
    stride = section.whole_number("stride", least=1, of="tokens")
    if context is not None and stride is not None and stride >= context:
        raise UsageError(f"'stride' must be below the context of {context}", where=section.where("stride"))
    return Perplexity(
        name=name,
        data=read_text_source(section, folder),
        model=folder / section.text("model", "") if "model" in section.mapping else None,
        context=context,
        stride=stride,
        where=section.name,
    )


class PerplexityTask(ModelByModel):
    """Texts in memory, read by one model after another."""

    benchmark: Perplexity

    def __init__(self, benchmark: Perplexity, settings: Settings) -> None:
        self.benchmark, self.settings = benchmark, settings
        self.documents = load_documents(benchmark.data)

    @property
    def n(self) -> int:
        """Characters in all texts, which models of any tokenizer have in common."""
        return sum(map(len, self.documents))

    def item_digests(self) -> set[bytes]:
        """Return a digest of every text."""
        from ...content_id import digest

        return {digest(document.encode()) for document in self.documents}

    def run(self, model: LanguageModel, folder: Path | None) -> Outcome:
        """Score every token of every text once; the folder says nothing that matters here."""
        from ..language.perplexity import outcome_of
        from ..language.scores import reading, score_documents

        benchmark, settings = self.benchmark, self.settings
        how = reading(model, benchmark.context, benchmark.stride, benchmark.where)
        scores = score_documents(model, self.documents, how, settings)
        return outcome_of(scores, self.documents, model, how, settings.seed)
