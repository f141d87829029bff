"""Are a mixture's members causal language models that can run side by side, and do their tokens mean the same?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MergeError

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import FileCheckpoint
    from .rules.moe import MoeOptions
    from .vocabulary import Vocabulary

PREDICTING = ("ForCausalLM", "LMHeadModel")
# Of encoders with decoders, and of models of images and texts, some of which transformers lists as causal.
CONDITIONAL = "ForConditionalGeneration"


@dataclass(frozen=True)
class LanguageMembers:
    """Causal language models with their tokenizers, checked against one another.

    Attributes:
        sources: The members, in order.
        folders: Where their configurations and tokenizers lie.
        configs: Of transformers.
        tokenizers: Of transformers.
        vocabulary: What these have in common.
    """

    sources: tuple[FileCheckpoint, ...]
    folders: tuple[Path, ...]
    configs: tuple[Any, ...]
    tokenizers: tuple[Any, ...]
    vocabulary: Vocabulary


def language_members(members: Sequence[FileCheckpoint], options: MoeOptions) -> LanguageMembers | None:
    """Return members as language models, or None where they are none, or where one has no tokenizer beside it.

    Args:
        members: In order.
        options: Of the mixture.

    Raises:
        MergeError: Only some members are language models, one cannot be an expert, or their vocabularies do not fit
            together.
    """
    folders = [member.folder for member in members]
    if not are_language_models(members) or without_tokenizer(members):
        return None
    return _read(members, [folder for folder in folders if folder is not None], options)


def check_vocabularies(members: Sequence[FileCheckpoint], combine: str) -> None:
    """Compare vocabularies as far as tokenizers lie beside the weights. Raises MergeError where they differ."""
    from ..evaluation.quiet import quiet_transformers
    from .vocabulary import common_vocabulary

    folders = [member.folder for member in members if member.folder is not None]
    if without_tokenizer(members):
        return
    names = [member.location for member in members]
    with quiet_transformers():
        common_vocabulary(_tokenizers(folders, names), names, combine=combine)


def are_language_models(members: Sequence[FileCheckpoint]) -> bool:
    """Tell whether the members predict the next token. Raises MergeError where some do and others do not."""
    are = [_predicts_tokens(member) for member in members]
    if any(are) and not all(are):
        odd = members[are.index(False)]
        raise MergeError("this is no causal language model, and other experts are", where=odd.location)
    return any(are)


def without_tokenizer(members: Sequence[FileCheckpoint]) -> list[FileCheckpoint]:
    """Return the members that have no tokenizer beside their weights."""
    from ..evaluation.language.tokenizer import FILES

    return [member for member in members if not any(_has(member.folder, name) for name in FILES)]


def _has(folder: Path | None, name: str) -> bool:
    return folder is not None and (folder / name).is_file()


def _predicts_tokens(member: FileCheckpoint) -> bool:
    """Tell whether a configuration names a causal language model.

    Raises:
        MergeError: It names a model that answers to a text, whose outputs over a text are nothing to average.
    """
    names = [name for name in member.config.get("architectures") or [] if isinstance(name, str)]
    if any(name.endswith(PREDICTING) for name in names):
        return True
    if not any(name.endswith(CONDITIONAL) for name in names):
        return False
    from transformers.models.auto import modeling_auto as tables

    answering = [name for name in names if name in tables.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values()]
    if answering:
        what = f"{answering[0]} answers to a text; a mixture averages models that predict the next token"
        raise MergeError(what, where=member.location)
    return any(name in tables.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() for name in names)


def _read(members: Sequence[FileCheckpoint], folders: Sequence[Path], options: MoeOptions) -> LanguageMembers:
    from ..evaluation.configuration import read_configuration
    from ..evaluation.model_name import folder_name
    from ..evaluation.quiet import quiet_transformers
    from .mixture.calling import check_outputs, expert_class
    from .vocabulary import common_vocabulary

    names = [member.location for member in members]
    configs = [read_configuration(folder_name(each, name)) for each, name in zip(folders, names, strict=True)]
    with quiet_transformers():
        for config, name in zip(configs, names, strict=True):
            expert_class(config, name)
        tokenizers = _tokenizers(folders, names)
        vocabulary = common_vocabulary(tokenizers, names, options.align, options.combine)
    for config, rows, name in zip(configs, vocabulary.rows, names, strict=True):
        check_outputs(config.get_text_config().vocab_size, rows, name)
    return LanguageMembers(tuple(members), tuple(folders), tuple(configs), tuple(tokenizers), vocabulary)


def _tokenizers(folders: Sequence[Path], names: Sequence[str]) -> list[Any]:
    """Return the tokenizers in folders. Raises MergeError when one cannot be loaded."""
    from transformers import AutoTokenizer

    found = []
    for folder, name in zip(folders, names, strict=True):
        try:
            found.append(AutoTokenizer.from_pretrained(folder, trust_remote_code=False))
        except Exception as error:  # broken files end in errors of many types, plain Exception among them
            first_line = str(error).strip().partition("\n")[0]
            raise MergeError(f"cannot load the tokenizer: {first_line}", where=name) from None
    return found
