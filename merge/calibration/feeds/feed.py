"""A description of data ▸ what feeds it to networks: images or texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ...errors import UsageError
from ...evaluation.data_source import TABLES
from ...evaluation.kinds.classification import Classification
from ...evaluation.kinds.zero_shot import ZeroShot

if TYPE_CHECKING:
    from ...evaluation.candidate import Candidate
    from ...evaluation.task import Settings
    from ..subject import Sample, Subject
    from .describing import Description
    from .drawing import Drawing

IMAGES = ("images", "image", "img")


class Feed(Protocol):
    """Data of one kind."""

    @property
    def reads(self) -> str:
        """``images`` or ``texts``."""

    @property
    def head(self) -> object:
        """What decides on the head of models without one."""

    def subject(self, candidate: Candidate, settings: Settings, *, with_head: bool) -> Subject:
        """Build a candidate's network. Raises MergeError or UsageError where it does not read such data."""

    def sample(self, subject: Any, drawing: Drawing, settings: Settings) -> Sample:
        """Draw items for a network that ``subject`` made. Raises MergeError or UsageError where they do not fit."""


def feed_of(description: Description) -> Feed:
    """Return the feed of described data; tables that were named alone are opened to see what they hold.

    Raises:
        UsageError: A table has no images and no texts.
        MergeError: It cannot be read.
    """
    from .describing import texts_of_table
    from .images import ImageFeed
    from .texts import TextFeed

    benchmark: Any = description.benchmark
    if description.is_shorthand and isinstance(benchmark, Classification) and benchmark.data.form in TABLES:
        benchmark = benchmark if _has_images(benchmark) else texts_of_table(description)
    if isinstance(benchmark, Classification | ZeroShot):
        return ImageFeed(description, benchmark)
    return TextFeed(description, benchmark)


def _has_images(benchmark: Classification) -> bool:
    from ...evaluation.data.opening import open_table

    columns = list(open_table(benchmark.data)[0].features)
    if any(name in columns for name in IMAGES):
        return True
    if "text" in columns:
        return False
    hint = f"columns: {', '.join(columns)}; a YAML file names them: data: {{path: …, text: …}}"
    raise UsageError("the table has no column 'images' and no column 'text'", where=benchmark.where, hint=hint)
