"""Texts ▸ networks that read, and batches of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import xxhash

from ...errors import MergeError, UsageError
from ...evaluation.data.arrays import NO_LABEL
from ...evaluation.kinds.perplexity import Perplexity
from ...evaluation.language.documents import load_documents
from ...evaluation.language.labelled_texts import LabelledTexts, LabelledTextSource, load_labelled_texts
from .load_text_subject import load_text_subject
from .text_network import Wanted
from .text_reader import Row
from .text_sample import TextSample
from .text_subject import TextSubject

if TYPE_CHECKING:
    from ...evaluation.candidate import Candidate
    from ...evaluation.language.text_classification import TextClassification
    from ...evaluation.task import Settings
    from .describing import Description
    from .drawing import Drawing


class TextFeed:
    """Texts of one benchmark or shorthand, loaded once for all models.

    Args:
        description: What ``--data`` named.
        benchmark: The same as a benchmark of texts.
    """

    reads = "texts"

    def __init__(self, description: Description, benchmark: TextClassification | Perplexity) -> None:
        self.description, self.benchmark = description, benchmark

    @property
    def head(self) -> object:
        """What decides on the head: data of one mixture must agree on it for predictions."""
        head = None if isinstance(self.benchmark, Perplexity) else self.benchmark.head
        return head and (head.path.resolve(), head.name)

    def subject(self, candidate: Candidate, settings: Settings, *, with_head: bool) -> TextSubject:
        """Build a candidate's network. Raises MergeError or UsageError as ``load_text_subject`` does."""
        benchmark, name = self.benchmark, self.description.name
        if isinstance(benchmark, Perplexity):
            wanted = Wanted(name, benchmark.model, None, with_head, benchmark.context)
        else:
            wanted = Wanted(name, benchmark.model, benchmark.head, with_head, None)
        return load_text_subject(candidate, wanted, settings)

    def sample(self, subject: Any, drawing: Drawing, settings: Settings) -> TextSample:
        """Draw texts and encode them.

        Raises:
            UsageError: The texts do not fit the model.
            MergeError: They cannot be read.
        """
        if not isinstance(subject, TextSubject):
            raise MergeError(f"the model reads no texts, which '{self.description.name}' has", where=subject.name)
        seed = (drawing.seed, xxhash.xxh3_64_intdigest(self.description.name.encode()))
        draw = self._pieces if isinstance(self.benchmark, Perplexity) else self._rows
        return draw(subject, drawing, seed)

    def _pieces(self, subject: TextSubject, drawing: Drawing, seed: Sequence[int]) -> TextSample:
        reader = subject.reader
        pieces = [piece for document in self._documents for piece in reader.pieces(document)]
        if not pieces:
            raise UsageError("the texts have no token for this model", where=self.description.where)
        items = drawing.items(len(pieces), self.description.name)
        texts = [reader.read_piece(pieces[item], int(item), seed) for item in items]
        digest = xxhash.xxh3_128_hexdigest(repr([pieces[item] for item in items]).encode())
        return TextSample(texts, None, reader, self._about(drawing, len(pieces), digest, []))

    def _rows(self, subject: TextSubject, drawing: Drawing, seed: Sequence[int]) -> TextSample:
        reader = subject.reader
        data = self._with_targets if reader.gives_texts else self._texts
        items = drawing.items(len(data.texts), self.description.name)
        rows = [_row(data, int(item)) for item in items]
        read = [reader.read(row, seed) for row in rows]
        labels = [int(data.labels[item]) for item in items]
        digest = xxhash.xxh3_128_hexdigest(repr(([row[:3] for row in rows], labels)).encode())
        cut = sum(is_cut for _, is_cut in read)
        notes = [f"{cut} of {len(read)} texts were cut to the length that the model takes"] if cut else []
        known = labels if NO_LABEL not in labels and subject.predicts == "classes" else None
        about = self._about(drawing, len(data.texts), digest, notes)
        return TextSample([text for text, _ in read], known, reader, about)

    def _about(self, drawing: Drawing, total: int, digest: str, notes: list[str]) -> dict[str, Any]:
        about = {"name": self.description.name, "split": self.benchmark.split, **drawing.about(total)}
        return {**about, "digest": digest, "notes": [*notes, *drawing.notes(total)]}

    @cached_property
    def _documents(self) -> list[str]:
        assert isinstance(self.benchmark, Perplexity)  # noqa: S101 -- only running texts are cut in pieces
        return load_documents(self.benchmark.data)

    @cached_property
    def _texts(self) -> LabelledTexts:
        return load_labelled_texts(self._source)

    @cached_property
    def _with_targets(self) -> LabelledTexts:
        return load_labelled_texts(replace(self._source, target=self.description.target))

    @property
    def _source(self) -> LabelledTextSource:
        assert not isinstance(self.benchmark, Perplexity)  # noqa: S101 -- a table has rows
        table = self.benchmark.data
        return replace(table, source=replace(table.source, needs_labels=False))


def _row(data: LabelledTexts, item: int) -> Row:
    pair = None if data.pairs is None else data.pairs[item]
    return Row(data.texts[item], pair, None if data.targets is None else data.targets[item], item)
