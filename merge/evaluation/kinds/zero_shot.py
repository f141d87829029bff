"""Zero-shot classification: models of images and texts, whose head is made from the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from ...errors import UsageError, suggest
from ...section import Section
from ..area_under_curve import read_metrics
from ..data_source import DataSource, read_data_source
from ..images import Normalization, read_normalization
from ..zero_shot.head_model import HeadModel, read_head_model
from ..zero_shot.prompts import Prompts, read_prompts

if TYPE_CHECKING:
    from ..model_name import ModelName
    from ..task import Settings
    from ..zero_shot.task import ZeroShotTask

Weights = Literal["equal", "zpe"]
KEYS = ("name", "kind", "data", "model", "checkpoint", "classes", "templates", "ensemble", "weights", "pretraining")
MORE_KEYS = ("normalize", "metrics")


@dataclass(frozen=True)
class ZeroShot:
    """A zero-shot benchmark, all paths resolved.

    Attributes:
        model: The architecture of checkpoints that have no configuration beside them.
        head_model: The model whose text tower makes the head; None: each evaluated model's own.
        prompts: Class names and templates.
        weights: Whether all templates count alike, or by zero-shot prompt ensembling.
        pretraining: Images like those of pre-training, which prompt ensembling compares with.
        normalization: None: what each model was published with.
        metrics: Those besides what is always reported.
    """

    name: str
    data: DataSource
    model: ModelName | None
    head_model: HeadModel | None
    prompts: Prompts
    weights: Weights
    pretraining: DataSource | None
    normalization: Normalization | None
    where: str
    kind: str = "zero-shot"
    metrics: tuple[str, ...] = ()

    @property
    def split(self) -> str:
        """The part of the data that is used."""
        return self.data.split

    def prepare(self, settings: Settings) -> ZeroShotTask:
        """Load the images, and make the head if it is the same for all models."""
        from ..zero_shot.task import ZeroShotTask

        return ZeroShotTask(self, settings)


def read(section: Section, folder: Path, name: str) -> ZeroShot:
    """Read a benchmark of this kind. Raises UsageError with the place of what is wrong."""
    section.check_keys((*KEYS, *MORE_KEYS), required=("kind", "data"))
    _choice(section, "ensemble", ("mean",))
    weights = cast("Weights", _choice(section, "weights", get_args(Weights)))
    model, head_model = read_head_model(section, "model", folder)
    return ZeroShot(
        name=name,
        data=read_data_source(section, folder),
        model=model,
        head_model=head_model,
        prompts=read_prompts(section),
        weights=weights,
        pretraining=_pretraining(section, folder, weights),
        normalization=read_normalization(section) if "normalize" in section.mapping else None,
        where=section.name,
        metrics=read_metrics(section),
    )


def _choice(section: Section, key: str, known: tuple[str, ...]) -> str:
    """Return the word under a key, by default the first one known."""
    word = section.text(key, known[0])
    if word not in known:
        hint = suggest(word, known) or f"there is {' or '.join(known)}"
        raise UsageError(f"no '{key}' called '{word}'", where=section.where(key), hint=hint)
    return word


def _pretraining(section: Section, folder: Path, weights: Weights) -> DataSource | None:
    if "pretraining" not in section.mapping:
        return None
    if weights != "zpe":
        what = "'pretraining' images serve 'weights: zpe' alone"
        raise UsageError(what, where=section.where("pretraining"))
    return read_data_source(Section(section.name, {"data": section.mapping["pretraining"]}), folder)
