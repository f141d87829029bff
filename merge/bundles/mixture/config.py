"""What a mixture of language models is made of, as a configuration of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import transformers

from ...evaluation.foreign_code import refuse_kernels
from ..combine import Combination

Settings: Any = transformers.PretrainedConfig
# As network.py of merge/evaluation/language reads the length of a text that a model takes.
LENGTHS = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length")
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
# For programs that import nothing of ours, such as the harness's own command line, and are told to trust the code.
CODE = "modeling_logit_mixture"
CODE_TEXT = """\
# Brings a mixture of language models to transformers.
try:
    from merge.bundles.mixture import LogitMixtureConfig, LogitMixtureForCausalLM  # noqa: F401
except ImportError as error:
    raise ImportError("a mixture of language models needs: pip install merge-checkpoints") from error
"""
AUTO_MAP = {"AutoConfig": "LogitMixtureConfig", "AutoModelForCausalLM": "LogitMixtureForCausalLM"}


class LogitMixtureConfig(Settings):  # type: ignore[misc]
    """Configuration of a mixture.

    Args:
        experts: The whole configuration of every expert, with its ``model_type``.
        combine: ``logits``, ``probs`` or ``logprobs``.
        weights: One of each expert; None: 1/k.
        temperatures: One of each expert; None: 1.
        shared_input_embeddings: All experts use one and the same matrix.
        vocab_size: Tokens of the mixture; what experts have beyond these, padding, is cut.
        token_maps: Where vocabularies were aligned, one map of each expert: [index of the expert, count] of
            consecutive tokens, -1 for those that it lacks.
        stand_ins: Where vocabularies were aligned, the token that each expert reads in place of one that it lacks;
            None: it cannot.
        other: What transformers knows.
    """

    model_type = "logit_mixture"

    def __init__(
        self,
        experts: Sequence[Mapping[str, Any]] = (),
        combine: str = "logits",
        weights: Sequence[float] | None = None,
        temperatures: Sequence[float] | None = None,
        shared_input_embeddings: bool = False,
        vocab_size: int = 0,
        token_maps: Sequence[Sequence[Sequence[int]]] | None = None,
        stand_ins: Sequence[int | None] | None = None,
        **other: Any,
    ) -> None:
        self.experts = [dict(expert) for expert in experts]
        self.combine = combine
        self.weights = None if weights is None else list(weights)
        self.temperatures = None if temperatures is None else list(temperatures)
        self.shared_input_embeddings = shared_input_embeddings
        self.vocab_size = vocab_size
        self.token_maps = None if token_maps is None else [[list(run) for run in runs] for runs in token_maps]
        self.stand_ins = None if stand_ins is None else list(stand_ins)
        self.use_cache = other.pop("use_cache", True)
        other["auto_map"] = {auto: f"{CODE}.{name}" for auto, name in AUTO_MAP.items()}
        super().__init__(**other)

    @property
    def combination(self) -> Combination:
        """How the experts' outputs become one."""
        weights = None if self.weights is None else tuple(self.weights)
        return Combination(self.combine, weights, None if self.temperatures is None else tuple(self.temperatures))

    def expert_configs(self) -> list[Any]:
        """Return the configuration of every expert as an object of its own.

        Raises:
            MergeError: One names code from elsewhere.
        """
        refuse_kernels({"experts": self.experts}, "config.json")
        return [transformers.AutoConfig.for_model(**expert) for expert in self.experts]

    def save_pretrained(self, save_directory: str | PathLike[str], *arguments: Any, **options: Any) -> None:
        """Write ``config.json``, and beside it the few lines of code that its ``auto_map`` names."""
        super().save_pretrained(save_directory, *arguments, **options)
        (Path(save_directory) / f"{CODE}.py").write_text(CODE_TEXT, "utf-8")

    @classmethod
    def register_for_auto_class(cls, auto_class: object = "AutoConfig") -> None:
        """Do nothing: what ``save_pretrained`` writes is all the code that a folder needs."""


def joint_settings(configs: Sequence[Any]) -> dict[str, Any]:
    """Return what a mixture takes over from its experts: the shortest length, and the first one's special tokens.

    Args:
        configs: Of the experts.
    """
    texts = [config.get_text_config() for config in configs]
    stated = [next((getattr(text, name) for name in LENGTHS if getattr(text, name, None)), None) for text in texts]
    lengths = [int(length) for length in stated if length]
    tokens = {name: getattr(texts[0], name, None) for name in TOKENS}
    return {**tokens, **({"max_position_embeddings": min(lengths)} if lengths else {})}
