"""The ensemble of models: the comparator of every soup, at the price of running all of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..data_use import joined_use
from ..errors import MergeError, UsageError
from .assess import Assessed
from .language.task import LanguageTask
from .scoring import log_softmax
from .task import ScoringTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .locate import Location
    from .outcome import Outcome
    from .results import Ensemble
    from .task import Benchmark, Task


@dataclass
class Average:
    """The ensemble so far: the sum of the members' logits, or of their probabilities, [n, classes]."""

    kind: Ensemble
    members: list[str]
    total: NDArray[np.float64] | None = None

    @property
    def name(self) -> str:
        """What stands for it in the column of models."""
        return f"ensemble({self.kind})"

    def add(self, logits: NDArray[np.floating], member: str) -> None:
        """Add one member. Raises MergeError when it has other classes than the members before it."""
        import numpy as np

        outputs = logits.astype(np.float64) if self.kind == "logits" else np.exp(log_softmax(logits))
        if self.total is not None and outputs.shape != self.total.shape:
            what = f"{outputs.shape[1]} classes, but {self.members[0]} has {self.total.shape[1]}"
            raise MergeError(what, where=member, hint="an ensemble needs the same classes in every model")
        self.total = outputs if self.total is None else self.total + outputs
        self.members.append(member)

    def logits(self) -> NDArray[np.float64]:
        """Return logits whose softmax is the ensemble: the mean logits, or the logarithm of the mean probabilities."""
        import numpy as np

        assert self.total is not None  # noqa: S101 -- evaluate() asks after at least one member
        mean = self.total / len(self.members)
        return mean if self.kind == "logits" else np.log(np.maximum(mean, np.finfo(np.float64).tiny))


def check_ensemble(models: Mapping[str, Location], task: Task, kind: Ensemble, override: str | None) -> None:
    """Refuse language models whose vocabularies differ before any of them runs.

    Args:
        models: Where they are; merges that recipes name are compared when they are there.
        task: With its data.
        kind: Whether logits or probabilities are averaged.
        override: What ``--model`` says: one tokenizer for all.

    Raises:
        MergeError: Two vocabularies differ.
        UsageError: One is a bundle, which is an ensemble itself.
    """
    from ..bundles.language_members import check_vocabularies
    from ..checkpoints.resolve import open_checkpoint
    from .locate import BundleLocation, CheckpointLocation
    from .remember import Remembered

    if not isinstance(task, LanguageTask):
        return
    for location in models.values():
        if isinstance(location, BundleLocation):
            location.load()  # says that it is no one checkpoint
    if override is not None:
        return
    with ExitStack() as stack:
        places = [each.inner if isinstance(each, Remembered) else each for each in models.values()]
        sources = [open_checkpoint(each.path) for each in places if isinstance(each, CheckpointLocation)]
        for source in sources:
            stack.callback(source.close)
        check_vocabularies(sources, kind)


def make_ensemble(
    assessed: Mapping[str, Assessed], models: Mapping[str, Location], benchmark: Benchmark, task: Task, kind: Ensemble
) -> Assessed:
    """Return what the models give together.

    Args:
        assessed: What each gave alone, in order; logits of classifiers are averaged from these.
        models: Where they are: language models are run side by side, all of them in memory.
        benchmark: The benchmark.
        task: With its data.
        kind: Whether logits or probabilities are averaged.

    Raises:
        MergeError: The models do not fit one another.
        UsageError: A benchmark of this kind has no outputs that could be averaged.
    """
    joined = joined_use(one.data_use for one in assessed.values())
    name = f"ensemble({kind})"
    if isinstance(task, ScoringTask):
        average = Average(kind, [])
        for model, one in assessed.items():
            assert one.outcome.logits is not None  # noqa: S101 -- a scoring task gives logits
            average.add(one.outcome.logits, model)
        # Its heads and files are those of its members, which have rows of their own.
        return Assessed(task.score(average.logits(), average.name), name, 0.0, joined)
    if isinstance(task, LanguageTask):
        return Assessed(_of_language(models, task, kind), name, 0.0, joined)
    what = f"a benchmark of kind '{benchmark.kind}' has no ensemble of outputs"
    raise UsageError(what, where=benchmark.name)


def _of_language(models: Mapping[str, Location], task: LanguageTask, kind: Ensemble) -> Outcome:
    from ..bundles.evaluating.mixed import mixture_of
    from ..bundles.rules import find_rule

    networks, folders = [], []
    for location in models.values():
        candidate = location.load()
        networks.append(task.model(candidate))
        folders.append(candidate.folder)
        del candidate  # one model's tensors at a time beside the networks
    options = find_rule("moe").resolve({"combine": kind}, [{}] * len(networks))
    return task.run(mixture_of(networks, options, f"ensemble({kind})"), folders[0])
