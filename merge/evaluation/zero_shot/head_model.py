"""The model of images and texts whose text tower makes a head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...section import Section
from ..model_name import FORMS, ModelName, folder_name, has_configuration, parse_model_name

if TYPE_CHECKING:
    from ..candidate import Candidate

WEIGHTS = ("*.safetensors", "*.st")


@dataclass(frozen=True)
class HeadModel:
    """A model by name, and where its weights are.

    Attributes:
        model: Its architecture; a folder or a name on the hub has weights too.
        checkpoint: The weights, where the name stands for the architecture alone.
    """

    model: ModelName
    checkpoint: str | None

    @property
    def label(self) -> str:
        """The model as the benchmark writes it."""
        return self.model.label

    def load(self) -> tuple[Candidate, ModelName]:
        """Read the weights, and say what architecture they have.

        Raises:
            MergeError: They cannot be read or fetched.
            UsageError: There is no such model.
        """
        from dataclasses import replace

        from ..locate import locate
        from ..networks.build import choose_model

        candidate = replace(locate(self.checkpoint or _weights_of(self.model)).load(), name=self.label)
        if self.checkpoint is not None:  # the name then says what the weights are, whatever lies beside them
            return candidate, choose_model(replace(candidate, folder=None), None, self.model)
        assert candidate.folder is not None  # noqa: S101 -- a folder was opened
        return candidate, choose_model(candidate, None, folder_name(candidate.folder, self.label))


def read_head_model(section: Section, key: str, folder: Path) -> tuple[ModelName | None, HeadModel | None]:
    """Read a model and its ``checkpoint``.

    Args:
        section: A benchmark, or its ``head``.
        key: Under which the model stands.
        folder: Where relative paths count from.

    Returns:
        The architecture, for checkpoints that have no configuration of their own; and the model that makes the head,
        None where only an architecture is named.

    Raises:
        UsageError: With the place of what is wrong.
    """
    if key not in section.mapping:
        if "checkpoint" in section.mapping:
            what = f"'checkpoint' needs a '{key}' that says what it is"
            raise UsageError(what, where=section.where("checkpoint"))
        return None, None
    model = parse_model_name(section.text(key, ""), section.where(key), folder)
    checkpoint = _checkpoint(section, folder)
    if model.kind == "folder" and not has_configuration(Path(model.name)):
        raise UsageError(f"'{model.label}' has no config.json", where=model.where, hint=f"give {FORMS}")
    return model, HeadModel(model, checkpoint) if checkpoint is not None or has_weights(model) else None


def _checkpoint(section: Section, folder: Path) -> str | None:
    if "checkpoint" not in section.mapping:
        return None
    text = section.text("checkpoint", "")
    if (folder / text).exists():
        return str(folder / text)
    from ..hub import is_hub_id, without_prefix

    if is_hub_id(without_prefix(text)) and Path(text).suffix not in (".safetensors", ".st"):
        return text
    raise UsageError(f"no such checkpoint: {text}", where=section.where("checkpoint"))


def has_weights(model: ModelName) -> bool:
    """Tell whether a name stands for weights too, not for an architecture alone."""
    if model.kind == "hf":
        return True
    return Path(model.name).is_dir() and any(next(Path(model.name).glob(form), None) for form in WEIGHTS)


def _weights_of(model: ModelName) -> str:
    from ..configuration import hub_name
    from ..hub import fetch

    return str(fetch(hub_name(model))) if model.kind == "hf" else model.name
