"""What makes a mixture of language models a folder that transformers reads: configuration and tokenizer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .language_members import are_language_models, without_tokenizer

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import FileCheckpoint
    from .language_members import LanguageMembers
    from .rules.moe import MoeOptions


def furnish(folder: Path, members: LanguageMembers, options: MoeOptions) -> None:
    """Write ``config.json``, generation settings and tokenizer.

    Args:
        folder: The bundle, as it is being built.
        members: Its experts.
        options: Of the mixture.
    """
    from transformers import GenerationConfig

    from ..evaluation.quiet import quiet_transformers
    from .mixture.joining import configuration_of
    from .vocabulary import union_tokenizer

    vocabulary, tokenizer = members.vocabulary, members.tokenizers[0]
    how = options.combination
    settings = [_settings(config, each) for config, each in zip(members.configs, members.sources, strict=True)]
    with quiet_transformers():
        configuration_of(settings, members.configs, how, vocabulary).save_pretrained(folder)
        tokenizer = union_tokenizer(tokenizer, vocabulary) if vocabulary.added else tokenizer
        tokenizer.save_pretrained(folder)
        if (members.folders[0] / "generation_config.json").is_file():
            GenerationConfig.from_pretrained(members.folders[0]).save_pretrained(folder)


def how_to_load(members: Sequence[FileCheckpoint]) -> list[str]:
    """Return what a user should know of a mixture of language models as a folder; nothing for other members."""
    if not are_language_models(members):
        return []
    if lacking := without_tokenizer(members):
        what = f"No tokenizer lies beside {lacking[0].location}: transformers cannot load the folder"
        return [f"{what}, and merge eval takes the tokenizer that --model DIR names."]
    return ["In Python: import merge.bundles.mixture, then transformers' AutoModelForCausalLM loads it too."]


def _settings(config: Any, member: FileCheckpoint) -> dict[str, Any]:
    """Return an expert's whole configuration, without where it lay, with the type that most of its weights have."""
    from ..dtypes import DTYPES

    entries: Counter[str] = Counter()
    for info in member.tensors.values():
        if DTYPES[info.dtype].kind == "float":
            entries[info.dtype] += math.prod(info.shape)
    settings: dict[str, Any] = config.to_dict()
    settings.pop("_name_or_path", None)
    return {**settings, "dtype": DTYPES[entries.most_common(1)[0][0]].torch if entries else "float32"}
