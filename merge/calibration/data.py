"""What ``--data`` names: data for calibration, the networks that read it, and samples drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ..checkpoints.local_path import local_path
from ..errors import UsageError
from .feeds.describing import Description, describe
from .feeds.drawing import Drawing
from .feeds.feed import Feed, feed_of
from .feeds.mixture import Mixture

if TYPE_CHECKING:
    from ..evaluation.candidate import Candidate
    from ..evaluation.task import Benchmark, Settings
    from .subject import Sample, Subject


class CalibrationData:
    """One set of data, or a mixture of several.

    Args:
        spec: As the user wrote it.
        parts: Descriptions of the sets; nothing of them is read before it is needed.

    Attributes:
        name: What a statistics file calls it.
        where: What messages call it.
    """

    def __init__(self, spec: str, parts: Sequence[Description]) -> None:
        self.where, self.name = spec, ",".join(part.name for part in parts)
        self._parts = parts

    def subject(self, candidate: Candidate, settings: Settings) -> Subject:
        """Build a candidate's network, in float32 and evaluation mode, for what the data is.

        In a mixture, data with different heads leave a model without classes of its own without a head.

        Raises:
            UsageError: Nothing says what architecture or tokenizer it has, or it does not read such data.
            MergeError: The checkpoint does not fit its architecture.
        """
        first, *others = self._feeds
        return first.subject(candidate, settings, with_head=all(other.head == first.head for other in others))

    def sample(self, subject: Subject, count: int, draw: str, settings: Settings) -> Sample:
        """Draw items and prepare them for a network that ``subject`` made; the same ones for every model.

        A mixture of m sets has int(count / m) items of each (the protocol of sequential merging in RegMean++,
        arXiv:2508.03121).

        Args:
            subject: The network.
            count: How many items are wanted.
            draw: ``random`` or ``first``.
            settings: Seed of random draws, and whether broken images are left out.

        Raises:
            UsageError: The data does not fit the model, or is not what its description says.
            MergeError: It cannot be read.
        """
        each = count // len(self._parts)
        if each < 1:
            what = f"{count} samples are too few for a mixture of {len(self._parts)} sets of data"
            raise UsageError(what, where=self.where, hint=f"--samples {len(self._parts)} or more")
        samples = [feed.sample(subject, Drawing(each, draw, settings.seed), settings) for feed in self._feeds]
        return samples[0] if len(samples) == 1 else Mixture(samples)

    @property
    def benchmarks(self) -> list[Benchmark]:
        """The benchmarks that have the data, or that the user's shorthand was turned into."""
        return [part.benchmark for part in self._parts]

    @property
    def network(self) -> object:
        """What is equal for data that one network of a model can read; None where each needs its own."""
        if any(feed.reads != "images" for feed in self._feeds):
            return None
        models = [getattr(benchmark, "model", None) for benchmark in self.benchmarks]
        return repr([(feed.head, model) for feed, model in zip(self._feeds, models, strict=True)])

    @cached_property
    def _feeds(self) -> list[Feed]:
        feeds = [feed_of(part) for part in self._parts]
        if len({feed.reads for feed in feeds}) > 1:
            kinds = ", ".join(f"'{part.name}' is {feed.reads}" for part, feed in zip(self._parts, feeds, strict=True))
            raise UsageError(f"a mixture of images and texts: {kinds}", where=self.where)
        return feeds


def read_each(spec: str) -> list[CalibrationData]:
    """Read what ``--data`` names as sets of their own, where several have commas between them. Raises as `read_data`.

    Args:
        spec: As for `read_data`.
    """
    parts = [spec] if local_path(spec).exists() else [part.strip() for part in spec.split(",")]
    return [read_data(part) for part in dict.fromkeys(parts)]


def read_data(spec: str) -> CalibrationData:
    """Read what ``--data`` names.

    Args:
        spec: A benchmark's YAML file or bundled name; or the data themselves: an npz file, a folder of images, a text
            file, a .jsonl, .csv or .parquet file with a column ``text``, ``builtin:digits``, ``hub:org/name``. Several
            with commas between them are a mixture.

    Raises:
        UsageError: There is no such data, its description is wrong, or it is of a kind without data of its own.
    """
    parts = [spec] if local_path(spec).exists() else [part.strip() for part in spec.split(",")]
    if not all(parts):
        raise UsageError("an empty name of data", where=f"--data {spec!r}", hint="name data, or several with commas")
    return CalibrationData(spec, [describe(part) for part in parts])
