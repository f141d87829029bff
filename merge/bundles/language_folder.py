"""What makes a mixture of language models a folder that transformers reads: configuration and tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MergeError

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import FileCheckpoint
    from .rules.moe import MoeOptions


def furnish(folder: Path, members: Sequence[FileCheckpoint], options: MoeOptions) -> None:
    """Write ``config.json``, generation settings and tokenizer, where the members are causal language models.

    Args:
        folder: The bundle, as it is being built.
        members: In order.
        options: Of the mixture.

    Raises:
        MergeError: Only some members are language models, or their vocabularies do not fit together.
    """
    are = [_predicts_tokens(member) for member in members]
    if not any(are):
        return
    if not all(are):
        odd = members[are.index(False)]
        raise MergeError("this is no causal language model, and other experts are", where=odd.location)
    folders = [member.folder for member in members]
    if any(each is None or not _has_tokenizer(each) for each in folders):
        return  # nothing says what the tokens mean; evaluation says so when it needs them
    _write(folder, members, [each for each in folders if each is not None], options)


def _predicts_tokens(member: FileCheckpoint) -> bool:
    names = member.config.get("architectures") or []
    return any(isinstance(name, str) and name.endswith(("ForCausalLM", "LMHeadModel")) for name in names)


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json"))


def _write(folder: Path, members: Sequence[FileCheckpoint], folders: Sequence[Path], options: MoeOptions) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    from ..evaluation.configuration import read_configuration
    from ..evaluation.model_name import folder_name
    from ..evaluation.quiet import quiet_transformers
    from .combine import Combination
    from .mixture.joining import configuration_of
    from .vocabulary import common_vocabulary, union_tokenizer

    names = [member.location for member in members]
    configs = [read_configuration(folder_name(each, name)) for each, name in zip(folders, names, strict=True)]
    with quiet_transformers():
        tokenizers = [AutoTokenizer.from_pretrained(each, trust_remote_code=False) for each in folders]
        vocabulary = common_vocabulary(tokenizers, names, options.align, options.combine)
        how = Combination(options.combine, options.weight, options.temperature)
        settings = [_settings(config, member) for config, member in zip(configs, members, strict=True)]
        configuration_of(settings, configs, how, vocabulary).save_pretrained(folder)
        tokenizer = union_tokenizer(tokenizers[0], vocabulary) if vocabulary.added else tokenizers[0]
        tokenizer.save_pretrained(folder)
        if (folders[0] / "generation_config.json").is_file():
            GenerationConfig.from_pretrained(folders[0]).save_pretrained(folder)


def _settings(config: Any, member: FileCheckpoint) -> dict[str, Any]:
    """Return an expert's whole configuration, without where it lay, with the type that its weights have."""
    from ..dtypes import DTYPES

    floating = [info.dtype for info in member.tensors.values() if DTYPES[info.dtype].kind == "float"]
    settings: dict[str, Any] = config.to_dict()
    settings.pop("_name_or_path", None)
    return {**settings, "dtype": DTYPES[floating[0]].torch if floating else "float32"}
