"""One run of RegMean++, from open checkpoints to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ...checkpoints.header_file import read_header
from ..facts import Facts
from .activations import Activations
from .cache import open_cache, temporary_folder
from .gram_files import GramFile
from .parts import check_blocks, check_region
from .regression import Regression
from .survey import Anatomy, survey
from .walk import Walk, not_merged, without_cache

if TYPE_CHECKING:
    from torch import Tensor

    from ...checkpoints.checkpoint import Source
    from ...evaluation.task import Settings
    from ..data import CalibrationData
    from ..declared import SequentialCalibration
    from ..storing import Store
    from ..subject import Sample, Subject
    from .candidates import Candidates


@dataclass(frozen=True)
class Merging:
    """What is merged, and how: `off_diagonal` and `region` as `gather` has them."""

    candidates: Candidates
    off_diagonal: float
    region: str


@dataclass(frozen=True)
class Outcome:
    """What a run found: names of tensors that stay the base's, remarks, and what each file says of itself."""

    from_base: frozenset[str]
    notes: tuple[str, ...]
    facts: tuple[Facts, ...]


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        reference: What the network is built from.
        options: How to go through the blocks.
        merging: The models, and how their matrices are merged.
        settings: Device, seed, items at a time.
        stores: Where files are built.
    """

    reference: Source
    options: SequentialCalibration
    merging: Merging
    settings: Settings
    stores: Sequence[Store]

    def go(self, data: Sequence[CalibrationData]) -> Outcome:
        """Go through the network, and write the files."""
        subject, identity = self._network(data[0])
        places = subject.places()
        self.merging.candidates.check(places)
        samples = [self._sample(each, subject) for each in data]
        first = next(samples[0].batches(1)).inputs
        anatomy = survey(subject, places, first, convolutions=self.options.convolutions)
        check_region(anatomy.stacks, self.merging.region)
        check_blocks(anatomy.stacks, places, subject.name)
        kept = not_merged(subject.module, places, anatomy) if self._keeps_norms else frozenset[str]()
        about = self._about() | {"network": identity, "from_base": sorted(kept)}
        models = [self.merging.candidates.identity(model) for model in range(len(samples))]
        wanted = [
            {**about, "models": models, "number": number, "data": dict(sample.about)}
            for number, sample in enumerate(samples)
        ]
        facts = self._former(wanted)
        if facts is not None:
            return Outcome(kept, ("the statistics of all models are there already",), facts)
        for store, fingerprint in zip(self.stores, wanted, strict=True):
            store.begin(fingerprint, anew=True)
        facts = self._through(subject, places, anatomy, kept, samples, about, models)
        return Outcome(kept, _notes(anatomy, kept), facts)

    def _former(self, wanted: Sequence[Mapping[str, Any]]) -> tuple[Facts, ...] | None:
        """Return what the files say of themselves, if all of an earlier and equal run are there."""
        held = [store.holds(fingerprint) for store, fingerprint in zip(self.stores, wanted, strict=True)]
        if not all(held):
            return None
        outs = [store.out for store in self.stores]
        return tuple(Facts.from_metadata(read_header(out).metadata, str(out)) for out in outs)

    @property
    def _keeps_norms(self) -> bool:
        return self.options.final_norm == "pretrained"

    def _about(self) -> dict[str, Any]:
        """Return what statistics files record, models and data aside."""
        return {
            "method": "regmean-pp",
            "options": asdict(self.options),
            "weights": list(self.merging.candidates.weights),
            "off_diagonal": self.merging.off_diagonal,
            "region": self.merging.region,
            "seed": self.settings.seed,
            "batch size": self.settings.batch_size,
            "device": self.settings.device.partition(":")[0],
        }

    def _network(self, data: CalibrationData) -> tuple[Subject, str]:
        """Build the network, and let go of the checkpoint that it was built from."""
        from ...evaluation.candidate import read_candidate

        candidate = read_candidate(self.reference, self.reference.location)
        tensors = dict(candidate.tensors)
        subject = data.subject(replace(candidate, tensors=tensors), self.settings)
        subject.places()
        tensors.clear()  # the subject may hold on to the candidate; the network has memory of its own by now
        without_cache(subject.module)
        return subject, candidate.identity

    def _sample(self, data: CalibrationData, subject: Subject) -> Sample:
        return data.sample(subject, self.options.samples, self.options.draw, self.settings)

    def _through(
        self,
        subject: Subject,
        places: Mapping[str, Tensor],
        anatomy: Anatomy,
        kept: frozenset[str],
        samples: Sequence[Sample],
        about: Mapping[str, Any],
        models: Sequence[str],
    ) -> tuple[Facts, ...]:
        """Merge part by part, and write what was gathered on the way."""
        out = self.stores[0].out
        with open_cache(self.options.cache, out) as cache, temporary_folder(out, "grams") as folder:
            activations = Activations(subject, samples, self.settings.batch_size, cache)
            names = self.merging.candidates.name
            files = [GramFile(folder, model, names, store.dtype) for model, store in enumerate(self.stores)]
            factor = self.merging.off_diagonal
            regression = Regression(self.merging.candidates, self.options, factor, self.settings, files)
            Walk(places, anatomy, kept, self.merging.region, regression, activations).go()
            own = [{**about, "data": dict(sample.about)} for sample in samples]
            return tuple(self._finish(model, file, own[model], models[model]) for model, file in enumerate(files))

    def _finish(self, model: int, file: GramFile, about: Mapping[str, Any], identity: str) -> Facts:
        facts = Facts("gram", identity, file.aliases, file.layout, file.rows, about=about)
        self.stores[model].finish(file.tensors(), facts)
        return facts


def _notes(anatomy: Anatomy, kept: frozenset[str]) -> tuple[str, ...]:
    notes = [f"'{stack.name}': {len(stack.blocks)} {stack.unit}, one after the other" for stack in anatomy.stacks]
    notes += [f"from the base: {', '.join(sorted(kept))}"] if kept else []
    return tuple(notes)
