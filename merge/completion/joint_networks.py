"""The networks of two models that are run together, and the inputs that both are run on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .grouping import input_shape
from .joint_words import named_architecture, once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..calibration.data import CalibrationData
    from ..calibration.subject import Sample, Subject
    from ..checkpoints.checkpoint import Source
    from ..evaluation.candidate import Candidate
    from ..partial.declared import JointCalibration
    from .computing import Computing


class Networks:
    """Two models as networks.

    Args:
        both: The checkpoints, open.
        options: How many inputs, and whether they are stand-ins.
        data: What names the data; empty for stand-ins.
        seed: Of what is drawn.
        computing: How models are run.

    Attributes:
        computing: The same, with the architecture that the data's description names where nothing else does.
        called: What the inputs are, in words.
        data_use: Which data that is.

    Raises:
        UsageError: The data is not there or not described rightly.
    """

    def __init__(
        self, both: Sequence[Source], options: JointCalibration, data: str, seed: int, computing: Computing
    ) -> None:
        from ..calibration.data import read_data

        self._both, self._options = both, options
        self._data: CalibrationData | None = read_data(data) if data else None
        settings = replace(computing.settings, seed=seed)
        settings = replace(settings, model=settings.model or self._named())
        self.computing = replace(computing, settings=settings, note=once(computing.note))
        self.called = self._data.name if self._data else "stand-ins"
        self.data_use = "unlabeled" if self._data else "none"

    def _named(self) -> str | None:
        """Return the architecture that the data's benchmark names for bare checkpoints."""
        from ..evaluation.model_name import has_configuration

        if self._data is None or has_configuration(getattr(self._both[0], "folder", None)):
            return None
        return named_architecture(self._data)

    @cached_property
    def candidates(self) -> tuple[Candidate, Candidate]:
        """The models in memory."""
        from ..evaluation.candidate import read_candidate

        first, second = (read_candidate(source, source.location) for source in self._both)
        shapes = [{name: tensor.shape for name, tensor in one.tensors.items()} for one in (first, second)]
        # Of one architecture for both, which the first model fits, the second may have another number of outputs.
        return first, replace(second, is_wide=second.is_wide or shapes[0] != shapes[1])

    def build(self) -> None:
        """Build both networks and draw what they are run on. Raises as `subjects` and `sample` do."""
        _ = self.subjects, self.sample

    @property
    def identities(self) -> list[str]:
        """Content ids of both."""
        return [candidate.identity for candidate in self.candidates]

    @cached_property
    def subjects(self) -> tuple[Subject, Subject]:
        """Both networks. Raises UsageError and MergeError where they cannot be built, or do not read the data."""
        first, second = (self._subject(candidate) for candidate in self.candidates)
        return first, second

    def _subject(self, candidate: Candidate) -> Subject:
        from ..alignment.models import traceable
        from ..evaluation.model_name import has_configuration
        from ..partial.stand_in import stand_in_subject

        settings = self.computing.settings
        if self._data is not None:
            return self._data.subject(candidate, settings)
        if settings.model is None and not has_configuration(candidate.folder):
            hint = "name the architecture with --model"
            raise UsageError("nothing says how to run the model", where=candidate.name, hint=hint)
        traced = traceable(candidate, settings.model, self._shape, self.computing.note)
        return stand_in_subject(traced, candidate.name, settings.device)

    @cached_property
    def sample(self) -> Sample:
        """The inputs. Raises UsageError and MergeError where the data cannot be read."""
        from ..partial.stand_in import StandIns, StandInSubject

        settings, subject, count = self.computing.settings, self.subjects[0], self._options.samples
        if self._data is not None:
            return self._data.sample(subject, count, self._options.draw, settings)
        assert isinstance(subject, StandInSubject)  # noqa: S101 - made above
        return StandIns(subject.module, subject.traced.inputs, count, settings.seed)

    def run_wide(self, tensors: Mapping[str, NDArray[np.floating[Any]]]) -> Sequence[Tensor]:
        """Run the first model's network with other tensors, wider ones too, on the example of its inputs.

        Args:
            tensors: By name; those that are absent are the first model's.

        Raises:
            MergeError: The network cannot be as wide as they are.
        """
        import torch

        from ..alignment.models import traceable
        from ..alignment.running import runner

        first = self.candidates[0]
        given = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
        wide = replace(first, tensors={**first.tensors, **given}, is_wide=True)
        traced = traceable(wide, self.computing.settings.model, self._shape)
        with torch.no_grad():
            return runner(traced.module, traced.inputs, "float32")()

    @cached_property
    def _shape(self) -> list[int] | None:
        return input_shape(self.computing.input_shape) if self.computing.input_shape else None

    @cached_property
    def own_class(self) -> dict[str, Any]:
        """What the file records of a class of the user's own, so that it goes along with the weights."""
        from ..evaluation.networks import choose_model
        from ..partial.loader import OwnClass
        from ..partial.wide_files import OWN_CLASS

        name = choose_model(self.candidates[0], self.computing.settings.model, None)
        if name.kind != "file":
            return {}
        path = Path(name.name)
        return {OWN_CLASS: OwnClass(f"network_{path.name}", name.detail, path.read_text("utf-8"))._asdict()}
